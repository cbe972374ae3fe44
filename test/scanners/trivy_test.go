package scanners

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	bolt "go.etcd.io/bbolt"
)

// Programs under test.
var kontorBin, trivyBin = os.Getenv("KONTOR_BIN"), os.Getenv("TRIVY_BIN")

func TestMain(m *testing.M) {
	if kontorBin == "" || trivyBin == "" {
		fmt.Fprintln(os.Stderr, "KONTOR_BIN and TRIVY_BIN are not set: run `go run ./test/all -only scanners` in the root of the project")
		os.Exit(1)
	}
	os.Exit(m.Run())
}

const accessKey, secretKey = "AKIA1234567890ABCDEF", "0123456789012345678901234567890123456789" // of this test only

// database writes Trivy's, in which musl of Alpine 3.20 has one vulnerability before
// 1.2.5-r1. Its form is that of version 2: buckets of platforms hold packages, which hold
// advisories.
func database(t *testing.T, cache string) {
	t.Helper()
	dir := filepath.Join(cache, "db")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	db, err := bolt.Open(filepath.Join(dir, "trivy.db"), 0o600, &bolt.Options{Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	put := func(tx *bolt.Tx, value string, path ...string) error {
		b, err := tx.CreateBucketIfNotExists([]byte(path[0]))
		for _, p := range path[1 : len(path)-1] {
			if err == nil {
				b, err = b.CreateBucketIfNotExists([]byte(p))
			}
		}
		if err != nil {
			return err
		}
		return b.Put([]byte(path[len(path)-1]), []byte(value))
	}
	err = db.Update(func(tx *bolt.Tx) error {
		for _, e := range []struct {
			value string
			path  []string
		}{
			{`{"FixedVersion":"1.2.5-r1"}`, []string{"alpine 3.20", "musl", "CVE-2026-0001"}},
			{`{"ID":"alpine","Name":"Alpine Secdb","URL":"https://secdb.alpinelinux.org/"}`, []string{"data-source", "alpine 3.20"}},
			{`{"Title":"musl: an example","Description":"It is an example.","Severity":"CRITICAL","VendorSeverity":{"nvd":4},"References":["https://example.com/CVE-2026-0001"]}`, []string{"vulnerability", "CVE-2026-0001"}},
		} {
			if err := put(tx, e.value, e.path...); err != nil {
				return err
			}
		}
		return nil
	})
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf(`{"Version":2,"NextUpdate":%q,"UpdatedAt":"2026-01-02T03:04:05Z","DownloadedAt":"2026-01-02T03:04:05Z"}`, time.Now().Add(24*time.Hour).UTC().Format(time.RFC3339))
	write(t, filepath.Join(dir, "metadata.json"), text)
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// push pushes an image of Alpine 3.20 with a version of musl.
func push(t *testing.T, host, password, tag, musl string) {
	t.Helper()
	var layer bytes.Buffer
	w := tar.NewWriter(&layer)
	for _, f := range []struct{ name, text string }{
		{"etc/alpine-release", "3.20.3\n"},
		{"etc/os-release", "NAME=\"Alpine Linux\"\nID=alpine\nVERSION_ID=3.20.3\n"},
		{"lib/apk/db/installed", "C:Q1mB3xPvYbyAbdSMbUBZv4aLOW/JI=\nP:musl\nV:" + musl + "\nA:x86_64\nS:1\nI:1\nT:the musl c library\nU:https://musl.libc.org/\nL:MIT\no:musl\nm:A <a@example.com>\nt:1\nc:1\nF:lib\nR:ld-musl-x86_64.so.1\n\n"},
	} {
		if err := w.WriteHeader(&tar.Header{Name: f.name, Mode: 0o644, Size: int64(len(f.text))}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(f.text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	l, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(layer.Bytes())), nil })
	if err != nil {
		t.Fatal(err)
	}
	image, err := mutate.AppendLayers(empty.Image, l)
	if err != nil {
		t.Fatal(err)
	}
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", "amd64"
	if image, err = mutate.ConfigFile(image, config); err != nil {
		t.Fatal(err)
	}
	ref, err := name.ParseReference(host + "/website:" + tag)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(ref, image, remote.WithAuth(&authn.Basic{Username: "kontor", Password: password})); err != nil {
		t.Fatal(err)
	}
}

// Trivy scans what is pushed, and what it finds is what the server answers.
func TestTrivy(t *testing.T) {
	home := t.TempDir()
	cache := filepath.Join(home, "trivy")
	database(t, cache)
	for _, dir := range []string{"secrets", "scans"} {
		if err := os.Mkdir(filepath.Join(home, dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	environ := append(os.Environ(), "HOME="+home, "AWS_ACCESS_KEY_ID="+accessKey, "AWS_SECRET_ACCESS_KEY="+secretKey, "AWS_REGION=us-east-2", "AWS_EC2_METADATA_DISABLED=true")
	run := func(args ...string) (string, error) {
		cmd := exec.CommandContext(t.Context(), kontorBin, args...)
		cmd.Dir, cmd.Env = home, environ
		var out, failure bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &failure
		if err := cmd.Run(); err != nil {
			return "", fmt.Errorf("kontor %s: %w\n%s%s", strings.Join(args, " "), err, out.String(), failure.String())
		}
		return out.String(), nil
	}
	must := func(args ...string) string {
		t.Helper()
		out, err := run(args...)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	must("admin", "master-key", "new", "secrets/master.key")
	write(t, filepath.Join(home, "secrets", "administrator"), "[default]\naws_access_key_id = "+accessKey+"\naws_secret_access_key = "+secretKey+"\n")
	write(t, filepath.Join(home, "serve.yaml"), fmt.Sprintf(`listen: localhost:0
registries:
  - {account: "111111111111", region: us-east-2, hosts: [localhost]}
data: registry
master_key_file: secrets/master.key
administrator_file: secrets/administrator
scanner:
  name: trivy
  command: [%q, image, --input, "{layout}", --format, json, --quiet, --scanners, vuln, --cache-dir, %q, --skip-db-update, --skip-java-db-update, --offline-scan, --skip-version-check]
  timeout: 5m
`, trivyBin, cache))

	server := exec.Command(kontorBin, "serve", "--config", "serve.yaml")
	server.Dir, server.Env = home, environ
	var log buffer
	server.Stdout, server.Stderr = &log, &log
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Wait() }()
	t.Cleanup(func() {
		if err := server.Process.Signal(os.Interrupt); err != nil {
			t.Error(err)
		}
		if err := <-ended; err != nil {
			t.Errorf("kontor serve ended with %v\n%s", err, log.String())
		}
	})
	until(t, "the server is ready", func() bool { return strings.Contains(log.String(), "kontor is ready") }, log.String)
	endpoint := regexp.MustCompile(`http://localhost:\d+`).FindString(log.String())
	write(t, filepath.Join(home, "kontor.yaml"), fmt.Sprintf("stack: s\nregistries:\n  - {name: here, account: \"111111111111\", region: us-east-2, endpoint: %q}\necr_repositories:\n  website: {scan_on_push: true}\n", endpoint))
	must("apply", "--yes")
	var token struct{ Password string }
	if err := json.Unmarshal([]byte(must("access", "token", "create", "ci", "--user", "administrator", "--push", "website", "--endpoint", endpoint, "--json")), &token); err != nil {
		t.Fatal(err)
	}
	host := strings.TrimPrefix(endpoint, "http://")

	for _, tt := range []struct{ tag, musl, want string }{
		{"bad", "1.2.5-r0", "CVE-2026-0001  musl 1.2.5-r0, fixed in 1.2.5-r1"},
		{"good", "1.2.5-r1", "NO FINDINGS"},
	} {
		t.Run(tt.tag, func(t *testing.T) {
			push(t, host, token.Password, tt.tag, tt.musl)
			var found struct{ Status string }
			text := ""
			until(t, "the scan is over", func() bool {
				var err error
				text, err = run("admin", "scanner", "findings", "website:"+tt.tag, "--endpoint", endpoint, "--json")
				return err == nil && json.Unmarshal([]byte(text), &found) == nil && found.Status != "IN_PROGRESS"
			}, func() string { return text + log.String() })
			plain := must("admin", "scanner", "findings", "website:"+tt.tag, "--endpoint", endpoint)
			t.Log(plain, text)
			if tt.want == "NO FINDINGS" {
				if strings.Contains(plain, "CVE-") || found.Status != "COMPLETE" {
					t.Errorf("%s\n%s", plain, log.String())
				}
				return
			}
			if found.Status != "COMPLETE" || !strings.Contains(plain, "CRITICAL") || !strings.Contains(plain, tt.want) || strings.Count(plain, "CVE-2026-0001 ") != 1 {
				t.Errorf("%s\nwant %s\n%s", plain, tt.want, log.String())
			}
		})
	}
}

// until waits until yes; about tells what is known when it takes too long.
func until(t *testing.T, what string, yes func() bool, about func() string) {
	t.Helper()
	for deadline := time.Now().Add(3 * time.Minute); !yes(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not after 3 minutes\n%s", what, about())
		}
	}
}

// buffer is written by a process while it is read.
type buffer struct {
	mu   sync.Mutex
	text bytes.Buffer // guarded by mu
}

// Write implements io.Writer.
func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

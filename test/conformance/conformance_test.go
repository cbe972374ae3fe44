// Package conformance runs the OCI distribution conformance suite, the one of
// the specification's authors, against the binary, in both compatibility
// modes, with every workflow, optional API and kind of data switched on. `go
// run ./test/all -only conformance` builds both and calls this.
//
// A run must end exactly as its list says: a failure or a skip that is not
// listed fails the test, and so does a listed one that does not happen.
//
// Source: https://github.com/opencontainers/distribution-spec/tree/main/conformance.
package conformance

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	diff "github.com/google/go-cmp/cmp"
)

// The program under test and the suite, by absolute path.
var (
	kontorBin = os.Getenv("KONTOR_BIN")
	suiteBin  = os.Getenv("OCI_CONFORMANCE")
)

func TestMain(m *testing.M) {
	for name, value := range map[string]string{"KONTOR_BIN": kontorBin, "OCI_CONFORMANCE": suiteBin} {
		if value == "" {
			fmt.Fprintf(os.Stderr, "%s is not set: run `go run ./test/all -only conformance` in the root of the project\n", name)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

func TestConformance(t *testing.T) {
	for _, c := range []struct {
		name    string
		compat  string
		version string // of the specification
		data    string // kinds of data beyond the version's own
		want    expected
	}{
		{name: "oci 1.0", compat: "oci", version: "1.0"},
		{name: "oci 1.1", compat: "oci", version: "1.1"},
		{name: "oci development", compat: "oci", version: "1.1+dev"},
		{name: "oci sparse", compat: "oci", version: "1.1+dev", data: "OCI_DATA_SPARSE=true", want: ociSparse},
		{name: "ecr development", compat: "ecr", version: "1.1+dev", data: "OCI_DATA_SPARSE=true", want: ecrDifferences},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := up(t, c.compat)
			env := append([]string{"OCI_VERSION=" + c.version}, everyAPI...)
			if c.data != "" {
				env = append(env, c.data)
			}
			got := k.suite(t, env)
			t.Logf("%d tests: %d passed, %d failed, %d skipped", got.tests, got.passed, sum(got.failed), sum(got.skipped))
			if got.passed < 500 { // a suite that stopped early, or was not let in
				t.Errorf("only %d tests passed", got.passed)
			}
			if d := diff.Diff(c.want.counts(c.want.failures), got.failed); d != "" {
				t.Errorf("failures are not those listed (-listed +happened):\n%s\n%s", d, got.reasons)
			}
			if d := diff.Diff(c.want.counts(c.want.skips), got.skipped); d != "" {
				t.Errorf("skips are not those listed (-listed +happened):\n%s", d)
			}
		})
	}
}

// everyAPI switches on what a version of the specification leaves to the
// registry, and what it does not know yet.
var everyAPI = []string{
	"OCI_API_PING=true", "OCI_API_PULL=true", "OCI_API_PUSH=true", "OCI_API_REFERRER=true",
	"OCI_API_BLOBS_ATOMIC=true", "OCI_API_BLOBS_DELETE=true", "OCI_API_BLOBS_DIGEST_HEADER=true",
	"OCI_API_BLOBS_MOUNT_ANONYMOUS=true", "OCI_API_BLOBS_UPLOAD_CANCEL=true",
	"OCI_API_MANIFESTS_ATOMIC=true", "OCI_API_MANIFESTS_DELETE=true", "OCI_API_MANIFESTS_DIGEST_HEADER=true",
	"OCI_API_MANIFESTS_TAG_PARAM=true",
	"OCI_API_TAGS_ATOMIC=true", "OCI_API_TAGS_DELETE=true", "OCI_API_TAGS_LIST=true",
}

// kontor is a running `kontor up`.
type kontor struct {
	host     string // "localhost:PORT"
	password string // of a docker token of the administrator
}

const file = `
stack: conformance
defaults: {is_immutable: false}
ecr_repositories:
  conformance/repo1: {}
  conformance/repo2: {}
`

// up starts the binary on a fresh folder.
func up(t *testing.T, compat string) *kontor {
	t.Helper()
	home, data := t.TempDir(), t.TempDir()
	path := filepath.Join(home, "kontor.yaml")
	if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	environ := []string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "TMPDIR=" + os.TempDir()}
	cmd := exec.Command(kontorBin, "up", "--data", data, "--listen", "localhost:0", "--compat", compat, "-f", path)
	cmd.Env, cmd.Stderr = environ, os.Stderr
	ready := make(chan struct{})
	out := &readyWriter{ready: ready}
	cmd.Stdout = out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		if err := cmd.Process.Signal(os.Interrupt); err != nil {
			t.Errorf("stopping kontor: %v", err)
		}
		if err := <-ended; err != nil {
			t.Errorf("kontor up ended with %v", err)
		}
	})
	select {
	case <-ready:
	case err := <-ended:
		ended <- err
		t.Fatalf("kontor up ended: %v\n%s", err, &out.buf)
	case <-time.After(time.Minute):
		t.Fatal("kontor up is not ready after a minute")
	}
	show := exec.Command(kontorBin, "env", "--data", data, "--format", "json")
	show.Env, show.Stderr = environ, os.Stderr
	b, err := show.Output()
	if err != nil {
		t.Fatalf("kontor env: %v", err)
	}
	var env map[string]string
	if err := json.Unmarshal(b, &env); err != nil {
		t.Fatal(err)
	}
	return &kontor{host: env["KONTOR_REGISTRY"], password: password(t, env)}
}

// password obtains a docker token as the administrator: the suite deletes.
func password(t *testing.T, env map[string]string) string {
	t.Helper()
	client := ecr.New(ecr.Options{
		Region:       env["AWS_REGION"],
		BaseEndpoint: aws.String(env["AWS_ENDPOINT_URL"]),
		Credentials:  credentials.NewStaticCredentialsProvider(env["AWS_ACCESS_KEY_ID"], env["AWS_SECRET_ACCESS_KEY"], ""),
	})
	out, err := client.GetAuthorizationToken(t.Context(), &ecr.GetAuthorizationTokenInput{})
	if err != nil {
		t.Fatal(err)
	}
	b, err := base64.StdEncoding.DecodeString(aws.ToString(out.AuthorizationData[0].AuthorizationToken))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimPrefix(string(b), "AWS:")
}

// readyWriter closes ready when `kontor up` says that it is.
type readyWriter struct {
	buf   bytes.Buffer
	ready chan struct{}
	once  bool
}

func (w *readyWriter) Write(p []byte) (int, error) {
	w.buf.Write(p)
	if !w.once && strings.Contains(w.buf.String(), "Press Ctrl-C") {
		w.once = true
		close(w.ready)
	}
	return len(p), nil
}

// outcome is how a run ended. Names are the suite's, without its own name;
// several tests may have one name.
type outcome struct {
	tests, passed   int
	failed, skipped map[string]int
	reasons         string // of failures
}

// suite runs the suite and reads its report.
func (k *kontor) suite(t *testing.T, env []string) outcome {
	t.Helper()
	dir := t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, suiteBin)
	cmd.Dir = dir // no configuration file of a developer's
	cmd.Env = append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + dir,
		"OCI_REGISTRY=" + k.host, "OCI_TLS=disabled", "OCI_USERNAME=AWS", "OCI_PASSWORD=" + k.password,
		"OCI_REPO1=conformance/repo1", "OCI_REPO2=conformance/repo2", "OCI_RESULTS_DIR=" + dir, "OCI_LOG=error",
	}, env...)
	out, runErr := cmd.CombinedOutput() // fails when a test does
	report, err := os.ReadFile(filepath.Join(dir, "junit.xml"))
	if err != nil {
		t.Fatalf("the suite left no report: %v\n%v\n%s", err, runErr, tail(out))
	}
	var suites struct {
		Suites []struct {
			Tests []struct {
				Name   string `xml:"name,attr"`
				Status string `xml:"status,attr"`
				Out    string `xml:"system-out"`
			} `xml:"testcase"`
		} `xml:"testsuite"`
	}
	if err := xml.Unmarshal(report, &suites); err != nil {
		t.Fatal(err)
	}
	o := outcome{failed: map[string]int{}, skipped: map[string]int{}}
	var reasons strings.Builder
	for _, s := range suites.Suites {
		for _, c := range s.Tests {
			o.tests++
			name := strings.TrimPrefix(c.Name, "OCI Conformance Test/")
			switch c.Status {
			case "passed":
				o.passed++
			case "skipped":
				if strings.HasSuffix(name, "/blob-delete") {
					o.skipped["blob-delete"] = 1 // each test makes some
				} else {
					o.skipped[name]++
				}
			default:
				o.failed[name]++
				fmt.Fprintf(&reasons, "%s: %s: %s\n", name, c.Status, c.Out)
			}
		}
	}
	o.reasons = reasons.String()
	return o
}

func tail(b []byte) []byte { return b[max(0, len(b)-4096):] }

func sum(m map[string]int) int {
	n := 0
	for _, v := range m {
		n += v
	}
	return n
}

// expected is how a run must end: groups of tests with the reason why they
// cannot pass.
type expected struct{ failures, skips []group }

type group struct {
	why   string
	times int // how often each name comes; 0 is once
	names []string
}

func (expected) counts(groups []group) map[string]int {
	m := map[string]int{}
	for _, g := range groups {
		for _, n := range g.names {
			m[n] += cmp.Or(g.times, 1)
		}
	}
	return m
}

// Package clients runs other people's clients against the binary: the AWS CLI,
// the SDKs for Go and JavaScript, docker, skopeo, buildah, podman, containerd's
// ctr, crane, oras and regctl. What is pushed is Kontor's own image, as the
// release writes it. `go run ./test/all -only clients` prepares both and calls this.
//
// What touches images runs in both modes of `kontor up --compat`;
// modes_test.go says where they differ.
package clients

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kontor-registry/kontor/internal/pgtest"
)

// Programs under test and their peers, by absolute path where a user's own
// could come first on PATH.
var (
	kontorBin  = os.Getenv("KONTOR_BIN")
	imageDir   = os.Getenv("KONTOR_IMAGE") // OCI image layout
	clientsBin = os.Getenv("CLIENTS_BIN")  // a folder: the tools of go.mod
	craneBin   = filepath.Join(clientsBin, "crane")
	orasBin    = filepath.Join(clientsBin, "oras")
	regctlBin  = filepath.Join(clientsBin, "regctl")
)

const (
	awsBin     = "/usr/bin/aws"
	skopeoBin  = "/usr/bin/skopeo"
	buildahBin = "/usr/bin/buildah"
	podmanBin  = "/usr/bin/podman"
	ctrBin     = "/usr/bin/ctr"
	// Debian has it in the package of ctr.
	containerdBin = "/usr/bin/containerd"
)

func TestMain(m *testing.M) {
	for name, value := range map[string]string{"KONTOR_BIN": kontorBin, "KONTOR_IMAGE": imageDir, "CLIENTS_BIN": clientsBin} {
		if value == "" {
			fmt.Fprintf(os.Stderr, "%s is not set: run `go run ./test/all -only clients` in the root of the project\n", name)
			os.Exit(1)
		}
	}
	os.Exit(pgtest.Run(m.Run))
}

const file = `
stack: clients
ecr_repositories:
  website: {}
  scraper:
    expiration_rules:
      - {tag_pattern: "pr-*", days: 7}
  test:
    is_immutable: false
    expire_all_images: true
  shared:
    additional_pull_account_ids: ["333333333333"]
    additional_push_account_ids: ["444444444444"]
`

// kontor is a running `kontor up`, and what a user's shell would hold.
type kontor struct {
	t    *testing.T
	mode mode
	data string
	file string
	host string            // "localhost:PORT"
	env  map[string]string // of `kontor env`
	home string
	log  string // the request log, where there is one
	// stop ends the process, once.
	stop func()
	// password is the docker password of the user of env, where no data folder has it.
	password string
}

// up starts the binary on a fresh folder, in the mode that it has on its own,
// and logs in.
func up(t *testing.T) *kontor {
	t.Helper()
	return upWith(t, ecrMode, file)
}

// upWith is up in a mode, with another file, and more arguments.
func upWith(t *testing.T, m mode, file string, args ...string) *kontor {
	t.Helper()
	k := &kontor{t: t, mode: m, data: t.TempDir(), home: t.TempDir()}
	k.file = filepath.Join(k.home, "kontor.yaml")
	k.write(file)
	// Of podman: the locks of other containers on this machine are not ours.
	if err := os.WriteFile(k.containersConf(), []byte("[engine]\nlock_type = \"file\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(kontorBin, append([]string{"up", "--compat", m.compat, "--data", k.data, "--listen", "localhost:0", "-f", k.file}, args...)...)
	cmd.Env = k.environ()
	var out bytes.Buffer
	ready := make(chan struct{})
	cmd.Stdout = &readyWriter{buf: &out, ready: ready}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	k.stop = sync.OnceFunc(func() {
		if err := cmd.Process.Signal(os.Interrupt); err != nil {
			t.Errorf("stopping kontor: %v", err)
		}
		if err := <-ended; err != nil {
			t.Errorf("kontor up ended with %v", err)
		}
	})
	t.Cleanup(k.stop)
	select {
	case <-ready:
	case err := <-ended:
		ended <- err
		t.Fatalf("kontor up ended: %v\n%s", err, &out)
	case <-time.After(time.Minute):
		t.Fatal("kontor up is not ready after a minute")
	}
	b := k.ok(kontorBin, "env", "--data", k.data, "--format", "json")
	if err := json.Unmarshal(b, &k.env); err != nil {
		t.Fatal(err)
	}
	k.host = k.env["KONTOR_REGISTRY"]
	k.ok(kontorBin, "login", "--data", k.data)
	return k
}

// readyWriter closes ready when `kontor up` says that it is.
type readyWriter struct {
	buf   *bytes.Buffer
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

func (k *kontor) write(text string) {
	k.t.Helper()
	if err := os.WriteFile(k.file, []byte(text), 0o600); err != nil {
		k.t.Fatal(err)
	}
}

func (k *kontor) containersConf() string { return filepath.Join(k.home, "containers.conf") }

// environ is the environment of every program here: the user's shell after
// `eval "$(kontor env)"`, with a home of the test's own.
func (k *kontor) environ() []string {
	env := []string{"PATH=" + os.Getenv("PATH"), "HOME=" + k.home, "TMPDIR=" + os.TempDir(),
		"AWS_PAGER=", "AWS_CONFIG_FILE=" + os.DevNull, "AWS_SHARED_CREDENTIALS_FILE=" + os.DevNull, "AWS_EC2_METADATA_DISABLED=true",
		// buildah and podman, without privileges that a build container lacks.
		"CONTAINERS_CONF=" + k.containersConf(),
		"BUILDAH_ISOLATION=chroot", "STORAGE_DRIVER=vfs", "XDG_RUNTIME_DIR=" + k.home, "REGISTRY_AUTH_FILE=" + filepath.Join(k.home, ".docker", "config.json"),
	}
	for name, value := range k.env {
		env = append(env, name+"="+value)
	}
	return env
}

// run runs a program and returns both of its outputs.
func (k *kontor) run(name string, args ...string) (stdout, stderr []byte, err error) {
	ctx, cancel := context.WithTimeout(k.t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = k.environ()
	cmd.Dir = k.home
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err = cmd.Run()
	return out.Bytes(), errs.Bytes(), err
}

// ok runs a program that must succeed and returns its standard output.
func (k *kontor) ok(name string, args ...string) []byte {
	k.t.Helper()
	stdout, stderr, err := k.run(name, args...)
	if err != nil {
		k.t.Fatalf("%s %s: %v\n%s%s", filepath.Base(name), strings.Join(args, " "), err, stdout, stderr)
	}
	return stdout
}

// fails runs a program that must fail, and say each of the texts.
func (k *kontor) fails(texts []string, name string, args ...string) {
	k.t.Helper()
	stdout, stderr, err := k.run(name, args...)
	if err == nil {
		k.t.Fatalf("%s %s succeeded:\n%s", filepath.Base(name), strings.Join(args, " "), stdout)
	}
	for _, text := range texts {
		if !bytes.Contains(stderr, []byte(text)) && !bytes.Contains(stdout, []byte(text)) {
			k.t.Fatalf("%s %s does not say %q:\n%s%s", filepath.Base(name), strings.Join(args, " "), text, stdout, stderr)
		}
	}
}

// aws runs the AWS CLI and decodes what it prints into v, unless that is nil.
func (k *kontor) aws(v any, args ...string) {
	k.t.Helper()
	b := k.ok(awsBin, k.awsArgs(args)...)
	if v == nil {
		return
	}
	if err := json.Unmarshal(b, v); err != nil {
		k.t.Fatalf("aws %s: %v\n%s", strings.Join(args, " "), err, b)
	}
}

// awsArgs names the endpoint, because older versions ignore its variable and
// would call AWS.
func (k *kontor) awsArgs(args []string) []string {
	return append([]string{"--endpoint-url", k.env["AWS_ENDPOINT_URL"], "--output", "json"}, args...)
}

// tagExists is what ECR says of a push to an immutable tag that exists.
func tagExists(repository, tag string) string {
	return fmt.Sprintf("The image tag '%s' already exists in the '%s' repository and cannot be overwritten because the tag is immutable.", tag, repository)
}

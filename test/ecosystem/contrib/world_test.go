package contrib

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

var (
	kontorBin = os.Getenv("KONTOR_BIN")
	helmBin   = filepath.Join(os.Getenv("ECOSYSTEM_BIN"), "helm")
	update    = flag.Bool("update", false, "write the files that are made from the chart")
)

func TestMain(m *testing.M) {
	if kontorBin == "" || os.Getenv("ECOSYSTEM_BIN") == "" {
		fmt.Fprintln(os.Stderr, "KONTOR_BIN and ECOSYSTEM_BIN are not set: run `go run ./test/all -only ecosystem` in the root of the project")
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// root is the folder that is tested.
const root = "../../../contrib"

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// run returns what a program prints, stderr included.
func run(t *testing.T, dir string, env []string, program string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir, cmd.Env = dir, append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir()}, env...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func ok(t *testing.T, dir string, env []string, program string, args ...string) string {
	t.Helper()
	out, err := run(t, dir, env, program, args...)
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", filepath.Base(program), strings.Join(args, " "), err, out)
	}
	return out
}

// secret is the content of a file that a configuration names.
func secret(t *testing.T, name string) string {
	t.Helper()
	switch base := filepath.Base(name); base {
	case "database":
		return "postgres://kontor:secret@db.example.com/kontor?sslmode=verify-full\n"
	case "master.key":
		file := filepath.Join(t.TempDir(), "key")
		ok(t, ".", nil, kontorBin, "admin", "master-key", "new", file)
		return string(read(t, file))
	case "administrator":
		return "[default]\naws_access_key_id = AKIAEXAMPLE0000000000\naws_secret_access_key = a-secret-of-16-to-128-characters\n"
	case "s3-access-key-id":
		return "AKIASTORE\n"
	case "s3-secret-access-key", "single-sign-on-1":
		return "a-secret\n"
	default:
		t.Fatalf("the configuration has a secret %q", name)
		return ""
	}
}

// start runs a program until the test is over.
func start(t *testing.T, dir string, program string, args ...string) *output {
	t.Helper()
	cmd := exec.Command(program, args...)
	out := &output{}
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		if err := cmd.Process.Signal(os.Interrupt); err != nil {
			t.Error(err)
		}
		if err := <-ended; err != nil {
			t.Errorf("%s ended with %v\n%s", filepath.Base(program), err, out)
		}
	})
	return out
}

// eventually waits until done is true.
func eventually(t *testing.T, what string, out *output, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !done(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within a minute\n%s", what, out)
		}
	}
}

// output is written by a process while it is read.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer // guarded by mu
}

func (b *output) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *output) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

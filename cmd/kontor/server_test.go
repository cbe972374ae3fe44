//go:build unix

package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// command is this binary as kontor.
func command(env []string, args ...string) (*exec.Cmd, error) {
	path, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return &exec.Cmd{Path: path, Args: append([]string{"kontor"}, args...), Env: env}, nil
}

// environ is a script's environment for programs that this process starts.
func environ(ts *testscript.TestScript) []string {
	var env []string
	for _, name := range []string{
		"PATH", "HOME", "TMPDIR", "XDG_STATE_HOME", "NO_COLOR", "HTTP_PROXY", "HTTPS_PROXY",
		"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION", "AWS_ENDPOINT_URL", "AWS_EC2_METADATA_DISABLED",
		"KONTOR_FILE", "KONTOR_LOG", "KONTOR_COMPAT", "GOCOVERDIR", "GORACE",
	} {
		if v := ts.Getenv(name); v != "" {
			env = append(env, name+"="+v)
		}
	}
	return env
}

// envOf is what `kontor env` prints.
func envOf(env []string, data string) (map[string]string, error) {
	cmd, err := command(env, "env", "--data", data, "--format", "json")
	if err != nil {
		return nil, err
	}
	b, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("kontor env: %w", err)
	}
	var vars map[string]string
	return vars, json.Unmarshal(b, &vars)
}

// server is a running `kontor up`.
type server struct {
	cmd   *exec.Cmd
	out   *output
	ended chan struct{} // closed when err is set
	err   error
}

// startServer starts kontor with args, and returns when it is ready.
func startServer(dir string, env []string, args ...string) (*server, error) {
	cmd, err := command(env, args...)
	if err != nil {
		return nil, err
	}
	s := &server{cmd: cmd, out: &output{ready: make(chan struct{})}, ended: make(chan struct{})}
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, s.out, s.out
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		s.err = cmd.Wait()
		close(s.ended)
	}()
	select {
	case <-s.out.ready:
		return s, nil
	case <-s.ended:
		return nil, fmt.Errorf("kontor up ended before it was ready: %w\n%s", cmp.Or(s.err, errors.New("exit code 0")), s.out)
	}
}

// stop signals the server and returns how it ended; nil is exit code 0.
func (s *server) stop(sig os.Signal) error {
	if err := s.cmd.Process.Signal(sig); err != nil {
		return err
	}
	select {
	case <-s.ended:
	case <-time.After(time.Minute):
		return errors.Join(fmt.Errorf("kontor up does not stop on %v:\n%s", sig, s.out), s.kill())
	}
	if s.err != nil {
		return fmt.Errorf("kontor up ended: %w\n%s", s.err, s.out)
	}
	return nil
}

func (s *server) kill() error {
	if err := s.cmd.Process.Kill(); err != nil {
		return err
	}
	<-s.ended
	return nil
}

// output keeps what a server says, and tells when it is ready.
type output struct {
	ready chan struct{}

	mu  sync.Mutex
	buf bytes.Buffer // guarded by mu
}

// lastLine is what `kontor up` says when all else is said.
const lastLine = "Press Ctrl-C to stop."

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	was := strings.Contains(o.buf.String(), lastLine)
	o.buf.Write(p)
	if !was && strings.Contains(o.buf.String(), lastLine) {
		close(o.ready)
	}
	return len(p), nil
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

func isInUse(err error) bool { return errors.Is(err, syscall.EADDRINUSE) }

// inMounts runs a command after script has changed what is mounted, for that
// command alone. $1 is the first of args, and so on; the command is the rest.
func inMounts(ts *testscript.TestScript, neg bool, script string, args []string) {
	unshare := []string{"unshare", "--mount"}
	if os.Geteuid() != 0 {
		unshare = append(unshare, "--map-root-user")
	}
	finish(ts, neg, append(append(unshare, "sh", "-ec", script, "sh"), args...))
}

func smallDisk(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 3 {
		ts.Fatalf("usage: small-disk SIZE DIR command [args]")
	}
	inMounts(ts, neg, `mount -t tmpfs -o size="$1" kontor "$2"; shift 2; exec "$@"`, args)
}

func readOnly(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: read-only DIR command [args]")
	}
	inMounts(ts, neg, `mount --bind "$1" "$1"; mount -o remount,bind,ro "$1"; shift; exec "$@"`, args)
}

// withoutPrivileges takes away root's power over files.
func withoutPrivileges(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 1 {
		ts.Fatalf("usage: without-privileges command [args]")
	}
	if os.Geteuid() == 0 {
		args = append([]string{"setpriv", "--bounding-set", "-dac_override,-dac_read_search"}, args...)
	}
	finish(ts, neg, args)
}

// BenchmarkUp is the time from the start of the process until the registry is
// there with the repositories of its file.
func BenchmarkUp(b *testing.B) {
	env := []string{"HOME=" + b.TempDir(), "PATH=" + os.Getenv("PATH")}
	up := func(b *testing.B, data string) {
		s, err := startServer(b.TempDir(), env, "up", "--data", data, "--listen", "localhost:0")
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if err := s.stop(os.Interrupt); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
	b.Run("first", func(b *testing.B) {
		for i := range b.N {
			up(b, filepath.Join(b.TempDir(), fmt.Sprint(i)))
		}
	})
	b.Run("again", func(b *testing.B) {
		data := b.TempDir()
		up(b, data)
		b.ResetTimer()
		for range b.N {
			up(b, data)
		}
	})
}

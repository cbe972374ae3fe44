package cli_test

import (
	"bytes"
	"context"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kontor-registry/kontor/internal/cli"
	"github.com/kontor-registry/kontor/internal/server"
)

// output is written by a command that continues.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer // guarded by mu
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// up runs `kontor up` until the test ends, and returns what it printed when it
// was ready.
func (s *shell) up(args ...string) string {
	s.t.Helper()
	var out, errs output
	ctx, cancel := context.WithCancel(s.t.Context())
	ended := make(chan int, 1)
	env := &cli.Env{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs, Getenv: func(k string) string { return s.env[k] },
		IsTerminal: func(any) bool { return false }}
	go func() { ended <- env.Run(ctx, append([]string{"up"}, args...)) }()
	s.t.Cleanup(func() {
		cancel()
		if code := <-ended; code != 0 {
			s.t.Errorf("up ended with %d: %s", code, errs.String())
		}
	})
	for end := time.Now().Add(time.Minute); !strings.Contains(out.String(), "Press Ctrl-C"); time.Sleep(10 * time.Millisecond) {
		select {
		case code := <-ended:
			ended <- 0
			s.t.Fatalf("up ended with %d: %s", code, errs.String())
		default:
		}
		if time.Now().After(end) {
			s.t.Fatalf("up is not ready: %s%s", out.String(), errs.String())
		}
	}
	return out.String()
}

// With its own authority, everything that kontor does itself trusts it,
// and what it prints tells others how to.
func TestUpTLS(t *testing.T) {
	s := newShell(t)
	s.write("kontor.yaml", localFile)
	s.env["KONTOR_DATA"] = filepath.Join(t.TempDir(), "registry")
	out := s.up("--tls", "--listen", "localhost:0")
	ca := filepath.Join(s.env["KONTOR_DATA"], "tls", "ca.pem")
	for _, want := range []string{"sudo install -D -m 644 " + ca + " /etc/docker/certs.d/localhost:", "~/.config/containers/certs.d/localhost:", "AWS_CA_BUNDLE"} {
		if !strings.Contains(out, want) {
			t.Errorf("up does not say %q:\n%s", want, out)
		}
	}
	for _, not := range []string{"tls-verify=false", "insecure"} {
		if strings.Contains(out, not) {
			t.Errorf("up says %q:\n%s", not, out)
		}
	}
	s.want(s.run("env"), 0, "export AWS_ENDPOINT_URL='https://localhost:", "export AWS_CA_BUNDLE='"+ca+"'")
	s.want(s.run("plan"), 0)
	s.want(s.run("login", "--authfile", "auth.json"), 0, "Logged in to localhost:")
}

// Certificate files name the host; kontor reaches the server by them although
// no name server knows it.
func TestUpCertificateFiles(t *testing.T) {
	s := newShell(t)
	s.write("kontor.yaml", localFile)
	s.env["KONTOR_DATA"] = filepath.Join(t.TempDir(), "registry")
	dir := t.TempDir()
	f, err := server.LocalCA(dir, []string{"registry.example.com"}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	s.env["KONTOR_TLS_KEY"] = f.Key
	out := s.up("--tls-cert", f.Cert, "--listen", "localhost:0")
	if !strings.Contains(out, "registry.example.com:") || strings.Contains(out, "Trust this registry") || strings.Contains(out, "tls-verify=false") {
		t.Errorf("up says:\n%s", out)
	}
	r := s.want(s.run("env"), 0, "export AWS_ENDPOINT_URL='https://registry.example.com:")
	if strings.Contains(r.out, "AWS_CA_BUNDLE") {
		t.Errorf("env says:\n%s", r.out)
	}
	s.want(s.run("plan"), 0)
	s.want(s.run("login", "--authfile", "auth.json"), 0, "Logged in to registry.example.com:")
}

func TestTLSFlags(t *testing.T) {
	s := newShell(t)
	s.write("kontor.yaml", localFile)
	s.want(s.run("up", "--tls-cert", "x.pem"), 2, "--tls-cert and --tls-key belong together")
	s.want(s.run("up", "--tls", "--tls-cert", "x.pem", "--tls-key", "y.pem"), 2, "--tls and --tls-cert cannot be combined")
	s.want(s.run("up", "--listen", "localhost:0", "--metrics-listen", "0.0.0.0:0"), 2, "--metrics-listen 0.0.0.0:0: other machines would read the metrics over plain HTTP: listen on localhost, or pass --insecure-http")
	s.want(s.run("up", "--listen", "0.0.0.0:0"), 2, "give --tls or --tls-cert, listen on localhost, or pass --insecure-http")
	r := s.want(s.run("up", "--data", "registry", "--listen", "localhost:0", "--tls-cert", "x.pem", "--tls-key", "y.pem"), 1, "x.pem")
	if strings.Count(r.errors, "\n") != 1 {
		t.Errorf("more than a line: %s", r.errors)
	}
}

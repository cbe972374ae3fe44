package cli_test

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kontor-registry/kontor/internal/cli/clitest"
	"github.com/kontor-registry/kontor/internal/server"
)

// With its own authority, everything that kontor does itself trusts it,
// and what it prints tells others how to.
func TestUpTLS(t *testing.T) {
	s := clitest.New(t)
	s.Write("kontor.yaml", clitest.LocalFile)
	s.Env["KONTOR_DATA"] = filepath.Join(t.TempDir(), "registry")
	out := s.Up("--tls", "--listen", "localhost:0")
	ca := filepath.Join(s.Env["KONTOR_DATA"], "tls", "ca.pem")
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
	s.Want(s.Run("env"), 0, "export AWS_ENDPOINT_URL='https://localhost:", "export AWS_CA_BUNDLE='"+ca+"'")
	s.Want(s.Run("plan"), 0)
	s.Want(s.Run("login", "--authfile", "auth.json"), 0, "Logged in to localhost:")
}

// Certificate files name the host; kontor reaches the server by them although
// no name server knows it.
func TestUpCertificateFiles(t *testing.T) {
	s := clitest.New(t)
	s.Write("kontor.yaml", clitest.LocalFile)
	s.Env["KONTOR_DATA"] = filepath.Join(t.TempDir(), "registry")
	dir := t.TempDir()
	f, err := server.LocalCA(dir, []string{"registry.example.com"}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	s.Env["KONTOR_TLS_KEY"] = f.Key
	out := s.Up("--tls-cert", f.Cert, "--listen", "localhost:0")
	if !strings.Contains(out, "registry.example.com:") || strings.Contains(out, "Trust this registry") || strings.Contains(out, "tls-verify=false") {
		t.Errorf("up says:\n%s", out)
	}
	r := s.Want(s.Run("env"), 0, "export AWS_ENDPOINT_URL='https://registry.example.com:")
	if strings.Contains(r.Out, "AWS_CA_BUNDLE") {
		t.Errorf("env says:\n%s", r.Out)
	}
	s.Want(s.Run("plan"), 0)
	s.Want(s.Run("login", "--authfile", "auth.json"), 0, "Logged in to registry.example.com:")
}

func TestTLSFlags(t *testing.T) {
	s := clitest.New(t)
	s.Write("kontor.yaml", clitest.LocalFile)
	s.Want(s.Run("up", "--tls-cert", "x.pem"), 2, "--tls-cert and --tls-key belong together")
	s.Want(s.Run("up", "--tls", "--tls-cert", "x.pem", "--tls-key", "y.pem"), 2, "--tls and --tls-cert cannot be combined")
	s.Want(s.Run("up", "--listen", "localhost:0", "--metrics-listen", "0.0.0.0:0"), 2, "--metrics-listen 0.0.0.0:0: other machines would read the metrics over plain HTTP: listen on localhost, or pass --insecure-http")
	s.Want(s.Run("up", "--listen", "0.0.0.0:0"), 2, "give --tls or --tls-cert, listen on localhost, or pass --insecure-http")
	r := s.Want(s.Run("up", "--data", "registry", "--listen", "localhost:0", "--tls-cert", "x.pem", "--tls-key", "y.pem"), 1, "x.pem")
	if strings.Count(r.Errors, "\n") != 1 {
		t.Errorf("more than a line: %s", r.Errors)
	}
}

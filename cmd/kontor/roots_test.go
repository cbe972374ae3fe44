package main

import (
	"crypto/x509"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Where the system has no certificate authorities, as in the container image, those of
// Mozilla are trusted, so that S3, upstream registries and identity providers are reached.
func TestRootsWithoutSystem(t *testing.T) {
	const inside = "KONTOR_TEST_ROOTS"
	if os.Getenv(inside) == "" {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestRootsWithoutSystem$", "-test.v")
		empty := t.TempDir()
		cmd.Env = append(os.Environ(), inside+"=1", "SSL_CERT_FILE="+empty+"/none", "SSL_CERT_DIR="+empty)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	trustFallback()
	roots, err := x509.SystemCertPool()
	if err != nil || roots.Equal(x509.NewCertPool()) {
		t.Errorf("no authority is trusted: %v", err)
	}
}

// Only certificates count as such: a file that is empty or has something else is what
// crypto/x509 would find no authority in.
func TestSystemRoots(t *testing.T) {
	file := func(content string) string {
		name := filepath.Join(t.TempDir(), "roots")
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	certificates := file("# Mozilla's\n-----BEGIN CERTIFICATE-----\n")
	for _, tt := range []struct {
		name  string
		files []string
		want  bool
	}{
		{"none", []string{"/none"}, false},
		{"second", []string{"/none", certificates}, true},
		{"empty", []string{file(""), certificates}, false},
		{"other", []string{file("-----BEGIN PRIVATE KEY-----\n")}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := hasRoots(tt.files); got != tt.want {
				t.Errorf("%t", got)
			}
		})
	}
}

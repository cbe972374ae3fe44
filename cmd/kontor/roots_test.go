package main

import (
	"crypto/x509"
	"os"
	"os/exec"
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
	roots, err := x509.SystemCertPool()
	if err != nil || roots.Equal(x509.NewCertPool()) {
		t.Errorf("no authority is trusted: %v", err)
	}
}

package main

import (
	"bytes"
	"crypto/x509"
	"io"
	"os"
	"runtime"
	"strings"

	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// systemRoots are the files that crypto/x509 looks for on Linux.
var systemRoots = []string{
	"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem", "/etc/pki/tls/cacert.pem",
	"/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", "/etc/ssl/cert.pem",
}

// trustFallback trusts the certificate authorities of Mozilla where the system has none,
// as in the container image. To read them takes milliseconds, so that they are read only
// where the system's are not plain to see.
func trustFallback() {
	if runtime.GOOS == "linux" && os.Getenv("SSL_CERT_FILE") == "" && os.Getenv("SSL_CERT_DIR") == "" &&
		!strings.Contains(os.Getenv("GODEBUG"), "x509usefallbackroots") && hasRoots(systemRoots) {
		return
	}
	roots := x509.NewCertPool()
	for c := range bundle.Roots() {
		cert, err := x509.ParseCertificate(c.Certificate)
		switch {
		case err != nil:
			panic(err) // they are built in
		case c.Constraint == nil:
			roots.AddCert(cert)
		default:
			roots.AddCertWithConstraint(cert, c.Constraint)
		}
	}
	x509.SetFallbackRoots(roots)
}

// hasRoots reports whether the first of the files that is there begins with certificates.
func hasRoots(files []string) bool {
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			continue
		}
		head, err := io.ReadAll(io.LimitReader(f, 16<<10))
		_ = f.Close() // it was only read
		return err == nil && bytes.Contains(head, []byte("-----BEGIN CERTIFICATE-----"))
	}
	return false
}

package server_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kontor-registry/kontor/internal/server"
)

// trusting returns a client that trusts only the authority in the file.
func trusting(t *testing.T, ca string) *http.Client {
	t.Helper()
	b, err := os.ReadFile(ca)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(b) {
		t.Fatal("no certificate in", ca)
	}
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: true, DisableKeepAlives: true}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

func TestTLS(t *testing.T) {
	dir := t.TempDir()
	hosts := []string{"localhost", "127.0.0.1", "::1"}
	files, err := server.LocalCA(filepath.Join(dir, "tls"), hosts, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	cert, err := server.LoadCertificate(files.Cert, files.Key, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	w := start(t, filepath.Join(dir, "data"), func(c *server.Config) { c.Bindings[0].TLS = cert.Config() })
	client := trusting(t, files.CA)
	get := func() (proto string, state *tls.ConnectionState) {
		t.Helper()
		r := w.request(here, "GET", "/healthz", "")
		r.URL.Scheme = "https"
		resp, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(resp.Body)
		if err := errors.Join(err, resp.Body.Close()); err != nil || string(b) != "ok\n" {
			t.Fatal(string(b), err)
		}
		return resp.Proto, resp.TLS
	}
	if proto, state := get(); proto != "HTTP/2.0" || state.Version < tls.VersionTLS12 {
		t.Errorf("%s over TLS %x", proto, state.Version)
	}
	// Clients are told of https.
	r := w.json(here, w.credentials(here, administrator), "GetAuthorizationToken", "{}")
	r.URL.Scheme = "https"
	resp, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	if a := w.want(readAnswer(t, resp), 200); !strings.Contains(a.body, `"proxyEndpoint":"https://`+w.hosts[here]+`"`) {
		t.Errorf("GetAuthorizationToken: %s", a.body)
	}
	// A new certificate is served without a restart, half of one is not.
	serial := func() string {
		t.Helper()
		_, state := get()
		return state.PeerCertificates[0].SerialNumber.String()
	}
	before := serial()
	if err := os.WriteFile(files.Cert, []byte("half of"), 0o600); err != nil {
		t.Fatal(err)
	}
	time.Sleep(1100 * time.Millisecond)
	if got := serial(); got != before {
		t.Error("a broken file is served")
	}
	if _, err := server.LocalCA(filepath.Join(dir, "tls"), append(hosts, "host.docker.internal"), time.Now()); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(time.Minute); serial() == before; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the new certificate is not served")
		}
	}
}

func TestLocalCA(t *testing.T) {
	dir := t.TempDir()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	at := func(t *testing.T, now time.Time, hosts ...string) (ca, cert string) {
		t.Helper()
		f, err := server.LocalCA(dir, hosts, now)
		if err != nil {
			t.Fatal(err)
		}
		a, err1 := os.ReadFile(f.CA)
		b, err2 := os.ReadFile(f.Cert)
		if err := errors.Join(err1, err2); err != nil {
			t.Fatal(err)
		}
		for _, key := range []string{f.Key, filepath.Join(dir, "ca-key.pem")} {
			if info, err := os.Stat(key); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("%s: %v, %v", key, info.Mode(), err)
			}
		}
		return string(a), string(b)
	}
	ca, cert := at(t, now, "localhost", "127.0.0.1")
	tests := []struct {
		name  string
		now   time.Time
		hosts []string
		same  bool
	}{
		{"again", now, []string{"localhost", "127.0.0.1"}, true},
		{"fewer names", now, []string{"localhost"}, true},
		{"another name", now, []string{"localhost", "registry.example.com"}, false},
		{"near its end", now.Add(320 * 24 * time.Hour), []string{"localhost"}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			gotCA, got := at(t, tt.now, tt.hosts...)
			if gotCA != ca {
				t.Error("another authority")
			}
			if (got == cert) != tt.same {
				t.Errorf("the same certificate: %v", got == cert)
			}
			cert = got
		})
	}
	if _, err := server.LocalCA(dir, []string{"localhost"}, now.Add(9*365*24*time.Hour)); err == nil || !strings.Contains(err.Error(), "remove the folder to make another") {
		t.Errorf("near the authority's end: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "ca-key.pem"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := server.LocalCA(dir, []string{"localhost"}, now); err == nil || !strings.Contains(err.Error(), "ca-key.pem") {
		t.Errorf("a damaged key: %v", err)
	}
}

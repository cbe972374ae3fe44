package server_test

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/server"
)

// Push and pull over HTTP/2, by a client that speaks nothing else.
func TestPushAndPullOverHTTP2(t *testing.T) {
	dir := t.TempDir()
	authority, err := server.LocalCA(filepath.Join(dir, "tls"), []string{"127.0.0.1"}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	cert, err := server.LoadCertificate(authority.Cert, authority.Key, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	w := start(t, filepath.Join(dir, "data"), func(c *server.Config) { c.Bindings[0].TLS = cert.Config() })
	w.create(here, "app")
	tr := trusting(t, authority.CA).Transport.(*http.Transport)
	tr.DisableKeepAlives = false
	tr.Protocols = new(http.Protocols)
	tr.Protocols.SetHTTP2(true)
	send := func(r *http.Request, status int) answer {
		t.Helper()
		r.URL.Scheme = "https"
		resp, err := tr.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		if resp.ProtoMajor != 2 || resp.TLS == nil || resp.TLS.NegotiatedProtocol != "h2" {
			t.Fatalf("%s %s: answered over %s", r.Method, r.URL.Path, resp.Proto)
		}
		return w.want(readAnswer(t, resp), status)
	}
	var token struct {
		AuthorizationData []struct{ AuthorizationToken []byte }
	}
	a := send(w.json(here, w.credentials(here, pusher), "GetAuthorizationToken", "{}"), 200)
	if err := json.Unmarshal([]byte(a.body), &token); err != nil {
		t.Fatal(err)
	}
	_, password, _ := strings.Cut(string(token.AuthorizationData[0].AuthorizationToken), ":")
	const config = `{"architecture":"amd64","os":"linux"}`
	layer := string(bytes.Repeat([]byte("0123456789abcdef"), 1<<18))
	for _, content := range []string{config, layer} {
		location := send(w.basic(here, password, "POST", "/v2/app/blobs/uploads/", ""), 202).header.Get("Location")
		location = send(w.basic(here, password, "PATCH", location, content), 202).header.Get("Location")
		send(w.basic(here, password, "PUT", location+"?digest="+string(ecr.DigestOf([]byte(content))), ""), 201)
	}
	m := w.manifest(config, layer)
	send(w.basic(here, password, "PUT", "/v2/app/manifests/v1", m, "Content-Type", manifestType), 201)
	if a := send(w.basic(here, password, "GET", "/v2/app/manifests/v1", ""), 200); a.body != m {
		t.Errorf("pulled %s", a.body)
	}
	if a := send(w.basic(here, password, "GET", "/v2/app/blobs/"+string(ecr.DigestOf([]byte(layer))), ""), 200); a.body != layer {
		t.Errorf("pulled %d bytes", len(a.body))
	}
	if a := send(w.basic(here, password, "GET", "/v2/app/blobs/"+string(ecr.DigestOf([]byte(layer))), "", "Range", "bytes=1-3"), 206); a.body != "123" {
		t.Errorf("pulled %q", a.body)
	}
	// Plain HTTP is not spoken there.
	conn := w.dial()
	if _, err := fmt.Fprintf(conn, "GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(conn); err != nil || !strings.HasPrefix(string(b), "HTTP/1.0 400 ") {
		t.Errorf("plain HTTP: %q, %v", b, err)
	}
	if err := conn.Close(); err != nil {
		t.Error(err)
	}
	// Nor old TLS.
	old := &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11, RootCAs: tr.TLSClientConfig.RootCAs} // that it is refused is what is tested
	if c, err := tls.Dial("tcp", w.hosts[here], old); err == nil {
		t.Errorf("TLS %x is spoken", c.ConnectionState().Version)
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
}

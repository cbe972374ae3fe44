package server_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/manifest"
	"github.com/kontor-registry/kontor/internal/server"
)

// dial connects to the server; what it sends and reads must come within a
// minute.
func (w *world) dial() net.Conn {
	w.t.Helper()
	c, err := net.Dial("tcp", w.hosts[here])
	if err == nil {
		err = c.SetDeadline(time.Now().Add(time.Minute))
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

// A header larger than the limit is refused before it is read whole.
func TestHugeHeader(t *testing.T) {
	w := start(t, t.TempDir())
	huge := w.dial()
	go func() { // the server stops reading
		_, _ = io.WriteString(huge, "GET /v2/ HTTP/1.1\r\nHost: x\r\nX-Huge: "+strings.Repeat("x", 10<<20)+"\r\n\r\n")
	}()
	resp, err := http.ReadResponse(bufio.NewReader(huge), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(resp.Body.Close(), huge.Close()); err != nil || resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("a header of 10 MiB: %s, %v", resp.Status, err)
	}
	large := w.request(here, "GET", "/v2/", "", "X-Large", strings.Repeat("x", 60<<10))
	w.want(w.do(large), 401)
}

// A header that does not come to its end is waited for until header-time, and
// others are served meanwhile.
func TestSlowHeader(t *testing.T) {
	w := start(t, t.TempDir(), with(server.Limits{HeaderTime: 300 * time.Millisecond}))
	slow := w.dial()
	if _, err := io.WriteString(slow, "GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: "); err != nil {
		t.Fatal(err)
	}
	// On a busy machine the header of another may not come in time either.
	until(t, "nobody else is served", func() bool {
		resp, err := http.DefaultClient.Do(w.request(here, "GET", "/healthz", ""))
		return err == nil && readAnswer(t, resp).status == 200
	})
	if b, err := io.ReadAll(slow); errors.Is(err, os.ErrDeadlineExceeded) || strings.Contains(string(b), " 200 ") {
		t.Errorf("a header without an end: %q, %v", b, err)
	}
	if err := slow.Close(); err != nil {
		t.Error(err)
	}
}

// A connection that is not used again is waited for until idle-time.
func TestIdleConnection(t *testing.T) {
	w := start(t, t.TempDir(), with(server.Limits{IdleTime: 300 * time.Millisecond}))
	idle := w.dial()
	if _, err := io.WriteString(idle, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(idle); errors.Is(err, os.ErrDeadlineExceeded) || strings.Count(string(b), " 200 ") != 1 {
		t.Errorf("a connection that is not used again: %q, %v", b, err)
	}
	if err := idle.Close(); err != nil {
		t.Error(err)
	}
}

// A flood of connections: those beyond the limit are closed, those within are
// served, and when the flood is over everybody is.
func TestConnectionFlood(t *testing.T) {
	const limit, flood = 20, 300
	w := start(t, t.TempDir(), with(server.Limits{Connections: limit}))
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	var (
		wg     sync.WaitGroup
		mu     sync.Mutex
		served int // guarded by mu
		conns  []net.Conn
	)
	for range flood {
		conns = append(conns, w.dial())
	}
	for _, c := range conns {
		wg.Go(func() {
			// Of a connection that was closed either may fail.
			_, err := io.WriteString(c, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
			if err != nil {
				return
			}
			resp, err := http.ReadResponse(bufio.NewReader(c), nil)
			if errors.Is(err, os.ErrDeadlineExceeded) {
				t.Error("a connection is neither served nor closed")
			}
			if err != nil {
				return
			}
			if err := resp.Body.Close(); err != nil || resp.StatusCode != http.StatusOK {
				t.Errorf("%s, %v", resp.Status, err)
			}
			mu.Lock()
			defer mu.Unlock()
			served++
		})
	}
	wg.Wait()
	if served == 0 || served > limit {
		t.Errorf("%d connections of %d were served, the limit is %d", served, flood, limit)
	}
	for _, c := range conns {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
	until(t, "nobody is served after the flood", func() bool {
		resp, err := http.DefaultClient.Do(w.request(here, "GET", "/healthz", ""))
		if err != nil {
			return false
		}
		return readAnswer(t, resp).status == 200
	})
}

// files are those of blobs and uploads in a data folder.
func files(t *testing.T, dir string) (names []string) {
	t.Helper()
	for _, pattern := range []string{"blobs/blobs/*/*", "blobs/uploads/*"} {
		got, err := filepath.Glob(filepath.Join(dir, filepath.FromSlash(pattern)))
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, got...)
	}
	return names
}

// Manifests that are none, on both ways in: an error that says what is wrong,
// nothing left behind, and the next one is taken. That it is UNSUPPORTED for
// docker is how ECR answers: internal/front/ociapi/errors.go.
func TestBadManifests(t *testing.T) {
	dir := t.TempDir()
	w := start(t, dir)
	w.create(here, "app")
	admin, password := w.credentials(here, administrator), w.password(here, pusher)
	w.push(here, password, "app", "good", "layer")
	good := w.manifest(`{"architecture":"amd64","os":"linux"}`, "layer")
	with := func(member string) string { return strings.TrimSuffix(good, "}") + "," + member + "}" }
	before := len(files(t, dir))
	tests := []struct {
		name, body, contentType string
		status                  int // of docker's way
		code, text              string
	}{
		{"oversized", with(`"x":"` + strings.Repeat("x", manifest.MaxSize) + `"`), manifestType, 413, "MANIFEST_INVALID", "must have length less than or equal to 4194304"},
		{"deeply nested", with(`"x":` + strings.Repeat("[", 100) + strings.Repeat("]", 100)), manifestType, 405, "UNSUPPORTED", "'Invalid JSON syntax'"},
		{"nested without end", strings.Repeat("[", 1<<20), manifestType, 405, "UNSUPPORTED", "'Invalid JSON syntax'"},
		{"invalid UTF-8", with("\"x\":\"\xff\xfe\""), manifestType, 405, "UNSUPPORTED", "'Invalid JSON syntax'"},
		{"a NUL", good + "\x00", manifestType, 405, "UNSUPPORTED", "'Invalid JSON syntax'"},
		{"cut short", good[:len(good)/2], manifestType, 405, "UNSUPPORTED", "'Invalid JSON syntax'"},
		{"empty", "", manifestType, 405, "UNSUPPORTED", "'Invalid JSON syntax'"},
		{"unknown media type", strings.ReplaceAll(good, manifestType, "application/vnd.example.thing+json"), "application/vnd.example.thing+json", 405, "UNSUPPORTED", "not supported"},
		{"member twice", with(`"layers":[]`), manifestType, 405, "UNSUPPORTED", "layers is there twice"},
	}
	for _, tt := range tests {
		a := w.do(w.basic(here, password, "PUT", "/v2/app/manifests/bad", tt.body, "Content-Type", tt.contentType))
		var said struct {
			Errors []struct{ Code, Message string }
		}
		err := json.Unmarshal([]byte(a.body), &said)
		if err != nil || a.status != tt.status || len(said.Errors) != 1 || said.Errors[0].Code != tt.code || said.Errors[0].Message == "" || !strings.Contains(said.Errors[0].Message, tt.text) {
			t.Errorf("%s by docker: %d %.300s (%v)", tt.name, a.status, a.body, err)
		}
		if tt.name == "invalid UTF-8" {
			continue // in a string of JSON there is none
		}
		in, err := json.Marshal(fields{"repositoryName": "app", "imageTag": "bad", "imageManifest": tt.body})
		if err != nil {
			t.Fatal(err)
		}
		a = w.do(w.json(here, admin, "PutImage", string(in)))
		var refused struct {
			Type    string `json:"__type"`
			Message string `json:"message"`
		}
		if err := json.Unmarshal([]byte(a.body), &refused); err != nil || a.status != 400 || refused.Type != "InvalidParameterException" && refused.Type != "UnsupportedImageTypeException" || refused.Message == "" {
			t.Errorf("%s by the API: %d %.300s (%v)", tt.name, a.status, a.body, err)
		}
	}
	w.want(w.do(w.basic(here, password, "PUT", "/v2/app/manifests/sha256:"+strings.Repeat("0", 64), good, "Content-Type", manifestType)), 400)
	a := w.want(w.do(w.basic(here, password, "GET", "/v2/app/tags/list", "")), 200)
	if !strings.Contains(a.body, `"good"`) {
		t.Errorf("tags: %s", a.body)
	}
	var listed struct {
		ImageIDs []struct{ ImageDigest, ImageTag string }
	}
	w.call("ListImages", fields{"repositoryName": "app"}, &listed)
	if len(listed.ImageIDs) != 1 {
		t.Errorf("images: %+v", listed.ImageIDs)
	}
	if after := len(files(t, dir)); after != before {
		t.Errorf("%d files, %d were there before", after, before)
	}
	w.push(here, password, "app", "next", "another layer")
	if got := w.log.records(t, "panic"); len(got) != 0 {
		t.Errorf("panics: %v", got)
	}
}

// A blob of which a byte has changed on disk is served on no way: not whole,
// not in parts, and HEAD does not say that it is there once that is known. What
// is whole is served as before.
func TestDamagedBlobIsNotServed(t *testing.T) {
	dir := t.TempDir()
	w := start(t, dir)
	w.create(here, "app")
	password := w.password(here, pusher)
	content := strings.Repeat("0123456789abcdef", 1<<16)
	_, d := w.push(here, password, "app", "v1", content)
	_, other := w.push(here, password, "app", "v2", "another layer")
	var url struct{ DownloadURL string }
	w.call("GetDownloadUrlForLayer", fields{"repositoryName": "app", "layerDigest": d}, &url)
	var file string
	for _, name := range files(t, dir) {
		if info, err := os.Stat(name); err == nil && info.Size() == int64(len(content)) {
			file = name
		}
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)-1] ^= 1
	later := time.Now().Add(time.Second)
	if err := errors.Join(os.WriteFile(file, b, 0o600), os.Chtimes(file, later, later)); err != nil {
		t.Fatal(err)
	}
	path := "/v2/app/blobs/" + string(d)
	download := w.request(here, "GET", "/", "")
	if download.URL, err = download.URL.Parse(url.DownloadURL); err != nil {
		t.Fatal(err)
	}
	for name, r := range map[string]*http.Request{
		"GET": w.basic(here, password, "GET", path, ""), "a part that is whole": w.basic(here, password, "GET", path, "", "Range", "bytes=0-9"),
		"the layer's URL": download,
	} {
		if a := w.do(r); a.status != 500 || strings.Contains(a.body, "0123456789abcdef") || a.header.Get("Docker-Content-Digest") != "" {
			t.Errorf("%s: %d %.100s %v", name, a.status, a.body, a.header)
		}
	}
	if a := w.do(w.basic(here, password, "HEAD", path, "")); a.status != 500 {
		t.Errorf("HEAD: %d", a.status)
	}
	w.want(w.do(w.basic(here, password, "GET", "/v2/app/blobs/"+string(other), "")), 200)
	// Put right, it is served again.
	b[len(b)-1] ^= 1
	later = later.Add(time.Second)
	if err := errors.Join(os.WriteFile(file, b, 0o600), os.Chtimes(file, later, later)); err != nil {
		t.Fatal(err)
	}
	if a := w.want(w.do(w.basic(here, password, "GET", path, "")), 200); a.body != content {
		t.Error("another content")
	}
	w.want(w.do(w.basic(here, password, "HEAD", path, "")), 200)
	if !strings.Contains(w.log.String(), string(d)) || !strings.Contains(w.log.String(), "is damaged: its content is sha256:") {
		t.Errorf("the log does not name it:\n%.2000s", w.log)
	}
}

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

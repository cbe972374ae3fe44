package server_test

import (
	"errors"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

// A blob of which a byte has changed on disk is served on no way: not whole,
// not in parts, and once that is known HEAD says that it is not there, so that clients
// send it again. What is whole is served as before.
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
		t.Run(name, func(t *testing.T) {
			w.within(t)
			if a := w.do(r); a.status != 500 || strings.Contains(a.body, "0123456789abcdef") || a.header.Get("Docker-Content-Digest") != "" {
				t.Errorf("%d %.100s %v", a.status, a.body, a.header)
			}
		})
	}
	if a := w.do(w.basic(here, password, "HEAD", path, "")); a.status != 404 {
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

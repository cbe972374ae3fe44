package ociapi_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"mime/multipart"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/front/ociapi"
	"github.com/kontor-registry/kontor/internal/manifest"
	"github.com/kontor-registry/kontor/internal/registry"
)

// The ways of the specification to push a blob ("Pushing blobs").
func TestPushBlob(t *testing.T) {
	w := start(t, registry.CompatOCI, "team/app")
	const base = "/v2/team/app/blobs/"
	location := func(r response) string { return w.want(r, 202).header.Get("Location") }
	begin := func() string { return location(w.do("POST", base+"uploads/", "")) }
	put := func(loc string, d ecr.Digest, body string, headers ...string) response {
		return w.do("PUT", loc+"?digest="+string(d), body, headers...)
	}
	tests := []struct {
		name, content string
		push          func(content string, d ecr.Digest) response
	}{
		{"POST then PUT", "post put", func(c string, d ecr.Digest) response { return put(begin(), d, c) }},
		{"single POST", "single", func(c string, d ecr.Digest) response { return w.do("POST", base+"uploads/?digest="+string(d), c) }},
		{"stream: PATCH without a range, then PUT", "stream", func(c string, d ecr.Digest) response {
			return put(location(w.do("PATCH", begin(), c)), d, "")
		}},
		{"chunks, closed by an empty PUT", "0123456789", func(c string, d ecr.Digest) response {
			loc := location(w.do("PATCH", begin(), c[:4], "Content-Range", "0-3"))
			r := w.do("PATCH", loc, c[4:], "Content-Range", "bytes 4-9/10")
			if got := r.header.Get("Range"); got != "0-9" {
				t.Errorf("Range is %q", got)
			}
			return put(location(r), d, "")
		}},
		{"chunks, the last in the PUT", "abcdefghij", func(c string, d ecr.Digest) response {
			return put(location(w.do("PATCH", begin(), c[:4], "Content-Range", "0-3")), d, c[4:], "Content-Range", "4-9")
		}},
		{"empty blob", "", func(c string, d ecr.Digest) response { return put(begin(), d, c) }},
		{"empty blob in a single POST", "", func(c string, d ecr.Digest) response { return w.do("POST", base+"uploads/?digest="+string(d), c) }},
		{"the same content again", "post put", func(c string, d ecr.Digest) response { return put(begin(), d, c) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := ecr.DigestOf([]byte(tt.content))
			r := w.want(tt.push(tt.content, d), 201)
			if r.header.Get("Location") != base+string(d) || r.header.Get("Docker-Content-Digest") != string(d) {
				t.Errorf("headers %v", r.header)
			}
			if got := w.want(w.do("GET", base+string(d), ""), 200); got.body != tt.content {
				t.Errorf("got %q back", got.body)
			}
		})
	}
	w.noServerErrors()
}

func TestGetBlob(t *testing.T) {
	w := start(t, registry.CompatECR, "app")
	content := strings.Repeat("0123456789", 10)
	d := w.pushBlob("app", content)
	path, quoted := "/v2/app/blobs/"+string(d), `"`+string(d)+`"`
	tests := []struct {
		name, method string
		headers      []string
		status       int
		body         string
		want         map[string]string
	}{
		{"whole", "GET", nil, 200, content, map[string]string{"Content-Length": "100", "Content-Type": "application/octet-stream", "Accept-Ranges": "bytes",
			"Etag": quoted, "Docker-Content-Digest": string(d), "Cache-Control": "private, max-age=31536000, immutable"}},
		{"HEAD", "HEAD", nil, 200, "", map[string]string{"Content-Length": "100", "Docker-Content-Digest": string(d), "Etag": quoted}},
		{"first and last byte", "GET", []string{"Range", "bytes=5-14"}, 206, content[5:15], map[string]string{"Content-Range": "bytes 5-14/100", "Content-Length": "10"}},
		{"open end", "GET", []string{"Range", "bytes=95-"}, 206, content[95:], map[string]string{"Content-Range": "bytes 95-99/100"}},
		{"end beyond", "GET", []string{"Range", "bytes=95-1000"}, 206, content[95:], map[string]string{"Content-Range": "bytes 95-99/100"}},
		{"suffix", "GET", []string{"Range", "bytes=-3"}, 206, content[97:], map[string]string{"Content-Range": "bytes 97-99/100"}},
		{"beyond the end", "GET", []string{"Range", "bytes=100-"}, 416, "-", map[string]string{"Content-Range": "bytes */100"}},
		{"backwards", "GET", []string{"Range", "bytes=9-1"}, 416, "-", nil},
		{"the client has it", "GET", []string{"If-None-Match", quoted}, 304, "", map[string]string{"Etag": quoted}},
		{"the client has it, HEAD", "HEAD", []string{"If-None-Match", quoted}, 304, "", nil},
		{"the client has another", "GET", []string{"If-None-Match", `"sha256:00"`}, 200, content, nil},
		{"range of what it was", "GET", []string{"Range", "bytes=0-1", "If-Range", quoted}, 206, content[:2], nil},
		{"range of something else", "GET", []string{"Range", "bytes=0-1", "If-Range", `"x"`}, 200, content, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := w.want(w.do(tt.method, path, "", tt.headers...), tt.status)
			if tt.body != "-" && r.body != tt.body {
				t.Errorf("body %q, want %q", r.body, tt.body)
			}
			for k, v := range tt.want {
				if got := r.header.Get(k); got != v {
					t.Errorf("%s is %q, want %q", k, got, v)
				}
			}
		})
	}
	t.Run("several ranges", func(t *testing.T) {
		r := w.want(w.do("GET", path, "", "Range", "bytes=0-2,10-11"), 206)
		_, params, err := mime.ParseMediaType(r.header.Get("Content-Type"))
		if err != nil {
			t.Fatal(err)
		}
		var parts []string
		for mr := multipart.NewReader(strings.NewReader(r.body), params["boundary"]); ; {
			p, err := mr.NextPart()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			b, err := io.ReadAll(p)
			if err != nil {
				t.Fatal(err)
			}
			parts = append(parts, p.Header.Get("Content-Range")+"="+string(b))
		}
		if diff := cmp.Diff([]string{"bytes 0-2/100=012", "bytes 10-11/100=01"}, parts); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
	})
}

// fileTaker is a ResponseWriter that notes what io.Copy hands it.
type fileTaker struct {
	*httptest.ResponseRecorder
	files int
}

func (w *fileTaker) ReadFrom(r io.Reader) (int64, error) {
	if l, ok := r.(*io.LimitedReader); ok {
		if _, ok := l.R.(*os.File); ok {
			w.files++
		}
	}
	return io.Copy(w.ResponseRecorder, r)
}

// A download must reach the connection as a file, or the kernel cannot send
// it (sendfile).
func TestDownloadIsAFile(t *testing.T) {
	w := start(t, registry.CompatECR, "app")
	d := w.pushBlob("app", "content")
	h := ociapi.New(ociapi.Config{Registry: w.registry, Log: slog.New(slog.DiscardHandler)})
	for _, rng := range []string{"", "bytes=1-3"} {
		t.Run("range "+rng, func(t *testing.T) {
			out := &fileTaker{ResponseRecorder: httptest.NewRecorder()}
			r := httptest.NewRequest(http.MethodGet, "/v2/app/blobs/"+string(d), nil)
			r.Header.Set("Range", rng)
			h.Serve(out, r, w.gate.As(admin), here, "id")
			if out.files != 1 || !strings.Contains("content", out.Body.String()) || out.Body.Len() == 0 {
				t.Errorf("range %q: %d files handed over, %d %q", rng, out.files, out.Code, out.Body)
			}
		})
	}
}

// Promise 2: content is what its digest says, and nothing is left of content
// that is not.
func TestWrongDigestLeavesNothing(t *testing.T) {
	// The specification's code, and the one seen of ECR.
	for compat, code := range map[registry.Compat]string{registry.CompatOCI: "DIGEST_INVALID", registry.CompatECR: "BLOB_UPLOAD_INVALID"} {
		t.Run(string(compat), func(t *testing.T) { wrongDigests(start(t, compat, "app"), code) })
	}
}

func wrongDigests(w *world, code string) {
	w.t.Helper()
	const message = "None of the provided layer digests match the calculated layer digest"
	right, wrong := ecr.DigestOf([]byte("right")), ecr.DigestOf([]byte("wrong"))
	base := "/v2/app/blobs/"
	loc := w.want(w.do("POST", base+"uploads/", ""), 202).header.Get("Location")
	w.wantError(w.do("PUT", loc+"?digest="+string(wrong), "right"), 400, code, message)
	w.want(w.do("GET", loc, ""), 404)
	w.wantError(w.do("POST", base+"uploads/?digest="+string(wrong), "right"), 400, code, message)
	loc = w.want(w.do("PATCH", w.want(w.do("POST", base+"uploads/", ""), 202).header.Get("Location"), "right"), 202).header.Get("Location")
	w.wantError(w.do("PUT", loc+"?digest="+string(wrong), ""), 400, code, message)
	for _, d := range []ecr.Digest{right, wrong} {
		w.want(w.do("HEAD", base+string(d), ""), 404)
	}
	w.wantStored(0)
	w.noServerErrors()
}

// wantStored fails the test unless the blob store has n entries, uploads
// included.
func (w *world) wantStored(n int) {
	w.t.Helper()
	got := 0
	for info, err := range w.blobs.List(context.Background()) {
		if err != nil {
			w.t.Fatal(err)
		}
		w.t.Logf("stored: %+v", info)
		got++
	}
	if got != n {
		w.t.Errorf("the blob store has %d entries, want %d", got, n)
	}
}

func TestUploadInParts(t *testing.T) {
	w := start(t, registry.CompatOCI, "app")
	began := w.want(w.do("POST", "/v2/app/blobs/uploads/", ""), 202)
	if got := began.header.Get("Oci-Chunk-Min-Length"); got != "" {
		t.Errorf("there is no least chunk, but %q is announced", got)
	}
	loc := began.header.Get("Location")
	status := func(want string) {
		t.Helper()
		r := w.want(w.do("GET", loc, ""), 204)
		if r.header.Get("Range") != want || r.header.Get("Location") != loc || r.header.Get("Docker-Upload-Uuid") == "" {
			t.Errorf("status %v, want range %s", r.header, want)
		}
	}
	status("0-0")
	// Out of order: 416 says where to go on (ECR's text, 5.3).
	r := w.do("PATCH", loc, "later", "Content-Range", "5-9")
	w.wantError(r, 416, "BLOB_UPLOAD_INVALID", "First byte of the layer part is 5 instead of 0")
	if r.header.Get("Location") != loc || r.header.Get("Range") != "0-0" {
		t.Errorf("headers %v", r.header)
	}
	w.want(w.do("PATCH", loc, "01234", "Content-Range", "0-4"), 202)
	status("0-4")
	r = w.do("PATCH", loc, "01234", "Content-Range", "0-4")
	w.wantError(r, 416, "BLOB_UPLOAD_INVALID", "First byte of the layer part is 0 instead of 5")
	if r.header.Get("Range") != "0-4" {
		t.Errorf("Range is %q", r.header.Get("Range"))
	}
	d := ecr.DigestOf([]byte("0123456789"))
	w.want(w.do("PUT", loc+"?digest="+string(d), "89", "Content-Range", "8-9"), 416)
	status("0-4")

	// What is announced must be what comes.
	for _, rng := range []string{"5-6", "5-100"} {
		w.wantError(w.do("PATCH", loc, "567", "Content-Range", rng), 400, "SIZE_INVALID",
			fmt.Sprintf("The body does not have the %d bytes that Content-Range announces.", map[string]int{"5-6": 2, "5-100": 96}[rng]))
	}
	// The same of a body whose length is not announced; what fits is taken.
	w.wantError(w.chunked("PATCH", loc, "5678", "5-6"), 400, "SIZE_INVALID", "The body does not have the 2 bytes that Content-Range announces.")
	status("0-6")
	w.wantError(w.chunked("PATCH", loc, "78", "7-9"), 400, "SIZE_INVALID", "The body does not have the 3 bytes that Content-Range announces.")
	status("0-8")
	w.want(w.do("PATCH", loc, "567", "Content-Range", "7-5"), 400)
	w.want(w.do("PUT", loc, "56789"), 400) // no digest
	w.want(w.do("PUT", loc+"?digest=sha256:12", "56789"), 400)
	status("0-8")
	w.want(w.chunked("PUT", loc+"?digest="+string(d), "9", "9-9"), 201)
	w.want(w.do("GET", loc, ""), 404)

	// Cancelled, an upload is gone.
	loc = w.want(w.do("POST", "/v2/app/blobs/uploads/", ""), 202).header.Get("Location")
	w.want(w.do("PATCH", loc, "01234"), 202)
	w.want(w.do("DELETE", loc, ""), 204)
	for _, method := range []string{"GET", "PATCH", "DELETE"} {
		t.Run(method, func(t *testing.T) {
			w.within(t)
			if r := w.do(method, loc, ""); r.status != 404 || !strings.Contains(r.body, "BLOB_UPLOAD_UNKNOWN") {
				t.Errorf("%d %s", r.status, r.body)
			}
		})
	}
	w.want(w.do("PUT", loc+"?digest="+string(d), "x"), 404)
	w.want(w.do("GET", "/v2/app/blobs/uploads/%00", ""), 404)
	w.wantStored(1)
	w.noServerErrors()
}

// chunked sends a body without announcing its length.
func (w *world) chunked(method, path, body, contentRange string) response {
	w.t.Helper()
	return w.send(method, path, struct{ io.Reader }{strings.NewReader(body)}, "Content-Range", contentRange)
}

// An upload belongs to its repository.
func TestUploadOfAnotherRepository(t *testing.T) {
	w := start(t, registry.CompatOCI, "app", "other")
	loc := w.want(w.do("POST", "/v2/app/blobs/uploads/", ""), 202).header.Get("Location")
	foreign := strings.Replace(loc, "/app/", "/other/", 1)
	for _, method := range []string{"GET", "PATCH", "DELETE"} {
		w.want(w.do(method, foreign, ""), 404)
	}
	w.want(w.do("GET", loc, ""), 204)
}

// The client hangs up in the middle of a chunk: no failure of ours, and what
// came is kept so that it can go on.
func TestClientHangsUp(t *testing.T) {
	w := start(t, registry.CompatOCI, "app")
	for _, headers := range []string{"Content-Length: 100\r\n", "Content-Length: 100\r\nContent-Range: 0-99\r\n"} {
		t.Run(strings.TrimSpace(headers), func(t *testing.T) {
			w.within(t)
			loc := w.want(w.do("POST", "/v2/app/blobs/uploads/", ""), 202).header.Get("Location")
			hangUp(t, w, "PATCH "+loc+" HTTP/1.1\r\nHost: x\r\n"+headers+"\r\n0123456789")
			deadline := time.Now().Add(10 * time.Second)
			for {
				r := w.do("GET", loc, "")
				if r.status == 204 && r.header.Get("Range") == "0-9" {
					break
				}
				if time.Now().After(deadline) {
					t.Fatalf("the upload has %d %v", r.status, r.header)
				}
				time.Sleep(5 * time.Millisecond)
			}
			w.want(w.do("PATCH", loc, "abc", "Content-Range", "10-12"), 202)
		})
	}
	w.noServerErrors()
}

// The same in a single POST, whose upload cannot be continued.
func TestClientHangsUpInSinglePost(t *testing.T) {
	w := start(t, registry.CompatOCI, "app")
	hangUp(t, w, "POST /v2/app/blobs/uploads/?digest="+string(ecr.DigestOf(nil))+" HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n0123456789")
	deadline := time.Now().Add(10 * time.Second)
	for !strings.Contains(w.log.String(), "request failed") {
		if time.Now().After(deadline) {
			t.Fatal("the request goes on")
		}
		time.Sleep(5 * time.Millisecond)
	}
	w.wantStored(0)
	w.noServerErrors()
}

// A body that is no body (here, chunks without lengths) is the client's
// failure too, though the connection stands.
func TestMalformedBody(t *testing.T) {
	w := start(t, registry.CompatOCI, "app")
	loc := w.want(w.do("POST", "/v2/app/blobs/uploads/", ""), 202).header.Get("Location")
	for request, want := range map[string]string{
		"PATCH " + loc: "BLOB_UPLOAD_INVALID",
		"POST /v2/app/blobs/uploads/?digest=" + string(ecr.DigestOf(nil)): "BLOB_UPLOAD_INVALID",
		"PUT /v2/app/manifests/1": "MANIFEST_INVALID",
	} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(w.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(conn, request+" HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"); err != nil {
			t.Fatal(err)
		}
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		if err = errors.Join(err, resp.Body.Close()); err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode != http.StatusBadRequest || !strings.Contains(string(body), want) || !strings.Contains(string(body), "could not be read to its end") {
			t.Errorf("%s: %s %s", request, resp.Status, body)
		}
		if err := conn.Close(); err != nil {
			t.Fatal(err)
		}
	}
	w.noServerErrors()
}

// A limit on bodies, which the server may set, is answered with 413.
func TestBodyLimit(t *testing.T) {
	w := start(t, registry.CompatOCI, "app")
	h := ociapi.New(ociapi.Config{Registry: w.registry, Log: slog.New(slog.DiscardHandler)})
	out := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodPost, "/v2/app/blobs/uploads/?digest="+string(ecr.DigestOf(nil)), strings.NewReader("0123456789"))
	r.Body = http.MaxBytesReader(out, r.Body, 5)
	h.Serve(out, r, w.gate.As(admin), here, "id")
	if out.Code != 413 || !strings.Contains(out.Body.String(), "SIZE_INVALID") {
		t.Errorf("%d %s", out.Code, out.Body)
	}
	w.wantStored(0)
}

// hangUp sends raw bytes and closes the connection.
func hangUp(t *testing.T, w *world, raw string) {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(w.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	buf := bufio.NewWriter(conn)
	if _, err := buf.WriteString(raw); err != nil {
		t.Fatal(err)
	}
	if err := buf.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
}

// As ECR does: empty blobs and small parts before the last are refused.
func TestECRRefusesUploads(t *testing.T) {
	w := start(t, registry.CompatECR, "app")
	began := w.want(w.do("POST", "/v2/app/blobs/uploads/", ""), 202)
	if got := began.header.Get("Oci-Chunk-Min-Length"); got != "5242880" {
		t.Errorf("the least chunk is announced as %q", got)
	}
	loc := began.header.Get("Location")
	id := loc[strings.LastIndex(loc, "/")+1:]
	w.wantError(w.do("PUT", loc+"?digest="+string(ecr.DigestOf(nil)), ""), 400, "BLOB_UPLOAD_INVALID",
		"The upload with id '"+id+"' in the repository with name 'app' in registry with id '000000000000' cannot be completed because it does not have any parts.")
	loc = w.want(w.do("POST", "/v2/app/blobs/uploads/", ""), 202).header.Get("Location")
	w.want(w.do("PATCH", loc, "small"), 202)
	w.want(w.do("PATCH", loc, "small"), 202)
	w.wantError(w.do("PUT", loc+"?digest="+string(ecr.DigestOf([]byte("smallsmall"))), ""), 400, "BLOB_UPLOAD_INVALID",
		"All layer parts except the last part should be at least 5MB")
	w.wantStored(0)
}

// ECR user guide, "Blob mounting": only what an image of the source refers to.
func TestMount(t *testing.T) {
	w := start(t, registry.CompatECR, "from", "to")
	loose := w.pushBlob("from", "loose")
	w.push("from", "1", w.image("from", "a", ""))
	used := ecr.DigestOf([]byte("layer of a"))
	mount := func(d ecr.Digest, query string) response {
		return w.do("POST", "/v2/to/blobs/uploads/?mount="+string(d)+query, "")
	}
	for name, r := range map[string]response{
		"not used by an image": mount(loose, "&from=from"), "not in the source": mount(ecr.DigestOf(nil), "&from=from"),
		"no such source": mount(used, "&from=nowhere"), "no source": mount(used, ""),
	} {
		t.Run(name, func(t *testing.T) {
			if r.status != 202 || !strings.HasPrefix(r.header.Get("Location"), "/v2/to/blobs/uploads/") {
				t.Errorf("%d %v", r.status, r.header)
			}
		})
	}
	r := w.want(mount(used, "&from=from"), 201)
	if r.header.Get("Location") != "/v2/to/blobs/"+string(used) || r.header.Get("Docker-Content-Digest") != string(used) {
		t.Errorf("headers %v", r.header)
	}
	if r := w.want(w.do("GET", "/v2/to/blobs/"+string(used), ""), 200); r.body != "layer of a" {
		t.Errorf("mounted %q", r.body)
	}
	w.want(mount("sha256:1", "&from=from"), 400)
	for _, from := range []string{"FROM", "a//b", "a", "..", "%00", strings.Repeat("x", 300)} {
		w.want(mount(used, "&from="+from), 202)
	}
}

// The specification's automatic content discovery, and deletion.
func TestMountAnywhereAndDelete(t *testing.T) {
	w := start(t, registry.CompatOCI, "from", "to")
	d := string(w.pushBlob("from", "layer"))
	r := w.want(w.do("POST", "/v2/to/blobs/uploads/?mount="+d, ""), 201)
	if r.header.Get("Location") != "/v2/to/blobs/"+d {
		t.Errorf("headers %v", r.header)
	}
	w.want(w.do("POST", "/v2/to/blobs/uploads/?mount="+string(ecr.DigestOf(nil)), ""), 202)

	w.want(w.do("DELETE", "/v2/to/blobs/"+d, "", nobodyHeader, "1"), 403)
	w.want(w.do("DELETE", "/v2/to/blobs/"+d, ""), 202)
	w.want(w.do("HEAD", "/v2/to/blobs/"+d, ""), 404)
	w.want(w.do("DELETE", "/v2/to/blobs/"+d, ""), 404)
	w.want(w.do("HEAD", "/v2/from/blobs/"+d, ""), 200)
	w.want(w.putManifest("from", "v1", manifest.MediaTypeOCIManifest, w.image("from", "x", "")), 201)
	used := string(ecr.DigestOf([]byte("layer of x")))
	w.wantError(w.do("DELETE", "/v2/from/blobs/"+used, ""), 405, "UNSUPPORTED", "Requested layer referenced by an image: "+used)
	w.noServerErrors()
}

func TestBlobErrors(t *testing.T) {
	w := start(t, registry.CompatECR, "app")
	missing := string(ecr.DigestOf([]byte("missing")))
	w.wantError(w.do("GET", "/v2/app/blobs/"+missing, ""), 404, "BLOB_UNKNOWN",
		"The layer with digest '"+missing+"' does not exist within the repository with name 'app' in the registry with id '000000000000'")
	r := w.want(w.do("HEAD", "/v2/app/blobs/"+missing, ""), 404)
	if r.body != "" || r.header.Get("Content-Type") != "" {
		t.Errorf("HEAD: %v %q", r.header, r.body)
	}
	w.wantError(w.do("GET", "/v2/nowhere/blobs/"+missing, ""), 404, "NAME_UNKNOWN",
		"The repository with name 'nowhere' does not exist in the registry with id '000000000000'")
	w.wantError(w.do("GET", "/v2/app/blobs/sha256:1", ""), 400, "DIGEST_INVALID",
		"Invalid parameter at 'imageDigest' failed to satisfy constraint: 'must satisfy regular expression '"+ecr.DigestPattern+"''")
	r = w.do("DELETE", "/v2/app/blobs/"+missing, "")
	w.wantError(r, 405, "UNSUPPORTED", "The operation is unsupported.")
	if r.header.Get("Allow") != "GET, HEAD" {
		t.Errorf("Allow is %q", r.header.Get("Allow"))
	}
	// A blob of another repository is not there.
	w.create("other", ecr.Mutability{Mode: ecr.Mutable})
	d := w.pushBlob("other", "theirs")
	w.want(w.do("GET", "/v2/app/blobs/"+string(d), ""), 404)
	if r := w.want(w.putManifest("app", "1", manifest.MediaTypeOCIManifest, w.image("other", "x", "")), 404); !strings.Contains(r.body, "BLOB_UPLOAD_UNKNOWN") {
		t.Errorf("body %s", r.body)
	}
	w.noServerErrors()
}

var _ http.ResponseWriter = (*fileTaker)(nil)

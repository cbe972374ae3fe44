package ociapi_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/front/ociapi"
	"github.com/kontor-registry/kontor/internal/gate"
	"github.com/kontor-registry/kontor/internal/manifest"
	"github.com/kontor-registry/kontor/internal/registry"
	"github.com/kontor-registry/kontor/internal/store/blob"
	"github.com/kontor-registry/kontor/internal/testkit"
)

var (
	here  = ecr.RegistryID{Account: "000000000000", Region: "us-east-1"}
	admin = access.Principal{Account: here.Account, ARN: "arn:aws:iam::000000000000:user/admin", UniqueID: "AIDAADMIN", Policies: []string{access.PolicyAdministrator}}
	// nobody is a user without rights; the header chooses it.
	nobody       = access.Principal{Account: here.Account, ARN: "arn:aws:iam::000000000000:user/nobody", UniqueID: "AIDANOBODY"}
	nobodyHeader = "X-Test-Nobody"
)

// world is a registry on real stores, behind a real server.
type world struct {
	t        *testing.T
	url      string
	gate     *gate.Gate
	registry *registry.Registry
	blobs    blob.Store
	log      *testkit.Log
}

// within has w report to t, a subtest, until that is over.
func (w *world) within(t *testing.T) {
	whole := w.t
	w.t = t
	t.Cleanup(func() { w.t = whole })
}

// start returns a world with the repositories named; they are mutable.
func start(t *testing.T, compat registry.Compat, repos ...ecr.RepositoryName) *world {
	t.Helper()
	w := &world{t: t, log: &testkit.Log{}}
	log := slog.New(slog.NewTextHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	stores := testkit.Open(t, testkit.Settings{Compat: compat, Clock: time.Now, Log: log})
	w.gate, w.registry, w.blobs = stores.Gate, stores.Registry, stores.Blobs
	h := ociapi.New(ociapi.Config{Registry: w.registry, Log: log})
	srv := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		p := admin
		if r.Header.Get(nobodyHeader) != "" {
			p = nobody
		}
		h.Serve(rw, r, w.gate.As(p), here, "request-1")
	}))
	t.Cleanup(srv.Close)
	w.url = srv.URL
	for _, name := range repos {
		w.create(name, ecr.Mutability{Mode: ecr.Mutable})
	}
	return w
}

func (w *world) create(name ecr.RepositoryName, m ecr.Mutability) {
	w.t.Helper()
	_, err := w.registry.As(admin).CreateRepository(context.Background(), registry.NewRepository{
		Repo: ecr.Repo{In: here, Name: name}, Mutability: m,
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

// response is an answer with its body read.
type response struct {
	status int
	header http.Header
	body   string
}

// do sends a request. headers are name, value, name, value.
func (w *world) do(method, path, body string, headers ...string) response {
	w.t.Helper()
	if body == "" {
		return w.send(method, path, nil, headers...)
	}
	return w.send(method, path, strings.NewReader(body), headers...)
}

func (w *world) send(method, path string, body io.Reader, headers ...string) response {
	w.t.Helper()
	if !strings.HasPrefix(path, "http") {
		path = w.url + path
	}
	req, err := http.NewRequest(method, path, body)
	if err != nil {
		w.t.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Add(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := resp.Body.Close(); err != nil {
		w.t.Fatal(err)
	}
	if got := resp.Header.Get("Docker-Distribution-Api-Version"); got != "registry/2.0" {
		w.t.Errorf("%s %s: Docker-Distribution-Api-Version is %q", method, path, got)
	}
	return response{resp.StatusCode, resp.Header, string(b)}
}

// want fails the test unless the answer has this status.
func (w *world) want(r response, status int) response {
	w.t.Helper()
	if r.status != status {
		w.t.Fatalf("status %d, want %d; headers %v, body %s", r.status, status, r.header, r.body)
	}
	return r
}

// wantError fails the test unless the answer is this error and no other.
func (w *world) wantError(r response, status int, code, message string) {
	w.t.Helper()
	want, err := json.Marshal(map[string]any{"errors": []map[string]string{{"code": code, "message": message}}})
	if err != nil {
		w.t.Fatal(err)
	}
	if r.status != status || r.body != string(want) {
		w.t.Errorf("got %d %s\nwant %d %s", r.status, r.body, status, want)
	}
}

// pushBlob uploads content in the usual way: POST and PUT.
func (w *world) pushBlob(repo, content string) ecr.Digest {
	w.t.Helper()
	d := ecr.DigestOf([]byte(content))
	loc := w.want(w.do("POST", "/v2/"+repo+"/blobs/uploads/", ""), 202).header.Get("Location")
	r := w.want(w.do("PUT", loc+"?digest="+string(d), content, "Content-Type", "application/octet-stream"), 201)
	if got := r.header.Get("Location"); got != "/v2/"+repo+"/blobs/"+string(d) || r.header.Get("Docker-Content-Digest") != string(d) {
		w.t.Errorf("blob is at %q, digest %q", got, r.header.Get("Docker-Content-Digest"))
	}
	return d
}

func (w *world) putManifest(repo, ref, mediaType, body string) response {
	w.t.Helper()
	return w.do("PUT", "/v2/"+repo+"/manifests/"+ref, body, "Content-Type", mediaType)
}

// image uploads a config and a layer made from seed, and returns a manifest of
// them; extra are further members of it.
func (w *world) image(repo, seed, extra string) string {
	w.t.Helper()
	config, layer := `{"seed":"`+seed+`"}`, "layer of "+seed
	return fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":%q,"size":%d},`+
		`"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":%q,"size":%d}]%s}`,
		manifest.MediaTypeOCIManifest, w.pushBlob(repo, config), len(config), w.pushBlob(repo, layer), len(layer), extra)
}

// push pushes image under ref and returns its digest.
func (w *world) push(repo, ref, image string) ecr.Digest {
	w.t.Helper()
	w.want(w.putManifest(repo, ref, manifest.MediaTypeOCIManifest, image), 201)
	return ecr.DigestOf([]byte(image))
}

// noServerErrors fails the test if anything was logged as our failure.
func (w *world) noServerErrors() {
	w.t.Helper()
	if log := w.log.String(); strings.Contains(log, "level=ERROR") {
		w.t.Errorf("logged:\n%s", log)
	}
}

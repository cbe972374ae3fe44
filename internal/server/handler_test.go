package server_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kontor-registry/kontor/internal/server"
	"github.com/kontor-registry/kontor/internal/store/blob"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

func TestRoutes(t *testing.T) {
	w := start(t, t.TempDir())
	w.create(here, "app")
	admin, password := w.credentials(here, administrator), w.password(here, pusher)
	const nothingHere = "This is a Kontor registry. Images are under /v2/, the AWS API is on POST /.\n"
	tests := []struct {
		name    string
		request *http.Request
		status  int
		body    string // "" for any
	}{
		{"docker ping", w.basic(here, password, "GET", "/v2/", ""), 200, ""},
		{"docker ping without a slash", w.basic(here, password, "GET", "/v2", ""), 200, ""},
		{"docker, not there", w.basic(here, password, "GET", "/v2/app/manifests/v1", ""), 404, ""},
		{"docker, no credentials", w.request(here, "GET", "/v2/", ""), 401, ""},
		{"ECR", w.json(here, admin, "DescribeRepositories", "{}"), 200, ""},
		{"ECR, not there", w.json(here, admin, "ListImages", `{"repositoryName":"none"}`), 400, ""},
		{"ECR, not signed", w.request(here, "POST", "/", "{}", "X-Amz-Target", "AmazonEC2ContainerRegistry_V20150921.ListImages"), 400, ""},
		{"STS", w.query(here, admin, "Action=GetCallerIdentity&Version=2011-06-15"), 200, ""},
		{"STS, not signed", w.request(here, "POST", "/", "Action=GetCallerIdentity", "Content-Type", formType), 403, ""},
		{"STS by GET, not signed", w.request(here, "GET", "/?Action=GetCallerIdentity", ""), 403, ""},
		{"health", w.request(here, "GET", "/healthz", ""), 200, "ok\n"},
		{"health, HEAD", w.request(here, "HEAD", "/healthz", ""), 200, ""},
		{"health, POST", w.request(here, "POST", "/healthz", ""), 404, nothingHere},
		{"a browser", w.request(here, "GET", "/", ""), 404, nothingHere},
		{"docker's old API", w.request(here, "GET", "/v1/_ping", ""), 404, nothingHere},
		{"a path next to the docker endpoint", w.request(here, "GET", "/v2x", ""), 404, nothingHere},
	}
	seen := map[string]string{}
	for _, tt := range tests {
		a := w.do(tt.request)
		if a.status != tt.status || tt.body != "" && a.body != tt.body {
			t.Errorf("%s: %d %q, want %d %q", tt.name, a.status, a.body, tt.status, tt.body)
		}
		// As AWS: x-amzn-RequestId, a UUID.
		id := a.header.Get("X-Amzn-Requestid")
		if !regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`).MatchString(id) || seen[id] != "" {
			t.Errorf("%s: request id %q, which %q has", tt.name, id, seen[id])
		}
		seen[id] = tt.name
		if a.header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: headers %v", tt.name, a.header)
		}
	}
	logged := w.requests()
	for id, name := range seen {
		if logged[id] == nil {
			t.Errorf("%s: no log line has its request id", name)
		}
	}
}

func TestLogLine(t *testing.T) {
	w := start(t, t.TempDir())
	w.create(here, "app")
	admin, password := w.credentials(here, administrator), w.password(here, pusher)
	image, _ := w.push(here, password, "app", "v1", "the layer's bytes")
	got := w.do(w.basic(here, password, "GET", "/v2/app/manifests/v1", "", "User-Agent", "docker/1"))
	api := w.json(here, admin, "BatchDeleteImage", fmt.Sprintf(`{"repositoryName":"app","imageIds":[{"imageDigest":"%s"}]}`, image))
	deleted := w.want(w.do(api), 200)
	denied := w.do(w.request(here, "GET", "/v2/", "", "Authorization", basicHeader("AWS", "someone's guess")))
	presigned := w.do(w.request(here, "GET", "/?Action=GetCallerIdentity&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=0123456789abcdef", ""))
	long := w.do(w.request(here, "GET", "/"+strings.Repeat("x", 10_000), ""))

	logged := w.requests()
	line := func(t *testing.T, a answer) map[string]any {
		t.Helper()

		m := logged[a.header.Get("X-Amzn-Requestid")]
		if m == nil {
			t.Fatalf("no line for %+v", a)
		}
		for _, k := range []string{"time", "duration", "source", "request_id"} {
			if m[k] == nil {
				t.Errorf("no %s in %v", k, m)
			}
			delete(m, k)
		}
		return m
	}
	const goClient = "Go-http-client/1.1"
	tests := []struct {
		name string
		a    answer
		want map[string]any
	}{
		{"pull", got, map[string]any{"principal": "arn:aws:iam::000000000000:user/pusher", "operation": "oci", "method": "GET",
			"path": "/v2/app/manifests/v1", "status": 200.0, "bytes": float64(len(got.body)), "agent": "docker/1"}},
		{"API", deleted, map[string]any{"principal": "arn:aws:iam::000000000000:user/administrator", "operation": "BatchDeleteImage", "method": "POST",
			"path": "/", "status": 200.0, "bytes": float64(len(deleted.body)), "agent": goClient}},
		{"stranger", denied, map[string]any{"principal": "", "operation": "oci", "method": "GET",
			"path": "/v2/", "status": 401.0, "bytes": 15.0, "agent": goClient}},
		{"presigned", presigned, map[string]any{"principal": "", "operation": "", "method": "GET",
			"path": "/", "status": 403.0, "bytes": float64(len(presigned.body)), "agent": goClient}},
		{"long path", long, map[string]any{"principal": "", "operation": "", "method": "GET",
			"path": "/" + strings.Repeat("x", 511), "status": 404.0, "bytes": float64(len(long.body)), "agent": goClient}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.want["level"], tt.want["msg"], tt.want["registry"] = "INFO", "request", here.String()
			if d := cmp.Diff(tt.want, line(t, tt.a)); d != "" {
				t.Errorf("%s (-want +got):\n%s", tt.name, d)
			}
		})
	}

	// No tokens, no signatures, no bodies.
	_, signature, _ := strings.Cut(api.Header.Get("Authorization"), "Signature=")
	for what, secret := range map[string]string{
		"password": password, "basic": basicHeader("AWS", password), "guess": "someone's guess", "guess, encoded": basicHeader("AWS", "someone's guess"),
		"secret key": admin.SecretAccessKey, "signature": signature, "presigned signature": "0123456789abcdef",
		"layer": "the layer's bytes", "manifest": "schemaVersion", "request body": "imageIds",
	} {
		t.Run(what, func(t *testing.T) {
			if len(secret) < 8 || strings.Contains(w.log.String(), secret) {
				t.Errorf("the log has the %s %q:\n%s", what, secret, w.log)
			}
		})
	}
}

// faulty panics at every read while it is told to.
type faulty struct {
	meta.Store
	panics atomic.Bool
}

func (f *faulty) View(ctx context.Context, fn func(context.Context, meta.Reader) error) error {
	if f.panics.Load() {
		panic("view of secret\nthings")
	}
	return f.Store.View(ctx, fn)
}

func (f *faulty) Snapshot(ctx context.Context) (meta.Reader, func(), error) {
	if f.panics.Load() {
		panic("snapshot of secret\nthings")
	}
	return f.Store.Snapshot(ctx)
}

func TestPanicIsAnswered(t *testing.T) {
	f := &faulty{}
	w := start(t, t.TempDir(), func(c *server.Config) { f.Store = c.Meta; c.Meta = f })
	admin, password := w.credentials(here, administrator), w.password(here, pusher)
	tests := []struct {
		name    string
		request *http.Request
		want    string
	}{
		{"docker", w.basic(here, password, "GET", "/v2/", ""), `{"errors":[{"code":"UNKNOWN","message":"An internal error occurred. Request id: ID"}]}`},
		{"ECR", w.json(here, admin, "DescribeRepositories", "{}"),
			`{"__type":"ServerException","message":"The server could not process this request. Its operator finds the reason in the log under request id ID."}`},
		{"STS", w.query(here, admin, "Action=GetCallerIdentity&Version=2011-06-15"),
			`<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Receiver</Type><Code>InternalFailure</Code>` +
				`<Message>The server could not process this request. Its operator finds the reason in the log under request id ID.</Message></Error>` +
				`<RequestId>ID</RequestId></ErrorResponse>`},
	}
	f.panics.Store(true)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w.within(t)
			a := w.do(tt.request)
			id := a.header.Get("X-Amzn-Requestid")
			if got := strings.TrimSpace(strings.ReplaceAll(a.body, id, "ID")); a.status != 500 || id == "" || got != tt.want {
				t.Errorf("%d %s, want %s", a.status, got, tt.want)
			}
		})
	}
	f.panics.Store(false)
	w.want(w.do(w.basic(here, password, "GET", "/v2/", "")), 200)
	if err := w.stop(); err != nil {
		t.Fatal(err)
	}
	panics := w.log.records(t, "panic")
	if len(panics) != len(tests) {
		t.Fatalf("%d panics in the log:\n%s", len(panics), w.log)
	}
	for _, p := range panics {
		if !strings.HasSuffix(p["panic"].(string), " of secret\nthings") || !strings.Contains(p["stack"].(string), "(*faulty).") || p["request_id"] == "" || p["level"] != "ERROR" {
			t.Errorf("logged %v", p)
		}
	}
}

// tripwire is content that panics behind its first bytes.
type tripwire struct{ blob.Store }

func (s tripwire) Open(ctx context.Context, key blob.Key) (blob.File, error) {
	f, err := s.Store.Open(ctx, key)
	return &trap{File: f}, err
}

type trap struct {
	blob.File
	reads int
}

func (f *trap) Read(p []byte) (int, error) {
	if f.reads++; f.reads > 1 {
		panic("in the middle")
	}
	return f.File.Read(p[:min(len(p), 10)])
}

// Half of an answer must not look like a whole one.
func TestPanicInTheMiddle(t *testing.T) {
	w := start(t, t.TempDir(), func(c *server.Config) { c.Blobs = tripwire{c.Blobs} })
	w.create(here, "app")
	password := w.password(here, pusher)
	_, layer := w.push(here, password, "app", "v1", strings.Repeat("content ", 10_000))
	resp, err := http.DefaultClient.Do(w.basic(here, password, "GET", "/v2/app/blobs/"+string(layer), ""))
	if err == nil {
		_, err = io.ReadAll(resp.Body)
		if cerr := resp.Body.Close(); cerr != nil {
			t.Error(cerr)
		}
	}
	if !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		t.Errorf("reading the answer: %v", err)
	}
	if err := w.stop(); err != nil {
		t.Fatal(err)
	}
	if len(w.log.records(t, "panic")) == 0 {
		t.Errorf("no panic in the log:\n%s", w.log)
	}
}

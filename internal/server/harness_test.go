package server_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/kontor-registry/kontor/internal/access/identity"
	"github.com/kontor-registry/kontor/internal/datadir"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/registry"
	"github.com/kontor-registry/kontor/internal/server"
	"github.com/kontor-registry/kontor/internal/store/blob"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

var (
	here      = ecr.RegistryID{Account: "000000000000", Region: "us-east-1"}
	elsewhere = ecr.RegistryID{Account: "111111111111", Region: "cn-north-1"}
)

// world is a server on a data folder, serving here and elsewhere.
type world struct {
	t      *testing.T
	server *server.Server
	meta   meta.Store
	log    *lines
	hosts  map[ecr.RegistryID]string
	names  map[ecr.RegistryID]string // that requests are sent to, if not to hosts
	stop   func() error              // what Run returned; again is the same
	// appending holds a value when an upload has begun to be written since it
	// was last empty.
	appending chan struct{}

	mu  sync.Mutex
	now time.Time // guarded by mu; the authentication clock
}

// announcing tells when an upload begins to be written.
type announcing struct {
	blob.Store
	begun chan<- struct{}
}

func (s announcing) Append(ctx context.Context, key blob.Key, p blob.Progress) (blob.Writer, error) {
	select {
	case s.begun <- struct{}{}:
	default:
	}
	return s.Store.Append(ctx, key, p)
}

// within has w report to t, a subtest, until that is over.
func (w *world) within(t *testing.T) {
	whole := w.t
	w.t = t
	t.Cleanup(func() { w.t = whole })
}

// start serves the folder dir. Each of change may change the configuration.
func start(t *testing.T, dir string, change ...func(*server.Config)) *world {
	t.Helper()
	ctx := context.Background()
	d, err := datadir.Open(ctx, dir)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, meta: d.Meta, log: &lines{}, hosts: map[ecr.RegistryID]string{}, now: time.Now(), appending: make(chan struct{}, 1)}
	cfg := server.Config{
		Meta: d.Meta, Blobs: announcing{d.Blobs, w.appending}, Key: d.Key,
		ImageNow: time.Now, AuthNow: w.clock,
		Log: slog.New(slog.NewJSONHandler(w.log, nil)),
	}
	for _, id := range []ecr.RegistryID{here, elsewhere} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		w.hosts[id] = l.Addr().String()
		cfg.Bindings = append(cfg.Bindings, server.Binding{Registry: id, Host: l.Addr().String(), Listeners: []net.Listener{l}})
	}
	for _, c := range change {
		c(&cfg)
	}
	w.server, err = server.New(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	run, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- w.server.Run(run) }()
	w.stop = sync.OnceValue(func() error {
		cancel()
		err := <-ended
		if cerr := d.Close(); cerr != nil {
			t.Errorf("closing the data folder: %v", cerr)
		}
		return err
	})
	t.Cleanup(func() {
		if err := w.stop(); err != nil {
			t.Errorf("Run = %v", err)
		}
	})
	return w
}

// untilAppending begins an upload and returns when the server writes it.
func (w *world) untilAppending(begin func()) {
	select {
	case <-w.appending: // of an earlier upload
	default:
	}
	begin()
	<-w.appending
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

// pass moves the authentication clock.
func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

func (w *world) credentials(at ecr.RegistryID, user string) aws.Credentials {
	w.t.Helper()
	c, err := w.server.Identity().Credentials(w.t.Context(), at.Account, user)
	if err != nil {
		w.t.Fatal(err)
	}
	return aws.Credentials{AccessKeyID: c.AccessKeyID, SecretAccessKey: c.SecretAccessKey}
}

// password is a docker password of the user at the registry.
func (w *world) password(at ecr.RegistryID, user string) string {
	w.t.Helper()
	a := w.want(w.do(w.json(at, w.credentials(at, user), "GetAuthorizationToken", "{}")), 200)
	var out struct {
		AuthorizationData []struct{ AuthorizationToken []byte }
	}
	if err := json.Unmarshal([]byte(a.body), &out); err != nil || len(out.AuthorizationData) != 1 {
		w.t.Fatalf("GetAuthorizationToken: %v, %s", err, a.body)
	}
	_, password, ok := strings.Cut(string(out.AuthorizationData[0].AuthorizationToken), ":")
	if !ok {
		w.t.Fatal("the token is not user:password")
	}
	return password
}

// request makes one to the registry; headers are name, value, name, value.
func (w *world) request(at ecr.RegistryID, method, path, body string, headers ...string) *http.Request {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), method, "http://"+w.hosts[at]+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	r.Host = w.names[at]
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return r
}

// basic is a request to the docker endpoint.
func (w *world) basic(at ecr.RegistryID, password, method, path, body string, headers ...string) *http.Request {
	r := w.request(at, method, path, body, headers...)
	r.SetBasicAuth("AWS", password)
	return r
}

// json is a signed request to the ECR API.
func (w *world) json(at ecr.RegistryID, c aws.Credentials, operation, body string) *http.Request {
	r := w.request(at, "POST", "/", body, "Content-Type", "application/x-amz-json-1.1", "X-Amz-Target", "AmazonEC2ContainerRegistry_V20150921."+operation)
	return w.sign(r, c, body, "ecr", at.Region, w.clock())
}

const formType = "application/x-www-form-urlencoded"

// query is a signed request to STS.
func (w *world) query(at ecr.RegistryID, c aws.Credentials, body string) *http.Request {
	return w.sign(w.request(at, "POST", "/", body, "Content-Type", formType), c, body, "sts", at.Region, w.clock())
}

func (w *world) sign(r *http.Request, c aws.Credentials, body, service string, region ecr.Region, at time.Time) *http.Request {
	w.t.Helper()
	sum := sha256.Sum256([]byte(body))
	if err := v4.NewSigner().SignHTTP(w.t.Context(), c, r, hex.EncodeToString(sum[:]), service, string(region), at); err != nil {
		w.t.Fatal(err)
	}
	return r
}

// answer is a response with its body read.
type answer struct {
	status int
	header http.Header
	body   string
}

func (w *world) do(r *http.Request) answer {
	w.t.Helper()
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	return readAnswer(w.t, resp)
}

func readAnswer(t *testing.T, resp *http.Response) answer {
	t.Helper()
	b, err := io.ReadAll(resp.Body)
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		t.Fatalf("reading the answer: %v", err)
	}
	return answer{resp.StatusCode, resp.Header, string(b)}
}

func (w *world) want(a answer, status int) answer {
	w.t.Helper()
	if a.status != status {
		w.t.Fatalf("status %d, want %d: %s", a.status, status, a.body)
	}
	return a
}

// create makes a repository whose tags can move.
func (w *world) create(at ecr.RegistryID, name ecr.RepositoryName) {
	w.t.Helper()
	_, err := w.server.Registry().System("test").CreateRepository(w.t.Context(), registry.NewRepository{Repo: ecr.Repo{In: at, Name: name}})
	if err != nil {
		w.t.Fatal(err)
	}
}

// push puts an image with one layer, and returns the digests of both.
func (w *world) push(at ecr.RegistryID, password, repo, tag, layer string) (image, blob ecr.Digest) {
	w.t.Helper()
	const config = `{"architecture":"amd64","os":"linux"}`
	for _, content := range []string{config, layer} {
		blob = ecr.DigestOf([]byte(content))
		w.want(w.do(w.basic(at, password, "POST", "/v2/"+repo+"/blobs/uploads/?digest="+string(blob), content)), 201)
	}
	m := w.manifest(config, layer)
	w.want(w.do(w.basic(at, password, "PUT", "/v2/"+repo+"/manifests/"+tag, m, "Content-Type", manifestType)), 201)
	return ecr.DigestOf([]byte(m)), blob
}

const manifestType = "application/vnd.oci.image.manifest.v1+json"

func (w *world) manifest(config, layer string) string {
	w.t.Helper()
	type descriptor struct {
		MediaType string     `json:"mediaType"`
		Digest    ecr.Digest `json:"digest"`
		Size      int        `json:"size"`
	}
	b, err := json.Marshal(map[string]any{
		"schemaVersion": 2, "mediaType": manifestType,
		"config": descriptor{"application/vnd.oci.image.config.v1+json", ecr.DigestOf([]byte(config)), len(config)},
		"layers": []descriptor{{"application/vnd.oci.image.layer.v1.tar", ecr.DigestOf([]byte(layer)), len(layer)}},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return string(b)
}

// lines is a log in JSON, written by the server's goroutines.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer // guarded by mu
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// records are the lines with the message.
func (l *lines) records(t *testing.T, message string) []map[string]any {
	t.Helper()
	var out []map[string]any
	for line := range strings.Lines(l.String()) {
		var m map[string]any
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatalf("log line %q: %v", line, err)
		}
		if m["msg"] == message {
			out = append(out, m)
		}
	}
	return out
}

// requests stops the server, so that every line is written, and returns those
// of requests by request id.
func (w *world) requests() map[string]map[string]any {
	w.t.Helper()
	if err := w.stop(); err != nil {
		w.t.Fatal(err)
	}
	out := map[string]map[string]any{}
	for _, r := range w.log.records(w.t, "request") {
		out[r["request_id"].(string)] = r
	}
	return out
}

func basicHeader(user, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

const (
	administrator = identity.Administrator
	pusher        = identity.Pusher
)

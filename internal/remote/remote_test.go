package remote_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	ecrapi "github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/google/go-cmp/cmp"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/dockerauth"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/remote"
	"github.com/kontor-registry/kontor/internal/remote/remotetest"
	"github.com/kontor-registry/kontor/kontortest"
	"github.com/kontor-registry/kontor/kontortest/awstest"
)

// world is a registry behind a proxy, and a client that goes through it.
type world struct {
	t      *testing.T
	kontor *kontortest.Registry
	direct remotetest.Registry
	proxy  *remotetest.Proxy
	client *remote.Registry

	mu    sync.Mutex
	waits []remote.Wait // guarded by mu
}

var modes = []string{"ecr", "oci"}

// within has w report to t, a subtest, until that is over.
func (w *world) within(t *testing.T) {
	whole := w.t
	w.t = t
	t.Cleanup(func() { w.t = whole })
}

// start starts a registry with repositories whose tags are immutable. change
// may change how the client is made.
func start(t *testing.T, compat string, change func(*remote.Config), repositories ...string) *world {
	t.Helper()
	w := &world{t: t, kontor: kontortest.Start(t, kontortest.Options{Account: "111111111111", Compat: compat})}
	for _, name := range repositories {
		w.kontor.CreateRepository(t, name)
	}
	w.direct = remotetest.Registry{Host: w.kontor.Host, User: "AWS", Password: w.kontor.Password(t)}
	w.proxy = remotetest.Start(t, w.kontor.Host)
	w.client = w.connect(change)
	return w
}

func (w *world) connect(change func(*remote.Config)) *remote.Registry {
	w.t.Helper()
	cfg := remote.Config{
		Host: w.proxy.Host, Name: "prod", PlainHTTP: true, Now: time.Now,
		Registry:    ecr.RegistryID{Account: "111111111111", Region: "us-east-1"},
		Credentials: static("AWS", w.direct.Password),
		Waiting: func(x remote.Wait) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.waits = append(w.waits, x)
		},
	}
	if change != nil {
		change(&cfg)
	}
	r, err := remote.New(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

func static(user, password string) remote.Source {
	return remote.SourceFunc(func(context.Context, string) (remote.Credential, error) {
		return remote.Credential{User: user, Password: password}, nil
	})
}

func (w *world) repository(name string) *remote.Repository {
	w.t.Helper()
	r, err := w.client.Repository(ecr.RepositoryName(name))
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

// user is the docker password of a user with a policy.
func (w *world) user(name, policy string) string {
	w.t.Helper()
	users := iam.NewFromConfig(awstest.Config(w.kontor, w.kontor.Admin))
	ctx := w.t.Context()
	remotetest.Must[*iam.CreateUserOutput](w.t)(users.CreateUser(ctx, &iam.CreateUserInput{UserName: &name}))
	remotetest.Must[*iam.PutUserPolicyOutput](w.t)(users.PutUserPolicy(ctx, &iam.PutUserPolicyInput{UserName: &name, PolicyName: aws.String("p"), PolicyDocument: &policy}))
	key := remotetest.Must[*iam.CreateAccessKeyOutput](w.t)(users.CreateAccessKey(ctx, &iam.CreateAccessKeyInput{UserName: &name})).AccessKey
	return w.token(*key.AccessKeyId, *key.SecretAccessKey)
}

func (w *world) token(id, secret string) string {
	w.t.Helper()
	cfg := awstest.Config(w.kontor, w.kontor.Admin)
	cfg.Credentials = credentials.NewStaticCredentialsProvider(id, secret, "")
	out := remotetest.Must[*ecrapi.GetAuthorizationTokenOutput](w.t)(ecrapi.NewFromConfig(cfg).GetAuthorizationToken(w.t.Context(), &ecrapi.GetAuthorizationTokenInput{}))
	pair := remotetest.Must[[]byte](w.t)(base64.StdEncoding.DecodeString(*out.AuthorizationData[0].AuthorizationToken))
	return strings.TrimPrefix(string(pair), "AWS:")
}

// open opens bytes as PutBlob wants them.
func open(b []byte) remote.Opener {
	return func(context.Context) (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }
}

func contains(t *testing.T, err error, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("error %v, want %q in it", err, text)
		}
	}
}

func TestEveryCall(t *testing.T) {
	for _, mode := range modes {
		t.Run(mode, func(t *testing.T) {
			w := start(t, mode, nil, "team/app", "other")
			ctx, app, other := t.Context(), w.repository("team/app"), w.repository("other")
			g := remotetest.NewGraph(1, "1.0")
			for d, b := range g.Blobs {
				if ok, err := app.Exists(ctx, d); ok || err != nil {
					t.Fatalf("%s is there: %t, %v", d, ok, err)
				}
				var sent atomic.Int64
				if err := app.PutBlob(ctx, remote.Blob{Digest: d, Size: int64(len(b))}, nil, open(b), func(n int64) { sent.Add(n) }); err != nil {
					t.Fatal(err)
				}
				if ok, err := app.Exists(ctx, d); !ok || err != nil || sent.Load() != int64(len(b)) {
					t.Fatalf("%s is there: %t, %v, %d bytes sent", d, ok, err, sent.Load())
				}
			}
			for _, m := range g.Manifests {
				for _, reference := range []string{string(m.Digest), m.Tag} {
					if reference == "" {
						continue
					}
					if err := app.PutManifest(ctx, remote.Manifest{MediaType: m.MediaType, Digest: m.Digest, Body: m.Body}, reference); err != nil {
						t.Fatal(err)
					}
				}
			}
			// What was put is what a plain request reads, and what is read back.
			for _, reference := range []string{"1.0", string(g.Index.Digest)} {
				t.Run(reference, func(t *testing.T) {
					w.within(t)
					d, err := app.Resolve(ctx, reference)
					want := remote.Descriptor{MediaType: g.Index.MediaType, Digest: g.Index.Digest, Size: int64(g.Index.Size)}
					if diff := cmp.Diff(want, d); err != nil || diff != "" {
						t.Errorf("resolving %s: %v (-want +got)\n%s", reference, err, diff)
					}
					m, err := app.Manifest(ctx, reference)
					if err != nil || m.MediaType != g.Index.MediaType || m.Digest != g.Index.Digest || !bytes.Equal(m.Body, g.Index.Body) {
						t.Errorf("reading %s: %v, %s %s", reference, err, m.MediaType, m.Digest)
					}
				})
			}
			if got := w.direct.Manifest(t, "team/app", "1.0"); !bytes.Equal(got, g.Index.Body) {
				t.Errorf("the manifest became %s", got)
			}
			for d, b := range g.Blobs {
				for _, offset := range []int64{0, 1, int64(len(b) - 1), int64(len(b))} {
					r, err := app.OpenBlob(ctx, remote.Blob{Digest: d, Size: int64(len(b))}, offset)
					if err != nil {
						t.Fatal(err)
					}
					got, err := io.ReadAll(r)
					if err = errors.Join(err, r.Close()); err != nil || !bytes.Equal(got, b[offset:]) {
						t.Errorf("blob %s from %d: %d bytes, %v", d, offset, len(got), err)
					}
				}
			}
			list, ok, err := app.Referrers(ctx, g.Index.Digest)
			if err != nil || !ok || len(list) != 2 || list[0].ArtifactType != remotetest.SignatureType || list[0].Annotations["org.example.of"] != string(g.Index.Digest) {
				t.Errorf("referrers: %+v, %t, %v", list, ok, err)
			}
			var tags []ecr.Tag
			for page, err := range app.Tags(ctx) {
				if err != nil {
					t.Fatal(err)
				}
				tags = append(tags, page.Items...)
			}
			if want := []ecr.Tag{"1.0", ecr.Tag(g.Cosign.Tag)}; !slices.Equal(tags, want) {
				t.Errorf("tags %v, want %v", tags, want)
			}
			var names []ecr.RepositoryName
			for page, err := range w.client.Repositories(ctx) {
				if err != nil {
					t.Fatal(err)
				}
				names = append(names, page.Items...)
			}
			if want := []ecr.RepositoryName{"other", "team/app"}; !slices.Equal(names, want) {
				t.Errorf("repositories %v", names)
			}
			// A blob that an image has is mounted; another is uploaded in the session
			// that mounting began.
			layer := g.Platforms[0]
			var used ecr.Digest
			for d := range g.Blobs {
				if strings.Contains(string(layer.Body), string(d)) {
					used = d
				}
			}
			if session, mounted, err := other.Mount(ctx, used, "team/app"); err != nil || !mounted || session != nil {
				t.Errorf("mounting: %v, %t, %v", session, mounted, err)
			}
			if !bytes.Equal(w.direct.Blob(t, "other", used), g.Blobs[used]) {
				t.Error("the mounted blob is another")
			}
			fresh := []byte("not there yet")
			b := remote.Blob{Digest: ecr.DigestOf(fresh), Size: int64(len(fresh))}
			session, mounted, err := other.Mount(ctx, b.Digest, "team/app")
			if err != nil || mounted || session == nil {
				t.Fatalf("mounting what is not there: %t, %v", mounted, err)
			}
			w.proxy.Reset()
			if err := other.PutBlob(ctx, b, session, open(fresh), nil); err != nil || w.proxy.Count("^POST") != 0 {
				t.Errorf("%v, requests %v", err, w.proxy.Requests())
			}
		})
	}
}

// Lists longer than a page: 1000 tags, 50 referrers.
func TestPages(t *testing.T) {
	w := start(t, "ecr", nil, "app")
	c := remotetest.NewContent(2)
	m := c.Image("linux", "amd64", c.Layer(10))
	for range 120 {
		c.Referrer(remotetest.SBOMType, m)
	}
	if err := w.direct.Push("app", c); err != nil {
		t.Fatal(err)
	}
	for i := range 1203 {
		if err := w.direct.PushManifest("app", fmt.Sprintf("v%04d", i), m); err != nil {
			t.Fatal(err)
		}
	}
	seen := map[ecr.Tag]bool{}
	pages := 0
	for page, err := range w.repository("app").Tags(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if pages++; page.More != (pages == 1) {
			t.Errorf("page %d: more is %t", pages, page.More)
		}
		for _, tag := range page.Items {
			seen[tag] = true
		}
	}
	if len(seen) != 1203 || pages != 2 {
		t.Errorf("%d tags on %d pages", len(seen), pages)
	}
	list, ok, err := w.repository("app").Referrers(t.Context(), m.Digest)
	if len(list) != 120 || !ok || err != nil {
		t.Errorf("%d referrers, %t, %v", len(list), ok, err)
	}
	// A reader that has enough ends the list.
	w.proxy.Reset()
	for _, err := range w.repository("app").Tags(t.Context()) {
		if err != nil {
			t.Error(err)
		}
		break
	}
	if n := len(w.proxy.Requests()); n != 1 {
		t.Errorf("%d requests for the first page", n)
	}
}

func TestErrors(t *testing.T) {
	w := start(t, "ecr", nil, "app")
	ctx, app := t.Context(), w.repository("app")
	c := remotetest.NewContent(3)
	one, two := c.Image("linux", "amd64", c.Layer(10)), c.Image("linux", "arm64", c.Layer(10))
	if err := w.direct.Push("app", c); err != nil {
		t.Fatal(err)
	}
	if err := w.direct.PushManifest("app", "1.0", one); err != nil {
		t.Fatal(err)
	}
	only := func(actions string) *remote.Repository {
		t.Helper()
		name := strings.ReplaceAll(strings.Trim(actions, `"`), ":", "-")
		password := w.user(name, `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["ecr:GetAuthorizationToken",`+actions+`],"Resource":"*"}]}`)
		r := w.connect(func(cfg *remote.Config) { cfg.Credentials = static("AWS", password) })
		return remotetest.Must[*remote.Repository](t)(r.Repository("app"))
	}
	reader := only(`"ecr:BatchGetImage"`)
	putTwo := remote.Manifest{MediaType: two.MediaType, Digest: two.Digest, Body: two.Body}
	absent := string(ecr.DigestOf([]byte("absent")))
	resolve := func(r *remote.Repository, reference string) error { _, err := r.Resolve(ctx, reference); return err }
	tests := []struct {
		name string
		err  error
		code ecr.Code
		want []string
	}{
		{"no such tag", resolve(app, "2.0"), ecr.CodeImageNotFound,
			[]string{"registry prod: repository app: read manifest 2.0: MANIFEST_UNKNOWN: Requested image not found"}},
		{"no such repository", resolve(w.repository("nowhere"), "2.0"), ecr.CodeRepositoryNotFound,
			[]string{"registry prod: repository nowhere: read manifest 2.0: NAME_UNKNOWN: The repository with name 'nowhere' does not exist"}},
		{"an immutable tag", app.PutManifest(ctx, putTwo, "1.0"), ecr.CodeImageTagAlreadyExists, []string{"write manifest 1.0: TAG_INVALID: ", "immutable"}},
		{"a missing layer", app.PutManifest(ctx, remote.Manifest{MediaType: one.MediaType, Body: bytes.ReplaceAll(one.Body, []byte("sha256:"), []byte("sha256:00"))}, "x"), ecr.CodeInvalidParameter, nil},
		{"pushing without the right", reader.PutManifest(ctx, putTwo, "3.0"), ecr.CodeAccessDenied,
			[]string{"the caller needs ecr:PutImage: add ", `"Action":"ecr:PutImage","Resource":"arn:aws:ecr:us-east-1:111111111111:repository/app"} to its IAM policy`}},
		{"referrers without the right", func() error { _, _, err := reader.Referrers(ctx, one.Digest); return err }(), ecr.CodeAccessDenied,
			[]string{"list what refers to " + string(one.Digest), `the caller needs ecr:ListImageReferrers and ecr:BatchGetImage: add {"Effect":"Allow","Action":["ecr:ListImageReferrers","ecr:BatchGetImage"]`}},
		{"tags without the right", func() error {
			for _, err := range reader.Tags(ctx) {
				return err
			}
			return nil
		}(), ecr.CodeAccessDenied, []string{"repository app: list tags: DENIED", "ecr:ListImages"}},
		{"a HEAD without the right", func() error { _, err := reader.Exists(ctx, one.Digest); return err }(), ecr.CodeAccessDenied,
			[]string{"look for blob " + string(one.Digest), "403 Forbidden", "ecr:BatchCheckLayerAvailability"}},
		{"uploading without the right", reader.PutBlob(ctx, remote.Blob{Digest: one.Digest, Size: 1}, nil, open([]byte("x")), nil), ecr.CodeAccessDenied,
			[]string{"start the upload of blob", "ecr:InitiateLayerUpload"}},
		{"no such blob", func() error {
			_, err := app.OpenBlob(ctx, remote.Blob{Digest: ecr.Digest(absent), Size: 1}, 0)
			return err
		}(), ecr.CodeLayersNotFound, []string{"read blob " + absent + ": BLOB_UNKNOWN"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			contains(t, tt.err, tt.want...)
			var e *remote.Error
			if !errors.As(tt.err, &e) || e.Code != tt.code || ecr.CodeOf(tt.err) != tt.code || !errors.Is(tt.err, &ecr.Error{Code: tt.code}) {
				t.Errorf("%#v, want code %s", tt.err, tt.code)
			}
		})
	}
	var e *remote.Error
	if err := reader.PutManifest(ctx, putTwo, "3.0"); !errors.As(err, &e) ||
		e.Registry != "prod" || e.Repository != "app" || e.Object != "3.0" || e.Action != remote.WriteManifest ||
		!slices.Equal(e.Permissions, []access.Action{"ecr:PutImage"}) || e.Status != 403 || e.Wire != "DENIED" {
		t.Errorf("%+v", e)
	}
	// Another registry knows pull and push only.
	plain := w.connect(func(cfg *remote.Config) { cfg.Registry, cfg.Name = ecr.RegistryID{}, "" })
	w.proxy.On("^PUT", -1, remotetest.Answer(403, `{"errors":[{"code":"DENIED","message":"no"}]}`))
	err := remotetest.Must[*remote.Repository](t)(plain.Repository("app")).PutManifest(ctx, putTwo, "3.0")
	contains(t, err, "registry "+w.proxy.Host+": ", "DENIED: no (the login may not push there: ", "docker login "+w.proxy.Host)
}

func TestLogins(t *testing.T) {
	w := start(t, "ecr", nil, "app")
	as := func(s remote.Source) error {
		r := w.connect(func(cfg *remote.Config) { cfg.Credentials = s })
		_, err := remotetest.Must[*remote.Repository](t)(r.Repository("app")).Resolve(t.Context(), "1.0")
		return err
	}
	contains(t, as(nil), "there is no password for it: run `docker login "+w.proxy.Host+"`")
	contains(t, as(static("AWS", "wrong")), "the password is not accepted")
	contains(t, as(remote.SourceFunc(func(context.Context, string) (remote.Credential, error) {
		return remote.Credential{}, errors.New("assuming the role: denied")
	})), "registry prod: repository app: read manifest 1.0: getting the password: assuming the role: denied")
	for _, err := range []error{as(nil), as(static("AWS", "wrong"))} {
		if ecr.CodeOf(err) != ecr.CodeUnrecognizedClient || strings.Contains(err.Error(), "wrong") {
			t.Error(err)
		}
	}
	// What docker is logged in with.
	docker := dockerauth.Config{Path: w.kontor.DockerConfig(t) + "/config.json"}
	b := remotetest.Must[string](t)(docker.Store([]string{w.proxy.Host}, "AWS", w.direct.Password))
	if err := as(remote.Docker(dockerauth.Config{Path: t.TempDir() + "/none.json"}, docker)); ecr.CodeOf(err) != ecr.CodeImageNotFound {
		t.Errorf("with %s: %v", b, err)
	}
	// A registry with the ECR API need not say first how to log in.
	w.proxy.Reset()
	if err := as(static("AWS", w.direct.Password)); ecr.CodeOf(err) != ecr.CodeImageNotFound || len(w.proxy.Requests()) != 2 { // HEAD, and GET for why
		t.Errorf("%v, after %d requests", err, len(w.proxy.Requests()))
	}
}

// A credential is renewed before it ends, and when it is no longer accepted.
func TestCredentialsAreRenewed(t *testing.T) {
	w := start(t, "ecr", nil, "app")
	c := remotetest.NewContent(4)
	m := c.Image("linux", "amd64", c.Layer(10))
	if err := w.direct.Push("app", c); err != nil {
		t.Fatal(err)
	}
	now := atomic.Int64{}
	begin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	clock := func() time.Time { return begin.Add(time.Duration(now.Load())) }
	var asked atomic.Int64
	password := atomic.Value{}
	password.Store(w.direct.Password)
	w.client = w.connect(func(cfg *remote.Config) {
		cfg.Now = clock
		cfg.Credentials = remote.SourceFunc(func(_ context.Context, host string) (remote.Credential, error) {
			asked.Add(1)
			if host != w.proxy.Host {
				t.Errorf("asked for %s", host)
			}
			return remote.Credential{User: "AWS", Password: password.Load().(string), ExpiresAt: clock().Add(12 * time.Hour)}, nil
		})
	})
	app := w.repository("app")
	resolve := func(t *testing.T) {
		t.Helper()
		if _, err := app.Resolve(t.Context(), string(m.Digest)); err != nil {
			t.Fatal(err)
		}
	}
	want := func(n int64) {
		t.Helper()
		if got := asked.Load(); got != n {
			t.Errorf("credentials were asked for %d times, want %d", got, n)
		}
	}
	resolve(t)
	now.Store(int64(8 * time.Hour))
	resolve(t)
	want(1)
	now.Store(int64(9 * time.Hour))
	resolve(t)
	want(2)

	// The key is gone, and its password with it: the next one is used, for the
	// call in hand, too.
	users := iam.NewFromConfig(awstest.Config(w.kontor, w.kontor.Admin))
	name := aws.String("ci")
	password.Store(w.user(*name, `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"ecr:*","Resource":"*"}]}`))
	now.Store(int64(18 * time.Hour))
	resolve(t)
	want(3)
	keys := remotetest.Must[*iam.ListAccessKeysOutput](t)(users.ListAccessKeys(t.Context(), &iam.ListAccessKeysInput{UserName: name}))
	remotetest.Must[*iam.DeleteAccessKeyOutput](t)(users.DeleteAccessKey(t.Context(), &iam.DeleteAccessKeyInput{UserName: name, AccessKeyId: keys.AccessKeyMetadata[0].AccessKeyId}))
	password.Store(w.direct.Password)
	content := []byte("uploaded meanwhile")
	if err := app.PutBlob(t.Context(), remote.Blob{Digest: ecr.DigestOf(content), Size: int64(len(content))}, nil, open(content), nil); err != nil {
		t.Fatal(err)
	}
	want(4)

	// As ECR says it, to a GET and, without a body, to a HEAD.
	for _, method := range []string{"GET", "HEAD"} {
		t.Run(method, func(t *testing.T) {
			w.within(t)
			w.proxy.On("^"+method, 1, remotetest.Answer(403, `{"errors":[{"code":"DENIED","message":"Your authorization token has expired. Reauthenticate and try again."}]}`))
			password.Store(w.token(w.kontor.Pusher.AccessKeyID, w.kontor.Pusher.SecretAccessKey))
			now.Add(int64(time.Minute))
			if _, err := app.Manifest(t.Context(), string(m.Digest)); err != nil {
				t.Error(err)
			}
			resolve(t)
		})
	}
	want(6)
}

// Reads that are cut go on; content that is another is not believed.
func TestOpenBlobResumes(t *testing.T) {
	content := bytes.Repeat([]byte("0123456789abcdef"), 8<<10) // 128 KiB
	b := remote.Blob{Digest: ecr.DigestOf(content), Size: int64(len(content))}
	read := func(w *world, b remote.Blob) ([]byte, error) {
		r, err := w.repository("app").OpenBlob(w.t.Context(), b, 0)
		if err != nil {
			return nil, err
		}
		got, err := io.ReadAll(r)
		return got, errors.Join(err, r.Close())
	}
	w := start(t, "ecr", nil, "app")
	if err := w.direct.PushBlob("app", b.Digest, content); err != nil {
		t.Fatal(err)
	}
	if _, err := w.repository("app").Exists(t.Context(), b.Digest); err != nil { // logs in
		t.Fatal(err)
	}
	t.Run("cut three times", func(t *testing.T) {
		w.proxy.Reset()
		for _, n := range []int64{1000, 50_000, 1} {
			w.proxy.On("^GET .*/blobs/", 1, remotetest.Cut(n))
		}
		got, err := read(w, b)
		if err != nil || !bytes.Equal(got, content) {
			t.Fatalf("%d bytes, %v", len(got), err)
		}
		var ranges []string
		for _, r := range w.proxy.Requests() {
			ranges = append(ranges, r.Header.Get("Range"))
		}
		if len(ranges) != 4 || ranges[0] != "" || !slices.IsSortedFunc(ranges, func(a, b string) int { return len(a) - len(b) }) || !strings.HasPrefix(ranges[3], "bytes=") {
			t.Errorf("asked for %q", ranges)
		}
	})
	t.Run("a registry without ranges", func(t *testing.T) {
		w.proxy.Reset()
		w.proxy.On("^GET", 1, remotetest.Cut(70_000))
		w.proxy.On("^GET", 1, func(x *remotetest.Exchange) { x.R.Header.Del("Range"); x.Pass() })
		if got, err := read(w, b); err != nil || !bytes.Equal(got, content) {
			t.Errorf("%d bytes, %v", len(got), err)
		}
	})
	t.Run("a registry that refuses ranges", func(t *testing.T) {
		w.proxy.Reset()
		w.proxy.On("^GET", 1, remotetest.Cut(70_000))
		w.proxy.On("^GET", 1, remotetest.Answer(416, `{"errors":[{"code":"BLOB_UNKNOWN","message":"We don't understand your Range"}]}`))
		w.proxy.On("^GET", 1, remotetest.Cut(90_000)) // it is not asked for a range again
		if got, err := read(w, b); err != nil || !bytes.Equal(got, content) || w.proxy.Count("^GET") != 4 {
			t.Errorf("%d bytes after %d requests, %v", len(got), w.proxy.Count("^GET"), err)
		}
	})
	t.Run("cut after the last byte", func(t *testing.T) {
		w.proxy.Reset()
		w.proxy.On("^GET", 1, func(x *remotetest.Exchange) {
			// Its length is not told, and the end does not come.
			x.W.WriteHeader(200)
			_, _ = x.W.Write(content)
			_ = http.NewResponseController(x.W).Flush()
			time.Sleep(300 * time.Millisecond) // for the bytes to be read before the reset
			x.Drop()
		})
		if got, err := read(w, b); err != nil || !bytes.Equal(got, content) {
			t.Errorf("%d bytes, %v", len(got), err)
		}
	})
	t.Run("another range than asked for", func(t *testing.T) {
		w.proxy.Reset()
		w.proxy.On("^GET", 1, remotetest.Cut(70_000))
		w.proxy.On("^GET", 1, func(x *remotetest.Exchange) { x.R.Header.Set("Range", "bytes=10-"); x.Pass() })
		_, err := read(w, b)
		contains(t, err, "and got \"bytes 10-131071/131072\"")
	})
	t.Run("cut each time at once", func(t *testing.T) {
		w.proxy.Reset()
		w.proxy.On("^GET .*/blobs/", -1, remotetest.Cut(0))
		_, err := read(w, b)
		contains(t, err, "registry prod: repository app: read blob "+string(b.Digest)+": ")
		if ecr.CodeOf(err) != ecr.CodeUnavailable || w.proxy.Count("^GET") > 5 {
			t.Errorf("%v after %d requests", err, w.proxy.Count("^GET"))
		}
	})
	t.Run("other content", func(t *testing.T) {
		w.proxy.Reset()
		w.proxy.On("^GET", 1, remotetest.Answer(200, strings.Repeat("x", len(content))))
		_, err := read(w, b)
		if ecr.CodeOf(err) != ecr.CodeImageDigestDoesNotMatch {
			t.Error(err)
		}
		w.proxy.On("^GET", 1, remotetest.Answer(200, string(content)+"x"))
		if _, err = read(w, b); ecr.CodeOf(err) != ecr.CodeImageDigestDoesNotMatch {
			t.Error(err)
		}
	})
	t.Run("the context ends", func(t *testing.T) {
		w.proxy.Reset()
		w.proxy.On("^GET", 1, remotetest.Trickle(100, 10*time.Second))
		ctx, cancel := context.WithCancel(t.Context())
		r, err := w.repository("app").OpenBlob(ctx, b, 0)
		if err != nil {
			t.Fatal(err)
		}
		cancel()
		if _, err := io.ReadAll(r); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
}

// The storage that a registry redirects to gets no credentials, and its errors
// are not the registry's.
func TestRedirectToStorage(t *testing.T) {
	content := []byte("kept elsewhere")
	b := remote.Blob{Digest: ecr.DigestOf(content), Size: int64(len(content))}
	var fail atomic.Int64
	storage := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			t.Error("the storage got the credentials")
		}
		// An address is signed for GET.
		if r.Method != http.MethodGet || fail.Add(-1) >= 0 {
			http.Error(w, "<Error><Code>AccessDenied</Code></Error>", http.StatusForbidden)
			return
		}
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
	}))
	defer storage.Close()
	w := start(t, "ecr", nil, "app")
	w.proxy.On("^(GET|HEAD) .*/blobs/", -1, remotetest.Answer(307, "", "Location", storage.URL+"/x?sig=1"))
	app := w.repository("app")
	read := func() ([]byte, error) {
		r, err := app.OpenBlob(t.Context(), b, 0)
		if err != nil {
			return nil, err
		}
		got, err := io.ReadAll(r)
		return got, errors.Join(err, r.Close())
	}
	if _, err := app.Resolve(t.Context(), "x"); ecr.CodeOf(err) != ecr.CodeImageNotFound { // logs in
		t.Fatal(err)
	}
	if got, err := read(); err != nil || !bytes.Equal(got, content) {
		t.Errorf("%q, %v", got, err)
	}
	if ok, err := app.Exists(t.Context(), b.Digest); !ok || err != nil {
		t.Errorf("%t, %v", ok, err)
	}
	fail.Store(1) // an address that has expired: the registry gives another
	if got, err := read(); err != nil || !bytes.Equal(got, content) {
		t.Errorf("%q, %v", got, err)
	}
	fail.Store(100)
	_, err := read()
	contains(t, err, "the storage "+strings.TrimPrefix(storage.URL, "http://")+" answered 403 Forbidden")
	if ecr.CodeOf(err) != ecr.CodeUnavailable {
		t.Error(err)
	}
}

// A write that fails begins again in a new session.
func TestPutBlobBeginsAgain(t *testing.T) {
	w := start(t, "ecr", nil, "app")
	content := bytes.Repeat([]byte("0123456789abcdef"), 64<<10) // 1 MiB
	b := remote.Blob{Digest: ecr.DigestOf(content), Size: int64(len(content))}
	for name, effect := range map[string]remotetest.Effect{
		"reset":       remotetest.CutUpload(100_000),
		"503":         remotetest.Answer(503, ""),
		"429":         remotetest.Answer(429, `{"errors":[{"code":"TOOMANYREQUESTS","message":"Rate exceeded"}]}`),
		"answer lost": remotetest.Lose,
		"no session":  remotetest.Answer(404, `{"errors":[{"code":"BLOB_UPLOAD_UNKNOWN","message":"gone"}]}`),
		"logged out":  remotetest.Answer(401, ""),
	} {
		t.Run(name, func(t *testing.T) {
			w.proxy.Reset()
			w.proxy.On("^PUT .*/blobs/", 1, effect)
			content := append([]byte(name), content...)
			b := remote.Blob{Digest: ecr.DigestOf(content), Size: int64(len(content))}
			var opened, sent atomic.Int64
			err := w.repository("app").PutBlob(t.Context(), b, nil, func(context.Context) (io.ReadCloser, error) {
				opened.Add(1)
				return io.NopCloser(bytes.NewReader(content)), nil
			}, func(n int64) { sent.Add(n) })
			if err != nil {
				t.Fatal(err)
			}
			if got := w.direct.Blob(t, "app", b.Digest); !bytes.Equal(got, content) {
				t.Errorf("%d bytes arrived", len(got))
			}
			if opened.Load() != 2 || w.proxy.Count("^POST") < 2 || sent.Load() != b.Size {
				t.Errorf("opened %d times, %d sessions, %d bytes counted", opened.Load(), w.proxy.Count("^POST"), sent.Load())
			}
		})
	}
	t.Run("the source fails", func(t *testing.T) {
		w.proxy.Reset()
		failure := errors.New("the source is gone")
		err := w.repository("app").PutBlob(t.Context(), b, nil, func(context.Context) (io.ReadCloser, error) {
			return io.NopCloser(io.MultiReader(bytes.NewReader(content[:1000]), failing{failure})), nil
		}, nil)
		if !errors.Is(err, failure) || w.proxy.Count("^PUT") > 1 {
			t.Errorf("%v after %d requests", err, w.proxy.Count("^PUT"))
		}
		if err := w.repository("app").PutBlob(t.Context(), b, nil, func(context.Context) (io.ReadCloser, error) { return nil, failure }, nil); !errors.Is(err, failure) {
			t.Error(err)
		}
	})
	t.Run("the registry refuses", func(t *testing.T) {
		w.proxy.Reset()
		other := b
		other.Digest = ecr.DigestOf([]byte("other"))
		err := w.repository("app").PutBlob(t.Context(), other, nil, open(content), nil)
		contains(t, err, "upload blob "+string(other.Digest), "None of the provided layer digests match")
		if ecr.CodeOf(err) != ecr.CodeInvalidParameter || w.proxy.Count("^PUT") != 1 {
			t.Errorf("%v after %d requests", err, w.proxy.Count("^PUT"))
		}
	})
	t.Run("a session elsewhere", func(t *testing.T) {
		w.proxy.Reset()
		w.proxy.On("^POST", -1, remotetest.Answer(202, "", "Location", "http://elsewhere.example/upload"))
		err := w.repository("app").PutBlob(t.Context(), b, nil, open(content), nil)
		contains(t, err, "the registry sends to http://elsewhere.example, which is not itself")
	})
}

type failing struct{ err error }

// Read fails.
func (f failing) Read([]byte) (int, error) { return 0, f.err }

// A registry that is busy or broken is asked again, as it says.
func TestTriesAgain(t *testing.T) {
	const busy = `{"errors":[{"code":"TOOMANYREQUESTS","message":"Rate exceeded"}]}`
	w := start(t, "ecr", nil, "app")
	c := remotetest.NewContent(5)
	m := c.Image("linux", "amd64", c.Layer(10))
	if err := w.direct.Push("app", c); err != nil {
		t.Fatal(err)
	}
	app, put := w.repository("app"), remote.Manifest{MediaType: m.MediaType, Digest: m.Digest, Body: m.Body}
	manifest := func() error { _, err := app.Manifest(t.Context(), string(m.Digest)); return err }
	for name, tt := range map[string]struct {
		effect remotetest.Effect
		do     func() error
		least  time.Duration // waited
	}{
		"503":                       {remotetest.Answer(503, "busy"), manifest, 0},
		"502 of a balancer":         {remotetest.Answer(502, "<html>"), manifest, 0},
		"dropped":                   {remotetest.Drop, manifest, 0},
		"a body that is cut":        {remotetest.Cut(10), manifest, 0},
		"429 with seconds":          {remotetest.Answer(429, busy, "Retry-After", "1"), manifest, time.Second},
		"429 with a date":           {remotetest.Answer(429, busy, "Retry-After", time.Now().Add(time.Hour).UTC().Format(http.TimeFormat)), nil, 0},
		"503 with seconds":          {remotetest.Answer(503, "", "Retry-After", "1"), manifest, time.Second},
		"a write that is dropped":   {remotetest.Drop, func() error { return app.PutManifest(t.Context(), put, "a") }, 0},
		"a write, its answer lost":  {remotetest.Lose, func() error { return app.PutManifest(t.Context(), put, "b") }, 0},
		"a session that is dropped": {remotetest.Drop, func() error { _, _, err := app.Mount(t.Context(), m.Digest, "app"); return err }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			w.proxy.Reset()
			w.waits = nil
			w.proxy.On("", 1, tt.effect)
			if tt.do == nil {
				// An hour is longer than anyone waits.
				if err := manifest(); ecr.CodeOf(err) != ecr.CodeThrottling || len(w.proxy.Requests()) != 1 {
					t.Errorf("%v after %v", err, w.proxy.Requests())
				}
				return
			}
			if err := tt.do(); err != nil {
				t.Fatal(err)
			}
			if len(w.waits) == 0 && len(w.proxy.Requests()) > 1 {
				return // the transport itself, for a connection that it had used before
			}
			if len(w.waits) != 1 || w.waits[0].For < tt.least || w.waits[0].Registry != "prod" || w.waits[0].Err == nil {
				t.Errorf("waited %+v", w.waits)
			}
		})
	}
	t.Run("in the end it is an error", func(t *testing.T) {
		w.proxy.Reset()
		w.proxy.On("", -1, remotetest.Drop)
		began := time.Now()
		err := manifest()
		contains(t, err, "registry prod: repository app: read manifest "+string(m.Digest)+": ")
		if n := len(w.proxy.Requests()); ecr.CodeOf(err) != ecr.CodeUnavailable || n > 6 {
			t.Errorf("%v after %d requests and %s", err, n, time.Since(began))
		}
	})
	t.Run("nothing listens", func(t *testing.T) {
		r := w.connect(func(cfg *remote.Config) { cfg.Host = "127.0.0.1:1" })
		_, err := remotetest.Must[*remote.Repository](t)(r.Repository("app")).Resolve(t.Context(), "x")
		contains(t, err, "nothing listens there")
	})
	t.Run("no TLS", func(t *testing.T) {
		r := w.connect(func(cfg *remote.Config) { cfg.PlainHTTP = false })
		_, err := remotetest.Must[*remote.Repository](t)(r.Repository("app")).Resolve(t.Context(), "x")
		contains(t, err, "the server speaks no TLS")
	})
	t.Run("an unknown authority", func(t *testing.T) {
		s := httptest.NewTLSServer(http.NotFoundHandler())
		defer s.Close()
		s.Config.ErrorLog = nil
		r := w.connect(func(cfg *remote.Config) { cfg.PlainHTTP, cfg.Host = false, strings.TrimPrefix(s.URL, "https://") })
		_, err := remotetest.Must[*remote.Repository](t)(r.Repository("app")).Resolve(t.Context(), "x")
		contains(t, err, "the server's certificate is not trusted")
	})
	t.Run("the context ends", func(t *testing.T) {
		w.proxy.Reset()
		w.proxy.On("", -1, remotetest.Answer(429, busy, "Retry-After", "60"))
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		if _, err := app.Manifest(ctx, string(m.Digest)); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	})
}

// Silence ends a call; slowness, here and there, does not.
func TestSilence(t *testing.T) {
	const limit = time.Second // less would be a pause of a busy machine
	content := bytes.Repeat([]byte("0123456789"), 100)
	b := remote.Blob{Digest: ecr.DigestOf(content), Size: int64(len(content))}
	w := start(t, "ecr", func(cfg *remote.Config) { cfg.Silence = limit }, "app")
	app := w.repository("app")
	if err := app.PutBlob(t.Context(), b, nil, open(content), nil); err != nil {
		t.Fatal(err)
	}
	t.Run("no answer", func(t *testing.T) {
		w.proxy.On("", -1, remotetest.Hang)
		_, err := app.Resolve(t.Context(), "x")
		contains(t, err, "the registry said nothing for too long")
		w.proxy.Reset()
	})
	t.Run("half an answer", func(t *testing.T) {
		w.proxy.On("^GET", 1, remotetest.Trickle(500, time.Hour))
		r, err := app.OpenBlob(t.Context(), b, 0)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r)
		if err != nil || !bytes.Equal(got, content) || len(w.waits) == 0 {
			t.Errorf("%d bytes, %v, %v", len(got), err, w.waits)
		}
		w.proxy.Reset()
	})
	w.waits = nil
	t.Run("a slow answer", func(t *testing.T) {
		w.proxy.On("^GET", 1, remotetest.Trickle(50, limit/6)) // three limits in all
		r, err := app.OpenBlob(t.Context(), b, 0)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, content) || len(w.waits) != 0 {
			t.Errorf("%d bytes, %v, %v", len(got), err, w.waits)
		}
	})
	t.Run("a slow reader", func(t *testing.T) {
		r, err := app.OpenBlob(t.Context(), b, 0)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * limit)
		if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, content) || len(w.waits) != 0 {
			t.Errorf("%d bytes, %v, %v", len(got), err, w.waits)
		}
	})
	t.Run("a slow source", func(t *testing.T) {
		other := append([]byte("x"), content...)
		err := app.PutBlob(t.Context(), remote.Blob{Digest: ecr.DigestOf(other), Size: int64(len(other))}, nil, func(context.Context) (io.ReadCloser, error) {
			return io.NopCloser(&slow{b: other, pause: 2 * limit}), nil
		}, nil)
		if err != nil || len(w.waits) != 0 {
			t.Errorf("%v, %v", err, w.waits)
		}
	})
}

// slow pauses before each of two halves.
type slow struct {
	b     []byte
	pause time.Duration
	n     int
}

// Read reads one half.
func (s *slow) Read(p []byte) (int, error) {
	if s.n == len(s.b) {
		return 0, io.EOF
	}
	time.Sleep(s.pause)
	n := copy(p, s.b[s.n:min(len(s.b), s.n+len(s.b)/2+1)])
	s.n += n
	return n, nil
}

// Registries differ in what they tell.
func TestOtherAnswers(t *testing.T) {
	w := start(t, "oci", nil, "app")
	c := remotetest.NewContent(6)
	m := c.Image("linux", "amd64", c.Layer(10))
	c.Referrer(remotetest.SBOMType, m)
	if err := w.direct.Push("app", c); err != nil {
		t.Fatal(err)
	}
	app := w.repository("app")
	t.Run("no digest", func(t *testing.T) {
		w.proxy.On("^HEAD", -1, remotetest.Strip("Docker-Content-Digest"))
		w.proxy.On("^GET", -1, remotetest.Strip("Docker-Content-Digest"))
		if err := w.direct.PushManifest("app", "1.0", m); err != nil {
			t.Fatal(err)
		}
		for _, reference := range []string{"1.0", string(m.Digest)} {
			t.Run(reference, func(t *testing.T) {
				if d, err := app.Resolve(t.Context(), reference); err != nil || d.Digest != m.Digest || d.MediaType != m.MediaType {
					t.Errorf("%+v, %v", d, err)
				}
			})
		}
		w.proxy.Reset()
	})
	t.Run("another manifest", func(t *testing.T) {
		w.proxy.On("^GET", 1, remotetest.Answer(200, `{"schemaVersion":2}`, "Content-Type", m.MediaType))
		_, err := app.Manifest(t.Context(), string(m.Digest))
		if ecr.CodeOf(err) != ecr.CodeImageDigestDoesNotMatch {
			t.Error(err)
		}
		w.proxy.On("^HEAD", 1, remotetest.Answer(200, "", "Content-Type", m.MediaType, "Docker-Content-Digest", string(ecr.DigestOf(nil))))
		if _, err := app.Resolve(t.Context(), string(m.Digest)); ecr.CodeOf(err) != ecr.CodeImageDigestDoesNotMatch {
			t.Error(err)
		}
		w.proxy.On("^PUT", 1, remotetest.Answer(201, "", "Docker-Content-Digest", string(ecr.DigestOf(nil))))
		if err := app.PutManifest(t.Context(), remote.Manifest{MediaType: m.MediaType, Digest: m.Digest, Body: m.Body}, "2.0"); ecr.CodeOf(err) != ecr.CodeImageDigestDoesNotMatch {
			t.Error(err)
		}
		w.proxy.Reset()
	})
	t.Run("referrers", func(t *testing.T) {
		for name, tt := range map[string]struct {
			effect remotetest.Effect
			ok     bool
			code   ecr.Code
		}{
			"there":          {func(x *remotetest.Exchange) { x.Pass() }, true, ""},
			"no such path":   {remotetest.Answer(404, "404 page not found\n", "Content-Type", "text/plain"), false, ""},
			"a page":         {remotetest.Answer(200, "<html>", "Content-Type", "text/html"), false, ""},
			"parameters":     {remotetest.Answer(200, `{"manifests":[]}`, "Content-Type", "application/vnd.oci.image.index.v1+json; charset=utf-8"), true, ""},
			"no repository":  {remotetest.Answer(404, `{"errors":[{"code":"NAME_UNKNOWN"}]}`), false, ecr.CodeRepositoryNotFound},
			"denied":         {remotetest.Answer(403, `{"errors":[{"code":"DENIED","message":"x"}]}`), false, ecr.CodeAccessDenied},
			"no JSON":        {remotetest.Answer(200, `{`, "Content-Type", "application/vnd.oci.image.index.v1+json"), false, ecr.CodeInvalidParameter},
			"a bad digest":   {remotetest.Answer(200, `{"manifests":[{"digest":"../x"}]}`, "Content-Type", "application/vnd.oci.image.index.v1+json"), false, ecr.CodeInvalidParameter},
			"next elsewhere": {remotetest.Answer(200, `{"manifests":[]}`, "Content-Type", "application/vnd.oci.image.index.v1+json", "Link", `<http://elsewhere.example/>; rel="next"`), false, ecr.CodeInvalidParameter},
		} {
			t.Run(name, func(t *testing.T) {
				w.proxy.Reset()
				w.proxy.On("^GET .*/referrers/", 1, tt.effect)
				_, ok, err := app.Referrers(t.Context(), m.Digest)
				if ok != tt.ok || ecr.CodeOf(err) != tt.code {
					t.Errorf("%t, %v", ok, err)
				}
			})
		}
	})
}

// bearer is a registry with tokens: it knows who may what by a token that its
// token server gives out for the scopes asked for, each for few requests.
type bearer struct {
	t      *testing.T
	target remotetest.Registry
	server *httptest.Server

	mu     sync.Mutex
	tokens map[string]string // scope by token; guarded by mu
	left   map[string]int    // requests by token; guarded by mu
	scopes []string          // asked for; guarded by mu
}

func (b *bearer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if r.URL.Path == "/token" {
		user, password, _ := r.BasicAuth()
		if user != b.target.User || password != b.target.Password {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		scope := strings.Join(r.URL.Query()["scope"], " ")
		token := fmt.Sprintf("token-%d", len(b.tokens))
		b.tokens[token], b.left[token] = scope, 3
		b.scopes = append(b.scopes, scope)
		_ = json.NewEncoder(w).Encode(map[string]string{"token": token})
		return
	}
	action := "pull"
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		action = "push"
	}
	token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	if b.left[token]--; b.left[token] < 0 || !strings.Contains(b.tokens[token], action) {
		w.Header().Set("Www-Authenticate", fmt.Sprintf(`Bearer realm="%s/token",service="test",scope="repository:app:%s"`, b.server.URL, action))
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		b.t.Error(err)
	}
	resp, got, err := b.target.Do(r.Method, strings.TrimPrefix(r.URL.RequestURI(), "/v2/"), r.Header.Get("Content-Type"), body)
	if err != nil {
		b.t.Error(err)
		return
	}
	for name, values := range resp.Header {
		w.Header()[name] = values
	}
	w.WriteHeader(resp.StatusCode)
	_, _ = w.Write(got)
}

func TestBearerTokens(t *testing.T) {
	w := start(t, "oci", nil, "app")
	b := &bearer{t: t, target: w.direct, tokens: map[string]string{}, left: map[string]int{}}
	b.server = httptest.NewServer(b)
	defer b.server.Close()
	host := remotetest.Must[*url.URL](t)(url.Parse(b.server.URL)).Host
	w.client = w.connect(func(cfg *remote.Config) { cfg.Host, cfg.Registry = host, ecr.RegistryID{} })
	app := w.repository("app")
	c := remotetest.NewContent(7)
	m := c.Image("linux", "amd64", c.Layer(1000), c.Layer(2000), c.Layer(3000))
	for d, content := range c.Blobs { // more requests than a token is good for
		if err := app.PutBlob(t.Context(), remote.Blob{Digest: d, Size: int64(len(content))}, nil, open(content), nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := app.PutManifest(t.Context(), remote.Manifest{MediaType: m.MediaType, Digest: m.Digest, Body: m.Body}, "1.0"); err != nil {
		t.Fatal(err)
	}
	if got, err := app.Manifest(t.Context(), "1.0"); err != nil || !bytes.Equal(got.Body, m.Body) {
		t.Error(err)
	}
	if len(b.scopes) < 3 || !slices.Contains(b.scopes, "repository:app:pull,push") || !slices.Contains(b.scopes, "repository:app:pull") {
		t.Errorf("scopes %q", b.scopes)
	}
	w.client = w.connect(func(cfg *remote.Config) { cfg.Host, cfg.Credentials = host, static("AWS", "wrong") })
	_, err := w.repository("app").Resolve(t.Context(), "1.0")
	contains(t, err, "read manifest 1.0: getting a token: ")
	if ecr.CodeOf(err) != ecr.CodeUnrecognizedClient {
		t.Error(err)
	}
}

func TestNew(t *testing.T) {
	for host, want := range map[string]bool{
		"registry.example:5000": true, "[::1]:5000": true, "docker.io": true, "localhost": true,
		"": false, "a/b": false, "https://a": false, "a b": false, "a:b": false, "user@a": false, "-a": false,
	} {
		t.Run("host "+host, func(t *testing.T) {
			if _, err := remote.New(remote.Config{Host: host, Now: time.Now}); (err == nil) != want {
				t.Errorf("%q: %v", host, err)
			}
		})
	}
	r := remotetest.Must[*remote.Registry](t)(remote.New(remote.Config{Host: "111111111111.dkr.ecr.eu-west-1.amazonaws.com", Now: time.Now}))
	if id, ok := r.ECR(); !ok || id != (ecr.RegistryID{Account: "111111111111", Region: "eu-west-1"}) {
		t.Errorf("%v, %t", id, ok)
	}
	for name, want := range map[string]bool{"a": true, "team/app": true, "": false, "../x": false, "Team": false, "a//b": false, strings.Repeat("a", 256): false} {
		t.Run("repository "+name, func(t *testing.T) {
			if _, err := r.Repository(ecr.RepositoryName(name)); (err == nil) != want {
				t.Errorf("%q: %v", name, err)
			}
		})
	}
}

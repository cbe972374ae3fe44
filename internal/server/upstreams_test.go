package server_test

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/access/iam"
	"github.com/kontor-registry/kontor/internal/registry"
	"github.com/kontor-registry/kontor/internal/server"
	"github.com/kontor-registry/kontor/internal/store/meta"
	"github.com/kontor-registry/kontor/internal/upstream"
)

// oneReader is a store that one transaction reads from at a time: a second one waits
// until the first has ended, or its request.
type oneReader struct {
	meta.Store
	place chan struct{}
}

func (s *oneReader) View(ctx context.Context, fn func(context.Context, meta.Reader) error) error {
	r, end, err := s.Snapshot(ctx)
	if err != nil {
		return err
	}
	defer end()
	return fn(ctx, r)
}

func (s *oneReader) Snapshot(ctx context.Context) (meta.Reader, func(), error) {
	select {
	case s.place <- struct{}{}:
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
	r, end, err := s.Store.Snapshot(ctx)
	if err != nil {
		<-s.place
		return nil, nil, err
	}
	return r, func() { end(); <-s.place }, nil
}

// No request waits for a second place among those that read while it holds one: where
// all are taken, it would wait for itself.
func TestOneReaderIsEnough(t *testing.T) {
	const up = "127.0.0.1:1" // where nothing listens
	w := start(t, t.TempDir(), func(c *server.Config) {
		c.Meta = &oneReader{c.Meta, make(chan struct{}, 1)}
		c.Compat = registry.CompatOCI
		c.Upstreams = []upstream.Host{{Host: up, Private: true, PlainHTTP: true}}
	})
	password := w.password(here, pusher)
	w.create(here, "app")
	image, layer := w.push(here, password, "app", "v1", "layer")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	ask := func(path string, status int) {
		t.Helper()
		for _, method := range []string{"GET", "HEAD"} {
			r := w.basic(here, password, method, path, "")
			resp, err := http.DefaultClient.Do(r.WithContext(ctx))
			if err != nil {
				t.Fatalf("%s %s: %v", method, path, err)
			}
			if a := readAnswer(t, resp); a.status != status && !(method == "HEAD" && a.status == http.StatusMethodNotAllowed) {
				t.Errorf("%s %s: %d %s, want %d", method, path, a.status, a.body, status)
			}
		}
	}
	all := func() {
		t.Helper()
		for _, ns := range []string{"", "?ns=" + w.hosts[here], "?ns=localhost:5001"} {
			ask("/v2/app/manifests/v1"+ns, 200)
			ask("/v2/app/manifests/"+string(image)+ns, 200)
			ask("/v2/app/blobs/"+string(layer)+ns, 200)
			ask("/v2/app/referrers/"+string(image)+ns, 200)
			ask("/v2/app/tags/list"+ns, 200)
			ask("/v2/none/manifests/v1"+ns, 404)
			ask("/v2/app/blobs/"+string(image)+ns, 404)
		}
	}
	all()
	admin := w.server.Upstreams().As(access.Principal{System: "test"})
	if _, err := admin.CreateRule(ctx, here, upstream.NewRule{Prefix: "up", URL: up}); err != nil {
		t.Fatal(err)
	}
	all()
	w.create(here, "up/app")
	image, layer = w.push(here, password, "up/app", "v1", "layer")
	for _, may := range []bool{false, true} {
		missing := 404
		if may {
			missing = 503 // it tries
			w.mayFetch("*")
		}
		ask("/v2/up/app/manifests/v1", 200)
		ask("/v2/up/app/referrers/"+string(image), 200)
		ask("/v2/app/manifests/v1?ns="+up, 200)
		ask("/v2/app/blobs/"+string(layer)+"?ns="+up, 200)
		ask("/v2/app/referrers/"+string(image)+"?ns="+up, 200)
		ask("/v2/app/manifests/v2?ns="+up, missing)
		ask("/v2/up/none/manifests/v2", missing)
		ask("/v2/up/app/blobs/"+string(image), missing)
	}
}

// A token that may pull can make first pulls, where its user may.
func TestFirstPullWithMachineToken(t *testing.T) {
	o := start(t, t.TempDir())
	password := o.password(here, pusher)
	o.create(here, "app")
	image, _ := o.push(here, password, "app", "v1", "layer")
	w := start(t, t.TempDir(), compatOCI, func(c *server.Config) {
		c.Upstreams = []upstream.Host{{Host: o.hosts[here], Private: true, PlainHTTP: true}}
	})
	rules := w.server.Upstreams().As(access.Principal{System: "test"})
	secret, err := rules.PutSecret(t.Context(), here, "origin", upstream.Login{Username: "AWS", AccessToken: password})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := rules.CreateRule(t.Context(), here, upstream.NewRule{Prefix: "up", URL: o.hosts[here], CredentialARN: secret.ARN}); err != nil {
		t.Fatal(err)
	}
	token := w.token(iam.NewMachineToken{User: pusher, Name: "flux", Pull: []string{"up/*"}})
	elsewhere := w.token(iam.NewMachineToken{User: pusher, Name: "argo", Pull: []string{"team/*"}})
	get := func(password string) answer {
		return w.do(w.basic(here, password, "GET", "/v2/up/app/manifests/v1", ""))
	}
	w.want(get(token), 404)
	w.mayFetch("up/*")
	w.want(get(elsewhere), 403)
	if got := w.want(get(token), 200).header.Get("Docker-Content-Digest"); got != string(image) {
		t.Errorf("it gets %s, want %s", got, image)
	}
}

// mayFetch lets the pusher make first pulls into the repositories of a pattern.
func (w *world) mayFetch(pattern string) {
	w.t.Helper()
	policy := fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::%s:user/pusher"},`+
		`"Action":["ecr:CreateRepository","ecr:BatchImportUpstreamImage"],"Resource":"arn:aws:ecr:*:*:repository/%s"}]}`, here.Account, pattern)
	if _, err := w.server.Registry().System("test").SetRegistryPolicy(w.t.Context(), here, policy); err != nil {
		w.t.Fatal(err)
	}
}

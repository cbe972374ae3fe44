package server_test

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/kontor-registry/kontor/internal/access"
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
			policy := fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::%s:user/pusher"},`+
				`"Action":["ecr:CreateRepository","ecr:BatchImportUpstreamImage"],"Resource":"*"}]}`, here.Account)
			if _, err := w.server.Registry().System("test").SetRegistryPolicy(ctx, here, policy); err != nil {
				t.Fatal(err)
			}
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

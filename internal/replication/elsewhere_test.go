package replication_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/front/ociapi"
	"github.com/kontor-registry/kontor/internal/gate"
	"github.com/kontor-registry/kontor/internal/registry"
	"github.com/kontor-registry/kontor/internal/remote"
	"github.com/kontor-registry/kontor/internal/remote/remotetest"
	"github.com/kontor-registry/kontor/internal/replication"
	"github.com/kontor-registry/kontor/internal/testkit"
)

// far is another installation, behind a proxy that counts and fails.
type far struct {
	*testkit.World
	proxy *remotetest.Proxy
}

func openFar(t *testing.T, compat registry.Compat) *far {
	f := &far{World: testkit.Open(t, testkit.Settings{Compat: compat})}
	oci := ociapi.New(ociapi.Config{Registry: f.Registry, Upstreams: f.Upstreams, Log: discard})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "kontor" || password != "secret" {
			ociapi.WriteUnauthorized(w, r.Host)
			return
		}
		oci.Serve(w, r, f.Gate.As(testkit.Admin), testkit.Home, "request-1")
	}))
	t.Cleanup(server.Close)
	f.proxy = remotetest.Start(t, strings.TrimPrefix(server.URL, "http://"))
	return f
}

// elsewhere makes west of a world the registry far.
func elsewhere(f *far, change ...func(*replication.Elsewhere)) func(*testkit.Settings) {
	e := replication.Elsewhere{Host: f.proxy.Host, PlainHTTP: true, Login: remote.SourceFunc(func(context.Context, string) (remote.Credential, error) {
		return remote.Credential{User: "kontor", Password: "secret"}, nil
	})}
	for _, c := range change {
		c(&e)
	}
	return func(s *testkit.Settings) { s.Elsewhere = map[ecr.RegistryID]replication.Elsewhere{west: e} }
}

// elapsed is a clock for rests.
type elapsed struct {
	mu sync.Mutex
	d  time.Duration // guarded by mu
}

func (e *elapsed) now() time.Duration { e.mu.Lock(); defer e.mu.Unlock(); return e.d }

func (e *elapsed) pass(d time.Duration) { e.mu.Lock(); defer e.mu.Unlock(); e.d += d }

// A registry elsewhere gets images with all that belongs to them, under a prefix, in a
// repository that is created there. What it has is not sent again.
func TestElsewhere(t *testing.T) {
	f := openFar(t, registry.CompatECR)
	var created atomic.Int64 // several workers may find it missing
	w := open(t, elsewhere(f, func(e *replication.Elsewhere) {
		e.Prefix = "mirror/"
		e.Create = func(ctx context.Context, name ecr.RepositoryName) error {
			created.Add(1)
			_, err := f.CreateRepository(ctx, registry.NewRepository{Repo: testkit.Home.Repo(name)})
			return err
		}
	}))
	app := w.Repo("app", ecr.Mutable)
	w.rules(testkit.Home, to(west))
	amd, arm := w.Image(app, "amd"), w.Image(app, "arm")
	w.MustPut(app, amd)
	w.MustPut(app, arm)
	index := testkit.Index(amd, arm)
	signature := w.Referrer(app, "signature", index)
	w.MustPut(app, index, "v1", "latest")
	w.MustPut(app, signature)
	until(t, func() bool {
		w.work()
		return len(f.Digests(testkit.At("mirror/app"))) == 4 && w.status(app, tagged("v1"))[0] == west.String()+" COMPLETE"
	})
	there := testkit.At("mirror/app")
	for _, body := range [][]byte{amd, arm, index, signature} {
		f.WantWhole(there, body)
	}
	if created.Load() == 0 {
		t.Error("the repository was not created")
	}
	if m, err := f.Manifest(t.Context(), there, tagged("latest")); err != nil || m.Digest != ecr.DigestOf(index) {
		t.Error(m.Digest, err)
	}
	uploads := f.proxy.Count(`^(POST|PUT|PATCH) .*/blobs/`)
	w.MustPut(app, amd, "amd")
	w.work()
	w.wantStatus(app, tagged("amd"), west.String()+" COMPLETE")
	if n := f.proxy.Count(`^(POST|PUT|PATCH) .*/blobs/`); n != uploads {
		t.Errorf("%d requests sent blobs again", n-uploads)
	}
}

// What a registry elsewhere refuses is a failure, and what it cannot do now is tried
// again; another destination does not wait for it.
func TestElsewhereFails(t *testing.T) {
	f := openFar(t, registry.CompatECR)
	var clock elapsed
	w := open(t, elsewhere(f), func(s *testkit.Settings) { s.Passed = clock.now })
	app := w.Repo("app", ecr.Mutable)
	w.rules(testkit.Home, to(west, north))
	w.MustPut(app, w.Image(app, "one"), "v1")
	w.work()
	w.wantStatus(app, tagged("v1"), north.String()+" COMPLETE", west.String()+" FAILED RepositoryNotFoundException")
	if _, err := f.CreateRepository(t.Context(), registry.NewRepository{Repo: testkit.At("app"), Mutability: ecr.Mutability{Mode: ecr.Immutable}}); err != nil {
		t.Fatal(err)
	}
	// It says no to everything for a while.
	f.proxy.On(`.*`, -1, func(x *remotetest.Exchange) {
		x.W.Header().Set("Retry-After", "60")
		x.W.WriteHeader(http.StatusServiceUnavailable)
	})
	if n, err := w.Replication.As(testkit.Admin).RetryReplications(t.Context(), testkit.Home, ecr.RegistryID{}); err != nil || n != 1 {
		t.Error(n, err)
	}
	w.work()
	w.wantStatus(app, tagged("v1"), north.String()+" COMPLETE", west.String()+" IN_PROGRESS")
	w.MustPut(app, w.Image(app, "two"), "v2")
	w.work()
	w.wantStatus(app, tagged("v2"), north.String()+" COMPLETE", west.String()+" IN_PROGRESS")
	f.proxy.Reset()
	clock.pass(time.Hour) // its rest is over
	// Pushing again has it done at once.
	w.MustPut(app, w.Image(app, "one"), "v1")
	w.MustPut(app, w.Image(app, "two"), "v2")
	w.work()
	w.wantStatus(app, tagged("v1"), north.String()+" COMPLETE", west.String()+" COMPLETE")
	w.wantStatus(app, tagged("v2"), north.String()+" COMPLETE", west.String()+" COMPLETE")
	f.WantWhole(testkit.At("app"), w.Image(app, "one"))
	// Its tags are immutable.
	w.MustPut(app, w.Image(app, "three"), "v1")
	w.work()
	w.wantStatus(app, tagged("v1"), north.String()+" COMPLETE", west.String()+" FAILED ImageTagAlreadyExistsException")
}

// until waits until a state is reached.
func until(t *testing.T, reached func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !reached(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it does not come to that")
		}
	}
}

// A registry elsewhere that does not answer takes a part of the workers only: what goes to
// another destination arrives, also what comes while the others hang.
func TestSlowDestination(t *testing.T) {
	f := openFar(t, registry.CompatECR)
	w := open(t, elsewhere(f))
	app := w.Repo("app", ecr.Mutable)
	w.rules(testkit.Home, to(west, north))
	var held, most atomic.Int32
	release := make(chan struct{})
	f.proxy.On(`.*`, -1, func(x *remotetest.Exchange) {
		if n := held.Add(1); n > most.Load() {
			most.Store(n)
		}
		defer held.Add(-1)
		select {
		case <-release:
		case <-x.R.Context().Done():
		}
		x.W.WriteHeader(http.StatusServiceUnavailable)
	})
	push := func(tags ...ecr.Tag) {
		for _, tag := range tags {
			w.MustPut(app, w.Image(app, string(tag)), tag)
		}
	}
	push("v1", "v2", "v3", "v4", "v5", "v6")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.Replication.Run(ctx) }()
	until(t, func() bool { return len(w.tags(north.Repo("app"))) == 6 && held.Load() > 0 })
	push("v7")
	until(t, func() bool { return len(w.tags(north.Repo("app"))) == 7 })
	close(release)
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if n := most.Load(); n > 2 {
		t.Errorf("%d workers were busy with the destination that did not answer", n)
	}
}

// A process that dies when it has set a tag that was moved meanwhile leaves the old image
// there: the next one sends what the tag stands for now once more.
func TestTagMovedAndProcessDied(t *testing.T) {
	f := openFar(t, registry.CompatECR)
	w := open(t, elsewhere(f))
	if _, err := f.CreateRepository(t.Context(), registry.NewRepository{Repo: testkit.At("app")}); err != nil {
		t.Fatal(err)
	}
	app := w.Repo("app", ecr.Mutable)
	w.rules(testkit.Home, to(west))
	first, second := w.Image(app, "first"), w.Image(app, "second")
	w.MustPut(app, first, "v1")
	other := world{w.With(func(*testkit.Settings) {})}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	f.proxy.On(`^PUT .*/manifests/v1`, 1, func(x *remotetest.Exchange) {
		w.MustPut(app, second, "v1")
		other.work()
		if resp, err := x.Forward(); err != nil {
			t.Error(err)
		} else if err := resp.Body.Close(); err != nil {
			t.Error(err)
		}
		cancel()
	})
	if err := w.Replication.Advance(ctx); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	at := func() ecr.Digest {
		m, err := f.Manifest(t.Context(), testkit.At("app"), tagged("v1"))
		if err != nil {
			t.Fatal(err)
		}
		return m.Digest
	}
	if at() != ecr.DigestOf(first) {
		t.Fatal("the older image did not arrive last")
	}
	// Its lease is over.
	err := w.Gate.System("test").Change(t.Context(), gate.Op("Free"), func(ctx context.Context, tx *gate.Tx) error {
		return tx.Registries().FreeReplications(ctx)
	})
	if err != nil {
		t.Fatal(err)
	}
	other.work()
	if at() != ecr.DigestOf(second) {
		t.Error("the tag stands for the older image")
	}
}

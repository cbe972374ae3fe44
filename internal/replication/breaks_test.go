package replication_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/front/ociapi"
	"github.com/kontor-registry/kontor/internal/gate"
	"github.com/kontor-registry/kontor/internal/registry"
	"github.com/kontor-registry/kontor/internal/remote/remotetest"
	"github.com/kontor-registry/kontor/internal/replication"
	"github.com/kontor-registry/kontor/internal/testkit"
)

// A login that is refused has the destination rest, so that it is not asked for each image,
// and the images say why they wait. When it is accepted again, they go.
func TestLoginRefused(t *testing.T) {
	f := openFar(t, registry.CompatOCI)
	if _, err := f.CreateRepository(t.Context(), registry.NewRepository{Repo: testkit.At("app")}); err != nil {
		t.Fatal(err)
	}
	var clock elapsed
	w := open(t, elsewhere(f), func(s *testkit.Settings) { s.Passed = clock.now })
	app := w.Repo("app", ecr.Mutable)
	w.rules(testkit.Home, to(west))
	f.proxy.On(`.*`, -1, func(x *remotetest.Exchange) { ociapi.WriteUnauthorized(x.W, x.R.Host) })
	tags := []ecr.Tag{"v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9"}
	for _, tag := range tags {
		w.MustPut(app, w.Image(app, string(tag)), tag)
	}
	w.work()
	if n := len(f.proxy.Requests()); n == 0 || n > 12 { // two workers, and each request once more with the password
		t.Errorf("%d requests for %d images", n, len(tags))
	}
	said := 0
	for _, tag := range tags {
		all, err := w.Replication.As(testkit.Admin).ImageReplicationStatus(t.Context(), app, tagged(tag))
		if err != nil || all[0].Status != "IN_PROGRESS" {
			t.Fatal(all, err)
		}
		if strings.Contains(all[0].Waits, "is tried again, after attempt 1: registry ") || strings.Contains(all[0].Waits, "waits because the destination rests: registry ") {
			said++
		}
	}
	if said != len(tags) {
		t.Errorf("%d of %d images say why they wait", said, len(tags))
	}
	s, err := w.Replication.As(testkit.Admin).Replications(t.Context(), testkit.Home, 0, 10)
	if err != nil || len(s.Queues) != 1 || !strings.HasPrefix(s.Queues[0].Rests, "registry ") {
		t.Errorf("%+v %v", s, err)
	}
	f.proxy.Reset()
	clock.pass(time.Hour)
	for _, tag := range tags {
		w.MustPut(app, w.Image(app, string(tag)), tag) // or else it takes until the next try
	}
	w.work()
	for _, tag := range tags {
		w.wantStatus(app, tagged(tag), west.String()+" COMPLETE")
	}
}

// A repository that is deleted while its image is sent leaves nothing to do, and one that
// is deleted at the destination is a failure, or created again.
func TestRepositoryDeletedMeanwhile(t *testing.T) {
	for _, tt := range []struct {
		name    string
		source  bool // that of the source is deleted, else that of the destination
		created bool // the destination's can be created
		want    []string
	}{
		{name: "of the source", source: true},
		{name: "of the destination", want: []string{west.String() + " FAILED RepositoryNotFoundException"}},
		{name: "of the destination, created again", created: true, want: []string{west.String() + " COMPLETE"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := openFar(t, registry.CompatOCI)
			create := func(ctx context.Context, name ecr.RepositoryName) error {
				_, err := f.CreateRepository(ctx, registry.NewRepository{Repo: testkit.Home.Repo(name)})
				return err
			}
			if err := create(t.Context(), "app"); err != nil {
				t.Fatal(err)
			}
			w := open(t, elsewhere(f, func(e *replication.Elsewhere) {
				if tt.created {
					e.Create = create
				}
			}))
			app := w.Repo("app", ecr.Mutable)
			w.rules(testkit.Home, to(west))
			image := w.Image(app, "one")
			w.MustPut(app, image, "v1")
			at, of := f.World, testkit.At("app")
			if tt.source {
				at, of = w.World, app
			}
			f.proxy.On(`^POST .*/blobs/uploads/`, 1, func(x *remotetest.Exchange) {
				if _, err := at.DeleteRepository(x.R.Context(), of, true); err != nil {
					t.Error(err)
				}
				x.Pass()
			})
			w.work()
			if tt.source {
				s, err := w.Replication.As(testkit.Admin).Replications(t.Context(), testkit.Home, 0, 10)
				if err != nil || len(s.Queues)+len(s.Failed) != 0 {
					t.Errorf("%+v %v", s, err)
				}
				return
			}
			w.wantStatus(app, tagged("v1"), tt.want...)
			if tt.created {
				f.WantWhole(testkit.At("app"), image)
			}
		})
	}
}

// Tag filters and excluded prefixes hold for registries elsewhere, too.
func TestOptionsElsewhere(t *testing.T) {
	f := openFar(t, registry.CompatOCI)
	for _, name := range []ecr.RepositoryName{"app", "scratch/app"} {
		if _, err := f.CreateRepository(t.Context(), registry.NewRepository{Repo: testkit.Home.Repo(name)}); err != nil {
			t.Fatal(err)
		}
	}
	w := open(t, elsewhere(f))
	app, scratch := w.Repo("app", ecr.Mutable), w.Repo("scratch/app", ecr.Mutable)
	w.rules(testkit.Home, to(west))
	o := replication.Options{Tags: []string{"v*"}, Exclude: []string{"scratch/"}}
	if err := w.Replication.As(testkit.Admin).SetReplicationOptions(t.Context(), testkit.Home, west, o); err != nil {
		t.Fatal(err)
	}
	image := w.Image(app, "one")
	w.MustPut(app, image, "v1", "latest")
	w.MustPut(app, w.Image(app, "two"), "nightly")
	w.MustPut(scratch, w.Image(scratch, "three"), "v1")
	signature := w.Referrer(app, "signature", image)
	w.MustPut(app, signature)
	until(t, func() bool {
		w.work()
		return slices.Contains(f.Digests(testkit.At("app")), ecr.DigestOf(signature))
	})
	if got := f.Digests(testkit.At("app")); len(got) != 2 {
		t.Errorf("images there: %v", got)
	}
	if n := f.proxy.Count(`^PUT .*/manifests/(latest|nightly)`) + f.proxy.Count(`/scratch/`); n != 0 {
		t.Errorf("%d requests for what is left out", n)
	}
}

// A process that is killed while it sends a layer leaves the image to the next one, which
// keeps the rate and sends the rest.
func TestKilledWhileSending(t *testing.T) {
	f := openFar(t, registry.CompatOCI)
	if _, err := f.CreateRepository(t.Context(), registry.NewRepository{Repo: testkit.At("app")}); err != nil {
		t.Fatal(err)
	}
	w := open(t, elsewhere(f, func(e *replication.Elsewhere) { e.Rate = replication.Rate{BytesPerSecond: 2000} }))
	app := w.Repo("app", ecr.Mutable)
	w.rules(testkit.Home, to(west))
	image := w.ImageOf(app, []byte(`{}`), []byte(strings.Repeat("first layer ", 60)), []byte(strings.Repeat("second layer ", 60)))
	w.MustPut(app, image, "v1")
	other := world{w.With(func(*testkit.Settings) {})}
	ctx, kill := context.WithCancel(t.Context())
	defer kill()
	sent := 0
	f.proxy.On(`^(PUT|PATCH) .*/blobs/uploads/`, 2, func(x *remotetest.Exchange) {
		if sent++; sent == 2 {
			kill()
		}
		x.Pass()
	})
	if err := w.Replication.Advance(ctx); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	other.wantStatus(app, tagged("v1"), west.String()+" IN_PROGRESS")
	if n := len(f.Digests(testkit.At("app"))); n != 0 {
		t.Errorf("%d images are there before their layers", n)
	}
	w.change(func(ctx context.Context, tx *gate.Tx) error { return tx.Registries().FreeReplications(ctx) }) // its lease is over
	other.work()
	other.wantStatus(app, tagged("v1"), west.String()+" COMPLETE")
	f.WantWhole(testkit.At("app"), image)
}

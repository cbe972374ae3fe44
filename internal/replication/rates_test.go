package replication_test

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/gate"
	"github.com/kontor-registry/kontor/internal/registry"
	"github.com/kontor-registry/kontor/internal/remote/remotetest"
	"github.com/kontor-registry/kontor/internal/replication"
	"github.com/kontor-registry/kontor/internal/testkit"
)

// change changes what a test's server knows of replication.
func (w world) change(f func(ctx context.Context, tx *gate.Tx) error) {
	w.T.Helper()
	if err := w.Gate.System("test").Change(w.T.Context(), gate.Op("Test"), f); err != nil {
		w.T.Fatal(err)
	}
}

// workAll has several processes do everything that is due, at the same time.
func workAll(t *testing.T, all ...world) {
	t.Helper()
	var wg sync.WaitGroup
	for _, w := range all {
		wg.Go(func() {
			if err := w.Replication.Advance(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

// All processes on the database keep the images of a destination to its rate together, and
// say so. Other destinations do not wait.
func TestImagesPerMinute(t *testing.T) {
	f := openFar(t, registry.CompatOCI)
	if _, err := f.CreateRepository(t.Context(), registry.NewRepository{Repo: testkit.At("app")}); err != nil {
		t.Fatal(err)
	}
	const every = 30 * time.Minute
	w := open(t, elsewhere(f, func(e *replication.Elsewhere) { e.Rate.ImageEvery = every }))
	other := world{w.With(func(*testkit.Settings) {})}
	app := w.Repo("app", ecr.Mutable)
	w.rules(testkit.Home, to(west, north))
	tags := []ecr.Tag{"v1", "v2", "v3"}
	for _, tag := range tags {
		w.MustPut(app, w.Image(app, string(tag)), tag)
	}
	workAll(t, w, other)
	state := func(what string, complete, waiting int) {
		t.Helper()
		got, waits := 0, 0
		for _, tag := range tags {
			all, err := other.Replication.As(testkit.Admin).ImageReplicationStatus(t.Context(), app, tagged(tag))
			if err != nil || len(all) != 2 || all[0].To != north || all[0].Status != "COMPLETE" {
				t.Fatal(what, all, err)
			}
			switch {
			case all[1].Status == "COMPLETE":
				got++
			case strings.HasPrefix(all[1].Waits, "waits because of the rate of the destination: at most "):
				waits++
			}
		}
		if got != complete || waits != waiting {
			t.Errorf("%s: %d are complete and %d wait because of the rate, want %d and %d", what, got, waits, complete, waiting)
		}
		s, err := w.Replication.As(testkit.Admin).Replications(t.Context(), testkit.Home, 0, 10)
		if err != nil || s.Rates[west].ImageEvery != every || waiting > 0 && (len(s.Queues) != 1 || !s.Queues[0].WaitsForRate || s.Queues[0].Waiting != waiting) {
			t.Errorf("%s: %+v %v", what, s, err)
		}
	}
	state("at once", 1, 2)
	manifests := f.proxy.Count(`^PUT .*/manifests/`)
	if manifests != 1 {
		t.Errorf("%d images were sent", manifests)
	}
	pass := func() {
		w.change(func(ctx context.Context, tx *gate.Tx) error {
			_, err := tx.Registries().SpendReplicationRate(ctx, west, -every, 0)
			return err
		})
	}
	pass()
	workAll(t, w, other)
	state("after one interval", 2, 1)
	pass()
	workAll(t, w, other)
	state("after two", 3, 0)
}

// What nothing is asked of the destination for takes no place in its rate.
func TestRateOfNothing(t *testing.T) {
	f := openFar(t, registry.CompatOCI)
	if _, err := f.CreateRepository(t.Context(), registry.NewRepository{Repo: testkit.At("app")}); err != nil {
		t.Fatal(err)
	}
	w := open(t, elsewhere(f, func(e *replication.Elsewhere) { e.Rate.ImageEvery = 30 * time.Minute }))
	app := w.Repo("app", ecr.Mutable)
	w.rules(testkit.Home, to(west))
	gone := w.Image(app, "gone")
	w.MustPut(app, gone, "gone")
	w.Delete(app, ecr.ImageID{Digest: ecr.DigestOf(gone)})
	w.work()
	w.MustPut(app, w.Image(app, "one"), "v1")
	w.work()
	w.wantStatus(app, tagged("v1"), west.String()+" COMPLETE")
}

// All processes on the database send no more bytes in a second than a destination may get,
// and the status says so.
func TestBytesPerSecond(t *testing.T) {
	f := openFar(t, registry.CompatOCI)
	if _, err := f.CreateRepository(t.Context(), registry.NewRepository{Repo: testkit.At("app")}); err != nil {
		t.Fatal(err)
	}
	const rate, layer = 600, 200
	w := open(t, elsewhere(f, func(e *replication.Elsewhere) { e.Rate.BytesPerSecond = rate }))
	other := world{w.With(func(*testkit.Settings) {})}
	app := w.Repo("app", ecr.Mutable)
	w.rules(testkit.Home, to(west))
	tags := []ecr.Tag{"v1", "v2", "v3"}
	images := map[ecr.Tag][]byte{}
	for _, tag := range tags {
		images[tag] = w.ImageOf(app, []byte(`{"tag":"`+tag+`"}`), []byte(strings.Repeat(string(tag), layer/len(tag))))
		w.MustPut(app, images[tag], tag)
	}
	var said atomic.Int64
	f.proxy.On(`^(PUT|PATCH) .*/blobs/uploads/`, -1, func(x *remotetest.Exchange) {
		for _, tag := range tags {
			all, err := w.Replication.As(testkit.Admin).ImageReplicationStatus(t.Context(), app, tagged(tag))
			if err != nil {
				t.Error(err)
			} else if all[0].Waits == "is sent at the rate of the destination: at most 600 B a second" {
				said.Add(1)
			}
		}
		x.Pass()
	})
	began := time.Now()
	workAll(t, w, other)
	took := time.Since(began)
	for _, tag := range tags {
		w.wantStatus(app, tagged(tag), west.String()+" COMPLETE")
		f.WantWhole(testkit.At("app"), images[tag])
	}
	if least := time.Duration(len(tags)*layer) * time.Second / rate; took < least*3/5 { // the first quarter of a second is sent at once
		t.Errorf("%d bytes were sent within %s, want at least %s", len(tags)*layer, took, least)
	}
	if said.Load() == 0 {
		t.Error("no status said that an image is sent at the rate")
	}
}

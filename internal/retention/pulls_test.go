package retention_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/registry"
	"github.com/kontor-registry/kontor/internal/store/meta"
	"github.com/kontor-registry/kontor/internal/testkit"
)

// writes is a store that counts writing transactions, and may refuse them.
type writes struct {
	meta.Store
	n      atomic.Int64
	refuse atomic.Bool
}

var errNoWrites = errors.New("no writes today")

func (w *writes) Update(ctx context.Context, fn func(context.Context, meta.Tx) error) error {
	w.n.Add(1)
	if w.refuse.Load() {
		return errNoWrites
	}
	return w.Store.Update(ctx, fn)
}

// Pulls do not wait for a writer, and what cannot be stored now is stored later.
func TestPullsDoNotWrite(t *testing.T) {
	f := testkit.Open(t, testkit.Settings{Compat: registry.CompatECR})
	ctx, to := t.Context(), f.Repo("app", ecr.Mutable)
	d := f.MustPut(to, f.Image(to, "x"), "v1")
	store := &writes{Store: f.Meta}
	c := f.With(func(s *testkit.Settings) { s.Between = store })
	for range 10 {
		if _, err := c.Manifest(ctx, to, ecr.ImageID{Tag: "v1"}); err != nil {
			t.Fatal(err)
		}
		if _, _, err := c.BatchGetImage(ctx, to, []ecr.ImageID{{Digest: d}}); err != nil {
			t.Fatal(err)
		}
	}
	if n, pending := store.n.Load(), c.Retention.PullsPending(); n != 0 || pending != 1 {
		t.Errorf("20 pulls of one image made %d writes, and %d pull times wait", n, pending)
	}
	store.refuse.Store(true)
	if err := c.Retention.FlushPulls(ctx); !errors.Is(err, errNoWrites) || c.Retention.PullsPending() != 1 {
		t.Errorf("%v, and %d pull times wait", err, c.Retention.PullsPending())
	}
	store.refuse.Store(false)
	if err := c.Retention.FlushPulls(ctx); err != nil || c.Retention.PullsPending() != 0 {
		t.Errorf("%v, and %d pull times wait", err, c.Retention.PullsPending())
	}
	images, err := c.DescribeImages(ctx, to, []ecr.ImageID{{Digest: d}})
	if err != nil || !images[0].LastPulledAt.Equal(f.Now()) {
		t.Errorf("%+v, %v", images, err)
	}
}

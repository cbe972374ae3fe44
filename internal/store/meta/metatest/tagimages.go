package metatest

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

func tagImages(t *testing.T, s meta.Store) {
	repo := newRepository(t, s, "app")
	other := newRepository(t, s, "other")
	one, two := newImage(t, s, repo, "one"), newImage(t, s, repo, "two")
	newImage(t, s, other, "one", "v1")
	set := func(tag ecr.Tag, m meta.Manifest, at time.Time) {
		update(t, s, func(ctx context.Context, tx meta.Tx) error {
			return tx.PutTag(ctx, repo, meta.TagRow{Tag: tag, Digest: m.Image.Digest, TaggedAt: at}, true)
		})
	}
	set("v1", one, noon.Add(time.Minute))
	set("a", two, noon.Add(2*time.Minute))
	set("Z", two, noon.Add(time.Minute))
	set("v1.2", two, noon)
	set("_", one, noon.Add(3*time.Minute))
	list := func(q meta.TagQuery, limit int) []meta.TagImage {
		return read(t, s, func(ctx context.Context, r meta.Reader) ([]meta.TagImage, error) {
			return r.Retention().ListTagImages(ctx, repo, q, limit)
		})
	}
	want := func(q meta.TagQuery, tags ...ecr.Tag) {
		t.Helper()
		for limit := 1; limit <= 6; limit++ { // page by page
			var got []ecr.Tag
			for at := q; ; {
				page := list(at, limit)
				for _, x := range page {
					got = append(got, x.Tag)
				}
				if len(page) < limit {
					break
				}
				at.After = page[limit-1].TagRow
			}
			if !slices.Equal(got, tags) {
				t.Errorf("%+v in pages of %d: %q, want %q", q, limit, got, tags)
			}
		}
	}
	want(meta.TagQuery{}, "Z", "_", "a", "v1", "v1.2")
	want(meta.TagQuery{Backward: true}, "v1.2", "v1", "a", "_", "Z")
	want(meta.TagQuery{ByTime: true}, "v1.2", "Z", "v1", "a", "_")
	want(meta.TagQuery{ByTime: true, Backward: true}, "_", "a", "v1", "Z", "v1.2")
	want(meta.TagQuery{Prefix: "v"}, "v1", "v1.2")
	want(meta.TagQuery{Prefix: "v", Backward: true}, "v1.2", "v1")
	want(meta.TagQuery{Prefix: "x"})

	plain := one.Image
	plain.Tags, plain.Status = nil, ecr.StatusActive
	diff(t, []meta.TagImage{{TagRow: meta.TagRow{Tag: "_", Digest: plain.Digest, TaggedAt: noon.Add(3 * time.Minute)}, Image: plain}},
		list(meta.TagQuery{ByTime: true, Backward: true}, 1))
	diff(t, []meta.TagImage(nil), list(meta.TagQuery{}, 0))
}

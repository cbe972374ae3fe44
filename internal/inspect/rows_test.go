package inspect_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/inspect"
	"github.com/kontor-registry/kontor/internal/store/meta"
	"github.com/kontor-registry/kontor/internal/testkit"
)

// manyTags gives the repository of that name tags, an image each, past its rules.
func manyTags(t testing.TB, w *testkit.World, name string, from, to int) {
	t.Helper()
	err := w.Meta.Update(context.Background(), func(ctx context.Context, tx meta.Tx) error {
		repo, err := tx.Repository(ctx, testkit.Home, ecr.RepositoryName(name))
		if err != nil {
			return err
		}
		for i := from; i < to; i++ {
			body := fmt.Appendf(nil, `{"n":%d}`, i)
			at := time.Date(2026, 1, 1, 0, 0, i, 0, time.UTC)
			m := meta.Manifest{Repository: repo.ID, Body: body, Image: ecr.Image{
				Digest: ecr.DigestOf(body), MediaType: "application/vnd.oci.image.manifest.v1+json", SizeBytes: 1, PushedAt: at, Status: ecr.StatusActive,
			}}
			if err := tx.InsertManifest(ctx, m); err != nil {
				return err
			}
			if err := tx.PutTag(ctx, repo.ID, meta.TagRow{Tag: ecr.Tag(fmt.Sprintf("v%06d", i)), Digest: m.Image.Digest, TaggedAt: at}, false); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// queries are those of the pages of a large repository.
var queries = map[string]meta.TagQuery{
	"newest": {ByTime: true, Backward: true}, "oldest": {ByTime: true}, "by name": {}, "by name backwards": {Backward: true},
	"after one": {ByTime: true, Backward: true, After: meta.TagRow{Tag: "v000050", TaggedAt: time.Date(2026, 1, 1, 0, 0, 50, 0, time.UTC)}}, "prefix": {Prefix: "v00"},
}

// What a page reads does not grow with the repository.
func TestRowsDoNotGrow(t *testing.T) {
	w := testkit.Open(t, testkit.Settings{})
	w.Repo("app", ecr.Mutable)
	rows, ok := w.Meta.(interface{ RowsRead() int64 })
	if !ok {
		t.Fatalf("%T counts no rows", w.Meta)
	}
	look := looking(w, testkit.Admin)
	ctx, at := t.Context(), testkit.At("app")
	read := func() map[string]int64 {
		t.Helper()
		out := map[string]int64{}
		count := func(name string, fn func() error) {
			before := rows.RowsRead()
			if err := fn(); err != nil {
				t.Fatal(err)
			}
			if out[name] = rows.RowsRead() - before; out[name] == 0 {
				t.Errorf("%s: no row is counted", name)
			}
		}
		for name, q := range queries {
			count(name, func() error { _, _, err := look.Tags(ctx, at, q, 20); return err })
		}
		count("images", func() error { _, err := look.Images(ctx, at, 50); return err })
		count("repositories", func() error {
			_, _, err := look.Repositories(ctx, testkit.Home, inspect.Listing{Limit: 10, Images: 50})
			return err
		})
		return out
	}
	manyTags(t, w, "app", 0, 100)
	few := read()
	manyTags(t, w, "app", 100, 1000)
	for name, n := range read() {
		if n != few[name] || n > 61 {
			t.Errorf("%s: %d rows of 1000 tags, %d of 100", name, n, few[name])
		}
	}
}

// BenchmarkTags reads a page of tags of 1,000 and of 100,000: the times are to be the
// same.
func BenchmarkTags(b *testing.B) {
	for _, n := range []int{1000, 100_000} {
		w := testkit.Open(b, testkit.Settings{})
		w.Repo("app", ecr.Mutable)
		for i := 0; i < n; i += 5000 {
			manyTags(b, w, "app", i, min(i+5000, n))
		}
		look := looking(w, testkit.Admin)
		for name, q := range queries {
			b.Run(fmt.Sprint(n, " ", name), func(b *testing.B) {
				for b.Loop() {
					if _, _, err := look.Tags(b.Context(), testkit.At("app"), q, 50); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

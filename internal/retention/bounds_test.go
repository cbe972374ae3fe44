package retention_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/kontor-registry/kontor/internal/race"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/manifest"
	"github.com/kontor-registry/kontor/internal/registry"
	"github.com/kontor-registry/kontor/internal/retention"
	"github.com/kontor-registry/kontor/internal/store/meta"
	"github.com/kontor-registry/kontor/internal/testkit"
)

// weighed notes the most bytes of manifests that one transaction put on record.
type weighed struct {
	meta.Store
	images, most int
}

func (w *weighed) Update(ctx context.Context, fn func(context.Context, meta.Tx) error) error {
	var all weighedTx
	err := w.Store.Update(ctx, func(ctx context.Context, tx meta.Tx) error {
		all = weighedTx{Tx: tx}
		return fn(ctx, &all)
	})
	if err == nil {
		w.images, w.most = w.images+all.images, max(w.most, all.bytes)
	}
	return err
}

type weighedTx struct {
	meta.Tx
	images, bytes int
}

func (t *weighedTx) Retention() meta.RetentionTx { return weighedRetention{t.Tx.Retention(), t} }

type weighedRetention struct {
	meta.RetentionTx
	t *weighedTx
}

func (r weighedRetention) AppendJournal(ctx context.Context, e meta.JournalEntry) error {
	if e.Op == meta.JournalDeleteImage {
		r.t.images, r.t.bytes = r.t.images+1, r.t.bytes+len(e.Body)
	}
	return r.RetentionTx.AppendJournal(ctx, e)
}

// However images are deleted, one transaction moves no more than 1 MiB of
// manifests and one manifest: others wait for it.
func TestLargeImagesAreDeletedInSteps(t *testing.T) {
	const images = 3
	for name, remove := range map[string]func(f *testkit.World, to ecr.Repo, ds []ecr.Digest) error{
		"by request": func(f *testkit.World, to ecr.Repo, ds []ecr.Digest) error {
			ids := []ecr.ImageID{{Tag: "not-there"}}
			for _, d := range ds {
				ids = append(ids, ecr.ImageID{Digest: d})
			}
			gone, failures, err := f.BatchDeleteImage(f.T.Context(), to, append(ids, ecr.ImageID{Tag: "nor-here"}))
			if err == nil && (len(gone) != images || len(failures) != 2) {
				err = fmt.Errorf("%d went, failures %+v", len(gone), failures)
			}
			return err
		},
		"by rule": func(f *testkit.World, to ecr.Repo, _ []ecr.Digest) error {
			setRules(f, to, "untagged,,sinceImagePushed,1")
			f.Advance(2 * testkit.Day)
			run, err := f.RunLifecycle(f.T.Context(), to, retention.RunOptions{})
			if err == nil && run.Expired != images {
				err = fmt.Errorf("%+v", run)
			}
			return err
		},
		"with the repository": func(f *testkit.World, to ecr.Repo, _ []ecr.Digest) error {
			_, err := f.DeleteRepository(f.T.Context(), to, true)
			if err == nil {
				_, err = f.Retention.FinishDeletions(f.T.Context())
			}
			return err
		},
	} {
		if race.Enabled && name != "by request" {
			continue // manifests of 4 MiB take long, and one goroutine deletes them
		}
		t.Run(name, func(t *testing.T) {
			f := testkit.Open(t, testkit.Keeping(testkit.Day, testkit.Day, testkit.Day))
			to := f.Repo("app", ecr.Mutable)
			var ds []ecr.Digest
			for i := range images {
				body := strings.TrimSuffix(string(f.Image(to, fmt.Sprint(i))), "}") + `,"annotations":{"a":"` + strings.Repeat("x", manifest.MaxSize-1000) + `"}}`
				ds = append(ds, f.MustPut(to, []byte(body)))
			}
			w := &weighed{Store: f.Meta}
			if err := remove(f.With(func(s *testkit.Settings) { s.Between, s.Compat = w, registry.CompatOCI }), to, ds); err != nil {
				t.Fatal(err)
			}
			if w.images != images || w.most > 5<<20 {
				t.Errorf("%d images went, %d bytes in one transaction", w.images, w.most)
			}
			if n := len(f.Binned("app")); n != images {
				t.Errorf("%d images are in the bin", n)
			}
		})
	}
}

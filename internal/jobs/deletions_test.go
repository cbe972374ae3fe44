package jobs_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/store/meta"
	"github.com/kontor-registry/kontor/internal/testkit"
)

// The name of a large repository is free as soon as it is deleted; its images go
// into the bin and on record bit by bit, also after the process died in between.
func TestLargeRepositoryIsDeleted(t *testing.T) {
	for name, database := range testkit.Databases {
		t.Run(name, func(t *testing.T) {
			w := testkit.OpenOn(t, testkit.Keeping(7*testkit.Day, 30*testkit.Day, testkit.Day), database(t))
			app := w.Repo("app", ecr.Mutable)
			ids := fill(w, app, 500, false)
			old := testkit.Index(w.Image(app, "child"))
			w.MustPut(app, w.Image(app, "child"))
			w.MustPut(app, old, "index")
			deletedAt := w.Now()
			if _, err := w.DeleteRepository(t.Context(), app, true); err != nil {
				t.Fatal(err)
			}
			w.Advance(time.Hour)

			// A repository of the name is another.
			w.Repo("app", ecr.Mutable)
			if got := w.Digests(app); len(got) != 0 {
				t.Errorf("the new repository has %d images", len(got))
			}
			kept := w.MustPut(app, w.Image(app, "new"), "new")
			if n := len(w.Binned("app")); n == 0 || n >= 502 {
				t.Fatalf("%d images are in the bin by now", n)
			}
			// Restoring and purging wait: more may come into the bin.
			_, err := w.RestoreImage(t.Context(), app, ids[0].Digest)
			testkit.WantCode(t, err, ecr.CodeUnavailable, "still being moved to the recycle bin")
			_, err = w.PurgeImage(t.Context(), app, ids[0].Digest, "a secret")
			testkit.WantCode(t, err, ecr.CodeUnavailable, "still being moved to the recycle bin")

			// It is stopped in between, and another process goes on.
			w.Restart()
			ctx, cancel := context.WithCancel(t.Context())
			stop := &stopping{Store: w.Meta, after: 3, stop: cancel}
			if _, err := w.With(func(s *testkit.Settings) { s.Between = stop }).Jobs.Do(ctx, "repository deletion"); err == nil {
				t.Fatal("it was not stopped")
			}
			before := len(w.Binned("app"))
			removed, err := w.Jobs.Do(t.Context(), "repository deletion")
			if err != nil || removed.Count != 502-before || before >= 502 {
				t.Fatalf("after %d images %d: %v", before, removed.Count, err)
			}

			// All of it is there, as if it had gone at once.
			list, _, err := w.ListBin(t.Context(), testkit.Home, "app", 0, 1000)
			if err != nil || len(list) != 502 {
				t.Fatalf("%d images in the bin, %v", len(list), err)
			}
			for _, e := range list {
				if !e.DeletedAt.Equal(deletedAt) || e.Actor != testkit.Admin.ARN || e.Reason != "repository deleted" {
					t.Fatalf("%+v", e)
				}
			}
			entries := map[meta.JournalOp]int{}
			for e, err := range meta.Journal(t.Context(), journalOf{w}, meta.JournalQuery{Registry: testkit.Home, Name: "app"}, 0, 100) {
				if err != nil {
					t.Fatal(err)
				}
				entries[e.Op]++
				if e.Actor != testkit.Admin.ARN || !e.At.Equal(deletedAt) || e.Op == meta.JournalDeleteImage && len(e.Body) > 0 {
					t.Fatalf("%+v", e)
				}
			}
			if entries[meta.JournalDeleteImage] != 502 || entries[meta.JournalDeleteRepository] != 1 {
				t.Errorf("journal: %v", entries)
			}
			restored, err := w.RestoreImage(t.Context(), app, ecr.DigestOf(old))
			if err != nil || len(restored.Images) != 2 || len(restored.Missing) != 0 {
				t.Errorf("restored %+v, %v", restored, err)
			}
			if got := w.Digests(app); len(got) != 3 || !slices.Contains(got, kept) {
				t.Errorf("the repository has %v", got)
			}
			// When the bin has forgotten them, nothing is left.
			w.Advance(8 * testkit.Day)
			if got := w.Collect(); got.BinEntries != 500 || got.Blobs != 501 { // the layers, and their config
				t.Errorf("collected %+v", got)
			}
		})
	}
}

// journalOf reads the journal past the operations.
type journalOf struct{ w *testkit.World }

func (j journalOf) QueryJournal(ctx context.Context, q meta.JournalQuery, after int64, limit int) (list []meta.JournalEntry, err error) {
	err = j.w.Meta.View(ctx, func(ctx context.Context, r meta.Reader) error {
		list, err = r.Retention().QueryJournal(ctx, q, after, limit)
		return err
	})
	return list, err
}

// stopping stops a job after so many transactions.
type stopping struct {
	meta.Store
	after int
	stop  func()
}

func (s *stopping) Update(ctx context.Context, fn func(context.Context, meta.Tx) error) error {
	err := s.Store.Update(ctx, fn)
	if s.after--; s.after == 0 {
		s.stop()
	}
	return err
}

// Deletions are finished when the jobs start, and as soon as there is one.
func TestDeletionsAreFinishedSoon(t *testing.T) {
	w := testkit.Open(t, testkit.Keeping(testkit.Day, testkit.Day, testkit.Day))
	deleted := func(name string) {
		t.Helper()
		at := w.Repo(name, ecr.Mutable)
		fill(w, at, 500, false)
		if _, err := w.DeleteRepository(t.Context(), at, true); err != nil {
			t.Fatal(err)
		}
	}
	soon := func(name ecr.RepositoryName) {
		t.Helper()
		for end := time.Now().Add(30 * time.Second); len(w.Binned(name)) < 500; time.Sleep(5 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%d images of %s are in the bin", len(w.Binned(name)), name)
			}
		}
	}
	deleted("first")
	w.Restart()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.Jobs.RunEvery(ctx, map[string]time.Duration{"repository deletion": time.Hour}) }()
	soon("first")
	deleted("second")
	soon("second")
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("Run = %v", err)
	}
}

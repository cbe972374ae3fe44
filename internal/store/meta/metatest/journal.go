package metatest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

func journalQueries(t *testing.T, s meta.Store) {
	repo := newRepository(t, s, "app")
	entries := make([]meta.JournalEntry, 0, 6)
	for i, change := range []func(*meta.JournalEntry){
		func(e *meta.JournalEntry) { e.Tags = []ecr.Tag{"v1", "latest"} },
		func(e *meta.JournalEntry) { e.Tags, e.Rule, e.RequestID = []ecr.Tag{"v10"}, 7, "0b-1" },
		func(e *meta.JournalEntry) { e.Name, e.Tags = "other", []ecr.Tag{"v1"} },
		func(e *meta.JournalEntry) { e.Op, e.Tags, e.Body = meta.JournalDeleteTag, []ecr.Tag{"V1"}, nil },
		func(e *meta.JournalEntry) { e.Rule, e.Tags = 7, nil },
		func(e *meta.JournalEntry) { e.Registry = other },
	} {
		e := entryOf(repo, fmt.Sprint(i%4))
		e.At = noon.Add(time.Duration(i) * time.Hour)
		change(&e)
		entries = append(entries, e)
	}
	update(t, s, func(ctx context.Context, tx meta.Tx) error {
		var errs []error
		for _, e := range entries {
			errs = append(errs, tx.Retention().AppendJournal(ctx, e))
		}
		return errors.Join(errs...)
	})
	query := func(q meta.JournalQuery, after int64, limit int) []meta.JournalEntry {
		q.Bodies = true
		return read(t, s, func(ctx context.Context, r meta.Reader) ([]meta.JournalEntry, error) {
			return r.Retention().QueryJournal(ctx, q, after, limit)
		})
	}
	for name, test := range map[string]struct {
		q    meta.JournalQuery
		want []int
	}{
		"everything":        {meta.JournalQuery{}, []int{0, 1, 2, 3, 4}},
		"another registry":  {meta.JournalQuery{Registry: other}, []int{5}},
		"name":              {meta.JournalQuery{Name: "app"}, []int{0, 1, 3, 4}},
		"tag, whole":        {meta.JournalQuery{Tag: "v1"}, []int{0, 2}},
		"second tag":        {meta.JournalQuery{Tag: "latest"}, []int{0}},
		"digest":            {meta.JournalQuery{Digest: entries[0].Digest}, []int{0, 4}},
		"rule":              {meta.JournalQuery{Rule: 7}, []int{1, 4}},
		"op":                {meta.JournalQuery{Op: meta.JournalDeleteTag}, []int{3}},
		"since":             {meta.JournalQuery{Since: noon.Add(3 * time.Hour)}, []int{3, 4}},
		"until":             {meta.JournalQuery{Until: noon.Add(time.Hour)}, []int{0}},
		"between":           {meta.JournalQuery{Since: noon.Add(1), Until: noon.Add(2*time.Hour + 1)}, []int{1, 2}},
		"all of them":       {meta.JournalQuery{Name: "app", Tag: "v10", Digest: entries[1].Digest, Rule: 7, Op: meta.JournalDeleteImage, Since: noon, Until: noon.Add(2 * time.Hour)}, []int{1}},
		"newest first":      {meta.JournalQuery{Name: "app", Backward: true}, []int{4, 3, 1, 0}},
		"none":              {meta.JournalQuery{Name: "other", Rule: 7}, nil},
		"wildcards are not": {meta.JournalQuery{Tag: "v_"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			if test.q.Registry == (ecr.RegistryID{}) {
				test.q.Registry = registry
			}
			var want []meta.JournalEntry
			for _, i := range test.want {
				want = append(want, entries[i])
			}
			got := query(test.q, 0, 10)
			for i := range got {
				if i > 0 && (got[i].Seq <= got[i-1].Seq) != test.q.Backward {
					t.Errorf("sequence %d after %d", got[i].Seq, got[i-1].Seq)
				}
			}
			if len(got) > 1 {
				if page := query(test.q, got[0].Seq, 1); len(page) != 1 || page[0].Seq != got[1].Seq {
					t.Errorf("the second page is %v", page)
				}
			}
			for i := range got {
				got[i].Seq = 0
			}
			diff(t, want, got)
		})
	}
	for _, e := range read(t, s, func(ctx context.Context, r meta.Reader) ([]meta.JournalEntry, error) {
		return r.Retention().QueryJournal(ctx, meta.JournalQuery{Registry: registry}, 0, 10)
	}) {
		if e.Body != nil {
			t.Errorf("entry %d has a body of %d bytes that was not asked for", e.Seq, len(e.Body))
		}
	}

	// Purged: the entries stay, their manifest does not.
	update(t, s, func(ctx context.Context, tx meta.Tx) error {
		return tx.Retention().EmptyJournal(ctx, registry, "app", entries[0].Digest)
	})
	for _, e := range query(meta.JournalQuery{Registry: registry}, 0, 10) {
		if purged := e.Name == "app" && e.Digest == entries[0].Digest; purged != (len(e.Body) == 0) && e.Op == meta.JournalDeleteImage {
			t.Errorf("entry %d of %s: the manifest has %d bytes", e.Seq, e.Name, len(e.Body))
		}
	}
	trim := func(before time.Time, limit int) (n int) {
		update(t, s, func(ctx context.Context, tx meta.Tx) (err error) {
			n, err = tx.Retention().TrimJournal(ctx, before, limit)
			return err
		})
		return n
	}
	if a, b, c := trim(noon, 10), trim(noon.Add(3*time.Hour), 2), trim(noon.Add(3*time.Hour), 2); a != 0 || b != 2 || c != 1 {
		t.Errorf("%d, %d and %d entries were trimmed, want 0, 2 and 1", a, b, c)
	}
	if left := query(meta.JournalQuery{Registry: registry}, 0, 10); len(left) != 2 || !left[0].At.Equal(noon.Add(3*time.Hour)) {
		t.Errorf("left: %v", left)
	}
}

package jobs_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/jobs"
	"github.com/kontor-registry/kontor/internal/registry"
	"github.com/kontor-registry/kontor/internal/store/blob"
	"github.com/kontor-registry/kontor/internal/store/meta"
	"github.com/kontor-registry/kontor/internal/testkit"
)

// A database and a blob store that were not used together are refused, and the
// sweep, for which each file would be an orphan, removes nothing.
func TestAnotherInstallation(t *testing.T) {
	open := func() *testkit.World { return testkit.Open(t, testkit.Settings{Compat: registry.CompatOCI}) }
	id := func(w *testkit.World) string {
		id, err := blob.InstallationOf(t.Context(), w.Blobs)
		if err != nil || id == "" {
			t.Fatalf("%q, %v", id, err)
		}
		return id
	}
	bound := func(w *testkit.World) *testkit.World {
		if err := w.Jobs.CheckInstallation(t.Context()); err != nil {
			t.Fatal(err)
		}
		return w
	}
	unbind := func(w *testkit.World) *testkit.World { // it knows no blob store, as databases from before
		err := w.Meta.Update(t.Context(), func(ctx context.Context, tx meta.Tx) error {
			state, err := tx.Retention().JobState(ctx, "installation")
			if err != nil {
				return err
			}
			var known map[string]string
			if err := json.Unmarshal(state, &known); err != nil {
				return err
			}
			delete(known, "blobs")
			if state, err = json.Marshal(known); err != nil {
				return err
			}
			return tx.Retention().PutJobState(ctx, "installation", state)
		})
		if err != nil {
			t.Fatal(err)
		}
		return w
	}
	used := open()
	used.Blob(used.Repo("app", ecr.Mutable), []byte("a layer"))
	bound(unbind(used))
	unbound := unbind(open())
	unbound.Blob(unbound.Repo("app", ecr.Mutable), []byte("another layer"))
	for _, tt := range []struct {
		name     string
		database *testkit.World
		blobs    blob.Store
		want     []string
	}{
		{"another database", open(), used.Blobs, []string{"the database belongs to the blob store", id(used)}},
		{"another blob store", used, open().Blobs, []string{"the database belongs to the blob store", id(used)}},
		{"an empty database", unbind(open()), used.Blobs, []string{"the database is empty", id(used)}},
		{"a database with other blobs", unbound, used.Blobs, []string{"none of the first 1", id(used)}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			mixed := *tt.database
			mixed.Blobs = tt.blobs
			mixed.Restart()
			before, _ := used.Stored()
			err := mixed.Jobs.CheckInstallation(t.Context())
			for _, text := range tt.want {
				if err == nil || !strings.Contains(err.Error(), text) {
					t.Errorf("CheckInstallation = %v, want it to say %q", err, text)
				}
			}
			if got, err := mixed.Jobs.SweepOrphans(t.Context(), time.Now().Add(time.Hour)); err == nil || got.Count != 0 {
				t.Errorf("SweepOrphans = %+v, %v, want an error", got, err)
			}
			if after, _ := used.Stored(); after != before || before != 1 {
				t.Errorf("%d of %d blobs are left", after, before)
			}
		})
	}
	bound(unbound) // it has its own blobs

	// Two databases that begin with one store, before there is a blob.
	first := bound(open())
	second := *unbind(open())
	second.Blobs = first.Blobs
	second.Restart()
	if err := second.Jobs.CheckInstallation(t.Context()); err == nil || !strings.Contains(err.Error(), "belongs to the database with id") {
		t.Errorf("CheckInstallation = %v, want it to name the other database", err)
	}
	bound(first)
	leftOver := unbind(open())
	leftOver.Repo("app", ecr.Mutable)
	leftOver.Leave("of a push that was not finished", true)
	bound(leftOver) // it is in use, though it has no blobs
}

// What a database that was set back does not know stays for a while: it may be set
// forward again.
func TestSweepAfterRestore(t *testing.T) {
	for name, database := range testkit.Databases {
		t.Run(name, func(t *testing.T) {
			f := testkit.OpenOn(t, testkit.Settings{Compat: registry.CompatOCI, OrphanWait: time.Hour}, database(t))
			f.Leave("pushed since the backup", true)
			f.Leave("begun since the backup", false)
			later := time.Now().Add(48 * time.Hour)
			for range 2 {
				if got, err := f.Jobs.SweepOrphans(t.Context(), later); err != nil || got.Count != 0 {
					t.Errorf("SweepOrphans = %+v, %v, want nothing", got, err)
				}
			}
			f.Set(func(s *testkit.Settings) { s.OrphanWait = time.Microsecond })
			if got, err := f.Jobs.SweepOrphans(t.Context(), later); err != nil || got.Count != 2 {
				t.Errorf("after the wait: %+v, %v, want both", got, err)
			}
			var none jobs.Removed
			if got, err := f.Jobs.SweepOrphans(t.Context(), later); err != nil || got != none {
				t.Errorf("again: %+v, %v, want nothing", got, err)
			}
		})
	}
}

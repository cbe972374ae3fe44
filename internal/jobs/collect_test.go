package jobs

import (
	"context"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/gate"
	"github.com/kontor-registry/kontor/internal/registry"
	"github.com/kontor-registry/kontor/internal/store/blob/disk"
	"github.com/kontor-registry/kontor/internal/store/meta"
	"github.com/kontor-registry/kontor/internal/store/meta/sqlite"
)

// The jobs that take things away are among those that run, and do it.
func TestCollectionAndTrimming(t *testing.T) {
	ctx := t.Context()
	store, err := sqlite.Open(ctx, sqlite.Config{Path: filepath.Join(t.TempDir(), "kontor.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	}()
	b, err := disk.Open(disk.Config{Dir: filepath.Join(t.TempDir(), "blobs")})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	clock := func() time.Time { return now }
	const day = 24 * time.Hour
	reg := registry.New(registry.Config{Gate: gate.New(gate.Config{Meta: store}), Blobs: b, Now: clock, Log: slog.New(slog.DiscardHandler), JournalTime: 10 * day, BlobGrace: day})
	system := reg.System("test")
	in := ecr.RegistryID{Account: "000000000000", Region: "us-east-1"}
	for _, name := range []ecr.RepositoryName{"gone", "stays"} {
		if _, err := system.CreateRepository(ctx, registry.NewRepository{Repo: ecr.Repo{In: in, Name: name}}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := system.DeleteRepository(ctx, ecr.Repo{In: in, Name: "gone"}, true); err != nil {
		t.Fatal(err)
	}
	err = store.Update(ctx, func(ctx context.Context, tx meta.Tx) error {
		repo, err := tx.Repository(ctx, in, "stays")
		if err != nil {
			return err
		}
		d := ecr.DigestOf([]byte("layer"))
		if _, err := tx.AddBlob(ctx, meta.Blob{Digest: d, Key: "00000000000000000000000000000000", SizeBytes: 5, CreatedAt: now}); err != nil {
			return err
		}
		return tx.LinkBlob(ctx, repo.ID, d, now)
	})
	if err != nil {
		t.Fatal(err)
	}
	run := func(name string, want registry.Expired) {
		t.Helper()
		for _, j := range (Config{Registry: reg, ImageNow: clock, Now: clock}).jobs() {
			if j.name != name {
				continue
			}
			if got, err := j.do(ctx); err != nil || got != want {
				t.Errorf("%s removed %+v, %v, want %+v", name, got, err, want)
			}
			return
		}
		t.Errorf("there is no job %s", name)
	}
	run("collection", registry.Expired{})
	run("journal trimming", registry.Expired{})
	now = now.Add(11 * day)
	run("collection", registry.Expired{Count: 2, SizeBytes: 5}) // a link and a blob
	run("journal trimming", registry.Expired{Count: 1})
}

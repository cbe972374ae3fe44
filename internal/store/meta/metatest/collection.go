package metatest

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/store/blob"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// imageWith adds an image that refers to blobs.
func imageWith(t *testing.T, s meta.Store, repo meta.RepositoryID, seed string, blobs ...ecr.Digest) ecr.Digest {
	t.Helper()
	m := manifestOf(repo, seed)
	m.Blobs = blobs
	insertImage(t, s, m)
	return m.Image.Digest
}

func deleteImage(t *testing.T, s meta.Store, repo meta.RepositoryID, d ecr.Digest, at time.Time) {
	t.Helper()
	update(t, s, func(ctx context.Context, tx meta.Tx) error { return tx.DeleteManifest(ctx, repo, d, at) })
}

// idle returns since when the link is idle, and whether it is seen.
func idle(t *testing.T, s meta.Store, repo meta.RepositoryID, d ecr.Digest) (time.Time, bool) {
	t.Helper()
	b, err := tryRead(t, s, func(ctx context.Context, r meta.Reader) (meta.Blob, error) { return r.Blob(ctx, repo, d) })
	if err != nil && !errors.Is(err, meta.ErrNotFound) {
		t.Fatal(err)
	}
	list := read(t, s, func(ctx context.Context, r meta.Reader) ([]meta.Blob, error) {
		return r.Blobs(ctx, repo, []ecr.Digest{d})
	})
	if (err == nil) != (len(list) == 1) || err == nil && !list[0].IdleSince.Equal(b.IdleSince) {
		t.Errorf("Blob and Blobs disagree: %v, %v", b, list)
	}
	return b.IdleSince, err == nil
}

func wantIdle(t *testing.T, s meta.Store, repo meta.RepositoryID, d ecr.Digest, since time.Time) {
	t.Helper()
	if got, seen := idle(t, s, repo, d); !seen || !got.Equal(since) {
		t.Errorf("the link is seen: %v, idle since %v, want %v", seen, got, since)
	}
}

// hiddenLinks: with the last image that refers to a blob its link is hidden;
// an image that was promised the blob brings it back.
func hiddenLinks(t *testing.T, s meta.Store) {
	repo, neighbour := newRepository(t, s, "app"), newRepository(t, s, "neighbour")
	shared, own := newBlob(t, s, repo, "shared"), newBlob(t, s, repo, "own")
	newBlob(t, s, neighbour, "shared")
	wantIdle(t, s, repo, own, noon)
	first := imageWith(t, s, repo, "first", shared, own)
	second := imageWith(t, s, repo, "second", shared)
	wantIdle(t, s, repo, own, time.Time{})

	deleteImage(t, s, repo, first, noon.Add(time.Hour))
	wantIdle(t, s, repo, shared, time.Time{})
	if _, seen := idle(t, s, repo, own); seen {
		t.Error("the link of a blob without images is seen")
	}
	in := func(d ecr.Digest) (names []ecr.RepositoryName) {
		for _, r := range read(t, s, func(ctx context.Context, r meta.Reader) ([]meta.Repository, error) {
			return r.ListBlobRepositories(ctx, registry, d, "", 10)
		}) {
			names = append(names, r.Name)
		}
		return names
	}
	diff(t, []ecr.RepositoryName(nil), in(own))
	deleteImage(t, s, repo, second, noon.Add(time.Hour))
	diff(t, []ecr.RepositoryName{"neighbour"}, in(shared))
	wantIdle(t, s, neighbour, shared, noon)

	// Hidden links are there for images that come, and for no one else.
	absent := digest("absent")
	diff(t, []ecr.Digest{absent}, read(t, s, func(ctx context.Context, r meta.Reader) ([]ecr.Digest, error) {
		return r.MissingBlobs(ctx, repo, []ecr.Digest{own, absent, shared, absent})
	}))
	diff(t, []ecr.Digest{own}, read(t, s, func(ctx context.Context, r meta.Reader) ([]ecr.Digest, error) {
		return r.MissingBlobs(ctx, neighbour, []ecr.Digest{own, shared})
	}))
	third := imageWith(t, s, repo, "third", own)
	wantIdle(t, s, repo, own, time.Time{})
	deleteImage(t, s, repo, third, noon.Add(2*time.Hour))

	// An image that is refused brings nothing back.
	refused(t, s, meta.ErrReferenced, func(ctx context.Context, tx meta.Tx) error {
		m := manifestOf(repo, "refused")
		m.Blobs = []ecr.Digest{own, absent}
		return tx.InsertManifest(ctx, m)
	})
	if _, seen := idle(t, s, repo, own); seen {
		t.Error("a refused image made the link visible")
	}

	link := func(at time.Time) {
		t.Helper()
		update(t, s, func(ctx context.Context, tx meta.Tx) error { return tx.LinkBlob(ctx, repo, own, at) })
	}
	link(noon.Add(3 * time.Hour))
	wantIdle(t, s, repo, own, noon.Add(3*time.Hour))
	link(noon.Add(4 * time.Hour))
	wantIdle(t, s, repo, own, noon.Add(4*time.Hour))
	link(noon) // a clock behind the others
	wantIdle(t, s, repo, own, noon.Add(4*time.Hour))

	touch := func(at time.Time) {
		t.Helper()
		update(t, s, func(ctx context.Context, tx meta.Tx) error {
			return tx.TouchBlobs(ctx, repo, []ecr.Digest{own, shared, absent, own}, at)
		})
	}
	touch(noon.Add(5 * time.Hour))
	touch(noon)
	wantIdle(t, s, repo, own, noon.Add(5*time.Hour))
	if _, seen := idle(t, s, repo, shared); seen {
		t.Error("touching made a hidden link visible")
	}
	imageWith(t, s, repo, "fourth", own)
	touch(noon.Add(6 * time.Hour))
	link(noon.Add(6 * time.Hour))
	wantIdle(t, s, repo, own, time.Time{})
}

// givenBlobs: entries of an index and foreign layers need not be there; those
// that the repository was given, before or after, are referred to.
func givenBlobs(t *testing.T, s meta.Store) {
	for _, tt := range []struct {
		name  string
		lists func(*meta.Manifest, ...ecr.Digest)
	}{
		{"entries", func(m *meta.Manifest, ds ...ecr.Digest) { m.Children, m.Sparse = ds, true }},
		{"foreign", func(m *meta.Manifest, ds ...ecr.Digest) { m.Foreign = ds }},
	} {
		name := ecr.RepositoryName(tt.name)
		repo, neighbour := newRepository(t, s, name), newRepository(t, s, "neighbour/"+name)
		before := newBlob(t, s, repo, tt.name+" before")
		after, elsewhere := digest(tt.name+" after"), newBlob(t, s, neighbour, tt.name+" elsewhere")
		m := manifestOf(repo, tt.name)
		tt.lists(&m, before, after, before, elsewhere)
		insertImage(t, s, m)
		blobs := func() []ecr.Digest {
			return read(t, s, func(ctx context.Context, r meta.Reader) ([]ecr.Digest, error) {
				return r.ImageBlobs(ctx, repo, m.Image.Digest)
			})
		}
		diff(t, []ecr.Digest{before}, blobs())
		newBlob(t, s, repo, tt.name+" after")
		diff(t, sorted(before, after), blobs())
		for _, d := range []ecr.Digest{before, after} {
			wantIdle(t, s, repo, d, time.Time{})
			refused(t, s, meta.ErrReferenced, func(ctx context.Context, tx meta.Tx) error { return tx.UnlinkBlob(ctx, repo, d) })
		}
		wantIdle(t, s, neighbour, elsewhere, noon)
		if links, _ := collect(t, s, noon.Add(time.Hour), 10); links != 1 {
			t.Errorf("%s: %d links collected, want the neighbour's", tt.name, links)
		}

		// The bin keeps them, and what is listed again is held again.
		binImage(t, s, repo, name, m.Image.Digest, noon)
		e, err := tryRead(t, s, func(ctx context.Context, r meta.Reader) (meta.BinEntry, error) {
			return r.Retention().Bin(ctx, registry, name, m.Image.Digest)
		})
		if err != nil {
			t.Fatal(err)
		}
		diff(t, sorted(before, after), e.Manifest.Blobs)
		if _, seen := idle(t, s, repo, after); seen {
			t.Errorf("%s: the link is seen without its image", tt.name)
		}
		insertImage(t, s, m)
		diff(t, sorted(before, after), blobs())
		wantIdle(t, s, repo, after, time.Time{})
	}
}

// collect takes idle links and unused blobs until there are none.
func collect(t *testing.T, s meta.Store, before time.Time, limit int) (links int, gone []ecr.Digest) {
	t.Helper()
	for {
		var n int
		update(t, s, func(ctx context.Context, tx meta.Tx) (err error) {
			n, err = tx.Retention().DeleteIdleLinks(ctx, before, limit)
			return err
		})
		if links += n; n > limit {
			t.Fatalf("%d links in a batch of %d", n, limit)
		}
		if n < limit {
			break
		}
	}
	for {
		var (
			list   []meta.Blob
			looked int
		)
		update(t, s, func(ctx context.Context, tx meta.Tx) (err error) {
			list, looked, err = tx.Retention().DeleteUnusedBlobs(ctx, limit)
			return err
		})
		for _, b := range list {
			if b.Key == "" || b.SizeBytes != 3 {
				t.Errorf("the removed blob is %+v", b)
			}
			gone = append(gone, b.Digest)
		}
		if looked > limit || len(list) > looked {
			t.Fatalf("%d of %d looked at, limit %d", len(list), looked, limit)
		}
		if looked < limit {
			slices.Sort(gone)
			return links, gone
		}
	}
}

func sorted(ds ...ecr.Digest) []ecr.Digest { slices.Sort(ds); return ds }

func collection(t *testing.T, s meta.Store) {
	repo, neighbour := newRepository(t, s, "app"), newRepository(t, s, "neighbour")
	used, pushing, hidden, elsewhere := newBlob(t, s, repo, "used"), newBlob(t, s, repo, "pushing"), newBlob(t, s, repo, "hidden"), newBlob(t, s, repo, "elsewhere")
	unlinked, ofNeighbour := newBlob(t, s, repo, "unlinked"), newBlob(t, s, neighbour, "of neighbour")
	newBlob(t, s, neighbour, "elsewhere")
	imageWith(t, s, repo, "stays", used)
	imageWith(t, s, neighbour, "stays", elsewhere)
	deleteImage(t, s, repo, imageWith(t, s, repo, "goes", hidden, used, elsewhere), noon.Add(time.Hour))
	update(t, s, func(ctx context.Context, tx meta.Tx) error {
		return errors.Join(tx.UnlinkBlob(ctx, repo, unlinked), tx.TouchBlobs(ctx, repo, []ecr.Digest{pushing}, noon.Add(2*time.Hour)),
			tx.DeleteRepository(ctx, newRepositoryIn(ctx, t, tx, "gone", ofNeighbour)))
	})
	for limit := 1; limit <= 2; limit++ {
		if links, gone := collect(t, s, noon.Add(time.Hour), limit); limit == 1 {
			// Idle since before, not since then: the neighbour's.
			if links != 1 {
				t.Errorf("%d links", links)
			}
			diff(t, sorted(unlinked, ofNeighbour), gone)
		} else if links != 0 || len(gone) > 0 {
			t.Errorf("again: %d links, %v", links, gone)
		}
	}
	links, gone := collect(t, s, noon.Add(time.Hour+1), 100)
	if links != 2 {
		t.Errorf("%d links", links)
	}
	diff(t, sorted(hidden), gone)
	diff(t, []ecr.Digest{hidden}, read(t, s, func(ctx context.Context, r meta.Reader) ([]ecr.Digest, error) {
		return r.MissingBlobs(ctx, repo, []ecr.Digest{hidden, used, pushing})
	}))
	if _, seen := idle(t, s, neighbour, elsewhere); !seen {
		t.Error("the neighbour lost its blob")
	}
	// What was loose and is wanted again stays.
	update(t, s, func(ctx context.Context, tx meta.Tx) error {
		return errors.Join(tx.UnlinkBlob(ctx, repo, pushing), tx.LinkBlob(ctx, repo, pushing, noon))
	})
	if _, gone := collect(t, s, noon, 100); len(gone) > 0 {
		t.Errorf("%v went", gone)
	}
	links, gone = collect(t, s, noon.Add(time.Hour), 100)
	diff(t, sorted(pushing), gone)
	if links != 1 {
		t.Errorf("%d links", links)
	}
	update(t, s, func(ctx context.Context, tx meta.Tx) error {
		return errors.Join(tx.DeleteRepository(ctx, repo), tx.DeleteRepository(ctx, neighbour))
	})
	if _, gone := collect(t, s, noon, 1); len(gone) != 2 {
		t.Errorf("with the repositories went %v, want 2", gone)
	}
	for what, n := range map[string]func(context.Context, meta.Tx) (int, error){
		"links": func(ctx context.Context, tx meta.Tx) (int, error) {
			return tx.Retention().DeleteIdleLinks(ctx, noon, 0)
		},
		"blobs": func(ctx context.Context, tx meta.Tx) (int, error) {
			_, n, err := tx.Retention().DeleteUnusedBlobs(ctx, 0)
			return n, err
		},
		"bin": func(ctx context.Context, tx meta.Tx) (int, error) { return tx.Retention().ExpireBin(ctx, noon, -1) },
	} {
		update(t, s, func(ctx context.Context, tx meta.Tx) error {
			got, err := n(ctx, tx)
			if got != 0 {
				t.Errorf("%s: %d with no limit to take", what, got)
			}
			return err
		})
	}
}

// newRepositoryIn adds a repository with a link, within a transaction.
func newRepositoryIn(ctx context.Context, t *testing.T, tx meta.Tx, name ecr.RepositoryName, d ecr.Digest) meta.RepositoryID {
	t.Helper()
	id, err := tx.InsertRepository(ctx, repositoryNamed(name))
	if err := errors.Join(err, tx.LinkBlob(ctx, id, d, noon)); err != nil {
		t.Error(err)
	}
	return id
}

func dropBlobs(t *testing.T, s meta.Store) {
	repo, neighbour := newRepository(t, s, "app"), newRepository(t, s, "neighbour")
	used, own, idleThere, hiddenThere, binned := newBlob(t, s, repo, "used"), newBlob(t, s, repo, "own"), newBlob(t, s, repo, "idle there"),
		newBlob(t, s, repo, "hidden there"), newBlob(t, s, repo, "binned")
	newBlob(t, s, neighbour, "idle there")
	newBlob(t, s, neighbour, "hidden there")
	deleteImage(t, s, neighbour, imageWith(t, s, neighbour, "goes", hiddenThere), noon)
	imageWith(t, s, repo, "stays", used)
	binImage(t, s, repo, "app", imageWith(t, s, repo, "binned", binned), noon)
	deleteImage(t, s, repo, imageWith(t, s, repo, "purged", used, own, idleThere, hiddenThere, binned), noon)
	var gone []ecr.Digest
	update(t, s, func(ctx context.Context, tx meta.Tx) error {
		gone = nil
		list, err := tx.Retention().DropBlobs(ctx, repo, []ecr.Digest{used, own, own, idleThere, hiddenThere, binned, digest("unknown")})
		for _, b := range list {
			gone = append(gone, b.Digest)
		}
		return err
	})
	slices.Sort(gone)
	diff(t, sorted(own, hiddenThere), gone)
	wantIdle(t, s, repo, used, time.Time{})
	wantIdle(t, s, neighbour, idleThere, noon)
	if _, more := collect(t, s, noon, 10); len(more) > 0 {
		t.Errorf("then %v were unused", more)
	}
}

// orphans: a note is as old as its first making, and goes when it is not made again.
func orphans(t *testing.T, s meta.Store) {
	note := func(wait time.Duration, keys ...blob.Key) (due []blob.Key) {
		t.Helper()
		update(t, s, func(ctx context.Context, tx meta.Tx) (err error) {
			due, err = tx.Retention().NoteOrphans(ctx, keys, wait)
			return err
		})
		return due
	}
	forget := func(before time.Time, limit int) (n int) {
		t.Helper()
		update(t, s, func(ctx context.Context, tx meta.Tx) (err error) {
			n, err = tx.Retention().ForgetOrphans(ctx, before, limit)
			return err
		})
		return n
	}
	diff(t, []blob.Key(nil), note(time.Hour))
	diff(t, []blob.Key(nil), note(time.Hour, "b", "a", "b", "c"))
	first := databaseNow(t, s)
	for databaseNow(t, s).Equal(first) { // until the clock moves on
		continue
	}
	second := databaseNow(t, s)
	diff(t, []blob.Key{"a", "b"}, note(0, "b", "a"))
	diff(t, []blob.Key(nil), note(time.Hour, "b"))
	if n := forget(second, 0); n != 0 {
		t.Errorf("%d notes went, with a limit of none", n)
	}
	if n := forget(second, 10); n != 1 {
		t.Errorf("%d notes went, want that of c", n)
	}
	if n := forget(databaseNow(t, s).Add(time.Hour), 1); n != 1 {
		t.Errorf("%d notes went, with a limit of one", n)
	}
}

func databaseNow(t *testing.T, s meta.Store) time.Time {
	t.Helper()
	return read(t, s, func(ctx context.Context, r meta.Reader) (time.Time, error) { return r.Retention().Now(ctx) })
}

// databaseTime: it is the time of a clock, in UTC, and goes on within a transaction.
func databaseTime(t *testing.T, s meta.Store) {
	if off := time.Until(databaseNow(t, s)); off > time.Minute || off < -time.Minute {
		t.Errorf("the clock of the database is off by %s on the same machine", off)
	}
	update(t, s, func(ctx context.Context, tx meta.Tx) error {
		first, err := tx.Retention().Now(ctx)
		for now := first; err == nil && !now.After(first); {
			now, err = tx.Retention().Now(ctx)
		}
		return err
	})
}

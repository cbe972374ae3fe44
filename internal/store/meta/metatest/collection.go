package metatest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
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

// collect takes idle links and unused blobs until there are none.
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

// binImage moves an image into the bin.
func binImage(t *testing.T, s meta.Store, repo meta.RepositoryID, name ecr.RepositoryName, d ecr.Digest, at time.Time) (id int64) {
	t.Helper()
	update(t, s, func(ctx context.Context, tx meta.Tx) (err error) {
		e := meta.BinEntry{Registry: registry, Name: name, Repository: repo, DeletedAt: at, ExpiresAt: at.Add(time.Hour),
			Actor: "system: lifecycle", Reason: "rule 3 \"pr-*\"", Rule: 3}
		e.Manifest.Image.Digest = d
		if id, err = tx.Retention().BinManifest(ctx, e); err != nil {
			return err
		}
		return tx.DeleteManifest(ctx, repo, d, at)
	})
	return id
}

func getBin(t *testing.T, s meta.Store, d ecr.Digest) (meta.BinEntry, error) {
	t.Helper()
	return tryRead(t, s, func(ctx context.Context, r meta.Reader) (meta.BinEntry, error) {
		return r.Retention().Bin(ctx, registry, "app", d)
	})
}

func recycleBin(t *testing.T, s meta.Store) {
	repo, neighbour := newRepository(t, s, "app"), newRepository(t, s, "neighbour")
	layer, config := newBlob(t, s, repo, "layer"), newBlob(t, s, repo, "config")
	child := newImage(t, s, repo, "child")
	m := manifestOf(repo, "m")
	m.Blobs, m.Children = []ecr.Digest{layer, config, layer}, []ecr.Digest{child.Image.Digest}
	m.Image.Subject, m.Annotations = digest("subject"), map[string]string{"a": "ä\""}
	m.Image.LastPulledAt = noon.Add(time.Minute)
	m.Image.Status, m.Image.ArchivedAt, m.Image.ActivatedAt = ecr.StatusArchived, noon.Add(2*time.Minute), noon.Add(time.Minute)
	insertImage(t, s, m, "v2", "v1")
	diff(t, want(m, "v1", "v2"), getImage(t, s, repo, m.Image.Digest))

	refused(t, s, meta.ErrNotFound, func(ctx context.Context, tx meta.Tx) error {
		_, err := tx.Retention().BinManifest(ctx, meta.BinEntry{Registry: registry, Name: "neighbour", Repository: neighbour, Manifest: m})
		return err
	})
	id := binImage(t, s, repo, "app", m.Image.Digest, noon.Add(time.Hour))
	notFound(t, s, "the image", func(ctx context.Context, r meta.Reader) (meta.Manifest, error) {
		return r.Manifest(ctx, repo, m.Image.Digest)
	})
	entry := meta.BinEntry{ID: id, Registry: registry, Name: "app", Repository: repo, Manifest: want(m, "v1", "v2"),
		DeletedAt: noon.Add(time.Hour), ExpiresAt: noon.Add(2 * time.Hour), Actor: "system: lifecycle", Reason: "rule 3 \"pr-*\"", Rule: 3}
	entry.Manifest.Blobs, entry.Manifest.Children = sorted(layer, config), []ecr.Digest{child.Image.Digest}
	got, err := getBin(t, s, m.Image.Digest)
	if err != nil {
		t.Fatal(err)
	}
	diff(t, entry, got)
	short := entry
	short.Manifest = listed(entry.Manifest, "v1", "v2")
	list := func(name ecr.RepositoryName, after int64, limit int) []meta.BinEntry {
		return read(t, s, func(ctx context.Context, r meta.Reader) ([]meta.BinEntry, error) {
			return r.Retention().ListBin(ctx, registry, name, after, limit)
		})
	}
	diff(t, []meta.BinEntry{short}, list("app", 0, 10))
	diff(t, []meta.BinEntry(nil), list("neighbour", 0, 10))
	referring := func(subject ecr.Digest) []meta.BinEntry {
		return read(t, s, func(ctx context.Context, r meta.Reader) ([]meta.BinEntry, error) {
			return r.Retention().ListBinReferrers(ctx, registry, "app", subject, 0, 10)
		})
	}
	diff(t, []meta.BinEntry{short}, referring(digest("subject")))
	diff(t, []meta.BinEntry(nil), referring(""))

	// The bin keeps blobs, and outlives the repository.
	if _, gone := collect(t, s, noon.Add(100*time.Hour), 10); len(gone) > 0 {
		t.Errorf("%v went though the bin has an image of it", gone)
	}
	update(t, s, func(ctx context.Context, tx meta.Tx) error { return tx.DeleteRepository(ctx, repo) })
	if _, gone := collect(t, s, noon.Add(100*time.Hour), 10); len(gone) > 0 {
		t.Errorf("%v went though the bin has an image of it", gone)
	}
	diff(t, []meta.BinEntry{short}, list("app", 0, 10))

	// The image comes again under the name, and goes again: the newest counts.
	again := newRepository(t, s, "app")
	update(t, s, func(ctx context.Context, tx meta.Tx) error { return tx.LinkBlob(ctx, again, layer, noon) })
	copied := m
	copied.Repository, copied.Blobs, copied.Children, copied.Sparse = again, []ecr.Digest{layer}, []ecr.Digest{child.Image.Digest}, true
	insertImage(t, s, copied)
	second := binImage(t, s, again, "app", m.Image.Digest, noon.Add(3*time.Hour))
	if got, err := getBin(t, s, m.Image.Digest); err != nil || got.ID != second || second <= id || len(got.Manifest.Image.Tags) > 0 {
		t.Errorf("got entry %d with tags %v (%v), want %d", got.ID, got.Manifest.Image.Tags, err, second)
	}
	if got := list("", id, 10); len(got) != 1 || got[0].ID != second || len(list("", 0, 1)) != 1 || len(list("", 0, 10)) != 2 {
		t.Errorf("paging: %v", got)
	}

	remove := func(ctx context.Context, tx meta.Tx) error { return tx.Retention().DeleteBin(ctx, second) }
	update(t, s, remove)
	refused(t, s, meta.ErrNotFound, remove)
	expire := func(now time.Time, limit int) (n int) {
		update(t, s, func(ctx context.Context, tx meta.Tx) (err error) {
			n, err = tx.Retention().ExpireBin(ctx, now, limit)
			return err
		})
		return n
	}
	if n := expire(noon.Add(2*time.Hour-time.Microsecond), 10); n != 0 {
		t.Errorf("%d entries expired early", n)
	}
	for i := range 3 {
		binImage(t, s, again, "app", newImage(t, s, again, fmt.Sprint(i)).Image.Digest, noon)
	}
	if a, b, c := expire(noon.Add(2*time.Hour), 3), expire(noon.Add(2*time.Hour), 3), expire(noon.Add(2*time.Hour), 3); a != 3 || b != 1 || c != 0 {
		t.Errorf("%d, %d and %d entries expired, want 3, 1 and 0", a, b, c)
	}
	if _, err := getBin(t, s, m.Image.Digest); !errors.Is(err, meta.ErrNotFound) {
		t.Errorf("the expired entry: %v", err)
	}
	_, gone := collect(t, s, noon.Add(100*time.Hour), 10)
	diff(t, sorted(layer, config), gone)
}

func imageStatus(t *testing.T, s meta.Store) {
	repo := newRepository(t, s, "app")
	m := newImage(t, s, repo, "m", "v1")
	set := func(d ecr.Digest, status ecr.ImageStatus, at time.Time) func(context.Context, meta.Tx) error {
		return func(ctx context.Context, tx meta.Tx) error { return tx.SetImageStatus(ctx, repo, d, status, at) }
	}
	refused(t, s, meta.ErrNotFound, set(digest("none"), ecr.StatusArchived, noon))
	expect := func() {
		t.Helper()
		diff(t, want(m, "v1"), getImage(t, s, repo, m.Image.Digest))
		diff(t, []meta.Manifest{listed(m, "v1")}, read(t, s, func(ctx context.Context, r meta.Reader) ([]meta.Manifest, error) {
			return r.ListManifests(ctx, repo, "", 10)
		}))
	}
	expect()
	update(t, s, set(m.Image.Digest, ecr.StatusArchived, noon.Add(1)))
	m.Image.Status, m.Image.ArchivedAt = ecr.StatusArchived, noon
	expect()
	update(t, s, set(m.Image.Digest, ecr.StatusActivating, noon.Add(time.Hour)))
	m.Image.Status = ecr.StatusActivating
	expect()
	update(t, s, set(m.Image.Digest, ecr.StatusActive, noon.Add(2*time.Hour)))
	m.Image.Status, m.Image.ActivatedAt = ecr.StatusActive, noon.Add(2*time.Hour)
	expect()
	// It goes with the image.
	deleteImage(t, s, repo, m.Image.Digest, noon)
	m = newImage(t, s, repo, "m", "v1")
	expect()
}

func lifecycleEvaluated(t *testing.T, s meta.Store) {
	repo := newRepository(t, s, "app")
	set := func(repo meta.RepositoryID) func(context.Context, meta.Tx) error {
		return func(ctx context.Context, tx meta.Tx) error { return tx.SetLifecycleEvaluated(ctx, repo, noon) }
	}
	get := func() meta.Repository {
		return read(t, s, func(ctx context.Context, r meta.Reader) (meta.Repository, error) {
			return r.Repository(ctx, registry, "app")
		})
	}
	if at := get().LifecycleEvaluatedAt; !at.IsZero() {
		t.Errorf("a new repository was evaluated at %v", at)
	}
	refused(t, s, meta.ErrNotFound, set(missing))
	update(t, s, set(repo))
	changed := get()
	changed.LifecycleEvaluatedAt, changed.ScanOnPush = time.Time{}, true
	update(t, s, func(ctx context.Context, tx meta.Tx) error { return tx.UpdateRepository(ctx, changed) })
	changed.LifecycleEvaluatedAt = noon
	diff(t, changed, get())
}

func references(t *testing.T, s meta.Store) {
	repo, neighbour := newRepository(t, s, "app"), newRepository(t, s, "neighbour")
	a, b := newBlob(t, s, repo, "a"), newBlob(t, s, repo, "b")
	newBlob(t, s, neighbour, "a")
	imageWith(t, s, neighbour, "n", a)
	var all []meta.Reference
	for i, blobs := range [][]ecr.Digest{{a}, {a, b}, {}, {b, b}} {
		m := imageWith(t, s, repo, fmt.Sprint(i), blobs...)
		for _, d := range slices.Compact(sorted(blobs...)) {
			all = append(all, meta.Reference{Manifest: m, Blob: d, SizeBytes: 3})
		}
	}
	slices.SortFunc(all, func(x, y meta.Reference) int {
		if c := cmpString(x.Manifest, y.Manifest); c != 0 {
			return c
		}
		return cmpString(x.Blob, y.Blob)
	})
	for limit := 1; limit <= 5; limit++ {
		var got []meta.Reference
		for after := (meta.Reference{}); ; after = got[len(got)-1] {
			page := read(t, s, func(ctx context.Context, r meta.Reader) ([]meta.Reference, error) {
				return r.ListReferences(ctx, repo, after, limit)
			})
			if got = append(got, page...); len(page) < limit {
				break
			}
		}
		diff(t, all, got)
	}
	both := imageWith(t, s, repo, "both", b, a, b)
	diff(t, sorted(a, b), read(t, s, func(ctx context.Context, r meta.Reader) ([]ecr.Digest, error) { return r.ImageBlobs(ctx, repo, both) }))
	newBlob(t, s, neighbour, "b") // linked, and not used
	diff(t, []ecr.Digest{a}, read(t, s, func(ctx context.Context, r meta.Reader) ([]ecr.Digest, error) {
		return r.SharedBlobs(ctx, repo, []ecr.Digest{b, a, a})
	}))
	index := manifestOf(repo, "index")
	index.Children, index.Sparse = []ecr.Digest{all[0].Manifest, digest("not there")}, true
	insertImage(t, s, index)
}

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
				if i > 0 && got[i].Seq <= got[i-1].Seq {
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
			t.Errorf("entry %d has a body of %d bytes that nobody asked for", e.Seq, len(e.Body))
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

func leases(t *testing.T, s meta.Store) {
	prod := meta.LeaseCollector{Registry: registry, Name: "prod", ReportedAt: noon, TTL: 90 * time.Minute}
	test := meta.LeaseCollector{Registry: registry, Name: "Test", ReportedAt: noon, TTL: time.Hour}
	lease := func(c meta.LeaseCollector, repo ecr.RepositoryName, id ecr.ImageID, user string) meta.Lease {
		return meta.Lease{Registry: c.Registry, Collector: c.Name, Repository: repo, Image: id, User: user}
	}
	byTag, byDigest := ecr.ImageID{Tag: "v1"}, ecr.ImageID{Digest: digest("d"), Tag: "v1"}
	put := func(c meta.LeaseCollector, leases ...meta.Lease) {
		t.Helper()
		update(t, s, func(ctx context.Context, tx meta.Tx) error { return tx.Retention().PutLeases(ctx, c, leases) })
	}
	list := func(in ecr.RegistryID, name ecr.RepositoryName) []meta.Lease {
		return read(t, s, func(ctx context.Context, r meta.Reader) ([]meta.Lease, error) {
			return r.Retention().ListLeases(ctx, in, name)
		})
	}
	collectors := func() []meta.LeaseCollector {
		return read(t, s, func(ctx context.Context, r meta.Reader) ([]meta.LeaseCollector, error) {
			return r.Retention().LeaseCollectors(ctx, registry)
		})
	}
	a, b, c := lease(prod, "app", byTag, "Pod shop/web"), lease(prod, "web", byDigest, "CronJob x/y"), lease(test, "app", byTag, "B")
	put(prod, b, a, b)
	put(test, c)
	diff(t, []meta.LeaseCollector{test, prod}, collectors())
	diff(t, []meta.Lease{c, a, b}, list(registry, ""))
	diff(t, []meta.Lease{c, a}, list(registry, "app"))
	diff(t, []meta.Lease(nil), list(other, ""))
	prod.ReportedAt, prod.TTL = noon.Add(time.Hour), time.Minute
	put(prod, lease(meta.LeaseCollector{Registry: other, Name: "ignored"}, "new", byDigest, "u"))
	diff(t, []meta.LeaseCollector{test, prod}, collectors())
	diff(t, []meta.Lease{c, lease(prod, "new", byDigest, "u")}, list(registry, ""))
	var many []meta.Lease
	for i := range 250 {
		many = append(many, lease(prod, "new", byTag, fmt.Sprintf("%03d", i)))
	}
	put(prod, append(slices.Clone(many), many[99], many[0])...)
	diff(t, many, list(registry, "new"))
	put(prod)
	diff(t, []meta.Lease{c}, list(registry, ""))
	forget := func(ctx context.Context, tx meta.Tx) error {
		return tx.Retention().DeleteLeaseCollector(ctx, registry, "Test")
	}
	update(t, s, forget)
	refused(t, s, meta.ErrNotFound, forget)
	diff(t, []meta.Lease(nil), list(registry, ""))
	diff(t, []meta.LeaseCollector{prod}, collectors())
}

func previews(t *testing.T, s meta.Store) {
	repo := newRepository(t, s, "app")
	get := func(ctx context.Context, r meta.Reader) (meta.LifecyclePreview, error) {
		return r.Retention().LifecyclePreview(ctx, repo)
	}
	put := func(p meta.LifecyclePreview) func(context.Context, meta.Tx) error {
		return func(ctx context.Context, tx meta.Tx) error { return tx.Retention().PutLifecyclePreview(ctx, p) }
	}
	notFound(t, s, "before it is there", get)
	p := meta.LifecyclePreview{Repository: repo, PolicyText: `{"rules":[]}`, Status: "IN_PROGRESS", StartedAt: noon}
	update(t, s, put(p))
	diff(t, p, read(t, s, get))
	p.Status, p.Results, p.StartedAt, p.PolicyText = "COMPLETE", []byte{0, 0xff}, noon.Add(time.Hour), "{}"
	update(t, s, put(p))
	diff(t, p, read(t, s, get))
	p.Repository = missing
	refused(t, s, meta.ErrReferenced, put(p))
	update(t, s, func(ctx context.Context, tx meta.Tx) error { return tx.DeleteRepository(ctx, repo) })
	notFound(t, s, "after its repository", get)
}

func jobStates(t *testing.T, s meta.Store) {
	get := func(ctx context.Context, r meta.Reader) ([]byte, error) {
		return r.Retention().JobState(ctx, "lifecycle")
	}
	notFound(t, s, "before it is there", get)
	for _, state := range []string{`{"at":1}`, `{}`} {
		update(t, s, func(ctx context.Context, tx meta.Tx) error {
			return tx.Retention().PutJobState(ctx, "lifecycle", []byte(state))
		})
		diff(t, state, string(read(t, s, get)))
	}
	notFound(t, s, "another job", func(ctx context.Context, r meta.Reader) ([]byte, error) {
		return r.Retention().JobState(ctx, "Lifecycle")
	})
}

// collectionRace: blobs are collected while images come that need them. An
// image that was accepted has its blobs, or one that was refused has not.
func collectionRace(t *testing.T, s meta.Store) { replicasCollection(t, s, s) }

func replicasCollection(t *testing.T, a, b meta.Store) {
	repo := newRepository(t, a, "app")
	const rounds = 40
	for i := range rounds {
		d := digest(fmt.Sprint("layer", i))
		update(t, a, func(ctx context.Context, tx meta.Tx) error {
			_, err := tx.AddBlob(ctx, meta.Blob{Digest: d, Key: blob.NewKey(), SizeBytes: 3, CreatedAt: noon})
			return errors.Join(err, tx.LinkBlob(ctx, repo, d, noon))
		})
		m := manifestOf(repo, fmt.Sprint(i))
		m.Blobs = []ecr.Digest{d}
		errs := race(2, func(n int) error {
			if n == 0 {
				return a.Update(t.Context(), func(ctx context.Context, tx meta.Tx) error { return tx.InsertManifest(ctx, m) })
			}
			return b.Update(t.Context(), func(ctx context.Context, tx meta.Tx) error {
				if _, err := tx.Retention().DeleteIdleLinks(ctx, noon.Add(time.Hour), 10); err != nil {
					return err
				}
				_, _, err := tx.Retention().DeleteUnusedBlobs(ctx, 10)
				return err
			})
		})
		if errs[1] != nil {
			t.Fatal(errs[1])
		}
		_, seen := idle(t, a, repo, d)
		if pushed := errs[0] == nil; pushed != seen || !pushed && !errors.Is(errs[0], meta.ErrReferenced) {
			t.Fatalf("the image: %v; its blob is there: %v", errs[0], seen)
		}
	}
}

// A blob loses its last link while a collection looks at it that still finds it
// in use: the next collection has to look at it again.
func replicasLoosening(t *testing.T, a, b meta.Store) {
	repo, other := newRepository(t, a, "app"), newRepository(t, a, "other")
	d := newBlob(t, a, repo, "a")
	newBlob(t, a, other, "a")
	unlink := func(repo meta.RepositoryID) func(context.Context, meta.Tx) error {
		return func(ctx context.Context, tx meta.Tx) error { return tx.UnlinkBlob(ctx, repo, d) }
	}
	update(t, a, unlink(other)) // notes the blob
	began, done := make(chan struct{}), make(chan struct{})
	var once sync.Once
	errs := race(2, func(n int) error {
		if n == 1 {
			<-began
			defer close(done)
			return a.Update(t.Context(), unlink(repo))
		}
		return b.Update(t.Context(), func(ctx context.Context, tx meta.Tx) error {
			_, err := tx.CountUploads(ctx, "") // from here on it sees one moment
			once.Do(func() { close(began) })
			select {
			case <-done:
			case <-time.After(200 * time.Millisecond): // a database with one writer
			}
			_, _, err2 := tx.Retention().DeleteUnusedBlobs(ctx, 10)
			return errors.Join(err, err2)
		})
	})
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	_, gone := collect(t, a, noon, 10)
	left := read(t, a, func(ctx context.Context, r meta.Reader) ([]meta.Blob, error) { return r.ListBlobs(ctx, "", 10) })
	if len(left) > 0 {
		t.Errorf("the next collection removed %v and left %+v", gone, left)
	}
}

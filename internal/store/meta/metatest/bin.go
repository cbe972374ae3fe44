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

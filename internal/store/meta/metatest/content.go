package metatest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/store/blob"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

func blobs(t *testing.T, s meta.Store) {
	add := func(b meta.Blob) (got meta.Blob) {
		t.Helper()
		update(t, s, func(ctx context.Context, tx meta.Tx) (err error) { got, err = tx.AddBlob(ctx, b); return err })
		return got
	}
	first := meta.Blob{Digest: digest("a"), Key: blob.NewKey(), SizeBytes: 5 << 40, CreatedAt: noon}
	diff(t, first, add(first))
	// The same content under another key: the first stays, and is returned.
	second := meta.Blob{Digest: first.Digest, Key: blob.NewKey(), SizeBytes: first.SizeBytes, CreatedAt: noon.Add(time.Hour)}
	diff(t, first, add(second))
	diff(t, first, add(first))
	// A key names one content for ever.
	refused(t, s, meta.ErrExists, func(ctx context.Context, tx meta.Tx) error {
		_, err := tx.AddBlob(ctx, meta.Blob{Digest: digest("b"), Key: first.Key, CreatedAt: noon})
		return err
	})

	all := []meta.Blob{first}
	for i := range 9 {
		all = append(all, add(meta.Blob{Digest: digest(i), Key: blob.NewKey(), SizeBytes: int64(i), CreatedAt: noon}))
	}
	slices.SortFunc(all, func(a, b meta.Blob) int { return cmpString(a.Key, b.Key) })
	var got []meta.Blob
	for after := blob.Key(""); ; after = got[len(got)-1].Key {
		page := read(t, s, func(ctx context.Context, r meta.Reader) ([]meta.Blob, error) { return r.ListBlobs(ctx, after, 4) })
		if got = append(got, page...); len(page) < 4 {
			break
		}
	}
	diff(t, all, got)

	wanted := []blob.Key{all[7].Key, blob.NewKey(), all[0].Key, all[7].Key, second.Key, ""}
	diff(t, []meta.Blob{all[0], all[7]}, read(t, s, func(ctx context.Context, r meta.Reader) ([]meta.Blob, error) { return r.BlobsByKey(ctx, wanted) }))
	diff(t, []meta.Blob(nil), read(t, s, func(ctx context.Context, r meta.Reader) ([]meta.Blob, error) { return r.BlobsByKey(ctx, nil) }))
}

// replacedBlobs are kept under another key from then on, and under no third.
func replacedBlobs(t *testing.T, s meta.Store) {
	repo := newRepository(t, s, "app")
	d, other := newBlob(t, s, repo, "layer"), newBlob(t, s, repo, "other")
	row := func(d ecr.Digest) meta.Blob {
		t.Helper()
		return read(t, s, func(ctx context.Context, r meta.Reader) (meta.Blob, error) { return r.Blob(ctx, repo, d) })
	}
	before, key := row(d), blob.NewKey()
	replace := func(d ecr.Digest, from, to blob.Key) func(context.Context, meta.Tx) error {
		return func(ctx context.Context, tx meta.Tx) error {
			return tx.Retention().ReplaceBlob(ctx, from, meta.Blob{Digest: d, Key: to})
		}
	}
	refused(t, s, meta.ErrNotFound, replace(d, blob.NewKey(), key))
	refused(t, s, meta.ErrNotFound, replace(digest("unknown"), before.Key, key))
	refused(t, s, meta.ErrExists, replace(d, before.Key, row(other).Key))
	update(t, s, replace(d, before.Key, key))
	after := before
	after.Key = key
	diff(t, after, row(d))
	refused(t, s, meta.ErrNotFound, replace(d, before.Key, blob.NewKey()))

	// The database takes the content of one, gives it up for another's, and for a file.
	content := func(key blob.Key) ([]byte, error) {
		return tryRead(t, s, func(ctx context.Context, r meta.Reader) ([]byte, error) { return r.Retention().BlobContent(ctx, key) })
	}
	from := key
	for _, text := range []string{"one", "two"} {
		b := meta.Blob{Digest: d, Key: blob.NewDatabaseKey(noon), Content: []byte(text)}
		update(t, s, func(ctx context.Context, tx meta.Tx) error { return tx.Retention().ReplaceBlob(ctx, from, b) })
		if got, err := content(b.Key); err != nil || string(got) != text {
			t.Errorf("the database has %q of it, %v", got, err)
		}
		if got, err := content(from); !errors.Is(err, meta.ErrNotFound) {
			t.Errorf("the database still has %q under %s, %v", got, from, err)
		}
		from = b.Key
	}
	if err := s.Update(t.Context(), func(ctx context.Context, tx meta.Tx) error {
		return tx.Retention().ReplaceBlob(ctx, from, meta.Blob{Digest: d, Key: blob.NewDatabaseKey(noon)})
	}); err == nil {
		t.Error("a key of the database without content is taken")
	}
	update(t, s, replace(d, from, key))
	if got, err := content(from); !errors.Is(err, meta.ErrNotFound) {
		t.Errorf("the database still has %q, %v", got, err)
	}
	diff(t, after, row(d))
	diff(t, []meta.Blob(nil), read(t, s, func(ctx context.Context, r meta.Reader) ([]meta.Blob, error) {
		return r.BlobsByKey(ctx, []blob.Key{before.Key})
	}))
}

func blobLinks(t *testing.T, s meta.Store) {
	repo, neighbour := newRepository(t, s, "app"), newRepository(t, s, "neighbour")
	d := newBlob(t, s, repo, "layer")
	link := func(repo meta.RepositoryID, d ecr.Digest) func(context.Context, meta.Tx) error {
		return func(ctx context.Context, tx meta.Tx) error { return tx.LinkBlob(ctx, repo, d, noon) }
	}
	see := func(repo meta.RepositoryID) (meta.Blob, error) {
		return tryRead(t, s, func(ctx context.Context, r meta.Reader) (meta.Blob, error) { return r.Blob(ctx, repo, d) })
	}
	b, err := see(repo)
	if err != nil || b.Digest != d || b.SizeBytes != 3 || !b.CreatedAt.Equal(noon) {
		t.Errorf("got %+v, %v", b, err)
	}
	// Recorded, but not linked here: not to be seen.
	if _, err := see(neighbour); !errors.Is(err, meta.ErrNotFound) {
		t.Errorf("from another repository: %v, want ErrNotFound", err)
	}
	update(t, s, link(repo, d)) // twice is nothing
	update(t, s, link(neighbour, d))
	if _, err := see(neighbour); err != nil {
		t.Errorf("after linking: %v", err)
	}
	refused(t, s, meta.ErrReferenced, link(repo, digest("unknown")))
	refused(t, s, meta.ErrReferenced, link(missing, d))

	e := newBlob(t, s, repo, "other")
	got := read(t, s, func(ctx context.Context, r meta.Reader) ([]meta.Blob, error) {
		return r.Blobs(ctx, repo, []ecr.Digest{e, digest("unknown"), d, e, d})
	})
	found := make(map[ecr.Digest]int)
	for _, b := range got {
		found[b.Digest]++
	}
	diff(t, map[ecr.Digest]int{d: 1, e: 1}, found)
	if none := read(t, s, func(ctx context.Context, r meta.Reader) ([]meta.Blob, error) {
		return r.Blobs(ctx, neighbour, []ecr.Digest{e})
	}); len(none) > 0 {
		t.Errorf("another repository sees %v", none)
	}

	unlink := func(ctx context.Context, tx meta.Tx) error { return tx.UnlinkBlob(ctx, repo, d) }
	update(t, s, unlink)
	refused(t, s, meta.ErrNotFound, unlink)
	if _, err := see(repo); !errors.Is(err, meta.ErrNotFound) {
		t.Errorf("after unlinking: %v", err)
	}
	if _, err := see(neighbour); err != nil {
		t.Errorf("the neighbour's link: %v", err)
	}
}

func blobRepositories(t *testing.T, s meta.Store) {
	b, a := newRepository(t, s, "b"), newRepository(t, s, "a")
	newRepository(t, s, "c")
	d := newBlob(t, s, b, "layer")
	var foreign meta.RepositoryID
	update(t, s, func(ctx context.Context, tx meta.Tx) (err error) {
		r := repositoryNamed("a")
		r.Registry = other
		if foreign, err = tx.InsertRepository(ctx, r); err != nil {
			return err
		}
		return errors.Join(tx.LinkBlob(ctx, a, d, noon), tx.LinkBlob(ctx, foreign, d, noon))
	})
	names := func(in ecr.RegistryID, d ecr.Digest, after ecr.RepositoryName, limit int) (names []ecr.RepositoryName) {
		list := read(t, s, func(ctx context.Context, r meta.Reader) ([]meta.Repository, error) {
			return r.ListBlobRepositories(ctx, in, d, after, limit)
		})
		for _, r := range list {
			names = append(names, r.Name)
			if want := getRepository(t, s, in, r.Name); !cmp.Equal(want, r) {
				t.Errorf("%s is %+v, want %+v", r.Name, r, want)
			}
		}
		return names
	}
	diff(t, []ecr.RepositoryName{"a", "b"}, names(registry, d, "", 10))
	diff(t, []ecr.RepositoryName{"a"}, names(registry, d, "", 1))
	diff(t, []ecr.RepositoryName{"b"}, names(registry, d, "a", 10))
	diff(t, []ecr.RepositoryName(nil), names(registry, d, "b", 10))
	diff(t, []ecr.RepositoryName(nil), names(registry, d, "", 0))
	diff(t, []ecr.RepositoryName{"a"}, names(other, d, "", 10))
	diff(t, []ecr.RepositoryName(nil), names(registry, digest("unknown"), "", 10))
}

func entryOf(repo meta.RepositoryID, seed string) meta.JournalEntry {
	m := manifestOf(repo, seed)
	return meta.JournalEntry{
		At: noon, Registry: registry, Name: "app", Repository: repo, Op: meta.JournalDeleteImage,
		Digest: m.Image.Digest, Tags: []ecr.Tag{"v1", "latest"}, MediaType: m.Image.MediaType, SizeBytes: 3 << 40,
		Body: m.Body, Actor: "arn:aws:iam::000000000000:user/admin", Reason: "rule 1: \"pr-*\"",
	}
}

func listJournal(t *testing.T, s meta.Store, after int64, limit int) []meta.JournalEntry {
	t.Helper()
	return read(t, s, func(ctx context.Context, r meta.Reader) ([]meta.JournalEntry, error) {
		return r.Retention().QueryJournal(ctx, meta.JournalQuery{Registry: registry, Name: "app", Bodies: true}, after, limit)
	})
}

func journal(t *testing.T, s meta.Store) {
	old := newRepository(t, s, "app")
	first := entryOf(old, "a")
	first.Seq = 99 // ignored
	untagged := meta.JournalEntry{
		At: noon, Registry: registry, Name: "app", Repository: old, Op: meta.JournalDeleteTag, Digest: digest("x"),
		Actor: "system: lifecycle",
	}
	elsewhere, namesake := entryOf(old, "b"), entryOf(old, "c")
	elsewhere.Name, namesake.Registry = "app2", other
	update(t, s, func(ctx context.Context, tx meta.Tx) error {
		return errors.Join(tx.Retention().AppendJournal(ctx, first), tx.Retention().AppendJournal(ctx, elsewhere), tx.Retention().AppendJournal(ctx, namesake),
			tx.Retention().AppendJournal(ctx, untagged), tx.DeleteRepository(ctx, old))
	})
	moved := entryOf(newRepository(t, s, "app"), "d")
	moved.Op = meta.JournalMoveTag
	update(t, s, func(ctx context.Context, tx meta.Tx) error { return tx.Retention().AppendJournal(ctx, moved) })

	// All incarnations, in order.
	got := listJournal(t, s, 0, 10)
	ignoreSeq := cmp.FilterPath(func(p cmp.Path) bool { return p.Last().String() == ".Seq" }, cmp.Ignore())
	if d := cmp.Diff([]meta.JournalEntry{first, untagged, moved}, got, ignoreSeq); d != "" {
		t.Fatalf("-want +got:\n%s", d)
	}
	if got[0].Seq <= 0 || got[1].Seq <= got[0].Seq || got[2].Seq <= got[1].Seq {
		t.Errorf("sequence %d, %d, %d", got[0].Seq, got[1].Seq, got[2].Seq)
	}
	diff(t, got[:1], listJournal(t, s, 0, 1))
	diff(t, got[1:], listJournal(t, s, got[0].Seq, 10))
	diff(t, []meta.JournalEntry(nil), listJournal(t, s, got[2].Seq, 10))
}

// journalAtomic: a deletion and its record are there together or not at all.
func journalAtomic(t *testing.T, s meta.Store) {
	repo := newRepository(t, s, "app")
	m := newImage(t, s, repo, "a", "v1")
	fails := errors.New("something else went wrong")
	remove := func(outcome error) func(context.Context, meta.Tx) error {
		return func(ctx context.Context, tx meta.Tx) error {
			if err := tx.DeleteManifest(ctx, repo, m.Image.Digest, noon); err != nil {
				return err
			}
			if err := tx.Retention().AppendJournal(ctx, entryOf(repo, "a")); err != nil {
				return err
			}
			return outcome
		}
	}
	if err := s.Update(t.Context(), remove(fails)); !errors.Is(err, fails) {
		t.Errorf("got %v", err)
	}
	diff(t, []meta.JournalEntry(nil), listJournal(t, s, 0, 10))
	diff(t, want(m, "v1"), getImage(t, s, repo, m.Image.Digest))
	update(t, s, remove(nil))
	if got := listJournal(t, s, 0, 10); len(got) != 1 {
		t.Errorf("%d entries", len(got))
	}
}

// times are kept to the microsecond, and come back in UTC.
func times(t *testing.T, s meta.Store) {
	berlin := time.FixedZone("CET", 3600)
	for i, at := range []time.Time{
		time.Date(2026, 11, 22, 13, 0, 0, 123456789, berlin),
		time.Date(1999, 12, 31, 23, 59, 59, 999999999, time.UTC),
		time.Date(2262, 4, 12, 0, 0, 0, 1000, time.UTC), // beyond nanoseconds in 64 bits
		time.Unix(0, 0), time.Unix(-1, 999999000),
	} {
		r := repositoryNamed(ecr.RepositoryName(fmt.Sprint("r", i)))
		r.CreatedAt = at
		update(t, s, func(ctx context.Context, tx meta.Tx) error { _, err := tx.InsertRepository(ctx, r); return err })
		got := getRepository(t, s, registry, r.Name).CreatedAt
		if want := at.Truncate(time.Microsecond); !got.Equal(want) || got.Location() != time.UTC {
			t.Errorf("%v came back as %v, want %v", at, got, want.UTC())
		}
	}
}

// linkedBytes: each blob of a repository's images once, and those that no image of
// another has; what is only uploaded does not count on either side.
func linkedBytes(t *testing.T, s meta.Store) {
	repo, neighbour := newRepository(t, s, "app"), newRepository(t, s, "neighbour")
	takes := func(repo meta.RepositoryID, most int) meta.Linked {
		return read(t, s, func(ctx context.Context, r meta.Reader) (meta.Linked, error) {
			return r.Retention().LinkedBytes(ctx, repo, most)
		})
	}
	diff(t, meta.Linked{Complete: true}, takes(repo, 10))
	a, b := newBlob(t, s, repo, "a"), newBlob(t, s, repo, "b")
	diff(t, meta.Linked{Complete: true}, takes(repo, 10)) // no image has them
	imageWith(t, s, repo, "one", a, b)
	imageWith(t, s, repo, "two", a)
	newBlob(t, s, neighbour, "a")
	diff(t, meta.Linked{SizeBytes: 6, OwnBytes: 6, Complete: true}, takes(repo, 2))
	imageWith(t, s, neighbour, "n", a)
	diff(t, meta.Linked{SizeBytes: 6, OwnBytes: 3, Complete: true}, takes(repo, 2))
	diff(t, meta.Linked{SizeBytes: 3, Complete: true}, takes(neighbour, 2))
	diff(t, meta.Linked{}, takes(repo, 1))
	for n, want := range []bool{true, true, false, false} { // it has two images
		diff(t, want, read(t, s, func(ctx context.Context, r meta.Reader) (bool, error) { return r.Retention().MoreImages(ctx, repo, n) }))
	}
}

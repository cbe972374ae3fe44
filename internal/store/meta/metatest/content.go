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

func uploadOf(repo meta.RepositoryID, i int) meta.Upload {
	return meta.Upload{
		ID: meta.UploadID(fmt.Sprintf("00000000-0000-4000-8000-%012d", i)), Repository: repo, Key: blob.NewKey(), Owner: "AIDAOWNER",
		CreatedAt: noon, UpdatedAt: noon,
	}
}

func uploads(t *testing.T, s meta.Store) {
	repo, neighbour := newRepository(t, s, "app"), newRepository(t, s, "neighbour")
	get := func() meta.Upload {
		t.Helper()
		return read(t, s, func(ctx context.Context, r meta.Reader) (meta.Upload, error) {
			return r.Upload(ctx, repo, uploadOf(repo, 1).ID)
		})
	}
	count := func(want int) {
		t.Helper()
		if n := read(t, s, func(ctx context.Context, r meta.Reader) (int, error) { return r.CountUploads(ctx, "") }); n != want {
			t.Errorf("%d uploads, want %d", n, want)
		}
		for owner, want := range map[string]int{"AIDAOWNER": want, "AIDA": 0} {
			if n := read(t, s, func(ctx context.Context, r meta.Reader) (int, error) { return r.CountUploads(ctx, owner) }); n != want {
				t.Errorf("%d uploads of %s, want %d", n, owner, want)
			}
		}
	}
	count(0)
	u := uploadOf(repo, 1)
	insert := func(ctx context.Context, tx meta.Tx) error { return tx.InsertUpload(ctx, u) }
	update(t, s, insert)
	refused(t, s, meta.ErrExists, insert)
	refused(t, s, meta.ErrExists, func(ctx context.Context, tx meta.Tx) error { // a key is used once
		again := uploadOf(repo, 7)
		again.Key = u.Key
		return tx.InsertUpload(ctx, again)
	})
	refused(t, s, meta.ErrReferenced, func(ctx context.Context, tx meta.Tx) error { return tx.InsertUpload(ctx, uploadOf(missing, 8)) })
	diff(t, u, get())
	notFound(t, s, "through another repository", func(ctx context.Context, r meta.Reader) (meta.Upload, error) {
		return r.Upload(ctx, neighbour, u.ID)
	})
	count(1)

	u.Progress = blob.Progress{Offset: 6 << 30, State: []byte{0, 0xff, '\'', 0}}
	u.Parts, u.SmallestPart, u.LastPart, u.TornBytes, u.UpdatedAt = 3, 5<<30, 1, 7, noon.Add(time.Second)
	advance := func(from int64) func(context.Context, meta.Tx) error {
		return func(ctx context.Context, tx meta.Tx) error { return tx.AdvanceUpload(ctx, u, from) }
	}
	refused(t, s, meta.ErrConflict, advance(1))
	update(t, s, advance(0))
	diff(t, u, get())
	refused(t, s, meta.ErrConflict, advance(0))
	diff(t, u, get())
	refused(t, s, meta.ErrNotFound, func(ctx context.Context, tx meta.Tx) error { return tx.AdvanceUpload(ctx, uploadOf(repo, 9), 0) })

	remove := func(ctx context.Context, tx meta.Tx) error { return tx.DeleteUpload(ctx, u.ID, u.Claim) }
	update(t, s, remove)
	refused(t, s, meta.ErrNotFound, remove)
	refused(t, s, meta.ErrNotFound, advance(u.Progress.Offset))
	count(0)
}

// uploadClaims: one claim at a time, each with a higher number; what an older one
// changes is refused, and one that is over may be taken.
func uploadClaims(t *testing.T, s meta.Store) { claims(t, s, s) }

func replicasClaims(t *testing.T, a, b meta.Store) { claims(t, a, b) }

func claims(t *testing.T, a, b meta.Store) {
	repo, neighbour := newRepository(t, a, "app"), newRepository(t, a, "neighbour")
	u := uploadOf(repo, 1)
	update(t, a, func(ctx context.Context, tx meta.Tx) error { return tx.InsertUpload(ctx, u) })
	claim := func(s meta.Store, d time.Duration) (got meta.Upload, ok bool) {
		t.Helper()
		update(t, s, func(ctx context.Context, tx meta.Tx) (err error) {
			got, ok, err = tx.ClaimUpload(ctx, repo, u.ID, d)
			return err
		})
		return got, ok
	}
	renew := func(s meta.Store, claim int64, d time.Duration) (wanted bool) {
		t.Helper()
		update(t, s, func(ctx context.Context, tx meta.Tx) (err error) {
			wanted, err = tx.RenewUpload(ctx, u.ID, claim, d)
			return err
		})
		return wanted
	}
	stored := func() meta.Upload {
		t.Helper()
		return read(t, b, func(ctx context.Context, r meta.Reader) (meta.Upload, error) { return r.Upload(ctx, repo, u.ID) })
	}
	first, ok := claim(a, time.Hour)
	if !ok || first.Claim < 1 || !first.Claimed {
		t.Fatalf("the first claim: %+v, %t", first, ok)
	}
	diff(t, first, stored())
	if renew(a, first.Claim, time.Hour) {
		t.Error("the upload is wanted, and nobody asked")
	}
	if got, ok := claim(b, time.Hour); ok || got.Claim != first.Claim {
		t.Errorf("two claims at once: %+v", got)
	}
	if !renew(a, first.Claim, time.Microsecond) {
		t.Error("the upload is not wanted, and another request asked")
	}
	for stored().Claimed { // until that microsecond is over
		continue
	}
	second, ok := claim(b, time.Hour)
	if !ok || second.Claim <= first.Claim {
		t.Fatalf("a claim after one that is over: %+v, %t", second, ok)
	}
	if renew(b, second.Claim, time.Hour) {
		t.Error("the new claim is wanted because the old one was")
	}
	later := first
	later.Progress.Offset, later.UpdatedAt = 7, noon.Add(time.Hour)
	for name, old := range map[string]func(ctx context.Context, tx meta.Tx) error{
		"renew": func(ctx context.Context, tx meta.Tx) error {
			_, err := tx.RenewUpload(ctx, u.ID, first.Claim, time.Hour)
			return err
		},
		"advance": func(ctx context.Context, tx meta.Tx) error {
			return tx.AdvanceUpload(ctx, later, first.Progress.Offset)
		},
		"delete": func(ctx context.Context, tx meta.Tx) error { return tx.DeleteUpload(ctx, u.ID, first.Claim) },
	} {
		if err := a.Update(t.Context(), old); !errors.Is(err, meta.ErrConflict) {
			t.Errorf("%s by the old claim: %v, want ErrConflict", name, err)
		}
	}
	update(t, a, func(ctx context.Context, tx meta.Tx) error { return tx.ReleaseUpload(ctx, u.ID, first.Claim) })
	diff(t, second, stored())
	later = second
	later.Progress.Offset, later.UpdatedAt = 7, noon.Add(time.Hour)
	update(t, b, func(ctx context.Context, tx meta.Tx) error {
		return tx.AdvanceUpload(ctx, later, second.Progress.Offset)
	})
	later.Claimed = false // advancing ends it
	diff(t, later, stored())
	err := b.Update(t.Context(), func(ctx context.Context, tx meta.Tx) error {
		_, err := tx.RenewUpload(ctx, u.ID, second.Claim, time.Hour)
		return err
	})
	if !errors.Is(err, meta.ErrConflict) {
		t.Errorf("a renewal that comes after the claim has ended: %v, want ErrConflict", err)
	}
	diff(t, later, stored())
	third, ok := claim(a, time.Hour)
	if !ok {
		t.Fatal("no claim after one that ended")
	}
	update(t, a, func(ctx context.Context, tx meta.Tx) error { return tx.ReleaseUpload(ctx, u.ID, third.Claim) })
	fourth, ok := claim(b, time.Hour)
	if !ok {
		t.Fatal("no claim after one that was released")
	}
	renew(b, fourth.Claim, 24*time.Hour) // as on a clock that was set back since
	fifth, ok := claim(a, time.Hour)
	if !ok || fifth.Claim <= fourth.Claim {
		t.Fatalf("a claim after one that ends further ahead than claims last: %+v, %t", fifth, ok)
	}
	if got, ok := claim(b, time.Hour); ok {
		t.Fatalf("two claims at once: %+v", got)
	}
	update(t, b, func(ctx context.Context, tx meta.Tx) error { return tx.DeleteUpload(ctx, u.ID, fifth.Claim) })
	for name, gone := range map[string]func(ctx context.Context, tx meta.Tx) error{
		"claim": func(ctx context.Context, tx meta.Tx) error {
			_, _, err := tx.ClaimUpload(ctx, repo, u.ID, time.Hour)
			return err
		},
		"claim in another repository": func(ctx context.Context, tx meta.Tx) error {
			again := uploadOf(repo, 2)
			if err := tx.InsertUpload(ctx, again); err != nil {
				return err
			}
			_, _, err := tx.ClaimUpload(ctx, neighbour, again.ID, time.Hour)
			return err
		},
		"renew": func(ctx context.Context, tx meta.Tx) error {
			_, err := tx.RenewUpload(ctx, u.ID, fifth.Claim, time.Hour)
			return err
		},
	} {
		if err := a.Update(t.Context(), gone); !errors.Is(err, meta.ErrNotFound) {
			t.Errorf("%s: %v, want ErrNotFound", name, err)
		}
	}

	// Of many that claim at once, one has it.
	update(t, a, func(ctx context.Context, tx meta.Tx) error { return tx.InsertUpload(ctx, u) })
	won := make([]bool, 40)
	for i, err := range race(len(won), func(i int) error {
		return both(a, b)(i).Update(t.Context(), func(ctx context.Context, tx meta.Tx) (err error) {
			_, won[i], err = tx.ClaimUpload(ctx, repo, u.ID, time.Hour)
			return err
		})
	}) {
		if err != nil {
			t.Errorf("%d: %v", i, err)
		}
	}
	n := 0
	for _, w := range won {
		if w {
			n++
		}
	}
	if n != 1 {
		t.Errorf("%d of %d have the claim", n, len(won))
	}
}

// uploadOrder: oldest first, and "before t" to the microsecond.
func uploadOrder(t *testing.T, s meta.Store) {
	repo := newRepository(t, s, "app")
	ages := []time.Duration{3, 1, 4, 1, 5, 0, 2}
	var all []blob.Key
	update(t, s, func(ctx context.Context, tx meta.Tx) error {
		var errs []error
		all = nil
		for i, age := range ages {
			u := uploadOf(repo, i)
			u.UpdatedAt = noon.Add(age * time.Microsecond)
			all = append(all, u.Key)
			errs = append(errs, tx.InsertUpload(ctx, u))
		}
		return errors.Join(errs...)
	})
	list := func(before time.Time, limit int) (ages []int) {
		for _, u := range read(t, s, func(ctx context.Context, r meta.Reader) ([]meta.Upload, error) {
			return r.ListUploads(ctx, before, limit)
		}) {
			ages = append(ages, int(u.UpdatedAt.Sub(noon)/time.Microsecond))
		}
		return ages
	}
	diff(t, []int{0, 1, 1, 2, 3, 4, 5}, list(noon.Add(time.Second), 100))
	diff(t, []int{0, 1, 1}, list(noon.Add(2*time.Microsecond), 100))
	diff(t, []int{0, 1, 1, 2}, list(noon.Add(2*time.Microsecond+1), 100))
	diff(t, []int{0, 1}, list(noon.Add(time.Second), 2))
	diff(t, []int(nil), list(noon, 10))

	keys := func(of ...blob.Key) []blob.Key {
		return read(t, s, func(ctx context.Context, r meta.Reader) ([]blob.Key, error) { return r.UploadKeys(ctx, of) })
	}
	want := []blob.Key{all[2], all[5]}
	slices.Sort(want)
	diff(t, want, keys(all[5], blob.NewKey(), all[2], all[5], ""))
	diff(t, []blob.Key(nil), keys())
}

func users(t *testing.T, s meta.Store) {
	const account, elsewhere = ecr.AccountID("000000000000"), ecr.AccountID("111111111111")
	u := meta.User{UniqueID: "AIDA1", Account: account, Name: "admin", CreatedAt: noon, Policies: []string{"b", "B", "a"}}
	insert := func(u meta.User) func(context.Context, meta.Tx) error {
		return func(ctx context.Context, tx meta.Tx) error { return tx.Identities().InsertUser(ctx, u) }
	}
	byName := func(ctx context.Context, r meta.Reader) (meta.User, error) {
		return r.Identities().User(ctx, account, "admin")
	}
	byID := func(ctx context.Context, r meta.Reader) (meta.User, error) {
		return r.Identities().UserByID(ctx, "AIDA1")
	}
	notFound(t, s, "by name", byName)
	notFound(t, s, "by id", byID)
	update(t, s, insert(u))
	sorted := u
	sorted.Policies = []string{"B", "a", "b"}
	diff(t, sorted, read(t, s, byName))
	diff(t, sorted, read(t, s, byID))
	refused(t, s, meta.ErrExists, insert(u))
	refused(t, s, meta.ErrExists, insert(meta.User{UniqueID: "AIDA2", Account: account, Name: "admin", CreatedAt: noon}))
	refused(t, s, meta.ErrExists, insert(meta.User{UniqueID: "AIDA1", Account: account, Name: "other", CreatedAt: noon}))
	update(t, s, insert(meta.User{UniqueID: "AIDA3", Account: elsewhere, Name: "admin", CreatedAt: noon}))
	if got := read(t, s, func(ctx context.Context, r meta.Reader) (meta.User, error) {
		return r.Identities().UserByID(ctx, "AIDA3")
	}); got.Policies != nil || got.Account != elsewhere {
		t.Errorf("got %+v", got)
	}
	remove := func(ctx context.Context, tx meta.Tx) error { return tx.Identities().DeleteUser(ctx, "AIDA1") }
	update(t, s, remove)
	refused(t, s, meta.ErrNotFound, remove)
	notFound(t, s, "by name", byName)
	notFound(t, s, "by id", byID)
	update(t, s, insert(meta.User{UniqueID: "AIDA4", Account: account, Name: "admin", CreatedAt: noon})) // the name is free
}

func accessKeys(t *testing.T, s meta.Store) {
	update(t, s, func(ctx context.Context, tx meta.Tx) error {
		return errors.Join(tx.Identities().InsertUser(ctx, meta.User{UniqueID: "AIDA1", Account: "000000000000", Name: "a", CreatedAt: noon}),
			tx.Identities().InsertUser(ctx, meta.User{UniqueID: "AIDA2", Account: "000000000000", Name: "b", CreatedAt: noon}))
	})
	key := func(id, user string, age time.Duration) meta.AccessKey {
		return meta.AccessKey{ID: id, UserUniqueID: user, Sealed: []byte{0, 1, 0xff}, Active: true, CreatedAt: noon.Add(-age)}
	}
	insert := func(k meta.AccessKey) func(context.Context, meta.Tx) error {
		return func(ctx context.Context, tx meta.Tx) error { return tx.Identities().InsertAccessKey(ctx, k) }
	}
	get := func(id string) func(context.Context, meta.Reader) (meta.AccessKey, error) {
		return func(ctx context.Context, r meta.Reader) (meta.AccessKey, error) {
			return r.Identities().AccessKey(ctx, id)
		}
	}
	a, b, c := key("AKIAA", "AIDA1", 0), key("AKIAB", "AIDA1", time.Hour), key("AKIAC", "AIDA2", 0)
	notFound(t, s, "before it is there", get("AKIAA"))
	update(t, s, insert(a))
	update(t, s, insert(b))
	update(t, s, insert(c))
	diff(t, a, read(t, s, get("AKIAA")))
	diff(t, []meta.AccessKey{b, a}, read(t, s, func(ctx context.Context, r meta.Reader) ([]meta.AccessKey, error) {
		return r.Identities().ListAccessKeys(ctx, "AIDA1")
	}))
	refused(t, s, meta.ErrExists, insert(key("AKIAA", "AIDA2", 0)))
	refused(t, s, meta.ErrReferenced, insert(key("AKIAD", "AIDA9", 0)))

	set := func(id string, on bool) func(context.Context, meta.Tx) error {
		return func(ctx context.Context, tx meta.Tx) error { return tx.Identities().SetAccessKeyActive(ctx, id, on) }
	}
	for _, on := range []bool{false, false, true, true} {
		update(t, s, set("AKIAA", on))
		if got := read(t, s, get("AKIAA")).Active; got != on {
			t.Errorf("active: %v, want %v", got, on)
		}
	}
	refused(t, s, meta.ErrNotFound, set("AKIAD", true))
	remove := func(ctx context.Context, tx meta.Tx) error { return tx.Identities().DeleteAccessKey(ctx, "AKIAA") }
	update(t, s, remove)
	refused(t, s, meta.ErrNotFound, remove)
	update(t, s, func(ctx context.Context, tx meta.Tx) error { return tx.Identities().DeleteUser(ctx, "AIDA1") })
	notFound(t, s, "key of a user that is gone", get("AKIAB"))
	diff(t, c, read(t, s, get("AKIAC")))
}

func tokenKeys(t *testing.T, s meta.Store) {
	old := meta.TokenKey{ID: "z", Sealed: []byte{0xfe, 0}, CreatedAt: noon}
	young := meta.TokenKey{ID: "a", Sealed: []byte{1}, CreatedAt: noon.Add(time.Microsecond)}
	insert := func(k meta.TokenKey) func(context.Context, meta.Tx) error {
		return func(ctx context.Context, tx meta.Tx) error { return tx.Identities().InsertTokenKey(ctx, k) }
	}
	list := func() []meta.TokenKey {
		return read(t, s, func(ctx context.Context, r meta.Reader) ([]meta.TokenKey, error) {
			return r.Identities().TokenKeys(ctx)
		})
	}
	diff(t, []meta.TokenKey(nil), list())
	update(t, s, insert(old))
	update(t, s, insert(young))
	refused(t, s, meta.ErrExists, insert(old))
	diff(t, []meta.TokenKey{young, old}, list())
	remove := func(ctx context.Context, tx meta.Tx) error { return tx.Identities().DeleteTokenKey(ctx, "z") }
	update(t, s, remove)
	refused(t, s, meta.ErrNotFound, remove)
	diff(t, []meta.TokenKey{young}, list())
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

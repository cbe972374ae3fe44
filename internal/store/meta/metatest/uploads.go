package metatest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/kontor-registry/kontor/internal/store/blob"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

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

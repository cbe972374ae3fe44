package metatest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// Secrets are of one registry each, and a second one of the same name keeps its ARN.
// What was compared is forgotten with its repository.
func upstreams(t *testing.T, s meta.Store) {
	list := func() []meta.Secret {
		t.Helper()
		return read(t, s, func(ctx context.Context, r meta.Reader) ([]meta.Secret, error) {
			return r.Retention().ListSecrets(ctx, registry)
		})
	}
	diff(t, 0, len(list()))
	first := meta.Secret{Registry: registry, Name: "b", ARN: "arn:1", Sealed: []byte{0, 1}, CreatedAt: noon, UpdatedAt: noon}
	second := meta.Secret{Registry: registry, Name: "b", ARN: "arn:2", Sealed: []byte{2}, CreatedAt: noon.Add(time.Hour), UpdatedAt: noon.Add(time.Hour)}
	another := meta.Secret{Registry: registry, Name: "a", ARN: "arn:3", Sealed: []byte{3}, CreatedAt: noon, UpdatedAt: noon}
	foreign := meta.Secret{Registry: other, Name: "b", ARN: "arn:4", Sealed: []byte{4}, CreatedAt: noon, UpdatedAt: noon}
	for _, secret := range []meta.Secret{first, another, foreign, second} {
		update(t, s, func(ctx context.Context, tx meta.Tx) error { return tx.Retention().PutSecret(ctx, secret) })
	}
	kept := second
	kept.ARN, kept.CreatedAt = first.ARN, first.CreatedAt
	diff(t, []meta.Secret{another, kept}, list())
	diff(t, foreign, read(t, s, func(ctx context.Context, r meta.Reader) (meta.Secret, error) {
		return r.Retention().Secret(ctx, other, "b")
	}))
	update(t, s, func(ctx context.Context, tx meta.Tx) error { return tx.Retention().DeleteSecret(ctx, registry, "b") })
	diff(t, []meta.Secret{another}, list())
	err := s.Update(t.Context(), func(ctx context.Context, tx meta.Tx) error { return tx.Retention().DeleteSecret(ctx, registry, "b") })
	if !errors.Is(err, meta.ErrNotFound) {
		t.Errorf("removing a secret twice: %v", err)
	}

	var repo meta.RepositoryID
	update(t, s, func(ctx context.Context, tx meta.Tx) (err error) {
		repo, err = tx.InsertRepository(ctx, meta.Repository{Registry: registry, Name: "hub/app", CreatedAt: noon, Mutability: ecr.Mutability{Mode: ecr.Mutable}, Encryption: ecr.Encryption{Type: "AES256"}})
		return err
	})
	cached := false // as of what checked looked at last
	checked := func(reference string) time.Time {
		t.Helper()
		return read(t, s, func(ctx context.Context, r meta.Reader) (at time.Time, err error) {
			at, cached, err = r.Retention().UpstreamChecked(ctx, repo, reference)
			return at, err
		})
	}
	put := func(ctx context.Context, tx meta.Tx) error {
		return tx.Retention().PutUpstreamChecked(ctx, repo, "latest", noon)
	}
	diff(t, time.Time{}, checked("latest"))
	diff(t, false, cached)
	update(t, s, put)
	diff(t, noon, checked("latest"))
	diff(t, true, cached)
	update(t, s, func(ctx context.Context, tx meta.Tx) error {
		return tx.Retention().PutUpstreamChecked(ctx, repo, "latest", noon.Add(time.Hour))
	})
	diff(t, noon.Add(time.Hour), checked("latest"))
	diff(t, time.Time{}, checked("1"))
	diff(t, false, cached)
	update(t, s, func(ctx context.Context, tx meta.Tx) error { return tx.Retention().ForgetUpstreamChecks(ctx, repo) })
	diff(t, time.Time{}, checked("latest"))
	diff(t, true, cached)
	update(t, s, func(ctx context.Context, tx meta.Tx) error {
		return tx.Retention().PutUpstreamChecked(ctx, repo, "sha256:1", time.Time{})
	})
	diff(t, time.Time{}, checked("sha256:1"))
	diff(t, true, cached)
	for range 2 {
		update(t, s, func(ctx context.Context, tx meta.Tx) error {
			return tx.Retention().DropUpstreamChecked(ctx, repo, "latest")
		})
		diff(t, time.Time{}, checked("latest"))
		diff(t, false, cached)
	}
	update(t, s, put)
	update(t, s, func(ctx context.Context, tx meta.Tx) error { return tx.DeleteRepository(ctx, repo) })
	if err := s.Update(t.Context(), put); !errors.Is(err, meta.ErrReferenced) {
		t.Errorf("a comparison of a repository that is gone: %v", err)
	}
	diff(t, time.Time{}, checked("latest"))
}

// A fetch has one holder at a time, whose claim ends with its time, and shows what came.
func fetchClaims(t *testing.T, s meta.Store) {
	f := func(reference, holder string) meta.Fetch {
		return meta.Fetch{At: registry.Repo("cache/app"), Reference: reference, Holder: holder}
	}
	claims := func(fn func(ctx context.Context, c meta.FetchClaims) error) error {
		return s.Update(t.Context(), func(ctx context.Context, tx meta.Tx) error { return fn(ctx, tx.Retention().FetchClaims()) })
	}
	claim := func(of meta.Fetch, d time.Duration, want bool, there meta.Fetched) {
		t.Helper()
		var mine bool
		var got meta.Fetched
		if err := claims(func(ctx context.Context, c meta.FetchClaims) (err error) {
			mine, got, err = c.ClaimFetch(ctx, of, d)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		diff(t, want, mine)
		diff(t, there, got)
	}
	is := func(want, err error) {
		t.Helper()
		if !errors.Is(err, want) {
			t.Errorf("%v, want %v", err, want)
		}
	}
	keep := func(of meta.Fetch) error {
		return claims(func(ctx context.Context, c meta.FetchClaims) error { return c.KeepFetch(ctx, of, time.Hour) })
	}
	end := func(of meta.Fetch) error {
		return claims(func(ctx context.Context, c meta.FetchClaims) error { return c.EndFetch(ctx, of) })
	}
	share := func(of meta.Fetch, d time.Duration) error {
		return claims(func(ctx context.Context, c meta.FetchClaims) error {
			return c.ShareFetch(ctx, of, meta.Fetched{MediaType: "a/b", Content: []byte{0, 1}}, d)
		})
	}
	claim(f("v1", "a"), time.Hour, true, meta.Fetched{})
	claim(f("v1", "b"), time.Hour, false, meta.Fetched{})
	claim(f("v2", "b"), time.Hour, true, meta.Fetched{}) // something else
	is(nil, keep(f("v1", "a")))
	is(meta.ErrConflict, keep(f("v1", "b")))
	is(meta.ErrConflict, share(f("v1", "b"), time.Hour))
	is(nil, end(f("v1", "b"))) // of one who has no claim
	claim(f("v1", "b"), time.Hour, false, meta.Fetched{})
	is(nil, share(f("v1", "a"), time.Hour))
	claim(f("v1", "b"), time.Hour, false, meta.Fetched{MediaType: "a/b", Content: []byte{0, 1}})
	is(nil, end(f("v1", "a")))
	claim(f("v1", "b"), 0, true, meta.Fetched{}) // and over at once
	claim(f("v1", "c"), time.Hour, true, meta.Fetched{})
	is(meta.ErrConflict, keep(f("v1", "b")))
	is(nil, share(f("v1", "c"), -time.Second)) // what came is old
	claim(f("v1", "d"), time.Hour, true, meta.Fetched{})
}

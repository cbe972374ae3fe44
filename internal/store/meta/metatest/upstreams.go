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

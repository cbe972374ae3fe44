package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

const secretColumns = `name, arn, sealed, created_at, updated_at`

func scanSecret(in ecr.RegistryID) func(rows *sql.Rows) (meta.Secret, error) {
	return func(rows *sql.Rows) (meta.Secret, error) {
		s := meta.Secret{Registry: in}
		var created, updated int64
		err := rows.Scan(&s.Name, &s.ARN, &s.Sealed, &created, &updated)
		s.CreatedAt, s.UpdatedAt = fromMicros(created), fromMicros(updated)
		return s, err
	}
}

// Secret implements meta.UpstreamReader.
func (r retentionReader) Secret(ctx context.Context, in ecr.RegistryID, name string) (meta.Secret, error) {
	s, err := one(ctx, r.s, scanSecret(in), `SELECT `+secretColumns+` FROM secrets WHERE account = $1 AND region = $2 AND name = $3`,
		string(in.Account), string(in.Region), name)
	return s, wrap(err, "reading secret %s of %s", name, in)
}

// ListSecrets implements meta.UpstreamReader.
func (r retentionReader) ListSecrets(ctx context.Context, in ecr.RegistryID) ([]meta.Secret, error) {
	all, err := list(ctx, r.s, scanSecret(in), `SELECT `+secretColumns+` FROM secrets WHERE account = $1 AND region = $2 ORDER BY name`,
		string(in.Account), string(in.Region))
	return all, wrap(err, "listing the secrets of %s", in)
}

// UpstreamChecked implements meta.UpstreamReader.
func (r retentionReader) UpstreamChecked(ctx context.Context, repo meta.RepositoryID, reference string) (at time.Time, cached bool, err error) {
	n, err := one(ctx, r.s, func(rows *sql.Rows) (at int64, err error) { return at, rows.Scan(&at) },
		`SELECT checked_at FROM upstream_checks WHERE repository_id = $1 AND reference = $2`, int64(repo), reference)
	if errors.Is(err, meta.ErrNotFound) {
		return time.Time{}, false, nil
	}
	if n != 0 {
		at = fromMicros(n)
	}
	return at, err == nil, wrap(err, "reading when %s of repository %d was compared", reference, repo)
}

// PutSecret implements meta.UpstreamWriter.
func (t retentionTx) PutSecret(ctx context.Context, s meta.Secret) error {
	_, err := t.s.exec(ctx, `INSERT INTO secrets (account, region, name, arn, sealed, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7)
		ON CONFLICT (account, region, name) DO UPDATE SET sealed = excluded.sealed, updated_at = excluded.updated_at`,
		string(s.Registry.Account), string(s.Registry.Region), s.Name, s.ARN, bytes(s.Sealed), micros(s.CreatedAt), micros(s.UpdatedAt))
	return wrap(err, "storing secret %s of %s", s.Name, s.Registry)
}

// DeleteSecret implements meta.UpstreamWriter.
func (t retentionTx) DeleteSecret(ctx context.Context, in ecr.RegistryID, name string) error {
	n, err := t.s.exec(ctx, `DELETE FROM secrets WHERE account = $1 AND region = $2 AND name = $3`, string(in.Account), string(in.Region), name)
	return wrap(orElse(n, err, meta.ErrNotFound), "removing secret %s of %s", name, in)
}

// PutUpstreamChecked implements meta.UpstreamWriter.
func (t retentionTx) PutUpstreamChecked(ctx context.Context, repo meta.RepositoryID, reference string, at time.Time) error {
	checked := int64(0)
	if !at.IsZero() {
		checked = micros(at)
	}
	n, err := t.s.exec(ctx, `INSERT INTO upstream_checks (repository_id, reference, checked_at)
		SELECT id, $2, $3 FROM repositories WHERE id = $1 AND account <> ''
		ON CONFLICT (repository_id, reference) DO UPDATE SET checked_at = excluded.checked_at`,
		int64(repo), reference, checked)
	return wrap(orElse(n, err, meta.ErrReferenced), "storing when %s of repository %d was compared", reference, repo)
}

// ForgetUpstreamChecks implements meta.UpstreamWriter.
func (t retentionTx) ForgetUpstreamChecks(ctx context.Context, repo meta.RepositoryID) error {
	_, err := t.s.exec(ctx, `UPDATE upstream_checks SET checked_at = 0 WHERE repository_id = $1`, int64(repo))
	return wrap(err, "forgetting the comparisons of repository %d", repo)
}

// DropUpstreamChecked implements meta.UpstreamWriter.
func (t retentionTx) DropUpstreamChecked(ctx context.Context, repo meta.RepositoryID, reference string) error {
	_, err := t.s.exec(ctx, `DELETE FROM upstream_checks WHERE repository_id = $1 AND reference = $2`, int64(repo), reference)
	return wrap(err, "forgetting that %s of repository %d was cached", reference, repo)
}

type fetchClaims struct{ *transaction }

// FetchClaims implements meta.UpstreamWriter.
func (t retentionTx) FetchClaims() meta.FetchClaims { return fetchClaims(t.retentionReader) }

// forgotten is how long after its end the row of a fetch may stay.
const forgotten = time.Hour

func fetchKey(f meta.Fetch, more ...any) []any {
	return append([]any{string(f.At.In.Account), string(f.At.In.Region), string(f.At.Name), f.Reference}, more...)
}

// ClaimFetch implements meta.FetchClaims.
func (t fetchClaims) ClaimFetch(ctx context.Context, f meta.Fetch, d time.Duration) (mine bool, there meta.Fetched, err error) {
	_, err = one(ctx, t.s, scanString[string], t.q.claimFetch, fetchKey(f, f.Holder, d.Microseconds())...)
	if err == nil {
		return true, there, nil
	}
	if errors.Is(err, meta.ErrNotFound) {
		there, err = one(ctx, t.s, func(rows *sql.Rows) (v meta.Fetched, err error) { return v, rows.Scan(&v.MediaType, &v.Content) }, t.q.fetched, fetchKey(f)...)
		there.Content = nonEmpty(there.Content)
	}
	return false, there, wrap(err, "claiming the fetch of %s for %s", f.Reference, f.At)
}

// KeepFetch implements meta.FetchClaims.
func (t fetchClaims) KeepFetch(ctx context.Context, f meta.Fetch, d time.Duration) error {
	n, err := t.s.exec(ctx, t.q.keepFetch, fetchKey(f, f.Holder, d.Microseconds())...)
	return wrap(orElse(n, err, meta.ErrConflict), "keeping the fetch of %s for %s", f.Reference, f.At)
}

// ShareFetch implements meta.FetchClaims.
func (t fetchClaims) ShareFetch(ctx context.Context, f meta.Fetch, came meta.Fetched, d time.Duration) error {
	n, err := t.s.exec(ctx, t.q.shareFetch, fetchKey(f, f.Holder, d.Microseconds(), came.MediaType, bytes(came.Content))...)
	return wrap(orElse(n, err, meta.ErrConflict), "sharing the fetch of %s for %s", f.Reference, f.At)
}

// EndFetch implements meta.FetchClaims.
func (t fetchClaims) EndFetch(ctx context.Context, f meta.Fetch) error {
	_, err := t.s.exec(ctx, t.q.endFetch, fetchKey(f, f.Holder, forgotten.Microseconds())...)
	return wrap(err, "ending the fetch of %s for %s", f.Reference, f.At)
}

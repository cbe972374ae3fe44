package sqlstore

import (
	"context"
	"database/sql"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

type (
	signingReader struct{ *transaction }
	signingWriter struct{ *transaction }
)

// Signings implements meta.RegistryReader.
func (r registryReader) Signings() meta.SigningReader { return signingReader(r) }

// SigningWriter implements meta.RegistryTx.
func (t registryTx) SigningWriter() meta.SigningWriter { return signingWriter(t.registryReader) }

const selectProfile = `SELECT name, created_at, updated_at, certificates, sealed FROM signing_profiles WHERE account = $1 AND region = $2 `

func scanProfile(in ecr.RegistryID) func(rows *sql.Rows) (meta.SigningProfile, error) {
	return func(rows *sql.Rows) (meta.SigningProfile, error) {
		p := meta.SigningProfile{Registry: in}
		var created, updated int64
		err := rows.Scan(&p.Name, &created, &updated, &p.Certificates, &p.Sealed)
		p.CreatedAt, p.UpdatedAt = fromMicros(created), fromMicros(updated)
		return p, err
	}
}

// Profiles implements meta.SigningReader.
func (r signingReader) Profiles(ctx context.Context, in ecr.RegistryID) ([]meta.SigningProfile, error) {
	all, err := list(ctx, r.s, scanProfile(in), selectProfile+`ORDER BY name`, string(in.Account), string(in.Region))
	return all, wrap(err, "listing the signing profiles of %s", in)
}

// Profile implements meta.SigningReader.
func (r signingReader) Profile(ctx context.Context, in ecr.RegistryID, name string) (meta.SigningProfile, error) {
	p, err := one(ctx, r.s, scanProfile(in), selectProfile+`AND name = $3`, string(in.Account), string(in.Region), name)
	return p, wrap(err, "reading the signing profile %s of %s", name, in)
}

const selectSigning = `SELECT repository_id, digest, profile, status, attempts, asked_at, due_at, code, reason, signature FROM image_signings `

func scanSigning(rows *sql.Rows) (s meta.Signing, err error) {
	var asked, due int64
	err = rows.Scan(&s.Repository, &s.Digest, &s.Profile, &s.Status, &s.Attempts, &asked, &due, &s.Code, &s.Reason, &s.Signature)
	s.AskedAt, s.DueAt = fromMicros(asked), fromMicros(due)
	return s, err
}

// Signings implements meta.SigningReader.
func (r signingReader) Signings(ctx context.Context, repo meta.RepositoryID, d ecr.Digest) ([]meta.Signing, error) {
	all, err := list(ctx, r.s, scanSigning, selectSigning+`WHERE repository_id = $1 AND digest = $2 ORDER BY profile`, int64(repo), string(d))
	return all, wrap(err, "reading the signatures of %s in repository %d", d, repo)
}

// DueSigning implements meta.SigningReader.
func (r signingReader) DueSigning(ctx context.Context, now time.Time) (s meta.Signing, repo meta.Repository, err error) {
	s, err = one(ctx, r.s, scanSigning, selectSigning+`WHERE status = 'IN_PROGRESS' AND due_at <= $1
		AND repository_id IN (SELECT id FROM repositories WHERE account <> '')
		ORDER BY due_at, repository_id, digest, profile LIMIT 1`, micros(now))
	if err == nil {
		repo, err = one(ctx, r.s, scanRepository, selectRepository+`WHERE id = $1`, int64(s.Repository))
	}
	return s, repo, wrap(err, "finding a signature to be made")
}

// CountSignings implements meta.SigningReader.
func (r signingReader) CountSignings(ctx context.Context) (n int, err error) {
	_, err = r.s.queryRow(ctx, []any{&n}, `SELECT COUNT(*) FROM image_signings WHERE status = 'IN_PROGRESS'`)
	return n, wrap(err, "counting signatures to be made")
}

// PutProfile implements meta.SigningWriter.
func (t signingWriter) PutProfile(ctx context.Context, p meta.SigningProfile) error {
	_, err := t.s.exec(ctx, `INSERT INTO signing_profiles (account, region, name, created_at, updated_at, certificates, sealed)
		VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (account, region, name)
		DO UPDATE SET updated_at = excluded.updated_at, certificates = excluded.certificates, sealed = excluded.sealed`,
		string(p.Registry.Account), string(p.Registry.Region), p.Name, micros(p.CreatedAt), micros(p.UpdatedAt), p.Certificates, bytes(p.Sealed))
	return wrap(err, "storing the signing profile %s of %s", p.Name, p.Registry)
}

// DeleteProfile implements meta.SigningWriter.
func (t signingWriter) DeleteProfile(ctx context.Context, in ecr.RegistryID, name string) error {
	n, err := t.s.exec(ctx, `DELETE FROM signing_profiles WHERE account = $1 AND region = $2 AND name = $3`, string(in.Account), string(in.Region), name)
	return wrap(orElse(n, err, meta.ErrNotFound), "removing the signing profile %s of %s", name, in)
}

func signingValues(s meta.Signing) []any {
	return []any{int64(s.Repository), string(s.Digest), s.Profile, string(s.Status), s.Attempts, micros(s.AskedAt), micros(s.DueAt), s.Code, s.Reason, string(s.Signature)}
}

// PutSigning implements meta.SigningWriter.
func (t signingWriter) PutSigning(ctx context.Context, s meta.Signing) error {
	n, err := t.s.exec(ctx, `INSERT INTO image_signings (repository_id, digest, profile, status, attempts, asked_at, due_at, code, reason, signature)
		SELECT repository_id, digest, $3, $4, $5, $6, $7, $8, $9, $10 FROM manifests WHERE repository_id = $1 AND digest = $2
		ON CONFLICT (repository_id, digest, profile) DO UPDATE SET status = excluded.status, attempts = excluded.attempts,
		asked_at = excluded.asked_at, due_at = excluded.due_at, code = excluded.code, reason = excluded.reason, signature = excluded.signature`,
		signingValues(s)...)
	return wrap(orElse(n, err, meta.ErrReferenced), "queueing a signature of %s in repository %d", s.Digest, s.Repository)
}

// EndSigning implements meta.SigningWriter.
func (t signingWriter) EndSigning(ctx context.Context, s meta.Signing) error {
	n, err := t.s.exec(ctx, `UPDATE image_signings SET status = $4, attempts = $5, due_at = $7, code = $8, reason = $9, signature = $10
		WHERE repository_id = $1 AND digest = $2 AND profile = $3 AND asked_at = $6 AND status = 'IN_PROGRESS'`, signingValues(s)...)
	return wrap(orElse(n, err, meta.ErrConflict), "ending a signature of %s in repository %d", s.Digest, s.Repository)
}

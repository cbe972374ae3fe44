package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

const binColumns = `id, account, region, name, repository_id, digest, media_type, artifact_media_type, size_bytes,
	pushed_at, last_pulled_at, subject, length(body), status, archived_at, activated_at, tags,
	deleted_at, expires_at, actor, reason, rule`

// scanBin scans binColumns and then more.
func scanBin(rows *sql.Rows, more ...any) (meta.BinEntry, error) {
	var e meta.BinEntry
	var pushed, deleted, expires int64
	var pulled, archived, activated sql.NullInt64
	var tags string
	m := &e.Manifest
	if err := rows.Scan(append([]any{&e.ID, &e.Registry.Account, &e.Registry.Region, &e.Name, &e.Repository,
		&m.Image.Digest, &m.Image.MediaType, &m.Image.ArtifactMediaType, &m.Image.SizeBytes, &pushed, &pulled,
		&m.Image.Subject, &m.BodySizeBytes, &m.Image.Status, &archived, &activated, &tags,
		&deleted, &expires, &e.Actor, &e.Reason, &e.Rule}, more...)...); err != nil {
		return e, err
	}
	m.Repository = e.Repository
	m.Image.PushedAt, m.Image.LastPulledAt = fromMicros(pushed), timeOrZero(pulled)
	m.Image.ArchivedAt, m.Image.ActivatedAt = timeOrZero(archived), timeOrZero(activated)
	e.DeletedAt, e.ExpiresAt = fromMicros(deleted), fromMicros(expires)
	return e, fromJSON(tags, &m.Image.Tags)
}

func scanListedBin(rows *sql.Rows) (meta.BinEntry, error) { return scanBin(rows) }

// Bin implements meta.BinReader.
func (r retentionReader) Bin(ctx context.Context, in ecr.RegistryID, name ecr.RepositoryName, d ecr.Digest) (meta.BinEntry, error) {
	e, err := one(ctx, r.s, func(rows *sql.Rows) (meta.BinEntry, error) {
		var annotations, children string
		var body []byte
		e, err := scanBin(rows, &annotations, &children, &body)
		e.Manifest.Body = body
		return e, errors.Join(err, fromJSON(annotations, &e.Manifest.Annotations), fromJSON(children, &e.Manifest.Children))
	}, `SELECT `+binColumns+`, annotations, children, body FROM bin
		WHERE account = $1 AND region = $2 AND name = $3 AND digest = $4 ORDER BY id DESC LIMIT 1`,
		string(in.Account), string(in.Region), string(name), string(d))
	if err == nil {
		e.Manifest.Blobs, err = list(ctx, r.s, scanString[ecr.Digest],
			`SELECT digest FROM bin_blobs WHERE bin_id = $1 ORDER BY digest`, e.ID)
	}
	return e, wrap(err, "reading image %s of %s in %s from the bin", d, name, in)
}

// ListBin implements meta.BinReader.
func (r retentionReader) ListBin(ctx context.Context, in ecr.RegistryID, name ecr.RepositoryName, after int64, limit int) ([]meta.BinEntry, error) {
	if limit <= 0 {
		return nil, nil
	}
	text, args := `SELECT `+binColumns+` FROM bin WHERE account = $1 AND region = $2 AND id > $3 ORDER BY id LIMIT $4`,
		[]any{string(in.Account), string(in.Region), after, limit}
	if name != "" {
		text, args = `SELECT `+binColumns+` FROM bin WHERE account = $1 AND region = $2 AND id > $3 AND name = $5 ORDER BY id LIMIT $4`,
			append(args, string(name))
	}
	all, err := list(ctx, r.s, scanListedBin, text, args...)
	return all, wrap(err, "listing the bin of %s", in)
}

// ListBinReferrers implements meta.BinReader.
func (r retentionReader) ListBinReferrers(ctx context.Context, in ecr.RegistryID, name ecr.RepositoryName, subject ecr.Digest, after int64, limit int) ([]meta.BinEntry, error) {
	if limit <= 0 {
		return nil, nil
	}
	all, err := list(ctx, r.s, scanListedBin, `SELECT `+binColumns+` FROM bin WHERE account = $1 AND region = $2
		AND name = $3 AND subject = $4 AND subject <> '' AND id > $5 ORDER BY id LIMIT $6`,
		string(in.Account), string(in.Region), string(name), string(subject), after, limit)
	return all, wrap(err, "listing referrers of %s in the bin of %s in %s", subject, name, in)
}

// BinManifest implements meta.BinWriter.
func (t retentionTx) BinManifest(ctx context.Context, e meta.BinEntry) (int64, error) {
	id, err := t.binManifest(ctx, e)
	return id, wrap(err, "putting image %s of %s in %s into the bin", e.Manifest.Image.Digest, e.Name, e.Registry)
}

func (t retentionTx) binManifest(ctx context.Context, e meta.BinEntry) (int64, error) {
	repo, digest := int64(e.Repository), string(e.Manifest.Image.Digest)
	tags, err := list(ctx, t.s, scanString[ecr.Tag],
		`SELECT tag FROM tags WHERE repository_id = $1 AND digest = $2 ORDER BY tag`, repo, digest)
	if err != nil {
		return 0, err
	}
	children, err := list(ctx, t.s, scanString[ecr.Digest],
		`SELECT child FROM manifest_children WHERE repository_id = $1 AND parent = $2 ORDER BY child`, repo, digest)
	if err != nil {
		return 0, err
	}
	tagsText, err := toJSON(tags)
	if err != nil {
		return 0, err
	}
	childrenText, err := toJSON(children)
	if err != nil {
		return 0, err
	}
	var id int64
	found, err := t.s.queryRow(ctx, []any{&id}, `INSERT INTO bin (account, region, name, repository_id, digest, media_type,
		artifact_media_type, size_bytes, pushed_at, last_pulled_at, subject, annotations, status, archived_at, activated_at,
		tags, children, deleted_at, expires_at, actor, reason, rule, body)
		SELECT $3, $4, $5, m.repository_id, m.digest, m.media_type, m.artifact_media_type, m.size_bytes, m.pushed_at,
		m.last_pulled_at, m.subject, m.annotations, COALESCE(s.status, 'ACTIVE'), s.archived_at, s.activated_at,
		$6, $7, $8, $9, $10, $11, $12, m.body`+fromManifests+`WHERE m.repository_id = $1 AND m.digest = $2 RETURNING id`,
		repo, digest, string(e.Registry.Account), string(e.Registry.Region), string(e.Name), tagsText, childrenText,
		micros(e.DeletedAt), micros(e.ExpiresAt), e.Actor, e.Reason, int64(e.Rule))
	if err != nil {
		return 0, err
	}
	if !found {
		return 0, meta.ErrNotFound
	}
	_, err = t.s.exec(ctx, `INSERT INTO bin_blobs (bin_id, digest)
		SELECT $3, blob FROM manifest_blobs WHERE repository_id = $1 AND manifest = $2`, repo, digest, id)
	return id, err
}

// DeleteBin implements meta.BinWriter.
func (t retentionTx) DeleteBin(ctx context.Context, id int64) error {
	n, err := t.removeBin(ctx, `DELETE FROM bin_blobs WHERE bin_id = $1 RETURNING digest`, `DELETE FROM bin WHERE id = $1`, id)
	return wrap(orElse(n, err, meta.ErrNotFound), "removing entry %d from the bin", id)
}

// ExpireBin implements meta.BinWriter.
func (t retentionTx) ExpireBin(ctx context.Context, now time.Time, limit int) (int, error) {
	if limit <= 0 {
		return 0, nil
	}
	const these = `(SELECT id FROM bin WHERE expires_at <= $1 ORDER BY expires_at, id LIMIT $2)`
	n, err := t.removeBin(ctx, `DELETE FROM bin_blobs WHERE bin_id IN `+these+` RETURNING digest`,
		`DELETE FROM bin WHERE id IN `+these, micros(now), limit)
	return int(n), wrap(err, "removing expired entries from the bin")
}

// removeBin removes the references of entries, then the entries, and returns
// how many of these.
func (t retentionTx) removeBin(ctx context.Context, references, entries string, args ...any) (int64, error) {
	digests, err := list(ctx, t.s, scanString[ecr.Digest], references, args...)
	if err == nil {
		err = t.loosen(ctx, distinct(digests))
	}
	if err != nil {
		return 0, err
	}
	return t.s.exec(ctx, entries, args...)
}

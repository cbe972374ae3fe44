package sqlstore

import (
	"context"
	"database/sql"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/store/blob"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// scanLinked scans a blob and when its link became idle.
func scanLinked(rows *sql.Rows) (meta.Blob, error) {
	var b meta.Blob
	var created int64
	var idle sql.NullInt64
	err := rows.Scan(&b.Digest, &b.Key, &b.SizeBytes, &created, &idle)
	b.CreatedAt, b.IdleSince = fromMicros(created), timeOrZero(idle)
	return b, err
}

func scanBlob(rows *sql.Rows) (meta.Blob, error) {
	var b meta.Blob
	var created int64
	err := rows.Scan(&b.Digest, &b.Key, &b.SizeBytes, &created)
	b.CreatedAt = fromMicros(created)
	return b, err
}

// Blob implements meta.BlobReader.
func (r reader) Blob(ctx context.Context, repo meta.RepositoryID, d ecr.Digest) (meta.Blob, error) {
	key := rowKey{what: rowBlob, a: string(d), repo: repo}
	b, err := remembered(r.transaction, areaBlobs, key, sizeOfBlob, func() (meta.Blob, error) {
		return one(ctx, r.s, scanLinked, `SELECT b.digest, b.key, b.size_bytes, b.created_at, l.idle_since
			FROM blob_links l JOIN blobs b ON b.digest = l.digest
			WHERE l.repository_id = $1 AND l.digest = $2 AND NOT l.hidden`, int64(repo), string(d))
	})
	return b, wrap(err, "reading blob %s of repository %d", d, repo)
}

// Blobs implements meta.BlobReader.
func (r reader) Blobs(ctx context.Context, repo meta.RepositoryID, ds []ecr.Digest) ([]meta.Blob, error) {
	if len(ds) == 0 {
		return nil, nil
	}
	all, err := list(ctx, r.s, scanLinked, r.q.linkedBlobs, int64(repo), r.s.d.Strings(distinct(ds)))
	return all, wrap(err, "reading %d blobs of repository %d", len(ds), repo)
}

// ListBlobRepositories implements meta.BlobReader.
func (r reader) ListBlobRepositories(ctx context.Context, in ecr.RegistryID, d ecr.Digest, after ecr.RepositoryName, limit int) ([]meta.Repository, error) {
	if limit <= 0 {
		return nil, nil
	}
	all, err := list(ctx, r.s, scanRepository, selectRepository+`WHERE account = $1 AND region = $2 AND name > $3
		AND EXISTS (SELECT 1 FROM blob_links l WHERE l.repository_id = repositories.id AND l.digest = $4 AND NOT l.hidden)
		ORDER BY name LIMIT $5`, string(in.Account), string(in.Region), string(after), string(d), limit)
	return all, wrap(err, "listing the repositories of %s that have blob %s", in, d)
}

// BlobIsUsed implements meta.BlobReader.
func (r reader) BlobIsUsed(ctx context.Context, repo meta.RepositoryID, d ecr.Digest) (bool, error) {
	yes, err := r.s.truth(ctx, `SELECT EXISTS (SELECT 1 FROM manifest_blobs WHERE repository_id = $1 AND blob = $2)`,
		int64(repo), string(d))
	return yes, wrap(err, "looking for users of blob %s in repository %d", d, repo)
}

// MissingBlobs implements meta.BlobReader.
func (r reader) MissingBlobs(ctx context.Context, repo meta.RepositoryID, ds []ecr.Digest) ([]ecr.Digest, error) {
	missing, err := r.absent(ctx, r.q.anyLinks, repo, ds)
	return missing, wrap(err, "looking for blobs in repository %d", repo)
}

// ImageBlobs implements meta.BlobReader.
func (r reader) ImageBlobs(ctx context.Context, repo meta.RepositoryID, d ecr.Digest) ([]ecr.Digest, error) {
	all, err := list(ctx, r.s, scanString[ecr.Digest],
		`SELECT blob FROM manifest_blobs WHERE repository_id = $1 AND manifest = $2 ORDER BY blob`, int64(repo), string(d))
	return all, wrap(err, "reading the blobs of image %s of repository %d", d, repo)
}

// SharedBlobs implements meta.BlobReader.
func (r reader) SharedBlobs(ctx context.Context, repo meta.RepositoryID, ds []ecr.Digest) ([]ecr.Digest, error) {
	if len(ds) == 0 {
		return nil, nil
	}
	all, err := list(ctx, r.s, scanString[ecr.Digest], r.q.sharedBlobs, int64(repo), r.s.d.Strings(distinct(ds)))
	return all, wrap(err, "looking for blobs that others share with repository %d", repo)
}

// ListReferences implements meta.BlobReader.
func (r reader) ListReferences(ctx context.Context, repo meta.RepositoryID, after meta.Reference, limit int) ([]meta.Reference, error) {
	if limit <= 0 {
		return nil, nil
	}
	all, err := list(ctx, r.s, func(rows *sql.Rows) (ref meta.Reference, err error) {
		return ref, rows.Scan(&ref.Manifest, &ref.Blob, &ref.SizeBytes)
	}, `SELECT m.manifest, m.blob, b.size_bytes FROM manifest_blobs m JOIN blobs b ON b.digest = m.blob
		WHERE m.repository_id = $1 AND (m.manifest, m.blob) > ($2, $3) ORDER BY m.manifest, m.blob LIMIT $4`,
		int64(repo), string(after.Manifest), string(after.Blob), limit)
	return all, wrap(err, "listing the references of repository %d", repo)
}

// ListBlobs implements meta.BlobReader.
func (r reader) ListBlobs(ctx context.Context, after blob.Key, limit int) ([]meta.Blob, error) {
	if limit <= 0 {
		return nil, nil
	}
	all, err := list(ctx, r.s, scanBlob, `SELECT digest, key, size_bytes, created_at FROM blobs
		WHERE key > $1 ORDER BY key LIMIT $2`, string(after), limit)
	return all, wrap(err, "listing blobs")
}

// BlobsByKey implements meta.BlobReader.
func (r reader) BlobsByKey(ctx context.Context, keys []blob.Key) ([]meta.Blob, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	all, err := list(ctx, r.s, scanBlob, r.q.blobsByKey, r.s.d.Strings(distinct(keys)))
	return all, wrap(err, "looking for %d keys among the blobs", len(keys))
}

// AddBlob implements meta.BlobWriter.
func (t txn) AddBlob(ctx context.Context, b meta.Blob) (meta.Blob, error) {
	n, err := t.s.exec(ctx, `INSERT INTO blobs (digest, key, size_bytes, created_at) VALUES ($1, $2, $3, $4)
		ON CONFLICT DO NOTHING`, string(b.Digest), string(b.Key), b.SizeBytes, micros(b.CreatedAt))
	if err == nil && n > 0 {
		b.CreatedAt = fromMicros(micros(b.CreatedAt))
		return b, nil
	}
	var known []meta.Blob
	if err == nil {
		known, err = list(ctx, t.s, scanBlob, `SELECT digest, key, size_bytes, created_at FROM blobs WHERE digest = $1`,
			string(b.Digest))
	}
	if err == nil && len(known) == 0 {
		err = meta.ErrExists // the key is another blob's
	}
	return first(known), wrap(err, "recording blob %s under key %s", b.Digest, b.Key)
}

// ReplaceBlob implements meta.BlobWriter.
func (t txn) ReplaceBlob(ctx context.Context, d ecr.Digest, from, to blob.Key) error {
	taken, err := t.s.truth(ctx, `SELECT EXISTS (SELECT 1 FROM blobs WHERE key = $1 AND digest <> $2)`, string(to), string(d))
	if err == nil && taken {
		err = meta.ErrExists
	}
	if err == nil {
		var n int64
		n, err = t.s.exec(ctx, `UPDATE blobs SET key = $3 WHERE digest = $1 AND key = $2`, string(d), string(from), string(to))
		err = orElse(n, err, meta.ErrNotFound)
	}
	return wrap(err, "keeping blob %s under key %s in place of %s", d, to, from)
}

// LinkBlob implements meta.BlobWriter.
func (t txn) LinkBlob(ctx context.Context, repo meta.RepositoryID, d ecr.Digest, at time.Time) error {
	// A link in use stays as it is, so that many pushes may link one blob at
	// once.
	n, err := t.s.exec(ctx, `INSERT INTO blob_links (repository_id, digest, linked_at, idle_since, hidden)
		SELECT r.id, b.digest, $3, $3, FALSE FROM repositories r, blobs b WHERE r.id = $1 AND r.account <> '' AND b.digest = $2
		ON CONFLICT (repository_id, digest) DO UPDATE SET hidden = FALSE, idle_since = excluded.idle_since
		WHERE blob_links.idle_since < excluded.idle_since OR blob_links.hidden`, int64(repo), string(d), micros(at))
	if err == nil && n == 0 {
		var there bool
		if there, err = t.s.truth(ctx, hasLink+`)`, int64(repo), string(d)); err == nil && !there {
			err = meta.ErrReferenced
		}
	}
	if err == nil {
		err = t.holdGiven(ctx, repo, d)
	}
	return wrap(err, "linking blob %s to repository %d", d, repo)
}

// holdGiven makes those images refer to a linked blob that were waiting for it.
func (t txn) holdGiven(ctx context.Context, repo meta.RepositoryID, d ecr.Digest) error {
	n, err := t.s.exec(ctx, `INSERT INTO manifest_blobs (repository_id, manifest, blob)
		SELECT repository_id, parent, child FROM manifest_children WHERE repository_id = $1 AND child = $2
		UNION SELECT repository_id, manifest, layer FROM foreign_layers WHERE repository_id = $1 AND layer = $2
		ON CONFLICT DO NOTHING`, int64(repo), string(d))
	if err == nil && n > 0 {
		_, err = t.s.exec(ctx, `UPDATE blob_links SET idle_since = NULL, hidden = FALSE
			WHERE repository_id = $1 AND digest = $2`, int64(repo), string(d))
	}
	return err
}

const hasLink = `SELECT EXISTS (SELECT 1 FROM blob_links WHERE repository_id = $1 AND digest = $2`

// UnlinkBlob implements meta.BlobWriter.
func (t txn) UnlinkBlob(ctx context.Context, repo meta.RepositoryID, d ecr.Digest) error {
	n, err := t.s.exec(ctx, `DELETE FROM blob_links WHERE repository_id = $1 AND digest = $2 AND NOT hidden
		AND NOT EXISTS (SELECT 1 FROM manifest_blobs WHERE repository_id = $1 AND blob = $2)`, int64(repo), string(d))
	if err == nil && n == 0 {
		var there bool
		if there, err = t.s.truth(ctx, hasLink+` AND NOT hidden)`, int64(repo), string(d)); err == nil {
			err = meta.ErrNotFound
			if there {
				err = meta.ErrReferenced
			}
		}
	}
	if err == nil {
		err = t.loosen(ctx, []string{string(d)})
	}
	return wrap(err, "unlinking blob %s from repository %d", d, repo)
}

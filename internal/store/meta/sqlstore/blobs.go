package sqlstore

import (
	"context"
	"database/sql"
	"fmt"
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

// BlobAndContent implements meta.BlobReader.
func (r reader) BlobAndContent(ctx context.Context, repo meta.RepositoryID, d ecr.Digest) (meta.Blob, error) {
	key := rowKey{what: rowContent, a: string(d), repo: repo}
	size := func(b meta.Blob) int { return sizeOfBlob(b) + len(b.Content) }
	b, err := remembered(r.transaction, areaBlobs, key, size, func() (meta.Blob, error) {
		return one(ctx, r.s, func(rows *sql.Rows) (b meta.Blob, err error) {
			var created int64
			var idle sql.NullInt64
			err = rows.Scan(&b.Digest, &b.Key, &b.SizeBytes, &created, &idle, &b.Content)
			b.CreatedAt, b.IdleSince = fromMicros(created), timeOrZero(idle)
			if err == nil && b.Key.InDatabase() && b.Content == nil {
				b.Content = []byte{} // it is empty, or missing, which its digest tells
			}
			return b, err
		}, `SELECT b.digest, b.key, b.size_bytes, b.created_at, l.idle_since, c.content
			FROM blob_links l JOIN blobs b ON b.digest = l.digest LEFT JOIN blob_contents c ON c.key = b.key
			WHERE l.repository_id = $1 AND l.digest = $2 AND NOT l.hidden`, int64(repo), string(d))
	})
	return b, wrap(err, "reading blob %s of repository %d with its content", d, repo)
}

// BlobContent implements meta.ContentOfKeys.
func (r retentionReader) BlobContent(ctx context.Context, key blob.Key) ([]byte, error) {
	var content []byte
	found, err := r.s.queryRow(ctx, []any{&content}, `SELECT content FROM blob_contents WHERE key = $1`, string(key))
	if err == nil && !found {
		err = meta.ErrNotFound
	}
	return content, wrap(err, "reading the content under key %s", key)
}

// AddBlob implements meta.BlobWriter.
func (t txn) AddBlob(ctx context.Context, b meta.Blob) (meta.Blob, error) {
	if b.Key.InDatabase() != (b.Content != nil) {
		return b, fmt.Errorf("recording blob %s: content and key %s do not belong together", b.Digest, b.Key)
	}
	n, err := t.insertBlob(ctx, b)
	if err == nil && n > 0 {
		b.CreatedAt, b.Content = fromMicros(micros(b.CreatedAt)), nil
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

const insertBlob = `INSERT INTO blobs (digest, key, size_bytes, created_at) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`

// insertBlobAndContent is one round trip for a database that is elsewhere.
const insertBlobAndContent = `WITH b AS (` + insertBlob + ` RETURNING key)
	INSERT INTO blob_contents (key, content) SELECT key, CAST($5 AS BYTEA) FROM b`

// insertBlob inserts the blob with its content, and returns 1, or 0 when it is there.
func (t txn) insertBlob(ctx context.Context, b meta.Blob) (int64, error) {
	if b.Content != nil && !t.s.d.OneWriter {
		return t.s.exec(ctx, insertBlobAndContent, string(b.Digest), string(b.Key), b.SizeBytes, micros(b.CreatedAt), b.Content)
	}
	n, err := t.s.exec(ctx, insertBlob, string(b.Digest), string(b.Key), b.SizeBytes, micros(b.CreatedAt))
	if err == nil && n > 0 && b.Content != nil {
		err = insertContent(ctx, t.s, b)
	}
	return n, err
}

func insertContent(ctx context.Context, s *session, b meta.Blob) error {
	_, err := s.exec(ctx, `INSERT INTO blob_contents (key, content) VALUES ($1, $2)`, string(b.Key), b.Content)
	return err
}

// ReplaceBlob implements meta.ContentKeeper.
func (t retentionTx) ReplaceBlob(ctx context.Context, from blob.Key, b meta.Blob) error {
	if b.Key.InDatabase() != (b.Content != nil) {
		return fmt.Errorf("keeping blob %s: content and key %s do not belong together", b.Digest, b.Key)
	}
	taken, err := t.s.truth(ctx, `SELECT EXISTS (SELECT 1 FROM blobs WHERE key = $1 AND digest <> $2)`, string(b.Key), string(b.Digest))
	if err == nil && taken {
		err = meta.ErrExists
	}
	if err == nil && from.InDatabase() {
		_, err = t.s.exec(ctx, `DELETE FROM blob_contents WHERE key = (SELECT key FROM blobs WHERE digest = $1 AND key = $2)`, string(b.Digest), string(from))
	}
	if err == nil {
		var n int64
		n, err = t.s.exec(ctx, `UPDATE blobs SET key = $3 WHERE digest = $1 AND key = $2`, string(b.Digest), string(from), string(b.Key))
		err = orElse(n, err, meta.ErrNotFound)
	}
	if err == nil && b.Content != nil {
		err = insertContent(ctx, t.s, b)
	}
	return wrap(err, "keeping blob %s under key %s in place of %s", b.Digest, b.Key, from)
}

// LinkBlob implements meta.BlobWriter.
func (t txn) LinkBlob(ctx context.Context, repo meta.RepositoryID, d ecr.Digest, at time.Time) error {
	// A link in use stays as it is, so that many pushes may link one blob at
	// once. Whether images wait for the blob is asked at once, as few do.
	waited, lock := true, t.s.locking(t.s.d.KeyShare)
	if lock != "" {
		lock += " OF r"
	}
	linked, err := t.s.queryRow(ctx, []any{&waited}, `INSERT INTO blob_links (repository_id, digest, linked_at, idle_since, hidden)
		SELECT r.id, b.digest, $3, $3, FALSE FROM repositories r, blobs b WHERE r.id = $1 AND r.account <> '' AND b.digest = $2`+lock+`
		ON CONFLICT (repository_id, digest) DO UPDATE SET hidden = FALSE, idle_since = excluded.idle_since
		WHERE blob_links.idle_since < excluded.idle_since OR blob_links.hidden
		RETURNING EXISTS (SELECT 1 FROM manifest_children WHERE repository_id = $1 AND child = $2)
		OR EXISTS (SELECT 1 FROM foreign_layers WHERE repository_id = $1 AND layer = $2)`, int64(repo), string(d), micros(at))
	if err == nil && !linked {
		var there bool
		if there, err = t.s.truth(ctx, hasLink+`)`, int64(repo), string(d)); err == nil && !there {
			err = meta.ErrReferenced
		}
	}
	if err == nil && waited {
		err = t.holdGiven(ctx, repo, d)
	}
	return wrap(err, "linking blob %s to repository %d", d, repo)
}

// holdGiven makes those images refer to a linked blob that were waiting for it.
func (t *transaction) holdGiven(ctx context.Context, repo meta.RepositoryID, d ecr.Digest) error {
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
	n, err := t.s.exec(ctx, `DELETE FROM blob_links WHERE repository_id = $1 AND digest = $2 AND NOT hidden AND `+unheld, int64(repo), string(d))
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

// MoreImages implements meta.LinkedReader.
func (r retentionReader) MoreImages(ctx context.Context, repo meta.RepositoryID, n int) (bool, error) {
	more, err := r.s.queryRow(ctx, nil, `SELECT 1 FROM manifests WHERE repository_id = $1 ORDER BY digest LIMIT 1 OFFSET $2`, int64(repo), n)
	return more, wrap(err, "counting the images of repository %d", repo)
}

// LinkedBytes implements meta.LinkedReader.
func (r retentionReader) LinkedBytes(ctx context.Context, repo meta.RepositoryID, most int) (l meta.Linked, err error) {
	var n int
	_, err = r.s.queryRow(ctx, []any{&n, &l.SizeBytes, &l.OwnBytes}, `SELECT COUNT(*), CAST(COALESCE(SUM(b.size_bytes), 0) AS BIGINT),
		CAST(COALESCE(SUM(CASE WHEN EXISTS (SELECT 1 FROM blob_links o WHERE o.digest = l.digest AND o.repository_id <> $1 AND o.idle_since IS NULL)
			THEN 0 ELSE b.size_bytes END), 0) AS BIGINT)
		FROM (SELECT digest FROM blob_links WHERE repository_id = $1 AND idle_since IS NULL ORDER BY digest LIMIT $2) AS l
		JOIN blobs b ON b.digest = l.digest`, int64(repo), most+1)
	if l.Complete = n <= most; !l.Complete {
		l.SizeBytes, l.OwnBytes = 0, 0
	}
	return l, wrap(err, "adding up the blobs of repository %d", repo)
}

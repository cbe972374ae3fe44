package sqlstore

import (
	"context"
	"database/sql"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/store/blob"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// A link is idle when no manifest refers to it: idle_since is set then and
// only then, by the statements that insert and delete manifests. Whoever takes
// a link, or a place in the bin, away from a blob puts it among the loose
// ones, so that no one has to search all blobs for those without either.

// TouchBlobs implements meta.BlobWriter.
func (t txn) TouchBlobs(ctx context.Context, repo meta.RepositoryID, ds []ecr.Digest, at time.Time) error {
	if len(ds) == 0 {
		return nil
	}
	_, err := t.s.exec(ctx, t.q.touchLinks, int64(repo), t.s.d.Strings(distinct(ds)), micros(at))
	return wrap(err, "touching %d blobs of repository %d", len(ds), repo)
}

// loosen notes that blobs may have become unused. A note that is there is
// written again, so that a collection which looked at the blob earlier, and is
// about to remove the note, collides with this transaction: a note passed over
// (DO NOTHING) is nothing that PostgreSQL counts as read.
func (t *transaction) loosen(ctx context.Context, digests []string) error {
	if len(digests) == 0 {
		return nil
	}
	_, err := t.s.exec(ctx, t.q.loosen, t.s.d.Strings(digests))
	return err
}

// DeleteIdleLinks implements meta.Collector.
func (t retentionTx) DeleteIdleLinks(ctx context.Context, before time.Time, limit int) (int, error) {
	if limit <= 0 {
		return 0, nil
	}
	if err := t.holdListed(ctx, before, limit); err != nil {
		return 0, wrap(err, "looking for idle links that images wait for")
	}
	gone, err := list(ctx, t.s, scanString[ecr.Digest], `DELETE FROM blob_links WHERE (repository_id, digest) IN (
			SELECT l.repository_id, l.digest FROM blob_links l WHERE l.idle_since < $1
			ORDER BY l.idle_since, l.repository_id, l.digest LIMIT $2) AND `+unlisted+`
		RETURNING digest`, microsUp(before), limit)
	if err == nil {
		err = t.loosen(ctx, distinct(gone))
	}
	return len(gone), wrap(err, "removing idle links")
}

// holdListed holds those of the first idle links for the images that list their blobs:
// see unlisted.
func (t retentionTx) holdListed(ctx context.Context, before time.Time, limit int) error {
	type link struct {
		repo   meta.RepositoryID
		digest ecr.Digest
	}
	all, err := list(ctx, t.s, func(rows *sql.Rows) (l link, err error) { return l, rows.Scan(&l.repo, &l.digest) },
		`SELECT repository_id, digest FROM (SELECT repository_id, digest FROM blob_links WHERE idle_since < $1
			ORDER BY idle_since, repository_id, digest LIMIT $2) AS blob_links WHERE NOT (`+unlisted+`)`, microsUp(before), limit)
	for _, l := range all {
		if err == nil {
			err = t.holdGiven(ctx, l.repo, l.digest)
		}
	}
	return err
}

// DeleteUnusedBlobs implements meta.Collector.
func (t retentionTx) DeleteUnusedBlobs(ctx context.Context, limit int) ([]meta.Blob, int, error) {
	if limit <= 0 {
		return nil, 0, nil
	}
	loose, err := list(ctx, t.s, scanString[string], `SELECT digest FROM loose_blobs ORDER BY digest LIMIT $1`, limit)
	if err != nil || len(loose) == 0 {
		return nil, 0, wrap(err, "listing loose blobs")
	}
	gone, err := t.deleteUnused(ctx, loose)
	return gone, len(loose), wrap(err, "removing unused blobs")
}

// deleteUnused removes those of digests that nothing keeps; none is loose
// afterwards.
func (t *transaction) deleteUnused(ctx context.Context, digests []string) ([]meta.Blob, error) {
	gone, err := list(ctx, t.s, scanBlob, t.q.unused, t.s.d.Strings(digests))
	if err == nil {
		_, err = t.s.exec(ctx, t.q.settle, t.s.d.Strings(digests))
	}
	return gone, err
}

// DropBlobs implements meta.Collector.
func (t retentionTx) DropBlobs(ctx context.Context, repo meta.RepositoryID, ds []ecr.Digest) ([]meta.Blob, error) {
	if len(ds) == 0 {
		return nil, nil
	}
	digests := distinct(ds)
	_, err := t.s.exec(ctx, t.q.dropOwn, int64(repo), t.s.d.Strings(digests))
	if err == nil {
		_, err = t.s.exec(ctx, t.q.dropHidden, t.s.d.Strings(digests))
	}
	if err != nil {
		return nil, wrap(err, "removing links of %d blobs", len(ds))
	}
	gone, err := t.deleteUnused(ctx, digests)
	return gone, wrap(err, "dropping %d blobs", len(ds))
}

// NoteOrphans implements meta.Collector.
func (t retentionTx) NoteOrphans(ctx context.Context, keys []blob.Key, wait time.Duration) ([]blob.Key, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	noted := t.s.d.Strings(distinct(keys))
	_, err := t.s.exec(ctx, t.q.noteOrphans, noted)
	if err != nil {
		return nil, wrap(err, "noting %d orphans", len(keys))
	}
	due, err := list(ctx, t.s, scanString[blob.Key], t.q.dueOrphans, noted, wait.Microseconds())
	return due, wrap(err, "looking for orphans among %d", len(keys))
}

// ForgetOrphans implements meta.Collector.
func (t retentionTx) ForgetOrphans(ctx context.Context, before time.Time, limit int) (int, error) {
	n, err := t.s.exec(ctx, `DELETE FROM orphans WHERE key IN (SELECT key FROM orphans WHERE seen < $1 ORDER BY seen, key LIMIT $2)`,
		microsUp(before), max(limit, 0))
	return int(n), wrap(err, "removing notes of orphans")
}

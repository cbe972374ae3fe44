package sqlstore

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// A repository whose deletion has begun is in no registry: its account is '' and
// its name its id, which no repository that is asked for by name has.

// Deletions implements meta.RepositoryReader.
func (r reader) Deletions(ctx context.Context, limit int) ([]meta.Deletion, error) {
	if limit <= 0 {
		return nil, nil
	}
	all, err := list(ctx, r.s, func(rows *sql.Rows) (d meta.Deletion, err error) {
		var at int64
		err = rows.Scan(&d.Repository, &d.Registry.Account, &d.Registry.Region, &d.Name, &at, &d.Actor, &d.RequestID)
		d.At = fromMicros(at)
		return d, err
	}, `SELECT repository_id, account, region, name, deleted_at, actor, request_id FROM deleted_repositories
		ORDER BY repository_id LIMIT $1`, limit)
	return all, wrap(err, "listing deletions of repositories")
}

// IsBeingDeleted implements meta.RepositoryReader.
func (r reader) IsBeingDeleted(ctx context.Context, in ecr.RegistryID, name ecr.RepositoryName) (bool, error) {
	yes, err := r.s.truth(ctx, `SELECT EXISTS (SELECT 1 FROM deleted_repositories WHERE account = $1 AND region = $2 AND name = $3)`,
		string(in.Account), string(in.Region), string(name))
	return yes, wrap(err, "looking for deletions of repository %s of %s", name, in)
}

// BeginDeletion implements meta.RepositoryWriter.
func (t txn) BeginDeletion(ctx context.Context, d meta.Deletion) error {
	n, err := t.s.exec(ctx, `INSERT INTO deleted_repositories (repository_id, account, region, name, deleted_at, actor, request_id)
		SELECT id, account, region, name, $2, $3, $4 FROM repositories WHERE id = $1 AND account <> ''`,
		int64(d.Repository), micros(d.At), d.Actor, d.RequestID)
	if err = orElse(n, err, meta.ErrNotFound); err == nil {
		_, err = t.s.exec(ctx, `UPDATE repositories SET account = '', region = '', name = $2, policy = '', lifecycle = '' WHERE id = $1`,
			int64(d.Repository), fmt.Sprint(d.Repository))
	}
	return wrap(err, "beginning to delete repository %d", d.Repository)
}

// DeleteManifests implements meta.RepositoryWriter. Tags and references go by
// foreign key.
func (t txn) DeleteManifests(ctx context.Context, id meta.RepositoryID, ds []ecr.Digest) error {
	if len(ds) == 0 {
		return nil
	}
	_, err := t.s.exec(ctx, t.q.deleteManifests, int64(id), t.s.d.Strings(distinct(ds)))
	return wrap(err, "deleting %d images of repository %d", len(ds), id)
}

// DeleteLinks implements meta.RepositoryWriter.
func (t txn) DeleteLinks(ctx context.Context, id meta.RepositoryID, limit int) (int, error) {
	gone, err := list(ctx, t.s, scanString[ecr.Digest], `DELETE FROM blob_links WHERE repository_id = $1 AND digest IN (
			SELECT digest FROM blob_links WHERE repository_id = $1 ORDER BY digest LIMIT $2)
		AND EXISTS (SELECT 1 FROM deleted_repositories WHERE repository_id = $1)
		RETURNING digest`, int64(id), limit)
	if err == nil {
		err = t.loosen(ctx, distinct(gone))
	}
	return len(gone), wrap(err, "removing links of repository %d", id)
}

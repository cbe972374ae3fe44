package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

const (
	repositoryColumns = `id, account, region, name, created_at, mutability, mutability_filters,
	scan_on_push, encryption_type, encryption_key, tags, policy, lifecycle,
	lifecycle_evaluated_at`
	selectRepository = `SELECT ` + repositoryColumns + ` FROM repositories `
)

func scanRepository(rows *sql.Rows) (meta.Repository, error) { return scanRepositoryAnd(rows) }

// scanRepositoryAnd scans repositoryColumns and then more.
func scanRepositoryAnd(rows *sql.Rows, more ...any) (meta.Repository, error) {
	var r meta.Repository
	var created int64
	var evaluated sql.NullInt64
	var filters, tags string
	if err := rows.Scan(append([]any{&r.ID, &r.Registry.Account, &r.Registry.Region, &r.Name, &created, &r.Mutability.Mode, &filters,
		&r.ScanOnPush, &r.Encryption.Type, &r.Encryption.KMSKey, &tags, &r.PolicyText, &r.LifecycleText, &evaluated}, more...)...); err != nil {
		return r, err
	}
	r.CreatedAt, r.LifecycleEvaluatedAt = fromMicros(created), timeOrZero(evaluated)
	return r, errors.Join(fromJSON(filters, &r.Mutability.Filters), fromJSON(tags, &r.Tags))
}

// Repository implements meta.RepositoryReader.
func (r reader) Repository(ctx context.Context, in ecr.RegistryID, name ecr.RepositoryName) (meta.Repository, error) {
	key := rowKey{what: rowRepository, a: string(in.Account), b: string(in.Region), c: string(name)}
	repo, err := remembered(r.transaction, areaSettings, key, sizeOfRepository, func() (meta.Repository, error) {
		return one(ctx, r.s, scanRepository, selectRepository+`WHERE account = $1 AND region = $2 AND name = $3`, key.a, key.b, key.c)
	})
	return ownRepository(repo), wrap(err, "reading repository %s of %s", name, in)
}

// ListRepositories implements meta.RepositoryReader.
func (r reader) ListRepositories(ctx context.Context, in ecr.RegistryID, after ecr.RepositoryName, limit int) ([]meta.Repository, error) {
	if limit <= 0 {
		return nil, nil
	}
	all, err := list(ctx, r.s, scanRepository, selectRepository+`WHERE account = $1 AND region = $2 AND name > $3
		ORDER BY name LIMIT $4`, string(in.Account), string(in.Region), string(after), limit)
	return all, wrap(err, "listing repositories of %s", in)
}

// AllRepositories implements meta.RepositoryReader.
func (r reader) AllRepositories(ctx context.Context, after meta.RepositoryID, limit int) ([]meta.Repository, error) {
	if limit <= 0 {
		return nil, nil
	}
	all, err := list(ctx, r.s, scanRepository, selectRepository+`WHERE id > $1 AND account <> '' ORDER BY id LIMIT $2`, int64(after), limit)
	return all, wrap(err, "listing all repositories")
}

// InsertRepository implements meta.RepositoryWriter.
func (t txn) InsertRepository(ctx context.Context, r meta.Repository) (meta.RepositoryID, error) {
	filters, err := toJSON(r.Mutability.Filters)
	if err != nil {
		return 0, err
	}
	tags, err := toJSON(r.Tags)
	if err != nil {
		return 0, err
	}
	var id meta.RepositoryID
	added, err := t.s.queryRow(ctx, []any{&id}, `INSERT INTO repositories (account, region, name, created_at, mutability,
		mutability_filters, scan_on_push, encryption_type, encryption_key, tags, policy, lifecycle)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) ON CONFLICT DO NOTHING RETURNING id`,
		string(r.Registry.Account), string(r.Registry.Region), string(r.Name), micros(r.CreatedAt), string(r.Mutability.Mode),
		filters, r.ScanOnPush, r.Encryption.Type, r.Encryption.KMSKey, tags, r.PolicyText, r.LifecycleText)
	if err == nil && !added {
		err = meta.ErrExists
	}
	if err == nil { // lists that are sorted have it at once
		err = figureWriter(t.reader).PutFigures(ctx, []meta.Figures{{Repository: id}})
	}
	return id, wrap(err, "adding repository %s of %s", r.Name, r.Registry)
}

// UpdateRepository implements meta.RepositoryWriter.
func (t txn) UpdateRepository(ctx context.Context, r meta.Repository) error {
	filters, err := toJSON(r.Mutability.Filters)
	if err != nil {
		return err
	}
	tags, err := toJSON(r.Tags)
	if err != nil {
		return err
	}
	n, err := t.s.exec(ctx, `UPDATE repositories SET mutability = $2, mutability_filters = $3, scan_on_push = $4,
		tags = $5, policy = $6, lifecycle = $7 WHERE id = $1`,
		int64(r.ID), string(r.Mutability.Mode), filters, r.ScanOnPush, tags, r.PolicyText, r.LifecycleText)
	return wrap(orElse(n, err, meta.ErrNotFound), "changing repository %d", r.ID)
}

// SetLifecycleEvaluated implements meta.RepositoryWriter.
func (t txn) SetLifecycleEvaluated(ctx context.Context, id meta.RepositoryID, at time.Time) error {
	n, err := t.s.exec(ctx, `UPDATE repositories SET lifecycle_evaluated_at = $2 WHERE id = $1`, int64(id), microsOrNull(at))
	return wrap(orElse(n, err, meta.ErrNotFound), "setting the evaluation time of repository %d", id)
}

// DeleteRepository implements meta.RepositoryWriter. The foreign keys would
// see to most of it, but in their own order, in which a link could be
// due before the manifest that needs it.
func (t txn) DeleteRepository(ctx context.Context, id meta.RepositoryID) error {
	for _, text := range []string{
		`DELETE FROM tags WHERE repository_id = $1`,
		`DELETE FROM manifest_children WHERE repository_id = $1`,
		`DELETE FROM manifest_blobs WHERE repository_id = $1`,
		`DELETE FROM manifests WHERE repository_id = $1`,
		`INSERT INTO loose_blobs SELECT digest FROM blob_links WHERE repository_id = $1 ORDER BY digest ON CONFLICT DO NOTHING`,
		`DELETE FROM blob_links WHERE repository_id = $1`,
		`DELETE FROM uploads WHERE repository_id = $1`,
	} {
		if _, err := t.s.exec(ctx, text, int64(id)); err != nil {
			return wrap(err, "deleting the contents of repository %d", id)
		}
	}
	n, err := t.s.exec(ctx, `DELETE FROM repositories WHERE id = $1`, int64(id))
	return wrap(orElse(n, err, meta.ErrNotFound), "deleting repository %d", id)
}

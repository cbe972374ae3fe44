package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/kontor-registry/kontor/internal/store/blob"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// uploadColumns are those of scanUpload; now is the time of the database.
func uploadColumns(now string) string {
	return `id, repository_id, key, owner, received, parts, smallest_part, last_part, torn_bytes,
	created_at, updated_at, state, claim, claimed_until > ` + now + ` `
}

func scanUpload(rows *sql.Rows) (meta.Upload, error) {
	var u meta.Upload
	var created, updated int64
	var state []byte
	err := rows.Scan(&u.ID, &u.Repository, &u.Key, &u.Owner, &u.Progress.Offset, &u.Parts, &u.SmallestPart, &u.LastPart, &u.TornBytes,
		&created, &updated, &state, &u.Claim, &u.Claimed)
	u.CreatedAt, u.UpdatedAt, u.Progress.State = fromMicros(created), fromMicros(updated), nonEmpty(state)
	return u, err
}

// Upload implements meta.UploadReader.
func (r reader) Upload(ctx context.Context, repo meta.RepositoryID, id meta.UploadID) (meta.Upload, error) {
	u, err := one(ctx, r.s, scanUpload, r.q.selectUpload+`WHERE id = $1 AND repository_id = $2`, string(id), int64(repo))
	return u, wrap(err, "reading upload %s of repository %d", id, repo)
}

// ListUploads implements meta.UploadReader.
func (r reader) ListUploads(ctx context.Context, before time.Time, limit int) ([]meta.Upload, error) {
	if limit <= 0 {
		return nil, nil
	}
	all, err := list(ctx, r.s, scanUpload, r.q.selectUpload+`WHERE updated_at < $1 ORDER BY updated_at, id LIMIT $2`,
		microsUp(before), limit)
	return all, wrap(err, "listing uploads")
}

// UploadKeys implements meta.UploadReader.
func (r reader) UploadKeys(ctx context.Context, keys []blob.Key) ([]blob.Key, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	all, err := list(ctx, r.s, scanString[blob.Key], r.q.uploadKeys, r.s.d.Strings(distinct(keys)))
	return all, wrap(err, "looking for %d keys among the uploads", len(keys))
}

// CountUploads implements meta.UploadReader.
func (r reader) CountUploads(ctx context.Context, owner string) (int, error) {
	text, args := `SELECT COUNT(*) FROM uploads`, []any(nil)
	if owner != "" {
		text, args = text+` WHERE owner = $1`, []any{owner}
	}
	var n int
	_, err := r.s.queryRow(ctx, []any{&n}, text, args...)
	return n, wrap(err, "counting uploads")
}

// InsertUpload implements meta.UploadWriter.
func (t txn) InsertUpload(ctx context.Context, u meta.Upload) error {
	n, err := t.s.exec(ctx, `INSERT INTO uploads (id, repository_id, key, received, parts, smallest_part, last_part,
		torn_bytes, created_at, updated_at, state, owner)
		SELECT $2, id, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12 FROM repositories WHERE id = $1 AND account <> ''`+t.s.locking(t.s.d.KeyShare)+` ON CONFLICT DO NOTHING`,
		int64(u.Repository), string(u.ID), string(u.Key), u.Progress.Offset, u.Parts, u.SmallestPart, u.LastPart,
		u.TornBytes, micros(u.CreatedAt), micros(u.UpdatedAt), bytes(u.Progress.State), u.Owner)
	if err == nil && n == 0 {
		var there bool
		if there, err = t.s.truth(ctx, `SELECT EXISTS (SELECT 1 FROM repositories WHERE id = $1 AND account <> '')`, int64(u.Repository)); err == nil {
			err = meta.ErrReferenced
			if there {
				err = meta.ErrExists
			}
		}
	}
	return wrap(err, "adding upload %s to repository %d", u.ID, u.Repository)
}

// ClaimUpload implements meta.UploadWriter.
func (t txn) ClaimUpload(ctx context.Context, repo meta.RepositoryID, id meta.UploadID, d time.Duration) (meta.Upload, bool, error) {
	u, err := one(ctx, t.s, scanUpload, t.q.claimUpload, string(id), int64(repo), d.Microseconds())
	if err == nil {
		return u, true, nil
	}
	if errors.Is(err, meta.ErrNotFound) {
		if u, err = t.Upload(ctx, repo, id); err == nil {
			_, err = t.s.exec(ctx, `UPDATE uploads SET wanted = TRUE WHERE id = $1 AND NOT wanted`, string(id))
		}
	}
	return u, false, wrap(err, "claiming upload %s", id)
}

// RenewUpload implements meta.UploadWriter.
func (t txn) RenewUpload(ctx context.Context, id meta.UploadID, claim int64, d time.Duration) (bool, error) {
	wanted, err := one(ctx, t.s, func(rows *sql.Rows) (wanted bool, err error) { return wanted, rows.Scan(&wanted) },
		t.q.renewUpload, string(id), claim, d.Microseconds())
	if errors.Is(err, meta.ErrNotFound) {
		err = t.changedUpload(ctx, id)
	}
	return wanted, wrap(err, "renewing claim %d on upload %s", claim, id)
}

// ReleaseUpload implements meta.UploadWriter.
func (t txn) ReleaseUpload(ctx context.Context, id meta.UploadID, claim int64) error {
	_, err := t.s.exec(ctx, `UPDATE uploads SET claimed_until = 0 WHERE id = $1 AND claim = $2`, string(id), claim)
	return wrap(err, "releasing upload %s", id)
}

// AdvanceUpload implements meta.UploadWriter.
func (t txn) AdvanceUpload(ctx context.Context, u meta.Upload, from int64) error {
	n, err := t.s.exec(ctx, `UPDATE uploads SET received = $3, parts = $4, smallest_part = $5, last_part = $6,
		updated_at = $7, state = $8, torn_bytes = $9, claimed_until = 0 WHERE id = $1 AND received = $2 AND claim = $10`,
		string(u.ID), from, u.Progress.Offset, u.Parts, u.SmallestPart, u.LastPart, micros(u.UpdatedAt), bytes(u.Progress.State), u.TornBytes, u.Claim)
	if err == nil && n == 0 {
		err = t.changedUpload(ctx, u.ID)
	}
	return wrap(err, "advancing upload %s from %d", u.ID, from)
}

// DeleteUpload implements meta.UploadWriter.
func (t txn) DeleteUpload(ctx context.Context, id meta.UploadID, claim int64) error {
	n, err := t.s.exec(ctx, `DELETE FROM uploads WHERE id = $1 AND claim = $2`, string(id), claim)
	if err == nil && n == 0 {
		err = t.changedUpload(ctx, id)
	}
	return wrap(err, "deleting upload %s", id)
}

// changedUpload is why a change of an upload did not find it as it should be.
func (t txn) changedUpload(ctx context.Context, id meta.UploadID) error {
	there, err := t.s.truth(ctx, `SELECT EXISTS (SELECT 1 FROM uploads WHERE id = $1)`, string(id))
	switch {
	case err != nil:
		return err
	case there:
		return meta.ErrConflict
	}
	return meta.ErrNotFound
}

package sqlstore

import (
	"context"
	"database/sql"
	"slices"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

const selectUser = `SELECT unique_id, account, name, created_at, policies FROM users `

func scanUser(rows *sql.Rows) (meta.User, error) {
	var u meta.User
	var created int64
	var policies string
	if err := rows.Scan(&u.UniqueID, &u.Account, &u.Name, &created, &policies); err != nil {
		return u, err
	}
	u.CreatedAt = fromMicros(created)
	return u, fromJSON(policies, &u.Policies)
}

// User implements meta.IdentityReader.
func (r *reader) User(ctx context.Context, account ecr.AccountID, name string) (meta.User, error) {
	u, err := one(ctx, r.s, scanUser, selectUser+`WHERE account = $1 AND name = $2`, string(account), name)
	return u, wrap(err, "reading user %s of account %s", name, account)
}

// UserByID implements meta.IdentityReader.
func (r *reader) UserByID(ctx context.Context, uniqueID string) (meta.User, error) {
	u, err := one(ctx, r.s, scanUser, selectUser+`WHERE unique_id = $1`, uniqueID)
	return u, wrap(err, "reading user %s", uniqueID)
}

const selectAccessKey = `SELECT id, user_id, sealed, active, created_at FROM access_keys `

func scanAccessKey(rows *sql.Rows) (meta.AccessKey, error) {
	var k meta.AccessKey
	var created int64
	var sealed []byte
	err := rows.Scan(&k.ID, &k.UserUniqueID, &sealed, &k.Active, &created)
	k.CreatedAt, k.Sealed = fromMicros(created), nonEmpty(sealed)
	return k, err
}

// AccessKey implements meta.IdentityReader.
func (r *reader) AccessKey(ctx context.Context, id string) (meta.AccessKey, error) {
	k, err := one(ctx, r.s, scanAccessKey, selectAccessKey+`WHERE id = $1`, id)
	return k, wrap(err, "reading access key %s", id)
}

// ListAccessKeys implements meta.IdentityReader.
func (r *reader) ListAccessKeys(ctx context.Context, userUniqueID string) ([]meta.AccessKey, error) {
	all, err := list(ctx, r.s, scanAccessKey, selectAccessKey+`WHERE user_id = $1 ORDER BY created_at, id`, userUniqueID)
	return all, wrap(err, "listing the access keys of user %s", userUniqueID)
}

// TokenKeys implements meta.IdentityReader.
func (r *reader) TokenKeys(ctx context.Context) ([]meta.TokenKey, error) {
	all, err := list(ctx, r.s, func(rows *sql.Rows) (meta.TokenKey, error) {
		var k meta.TokenKey
		var created int64
		var sealed []byte
		err := rows.Scan(&k.ID, &sealed, &created)
		k.CreatedAt, k.Sealed = fromMicros(created), nonEmpty(sealed)
		return k, err
	}, `SELECT id, sealed, created_at FROM token_keys ORDER BY created_at DESC, id DESC`)
	return all, wrap(err, "listing token keys")
}

// InsertUser implements meta.IdentityWriter.
func (t *txn) InsertUser(ctx context.Context, u meta.User) error {
	policies, err := toJSON(slices.Sorted(slices.Values(u.Policies)))
	if err != nil {
		return err
	}
	n, err := t.s.exec(ctx, `INSERT INTO users (unique_id, account, name, created_at, policies)
		VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING`,
		u.UniqueID, string(u.Account), u.Name, micros(u.CreatedAt), policies)
	return wrap(orElse(n, err, meta.ErrExists), "adding user %s to account %s", u.Name, u.Account)
}

// DeleteUser implements meta.IdentityWriter. The keys go by foreign key.
func (t *txn) DeleteUser(ctx context.Context, uniqueID string) error {
	n, err := t.s.exec(ctx, `DELETE FROM users WHERE unique_id = $1`, uniqueID)
	return wrap(orElse(n, err, meta.ErrNotFound), "deleting user %s", uniqueID)
}

// InsertAccessKey implements meta.IdentityWriter.
func (t *txn) InsertAccessKey(ctx context.Context, k meta.AccessKey) error {
	n, err := t.s.exec(ctx, `INSERT INTO access_keys (id, user_id, sealed, active, created_at)
		SELECT $2, unique_id, $3, $4, $5 FROM users WHERE unique_id = $1 ON CONFLICT DO NOTHING`,
		k.UserUniqueID, k.ID, bytes(k.Sealed), k.Active, micros(k.CreatedAt))
	if err == nil && n == 0 {
		var there bool
		if there, err = t.s.truth(ctx, `SELECT EXISTS (SELECT 1 FROM users WHERE unique_id = $1)`, k.UserUniqueID); err == nil {
			err = meta.ErrReferenced
			if there {
				err = meta.ErrExists
			}
		}
	}
	return wrap(err, "adding access key %s to user %s", k.ID, k.UserUniqueID)
}

// SetAccessKeyActive implements meta.IdentityWriter.
func (t *txn) SetAccessKeyActive(ctx context.Context, id string, active bool) error {
	n, err := t.s.exec(ctx, `UPDATE access_keys SET active = $2 WHERE id = $1`, id, active)
	return wrap(orElse(n, err, meta.ErrNotFound), "changing access key %s", id)
}

// DeleteAccessKey implements meta.IdentityWriter.
func (t *txn) DeleteAccessKey(ctx context.Context, id string) error {
	n, err := t.s.exec(ctx, `DELETE FROM access_keys WHERE id = $1`, id)
	return wrap(orElse(n, err, meta.ErrNotFound), "deleting access key %s", id)
}

// InsertTokenKey implements meta.IdentityWriter.
func (t *txn) InsertTokenKey(ctx context.Context, k meta.TokenKey) error {
	n, err := t.s.exec(ctx, `INSERT INTO token_keys (id, sealed, created_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`,
		k.ID, bytes(k.Sealed), micros(k.CreatedAt))
	return wrap(orElse(n, err, meta.ErrExists), "adding token key %s", k.ID)
}

// DeleteTokenKey implements meta.IdentityWriter.
func (t *txn) DeleteTokenKey(ctx context.Context, id string) error {
	n, err := t.s.exec(ctx, `DELETE FROM token_keys WHERE id = $1`, id)
	return wrap(orElse(n, err, meta.ErrNotFound), "deleting token key %s", id)
}

package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"slices"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

const selectUser = `SELECT unique_id, account, name, path, created_at, policies, inline, boundary, tags FROM users `

func scanUser(rows *sql.Rows) (meta.User, error) {
	var u meta.User
	var created int64
	var policies, inline, tags string
	if err := rows.Scan(&u.UniqueID, &u.Account, &u.Name, &u.Path, &created, &policies, &inline, &u.Boundary, &tags); err != nil {
		return u, err
	}
	u.CreatedAt = fromMicros(created)
	return u, errors.Join(fromJSON(policies, &u.Policies), fromJSON(inline, &u.Inline), fromJSON(tags, &u.Tags))
}

// User implements meta.IdentityReader.
func (r identityReader) User(ctx context.Context, account ecr.AccountID, name string) (meta.User, error) {
	u, err := one(ctx, r.s, scanUser, selectUser+`WHERE account = $1 AND name = $2`, string(account), name)
	return u, wrap(err, "reading user %s of account %s", name, account)
}

// UserByID implements meta.IdentityReader.
func (r identityReader) UserByID(ctx context.Context, uniqueID string) (meta.User, error) {
	u, err := remembered(r.transaction, areaIdentities, rowKey{what: rowUser, a: uniqueID}, sizeOfUser, func() (meta.User, error) {
		return one(ctx, r.s, scanUser, selectUser+`WHERE unique_id = $1`, uniqueID)
	})
	return ownUser(u), wrap(err, "reading user %s", uniqueID)
}

// ListUsers implements meta.IdentityReader.
func (r identityReader) ListUsers(ctx context.Context, account ecr.AccountID, after string, limit int) ([]meta.User, error) {
	all, err := list(ctx, r.s, scanUser, selectUser+`WHERE account = $1 AND name > $2 ORDER BY name LIMIT $3`, string(account), after, limit)
	return all, wrap(err, "listing the users of account %s", account)
}

// HostedAccount implements meta.IdentityReader.
func (r identityReader) HostedAccount(ctx context.Context, account ecr.AccountID) (bool, error) {
	yes, err := r.s.truth(ctx, `SELECT EXISTS (SELECT 1 FROM users WHERE account = $1) OR EXISTS (SELECT 1 FROM roles WHERE account = $1)`, string(account))
	return yes, wrap(err, "looking for account %s", account)
}

const selectAccessKey = `SELECT id, user_id, sealed, active, created_at, used_at, used_service, used_region FROM access_keys `

func scanAccessKey(rows *sql.Rows) (meta.AccessKey, error) {
	var k meta.AccessKey
	var created, used int64
	var sealed []byte
	err := rows.Scan(&k.ID, &k.UserUniqueID, &sealed, &k.Active, &created, &used, &k.LastUsed.Service, &k.LastUsed.Region)
	k.CreatedAt, k.Sealed = fromMicros(created), nonEmpty(sealed)
	if used != 0 {
		k.LastUsed.At = fromMicros(used)
	}
	return k, err
}

// AccessKey implements meta.IdentityReader.
func (r identityReader) AccessKey(ctx context.Context, id string) (meta.AccessKey, error) {
	k, err := one(ctx, r.s, scanAccessKey, selectAccessKey+`WHERE id = $1`, id)
	return k, wrap(err, "reading access key %s", id)
}

// ListAccessKeys implements meta.IdentityReader.
func (r identityReader) ListAccessKeys(ctx context.Context, userUniqueID string) ([]meta.AccessKey, error) {
	all, err := list(ctx, r.s, scanAccessKey, selectAccessKey+`WHERE user_id = $1 ORDER BY created_at, id`, userUniqueID)
	return all, wrap(err, "listing the access keys of user %s", userUniqueID)
}

// TokenKeys implements meta.IdentityReader.
func (r identityReader) TokenKeys(ctx context.Context) ([]meta.TokenKey, error) {
	all, err := remembered(r.transaction, areaIdentities, rowKey{what: rowTokenKeys}, sizeOfKeys, func() ([]meta.TokenKey, error) {
		return list(ctx, r.s, scanTokenKey, `SELECT id, sealed, created_at FROM token_keys ORDER BY created_at DESC, id DESC`)
	})
	return slices.Clone(all), wrap(err, "listing token keys")
}

func scanTokenKey(rows *sql.Rows) (meta.TokenKey, error) {
	var k meta.TokenKey
	var created int64
	var sealed []byte
	err := rows.Scan(&k.ID, &sealed, &created)
	k.CreatedAt, k.Sealed = fromMicros(created), nonEmpty(sealed)
	return k, err
}

// granted is what users and roles have in common, in the form of columns.
type granted struct{ policies, inline, tags string }

func encodeGranted(policies []string, inline, tags map[string]string) (granted, error) {
	p, err := toJSON(slices.Sorted(slices.Values(policies)))
	i, ierr := toJSON(inline)
	t, terr := toJSON(tags)
	return granted{p, i, t}, errors.Join(err, ierr, terr)
}

// InsertUser implements meta.IdentityWriter.
func (t identityTx) InsertUser(ctx context.Context, u meta.User) error {
	g, err := encodeGranted(u.Policies, u.Inline, u.Tags)
	if err != nil {
		return err
	}
	n, err := t.s.exec(ctx, `INSERT INTO users (unique_id, account, name, path, created_at, policies, inline, boundary, tags)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING`,
		u.UniqueID, string(u.Account), u.Name, u.Path, micros(u.CreatedAt), g.policies, g.inline, u.Boundary, g.tags)
	return wrap(orElse(n, err, meta.ErrExists), "adding user %s to account %s", u.Name, u.Account)
}

// UpdateUser implements meta.IdentityWriter. A name in use is looked for
// first, as an UPDATE that hits a unique key spoils the transaction; where two
// race, one of them is repeated.
func (t identityTx) UpdateUser(ctx context.Context, u meta.User) error {
	g, err := encodeGranted(u.Policies, u.Inline, u.Tags)
	if err != nil {
		return err
	}
	taken, err := t.s.truth(ctx, `SELECT EXISTS (SELECT 1 FROM users o JOIN users u ON o.account = u.account
		WHERE u.unique_id = $1 AND o.unique_id <> $1 AND lower(o.name) = lower($2))`, u.UniqueID, u.Name)
	if err == nil && taken {
		err = meta.ErrExists
	}
	if err != nil {
		return wrap(err, "changing user %s", u.UniqueID)
	}
	n, err := t.s.exec(ctx, `UPDATE users SET name = $2, path = $3, policies = $4, inline = $5, boundary = $6, tags = $7 WHERE unique_id = $1`,
		u.UniqueID, u.Name, u.Path, g.policies, g.inline, u.Boundary, g.tags)
	return wrap(orElse(n, err, meta.ErrNotFound), "changing user %s", u.UniqueID)
}

// DeleteUser implements meta.IdentityWriter. The keys go by foreign key.
func (t identityTx) DeleteUser(ctx context.Context, uniqueID string) error {
	n, err := t.s.exec(ctx, `DELETE FROM users WHERE unique_id = $1`, uniqueID)
	if err == nil {
		_, err = t.s.exec(ctx, `DELETE FROM console_sessions WHERE unique_id = $1`, uniqueID)
	}
	return wrap(orElse(n, err, meta.ErrNotFound), "deleting user %s", uniqueID)
}

// InsertAccessKey implements meta.IdentityWriter.
func (t identityTx) InsertAccessKey(ctx context.Context, k meta.AccessKey) error {
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
func (t identityTx) SetAccessKeyActive(ctx context.Context, id string, active bool) error {
	n, err := t.s.exec(ctx, `UPDATE access_keys SET active = $2 WHERE id = $1`, id, active)
	if err == nil && !active {
		_, err = t.s.exec(ctx, `DELETE FROM console_sessions WHERE key_id = $1`, id)
	}
	return wrap(orElse(n, err, meta.ErrNotFound), "changing access key %s", id)
}

// RecordKeyUse implements meta.IdentityWriter.
func (t identityTx) RecordKeyUse(ctx context.Context, id string, u meta.KeyUse) error {
	_, err := t.s.exec(ctx, `UPDATE access_keys SET used_at = $2, used_service = $3, used_region = $4 WHERE id = $1 AND used_at < $2`,
		id, micros(u.At), u.Service, u.Region)
	return wrap(err, "recording a use of access key %s", id)
}

// DeleteAccessKey implements meta.IdentityWriter.
func (t identityTx) DeleteAccessKey(ctx context.Context, id string) error {
	n, err := t.s.exec(ctx, `DELETE FROM access_keys WHERE id = $1`, id)
	if err == nil {
		_, err = t.s.exec(ctx, `DELETE FROM console_sessions WHERE key_id = $1`, id)
	}
	return wrap(orElse(n, err, meta.ErrNotFound), "deleting access key %s", id)
}

// InsertTokenKey implements meta.IdentityWriter.
func (t identityTx) InsertTokenKey(ctx context.Context, k meta.TokenKey) error {
	n, err := t.s.exec(ctx, `INSERT INTO token_keys (id, sealed, created_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`,
		k.ID, bytes(k.Sealed), micros(k.CreatedAt))
	return wrap(orElse(n, err, meta.ErrExists), "adding token key %s", k.ID)
}

// DeleteTokenKey implements meta.IdentityWriter.
func (t identityTx) DeleteTokenKey(ctx context.Context, id string) error {
	n, err := t.s.exec(ctx, `DELETE FROM token_keys WHERE id = $1`, id)
	return wrap(orElse(n, err, meta.ErrNotFound), "deleting token key %s", id)
}

package sqlstore

import (
	"context"
	"database/sql"

	"github.com/kontor-registry/kontor/internal/store/meta"
)

const selectMachineToken = `SELECT id, user_id, name, hash, policy, created_at, expires_at, used_at, used_from FROM machine_tokens `

func scanMachineToken(rows *sql.Rows) (meta.MachineToken, error) {
	var t meta.MachineToken
	var created, expires, used int64
	var hash []byte
	err := rows.Scan(&t.ID, &t.UserUniqueID, &t.Name, &hash, &t.Policy, &created, &expires, &used, &t.LastUsed.From)
	t.CreatedAt, t.Hash = fromMicros(created), nonEmpty(hash)
	if expires != 0 {
		t.ExpiresAt = fromMicros(expires)
	}
	if used != 0 {
		t.LastUsed.At = fromMicros(used)
	}
	return t, err
}

// MachineToken implements meta.IdentityReader.
func (r identityReader) MachineToken(ctx context.Context, id string) (meta.MachineToken, error) {
	t, err := one(ctx, r.s, scanMachineToken, selectMachineToken+`WHERE id = $1`, id)
	return t, wrap(err, "reading token %s", id)
}

// ListMachineTokens implements meta.IdentityReader.
func (r identityReader) ListMachineTokens(ctx context.Context, userUniqueID string) ([]meta.MachineToken, error) {
	all, err := list(ctx, r.s, scanMachineToken, selectMachineToken+`WHERE user_id = $1 ORDER BY name`, userUniqueID)
	return all, wrap(err, "listing the tokens of user %s", userUniqueID)
}

// InsertMachineToken implements meta.IdentityWriter.
func (t identityTx) InsertMachineToken(ctx context.Context, m meta.MachineToken) error {
	var expires int64
	if !m.ExpiresAt.IsZero() {
		expires = micros(m.ExpiresAt)
	}
	n, err := t.s.exec(ctx, `INSERT INTO machine_tokens (id, user_id, name, hash, policy, created_at, expires_at, used_at, used_from)
		SELECT $2, unique_id, $3, $4, $5, $6, $7, 0, '' FROM users WHERE unique_id = $1 ON CONFLICT DO NOTHING`,
		m.UserUniqueID, m.ID, m.Name, bytes(m.Hash), m.Policy, micros(m.CreatedAt), expires)
	if err == nil && n == 0 {
		var there bool
		if there, err = t.s.truth(ctx, `SELECT EXISTS (SELECT 1 FROM users WHERE unique_id = $1)`, m.UserUniqueID); err == nil {
			err = meta.ErrReferenced
			if there {
				err = meta.ErrExists
			}
		}
	}
	return wrap(err, "adding token %s to user %s", m.Name, m.UserUniqueID)
}

// tokenUse is the beginning of the statement that says when a token was used last.
const tokenUse = `UPDATE machine_tokens SET used_at`

// RecordTokenUse implements meta.IdentityWriter.
func (t identityTx) RecordTokenUse(ctx context.Context, id string, u meta.TokenUse) error {
	_, err := t.s.exec(ctx, tokenUse+` = $2, used_from = $3 WHERE id = $1 AND used_at < $2`, id, micros(u.At), u.From)
	return wrap(err, "recording a use of token %s", id)
}

// DeleteMachineToken implements meta.IdentityWriter.
func (t identityTx) DeleteMachineToken(ctx context.Context, id string) error {
	n, err := t.s.exec(ctx, `DELETE FROM machine_tokens WHERE id = $1`, id)
	return wrap(orElse(n, err, meta.ErrNotFound), "deleting token %s", id)
}

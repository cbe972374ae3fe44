package sqlstore

import (
	"context"
	"database/sql"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

const selectConsoleSession = `SELECT id, link, account, unique_id, principal, key_id, token, source, user_agent, created_at, used_at, expires_at
	FROM console_sessions `

func scanConsoleSession(rows *sql.Rows) (meta.ConsoleSession, error) {
	var s meta.ConsoleSession
	var created, used, expires int64
	err := rows.Scan(&s.ID, &s.Link, &s.Account, &s.UniqueID, &s.Principal, &s.KeyID, &s.Token, &s.Source, &s.UserAgent, &created, &used, &expires)
	s.Token = nonEmpty(s.Token)
	s.CreatedAt, s.UsedAt, s.ExpiresAt = fromMicros(created), fromMicros(used), fromMicros(expires)
	return s, err
}

// ConsoleSession implements meta.ConsoleSessionReader.
func (r identityReader) ConsoleSession(ctx context.Context, id string) (meta.ConsoleSession, error) {
	s, err := one(ctx, r.s, scanConsoleSession, selectConsoleSession+`WHERE id = $1`, id)
	return s, wrap(err, "reading a session of the console")
}

// ListConsoleSessions implements meta.ConsoleSessionReader.
func (r identityReader) ListConsoleSessions(ctx context.Context, account ecr.AccountID, uniqueID, after string, limit int) ([]meta.ConsoleSession, error) {
	text, args := selectConsoleSession+`WHERE account = $1 AND id > $2`, []any{string(account), after, limit}
	if uniqueID != "" {
		text, args = text+` AND unique_id = $4`, append(args, uniqueID)
	}
	all, err := list(ctx, r.s, scanConsoleSession, text+` ORDER BY id LIMIT $3`, args...)
	return all, wrap(err, "listing the sessions of the console of account %s", account)
}

// InsertConsoleSession implements meta.ConsoleSessionWriter.
func (t identityTx) InsertConsoleSession(ctx context.Context, s meta.ConsoleSession) error {
	n, err := t.s.exec(ctx, `INSERT INTO console_sessions (id, link, account, unique_id, principal, key_id, token, source, user_agent, created_at, used_at, expires_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) ON CONFLICT DO NOTHING`,
		s.ID, s.Link, string(s.Account), s.UniqueID, s.Principal, s.KeyID, bytes(s.Token), s.Source, s.UserAgent,
		micros(s.CreatedAt), micros(s.UsedAt), micros(s.ExpiresAt))
	return wrap(orElse(n, err, meta.ErrExists), "adding a session of the console for %s", s.Principal)
}

// UseConsoleSession implements meta.ConsoleSessionWriter.
func (t identityTx) UseConsoleSession(ctx context.Context, id string, at time.Time) error {
	_, err := t.s.exec(ctx, `UPDATE console_sessions SET used_at = $2 WHERE id = $1 AND used_at < $2`, id, micros(at))
	return wrap(err, "recording a use of a session of the console")
}

// DeleteConsoleSession implements meta.ConsoleSessionWriter.
func (t identityTx) DeleteConsoleSession(ctx context.Context, id string) error {
	n, err := t.s.exec(ctx, `DELETE FROM console_sessions WHERE id = $1`, id)
	return wrap(orElse(n, err, meta.ErrNotFound), "ending a session of the console")
}

// DeleteExpiredConsoleSessions implements meta.ConsoleSessionWriter.
func (t identityTx) DeleteExpiredConsoleSessions(ctx context.Context, at time.Time) error {
	_, err := t.s.exec(ctx, `DELETE FROM console_sessions WHERE expires_at < $1`, micros(at))
	return wrap(err, "removing sessions of the console that expired")
}

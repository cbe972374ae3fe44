package sqlstore

import (
	"context"
	"database/sql"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

func scanJournal(rows *sql.Rows) (meta.JournalEntry, error) {
	var e meta.JournalEntry
	var at int64
	var tags string
	var body []byte
	if err := rows.Scan(&e.Seq, &at, &e.Registry.Account, &e.Registry.Region, &e.Name, &e.Repository, &e.Op, &e.Digest,
		&tags, &e.MediaType, &e.SizeBytes, &e.Actor, &e.Reason, &body); err != nil {
		return e, err
	}
	e.At, e.Body = fromMicros(at), nonEmpty(body)
	return e, fromJSON(tags, &e.Tags)
}

// ListJournal implements meta.JournalReader.
func (r *reader) ListJournal(ctx context.Context, in ecr.RegistryID, name ecr.RepositoryName, after int64, limit int) ([]meta.JournalEntry, error) {
	if limit <= 0 {
		return nil, nil
	}
	all, err := list(ctx, r.s, scanJournal, `SELECT seq, at, account, region, name, repository_id, op, digest, tags,
		media_type, size_bytes, actor, reason, body FROM journal
		WHERE account = $1 AND region = $2 AND name = $3 AND seq > $4 ORDER BY seq LIMIT $5`,
		string(in.Account), string(in.Region), string(name), after, limit)
	return all, wrap(err, "reading the journal of %s in %s", name, in)
}

// AppendJournal implements meta.JournalWriter.
func (t *txn) AppendJournal(ctx context.Context, e meta.JournalEntry) error {
	tags, err := toJSON(e.Tags)
	if err != nil {
		return err
	}
	_, err = t.s.exec(ctx, `INSERT INTO journal (at, account, region, name, repository_id, op, digest, tags,
		media_type, size_bytes, actor, reason, body) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)`,
		micros(e.At), string(e.Registry.Account), string(e.Registry.Region), string(e.Name), int64(e.Repository), string(e.Op),
		string(e.Digest), tags, e.MediaType, e.SizeBytes, e.Actor, e.Reason, bytes(e.Body))
	return wrap(err, "journalling %s of %s", e.Op, e.Name)
}

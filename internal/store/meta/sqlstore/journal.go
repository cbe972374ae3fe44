package sqlstore

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

func scanJournal(rows *sql.Rows) (meta.JournalEntry, error) {
	var e meta.JournalEntry
	var at int64
	var tags string
	var body []byte
	if err := rows.Scan(&e.Seq, &at, &e.Registry.Account, &e.Registry.Region, &e.Name, &e.Repository, &e.Op, &e.Digest,
		&tags, &e.MediaType, &e.SizeBytes, &e.Actor, &e.Reason, &e.Rule, &e.RequestID, &body); err != nil {
		return e, err
	}
	e.At, e.Body = fromMicros(at), nonEmpty(body)
	return e, fromJSON(tags, &e.Tags)
}

const selectJournal = `SELECT seq, at, account, region, name, repository_id, op, digest, tags,
	media_type, size_bytes, actor, reason, rule, request_id`

// QueryJournal implements meta.JournalReader.
func (r retentionReader) QueryJournal(ctx context.Context, q meta.JournalQuery, after int64, limit int) ([]meta.JournalEntry, error) {
	if limit <= 0 {
		return nil, nil
	}
	body := `NULL`
	if q.Bodies {
		body = `body`
	}
	beyond, order := `seq > $3`, `seq`
	if q.Backward {
		beyond, order = `seq < $3`, `seq DESC`
		if after == 0 {
			after = math.MaxInt64
		}
	}
	text, args := selectJournal+`, `+body+` FROM journal WHERE account = $1 AND region = $2 AND `+beyond,
		[]any{string(q.Registry.Account), string(q.Registry.Region), after}
	and := func(asked bool, condition string, value any) {
		if asked {
			args = append(args, value)
			text += fmt.Sprintf(" AND "+condition, len(args))
		}
	}
	and(q.Name != "", `name = $%d`, string(q.Name))
	and(q.Digest != "", `digest = $%d`, string(q.Digest))
	// Tags are JSON, and no tag has a quote in it.
	and(q.Tag != "", `tags <> REPLACE(tags, $%d, '')`, `"`+string(q.Tag)+`"`)
	and(q.Rule != 0, `rule = $%d`, int64(q.Rule))
	and(q.Op != "", `op = $%d`, string(q.Op))
	and(!q.Since.IsZero(), `at >= $%d`, microsUp(q.Since))
	and(!q.Until.IsZero(), `at < $%d`, microsUp(q.Until))
	args = append(args, limit)
	all, err := list(ctx, r.s, scanJournal, text+fmt.Sprintf(` ORDER BY %s LIMIT $%d`, order, len(args)), args...)
	return all, wrap(err, "querying the journal of %s", q.Registry)
}

// AppendJournal implements meta.JournalWriter.
func (t retentionTx) AppendJournal(ctx context.Context, e meta.JournalEntry) error {
	tags, err := toJSON(e.Tags)
	if err != nil {
		return err
	}
	_, err = t.s.exec(ctx, `INSERT INTO journal (at, account, region, name, repository_id, op, digest, tags,
		media_type, size_bytes, actor, reason, rule, request_id, body)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)`,
		micros(e.At), string(e.Registry.Account), string(e.Registry.Region), string(e.Name), int64(e.Repository), string(e.Op),
		string(e.Digest), tags, e.MediaType, e.SizeBytes, e.Actor, e.Reason,
		int64(e.Rule), e.RequestID, bytes(e.Body))
	return wrap(err, "journalling %s of %s", e.Op, e.Name)
}

// EmptyJournal implements meta.JournalWriter.
func (t retentionTx) EmptyJournal(ctx context.Context, in ecr.RegistryID, name ecr.RepositoryName, d ecr.Digest) error {
	_, err := t.s.exec(ctx, `UPDATE journal SET body = $5
		WHERE account = $1 AND region = $2 AND name = $3 AND digest = $4 AND length(body) > 0`,
		string(in.Account), string(in.Region), string(name), string(d), []byte{})
	return wrap(err, "removing the manifest %s from the journal of %s in %s", d, name, in)
}

// TrimJournal implements meta.JournalWriter.
func (t retentionTx) TrimJournal(ctx context.Context, before time.Time, limit int) (int, error) {
	if limit <= 0 {
		return 0, nil
	}
	n, err := t.s.exec(ctx, `DELETE FROM journal WHERE seq IN (
		SELECT seq FROM journal WHERE at < $1 ORDER BY at, seq LIMIT $2)`, microsUp(before), limit)
	return int(n), wrap(err, "trimming the journal")
}

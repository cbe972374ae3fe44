package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

const replicationColumns = `id, kind, account, region, repository_id, name, digest, tag, destination, backfill, status, code, message, attempts, token, updated_at, sub_codes, via`

func scanReplication(rows *sql.Rows) (r meta.Replication, err error) {
	return scanReplicationAnd(rows)
}

// scanReplicationAnd reads more columns after those of a replication.
func scanReplicationAnd(rows *sql.Rows, more ...any) (r meta.Replication, err error) {
	var to, sub, via string
	var updated int64
	if err := rows.Scan(append([]any{&r.ID, &r.Kind, &r.Source.Account, &r.Source.Region, &r.Repository, &r.Name, &r.Image.Digest, &r.Image.Tag, &to,
		&r.Backfill, &r.Status, &r.Code, &r.Message, &r.Attempts, &r.Token, &updated, &sub, &via}, more...)...); err != nil {
		return r, err
	}
	r.To, r.UpdatedAt = parseDestination(to), fromMicros(updated)
	if via != "" {
		for in := range strings.SplitSeq(via, ",") {
			r.Via = append(r.Via, parseDestination(in))
		}
	}
	return r, fromJSON(sub, &r.SubCodes)
}

// parseDestination reads what ecr.RegistryID.String wrote.
func parseDestination(s string) ecr.RegistryID {
	account, region, _ := strings.Cut(s, "/")
	return ecr.RegistryID{Account: ecr.AccountID(account), Region: ecr.Region(region)}
}

// ImageReplications implements meta.ReplicationReader.
func (r registryReader) ImageReplications(ctx context.Context, repo meta.RepositoryID, d ecr.Digest) ([]meta.Replication, error) {
	all, err := list(ctx, r.s, func(rows *sql.Rows) (meta.Replication, error) {
		var taken, due int
		one, err := scanReplicationAnd(rows, &taken, &due)
		one.Taken, one.Due = taken != 0, due != 0
		return one, err
	}, `SELECT `+replicationColumns+`, CASE WHEN status = 'IN_PROGRESS' AND until > `+r.s.d.Now+` THEN 1 ELSE 0 END, `+due(r.s)+` FROM replications
		WHERE repository_id = $1 AND digest = $2 AND kind = 'copy' ORDER BY destination, tag, id`, int64(repo), string(d))
	return all, wrap(err, "reading the replications of image %s of repository %d", d, repo)
}

// FailedReplications implements meta.ReplicationReader.
func (r registryReader) FailedReplications(ctx context.Context, in ecr.RegistryID, after int64, limit int) ([]meta.Replication, error) {
	if limit <= 0 {
		return nil, nil
	}
	all, err := list(ctx, r.s, scanReplication, `SELECT `+replicationColumns+` FROM replications
		WHERE account = $1 AND region = $2 AND status = 'FAILED' AND backfill = '' AND id > $3 ORDER BY id LIMIT $4`,
		string(in.Account), string(in.Region), after, limit)
	return all, wrap(err, "listing the failed replications of %s", in)
}

// due is an expression: 1 for a replication that may be taken now, 0 for others.
func due(s *session) string {
	return `CASE WHEN status = 'IN_PROGRESS' AND until <= ` + s.d.Now + ` AND due_at <= ` + s.d.Now + ` THEN 1 ELSE 0 END`
}

// ReplicationQueues implements meta.ReplicationReader.
func (r registryReader) ReplicationQueues(ctx context.Context, in ecr.RegistryID) ([]meta.ReplicationQueue, error) {
	text, args := `SELECT destination, COUNT(*), MIN(updated_at), SUM(`+due(r.s)+`) FROM replications WHERE status = 'IN_PROGRESS'`, []any{}
	if in != (ecr.RegistryID{}) {
		text, args = text+` AND account = $1 AND region = $2`, []any{string(in.Account), string(in.Region)}
	}
	all, err := list(ctx, r.s, func(rows *sql.Rows) (q meta.ReplicationQueue, err error) {
		var to string
		var oldest int64
		err = rows.Scan(&to, &q.Waiting, &oldest, &q.Due)
		q.To, q.Oldest = parseDestination(to), fromMicros(oldest)
		return q, err
	}, text+` GROUP BY destination ORDER BY destination`, args...)
	return all, wrap(err, "counting the replications of %s", in)
}

// QueueReplication implements meta.ReplicationWriter.
func (t registryTx) QueueReplication(ctx context.Context, r meta.Replication, wait time.Duration, again bool) error {
	anew := int64(0)
	if again {
		anew = 1
	}
	_, err := t.s.exec(ctx, `INSERT INTO replications (kind, account, region, repository_id, name, digest, tag, destination, backfill,
			status, code, message, attempts, due_at, until, token, updated_at, via)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'IN_PROGRESS', '', '', 0, `+t.s.d.Now+` + $10, 0, 0, `+t.s.d.Now+`, $12)
		ON CONFLICT (repository_id, digest, tag, destination, backfill, kind) DO UPDATE SET status = excluded.status, code = '', message = '', sub_codes = '',
		via = excluded.via, attempts = 0, due_at = excluded.due_at, until = 0, token = replications.token + 1, updated_at = excluded.updated_at
		WHERE replications.status <> 'COMPLETE' OR $11 <> 0`,
		string(r.Kind), string(r.Source.Account), string(r.Source.Region), int64(r.Repository), string(r.Name), string(r.Image.Digest), string(r.Image.Tag),
		r.To.String(), r.Backfill, wait.Microseconds(), anew, joinRegistries(r.Via))
	return wrap(err, "queueing the replication of image %s of repository %d to %s", r.Image.Digest, r.Repository, r.To)
}

func joinRegistries(all []ecr.RegistryID) string {
	names := make([]string, len(all))
	for i, in := range all {
		names[i] = in.String()
	}
	return strings.Join(names, ",")
}

// clockBack is how far ahead of what lasts at most a time must be to say that the
// database's clock was set back: nothing is put off for longer.
const clockBack = time.Hour

// TakeReplication implements meta.ReplicationWriter.
func (t registryTx) TakeReplication(ctx context.Context, d time.Duration, resting []ecr.RegistryID) (meta.Replication, bool, error) {
	now := t.s.d.Now
	text := `UPDATE replications SET until = ` + now + ` + $1, token = token + 1, attempts = attempts + 1 WHERE id = (
		SELECT q.id FROM replications q WHERE q.status = 'IN_PROGRESS' AND ` + over("q.until", now, "$1") + ` AND ` + over("q.due_at", now, "$2")
	args := []any{d.Microseconds(), clockBack.Microseconds()}
	if len(resting) > 0 {
		names := make([]string, len(resting))
		for i, in := range resting {
			names[i] = in.String()
		}
		text += ` AND NOT (` + t.s.d.In("q.destination", 3) + `)`
		args = append(args, t.s.d.Strings(names))
	}
	// A backfill's id is not empty, so pushes come first.
	text += ` ORDER BY q.backfill, q.due_at, q.id LIMIT 1 ` + t.s.d.SkipLocked + `) RETURNING ` + replicationColumns
	r, err := one(ctx, t.s, scanReplication, text, args...)
	if errors.Is(err, meta.ErrNotFound) {
		return r, false, nil
	}
	return r, err == nil, wrap(err, "taking a replication")
}

// FreeReplications implements meta.ReplicationWriter.
func (t registryTx) FreeReplications(ctx context.Context) error {
	_, err := t.s.exec(ctx, `UPDATE replications SET until = 0 WHERE status = 'IN_PROGRESS' AND until <> 0`)
	return wrap(err, "freeing replications")
}

// updateReplication changes r unless it was queued or taken again.
func (t registryTx) updateReplication(ctx context.Context, r meta.Replication, what, set string, args ...any) error {
	n, err := t.s.exec(ctx, set+` WHERE id = $1 AND token = $2`, append([]any{r.ID, r.Token}, args...)...)
	return wrap(orElse(n, err, meta.ErrConflict), "%s replication %d", what, r.ID)
}

// RenewReplication implements meta.ReplicationWriter.
func (t registryTx) RenewReplication(ctx context.Context, r meta.Replication, d time.Duration) error {
	return t.updateReplication(ctx, r, "renewing", `UPDATE replications SET until = `+t.s.d.Now+` + $3`, d.Microseconds())
}

// EndReplication implements meta.ReplicationWriter.
func (t registryTx) EndReplication(ctx context.Context, r meta.Replication) error {
	sub, err := toJSON(r.SubCodes)
	if err != nil {
		return err
	}
	return t.updateReplication(ctx, r, "ending", `UPDATE replications SET until = 0, updated_at = `+t.s.d.Now+`, status = $3, code = $4, message = $5, sub_codes = $6`,
		string(r.Status), r.Code, r.Message, sub)
}

// SettleReplication implements meta.ReplicationWriter.
func (t registryTx) SettleReplication(ctx context.Context, r meta.Replication) error {
	_, err := t.s.exec(ctx, `INSERT INTO replications (kind, account, region, repository_id, name, digest, tag, destination, backfill,
			status, code, message, attempts, due_at, until, token, updated_at)
		VALUES ('copy', $1, $2, $3, $4, $5, $6, $7, '', $8, $9, $10, 0, 0, 0, 0, `+t.s.d.Now+`)
		ON CONFLICT (repository_id, digest, tag, destination, backfill, kind) DO UPDATE SET status = excluded.status, code = excluded.code,
		message = excluded.message, sub_codes = '', updated_at = excluded.updated_at WHERE replications.status <> 'IN_PROGRESS'`,
		string(r.Source.Account), string(r.Source.Region), int64(r.Repository), string(r.Name), string(r.Image.Digest), string(r.Image.Tag), r.To.String(),
		string(r.Status), r.Code, r.Message)
	return wrap(err, "settling the replication of image %s of repository %d to %s", r.Image.Digest, r.Repository, r.To)
}

// ReplicationRates implements meta.ReplicationReader.
func (r registryReader) ReplicationRates(ctx context.Context) ([]meta.ReplicationRate, error) {
	all, err := list(ctx, r.s, scanRate, `SELECT destination, images_at - `+r.s.d.Now+`, bytes_at - `+r.s.d.Now+` FROM replication_rates ORDER BY destination`)
	return all, wrap(err, "reading the rates of replication")
}

func scanRate(rows *sql.Rows) (rate meta.ReplicationRate, err error) {
	var to string
	var images, bytes int64
	err = rows.Scan(&to, &images, &bytes)
	left := func(micros int64) time.Duration {
		if d := time.Duration(micros) * time.Microsecond; d > 0 && d <= clockBack {
			return d
		}
		return 0
	}
	rate.To, rate.Images, rate.Bytes = parseDestination(to), left(images), left(bytes)
	return rate, err
}

// SpendReplicationRate implements meta.ReplicationWriter.
func (t registryTx) SpendReplicationRate(ctx context.Context, to ecr.RegistryID, images, bytes time.Duration) (meta.ReplicationRate, error) {
	now := t.s.d.Now
	rate, err := one(ctx, t.s, scanRate, `SELECT destination, images_at - `+now+`, bytes_at - `+now+` FROM replication_rates WHERE destination = $1`, to.String())
	if err != nil && !errors.Is(err, meta.ErrNotFound) {
		return rate, wrap(err, "reading the rate of %s", to)
	}
	rate.To = to
	_, err = t.s.exec(ctx, `INSERT INTO replication_rates (destination, images_at, bytes_at) VALUES ($1, `+now+` + $2, `+now+` + $3)
		ON CONFLICT (destination) DO UPDATE SET images_at = excluded.images_at, bytes_at = excluded.bytes_at`,
		to.String(), (rate.Images + images).Microseconds(), (rate.Bytes + bytes).Microseconds())
	return rate, wrap(err, "changing the rate of %s", to)
}

// PutOffReplication implements meta.ReplicationWriter.
func (t registryTx) PutOffReplication(ctx context.Context, r meta.Replication, wait time.Duration) error {
	return t.updateReplication(ctx, r, "putting off", `UPDATE replications SET until = 0, due_at = `+t.s.d.Now+` + $3, code = $4, message = $5`,
		min(wait, clockBack).Microseconds(), r.Code, r.Message)
}

// DropReplication implements meta.ReplicationWriter.
func (t registryTx) DropReplication(ctx context.Context, r meta.Replication) error {
	return t.updateReplication(ctx, r, "removing", `DELETE FROM replications`)
}

// RetryReplications implements meta.ReplicationWriter.
func (t registryTx) RetryReplications(ctx context.Context, in, to ecr.RegistryID) (int, error) {
	text := `UPDATE replications SET status = 'IN_PROGRESS', code = '', message = '', sub_codes = '', attempts = 0, due_at = ` + t.s.d.Now + `, until = 0, token = token + 1,
		updated_at = ` + t.s.d.Now + ` WHERE account = $1 AND region = $2 AND status = 'FAILED' AND backfill = ''`
	args := []any{string(in.Account), string(in.Region)}
	if to != (ecr.RegistryID{}) {
		text, args = text+` AND destination = $3`, append(args, to.String())
	}
	n, err := t.s.exec(ctx, text, args...)
	return int(n), wrap(err, "queueing the failed replications of %s again", in)
}

// TrimReplications implements meta.ReplicationWriter.
func (t registryTx) TrimReplications(ctx context.Context, before time.Time, limit int) (int, error) {
	total := 0
	for _, step := range []struct {
		text string
		args []any
	}{
		{`DELETE FROM replications WHERE id IN (SELECT r.id FROM replications r WHERE r.backfill = '' AND r.status <> 'IN_PROGRESS'
			AND NOT EXISTS (SELECT 1 FROM manifests m WHERE m.repository_id = r.repository_id AND m.digest = r.digest) ORDER BY r.id LIMIT $1)`, nil},
		{`DELETE FROM replications WHERE id IN (SELECT r.id FROM replications r JOIN replication_backfills b ON b.id = r.backfill
			WHERE b.ended_at <> 0 AND b.ended_at < $2 ORDER BY r.id LIMIT $1)`, []any{microsUp(before)}},
		{`DELETE FROM replication_backfills WHERE id IN (SELECT b.id FROM replication_backfills b WHERE b.ended_at <> 0 AND b.ended_at < $2
			AND NOT EXISTS (SELECT 1 FROM replications r WHERE r.backfill = b.id) ORDER BY b.id LIMIT $1)`, []any{microsUp(before)}},
	} {
		if total >= limit {
			break
		}
		n, err := t.s.exec(ctx, step.text, append([]any{limit - total}, step.args...)...)
		if err != nil {
			return 0, wrap(err, "trimming replications")
		}
		total += int(n)
	}
	return total, nil
}

const selectBackfill = `SELECT id, account, region, destination, status, code, started_at, ended_at, after_name, after_digest, after_tag FROM replication_backfills WHERE `

func scanBackfill(rows *sql.Rows) (b meta.Backfill, err error) {
	var to string
	var started, ended int64
	err = rows.Scan(&b.ID, &b.Source.Account, &b.Source.Region, &to, &b.Status, &b.Code, &started, &ended, &b.AfterName, &b.AfterImage.Digest, &b.AfterImage.Tag)
	b.To, b.StartedAt = parseDestination(to), fromMicros(started)
	b.EndedAt = timeOrZero(sql.NullInt64{Int64: ended, Valid: ended != 0})
	return b, err
}

// Backfill implements meta.ReplicationReader.
func (r registryReader) Backfill(ctx context.Context, in ecr.RegistryID, id string) (meta.Backfill, error) {
	b, err := one(ctx, r.s, scanBackfill, selectBackfill+`id = $1 AND account = $2 AND region = $3`, id, string(in.Account), string(in.Region))
	return b, wrap(err, "reading replication backfill %s of %s", id, in)
}

// Backfills implements meta.ReplicationReader.
func (r registryReader) Backfills(ctx context.Context, in ecr.RegistryID) ([]meta.Backfill, error) {
	all, err := list(ctx, r.s, scanBackfill, selectBackfill+`account = $1 AND region = $2 ORDER BY started_at DESC, id DESC`, string(in.Account), string(in.Region))
	return all, wrap(err, "listing the replication backfills of %s", in)
}

// UnendedBackfills implements meta.ReplicationReader.
func (r registryReader) UnendedBackfills(ctx context.Context) ([]meta.Backfill, error) {
	all, err := list(ctx, r.s, scanBackfill, selectBackfill+`ended_at = 0 ORDER BY started_at, id`)
	return all, wrap(err, "listing the replication backfills that have not ended")
}

// BackfillCounts implements meta.ReplicationReader.
func (r registryReader) BackfillCounts(ctx context.Context, id string) ([]meta.BackfillCount, error) {
	all, err := list(ctx, r.s, func(rows *sql.Rows) (c meta.BackfillCount, err error) {
		return c, rows.Scan(&c.Status, &c.Code, &c.Count)
	}, `SELECT status, CASE WHEN status = 'FAILED' THEN code ELSE '' END AS why, COUNT(*) FROM replications WHERE backfill = $1 AND backfill <> ''
		GROUP BY 1, 2 ORDER BY 1, 2`, id)
	return all, wrap(err, "counting the replications of backfill %s", id)
}

// BackfillResults implements meta.ReplicationReader.
func (r registryReader) BackfillResults(ctx context.Context, id string, status meta.ReplicationStatus, after int64, limit int) ([]meta.Replication, error) {
	if limit <= 0 {
		return nil, nil
	}
	text, args := `SELECT `+replicationColumns+` FROM replications WHERE backfill = $1 AND backfill <> '' AND id > $2`, []any{id, after, limit}
	if status != "" {
		text, args = text+` AND status = $4`, append(args, string(status))
	}
	all, err := list(ctx, r.s, scanReplication, text+` ORDER BY id LIMIT $3`, args...)
	return all, wrap(err, "listing the replications of backfill %s", id)
}

// InsertBackfill implements meta.ReplicationWriter.
func (t registryTx) InsertBackfill(ctx context.Context, b meta.Backfill) (meta.Backfill, error) {
	n, err := t.s.exec(ctx, `INSERT INTO replication_backfills (id, account, region, destination, status, code, started_at, ended_at, after_name, after_digest, after_tag)
		VALUES ($1, $2, $3, $4, $5, $6, `+t.s.d.Now+`, 0, '', '', '') ON CONFLICT DO NOTHING`,
		b.ID, string(b.Source.Account), string(b.Source.Region), b.To.String(), string(b.Status), b.Code)
	if err := orElse(n, err, meta.ErrExists); err != nil {
		return b, wrap(err, "adding replication backfill %s", b.ID)
	}
	return t.Backfill(ctx, b.Source, b.ID)
}

// UpdateBackfill implements meta.ReplicationWriter.
func (t registryTx) UpdateBackfill(ctx context.Context, b meta.Backfill) error {
	ended := `0`
	if b.Status.Ended() {
		ended = t.s.d.Now
	}
	n, err := t.s.exec(ctx, fmt.Sprintf(`UPDATE replication_backfills SET status = $2, code = $3, after_name = $4, after_digest = $5, after_tag = $6, ended_at = %s WHERE id = $1`, ended),
		b.ID, string(b.Status), b.Code, string(b.AfterName), string(b.AfterImage.Digest), string(b.AfterImage.Tag))
	return wrap(orElse(n, err, meta.ErrNotFound), "changing replication backfill %s", b.ID)
}

// StopBackfill implements meta.ReplicationWriter.
func (t registryTx) StopBackfill(ctx context.Context, id string) (left int, err error) {
	_, err = t.s.exec(ctx, `DELETE FROM replications WHERE backfill = $1 AND backfill <> '' AND status = 'IN_PROGRESS' AND until <= `+t.s.d.Now, id)
	if err == nil {
		_, err = t.s.queryRow(ctx, []any{&left}, `SELECT COUNT(*) FROM replications WHERE backfill = $1 AND backfill <> '' AND status = 'IN_PROGRESS'`, id)
	}
	return left, wrap(err, "stopping replication backfill %s", id)
}

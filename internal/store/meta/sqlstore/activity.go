package sqlstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// CountPulls implements meta.ActivityWriter.
func (t retentionTx) CountPulls(ctx context.Context, counts []meta.PullCount) error {
	type key struct {
		day    meta.Day
		repo   meta.RepositoryID
		digest ecr.Digest
		by     meta.Puller
	}
	sums := make(map[key][2]int64, len(counts))
	for _, c := range counts {
		k := key{c.Day, c.Repository, c.Digest, c.By}
		sum := sums[k]
		sums[k] = [2]int64{sum[0] + c.Pulls, max(sum[1], micros(c.LastAt))}
	}
	if len(sums) == 0 {
		return nil
	}
	rows := make([][7]any, 0, len(sums))
	for k, sum := range sums {
		rows = append(rows, [7]any{k.day, k.repo, k.digest, k.by.UniqueID, k.by.ARN, sum[0], sum[1]})
	}
	text, err := json.Marshal(rows)
	if err != nil {
		return fmt.Errorf("encoding pulls: %w", err)
	}
	for _, statement := range []string{t.q.insertPullers, t.q.countPulls, t.q.countPullDays} {
		if _, err := t.s.exec(ctx, statement, string(text)); err != nil {
			return wrap(err, "counting pulls of %d images", len(rows))
		}
	}
	return nil
}

// PullActivity implements meta.ActivityReader.
func (r retentionReader) PullActivity(ctx context.Context, q meta.PullQuery, after meta.PullKey, limit int) ([]meta.PullActivity, error) {
	if limit <= 0 {
		return nil, nil
	}
	// SQLite takes the tables of a CROSS JOIN in their order: a plan that began with the
	// repositories would read all pulls and sort them.
	from := `pulls p CROSS JOIN pullers q`
	if q.ARN != "" {
		from = `pullers q CROSS JOIN pulls p`
	}
	text := `SELECT p.day, p.repository_id, p.digest, p.puller_id, p.pulls, p.last_at, r.name, q.unique_id, q.arn,
		NOT EXISTS (SELECT 1 FROM users u WHERE u.unique_id = q.unique_id) AND NOT EXISTS (SELECT 1 FROM roles o WHERE o.unique_id = q.unique_id),
		COALESCE((SELECT MIN(t.tag) FROM tags t WHERE t.repository_id = p.repository_id AND t.digest = p.digest), '')
		FROM ` + from + ` CROSS JOIN repositories r
		WHERE q.id = p.puller_id AND r.id = p.repository_id AND r.account = $1 AND r.region = $2 AND p.day >= $3`
	args := []any{string(q.Registry.Account), string(q.Registry.Region), int64(q.Since)}
	param := func(v any) string {
		args = append(args, v)
		return fmt.Sprintf("$%d", len(args))
	}
	than, way := `>`, ``
	if q.Backward {
		than, way = `<`, ` DESC`
	}
	if q.Until != 0 {
		text += ` AND p.day <= ` + param(int64(q.Until))
	}
	if q.Repository != 0 {
		text += ` AND p.repository_id = ` + param(int64(q.Repository))
	}
	if q.Digest != "" {
		text += ` AND p.digest = ` + param(string(q.Digest))
	}
	if q.Tag != "" {
		text += ` AND p.digest IN (SELECT digest FROM tags WHERE repository_id = p.repository_id AND tag = ` + param(string(q.Tag)) + `)`
	}
	if q.ARN != "" {
		text += ` AND q.arn = ` + param(q.ARN)
	}
	if after != (meta.PullKey{}) {
		text += fmt.Sprintf(` AND (p.day, p.repository_id, p.digest, p.puller_id) %s (%s, %s, %s, %s)`, than,
			param(int64(after.Day)), param(int64(after.Repository)), param(string(after.Digest)), param(after.PullerID))
	}
	text += fmt.Sprintf(` ORDER BY p.day%[1]s, p.repository_id%[1]s, p.digest%[1]s, p.puller_id%[1]s LIMIT %[2]s`, way, param(limit))
	all, err := list(ctx, r.s, func(rows *sql.Rows) (a meta.PullActivity, err error) {
		var at int64
		err = rows.Scan(&a.Day, &a.Repository, &a.Digest, &a.PullerID, &a.Pulls, &at, &a.Name, &a.By.UniqueID, &a.By.ARN, &a.Gone, &a.Tag)
		a.LastAt = fromMicros(at)
		return a, err
	}, text, args...)
	return all, wrap(err, "listing pulls of %s", q.Registry)
}

// PullDays implements meta.ActivityReader.
func (r retentionReader) PullDays(ctx context.Context, in ecr.RegistryID, repo meta.RepositoryID, since meta.Day, limit int) ([]meta.PullDay, error) {
	if limit <= 0 {
		return nil, nil
	}
	text := `SELECT p.day, r.name, p.pulls FROM pull_days p CROSS JOIN repositories r
		WHERE r.id = p.repository_id AND r.account = $1 AND r.region = $2 AND p.day >= $3`
	args := []any{string(in.Account), string(in.Region), int64(since), limit}
	if repo != 0 {
		text, args = text+` AND p.repository_id = $5`, append(args, int64(repo))
	}
	all, err := list(ctx, r.s, func(rows *sql.Rows) (d meta.PullDay, err error) {
		return d, rows.Scan(&d.Day, &d.Name, &d.Pulls)
	}, text+` ORDER BY p.day, p.repository_id LIMIT $4`, args...)
	return all, wrap(err, "listing days of pulls of %s", in)
}

// TrimPulls implements meta.ActivityWriter.
func (t retentionTx) TrimPulls(ctx context.Context, before meta.Day, limit int) (int, error) {
	if limit <= 0 {
		return 0, nil
	}
	total := 0
	for _, step := range []struct {
		text string
		args []any
	}{
		{`DELETE FROM pulls WHERE (day, repository_id, digest, puller_id) IN (
			SELECT day, repository_id, digest, puller_id FROM pulls WHERE day < $2 ORDER BY day, repository_id, digest, puller_id LIMIT $1)`, []any{int64(before)}},
		{`DELETE FROM pull_days WHERE (day, repository_id) IN (
			SELECT day, repository_id FROM pull_days WHERE day < $2 ORDER BY day, repository_id LIMIT $1)`, []any{int64(before)}},
		{`DELETE FROM pullers WHERE id IN (
			SELECT id FROM pullers q WHERE NOT EXISTS (SELECT 1 FROM pulls p WHERE p.puller_id = q.id) ORDER BY id LIMIT $1)`, nil},
	} {
		n, err := t.s.exec(ctx, step.text, append([]any{limit - total}, step.args...)...)
		if total += int(n); err != nil || total == limit {
			return total, wrap(err, "trimming pulls")
		}
	}
	return total, nil
}

// OldestPulls implements meta.ActivityWriter.
func (t retentionTx) OldestPulls(ctx context.Context, most int) (meta.Day, error) {
	day, err := one(ctx, t.s, func(rows *sql.Rows) (d meta.Day, err error) { return d, rows.Scan(&d) },
		`SELECT day FROM pulls ORDER BY day DESC, repository_id DESC, digest DESC, puller_id DESC LIMIT 1 OFFSET $1`, most)
	if errors.Is(err, meta.ErrNotFound) {
		return 0, nil
	}
	return day + 1, wrap(err, "counting pulls")
}

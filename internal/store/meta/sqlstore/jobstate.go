package sqlstore

import (
	"context"
	"database/sql"
	"time"

	"github.com/kontor-registry/kontor/internal/store/meta"
)

// LifecyclePreview implements meta.PreviewReader.
func (r retentionReader) LifecyclePreview(ctx context.Context, repo meta.RepositoryID) (meta.LifecyclePreview, error) {
	p, err := one(ctx, r.s, func(rows *sql.Rows) (meta.LifecyclePreview, error) {
		p := meta.LifecyclePreview{Repository: repo}
		var started int64
		var results []byte
		err := rows.Scan(&p.PolicyText, &p.Status, &started, &results)
		p.StartedAt, p.Results = fromMicros(started), nonEmpty(results)
		return p, err
	}, `SELECT policy, status, started_at, results FROM lifecycle_previews WHERE repository_id = $1`, int64(repo))
	return p, wrap(err, "reading the lifecycle preview of repository %d", repo)
}

// PutLifecyclePreview implements meta.PreviewWriter.
func (t retentionTx) PutLifecyclePreview(ctx context.Context, p meta.LifecyclePreview) error {
	n, err := t.s.exec(ctx, `INSERT INTO lifecycle_previews (repository_id, policy, status, started_at, results)
		SELECT id, $2, $3, $4, $5 FROM repositories WHERE id = $1 AND account <> ''
		ON CONFLICT (repository_id) DO UPDATE SET policy = excluded.policy, status = excluded.status,
		started_at = excluded.started_at, results = excluded.results`,
		int64(p.Repository), p.PolicyText, p.Status, micros(p.StartedAt), bytes(p.Results))
	return wrap(orElse(n, err, meta.ErrReferenced), "storing a lifecycle preview of repository %d", p.Repository)
}

// Now implements meta.JobReader.
func (r retentionReader) Now(ctx context.Context) (time.Time, error) {
	var now int64
	_, err := r.s.queryRow(ctx, []any{&now}, r.q.now)
	return fromMicros(now), wrap(err, "reading the clock of the database")
}

// JobState implements meta.JobReader.
func (r retentionReader) JobState(ctx context.Context, name string) ([]byte, error) {
	state, err := one(ctx, r.s, func(rows *sql.Rows) (state []byte, err error) { return state, rows.Scan(&state) },
		`SELECT state FROM job_states WHERE name = $1`, name)
	return state, wrap(err, "reading the state of job %s", name)
}

// PutJobState implements meta.JobWriter.
func (t retentionTx) PutJobState(ctx context.Context, name string, state []byte) error {
	_, err := t.s.exec(ctx, `INSERT INTO job_states (name, state) VALUES ($1, $2)
		ON CONFLICT (name) DO UPDATE SET state = excluded.state`, name, bytes(state))
	return wrap(err, "storing the state of job %s", name)
}

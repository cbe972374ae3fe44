package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/kontor-registry/kontor/internal/store/meta"
)

// JobLeases implements meta.JobReader.
func (r retentionReader) JobLeases(ctx context.Context) ([]meta.JobLease, error) {
	all, err := list(ctx, r.s, func(rows *sql.Rows) (meta.JobLease, error) {
		var l meta.JobLease
		var began, ended int64
		err := rows.Scan(&l.Name, &l.Holder, &l.Held, &began, &l.Progress, &ended, &l.Last.Removed, &l.Last.SizeBytes, &l.Last.Error)
		l.BeganAt, l.EndedAt = fromMicros(began), timeOrZero(sql.NullInt64{Int64: ended, Valid: ended != 0})
		return l, err
	}, r.q.jobLeases)
	return all, wrap(err, "listing jobs")
}

// CheckJob implements meta.JobReader.
func (r retentionReader) CheckJob(ctx context.Context, name string, token int64) error {
	mine, err := r.s.truth(ctx, `SELECT EXISTS (SELECT 1 FROM job_leases WHERE name = $1 AND token = $2)`, name, token)
	if err == nil && !mine {
		err = meta.ErrConflict
	}
	return wrap(err, "checking lease %d of job %s", token, name)
}

// LifecycleFinding implements meta.JobReader.
func (r retentionReader) LifecycleFinding(ctx context.Context, repo meta.RepositoryID) (meta.LifecycleFinding, error) {
	f, err := one(ctx, r.s, func(rows *sql.Rows) (f meta.LifecycleFinding, err error) { return f, rows.Scan(&f.Code, &f.Message) },
		`SELECT code, message FROM lifecycle_findings WHERE repository_id = $1`, int64(repo))
	return f, wrap(err, "reading the lifecycle finding of repository %d", repo)
}

// TakeJob implements meta.JobWriter.
func (t retentionTx) TakeJob(ctx context.Context, terms meta.JobTerms) (int64, bool, error) {
	flag := func(b bool) int64 {
		if b {
			return 1
		}
		return 0
	}
	token, err := one(ctx, t.s, func(rows *sql.Rows) (token int64, err error) { return token, rows.Scan(&token) }, t.q.takeJob,
		terms.Name, terms.Holder, terms.For.Microseconds(), terms.Every.Microseconds(), flag(terms.Now), flag(terms.Alone))
	if errors.Is(err, meta.ErrNotFound) {
		return 0, false, nil
	}
	return token, err == nil, wrap(err, "beginning job %s", terms.Name)
}

// RenewJob implements meta.JobWriter.
func (t retentionTx) RenewJob(ctx context.Context, name string, token int64, d time.Duration, progress int) error {
	n, err := t.s.exec(ctx, t.q.renewJob, name, token, d.Microseconds(), progress)
	return wrap(orElse(n, err, meta.ErrConflict), "renewing lease %d of job %s", token, name)
}

// EndJob implements meta.JobWriter.
func (t retentionTx) EndJob(ctx context.Context, name string, token int64, r meta.JobResult) error {
	n, err := t.s.exec(ctx, t.q.endJob, name, token, r.Removed, r.SizeBytes, r.Error)
	return wrap(orElse(n, err, meta.ErrConflict), "ending lease %d of job %s", token, name)
}

// QueueLifecycle implements meta.JobWriter.
func (t retentionTx) QueueLifecycle(ctx context.Context, repos []meta.RepositoryID) error {
	for _, id := range repos {
		if _, err := t.s.exec(ctx, t.q.queueLifecycle, int64(id)); err != nil {
			return wrap(err, "queueing a lifecycle run of repository %d", id)
		}
	}
	return nil
}

// TakeLifecycle implements meta.JobWriter.
func (t retentionTx) TakeLifecycle(ctx context.Context, d time.Duration) (task meta.LifecycleTask, ok bool, err error) {
	var id int64
	task.Token, err = one(ctx, t.s, func(rows *sql.Rows) (token int64, err error) { return token, rows.Scan(&id, &token) },
		t.q.takeLifecycle, d.Microseconds())
	if errors.Is(err, meta.ErrNotFound) {
		return task, false, nil
	}
	if err == nil {
		task.Repository, err = one(ctx, t.s, scanRepository, selectRepository+`WHERE id = $1`, id)
	}
	return task, err == nil, wrap(err, "taking a lifecycle run")
}

// EndLifecycle implements meta.JobWriter.
func (t retentionTx) EndLifecycle(ctx context.Context, task meta.LifecycleTask) error {
	_, err := t.s.exec(ctx, `DELETE FROM lifecycle_queue WHERE repository_id = $1 AND token = $2`, int64(task.Repository.ID), task.Token)
	return wrap(err, "ending the lifecycle run of repository %d", task.Repository.ID)
}

// PutLifecycleFinding implements meta.JobWriter.
func (t retentionTx) PutLifecycleFinding(ctx context.Context, repo meta.RepositoryID, f meta.LifecycleFinding) error {
	var err error
	if f == (meta.LifecycleFinding{}) {
		_, err = t.s.exec(ctx, `DELETE FROM lifecycle_findings WHERE repository_id = $1`, int64(repo))
	} else {
		_, err = t.s.exec(ctx, `INSERT INTO lifecycle_findings (repository_id, code, message)
			SELECT id, $2, $3 FROM repositories WHERE id = $1 AND account <> ''
			ON CONFLICT (repository_id) DO UPDATE SET code = excluded.code, message = excluded.message`, int64(repo), f.Code, f.Message)
	}
	return wrap(err, "storing the lifecycle finding of repository %d", repo)
}

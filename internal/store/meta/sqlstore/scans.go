package sqlstore

import (
	"context"
	"database/sql"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

type (
	scanReader struct{ *transaction }
	scanWriter struct{ *transaction }
)

// Scans implements meta.RetentionReader.
func (r retentionReader) Scans() meta.ScanReader { return scanReader(r) }

// ScanWriter implements meta.RetentionTx.
func (t retentionTx) ScanWriter() meta.ScanWriter { return scanWriter(t.retentionReader) }

const selectScan = `SELECT repository_id, digest, status, slot, attempts, asked_at, due_at, reason, completed_at, severity, result FROM image_scans `

func scanScan(rows *sql.Rows) (s meta.Scan, err error) {
	var asked, due, completed int64
	var result string
	err = rows.Scan(&s.Repository, &s.Digest, &s.Status, &s.Slot, &s.Attempts, &asked, &due, &s.Reason, &completed, &s.Severity, &result)
	s.AskedAt, s.DueAt, s.Result = fromMicros(asked), fromMicros(due), nonEmpty([]byte(result))
	s.CompletedAt = timeOrZero(sql.NullInt64{Int64: completed, Valid: completed != 0})
	return s, err
}

// Scan implements meta.ScanReader.
func (r scanReader) Scan(ctx context.Context, repo meta.RepositoryID, d ecr.Digest) (meta.Scan, error) {
	s, err := one(ctx, r.s, scanScan, selectScan+`WHERE repository_id = $1 AND digest = $2`, int64(repo), string(d))
	return s, wrap(err, "reading the scan of %s in repository %d", d, repo)
}

// Scans implements meta.ScanReader.
func (r scanReader) Scans(ctx context.Context, repo meta.RepositoryID, ds []ecr.Digest) (all []meta.Scan, err error) {
	if len(ds) == 0 {
		return nil, nil
	}
	all, err = list(ctx, r.s, scanScan, r.q.scansOf, int64(repo), r.s.d.Strings(distinct(ds)))
	return all, wrap(err, "reading scans of %d images in repository %d", len(ds), repo)
}

// ScanFindings implements meta.ScanReader.
func (r scanReader) ScanFindings(ctx context.Context, repo meta.RepositoryID, d ecr.Digest) ([]byte, error) {
	found, err := one(ctx, r.s, func(rows *sql.Rows) (b []byte, err error) { return b, rows.Scan(&b) },
		`SELECT findings FROM image_scans WHERE repository_id = $1 AND digest = $2`, int64(repo), string(d))
	return nonEmpty(found), wrap(err, "reading the findings of %s in repository %d", d, repo)
}

// Queue implements meta.ScanReader.
func (r scanReader) Queue(ctx context.Context) (q meta.ScanQueue, err error) {
	var since sql.NullInt64
	_, err = r.s.queryRow(ctx, []any{&q.Waiting, &q.Running, &since}, `SELECT COUNT(CASE WHEN slot = '' THEN 1 END),
		COUNT(CASE WHEN slot <> '' THEN 1 END), MIN(CASE WHEN slot = '' THEN asked_at END) FROM image_scans WHERE status = 'IN_PROGRESS'`)
	q.Since = timeOrZero(since)
	return q, wrap(err, "counting scans")
}

// values are the columns of s but its key, from $3 on.
func scanValues(s meta.Scan) []any {
	completed := int64(0)
	if !s.CompletedAt.IsZero() {
		completed = micros(s.CompletedAt)
	}
	return []any{int64(s.Repository), string(s.Digest), string(s.Status), s.Slot, s.Attempts, micros(s.AskedAt), micros(s.DueAt), s.Reason,
		completed, string(s.Severity), string(s.Result)}
}

// PutScan implements meta.ScanWriter.
func (t scanWriter) PutScan(ctx context.Context, s meta.Scan) error {
	n, err := t.s.exec(ctx, t.q.putScan, scanValues(s)...)
	return wrap(orElse(n, err, meta.ErrReferenced), "storing the scan of %s in repository %d", s.Digest, s.Repository)
}

// TakeScan implements meta.ScanWriter.
func (t scanWriter) TakeScan(ctx context.Context, slot string, now time.Time) (s meta.Scan, repo meta.Repository, err error) {
	s, err = one(ctx, t.s, scanScan, selectScan+`WHERE status = 'IN_PROGRESS' AND (slot = '' OR slot = $1) AND due_at <= $2
		AND repository_id IN (SELECT id FROM repositories WHERE account <> '')
		ORDER BY due_at, repository_id, digest LIMIT 1`, slot, micros(now))
	if err == nil {
		var n int64
		n, err = t.s.exec(ctx, `UPDATE image_scans SET slot = $3, attempts = attempts + 1 WHERE repository_id = $1 AND digest = $2
			AND status = 'IN_PROGRESS' AND (slot = '' OR slot = $3)`, int64(s.Repository), string(s.Digest), slot)
		err = orElse(n, err, meta.ErrConflict)
	}
	if err == nil {
		s.Slot, s.Attempts = slot, s.Attempts+1
		repo, err = one(ctx, t.s, scanRepository, selectRepository+`WHERE id = $1`, int64(s.Repository))
	}
	return s, repo, wrap(err, "taking a scan")
}

// EndScan implements meta.ScanWriter.
func (t scanWriter) EndScan(ctx context.Context, slot string, s meta.Scan, findings []byte) error {
	n, err := t.s.exec(ctx, `UPDATE image_scans SET status = $3, slot = $4, attempts = $5, due_at = $7, reason = $8, completed_at = $9,
		severity = $10, result = $11 WHERE repository_id = $1 AND digest = $2 AND slot = $12 AND asked_at = $6 AND status = 'IN_PROGRESS'`,
		append(scanValues(s), slot)...)
	if err = orElse(n, err, meta.ErrConflict); err == nil && findings != nil {
		_, err = t.s.exec(ctx, `UPDATE image_scans SET findings = $3 WHERE repository_id = $1 AND digest = $2`, int64(s.Repository), string(s.Digest), findings)
	}
	return wrap(err, "ending the scan of %s in repository %d", s.Digest, s.Repository)
}

// FreeScans implements meta.ScanWriter.
func (t scanWriter) FreeScans(ctx context.Context, but []string) error {
	_, err := t.s.exec(ctx, t.q.freeScans, t.s.d.Strings(but))
	return wrap(err, "taking scans away from slots")
}

package sqlstore

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"time"

	"github.com/kontor-registry/kontor/internal/store/meta"
)

type (
	figureReader struct{ *transaction }
	figureWriter struct{ *transaction }
)

// Figures implements meta.RetentionReader.
func (r retentionReader) Figures() meta.FigureReader { return figureReader(r) }

// FigureWriter implements meta.RetentionTx.
func (t retentionTx) FigureWriter() meta.FigureWriter { return figureWriter(t.retentionReader) }

// figureColumns are the columns of figures.
var figureColumns = map[meta.Figure]string{
	meta.FigureImages: "images", meta.FigureSize: "size_bytes", meta.FigurePushed: "pushed_at", meta.FigurePulled: "pulled_at",
}

// zeroTime is the time of micros, zero for 0.
func zeroTime(micros int64) time.Time {
	return timeOrZero(sql.NullInt64{Int64: micros, Valid: micros != 0})
}

// microsOrZero is 0 for the zero time.
func microsOrZero(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return micros(t)
}

// StaleFigures implements meta.FigureReader.
func (r figureReader) StaleFigures(ctx context.Context, q meta.StaleFigures, after meta.RepositoryID, limit int) ([]meta.RepositoryID, error) {
	if limit <= 0 {
		return nil, nil
	}
	all, err := list(ctx, r.s, func(rows *sql.Rows) (id meta.RepositoryID, err error) { return id, rows.Scan(&id) },
		`SELECT r.id FROM repositories r LEFT JOIN repository_figures f ON f.repository_id = r.id
		WHERE r.id > $1 AND r.account <> '' AND (f.repository_id IS NULL OR f.counted_at < $2
			OR EXISTS (SELECT 1 FROM tags t WHERE t.repository_id = r.id AND t.tagged_at > f.counted_at - $3))
		ORDER BY r.id LIMIT $4`, int64(after), micros(q.Before), q.Slack.Microseconds(), limit)
	return all, wrap(err, "looking for repositories to count")
}

// CountFigures implements meta.FigureReader.
func (r figureReader) CountFigures(ctx context.Context, repo meta.RepositoryID) (meta.Figures, error) {
	f := meta.Figures{Repository: repo}
	var pushed, pulled int64
	_, err := r.s.queryRow(ctx, []any{&f.Images, &pushed, &pulled},
		`SELECT COUNT(*), COALESCE(MAX(pushed_at), 0), COALESCE(MAX(last_pulled_at), 0) FROM manifests WHERE repository_id = $1`, int64(repo))
	f.PushedAt, f.PulledAt = zeroTime(pushed), zeroTime(pulled)
	if err == nil {
		_, err = r.s.queryRow(ctx, []any{&f.SizeBytes}, `SELECT CAST(COALESCE(SUM(b.size_bytes), 0) AS BIGINT)
			FROM blob_links l JOIN blobs b ON b.digest = l.digest WHERE l.repository_id = $1 AND l.idle_since IS NULL`, int64(repo))
	}
	return f, wrap(err, "counting repository %d", repo)
}

// ByFigure implements meta.FigureReader.
func (r figureReader) ByFigure(ctx context.Context, q meta.FigureQuery, limit int) ([]meta.CountedRepository, error) {
	if limit <= 0 {
		return nil, nil
	}
	than, way, after := `>`, ``, q.After
	if q.Backward {
		than, way = `<`, ` DESC`
		if after == (meta.FigureKey{}) {
			after = meta.FigureKey{Value: math.MaxInt64, Repository: math.MaxInt64}
		}
	}
	scan := func(rows *sql.Rows) (c meta.CountedRepository, err error) {
		var counted int64
		c.Repository, err = scanRepositoryAnd(rows, &c.Key.Value, &counted)
		if c.Key.Repository, c.CountedAt = c.ID, zeroTime(counted); q.By == meta.FigureName {
			c.Key = meta.FigureKey{Name: c.Name}
		}
		return c, err
	}
	var text string
	args := []any{string(q.Registry.Account), string(q.Registry.Region), limit}
	if column, ok := figureColumns[q.By]; ok {
		// SQLite takes the tables of a CROSS JOIN in their order.
		text = fmt.Sprintf(`SELECT %s, f.%s, f.counted_at FROM repository_figures f CROSS JOIN repositories
			WHERE id = f.repository_id AND account = $1 AND region = $2 AND f.of_account = $1 AND f.of_region = $2
			AND (f.%[2]s, f.repository_id) %[3]s ($4, $5) ORDER BY f.%[2]s%[4]s, f.repository_id%[4]s LIMIT $3`, repositoryColumns, column, than, way)
		args = append(args, after.Value, int64(after.Repository))
	} else {
		text = fmt.Sprintf(`SELECT %s, 0, 0 FROM repositories WHERE account = $1 AND region = $2`, repositoryColumns)
		if q.After != (meta.FigureKey{}) {
			text += fmt.Sprintf(` AND name %s $4`, than)
			args = append(args, string(after.Name))
		}
		text += fmt.Sprintf(` ORDER BY name%s LIMIT $3`, way)
	}
	all, err := list(ctx, r.s, scan, text, args...)
	return all, wrap(err, "listing repositories of %s by %s", q.Registry, q.By)
}

// PutFigures implements meta.FigureWriter.
func (t figureWriter) PutFigures(ctx context.Context, all []meta.Figures) error {
	for _, f := range all {
		_, err := t.s.exec(ctx, `INSERT INTO repository_figures (repository_id, of_account, of_region, images, size_bytes, pushed_at, pulled_at, counted_at)
			SELECT id, account, region, $2, $3, $4, $5, $6 FROM repositories WHERE id = $1
			ON CONFLICT (repository_id) DO UPDATE SET images = excluded.images, size_bytes = excluded.size_bytes,
			pushed_at = excluded.pushed_at, pulled_at = excluded.pulled_at, counted_at = excluded.counted_at`,
			int64(f.Repository), f.Images, f.SizeBytes, microsOrZero(f.PushedAt), microsOrZero(f.PulledAt), microsOrZero(f.CountedAt))
		if err != nil {
			return wrap(err, "storing the figures of repository %d", f.Repository)
		}
	}
	return nil
}

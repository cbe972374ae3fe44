package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"strconv"
	"strings"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

func scanTag(rows *sql.Rows) (meta.TagRow, error) {
	var t meta.TagRow
	var at int64
	err := rows.Scan(&t.Tag, &t.Digest, &at)
	t.TaggedAt = fromMicros(at)
	return t, err
}

// Tag implements meta.ImageReader.
func (r reader) Tag(ctx context.Context, repo meta.RepositoryID, tag ecr.Tag) (meta.TagRow, error) {
	t, err := one(ctx, r.s, scanTag,
		`SELECT tag, digest, tagged_at FROM tags WHERE repository_id = $1 AND tag = $2`+r.s.locking(r.s.d.ForUpdate), int64(repo), string(tag))
	if r.s.hot && errors.Is(err, meta.ErrNotFound) {
		r.found(tagKey{repo, string(tag)})
	}
	return t, wrap(err, "reading tag %s of repository %d", tag, repo)
}

// ListTags implements meta.ImageReader.
func (r reader) ListTags(ctx context.Context, repo meta.RepositoryID, after ecr.Tag, limit int) ([]meta.TagRow, error) {
	if limit <= 0 {
		return nil, nil
	}
	all, err := list(ctx, r.s, scanTag, `SELECT tag, digest, tagged_at FROM tags
		WHERE repository_id = $1 AND tag > $2 ORDER BY tag LIMIT $3`, int64(repo), string(after), limit)
	return all, wrap(err, "listing tags of repository %d", repo)
}

// ListTagImages implements meta.TagImageReader.
func (r retentionReader) ListTagImages(ctx context.Context, repo meta.RepositoryID, q meta.TagQuery, limit int) ([]meta.TagImage, error) {
	if limit <= 0 {
		return nil, nil
	}
	text := `SELECT ` + manifestColumns + `, t.tag, t.tagged_at FROM tags t
		JOIN manifests m ON m.repository_id = t.repository_id AND m.digest = t.digest
		LEFT JOIN image_states s ON s.repository_id = m.repository_id AND s.digest = m.digest
		WHERE t.repository_id = $1`
	args := []any{int64(repo), limit}
	and := func(condition string, values ...any) {
		for _, v := range values {
			args = append(args, v)
			condition = strings.Replace(condition, "?", "$"+strconv.Itoa(len(args)), 1)
		}
		text += ` AND ` + condition
	}
	than, way := `>`, ``
	if q.Backward {
		than, way = `<`, ` DESC`
	}
	order := `t.tag` + way
	switch {
	case q.ByTime:
		order = `t.tagged_at` + way + `, t.tag` + way
		if q.After.Tag != "" {
			and(`(t.tagged_at, t.tag) `+than+` (?, ?)`, micros(q.After.TaggedAt), string(q.After.Tag))
		}
	case q.After.Tag != "":
		and(`t.tag `+than+` ?`, string(q.After.Tag))
	}
	if q.Prefix != "" && !q.ByTime {
		// Tags are ASCII, so that DEL is after every character of theirs.
		and(`t.tag >= ? AND t.tag < ?`, q.Prefix, q.Prefix+"\x7f")
	}
	all, err := list(ctx, r.s, func(rows *sql.Rows) (meta.TagImage, error) {
		var t meta.TagImage
		var at int64
		m, err := scanManifest(rows, &t.Tag, &at)
		t.Image, t.Digest, t.TaggedAt = m.Image, m.Image.Digest, fromMicros(at)
		return t, err
	}, text+` ORDER BY `+order+` LIMIT $2`, args...)
	return all, wrap(err, "listing tags of repository %d", repo)
}

const (
	insertTag = `INSERT INTO tags (repository_id, tag, digest, tagged_at)
		SELECT repository_id, $2, digest, $4 FROM manifests WHERE repository_id = $1 AND digest = $3 ON CONFLICT `
	keepTag = `DO NOTHING`
	moveTag = `(repository_id, tag) DO UPDATE SET digest = excluded.digest, tagged_at = excluded.tagged_at
		WHERE tags.digest <> excluded.digest`
)

// PutTag implements meta.ImageWriter.
func (t txn) PutTag(ctx context.Context, repo meta.RepositoryID, row meta.TagRow, replace bool) error {
	return wrap(t.putTag(ctx, repo, row, replace), "pointing tag %s of repository %d to %s", row.Tag, repo, row.Digest)
}

func (t txn) putTag(ctx context.Context, repo meta.RepositoryID, row meta.TagRow, replace bool) error {
	// What a hot transaction found to be free, it must not take from another that was
	// faster: it says what was there before.
	free := t.free[tagKey{repo, string(row.Tag)}]
	text := insertTag + keepTag
	if replace && !free {
		text = insertTag + moveTag
	}
	n, err := t.s.exec(ctx, text, int64(repo), string(row.Tag), string(row.Digest), micros(row.TaggedAt))
	if err != nil || n > 0 {
		return err
	}
	var digest string
	there, err := t.s.queryRow(ctx, []any{&digest}, `SELECT digest FROM tags WHERE repository_id = $1 AND tag = $2`,
		int64(repo), string(row.Tag))
	switch {
	case err != nil:
		return err
	case there && !replace:
		return meta.ErrExists
	case there && digest == string(row.Digest):
		return nil
	case there && free:
		return t.s.overtaken()
	}
	return meta.ErrReferenced
}

// DeleteTag implements meta.ImageWriter.
func (t txn) DeleteTag(ctx context.Context, repo meta.RepositoryID, tag ecr.Tag) error {
	n, err := t.s.exec(ctx, `DELETE FROM tags WHERE repository_id = $1 AND tag = $2`, int64(repo), string(tag))
	return wrap(orElse(n, err, meta.ErrNotFound), "deleting tag %s of repository %d", tag, repo)
}

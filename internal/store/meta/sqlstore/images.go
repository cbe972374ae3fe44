package sqlstore

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

const (
	manifestColumns = `m.repository_id, m.digest, m.media_type, m.artifact_media_type, m.size_bytes, m.pushed_at,
	m.last_pulled_at, m.subject, length(m.body), COALESCE(s.status, 'ACTIVE'), s.archived_at, s.activated_at`
	fromManifests = ` FROM manifests m
		LEFT JOIN image_states s ON s.repository_id = m.repository_id AND s.digest = m.digest `
)

// scanManifest scans manifestColumns and then more.
func scanManifest(rows *sql.Rows, more ...any) (meta.Manifest, error) {
	var m meta.Manifest
	var pushed int64
	var pulled, archived, activated sql.NullInt64
	if err := rows.Scan(append([]any{&m.Repository, &m.Image.Digest, &m.Image.MediaType, &m.Image.ArtifactMediaType,
		&m.Image.SizeBytes, &pushed, &pulled, &m.Image.Subject, &m.BodySizeBytes,
		&m.Image.Status, &archived, &activated}, more...)...); err != nil {
		return m, err
	}
	m.Image.PushedAt, m.Image.LastPulledAt = fromMicros(pushed), timeOrZero(pulled)
	m.Image.ArchivedAt, m.Image.ActivatedAt = timeOrZero(archived), timeOrZero(activated)
	return m, nil
}

func scanListed(rows *sql.Rows) (meta.Manifest, error) { return scanManifest(rows) }

// Manifest implements meta.ImageReader.
func (r reader) Manifest(ctx context.Context, repo meta.RepositoryID, d ecr.Digest) (meta.Manifest, error) {
	return r.manifest(ctx, func(rows *sql.Rows) (meta.Manifest, error) {
		var annotations string
		var body []byte
		m, err := scanManifest(rows, &annotations, &body)
		m.Body = body
		return m, errors.Join(err, fromJSON(annotations, &m.Annotations))
	}, `, m.annotations, m.body`, repo, d)
}

// StatManifest implements meta.ImageReader.
func (r reader) StatManifest(ctx context.Context, repo meta.RepositoryID, d ecr.Digest) (meta.Manifest, error) {
	return r.manifest(ctx, scanListed, "", repo, d)
}

// FindImage implements meta.ImageReader.
func (r reader) FindImage(ctx context.Context, repo meta.RepositoryID, id ecr.ImageID) (m meta.Manifest, err error) {
	key := rowKey{what: rowImageByDigest, a: string(id.Digest), repo: repo}
	if id.Tag != "" {
		key = rowKey{what: rowImageByTag, a: string(id.Tag), repo: repo}
	}
	m, err = remembered(r.transaction, areaImages, key, sizeOfImage, func() (meta.Manifest, error) {
		if id.Tag == "" {
			return one(ctx, r.s, scanListed,
				`SELECT `+manifestColumns+fromManifests+`WHERE m.repository_id = $1 AND m.digest = $2`, int64(repo), string(id.Digest))
		}
		return one(ctx, r.s, scanListed,
			`SELECT `+manifestColumns+` FROM tags t JOIN manifests m ON m.repository_id = t.repository_id AND m.digest = t.digest
			LEFT JOIN image_states s ON s.repository_id = m.repository_id AND s.digest = m.digest
			WHERE t.repository_id = $1 AND t.tag = $2`, int64(repo), string(id.Tag))
	})
	return m, wrap(err, "finding image %s of repository %d", id, repo)
}

// ManifestBody implements meta.ImageReader.
func (r reader) ManifestBody(ctx context.Context, repo meta.RepositoryID, d ecr.Digest) ([]byte, error) {
	body, err := one(ctx, r.s, func(rows *sql.Rows) (body []byte, err error) { return body, rows.Scan(&body) },
		`SELECT body FROM manifests WHERE repository_id = $1 AND digest = $2`, int64(repo), string(d))
	return body, wrap(err, "reading manifest %s of repository %d", d, repo)
}

// manifest reads manifestColumns, the columns more, and tags.
func (r reader) manifest(ctx context.Context, scan func(*sql.Rows) (meta.Manifest, error), more string, repo meta.RepositoryID, d ecr.Digest) (meta.Manifest, error) {
	m, err := one(ctx, r.s, scan,
		`SELECT `+manifestColumns+more+fromManifests+`WHERE m.repository_id = $1 AND m.digest = $2`, int64(repo), string(d))
	if err == nil {
		m.Image.Tags, err = list(ctx, r.s, scanString[ecr.Tag],
			`SELECT tag FROM tags WHERE repository_id = $1 AND digest = $2 ORDER BY tag`, int64(repo), string(d))
	}
	return m, wrap(err, "reading image %s of repository %d", d, repo)
}

// ListManifests implements meta.ImageReader.
func (r reader) ListManifests(ctx context.Context, repo meta.RepositoryID, after ecr.Digest, limit int) ([]meta.Manifest, error) {
	if limit <= 0 {
		return nil, nil
	}
	all, err := list(ctx, r.s, scanListed, `SELECT `+manifestColumns+fromManifests+`
		WHERE m.repository_id = $1 AND m.digest > $2 ORDER BY m.digest LIMIT $3`, int64(repo), string(after), limit)
	if err == nil {
		err = r.fillTags(ctx, repo, all)
	}
	return all, wrap(err, "listing images of repository %d", repo)
}

// ListReferrers implements meta.ImageReader.
func (r reader) ListReferrers(ctx context.Context, repo meta.RepositoryID, subject, after ecr.Digest, limit int) ([]meta.Manifest, error) {
	if limit <= 0 {
		return nil, nil
	}
	size := 0
	all, err := list(ctx, r.s, func(rows *sql.Rows) (meta.Manifest, error) {
		var annotations sql.RawBytes
		m, err := scanManifest(rows, &annotations)
		first := size == 0
		if size += len(annotations); !first && size > meta.MaxListedAnnotations {
			m.AnnotationsLeftOut = len(annotations) > 0
			return m, err
		}
		return m, errors.Join(err, fromJSON(string(annotations), &m.Annotations))
	},
		`SELECT `+manifestColumns+`, m.annotations`+fromManifests+`
		WHERE m.repository_id = $1 AND m.subject = $2 AND m.subject <> '' AND m.digest > $3 ORDER BY m.digest LIMIT $4`,
		int64(repo), string(subject), string(after), limit)
	if err == nil {
		err = r.fillTags(ctx, repo, all)
	}
	return all, wrap(err, "listing referrers of %s in repository %d", subject, repo)
}

// fillTags sets the tags of images, which are in byte order of digests.
func (r reader) fillTags(ctx context.Context, repo meta.RepositoryID, images []meta.Manifest) error {
	if len(images) == 0 {
		return nil
	}
	digests := make([]string, len(images))
	for i, m := range images {
		digests[i] = string(m.Image.Digest)
	}
	i := 0
	return r.s.query(ctx, func(rows *sql.Rows) error {
		var digest, tag string
		if err := rows.Scan(&digest, &tag); err != nil {
			return err
		}
		for string(images[i].Image.Digest) != digest {
			i++
		}
		images[i].Image.Tags = append(images[i].Image.Tags, ecr.Tag(tag))
		return nil
	}, r.q.tagsOfManifests, int64(repo), r.s.d.Strings(digests))
}

// ListImageIDs implements meta.ImageReader.
func (r reader) ListImageIDs(ctx context.Context, repo meta.RepositoryID, after ecr.ImageID, limit int) ([]ecr.ImageID, error) {
	if limit <= 0 {
		return nil, nil
	}
	all, err := list(ctx, r.s, func(rows *sql.Rows) (id ecr.ImageID, err error) {
		return id, rows.Scan(&id.Digest, &id.Tag)
	}, `SELECT m.digest, COALESCE(t.tag, '') FROM manifests m
		LEFT JOIN tags t ON t.repository_id = m.repository_id AND t.digest = m.digest
		WHERE m.repository_id = $1 AND m.digest >= $2 AND (m.digest > $2 OR COALESCE(t.tag, '') > $3)
		ORDER BY m.digest, t.tag LIMIT $4`, int64(repo), string(after.Digest), string(after.Tag), limit)
	return all, wrap(err, "listing image ids of repository %d", repo)
}

// Parents implements meta.ImageReader.
func (r reader) Parents(ctx context.Context, repo meta.RepositoryID, d ecr.Digest) ([]ecr.Digest, error) {
	all, err := list(ctx, r.s, scanString[ecr.Digest],
		`SELECT parent FROM manifest_children WHERE repository_id = $1 AND child = $2 ORDER BY parent`, int64(repo), string(d))
	return all, wrap(err, "reading the indexes that list %s in repository %d", d, repo)
}

// ListChildren implements meta.ImageReader.
func (r reader) ListChildren(ctx context.Context, repo meta.RepositoryID, after meta.Child, limit int) ([]meta.Child, error) {
	if limit <= 0 {
		return nil, nil
	}
	all, err := list(ctx, r.s, func(rows *sql.Rows) (c meta.Child, err error) { return c, rows.Scan(&c.Index, &c.Image) },
		`SELECT parent, child FROM manifest_children WHERE repository_id = $1 AND (parent, child) > ($2, $3)
		ORDER BY parent, child LIMIT $4`, int64(repo), string(after.Index), string(after.Image), limit)
	return all, wrap(err, "listing the children of indexes in repository %d", repo)
}

// MissingManifests implements meta.ImageReader.
func (r reader) MissingManifests(ctx context.Context, repo meta.RepositoryID, ds []ecr.Digest) ([]ecr.Digest, error) {
	missing, err := r.absent(ctx, r.q.presentManifests, repo, ds)
	return missing, wrap(err, "looking for images in repository %d", repo)
}

// LargestImage implements meta.ImageReader.
func (r reader) LargestImage(ctx context.Context, repo meta.RepositoryID, ds []ecr.Digest) (size int64, err error) {
	if len(ds) == 0 {
		return 0, nil
	}
	_, err = r.s.queryRow(ctx, []any{&size}, r.q.largestImage, int64(repo), r.s.d.Strings(distinct(ds)))
	return size, wrap(err, "reading the sizes of images in repository %d", repo)
}

// absent returns those of ds that present does not, each once, in order.
func (r reader) absent(ctx context.Context, present string, repo meta.RepositoryID, ds []ecr.Digest) ([]ecr.Digest, error) {
	if len(ds) == 0 {
		return nil, nil
	}
	seen := make(map[ecr.Digest]bool, len(ds)) // present, or in missing already
	err := r.s.query(ctx, func(rows *sql.Rows) error {
		d, err := scanString[ecr.Digest](rows)
		seen[d] = true
		return err
	}, present, int64(repo), r.s.d.Strings(distinct(ds)))
	if err != nil {
		return nil, err
	}
	var missing []ecr.Digest
	for _, d := range ds {
		if !seen[d] {
			seen[d] = true
			missing = append(missing, d)
		}
	}
	return missing, nil
}

// HasImages implements meta.ImageReader.
func (r reader) HasImages(ctx context.Context, repo meta.RepositoryID) (bool, error) {
	yes, err := r.s.truth(ctx, `SELECT EXISTS (SELECT 1 FROM manifests WHERE repository_id = $1)`, int64(repo))
	return yes, wrap(err, "looking for images in repository %d", repo)
}

const hasManifest = `SELECT EXISTS (SELECT 1 FROM manifests WHERE repository_id = $1 AND digest = $2)`

// InsertManifest implements meta.ImageWriter.
func (t txn) InsertManifest(ctx context.Context, m meta.Manifest) error {
	return wrap(t.insertManifest(ctx, m), "adding image %s to repository %d", m.Image.Digest, m.Repository)
}

func (t txn) insertManifest(ctx context.Context, m meta.Manifest) error {
	annotations, err := toJSON(m.Annotations)
	if err != nil {
		return err
	}
	repo, digest := int64(m.Repository), string(m.Image.Digest)
	pulled := microsOrNull(m.Image.LastPulledAt)
	n, err := t.s.exec(ctx, `INSERT INTO manifests (repository_id, digest, media_type, artifact_media_type, size_bytes,
		pushed_at, last_pulled_at, subject, annotations, body)
		SELECT id, $2, $3, $4, $5, $6, $7, $8, $9, $10 FROM repositories WHERE id = $1 AND account <> ''`+t.s.locking(t.s.d.KeyShare)+` ON CONFLICT DO NOTHING`,
		repo, digest, m.Image.MediaType, m.Image.ArtifactMediaType, m.Image.SizeBytes, micros(m.Image.PushedAt), pulled,
		string(m.Image.Subject), annotations, bytes(m.Body))
	if err != nil {
		return err
	}
	if n == 0 {
		exists, err := t.s.truth(ctx, hasManifest, repo, digest)
		switch {
		case err != nil:
			return err
		case exists:
			return meta.ErrExists
		}
		return fmt.Errorf("%w: there is no such repository", meta.ErrReferenced)
	}
	insertChildren := t.q.insertChildren
	switch {
	case m.Sparse && t.s.hot:
		insertChildren = t.q.insertSparseHot
	case m.Sparse:
		insertChildren = t.q.insertSparse
	case t.s.hot:
		insertChildren = t.q.insertChildrenHot
	}
	for _, refs := range []struct {
		what, insert string
		digests      []string
	}{
		{"blobs", t.q.insertBlobs, distinct(m.Blobs)},
		{"images", insertChildren, distinct(m.Children)},
	} {
		want := int64(len(refs.digests))
		if want == 0 {
			continue
		}
		n, err := t.s.exec(ctx, refs.insert, repo, digest, t.s.d.Strings(refs.digests))
		if err != nil {
			return err
		}
		if n == want {
			continue
		}
		// The references go with the image: nothing is left.
		if _, err := t.s.exec(ctx, dropIncomplete, repo, digest); err != nil {
			return err
		}
		return fmt.Errorf("%w: %d of its %d %s are not in the repository", meta.ErrReferenced, want-n, want, refs.what)
	}
	if err := t.holdBlobs(ctx, m); err != nil {
		return err
	}
	i := m.Image
	if (i.Status == "" || i.Status == ecr.StatusActive) && i.ArchivedAt.IsZero() && i.ActivatedAt.IsZero() {
		return nil
	}
	_, err = t.s.exec(ctx, `INSERT INTO image_states (repository_id, digest, status, archived_at, activated_at)
		VALUES ($1, $2, $3, $4, $5)`, repo, digest, string(cmp.Or(i.Status, ecr.StatusActive)),
		microsOrNull(i.ArchivedAt), microsOrNull(i.ActivatedAt))
	return err
}

// dropIncomplete takes away an image that this transaction added.
const dropIncomplete = `DELETE FROM manifests WHERE repository_id = $1 AND digest = $2`

// holdBlobs makes the image refer to what the repository was given of its
// entries and foreign layers, and the links of all its blobs used.
func (t txn) holdBlobs(ctx context.Context, m meta.Manifest) error {
	repo, digest := int64(m.Repository), string(m.Image.Digest)
	if len(m.Foreign) > 0 {
		if _, err := t.s.exec(ctx, t.q.insertForeign, repo, digest, t.s.d.Strings(distinct(m.Foreign))); err != nil {
			return err
		}
	}
	given := slices.Concat(m.Foreign, m.Children)
	if len(given) > 0 {
		if _, err := t.s.exec(ctx, t.q.holdGiven, repo, digest, t.s.d.Strings(distinct(given))); err != nil {
			return err
		}
	}
	if all := append(given, m.Blobs...); len(all) > 0 {
		if _, err := t.s.exec(ctx, t.q.useLinks, repo, t.s.d.Strings(distinct(all))); err != nil {
			return err
		}
	}
	return nil
}

// DeleteManifest implements meta.ImageWriter. Tags and references go by
// foreign key. That no index lists the image is for the condition to see: a
// child need not be there, so no foreign key can say it. An index added
// meanwhile collides with it, because both transactions are serializable, or the index's
// changed the row of the image (insertChildrenHot). That no image refers to a link which
// is hidden, the link's foreign key says where there are hot transactions (hideLinks).
func (t txn) DeleteManifest(ctx context.Context, repo meta.RepositoryID, d ecr.Digest, at time.Time) error {
	return wrap(t.deleteManifest(ctx, repo, d, at), "deleting image %s of repository %d", d, repo)
}

func (t txn) deleteManifest(ctx context.Context, repo meta.RepositoryID, d ecr.Digest, at time.Time) error {
	blobs, err := t.ImageBlobs(ctx, repo, d)
	if err != nil {
		return err
	}
	n, err := t.s.exec(ctx, `DELETE FROM manifests WHERE repository_id = $1 AND digest = $2
		AND NOT EXISTS (SELECT 1 FROM manifest_children WHERE repository_id = $1 AND child = $2)`, int64(repo), string(d))
	if err == nil && n == 0 {
		var there bool
		if there, err = t.s.truth(ctx, hasManifest, int64(repo), string(d)); err == nil {
			err = meta.ErrNotFound
			if there {
				err = meta.ErrReferenced
			}
		}
	}
	if err == nil && len(blobs) > 0 {
		_, err = t.s.exec(ctx, t.q.hideLinks, int64(repo), t.s.d.Strings(distinct(blobs)), micros(at))
	}
	return err
}

// SetImageStatus implements meta.ImageWriter.
func (t txn) SetImageStatus(ctx context.Context, repo meta.RepositoryID, d ecr.Digest, status ecr.ImageStatus, at time.Time) error {
	var archived, activated sql.NullInt64
	switch status {
	case ecr.StatusArchived:
		archived = microsOrNull(at)
	case ecr.StatusActive:
		activated = microsOrNull(at)
	}
	n, err := t.s.exec(ctx, `INSERT INTO image_states (repository_id, digest, status, archived_at, activated_at)
		SELECT repository_id, digest, $3, CAST($4 AS BIGINT), CAST($5 AS BIGINT) FROM manifests WHERE repository_id = $1 AND digest = $2
		ON CONFLICT (repository_id, digest) DO UPDATE SET status = excluded.status,
		archived_at = COALESCE(excluded.archived_at, image_states.archived_at),
		activated_at = COALESCE(excluded.activated_at, image_states.activated_at)`,
		int64(repo), string(d), string(status), archived, activated)
	return wrap(orElse(n, err, meta.ErrNotFound), "setting the status of image %s of repository %d", d, repo)
}

// RecordPulls implements meta.ImageWriter.
func (t txn) RecordPulls(ctx context.Context, pulls []meta.Pull) error {
	type image struct {
		repo   meta.RepositoryID
		digest ecr.Digest
	}
	latest := make(map[image]int64, len(pulls))
	for _, p := range pulls {
		at, i := micros(p.At), image{p.Repository, p.Digest}
		if old, ok := latest[i]; !ok || old < at {
			latest[i] = at
		}
	}
	if len(latest) == 0 {
		return nil
	}
	rows := make([][3]any, 0, len(latest))
	for i, at := range latest {
		rows = append(rows, [3]any{i.repo, i.digest, at})
	}
	slices.SortFunc(rows, func(a, b [3]any) int {
		if c := a[0].(meta.RepositoryID) - b[0].(meta.RepositoryID); c != 0 {
			return int(min(1, max(-1, c)))
		}
		return strings.Compare(string(a[1].(ecr.Digest)), string(b[1].(ecr.Digest)))
	})
	text, err := json.Marshal(rows)
	if err != nil {
		return fmt.Errorf("encoding pulls: %w", err)
	}
	_, err = t.s.exec(ctx, t.q.recordPulls, string(text))
	return wrap(err, "recording %d pulls", len(rows))
}

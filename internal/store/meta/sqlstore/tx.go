package sqlstore

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/kontor-registry/kontor/internal/store/meta"
)

// transaction is a session with an open transaction.
type transaction struct {
	s    *session // nil when the transaction is over
	q    *queries
	rows *rowTable
	// free are tags that a hot transaction found not to be there.
	free map[tagKey]bool
}

func (t *transaction) found(free tagKey) {
	if t.free == nil {
		t.free = map[tagKey]bool{}
	}
	t.free[free] = true
}

// reader is meta.Reader, txn is meta.Tx.
type reader struct{ *transaction }

type txn struct {
	reader
	ctx context.Context // for the callback
}

// What registries have next to their repositories, the identities, and what is kept next
// to the content have their own types.
type (
	registryReader  struct{ *transaction }
	registryTx      struct{ registryReader }
	identityReader  struct{ *transaction }
	identityTx      struct{ identityReader }
	retentionReader struct{ *transaction }
	retentionTx     struct{ retentionReader }
)

var (
	_ meta.Reader = reader{}
	_ meta.Tx     = txn{}
)

// Registries implements meta.Reader.
func (r reader) Registries() meta.RegistryReader { return registryReader(r) }

// Identities implements meta.Reader.
func (r reader) Identities() meta.IdentityReader { return identityReader(r) }

// Retention implements meta.Reader.
func (r reader) Retention() meta.RetentionReader { return retentionReader(r) }

// Registries implements meta.Tx.
func (t txn) Registries() meta.RegistryTx { return registryTx{registryReader(t.reader)} }

// Identities implements meta.Tx.
func (t txn) Identities() meta.IdentityTx { return identityTx{identityReader(t.reader)} }

// Retention implements meta.Tx.
func (t txn) Retention() meta.RetentionTx { return retentionTx{retentionReader(t.reader)} }

// queries are the SQL texts that need the dialect.
type queries struct {
	tagsOfManifests  string
	presentManifests string
	largestImage     string
	linkedBlobs      string
	insertBlobs      string
	insertChildren   string
	insertSparse     string
	// Those of hot transactions change the rows of the images that an index lists, so
	// that who deletes one of these at the same time collides.
	insertChildrenHot string
	insertSparseHot   string
	insertForeign     string
	holdGiven         string
	recordPulls       string
	insertPullers     string
	countPulls        string
	countPullDays     string
	sharedBlobs       string
	anyLinks          string
	blobsByKey        string
	uploadKeys        string
	selectUpload      string
	claimUpload       string
	renewUpload       string
	noteOrphans       string
	dueOrphans        string
	now               string
	jobLeases         string
	takeJob           string
	renewJob          string
	endJob            string
	queueLifecycle    string
	takeLifecycle     string
	useLinks          string
	hideLinks         string
	touchLinks        string
	loosen            string
	unused            string
	settle            string
	dropOwn           string
	dropHidden        string
	deleteManifests   string
	scansOf           string
	leasesOfTags      string
	putScan           string
	freeScans         string
	claimFetch        string
	keepFetch         string
	shareFetch        string
	endFetch          string
	fetched           string
}

// unlisted is a condition on blob_links: no image of the repository lists the blob as
// what it holds where it is there. An image and the link may have come at the same
// moment, so that neither saw the other: then manifest_blobs lacks the row until
// someone is about to remove the link.
const unlisted = `NOT EXISTS (SELECT 1 FROM manifest_children c WHERE c.repository_id = blob_links.repository_id AND c.child = blob_links.digest)
			AND NOT EXISTS (SELECT 1 FROM foreign_layers f WHERE f.repository_id = blob_links.repository_id AND f.layer = blob_links.digest)`

// unheld is a condition on blob_links: no image of the repository needs the blob.
const unheld = `NOT EXISTS (SELECT 1 FROM manifest_blobs m WHERE m.repository_id = blob_links.repository_id AND m.blob = blob_links.digest)
			AND ` + unlisted

func makeQueries(d *Dialect) queries {
	return queries{
		tagsOfManifests: `SELECT digest, tag FROM tags
			WHERE repository_id = $1 AND ` + d.In("digest", 2) + ` ORDER BY digest, tag`,
		presentManifests: `SELECT digest FROM manifests
			WHERE repository_id = $1 AND ` + d.In("digest", 2),
		largestImage: `SELECT COALESCE(MAX(size_bytes), 0) FROM manifests
			WHERE repository_id = $1 AND ` + d.In("digest", 2),
		linkedBlobs: `SELECT b.digest, b.key, b.size_bytes, b.created_at, l.idle_since
			FROM blob_links l JOIN blobs b ON b.digest = l.digest
			WHERE l.repository_id = $1 AND NOT l.hidden AND ` + d.In("l.digest", 2),
		insertBlobs: `INSERT INTO manifest_blobs (repository_id, manifest, blob)
			SELECT l.repository_id, $2, l.digest FROM blob_links l
			WHERE l.repository_id = $1 AND ` + d.In("l.digest", 3),
		insertChildren: `INSERT INTO manifest_children (repository_id, parent, child)
			SELECT m.repository_id, $2, m.digest FROM manifests m
			WHERE m.repository_id = $1 AND ` + d.In("m.digest", 3),
		insertSparse: `INSERT INTO manifest_children (repository_id, parent, child)
			SELECT $1, $2, c.value FROM ` + d.Rows("c", 3),
		insertChildrenHot: `WITH held AS (UPDATE manifests SET size_bytes = size_bytes
			WHERE repository_id = $1 AND ` + d.In("digest", 3) + ` RETURNING repository_id, digest)
			INSERT INTO manifest_children (repository_id, parent, child) SELECT repository_id, $2, digest FROM held`,
		insertSparseHot: `WITH held AS (UPDATE manifests SET size_bytes = size_bytes
			WHERE repository_id = $1 AND ` + d.In("digest", 3) + `)
			INSERT INTO manifest_children (repository_id, parent, child) SELECT $1, $2, c.value FROM ` + d.Rows("c", 3),
		insertForeign: `INSERT INTO foreign_layers (repository_id, manifest, layer)
			SELECT $1, $2, c.value FROM ` + d.Rows("c", 3),
		holdGiven: `INSERT INTO manifest_blobs (repository_id, manifest, blob)
			SELECT l.repository_id, $2, l.digest FROM blob_links l
			WHERE l.repository_id = $1 AND ` + d.In("l.digest", 3) + ` ON CONFLICT DO NOTHING`,
		insertPullers: `INSERT INTO pullers (unique_id, arn) SELECT DISTINCT p.unique_id, p.arn FROM ` + d.CountRows + `
			WHERE NOT EXISTS (SELECT 1 FROM pullers q WHERE q.unique_id = p.unique_id AND q.arn = p.arn)
			ORDER BY p.unique_id, p.arn ON CONFLICT (unique_id, arn) DO NOTHING`,
		countPulls: `INSERT INTO pulls (day, repository_id, digest, puller_id, pulls, last_at)
			SELECT p.day, p.repository_id, p.digest, q.id, p.pulls, p.at FROM ` + d.CountRows + `
			JOIN pullers q ON q.unique_id = p.unique_id AND q.arn = p.arn
			JOIN manifests m ON m.repository_id = p.repository_id AND m.digest = p.digest
			WHERE TRUE ORDER BY p.day, p.repository_id, p.digest, q.id
			ON CONFLICT (day, repository_id, digest, puller_id) DO UPDATE SET pulls = pulls.pulls + excluded.pulls,
			last_at = CASE WHEN excluded.last_at > pulls.last_at THEN excluded.last_at ELSE pulls.last_at END`,
		countPullDays: `INSERT INTO pull_days (day, repository_id, pulls)
			SELECT p.day, p.repository_id, SUM(p.pulls) FROM ` + d.CountRows + `
			JOIN manifests m ON m.repository_id = p.repository_id AND m.digest = p.digest
			WHERE TRUE GROUP BY p.day, p.repository_id ORDER BY p.day, p.repository_id
			ON CONFLICT (day, repository_id) DO UPDATE SET pulls = pull_days.pulls + excluded.pulls`,
		recordPulls: `UPDATE manifests SET last_pulled_at = p.at FROM ` + d.PullRows + `
			WHERE manifests.repository_id = p.repository_id AND manifests.digest = p.digest
			AND (manifests.last_pulled_at IS NULL OR manifests.last_pulled_at < p.at)`,
		sharedBlobs: `SELECT b.digest FROM blobs b WHERE ` + d.In("b.digest", 2) + ` AND EXISTS (SELECT 1 FROM blob_links l
			WHERE l.digest = b.digest AND l.repository_id <> $1 AND l.idle_since IS NULL) ORDER BY b.digest`,
		anyLinks:     `SELECT digest FROM blob_links WHERE repository_id = $1 AND ` + d.In("digest", 2),
		blobsByKey:   `SELECT digest, key, size_bytes, created_at FROM blobs WHERE ` + d.In("key", 1) + ` ORDER BY key`,
		uploadKeys:   `SELECT key FROM uploads WHERE ` + d.In("key", 1) + ` ORDER BY key`,
		selectUpload: `SELECT ` + uploadColumns(d.Now) + `FROM uploads `,
		claimUpload: `UPDATE uploads SET claim = claim + 1, claimed_until = ` + d.Now + ` + $3, wanted = FALSE
			WHERE id = $1 AND repository_id = $2 AND ` + over("claimed_until", d.Now, "$3") + ` RETURNING ` + uploadColumns(d.Now),
		renewUpload: `UPDATE uploads SET claimed_until = ` + d.Now + ` + $3
			WHERE id = $1 AND claim = $2 AND claimed_until <> 0 RETURNING wanted`,
		noteOrphans: `INSERT INTO orphans (key, since, seen) SELECT o.value, ` + d.Now + `, ` + d.Now + ` FROM ` + d.Rows("o", 1) + ` WHERE TRUE
			ON CONFLICT (key) DO UPDATE SET seen = excluded.seen`,
		dueOrphans: `SELECT key FROM orphans WHERE ` + d.In("key", 1) + ` AND since <= ` + d.Now + ` - $2 ORDER BY key`,
		now:        `SELECT ` + d.Now,
		jobLeases: `SELECT name, holder, until > ` + d.Now + `, began_at, progress, ended_at, removed, size_bytes, error
			FROM job_leases ORDER BY name`,
		takeJob: `INSERT INTO job_leases (name, holder, token, until, due_at, began_at, progress, ended_at, removed, size_bytes, error)
			VALUES ($1, $2, 1, ` + d.Now + ` + $3, ` + d.Now + ` + $4, ` + d.Now + `, 0, 0, 0, 0, '')
			ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, token = job_leases.token + 1, until = excluded.until,
			due_at = excluded.due_at, began_at = excluded.began_at, progress = 0
			WHERE (` + over("job_leases.until", d.Now, "$3") + ` OR $6 <> 0)
			AND (job_leases.began_at + $4 <= ` + d.Now + ` OR job_leases.began_at > ` + d.Now + ` OR $5 <> 0) RETURNING token`,
		renewJob: `UPDATE job_leases SET until = ` + d.Now + ` + $3, progress = $4 WHERE name = $1 AND token = $2`,
		endJob: `UPDATE job_leases SET until = 0, ended_at = ` + d.Now + `, removed = $3, size_bytes = $4, error = $5
			WHERE name = $1 AND token = $2`,
		queueLifecycle: `INSERT INTO lifecycle_queue (repository_id, due_at, until, token)
			SELECT id, ` + d.Now + `, 0, 0 FROM repositories WHERE id = $1 AND account <> '' ON CONFLICT DO NOTHING`,
		takeLifecycle: `UPDATE lifecycle_queue SET until = ` + d.Now + ` + $1, token = token + 1 WHERE repository_id = (
			SELECT q.repository_id FROM lifecycle_queue q WHERE ` + over("q.until", d.Now, "$1") + `
			ORDER BY q.due_at, q.repository_id LIMIT 1 ` + d.SkipLocked + `) RETURNING repository_id, token`,
		useLinks: `UPDATE blob_links SET idle_since = NULL, hidden = FALSE
			WHERE repository_id = $1 AND idle_since IS NOT NULL AND ` + d.In("digest", 2),
		hideLinks: d.HideLinks(`repository_id = $1 AND ` + d.In("digest", 2) + ` AND ` + unheld),
		touchLinks: `UPDATE blob_links SET idle_since = $3
			WHERE repository_id = $1 AND idle_since < $3 AND NOT hidden AND ` + d.In("digest", 2),
		loosen: `INSERT INTO loose_blobs SELECT b.digest FROM blobs b WHERE ` + d.In("b.digest", 1) + `
			ORDER BY b.digest ON CONFLICT (digest) DO UPDATE SET digest = excluded.digest`,
		unused: `DELETE FROM blobs WHERE ` + d.In("digest", 1) + `
			AND NOT EXISTS (SELECT 1 FROM blob_links l WHERE l.digest = blobs.digest)
			AND NOT EXISTS (SELECT 1 FROM bin_blobs n WHERE n.digest = blobs.digest)
			RETURNING digest, key, size_bytes, created_at`,
		settle:     `DELETE FROM loose_blobs WHERE ` + d.In("digest", 1),
		dropOwn:    `DELETE FROM blob_links WHERE repository_id = $1 AND idle_since IS NOT NULL AND ` + d.In("digest", 2) + ` AND ` + unlisted,
		dropHidden: `DELETE FROM blob_links WHERE hidden AND ` + d.In("digest", 1) + ` AND ` + unlisted,
		deleteManifests: `DELETE FROM manifests WHERE repository_id = $1 AND ` + d.In("digest", 2) + `
			AND EXISTS (SELECT 1 FROM deleted_repositories WHERE repository_id = $1)`,
		leasesOfTags: selectLeases + ` AND repository = $3 AND digest <> $4 AND tag <> '' AND ` + d.In("tag", 5) + ` ORDER BY tag, digest, collector, holder LIMIT $6`,
		scansOf:      selectScan + `WHERE repository_id = $1 AND ` + d.In("digest", 2),
		putScan: `INSERT INTO image_scans (repository_id, digest, status, slot, attempts, asked_at, due_at, reason, completed_at, severity, result, findings)
			SELECT repository_id, digest, $3, $4, $5, $6, $7, $8, $9, $10, $11, ` + d.NoBytes + ` FROM manifests WHERE repository_id = $1 AND digest = $2
			ON CONFLICT (repository_id, digest) DO UPDATE SET status = excluded.status, slot = excluded.slot, attempts = excluded.attempts,
			asked_at = excluded.asked_at, due_at = excluded.due_at, reason = excluded.reason, completed_at = excluded.completed_at,
			severity = excluded.severity, result = excluded.result`,
		claimFetch: `INSERT INTO upstream_fetches (account, region, repository, reference, holder, until, media_type, content)
			VALUES ($1, $2, $3, $4, $5, ` + d.Now + ` + $6, '', ` + d.NoBytes + `) ON CONFLICT (account, region, repository, reference)
			DO UPDATE SET holder = excluded.holder, until = excluded.until, media_type = '', content = excluded.content
			WHERE ` + over("upstream_fetches.until", d.Now, "$6") + ` RETURNING holder`,
		keepFetch: `UPDATE upstream_fetches SET until = ` + d.Now + ` + $6
			WHERE account = $1 AND region = $2 AND repository = $3 AND reference = $4 AND holder = $5`,
		shareFetch: `UPDATE upstream_fetches SET until = ` + d.Now + ` + $6, media_type = $7, content = $8
			WHERE account = $1 AND region = $2 AND repository = $3 AND reference = $4 AND holder = $5`,
		endFetch: `DELETE FROM upstream_fetches WHERE account = $1 AND region = $2 AND repository = $3
			AND (reference = $4 AND holder = $5 OR until < ` + d.Now + ` - $6)`,
		fetched: `SELECT media_type, content FROM upstream_fetches
			WHERE account = $1 AND region = $2 AND repository = $3 AND reference = $4`,
		freeScans: `UPDATE image_scans SET slot = '' WHERE slot <> '' AND NOT (` + d.In("slot", 1) + `)`,
	}
}

// over is a condition: the time column until is over, or so far ahead of what lasting
// allows that the clock was set back since. What a wrong clock took would stay taken
// until then otherwise. Twice lasting, so that small steps of the clock take nothing
// from those who have it.
func over(until, now, lasting string) string {
	return "(" + until + " <= " + now + " OR " + until + " > " + now + " + " + lasting + " + " + lasting + ")"
}

// list collects the rows of a query.
func list[T any](ctx context.Context, s *session, scan func(*sql.Rows) (T, error), text string, args ...any) ([]T, error) {
	var all []T
	err := s.query(ctx, func(rows *sql.Rows) error {
		v, err := scan(rows)
		all = append(all, v)
		return err
	}, text, args...)
	if err != nil {
		return nil, err
	}
	return all, nil
}

// one is list for a query of at most one row. Without a row it returns
// meta.ErrNotFound.
func one[T any](ctx context.Context, s *session, scan func(*sql.Rows) (T, error), text string, args ...any) (T, error) {
	all, err := list(ctx, s, scan, text, args...)
	if err != nil || len(all) > 0 {
		return first(all), err
	}
	return first(all), meta.ErrNotFound
}

func first[T any](all []T) T {
	if len(all) > 0 {
		return all[0]
	}
	var zero T
	return zero
}

// scanString scans a row of one text column.
func scanString[T ~string](rows *sql.Rows) (T, error) {
	var v string
	err := rows.Scan(&v)
	return T(v), err
}

// truth answers a query of one boolean.
func (s *session) truth(ctx context.Context, text string, args ...any) (bool, error) {
	var yes bool
	_, err := s.queryRow(ctx, []any{&yes}, text, args...)
	return yes, err
}

// orElse returns err, or otherwise when a statement changed no row.
func orElse(changed int64, err, otherwise error) error {
	if err == nil && changed == 0 {
		return otherwise
	}
	return err
}

// wrap says what was attempted when err is not nil.
func wrap(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), err)
}

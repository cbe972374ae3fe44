package postgres

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/pgtest"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// seed fills a database with n images, of 10 layers each, all of which have the first
// layer, and with an entry of the journal for each. The images are in repository 1, which
// the statement creates, and the links of the first layer in 1,000 others.
func seed(t testing.TB, url string, n int) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := conn.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	}()
	for _, text := range []string{
		`SET session_replication_role = replica`, // no look-ups of foreign keys: the rows are right
		`SET synchronous_commit = off`,
		`INSERT INTO repositories (account, region, name, created_at, mutability, mutability_filters, scan_on_push, encryption_type, encryption_key, tags, policy, lifecycle)
			SELECT '000000000000', 'us-east-1', 'app' || i, 0, 'MUTABLE', '', FALSE, 'AES256', '', '', '', '' FROM generate_series(1, 1001) AS i`,
		`INSERT INTO manifests (repository_id, digest, media_type, artifact_media_type, size_bytes, pushed_at, subject, annotations, body)
			SELECT 1, ` + seedDigest("'m' || i") + `, 'application/vnd.oci.image.manifest.v1+json', 'application/vnd.oci.image.config.v1+json', 1, i, '', '',
			convert_to(repeat(md5(i::text), 48), 'UTF8') FROM generate_series(1, $1::bigint) AS i`,
		`INSERT INTO blobs (digest, key, size_bytes, created_at) SELECT ` + seedDigest("'b' || i") + `, 'k' || i, 1, 0 FROM generate_series(0, 9 * $1::bigint) AS i`,
		`INSERT INTO blob_links (repository_id, digest, linked_at) SELECT 1, ` + seedDigest("'b' || i") + `, 0 FROM generate_series(0, 9 * $1::bigint) AS i`,
		`INSERT INTO blob_links (repository_id, digest, linked_at) SELECT r, ` + seedDigest("'b0'") + `, 0 FROM generate_series(2, LEAST(1001, $1::bigint)) AS r`,
		`INSERT INTO manifest_blobs (repository_id, manifest, blob)
			SELECT 1, ` + seedDigest("'m' || i") + `, ` + seedDigest("'b' || CASE WHEN j = 0 THEN 0 ELSE 9 * (i - 1) + j END") + ` FROM generate_series(1, $1::bigint) AS i, generate_series(0, 9) AS j`,
		`INSERT INTO tags (repository_id, tag, digest, tagged_at) SELECT 1, 't' || i, ` + seedDigest("'m' || i") + `, i FROM generate_series(1, $1::bigint) AS i`,
		`INSERT INTO journal (at, account, region, name, repository_id, op, digest, tags, media_type, size_bytes, actor, reason, body)
			SELECT i, '000000000000', 'us-east-1', 'app1', 1, 'DELETE_IMAGE', ` + seedDigest("'m' || i") + `, '["t' || i || '"]', '', 1, '', '', convert_to(repeat(md5(i::text), 48), 'UTF8')
			FROM generate_series(1, $1::bigint) AS i`,
		`ANALYZE`,
	} {
		args := []any{}
		if containsParameter(text) {
			args = append(args, n)
		}
		if _, err := conn.Exec(t.Context(), text, args...); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
	}
}

func containsParameter(text string) bool {
	for i := range len(text) - 1 {
		if text[i] == '$' && text[i+1] == '1' {
			return true
		}
	}
	return false
}

func seedDigest(of string) string {
	return `'sha256:' || encode(sha256(convert_to(` + of + `, 'UTF8')), 'hex')`
}

func seededDigest(of string) ecr.Digest { return ecr.DigestOf([]byte(of)) }

// costSizes are the databases that BenchmarkCosts compares, in images.
// KONTOR_SEED_IMAGES adds one, such as 1000000: that has 10 million references and links,
// and takes some minutes and 14 GB.
func costSizes(b *testing.B) []int {
	sizes := []int{1_000, 100_000}
	if more := os.Getenv("KONTOR_SEED_IMAGES"); more != "" {
		n, err := strconv.Atoi(more)
		if err != nil {
			b.Fatal(err)
		}
		sizes = append(sizes, n)
	}
	return sizes
}

// BenchmarkCosts is what reads and changes cost for what they return, in databases of
// different sizes: what it costs must not grow with the size.
func BenchmarkCosts(b *testing.B) {
	for _, n := range costSizes(b) {
		url := pgtest.Start(b)
		s, err := Open(context.Background(), Config{URL: url})
		if err != nil {
			b.Fatal(err)
		}
		seed(b, url, n)
		repo, name := meta.RepositoryID(1), ecr.RepositoryName("app1")
		middle := func(i int) string { return fmt.Sprint("m", 1+i%n) }
		for _, c := range []struct {
			name string
			fn   func(ctx context.Context, tx meta.Tx, i int) error
		}{
			{"100 images", func(ctx context.Context, tx meta.Tx, i int) error {
				_, err := tx.ListManifests(ctx, repo, seededDigest(middle(i)), 100)
				return err
			}},
			{"100 tags", func(ctx context.Context, tx meta.Tx, i int) error {
				_, err := tx.ListTags(ctx, repo, ecr.Tag(fmt.Sprint("t", 1+i%n)), 100)
				return err
			}},
			{"100 pull times", func(ctx context.Context, tx meta.Tx, i int) error {
				var pulls []meta.Pull
				for j := range 100 {
					pulls = append(pulls, meta.Pull{Repository: repo, Digest: seededDigest(middle(i*100 + j)), At: laneTime.Add(time.Duration(i) * time.Hour)})
				}
				return tx.RecordPulls(ctx, pulls)
			}},
			{"newest journal entry", func(ctx context.Context, tx meta.Tx, _ int) error {
				_, err := tx.Retention().QueryJournal(ctx, meta.JournalQuery{Registry: home, Name: name, Backward: true}, 0, 1)
				return err
			}},
			{"journal of an image", func(ctx context.Context, tx meta.Tx, i int) error {
				_, err := tx.Retention().QueryJournal(ctx, meta.JournalQuery{Registry: home, Digest: seededDigest(middle(i))}, 0, 100)
				return err
			}},
			{"journal emptied", func(ctx context.Context, tx meta.Tx, i int) error {
				return tx.Retention().EmptyJournal(ctx, home, name, seededDigest(middle(i)))
			}},
			{"shared blob", func(ctx context.Context, tx meta.Tx, _ int) error {
				_, err := tx.SharedBlobs(ctx, repo, []ecr.Digest{seededDigest("b0")})
				return err
			}},
			{"push", func(ctx context.Context, tx meta.Tx, i int) error {
				m := (&lanes{}).image(repo, fmt.Sprint(n, " ", i, " ", time.Now().UnixNano()), seededDigest("b0"), seededDigest("b1"))
				return tx.InsertManifest(ctx, m)
			}},
		} {
			b.Run(fmt.Sprintf("%s/%d", c.name, n), func(b *testing.B) {
				for i := range b.N {
					if err := s.Update(b.Context(), func(ctx context.Context, tx meta.Tx) error { return c.fn(ctx, tx, i) }); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
		bytesPerRow(b, url, n)
		if err := s.Close(); err != nil {
			b.Error(err)
		}
	}
}

// bytesPerRow says how many bytes a row of each large table takes, with its indexes.
func bytesPerRow(b *testing.B, url string, n int) {
	for _, table := range []string{"manifests", "manifest_blobs", "blob_links", "blobs", "tags", "journal"} {
		b.Run(fmt.Sprintf("bytes of %s/%d", table, n), func(b *testing.B) {
			conn, err := pgx.Connect(b.Context(), url)
			if err != nil {
				b.Fatal(err)
			}
			var bytes, rows int64
			err = conn.QueryRow(b.Context(), `SELECT pg_total_relation_size($1::regclass), (SELECT COUNT(*) FROM `+table+`)`, table).Scan(&bytes, &rows)
			if err := errors.Join(err, conn.Close(context.WithoutCancel(b.Context()))); err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(bytes)/float64(max(rows, 1)), "B/row")
		})
	}
}

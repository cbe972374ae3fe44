package postgres

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/pgtest"
	"github.com/kontor-registry/kontor/internal/store/blob"
	"github.com/kontor-registry/kontor/internal/store/meta"
	"github.com/kontor-registry/kontor/internal/store/meta/sqlstore"
)

// BenchmarkLanes is independent pushes to 200 repositories: two blobs that are recorded
// and linked, an image, a tag. It says how many are done in a second, and which part of
// the transactions was lost against others, serializable and READ COMMITTED in the same
// run: ratios count. docs/design/0047 has the figures.
func BenchmarkLanes(b *testing.B) {
	for _, size := range []struct{ replicas, clients int }{{1, 1}, {1, 2}, {1, 8}, {1, 16}, {2, 8}, {8, 8}} {
		for _, hot := range []bool{false, true} {
			lane := "serializable"
			if hot {
				lane = "read committed"
			}
			b.Run(fmt.Sprintf("%dx%d/%s", size.replicas, size.clients, lane), func(b *testing.B) {
				benchmarkLane(b, size.replicas, size.clients, hot)
			})
		}
	}
}

func benchmarkLane(b *testing.B, replicas, clients int, hot bool) {
	url := pgtest.Start(b)
	stores := make([]*sqlstore.Store, replicas)
	for i := range stores {
		s, err := Open(context.Background(), Config{URL: url})
		if err != nil {
			b.Fatal(err)
		}
		defer func() {
			if err := s.Close(); err != nil {
				b.Error(err)
			}
		}()
		stores[i] = s
	}
	ctx := b.Context()
	if hot {
		ctx = meta.Hot(ctx)
	}
	repos := make([]meta.RepositoryID, 200)
	for i := range repos {
		err := stores[0].Update(b.Context(), func(ctx context.Context, tx meta.Tx) (err error) {
			repos[i], err = tx.InsertRepository(ctx, meta.Repository{
				Registry: home, Name: ecr.RepositoryName(fmt.Sprint("app", i)), CreatedAt: laneTime,
				Mutability: ecr.Mutability{Mode: ecr.Mutable}, Encryption: ecr.Encryption{Type: "AES256"},
			})
			return err
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	before, lostBefore := int64(0), int64(0)
	for _, s := range stores {
		all, lost := s.Attempts()
		before, lostBefore = before+all, lostBefore+lost
	}
	var next atomic.Int64
	var failed sync.Map
	var wg sync.WaitGroup
	b.ResetTimer()
	for i := range replicas * clients {
		wg.Go(func() {
			for n := next.Add(1); n <= int64(b.N); n = next.Add(1) {
				if err := benchmarkPush(ctx, stores[i%replicas], repos[n%int64(len(repos))], n); err != nil {
					failed.Store(err.Error(), err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	failed.Range(func(_, err any) bool { b.Error(err); return true })
	all, lost := -before, -lostBefore
	for _, s := range stores {
		a, l := s.Attempts()
		all, lost = all+a, lost+l
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "push/s")
	b.ReportMetric(100*float64(lost)/float64(max(all, 1)), "%lost")
}

func benchmarkPush(ctx context.Context, s meta.Store, repo meta.RepositoryID, n int64) error {
	body := fmt.Appendf(nil, `{"n":%d,"pad":"%01000d"}`, n, n)
	m := meta.Manifest{Repository: repo, Body: body, Image: ecr.Image{
		Digest: ecr.DigestOf(body), MediaType: "application/vnd.oci.image.manifest.v1+json", PushedAt: laneTime, SizeBytes: 1,
	}}
	for i := range 2 {
		m.Blobs = append(m.Blobs, ecr.DigestOf(fmt.Append(nil, n, " ", i)))
	}
	return s.Update(ctx, func(ctx context.Context, tx meta.Tx) error {
		for _, d := range m.Blobs {
			_, err := tx.AddBlob(ctx, meta.Blob{Digest: d, Key: blob.NewKey(), SizeBytes: 1, CreatedAt: laneTime})
			if err = errors.Join(err, tx.LinkBlob(ctx, repo, d, laneTime)); err != nil {
				return err
			}
		}
		if err := tx.InsertManifest(ctx, m); err != nil {
			return err
		}
		return tx.PutTag(ctx, repo, meta.TagRow{Tag: ecr.Tag(fmt.Sprint("t", n)), Digest: m.Image.Digest, TaggedAt: laneTime}, true)
	})
}

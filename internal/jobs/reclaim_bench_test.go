package jobs_test

import (
	"context"
	"flag"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/registry"
	"github.com/kontor-registry/kontor/internal/store/blob"
	"github.com/kontor-registry/kontor/internal/store/meta"
	"github.com/kontor-registry/kontor/internal/testkit"
)

var reclaim = flag.Int("reclaim", 10_000, "how many images BenchmarkReclaim has, of which it deletes half; a multiple of 500")

// BenchmarkReclaim measures what a push waits while half of the images are
// deleted, by requests of 100, and their space is reclaimed with the default
// bounds; against what it waits when nothing else happens, in the same run.
// Run it with -benchtime 1x.
func BenchmarkReclaim(b *testing.B) {
	images := *reclaim
	for name, database := range testkit.Databases {
		b.Run(name, func(b *testing.B) {
			for range b.N {
				f := testkit.OpenOn(b, testkit.Settings{Compat: registry.CompatOCI}, database(b))
				var ahead atomic.Int64
				f.Set(func(s *testkit.Settings) {
					s.Clock = func() time.Time { return f.Now().Add(time.Duration(ahead.Load())) }
					s.RecycleTime, s.JournalTime, s.BlobGrace = 7*testkit.Day, 400*testkit.Day, testkit.Day
				})
				to := f.Repo("app", ecr.Mutable)
				victims := fill(f, to, images, true)[:images/2]
				elsewhere := f.Repo("elsewhere", ecr.Mutable)

				var pushed atomic.Int64
				idle := pushUntil(f, elsewhere, &pushed, func(n int) bool { return n == 300 })
				var over atomic.Bool
				var pusher sync.WaitGroup
				var busy []time.Duration
				pusher.Go(func() { busy = pushUntil(f, elsewhere, &pushed, func(int) bool { return over.Load() }) })
				began := time.Now()
				for batch := range slices.Chunk(victims, 100) {
					f.Delete(to, batch...)
				}
				deleted := time.Since(began)
				ahead.Store(int64(8 * testkit.Day))
				got, err := f.Jobs.Collect(b.Context())
				if err != nil || got.BinEntries != images/2 || got.Blobs != images/2 {
					b.Fatalf("collected %+v, %v", got, err)
				}
				over.Store(true)
				pusher.Wait()
				if b.Failed() {
					return
				}

				report := func(what string, q float64) {
					i, j := quantile(idle, q), quantile(busy, q)
					b.ReportMetric(float64(i.Microseconds())/1000, "idle-"+what+"-ms")
					b.ReportMetric(float64(j.Microseconds())/1000, "busy-"+what+"-ms")
					b.ReportMetric(float64(j)/float64(i), what+"-ratio")
				}
				report("p50", 0.5)
				report("p95", 0.95)
				b.ReportMetric(float64(len(victims))/deleted.Seconds(), "deleted/s")
				b.ReportMetric(float64(len(busy)), "pushes")
			}
		})
	}
}

func quantile(all []time.Duration, q float64) time.Duration {
	all = slices.Sorted(slices.Values(all))
	return all[int(q*float64(len(all)-1))]
}

// fill puts n images with a layer each into a repository, past the operations,
// which would take minutes, and returns their ids. Without files, there are rows
// only.
func fill(f *testkit.World, to ecr.Repo, n int, files bool) []ecr.ImageID {
	f.T.Helper()
	ids := make([]ecr.ImageID, 0, n)
	config := f.Blob(to, []byte("{}"))
	type image struct {
		body  []byte
		layer meta.Blob
	}
	for from := 0; from < n; from += 500 {
		var batch []image
		for i := from; i < from+500; i++ {
			content := fmt.Sprint("layer of ", i, strings.Repeat(" ", 1000))
			l := meta.Blob{Digest: ecr.DigestOf([]byte(content)), SizeBytes: int64(len(content)), CreatedAt: f.Now()}
			if l.Key = blob.Key(fmt.Sprintf("%032x", i)); files {
				l.Key = f.Leave(content, true)
			}
			batch = append(batch, image{testkit.JSON(map[string]any{
				"schemaVersion": 2, "mediaType": testkit.ImageType, "config": testkit.Desc{MediaType: "application/vnd.oci.image.config.v1+json", Digest: config, Size: 2},
				"layers": []testkit.Desc{{MediaType: "application/vnd.oci.image.layer.v1.tar", Digest: l.Digest, Size: len(content)}},
			}), l})
		}
		err := f.Meta.Update(f.T.Context(), func(ctx context.Context, tx meta.Tx) error {
			repo, err := tx.Repository(ctx, to.In, to.Name)
			if err != nil {
				return err
			}
			for i, m := range batch {
				if _, err := tx.AddBlob(ctx, m.layer); err != nil {
					return err
				}
				if err := tx.LinkBlob(ctx, repo.ID, m.layer.Digest, f.Now()); err != nil {
					return err
				}
				d := ecr.DigestOf(m.body)
				row := meta.Manifest{Repository: repo.ID, Body: m.body, Blobs: []ecr.Digest{config, m.layer.Digest},
					Image: ecr.Image{Digest: d, MediaType: testkit.ImageType, SizeBytes: m.layer.SizeBytes, PushedAt: f.Now()}}
				if err := tx.InsertManifest(ctx, row); err != nil {
					return err
				}
				if err := tx.PutTag(ctx, repo.ID, meta.TagRow{Tag: ecr.Tag(fmt.Sprint("t", from+i)), Digest: d, TaggedAt: f.Now()}, false); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			f.T.Fatal(err)
		}
		for _, m := range batch {
			ids = append(ids, ecr.ImageID{Digest: ecr.DigestOf(m.body)})
		}
	}
	return ids
}

// pushUntil pushes images one after another until it is enough, and returns how
// long each took.
func pushUntil(f *testkit.World, to ecr.Repo, next *atomic.Int64, enough func(n int) bool) []time.Duration {
	var took []time.Duration
	for !enough(len(took)) {
		content := fmt.Sprint("pushed ", next.Add(1))
		began := time.Now()
		f.MustPut(to, f.Image(to, content), "latest")
		took = append(took, time.Since(began))
	}
	return took
}

package registry_test

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
	"github.com/kontor-registry/kontor/internal/store/meta"
)

var reclaim = flag.Int("reclaim", 10_000, "how many images BenchmarkReclaim has, of which it deletes half; a multiple of 500")

// BenchmarkReclaim measures what a push waits while half of the images are
// deleted, by requests of 100, and their space is reclaimed with the default
// bounds; against what it waits when nothing else happens, in the same run.
// Run it with -benchtime 1x.
func BenchmarkReclaim(b *testing.B) {
	images := *reclaim
	for name, database := range databases {
		b.Run(name, func(b *testing.B) {
			for range b.N {
				f := openOn(b, registry.CompatOCI, database(b))
				var ahead atomic.Int64
				f.cfg.Now = func() time.Time { return f.now.Add(time.Duration(ahead.Load())) }
				f.keeping(7*day, 400*day, day)
				to := f.repo("app", ecr.Mutable)
				victims := f.fill(to, images)[:images/2]
				elsewhere := f.repo("elsewhere", ecr.Mutable)

				var pushed atomic.Int64
				idle := f.pushUntil(elsewhere, &pushed, func(n int) bool { return n == 300 })
				var over atomic.Bool
				var pusher sync.WaitGroup
				var busy []time.Duration
				pusher.Go(func() { busy = f.pushUntil(elsewhere, &pushed, func(int) bool { return over.Load() }) })
				began := time.Now()
				for batch := range slices.Chunk(victims, 100) {
					f.delete(to, batch...)
				}
				deleted := time.Since(began)
				ahead.Store(int64(8 * day))
				got, err := f.reg.Collect(b.Context(), registry.CollectOptions{})
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
// which would take minutes, and returns their ids.
func (f *fixture) fill(to ecr.Repo, n int) []ecr.ImageID {
	f.t.Helper()
	ids := make([]ecr.ImageID, 0, n)
	config := f.blob(to, []byte("{}"))
	type image struct {
		body  []byte
		layer meta.Blob
	}
	for from := 0; from < n; from += 500 {
		var batch []image
		for i := from; i < from+500; i++ {
			content := fmt.Sprint("layer of ", i, strings.Repeat(" ", 1000))
			l := meta.Blob{Digest: ecr.DigestOf([]byte(content)), SizeBytes: int64(len(content)), CreatedAt: f.now}
			l.Key = f.leave(content, true)
			batch = append(batch, image{encode(map[string]any{
				"schemaVersion": 2, "mediaType": imageType, "config": desc{"application/vnd.oci.image.config.v1+json", config, 2},
				"layers": []desc{{"application/vnd.oci.image.layer.v1.tar", l.Digest, len(content)}},
			}), l})
		}
		err := f.meta.Update(f.t.Context(), func(ctx context.Context, tx meta.Tx) error {
			repo, err := tx.Repository(ctx, to.In, to.Name)
			if err != nil {
				return err
			}
			for i, m := range batch {
				if _, err := tx.AddBlob(ctx, m.layer); err != nil {
					return err
				}
				if err := tx.LinkBlob(ctx, repo.ID, m.layer.Digest, f.now); err != nil {
					return err
				}
				d := ecr.DigestOf(m.body)
				row := meta.Manifest{Repository: repo.ID, Body: m.body, Blobs: []ecr.Digest{config, m.layer.Digest},
					Image: ecr.Image{Digest: d, MediaType: imageType, SizeBytes: m.layer.SizeBytes, PushedAt: f.now}}
				if err := tx.InsertManifest(ctx, row); err != nil {
					return err
				}
				if err := tx.PutTag(ctx, repo.ID, meta.TagRow{Tag: ecr.Tag(fmt.Sprint("t", from+i)), Digest: d, TaggedAt: f.now}, false); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			f.t.Fatal(err)
		}
		for _, m := range batch {
			ids = append(ids, ecr.ImageID{Digest: ecr.DigestOf(m.body)})
		}
	}
	return ids
}

// pushUntil pushes images one after another until it is enough, and returns how
// long each took.
func (f *fixture) pushUntil(to ecr.Repo, next *atomic.Int64, enough func(n int) bool) []time.Duration {
	var took []time.Duration
	for !enough(len(took)) {
		content := fmt.Sprint("pushed ", next.Add(1))
		began := time.Now()
		f.mustPut(to, f.image(to, content), "latest")
		took = append(took, time.Since(began))
	}
	return took
}

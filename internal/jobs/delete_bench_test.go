package jobs_test

import (
	"flag"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/registry"
	"github.com/kontor-registry/kontor/internal/testkit"
)

var doomed = flag.Int("doomed", 20_000, "how many images the repository of BenchmarkDeleteRepository has; a multiple of 500")

// BenchmarkDeleteRepository measures how long the deletion of a large repository
// takes, and how long a push elsewhere waits meanwhile. Run it with -benchtime 1x.
func BenchmarkDeleteRepository(b *testing.B) {
	for name, database := range testkit.Databases {
		b.Run(name, func(b *testing.B) {
			for range b.N {
				f := testkit.OpenOn(b, testkit.Settings{Compat: registry.CompatOCI, RecycleTime: 7 * testkit.Day}, database(b))
				to := f.Repo("app", ecr.Mutable)
				fill(f, to, *doomed, false)
				elsewhere := f.Repo("elsewhere", ecr.Mutable)
				var pushed atomic.Int64
				var over atomic.Bool
				var pusher sync.WaitGroup
				var took []time.Duration
				pusher.Go(func() { took = pushUntil(f, elsewhere, &pushed, func(int) bool { return over.Load() }) })
				began := time.Now()
				if _, err := f.DeleteRepository(b.Context(), to, true); err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(time.Since(began).Seconds(), "answer-s")
				if _, err := f.Retention.FinishDeletions(b.Context()); err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(time.Since(began).Seconds(), "all-s")
				over.Store(true)
				pusher.Wait()
				b.ReportMetric(slices.Max(took).Seconds(), "longest-push-s")
			}
		})
	}
}

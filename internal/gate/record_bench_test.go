package gate_test

import (
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/kontor-registry/kontor/internal/access/audit"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/registry"
	"github.com/kontor-registry/kontor/internal/testkit"
)

// BenchmarkChanges is changes from many sides at once, without and with an
// audit log next to them: what the record costs is the ratio of the two, in the
// same run.
func BenchmarkChanges(b *testing.B) {
	for _, with := range []bool{false, true} {
		name := "without audit"
		if with {
			name = "with audit"
		}
		b.Run(name, func(b *testing.B) {
			f := testkit.Open(b, testkit.Settings{Compat: registry.CompatECR})
			to := f.Repo("app", ecr.Mutable)
			if with {
				l, err := audit.Open(audit.Config{Dir: filepath.Join(b.TempDir(), "audit"), Now: time.Now, Log: slog.New(slog.DiscardHandler)})
				if err != nil {
					b.Fatal(err)
				}
				b.Cleanup(func() {
					if err := l.Close(); err != nil {
						b.Error(err)
					}
				})
				f.Set(func(s *testkit.Settings) { s.Audit = l })
			}
			b.SetParallelism(16)
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				c := f.As(testkit.Admin)
				for pb.Next() {
					if _, err := c.StartUpload(b.Context(), to); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}

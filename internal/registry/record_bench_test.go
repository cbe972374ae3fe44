package registry_test

import (
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/kontor-registry/kontor/internal/access/audit"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/gate"
	"github.com/kontor-registry/kontor/internal/registry"
)

// BenchmarkChanges is changes from many sides at once, without and with an
// audit log beside them: what the record costs is the ratio of the two, in the
// same run.
func BenchmarkChanges(b *testing.B) {
	for _, with := range []bool{false, true} {
		name := "without audit"
		if with {
			name = "with audit"
		}
		b.Run(name, func(b *testing.B) {
			f := open(b, registry.CompatECR)
			to := f.repo("app", ecr.Mutable)
			cfg := registry.Config{Gate: gate.New(gate.Config{Meta: f.meta}), Blobs: f.blobs, Now: func() time.Time { return f.now }, Log: slog.New(slog.DiscardHandler)}
			if with {
				l, err := audit.Open(audit.Config{Dir: filepath.Join(b.TempDir(), "audit"), Now: time.Now, Log: cfg.Log})
				if err != nil {
					b.Fatal(err)
				}
				b.Cleanup(func() {
					if err := l.Close(); err != nil {
						b.Error(err)
					}
				})
				cfg.Gate = gate.New(gate.Config{Meta: f.meta, Audit: l})
			}
			reg := registry.New(cfg)
			b.SetParallelism(16)
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				c := reg.As(admin)
				for pb.Next() {
					if _, err := c.StartUpload(b.Context(), to); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}

// Package jobs is what a registry does by itself, driven by the clock: it
// carries out lifecycle policies, and removes uploads that nobody goes on with,
// blobs and files that nothing refers to, and what the recycle bin and the journal have kept for long enough.
//
// It guarantees that a job runs once at a time in this process, that one that
// fails or panics is logged and tried again, and that none outlives Run.
// Several replicas may run the same jobs: each operation is safe beside itself.
// What a job does, and why it is safe, stands with the operation in package
// registry.
package jobs

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/kontor-registry/kontor/internal/registry"
)

// Config says what to do, how often, and by which clocks.
type Config struct {
	// Registry has the operations. Required.
	Registry *registry.Registry
	// ImageNow is the clock of uploads' rows, Now that of the machine's files.
	// Both are required.
	ImageNow func() time.Time
	Now      func() time.Time
	// Log receives what was removed, and failures. Required.
	Log *slog.Logger
	// UploadAge is how long an upload may lie untouched. Default 24 hours.
	UploadAge time.Duration
	// OrphanAge is how old a file must be before it can be an orphan. Default
	// 24 hours.
	OrphanAge time.Duration
	// UploadsEvery and OrphansEvery are how often to look. Default 10 minutes,
	// or a quarter of UploadAge where that is less, and 6 hours. The first look
	// is after one such time.
	UploadsEvery time.Duration
	OrphansEvery time.Duration
	// Collect bounds what a collection does at once. CollectEvery is how often
	// to collect, TrimEvery how often to trim the journal. Default 1 hour and
	// 24 hours.
	Collect      registry.CollectOptions
	CollectEvery time.Duration
	TrimEvery    time.Duration
	// LifecycleEvery is how often to carry out the lifecycle policies. Default
	// 1 hour; negative is never.
	LifecycleEvery time.Duration
	// Done is told of each time that a job was done or failed: its name, what
	// it removed and why it failed. It must not wait. May be nil.
	Done func(name string, removed registry.Expired, err error)
}

// DefaultUploadAge is the default of Config.UploadAge.
const DefaultUploadAge = 24 * time.Hour

// DefaultLifecycleEvery is the default of Config.LifecycleEvery.
const DefaultLifecycleEvery = time.Hour

// job is one thing to do again and again.
type job struct {
	name  string
	every time.Duration
	do    func(context.Context) (registry.Expired, error)
}

// Run does every job at its time until ctx is done, and waits for those that
// are running. It returns nil.
func Run(ctx context.Context, cfg Config) error {
	g := new(errgroup.Group)
	for _, j := range cfg.jobs() {
		g.Go(func() error {
			cfg.loop(ctx, j)
			return nil
		})
	}
	return g.Wait()
}

func (c Config) jobs() []job {
	or := func(d, fallback time.Duration) time.Duration {
		if d > 0 {
			return d
		}
		return fallback
	}
	uploadAge, orphanAge := or(c.UploadAge, DefaultUploadAge), or(c.OrphanAge, 24*time.Hour)
	all := []job{
		{"upload expiry", or(c.UploadsEvery, max(1, min(10*time.Minute, uploadAge/4))), func(ctx context.Context) (registry.Expired, error) {
			return c.Registry.ExpireUploads(ctx, c.ImageNow().Add(-uploadAge))
		}},
		{"orphan sweep", or(c.OrphansEvery, 6*time.Hour), func(ctx context.Context) (registry.Expired, error) {
			return c.Registry.SweepOrphans(ctx, c.Now().Add(-orphanAge))
		}},
		{"collection", or(c.CollectEvery, time.Hour), c.collect},
		{"journal trimming", or(c.TrimEvery, 24*time.Hour), c.trimJournal},
	}
	if c.LifecycleEvery >= 0 {
		all = append(all, job{"lifecycle", or(c.LifecycleEvery, DefaultLifecycleEvery), c.lifecycle})
	}
	return all
}

func (c Config) loop(ctx context.Context, j job) {
	tick := time.NewTicker(j.every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			c.once(ctx, j)
		}
	}
}

// once does j once.
func (c Config) once(ctx context.Context, j job) {
	removed, err := protect(ctx, j.do)
	if c.Done != nil && ctx.Err() == nil {
		c.Done(j.name, removed, err)
	}
	switch {
	case ctx.Err() != nil: // told to stop; the rest is for the next start
	case err != nil:
		c.Log.ErrorContext(ctx, "job failed", "job", j.name, "removed", removed.Count, "error", err)
	case removed.Count > 0:
		c.Log.InfoContext(ctx, "job done", "job", j.name, "removed", removed.Count, "bytes", removed.SizeBytes)
	}
}

// protect makes an error of a panic, so that a defect in a job does not end
// the registry.
func protect(ctx context.Context, do func(context.Context) (registry.Expired, error)) (removed registry.Expired, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic: %v", v)
		}
	}()
	return do(ctx)
}

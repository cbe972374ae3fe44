package jobs_test

import (
	"context"
	"flag"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/kontor-registry/kontor/internal/registry"
	"github.com/kontor-registry/kontor/internal/store/blob"
	"github.com/kontor-registry/kontor/internal/store/blob/crashfs"
	"github.com/kontor-registry/kontor/internal/store/blob/disk"
	"github.com/kontor-registry/kontor/internal/testkit"
	"github.com/kontor-registry/kontor/internal/testkit/histories"
)

// inBatches collects in batches of three.
func inBatches(ctx context.Context, w *testkit.World) error {
	_, err := w.Jobs.CollectInBatches(ctx, 3)
	return err
}

// TestHistories: on PostgreSQL with a bucket, see test/s3.
func TestHistories(t *testing.T) {
	for name, database := range testkit.Databases {
		t.Run(name+" and a folder", func(t *testing.T) {
			histories.Check(t, testkit.OpenOn(t, testkit.Settings{Compat: registry.CompatOCI}, database(t)), inBatches)
		})
	}
	t.Run("sqlite and memory", func(t *testing.T) {
		files, err := disk.Open(disk.Config{Dir: "/blobs", FS: &crashfs.FS{Disk: crashfs.New()}})
		if err != nil {
			t.Fatal(err)
		}
		histories.Check(t, testkit.Open(t, testkit.Settings{Compat: registry.CompatOCI, Blobs: files}), inBatches)
	})
}

// A machine that finds nothing would pass, too: each of these faults of a store is found.
func TestHistoriesFindFaults(t *testing.T) {
	if err := flag.Set("rapid.nofailfile", "true"); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = flag.Set("rapid.nofailfile", "false") }()
	for name, wrap := range map[string]func(blob.Store) blob.Store{
		"deleting takes another along": func(s blob.Store) blob.Store { return &greedy{Store: s} },
		"nothing is deleted":           func(s blob.Store) blob.Store { return keeper{s} },
		"content is another's":         func(s blob.Store) blob.Store { return &confused{Store: s} },
	} {
		t.Run(name, func(t *testing.T) {
			files, err := disk.Open(disk.Config{Dir: filepath.Join(t.TempDir(), "blobs")})
			if err != nil {
				t.Fatal(err)
			}
			w := testkit.Open(t, testkit.Settings{Compat: registry.CompatOCI, Blobs: wrap(files)})
			found := &recorder{TB: t}
			ended := make(chan struct{})
			go func() { // FailNow ends it
				defer close(ended)
				histories.Check(found, w, inBatches)
			}()
			<-ended
			if !found.Failed() {
				t.Error("it was not found")
			}
		})
	}
}

// recorder is told of failures that are wanted.
type recorder struct {
	testing.TB
	failed atomic.Bool
}

func (r *recorder) Logf(string, ...any)   {}
func (r *recorder) Log(...any)            {}
func (r *recorder) Errorf(string, ...any) { r.failed.Store(true) }
func (r *recorder) Error(...any)          { r.failed.Store(true) }
func (r *recorder) Fatalf(string, ...any) { r.FailNow() }
func (r *recorder) Fatal(...any)          { r.FailNow() }
func (r *recorder) Fail()                 { r.failed.Store(true) }
func (r *recorder) Failed() bool          { return r.failed.Load() }
func (r *recorder) FailNow() {
	r.failed.Store(true)
	runtime.Goexit()
}

// greedy deletes what was opened last, besides what it should.
type greedy struct {
	blob.Store
	last atomic.Value // blob.Key
}

func (g *greedy) Open(ctx context.Context, key blob.Key) (blob.File, error) {
	g.last.Store(key)
	return g.Store.Open(ctx, key)
}

func (g *greedy) Delete(ctx context.Context, key blob.Key) error {
	if other, ok := g.last.Load().(blob.Key); ok {
		if err := g.Store.Delete(ctx, other); err != nil {
			return err
		}
	}
	return g.Store.Delete(ctx, key)
}

// keeper deletes nothing.
type keeper struct{ blob.Store }

func (keeper) Delete(context.Context, blob.Key) error { return nil }

// confused opens what was opened before now and then.
type confused struct {
	blob.Store
	n    atomic.Int64
	last atomic.Value // blob.Key
}

func (c *confused) Open(ctx context.Context, key blob.Key) (blob.File, error) {
	if other, ok := c.last.Load().(blob.Key); ok && c.n.Add(1)%20 == 0 {
		if f, err := c.Store.Open(ctx, other); err == nil {
			return f, nil
		}
	}
	c.last.Store(key)
	return c.Store.Open(ctx, key)
}

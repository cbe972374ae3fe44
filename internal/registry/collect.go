package registry

import (
	"context"
	"fmt"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/gate"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// CollectOptions bound what a collection does at once.
type CollectOptions struct {
	// Batch is how many rows one transaction removes. Default 100.
	Batch int
	// PerSecond is how many rows and files are removed in a second, so that
	// requests do not notice. Default 500; negative is no limit.
	PerSecond int
}

// Defaults of CollectOptions.
const (
	DefaultCollectBatch     = 100
	DefaultCollectPerSecond = 500
)

func (o CollectOptions) withDefaults() CollectOptions {
	if o.Batch <= 0 {
		o.Batch = DefaultCollectBatch
	}
	if o.PerSecond == 0 {
		o.PerSecond = DefaultCollectPerSecond
	}
	return o
}

// Collected is what a collection removed.
type Collected struct {
	BinEntries int // that expired
	Links      int // of repositories to blobs, without images
	Blobs      int
	SizeBytes  int64 // of the blobs
}

// Collect takes away what nobody needs any more: entries of the bin that have
// expired, links of repositories to blobs that no image has referred to for
// Config.BlobGrace, and the blobs that then have neither a link nor a place in
// the bin.
//
// It never takes what an image refers to, nor what a push under way was
// promised less than BlobGrace ago: each batch looks at that in its own
// transaction. Rows go first, and their files when that is durable; files that
// a crash leaves are orphans, for SweepOrphans. So it may be killed at any
// point, and several processes may collect at once.
func (r *Registry) Collect(ctx context.Context, o CollectOptions) (Collected, error) {
	o = o.withDefaults()
	var done Collected
	for _, step := range []struct {
		name string
		do   func(context.Context, CollectOptions, *Collected) error
	}{
		{"emptying the recycle bin of what expired", r.expireBin},
		{"removing idle links", r.collectLinks},
		{"removing unused blobs", r.collectBlobs},
	} {
		if err := step.do(ctx, o, &done); err != nil {
			return done, fmt.Errorf("%s: %w", step.name, err)
		}
	}
	return done, nil
}

var opCollect = gate.Op("Collect", "kontor:CollectGarbage")

// Collect makes a collection now, with the default bounds. It is one of the
// whole store, whichever of its registries the caller asks from.
func (c *Caller) Collect(ctx context.Context, in ecr.RegistryID) (Collected, error) {
	err := c.gate.Ask(ctx, opCollect, func(ctx context.Context, v *gate.View) error {
		_, err := v.EnterRegistry(ctx, in)
		return err
	})
	if err != nil {
		return Collected{}, err
	}
	return c.r.Collect(ctx, CollectOptions{})
}

// batches removes batch after batch until one is not full.
func (r *Registry) batches(ctx context.Context, o CollectOptions, remove func(ctx context.Context, tx *gate.Tx) (int, error), removed func(ctx context.Context, n int) error) error {
	for {
		var n int
		err := r.cfg.Gate.System("collection").Change(ctx, opCollect, func(ctx context.Context, tx *gate.Tx) (err error) {
			n, err = remove(ctx, tx)
			return err
		})
		if err != nil {
			return err
		}
		if err := removed(ctx, n); err != nil {
			return err
		}
		if n < o.Batch {
			return nil
		}
		if err := o.pause(ctx, n); err != nil {
			return err
		}
	}
}

// pause waits as long as n removals may take.
func (o CollectOptions) pause(ctx context.Context, n int) error {
	if o.PerSecond < 0 {
		return ctx.Err()
	}
	t := time.NewTimer(time.Duration(n) * time.Second / time.Duration(o.PerSecond))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

func (r *Registry) expireBin(ctx context.Context, o CollectOptions, done *Collected) error {
	now := r.cfg.Now()
	return r.batches(ctx, o, func(ctx context.Context, tx *gate.Tx) (int, error) {
		return tx.Retention().ExpireBin(ctx, now, o.Batch)
	},
		func(_ context.Context, n int) error { done.BinEntries += n; return nil })
}

func (r *Registry) collectLinks(ctx context.Context, o CollectOptions, done *Collected) error {
	before := r.cfg.Now().Add(-r.cfg.BlobGrace)
	return r.batches(ctx, o, func(ctx context.Context, tx *gate.Tx) (int, error) {
		return tx.Retention().DeleteIdleLinks(ctx, before, o.Batch)
	},
		func(_ context.Context, n int) error { done.Links += n; return nil })
}

func (r *Registry) collectBlobs(ctx context.Context, o CollectOptions, done *Collected) error {
	var gone []meta.Blob
	return r.batches(ctx, o, func(ctx context.Context, tx *gate.Tx) (looked int, err error) {
		gone, looked, err = tx.Retention().DeleteUnusedBlobs(ctx, o.Batch)
		return looked, err
	}, func(ctx context.Context, _ int) error {
		for _, b := range gone {
			// Their rows are gone: to stop now would leave them to the sweep.
			if err := r.cfg.Blobs.Delete(context.WithoutCancel(ctx), b.Key); err != nil {
				return err
			}
			done.Blobs++
			done.SizeBytes += b.SizeBytes
		}
		return nil
	})
}

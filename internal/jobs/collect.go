package jobs

import (
	"context"
	"fmt"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/gate"
	"github.com/kontor-registry/kontor/internal/retention"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// bounds are what a job does at once.
type bounds struct {
	batch     int // rows that one transaction removes
	perSecond int // rows and files in a second, as of retention.Pause
}

var usual = bounds{100, retention.PerSecond}

// Collected is what a collection removed.
type Collected struct {
	BinEntries int // that expired
	Links      int // of repositories to blobs, without images
	Blobs      int
	SizeBytes  int64 // of the blobs
}

// Collect removes what is no longer needed: entries of the bin that have
// expired, links of repositories to blobs that no image has referred to for
// the registry's BlobGrace, and the blobs that then have neither a link nor a place in
// the bin.
//
// It never removes a blob that an image refers to, nor one that a push in progress
// was promised less than BlobGrace ago: each batch checks this in its own
// transaction. Rows are deleted first, and their files once that is durable; files
// left by a crash are orphans, for SweepOrphans. So it may be killed at any point,
// and several processes may collect at once.
func (j *Jobs) Collect(ctx context.Context) (Collected, error) { return j.collect(ctx, usual) }

func (j *Jobs) collect(ctx context.Context, b bounds) (Collected, error) {
	var done Collected
	for _, step := range []struct {
		name string
		do   func(context.Context, bounds, *Collected) error
	}{
		{"deleting repositories", func(ctx context.Context, _ bounds, _ *Collected) error {
			_, err := j.cfg.Retention.FinishDeletions(ctx)
			return err
		}},
		{"emptying the recycle bin of what expired", j.expireBin},
		{"removing idle links", j.collectLinks},
		{"removing unused blobs", j.collectBlobs},
	} {
		if err := step.do(ctx, b, &done); err != nil {
			return done, fmt.Errorf("%s: %w", step.name, err)
		}
	}
	return done, nil
}

// Caller is the jobs that someone may do by hand. It is safe for concurrent
// use.
type Caller struct {
	j    *Jobs
	gate *gate.Caller
}

// As returns the jobs as p may do them by hand.
func (j *Jobs) As(p access.Principal) *Caller { return &Caller{j, j.cfg.Gate.As(p)} }

// Operations lists what may be done by hand.
func Operations() []gate.Operation { return []gate.Operation{opCollect, opListJobs} }

var opCollect = gate.Op("Collect", "kontor:CollectGarbage")

// Collect makes a collection now. It is one of the whole store, whichever of
// its registries the caller asks from.
func (c *Caller) Collect(ctx context.Context, in ecr.RegistryID) (Collected, error) {
	err := c.gate.Ask(ctx, opCollect, func(ctx context.Context, v *gate.View) error {
		_, err := v.EnterRegistry(ctx, in)
		return err
	})
	if err != nil {
		return Collected{}, err
	}
	return c.j.Collect(ctx)
}

// batches removes batch after batch until one is not full.
func (j *Jobs) batches(ctx context.Context, job string, b bounds, remove func(ctx context.Context, tx *gate.Tx) (int, error), removed func(ctx context.Context, n int) error) error {
	for {
		var n int
		err := j.cfg.Gate.System(job).Change(ctx, gate.Op(job), func(ctx context.Context, tx *gate.Tx) (err error) {
			n, err = remove(ctx, tx)
			return err
		})
		if err != nil {
			return err
		}
		if err := removed(ctx, n); err != nil {
			return err
		}
		progressed(ctx, n)
		if n < b.batch {
			return nil
		}
		if err := retention.Pause(ctx, n, b.perSecond); err != nil {
			return err
		}
	}
}

func (j *Jobs) expireBin(ctx context.Context, b bounds, done *Collected) error {
	now := j.cfg.ImageNow()
	return j.batches(ctx, "collection", b, func(ctx context.Context, tx *gate.Tx) (int, error) {
		return tx.Retention().ExpireBin(ctx, now, b.batch)
	},
		func(_ context.Context, n int) error { done.BinEntries += n; return nil })
}

func (j *Jobs) collectLinks(ctx context.Context, b bounds, done *Collected) error {
	before := j.cfg.ImageNow().Add(-j.cfg.Registry.BlobGrace())
	return j.batches(ctx, "collection", b, func(ctx context.Context, tx *gate.Tx) (int, error) {
		return tx.Retention().DeleteIdleLinks(ctx, before, b.batch)
	},
		func(_ context.Context, n int) error { done.Links += n; return nil })
}

func (j *Jobs) collectBlobs(ctx context.Context, b bounds, done *Collected) error {
	var gone []meta.Blob
	return j.batches(ctx, "collection", b, func(ctx context.Context, tx *gate.Tx) (looked int, err error) {
		gone, looked, err = tx.Retention().DeleteUnusedBlobs(ctx, b.batch)
		return looked, err
	}, func(ctx context.Context, _ int) error {
		for _, blob := range gone {
			// Their rows are gone: to stop now would leave them to the sweep.
			if err := j.cfg.Blobs.Delete(context.WithoutCancel(ctx), blob.Key); err != nil {
				return err
			}
			done.Blobs++
			done.SizeBytes += blob.SizeBytes
		}
		return nil
	})
}

// TrimJournal removes the entries that are older than Config.JournalTime, in
// bounded batches as Collect does.
func (j *Jobs) TrimJournal(ctx context.Context) (Removed, error) { return j.trimJournal(ctx, usual) }

func (j *Jobs) trimJournal(ctx context.Context, b bounds) (done Removed, err error) {
	if j.cfg.JournalTime <= 0 {
		return done, nil
	}
	before := j.cfg.ImageNow().Add(-j.cfg.JournalTime)
	err = j.batches(ctx, "journal trimming", b, func(ctx context.Context, tx *gate.Tx) (int, error) {
		return tx.Retention().TrimJournal(ctx, before, b.batch)
	}, func(_ context.Context, n int) error { done.Count += n; return nil })
	if err != nil {
		err = fmt.Errorf("trimming the journal: %w", err)
	}
	return done, err
}

// TrimActivity removes what is older, or more, than is kept of who pulled what, in bounded
// batches as Collect does.
func (j *Jobs) TrimActivity(ctx context.Context) (Removed, error) { return j.trimActivity(ctx, usual) }

func (j *Jobs) trimActivity(ctx context.Context, b bounds) (done Removed, err error) {
	const job = "pull activity trimming"
	var before meta.Day
	err = j.cfg.Gate.System(job).Change(ctx, gate.Op(job), func(ctx context.Context, tx *gate.Tx) (err error) {
		before, err = j.cfg.Retention.ActivityBefore(ctx, tx)
		return err
	})
	if err == nil {
		err = j.batches(ctx, job, b, func(ctx context.Context, tx *gate.Tx) (int, error) {
			return tx.Retention().TrimPulls(ctx, before, b.batch)
		}, func(_ context.Context, n int) error { done.Count += n; return nil })
	}
	if err != nil {
		err = fmt.Errorf("trimming pull activity: %w", err)
	}
	return done, err
}

package jobs

import "slices"

import "github.com/kontor-registry/kontor/internal/gate"

import "fmt"

import "errors"

import "github.com/kontor-registry/kontor/internal/store/blob"

import "time"

import "context"

// SweepOrphans removes the files of the blob store that are older than before,
// on the machine's clock, and that no row knows: what crashes and deleted
// repositories leave.
//
// Files are listed first and rows are read afterwards. A file that is to be a
// blob stands in the row of its upload until the transaction that makes it a
// blob, and keys are never used again: so a file that stands in neither will
// never be needed, and no push that is under way can lose anything. That holds
// with any number of replicas.
func (j *Jobs) SweepOrphans(ctx context.Context, before time.Time) (Removed, error) {
	var (
		done  Removed
		batch []blob.Info
	)
	sweep := func() error {
		orphans, err := j.orphans(ctx, batch)
		batch = batch[:0]
		if err != nil {
			return err
		}
		for _, f := range orphans {
			remove := j.cfg.Blobs.Delete
			if f.Upload {
				remove = j.cfg.Blobs.Discard
			}
			switch err := remove(ctx, f.Key); {
			case errors.Is(err, blob.ErrBusy):
				continue // its request finds out on its own
			case err != nil:
				return err
			}
			done.Count++
			done.SizeBytes += f.SizeBytes
		}
		return nil
	}
	for f, err := range j.cfg.Blobs.List(ctx) {
		if err != nil {
			return done, err
		}
		if !f.ModTime.Before(before) {
			continue
		}
		if batch = append(batch, f); len(batch) == expireBatch {
			if err := sweep(); err != nil {
				return done, fmt.Errorf("sweeping orphaned files: %w", err)
			}
		}
	}
	if err := sweep(); err != nil {
		return done, fmt.Errorf("sweeping orphaned files: %w", err)
	}
	return done, nil
}

// orphans returns those of files that no row knows.
func (j *Jobs) orphans(ctx context.Context, files []blob.Info) ([]blob.Info, error) {
	var orphans []blob.Info
	if len(files) == 0 {
		return nil, nil
	}
	keys := make([]blob.Key, len(files))
	for i, f := range files {
		keys[i] = f.Key
	}
	err := j.cfg.Gate.System("orphan sweep").Read(ctx, gate.Op("SweepOrphans"), func(ctx context.Context, rd *gate.View) error {
		orphans = nil
		uploads, err := rd.UploadKeys(ctx, keys)
		if err != nil {
			return err
		}
		blobs, err := rd.BlobsByKey(ctx, keys)
		if err != nil {
			return err
		}
		known := make(map[blob.Key]bool, len(blobs))
		for _, b := range blobs {
			known[b.Key] = true
		}
		for _, f := range files {
			// A key that was committed may still stand under its upload's
			// name after a crash; that name is surplus.
			if _, uploading := slices.BinarySearch(uploads, f.Key); !uploading && (f.Upload || !known[f.Key]) {
				orphans = append(orphans, f)
			}
		}
		return nil
	})
	return orphans, err
}

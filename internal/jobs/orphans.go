package jobs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/kontor-registry/kontor/internal/gate"
	"github.com/kontor-registry/kontor/internal/store/blob"
)

// SweepOrphans removes the files of the blob store that are older than before,
// on the machine's clock, and that no row knows: what crashes and deleted
// repositories leave.
//
// Files are listed first and rows are read afterwards. Where several processes serve, a
// file that is to be a blob has the row of its upload until the transaction that makes it
// a blob, and keys are never used again: so a file that no row knows will never be needed,
// and no push that is under way can lose anything, with any number of replicas.
//
// Where one process serves, an upload has no row before it is suspended, or its content
// is a blob (registry.Config.OneProcess). While its request writes, the store's lock
// protects its file (ErrBusy). After that, until there is a row, the file's age does: the
// job looks at files that were last written to more than 24 hours ago, and removes what
// two sweeps find, Config.OrphanWait apart.
//
// All this holds for a database that was never set back. To one that was restored from a
// backup, all that was pushed since is an orphan. So files are noted first, and go
// when the note is Config.OrphanWait old: long enough to notice, and to restore a
// later backup. Notes are in the database, so they are set back with it. With
// another database than the blob store's, nothing is removed.
func (j *Jobs) SweepOrphans(ctx context.Context, before time.Time) (Removed, error) {
	var (
		done  Removed
		batch []blob.Info
	)
	if err := j.CheckInstallation(ctx); err != nil {
		return done, err
	}
	began, err := j.databaseTime(ctx)
	if err != nil {
		return done, err
	}
	sweep := func() error {
		orphans, err := j.orphans(ctx, batch)
		batch = batch[:0]
		if err == nil {
			orphans, err = j.noted(ctx, orphans)
		}
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
			progressed(ctx, 1)
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
	return done, j.forgetNotes(ctx, began)
}

// noted notes files as orphans, and returns those that were noted long enough ago.
func (j *Jobs) noted(ctx context.Context, files []blob.Info) ([]blob.Info, error) {
	if j.cfg.OrphanWait <= 0 || len(files) == 0 {
		return files, nil
	}
	keys := make([]blob.Key, len(files))
	for i, f := range files {
		keys[i] = f.Key
	}
	var due []blob.Key
	err := j.cfg.Gate.System("orphan sweep").Change(ctx, opSweepOrphans, func(ctx context.Context, tx *gate.Tx) (err error) {
		due, err = tx.Retention().NoteOrphans(ctx, keys, j.cfg.OrphanWait)
		return err
	})
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(files, func(f blob.Info) bool {
		_, found := slices.BinarySearch(due, f.Key)
		return !found
	}), nil
}

// forgetNotes removes the notes of files that this sweep, which began at began, did
// not find to be orphans.
func (j *Jobs) forgetNotes(ctx context.Context, began time.Time) error {
	if j.cfg.OrphanWait <= 0 {
		return nil
	}
	return j.batches(ctx, "orphan sweep", usual, func(ctx context.Context, tx *gate.Tx) (int, error) {
		return tx.Retention().ForgetOrphans(ctx, began, usual.batch)
	}, func(context.Context, int) error { return nil })
}

// databaseTime is the time of the database's clock.
func (j *Jobs) databaseTime(ctx context.Context) (now time.Time, err error) {
	err = j.cfg.Gate.System("database time").Read(ctx, gate.Op("DatabaseTime"), func(ctx context.Context, rd *gate.View) (err error) {
		now, err = rd.Retention().Now(ctx)
		return err
	})
	return now, err
}

var opSweepOrphans = gate.Op("SweepOrphans")

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
	err := j.cfg.Gate.System("orphan sweep").Read(ctx, opSweepOrphans, func(ctx context.Context, rd *gate.View) error {
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

package registry

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/kontor-registry/kontor/internal/gate"
	"github.com/kontor-registry/kontor/internal/store/blob"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

var opExpireUploads = gate.Op("ExpireUploads")

// Expired is what a sweep removed.
type Expired struct {
	Count     int
	SizeBytes int64
}

// expireBatch is how many rows or files are looked at in one transaction.
const expireBatch = 500

// ExpireUploads removes the uploads that nobody has written to since before,
// on the image clock. One that a request of this process is writing to stays,
// however old. The row goes first, in a transaction that looks at it again, so
// that nobody goes on with an upload whose bytes are gone; a file that a crash
// leaves behind is an orphan. Several replicas may do this at once.
func (r *Registry) ExpireUploads(ctx context.Context, before time.Time) (Expired, error) {
	var done Expired
	for limit := expireBatch; ; {
		var list []meta.Upload
		err := r.cfg.Gate.System("upload expiry").Read(ctx, opExpireUploads, func(ctx context.Context, rd *gate.View) (err error) {
			list, err = rd.ListUploads(ctx, before, limit)
			return err
		})
		if err != nil {
			return done, fmt.Errorf("listing expired uploads: %w", err)
		}
		var gone int
		for _, u := range list {
			ok, err := r.expireUpload(ctx, u, before)
			if err != nil {
				return done, fmt.Errorf("removing expired upload %s: %w", u.ID, err)
			}
			if ok {
				gone++
				done.Count++
				done.SizeBytes += u.Progress.Offset
			}
		}
		// Those that stay come first in the next list as well.
		switch {
		case gone == 0 && len(list) < limit:
			return done, nil
		case gone == 0:
			limit += expireBatch
		}
	}
}

// expireUpload removes u, unless somebody is writing to it or did so since
// before.
func (r *Registry) expireUpload(ctx context.Context, u meta.Upload, before time.Time) (bool, error) {
	unlock, err := r.uploads.lock(u.ID)
	if err != nil {
		return false, nil
	}
	defer unlock()
	var gone bool
	err = r.cfg.Gate.System("upload expiry").Change(ctx, opExpireUploads, func(ctx context.Context, tx *gate.Tx) error {
		gone = false
		now, err := tx.Upload(ctx, u.Repository, u.ID)
		switch {
		case errors.Is(err, meta.ErrNotFound):
			return nil // completed or cancelled since
		case err != nil:
			return err
		case !now.UpdatedAt.Before(before):
			return nil
		}
		gone = true
		return tx.DeleteUpload(ctx, u.ID)
	})
	if err != nil || !gone {
		return false, err
	}
	return true, r.cfg.Blobs.Discard(ctx, u.Key)
}

// SweepOrphans removes the files of the blob store that are older than before,
// on the machine's clock, and that no row knows: what crashes and deleted
// repositories leave.
//
// Files are listed first and rows are read afterwards. A file that is to be a
// blob stands in the row of its upload until the transaction that makes it a
// blob, and keys are never used again: so a file that stands in neither will
// never be needed, and no push that is under way can lose anything. That holds
// with any number of replicas.
func (r *Registry) SweepOrphans(ctx context.Context, before time.Time) (Expired, error) {
	var (
		done  Expired
		batch []blob.Info
	)
	sweep := func() error {
		orphans, err := r.orphans(ctx, batch)
		batch = batch[:0]
		if err != nil {
			return err
		}
		for _, f := range orphans {
			remove := r.cfg.Blobs.Delete
			if f.Upload {
				remove = r.cfg.Blobs.Discard
			}
			switch err := remove(ctx, f.Key); {
			case errors.Is(err, blob.ErrBusy):
				continue // its request finds out by itself
			case err != nil:
				return err
			}
			done.Count++
			done.SizeBytes += f.SizeBytes
		}
		return nil
	}
	for f, err := range r.cfg.Blobs.List(ctx) {
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
func (r *Registry) orphans(ctx context.Context, files []blob.Info) ([]blob.Info, error) {
	var orphans []blob.Info
	if len(files) == 0 {
		return nil, nil
	}
	keys := make([]blob.Key, len(files))
	for i, f := range files {
		keys[i] = f.Key
	}
	err := r.cfg.Gate.System("orphan sweep").Read(ctx, gate.Op("SweepOrphans"), func(ctx context.Context, rd *gate.View) error {
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

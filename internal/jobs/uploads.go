package jobs

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kontor-registry/kontor/internal/gate"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

var opExpireUploads = gate.Op("ExpireUploads")

// expireBatch is how many rows or files are looked at in one transaction.
const expireBatch = 500

// ExpireUploads removes the uploads without writes since before, on the image clock.
// An upload that a request is writing to stays, however old: one of this process, or
// one of another that holds a claim on it. The row
// is deleted first, in a transaction that checks it again, so that a client cannot
// continue an upload whose bytes are deleted; a file that a crash leaves behind is an
// orphan. Several replicas may do this at once.
func (j *Jobs) ExpireUploads(ctx context.Context, before time.Time) (Removed, error) {
	done := Removed{Count: j.cfg.Registry.ForgetUploads(before)}
	for limit := expireBatch; ; {
		var list []meta.Upload
		err := j.cfg.Gate.System("upload expiry").Read(ctx, opExpireUploads, func(ctx context.Context, rd *gate.View) (err error) {
			list, err = rd.ListUploads(ctx, before, limit)
			return err
		})
		if err != nil {
			return done, fmt.Errorf("listing expired uploads: %w", err)
		}
		var gone int
		for _, u := range list {
			ok, err := j.expireUpload(ctx, u, before)
			if err != nil {
				return done, fmt.Errorf("removing expired upload %s: %w", u.ID, err)
			}
			if ok {
				gone++
				done.Count++
				progressed(ctx, 1)
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

// expireUpload removes u, unless someone is writing to it or did so since
// before.
func (j *Jobs) expireUpload(ctx context.Context, u meta.Upload, before time.Time) (bool, error) {
	release, ok := j.cfg.Registry.HoldUpload(u.ID)
	if !ok {
		return false, nil
	}
	defer release()
	var gone bool
	err := j.cfg.Gate.System("upload expiry").Change(ctx, opExpireUploads, func(ctx context.Context, tx *gate.Tx) error {
		gone = false
		now, err := tx.Upload(ctx, u.Repository, u.ID)
		switch {
		case errors.Is(err, meta.ErrNotFound):
			return nil // completed or cancelled since
		case err != nil:
			return err
		case now.Claimed || !now.UpdatedAt.Before(before):
			return nil
		}
		gone = true
		return tx.DeleteUpload(ctx, u.ID, now.Claim)
	})
	if err != nil || !gone {
		return false, err
	}
	return true, j.cfg.Blobs.Discard(ctx, u.Key)
}

package retention

import (
	"context"
	"errors"
	"fmt"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/gate"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// Purged is what a purge removed.
type Purged struct {
	Live   bool      // it was in the repository
	Tags   []ecr.Tag // that it had there
	Binned int       // entries of the bin
	// Blobs and SizeBytes are what nothing else used, and is gone from the
	// store.
	Blobs     int
	SizeBytes int64
}

// MostReason is how many bytes the reason of a purge has at most.
const MostReason = 1024

var opPurgeImage = gate.Op("PurgeImage", "kontor:PurgeImage")

// PurgeImage removes the image d at once and for good, from the repository and
// from the bin, with the blobs that nothing else uses and their files; for
// secrets that leaked, and for erasure. The journal says that it happened, and
// why, and has its manifest no more. The repository may be gone.
// Errors: ImageNotFound, ReferencedByManifestList, InvalidParameter without a
// reason, and for one of more than MostReason bytes.
func (c *Caller) PurgeImage(ctx context.Context, at ecr.Repo, d ecr.Digest, reason string) (Purged, error) {
	var (
		done  Purged
		files []meta.Blob
	)
	err := c.gate.Change(ctx, opPurgeImage, func(ctx context.Context, tx *gate.Tx) error {
		done, files = Purged{}, nil
		s, err := tx.EnterName(ctx, at)
		if err != nil {
			return err
		}
		if reason == "" {
			return ecr.InvalidParameter("reason", "must have length greater than or equal to 1")
		}
		if len(reason) > MostReason {
			return ecr.InvalidParameter("reason", "must have length less than or equal to %d", MostReason)
		}
		if err := settled(ctx, tx, at); err != nil {
			return err
		}
		done, files, err = c.s.purge(ctx, tx, s, d, reason)
		return err
	})
	if err != nil {
		return Purged{}, err
	}
	for _, b := range files {
		if err := c.s.cfg.Blobs.Delete(context.WithoutCancel(ctx), b.Key); err != nil {
			return done, fmt.Errorf("image %s of %s/%s is purged, but not the file of its blob %s, which is no longer referenced: %w", d, at.In, at.Name, b.Digest, err)
		}
	}
	return done, nil
}

// purge removes everything but files. at.Row is zero without the repository.
func (s *Service) purge(ctx context.Context, tx *gate.Tx, at gate.Scene, d ecr.Digest, reason string) (done Purged, files []meta.Blob, err error) {
	why := Cause{At: s.cfg.Now(), Reason: reason}
	m, err := tx.Manifest(ctx, at.Row.ID, d)
	if err != nil && !errors.Is(err, meta.ErrNotFound) {
		return done, nil, err
	}
	done.Live = err == nil
	var blobs []ecr.Digest
	if done.Live {
		if err := unlisted(ctx, tx, at.Row.ID, d); err != nil {
			return done, nil, err
		}
		done.Tags = m.Image.Tags
		if blobs, err = tx.ImageBlobs(ctx, at.Row.ID, d); err != nil {
			return done, nil, err
		}
		if err := tx.DeleteManifest(ctx, at.Row.ID, d, why.At); err != nil {
			return done, nil, err
		}
	}
	for {
		e, err := tx.Retention().Bin(ctx, at.At.In, at.At.Name, d)
		if errors.Is(err, meta.ErrNotFound) {
			break
		}
		if err == nil {
			err = tx.Retention().DeleteBin(ctx, e.ID)
		}
		if err != nil {
			return done, nil, err
		}
		if !done.Live && done.Binned == 0 {
			m = e.Manifest
		}
		blobs = append(blobs, e.Manifest.Blobs...)
		done.Binned++
	}
	if !done.Live && done.Binned == 0 {
		return done, nil, ecr.ImageNotFound(at.At.In, at.At.Name, ecr.ImageID{Digest: d})
	}
	if files, err = tx.Retention().DropBlobs(ctx, at.Row.ID, blobs); err != nil {
		return done, nil, err
	}
	for _, b := range files {
		done.Blobs++
		done.SizeBytes += b.SizeBytes
	}
	if err := tx.Retention().EmptyJournal(ctx, at.At.In, at.At.Name, d); err != nil {
		return done, nil, err
	}
	return done, files, recordImage(ctx, tx, at.At, m, meta.JournalPurgeImage, m.Image.Tags, why)
}

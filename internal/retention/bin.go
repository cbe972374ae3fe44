package retention

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/gate"
	"github.com/kontor-registry/kontor/internal/manifest"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// BinnedImage is a deleted image that can be restored.
type BinnedImage struct {
	ID int64 // ascending in the order of deletion
	ecr.Repo
	Image     ecr.Image // as it was, with its tags
	DeletedAt time.Time
	ExpiresAt time.Time
	Actor     string // ARN of the principal, or "system: reason"
	Reason    string
	Rule      int // priority of the lifecycle rule; 0 for none
}

var opListBin = gate.Op("ListBin", "kontor:ListRecycleBin")

// ListBin returns at most limit deleted images of the repository name, or of
// all when name is empty, in the order of deletion, after the id after; and the
// id to continue after, 0 when that was all. The repository may be gone.
func (c *Caller) ListBin(ctx context.Context, in ecr.RegistryID, name ecr.RepositoryName, after int64, limit int) (list []BinnedImage, next int64, err error) {
	err = c.gate.Read(ctx, opListBin, func(ctx context.Context, r *gate.View) error {
		list, next = nil, 0
		shown, err := r.EnterNames(ctx, in, name)
		if err != nil {
			return err
		}
		rows, more, err := meta.Take(meta.Pages(after, limit+1, func(after int64, limit int) ([]meta.BinEntry, error) {
			return r.Retention().ListBin(ctx, in, name, after, limit)
		}, binID), limit, func(e *meta.BinEntry) (bool, error) { return shown(e.Name) })
		for _, e := range rows {
			list = append(list, BinnedImage{
				ID: e.ID, Repo: e.Registry.Repo(e.Name), Image: e.Manifest.Image, DeletedAt: e.DeletedAt,
				ExpiresAt: e.ExpiresAt, Actor: e.Actor, Reason: e.Reason, Rule: e.Rule,
			})
		}
		if more {
			next = list[limit-1].ID
		}
		return err
	})
	return list, next, err
}

func binID(e meta.BinEntry) int64 { return e.ID }

// Restored is what came back.
type Restored struct {
	// Images begin with the one that was asked for; the children of indexes
	// and the referrers that went with their subjects follow.
	Images []RestoredImage
	// Missing are children of restored indexes that are neither in the
	// repository nor in the bin.
	Missing []ecr.Digest
}

// RestoredImage is one image that came back.
type RestoredImage struct {
	Digest ecr.Digest
	Tags   []ecr.Tag // that came back
	// Taken are the tags that did not, because they point to another image by
	// now, with its digest.
	Taken []ecr.ImageID
	// Reason and Rule say why it had gone. A lifecycle rule that goes by age
	// counts from the restoration, as for images that return from the archive.
	Reason string
	Rule   int
}

var opRestoreImage = gate.Op("RestoreImage", "kontor:RestoreImage")

// RestoreImage brings the image d back from the bin to the repository that has
// the name now: with its tags where they are free, with the images that it
// lists, and with the referrers that were deleted with it or after it.
// Errors: RepositoryNotFound, ImageNotFound.
func (c *Caller) RestoreImage(ctx context.Context, at ecr.Repo, d ecr.Digest) (Restored, error) {
	var done Restored
	err := c.gate.ChangeRepository(ctx, opRestoreImage, at, func(ctx context.Context, tx *gate.Tx, repo meta.Repository) error {
		done = Restored{}
		if err := settled(ctx, tx, at); err != nil {
			return err
		}
		settings, err := tx.Registries().RegistrySettings(ctx, at.In)
		if err != nil {
			return err
		}
		restore := &restoration{
			s: c.s, tx: tx, at: at, repo: repo.ID, scene: gate.Scene{At: at, Row: repo, Settings: settings}, now: c.s.cfg.Now(), seen: map[ecr.Digest]bool{},
		}
		found, err := restore.image(ctx, d)
		if err == nil && !found {
			return notInBin(at, d)
		}
		done = restore.done
		return err
	})
	return done, err
}

func notInBin(at ecr.Repo, d ecr.Digest) error {
	return ecr.Errorf(ecr.CodeImageNotFound, "The image with imageId %s is not in the recycle bin of the repository with name '%s' in the registry with id '%s'",
		ecr.ImageID{Digest: d}, at.Name, at.In.Account)
}

// restoration is one RestoreImage in its transaction.
type restoration struct {
	s     *Service
	tx    *gate.Tx
	at    ecr.Repo
	repo  meta.RepositoryID
	scene gate.Scene
	now   time.Time
	seen  map[ecr.Digest]bool
	done  Restored
}

// image brings d back with all that belongs to it, and reports whether it was
// in the bin.
func (r *restoration) image(ctx context.Context, d ecr.Digest) (bool, error) {
	if r.seen[d] {
		return true, nil
	}
	e, err := r.tx.Retention().Bin(ctx, r.at.In, r.at.Name, d)
	if errors.Is(err, meta.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	r.seen[d] = true
	place := len(r.done.Images)
	r.done.Images = append(r.done.Images, RestoredImage{Digest: d, Reason: e.Reason, Rule: e.Rule})
	if err := r.children(ctx, e); err != nil {
		return false, err
	}
	m := e.Manifest
	m.Repository, m.Sparse = r.repo, true
	if m.Image.Status != ecr.StatusArchived {
		m.Image.Status, m.Image.ActivatedAt = ecr.StatusActive, r.now
	}
	parsed, err := manifest.Parse(m.Body, m.Image.MediaType)
	if err != nil {
		return false, fmt.Errorf("reading manifest %s of the recycle bin: %w", d, err)
	}
	m.Foreign = parsed.ForeignLayers()
	for _, b := range m.Blobs {
		if err := r.tx.LinkBlob(ctx, r.repo, b, r.now); err != nil {
			return false, err
		}
	}
	if err := r.tx.InsertManifest(ctx, m); err != nil && !errors.Is(err, meta.ErrExists) {
		return false, err
	}
	if err := r.tags(ctx, m, &r.done.Images[place]); err != nil {
		return false, err
	}
	if err := r.tx.Retention().DeleteBin(ctx, e.ID); err != nil {
		return false, err
	}
	why := Cause{At: r.now, Reason: "restored from the recycle bin"}
	if err := recordImage(ctx, r.tx, r.at, m, meta.JournalRestoreImage, r.done.Images[place].Tags, why); err != nil {
		return false, err
	}
	if told := r.s.cfg.Restored; told != nil {
		if err := told(ctx, r.tx, r.scene, m, r.done.Images[place].Tags); err != nil {
			return false, err
		}
	}
	return true, r.referrers(ctx, e)
}

func (r *restoration) children(ctx context.Context, e meta.BinEntry) error {
	missing, err := r.tx.MissingManifests(ctx, r.repo, e.Manifest.Children)
	if err != nil {
		return err
	}
	for _, child := range missing {
		found, err := r.image(ctx, child)
		if err != nil {
			return err
		}
		isBlob := slices.Contains(e.Manifest.Blobs, child) // it comes back with the index
		if !found && !isBlob && !slices.Contains(r.done.Missing, child) {
			r.done.Missing = append(r.done.Missing, child)
		}
	}
	return nil
}

func (r *restoration) tags(ctx context.Context, m meta.Manifest, to *RestoredImage) error {
	for _, tag := range m.Image.Tags {
		err := r.tx.PutTag(ctx, r.repo, meta.TagRow{Tag: tag, Digest: m.Image.Digest, TaggedAt: r.now}, false)
		if errors.Is(err, meta.ErrExists) {
			now, err := r.tx.Tag(ctx, r.repo, tag)
			if err != nil {
				return err
			}
			if now.Digest != m.Image.Digest {
				to.Taken = append(to.Taken, ecr.ImageID{Digest: now.Digest, Tag: tag})
				continue
			}
		} else if err != nil {
			return err
		}
		to.Tags = append(to.Tags, tag)
	}
	return nil
}

// binPage is how many entries of the bin are looked at in one step.
const binPage = 100

// referrers brings back what referred to e's image and was deleted with it or
// after it. What was deleted before was unwanted even then.
func (r *restoration) referrers(ctx context.Context, e meta.BinEntry) error {
	for ref, err := range meta.Pages(0, binPage, func(after int64, limit int) ([]meta.BinEntry, error) {
		return r.tx.Retention().ListBinReferrers(ctx, r.at.In, r.at.Name, e.Manifest.Image.Digest, after, limit)
	}, binID) {
		if err != nil {
			return err
		}
		if ref.DeletedAt.Before(e.DeletedAt) {
			continue
		}
		if _, err := r.image(ctx, ref.Manifest.Image.Digest); err != nil {
			return err
		}
	}
	return nil
}

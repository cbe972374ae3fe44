package registry

import (
	"context"
	"fmt"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/gate"
	"github.com/kontor-registry/kontor/internal/manifest"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// StorageClass is where an image is to be kept.
type StorageClass string

// The storage classes.
const (
	ClassStandard StorageClass = "STANDARD"
	ClassArchive  StorageClass = "ARCHIVE"
)

// settleStatus makes i say how it is at now. The store knows images on their
// way back from the archive as active ones that came back in the future: so
// nobody has to be there to finish the activation.
func (r *Registry) settleStatus(i *ecr.Image, now time.Time) {
	if i.Status == ecr.StatusActive && i.ActivatedAt.After(now) {
		i.Status = ecr.StatusActivating
	}
}

// pullable refuses images that are archived or on their way back.
// Amazon ECR user guide, "Archiving an image": they cannot be pulled. ECR
// answers as for an image that is not there.
func (r *Registry) pullable(at ecr.Repo, id ecr.ImageID, i *ecr.Image) error {
	r.settleStatus(i, r.cfg.Now())
	switch i.Status {
	case ecr.StatusArchived:
		return notPullable(at, id, "is archived: restore it to pull it")
	case ecr.StatusActivating:
		return notPullable(at, id, "is being restored from the archive: try again later")
	}
	return nil
}

func notPullable(at ecr.Repo, id ecr.ImageID, why string) error {
	return ecr.Errorf(ecr.CodeImageNotFound, "The image with imageId %s within the repository with name '%s' in the registry with id '%s' %s",
		id, at.Name, at.In.Account, why)
}

func isIndex(mediaType string) bool {
	return mediaType == manifest.MediaTypeOCIIndex || mediaType == manifest.MediaTypeDockerList
}

var opSetStorageClass = gate.Op("SetStorageClass", "ecr:UpdateImageStorageClass")

// SetStorageClass archives the image that id names, or brings it back, with the
// untagged images that refer to it; and returns what it then is: ARCHIVED, or
// ACTIVATING until it can be pulled. An image that an index lists which is not
// archived can not be archived.
// Errors: RepositoryNotFound, ImageNotFound, ImageStorageClassUpdateNotSupported.
func (c *Caller) SetStorageClass(ctx context.Context, at ecr.Repo, id ecr.ImageID, class StorageClass) (ecr.Image, error) {
	var image ecr.Image
	if f, bad := malformed(id); bad {
		return image, ecr.Errorf(ecr.CodeInvalidParameter, "%s", f.Reason)
	}
	err := c.gate.ChangeRepository(ctx, opSetStorageClass, at, func(ctx context.Context, tx *gate.Tx, repo meta.Repository) error {
		m, err := resolve(ctx, tx, at, repo.ID, id)
		if err != nil {
			return err
		}
		now := c.r.cfg.Now()
		c.r.settleStatus(&m.Image, now)
		why := deletion{at: now, reason: "by request"}
		image = m.Image
		if class == ClassArchive {
			image.Status = ecr.StatusArchived
			if m.Image.Status != ecr.StatusActive {
				return classNotSupported(at, id, "it is "+string(m.Image.Status)+", not ACTIVE")
			}
			if err := archivable(ctx, tx, at, id, m); err != nil {
				return err
			}
			return c.r.withReferrers(ctx, tx, m, func(m meta.Manifest) error { return c.r.archive(ctx, tx, at, m, why) })
		}
		image.Status = ecr.StatusActivating
		if m.Image.Status != ecr.StatusArchived {
			return classNotSupported(at, id, "it is "+string(m.Image.Status)+", not ARCHIVED")
		}
		why.at = now.Add(c.r.cfg.ActivationTime)
		return c.r.withReferrers(ctx, tx, m, func(m meta.Manifest) error { return c.r.activate(ctx, tx, at, m, why) })
	})
	return image, err
}

func classNotSupported(at ecr.Repo, id ecr.ImageID, why string) error {
	return ecr.Errorf(ecr.CodeStorageClassNotSupported,
		"The storage class of the image with imageId %s within the repository with name '%s' in the registry with id '%s' cannot be updated: %s",
		id, at.Name, at.In.Account, why)
}

// archivable refuses an image that an index lists which is not archived.
func archivable(ctx context.Context, r meta.ImageReader, at ecr.Repo, id ecr.ImageID, m meta.Manifest) error {
	parents, err := r.Parents(ctx, m.Repository, m.Image.Digest)
	if err != nil {
		return err
	}
	for _, p := range parents {
		index, err := r.Manifest(ctx, m.Repository, p)
		if err != nil {
			return err
		}
		if index.Image.Status != ecr.StatusArchived {
			return classNotSupported(at, id, fmt.Sprintf("it is referenced by manifest list: %s", digestList([]ecr.Digest{p})))
		}
	}
	return nil
}

// withReferrers does to m, and to the untagged images that refer to it and
// share its storage class.
func (r *Registry) withReferrers(ctx context.Context, tx *gate.Tx, m meta.Manifest, do func(meta.Manifest) error) error {
	if err := do(m); err != nil {
		return err
	}
	for ref, err := range meta.Referrers(ctx, tx, m.Repository, m.Image.Digest, "", surveyPage) {
		if err != nil {
			return err
		}
		// One that is of the other class is where it is to go.
		if len(ref.Image.Tags) > 0 || ref.Image.Status != m.Image.Status || ref.Image.Digest == m.Image.Digest {
			continue
		}
		if err := r.withReferrers(ctx, tx, ref, do); err != nil {
			return err
		}
	}
	return nil
}

// archive moves an image to the archive, and puts that on record.
func (r *Registry) archive(ctx context.Context, tx *gate.Tx, at ecr.Repo, m meta.Manifest, why deletion) error {
	if err := tx.Retention().AppendJournal(ctx, imageEntry(tx, at, m, meta.JournalArchiveImage, m.Image.Tags, why)); err != nil {
		return err
	}
	return tx.SetImageStatus(ctx, m.Repository, m.Image.Digest, ecr.StatusArchived, why.at)
}

// activate brings an image back, which is there from why.at on.
func (r *Registry) activate(ctx context.Context, tx *gate.Tx, at ecr.Repo, m meta.Manifest, why deletion) error {
	e := imageEntry(tx, at, m, meta.JournalActivateImage, m.Image.Tags, why)
	e.At = r.cfg.Now()
	if err := tx.Retention().AppendJournal(ctx, e); err != nil {
		return err
	}
	return tx.SetImageStatus(ctx, m.Repository, m.Image.Digest, ecr.StatusActive, why.at)
}

// reactivate brings an image back at once that is pushed again.
func (r *Registry) reactivate(ctx context.Context, tx *gate.Tx, at ecr.Repo, repo meta.RepositoryID, d ecr.Digest) (bool, error) {
	m, err := tx.Manifest(ctx, repo, d)
	if err != nil {
		return false, err
	}
	now := r.cfg.Now()
	if r.settleStatus(&m.Image, now); m.Image.Status == ecr.StatusActive {
		return false, nil
	}
	why := deletion{at: now, reason: "pushed again"}
	return true, r.withReferrers(ctx, tx, m, func(m meta.Manifest) error { return r.activate(ctx, tx, at, m, why) })
}

package registry

import (
	"context"
	"fmt"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/gate"
	"github.com/kontor-registry/kontor/internal/retention"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// StorageClass is where an image is to be kept.
type StorageClass string

// The storage classes.
const (
	ClassStandard StorageClass = "STANDARD"
	ClassArchive  StorageClass = "ARCHIVE"
)

// pullable refuses images that are archived or on their way back.
// Amazon ECR user guide, "Archiving an image": they cannot be pulled. ECR
// answers as for an image that is not there.
func (r *Registry) pullable(at ecr.Repo, id ecr.ImageID, i *ecr.Image) error {
	retention.Settle(i, r.cfg.Now())
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
	err := c.gate.Change(ctx, opSetStorageClass, func(ctx context.Context, tx *gate.Tx) error {
		s, err := tx.Enter(ctx, at)
		if err != nil {
			return err
		}
		m, err := resolve(ctx, tx, at, s.Row.ID, id)
		if err != nil {
			return err
		}
		now := c.r.cfg.Now()
		retention.Settle(&m.Image, now)
		const reason = "by request"
		image = m.Image
		if class == ClassArchive {
			image.Status = ecr.StatusArchived
			if m.Image.Status != ecr.StatusActive {
				return classNotSupported(at, id, "it is "+string(m.Image.Status)+", not ACTIVE")
			}
			if err := archivable(ctx, tx, at, id, m); err != nil {
				return err
			}
			return c.r.cfg.Retention.Archive(ctx, tx, at, m, retention.Cause{At: now, Reason: reason})
		}
		image.Status = ecr.StatusActivating
		if m.Image.Status != ecr.StatusArchived {
			return classNotSupported(at, id, "it is "+string(m.Image.Status)+", not ARCHIVED")
		}
		err = c.r.cfg.Retention.Activate(ctx, tx, at, m, reason, now.Add(c.r.cfg.ActivationTime))
		if err == nil && c.r.cfg.Pushed != nil {
			err = c.r.cfg.Pushed(ctx, tx, s, Pushed{m.Image.Digest, m.Image.Subject, m.Image.Tags, true, nil})
		}
		return err
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
		index, err := r.FindImage(ctx, m.Repository, ecr.ImageID{Digest: p})
		if err != nil {
			return err
		}
		if index.Image.Status != ecr.StatusArchived {
			return classNotSupported(at, id, fmt.Sprintf("it is referenced by manifest list: %s", ecr.DigestList([]ecr.Digest{p})))
		}
	}
	return nil
}

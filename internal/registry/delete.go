package registry

import (
	"context"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/gate"
	"github.com/kontor-registry/kontor/internal/retention"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

var opBatchDeleteImage = gate.Op("BatchDeleteImage", "ecr:BatchDeleteImage")

// BatchDeleteImage deletes images: by tag the tag, and with its last tag the
// image; by digest, with or without one of its tags, the image with all tags. It
// returns a pair for each tag that went. The ids may be malformed; that is a failure
// of the item. Large images go in several transactions: with an error, some may be
// gone.
func (c *Caller) BatchDeleteImage(ctx context.Context, at ecr.Repo, ids []ecr.ImageID) ([]ecr.ImageID, []ImageFailure, error) {
	var (
		gone     []ecr.ImageID
		failures []ImageFailure
	)
	why := c.r.byRequest()
	for first, done := true, 0; first || done < len(ids); first = false {
		var (
			next   int
			went   []ecr.ImageID
			failed []ImageFailure
		)
		err := c.gate.ChangeRepository(ctx, opBatchDeleteImage, at, func(ctx context.Context, tx *gate.Tx, repo meta.Repository) error {
			next, went, failed = done, nil, nil
			for work := (retention.Work{}); next < len(ids) && !work.Full(); next++ {
				id := ids[next]
				if f, bad := malformed(id); bad {
					failed = append(failed, f)
					continue
				}
				some, err := c.r.deleteOne(ctx, tx, at, repo, id, why, &work)
				if f, bad := itemFailure(id, err); bad {
					failed = append(failed, f)
					continue
				}
				if err != nil {
					return err
				}
				went = append(went, some...)
			}
			return nil
		})
		if err != nil {
			return nil, nil, err
		}
		done, gone, failures = next, append(gone, went...), append(failures, failed...)
	}
	return gone, failures, nil
}

// deleteOne deletes what id names, in ECR's sense, and adds it to work.
func (r *Registry) deleteOne(ctx context.Context, tx *gate.Tx, at ecr.Repo, repo meta.Repository, id ecr.ImageID, why retention.Cause, work *retention.Work) ([]ecr.ImageID, error) {
	m, err := resolve(ctx, tx, at, repo.ID, id)
	if err != nil {
		return nil, err
	}
	d := m.Image.Digest
	if id.Digest == "" && len(m.Image.Tags) > 1 {
		return []ecr.ImageID{{Digest: d, Tag: id.Tag}}, r.cfg.Retention.DeleteTag(ctx, tx, at, m, id.Tag)
	}
	work.Add(m)
	if err := r.deleteImage(ctx, tx, at, m, why); err != nil {
		return nil, err
	}
	if len(m.Image.Tags) == 0 {
		return []ecr.ImageID{{Digest: d}}, nil
	}
	var gone []ecr.ImageID
	for _, t := range m.Image.Tags {
		gone = append(gone, ecr.ImageID{Digest: d, Tag: t})
	}
	return gone, nil
}

// deleteImage deletes an image that resolve found: its manifest goes on record.
func (r *Registry) deleteImage(ctx context.Context, tx *gate.Tx, at ecr.Repo, m meta.Manifest, why retention.Cause) error {
	body, err := tx.ManifestBody(ctx, m.Repository, m.Image.Digest)
	if err != nil {
		return err
	}
	m.Body = body
	return r.cfg.Retention.DeleteImage(ctx, tx, at, m, why)
}

func (r *Registry) byRequest() retention.Cause { return retention.ByRequest(r.cfg.Now()) }

var opDeleteManifest = gate.Op("DeleteManifest", "ecr:BatchDeleteImage")

// DeleteManifest deletes the image d with all its tags (OCI).
// Errors: RepositoryNotFound, ImageNotFound, ReferencedByManifestList.
func (c *Caller) DeleteManifest(ctx context.Context, at ecr.Repo, d ecr.Digest) error {
	return c.gate.ChangeRepository(ctx, opDeleteManifest, at, func(ctx context.Context, tx *gate.Tx, repo meta.Repository) error {
		m, err := resolve(ctx, tx, at, repo.ID, ecr.ImageID{Digest: d})
		if err != nil {
			return err
		}
		return c.r.deleteImage(ctx, tx, at, m, c.r.byRequest())
	})
}

var opDeleteTag = gate.Op("DeleteTag", "ecr:BatchDeleteImage")

// DeleteTag removes a tag and keeps the image (OCI).
// Errors: RepositoryNotFound, ImageNotFound.
func (c *Caller) DeleteTag(ctx context.Context, at ecr.Repo, tag ecr.Tag) error {
	return c.gate.ChangeRepository(ctx, opDeleteTag, at, func(ctx context.Context, tx *gate.Tx, repo meta.Repository) error {
		m, err := resolve(ctx, tx, at, repo.ID, ecr.ImageID{Tag: tag})
		if err != nil {
			return err
		}
		return c.r.cfg.Retention.DeleteTag(ctx, tx, at, m, tag)
	})
}

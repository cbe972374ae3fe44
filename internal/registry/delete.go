package registry

import (
	"context"
	"errors"
	"slices"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

var opBatchDeleteImage = Operation{"BatchDeleteImage", []access.Action{"ecr:BatchDeleteImage"}}

// BatchDeleteImage deletes images: by tag the tag, and with its last tag the
// image; by digest the image with all tags. It returns a pair for each tag
// that went. The ids may be malformed; that is a failure of the item.
func (c *Caller) BatchDeleteImage(ctx context.Context, at Repo, ids []ecr.ImageID) ([]ecr.ImageID, []ImageFailure, error) {
	var (
		gone     []ecr.ImageID
		failures []ImageFailure
	)
	err := c.update(ctx, opBatchDeleteImage, at, func(ctx context.Context, tx meta.Tx, repo meta.Repository) error {
		gone, failures = nil, nil
		for _, id := range ids {
			if f, bad := malformed(id); bad {
				failures = append(failures, f)
				continue
			}
			ids, err := c.deleteOne(ctx, tx, at, repo, id)
			if f, failed := itemFailure(id, err); failed {
				failures = append(failures, f)
				continue
			}
			if err != nil {
				return err
			}
			gone = append(gone, ids...)
		}
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	return gone, failures, nil
}

// deleteOne deletes what id names, in ECR's sense.
func (c *Caller) deleteOne(ctx context.Context, tx meta.Tx, at Repo, repo meta.Repository, id ecr.ImageID) ([]ecr.ImageID, error) {
	m, err := resolve(ctx, tx, at, repo.ID, id)
	if err != nil {
		return nil, err
	}
	d := m.Image.Digest
	if id.Tag != "" && len(m.Image.Tags) > 1 {
		return []ecr.ImageID{{Digest: d, Tag: id.Tag}}, c.deleteTag(ctx, tx, at, repo, id.Tag, m)
	}
	if err := c.deleteImage(ctx, tx, at, repo, m, "deleted by request"); err != nil {
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

// deleteImage removes an image and puts it on record. The record comes second
// because an item of a batch may fail without failing the transaction.
func (c *Caller) deleteImage(ctx context.Context, tx meta.Tx, at Repo, repo meta.Repository, m meta.Manifest, reason string) error {
	err := tx.DeleteManifest(ctx, repo.ID, m.Image.Digest)
	if errors.Is(err, meta.ErrReferenced) {
		return referencedByList(ctx, tx, repo.ID, m.Image.Digest)
	}
	if err != nil {
		return err
	}
	return c.journal(ctx, tx, at, m, meta.JournalDeleteImage, m.Image.Tags, reason)
}

func (c *Caller) deleteTag(ctx context.Context, tx meta.Tx, at Repo, repo meta.Repository, tag ecr.Tag, m meta.Manifest) error {
	if err := c.journal(ctx, tx, at, m, meta.JournalDeleteTag, []ecr.Tag{tag}, "deleted by request"); err != nil {
		return err
	}
	return tx.DeleteTag(ctx, repo.ID, tag)
}

func referencedByList(ctx context.Context, r meta.ImageReader, repo meta.RepositoryID, d ecr.Digest) error {
	parents, err := r.Parents(ctx, repo, d)
	if err != nil {
		return err
	}
	return ecr.Errorf(ecr.CodeReferencedByManifestList, "Requested image referenced by manifest list: %s", digestList(parents))
}

// journal records that m, or tags of it, go.
func (c *Caller) journal(ctx context.Context, tx meta.JournalWriter, at Repo, m meta.Manifest, op meta.JournalOp, tags []ecr.Tag, reason string) error {
	e := meta.JournalEntry{
		At: c.r.cfg.Now(), Registry: at.In, Name: at.Name, Repository: m.Repository, Op: op,
		Digest: m.Image.Digest, Tags: slices.Clone(tags), MediaType: m.Image.MediaType, SizeBytes: m.Image.SizeBytes,
		Actor: c.p.String(), Reason: reason,
	}
	if op == meta.JournalDeleteImage {
		e.Body = m.Body
	}
	return tx.AppendJournal(ctx, e)
}

// entry records that something of the repository itself goes.
func (c *Caller) entry(at Repo, repo meta.Repository, op meta.JournalOp, body []byte) meta.JournalEntry {
	return meta.JournalEntry{
		At: c.r.cfg.Now(), Registry: at.In, Name: at.Name, Repository: repo.ID, Op: op,
		Body: body, Actor: c.p.String(), Reason: "deleted by request",
	}
}

// journalAll records every image of a repository that goes as a whole.
func (c *Caller) journalAll(ctx context.Context, tx meta.Tx, repo meta.Repository, reason string) error {
	const page = 500
	at := Repo{repo.Registry, repo.Name}
	var after ecr.Digest
	for {
		list, err := tx.ListManifests(ctx, repo.ID, after, page)
		if err != nil {
			return err
		}
		for _, row := range list {
			m, err := tx.Manifest(ctx, repo.ID, row.Image.Digest)
			if err != nil {
				return err
			}
			if err := c.journal(ctx, tx, at, m, meta.JournalDeleteImage, m.Image.Tags, reason); err != nil {
				return err
			}
		}
		if len(list) < page {
			return nil
		}
		after = list[len(list)-1].Image.Digest
	}
}

var opDeleteManifest = Operation{"DeleteManifest", []access.Action{"ecr:BatchDeleteImage"}}

// DeleteManifest deletes the image d with all its tags (OCI).
// Errors: RepositoryNotFound, ImageNotFound, ReferencedByManifestList.
func (c *Caller) DeleteManifest(ctx context.Context, at Repo, d ecr.Digest) error {
	return c.update(ctx, opDeleteManifest, at, func(ctx context.Context, tx meta.Tx, repo meta.Repository) error {
		m, err := resolve(ctx, tx, at, repo.ID, ecr.ImageID{Digest: d})
		if err != nil {
			return err
		}
		return c.deleteImage(ctx, tx, at, repo, m, "deleted by request")
	})
}

var opDeleteTag = Operation{"DeleteTag", []access.Action{"ecr:BatchDeleteImage"}}

// DeleteTag removes a tag and keeps the image (OCI).
// Errors: RepositoryNotFound, ImageNotFound.
func (c *Caller) DeleteTag(ctx context.Context, at Repo, tag ecr.Tag) error {
	return c.update(ctx, opDeleteTag, at, func(ctx context.Context, tx meta.Tx, repo meta.Repository) error {
		m, err := resolve(ctx, tx, at, repo.ID, ecr.ImageID{Tag: tag})
		if err != nil {
			return err
		}
		return c.deleteTag(ctx, tx, at, repo, tag, m)
	})
}

package registry

import (
	"context"
	"slices"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/gate"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

var opBatchDeleteImage = gate.Op("BatchDeleteImage", "ecr:BatchDeleteImage")

// BatchDeleteImage deletes images: by tag the tag, and with its last tag the
// image; by digest the image with all tags. It returns a pair for each tag
// that went. The ids may be malformed; that is a failure of the item.
func (c *Caller) BatchDeleteImage(ctx context.Context, at ecr.Repo, ids []ecr.ImageID) ([]ecr.ImageID, []ImageFailure, error) {
	var (
		gone     []ecr.ImageID
		failures []ImageFailure
	)
	err := c.gate.ChangeRepository(ctx, opBatchDeleteImage, at, func(ctx context.Context, tx *gate.Tx, repo meta.Repository) error {
		gone, failures = nil, nil
		why := c.r.byRequest()
		for _, id := range ids {
			if f, bad := malformed(id); bad {
				failures = append(failures, f)
				continue
			}
			ids, err := c.r.deleteOne(ctx, tx, at, repo, id, why)
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
func (r *Registry) deleteOne(ctx context.Context, tx *gate.Tx, at ecr.Repo, repo meta.Repository, id ecr.ImageID, why deletion) ([]ecr.ImageID, error) {
	m, err := resolve(ctx, tx, at, repo.ID, id)
	if err != nil {
		return nil, err
	}
	d := m.Image.Digest
	if id.Tag != "" && len(m.Image.Tags) > 1 {
		return []ecr.ImageID{{Digest: d, Tag: id.Tag}}, r.deleteTag(ctx, tx, at, repo, id.Tag, m)
	}
	if err := r.deleteImage(ctx, tx, at, repo, m, why); err != nil {
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

// deletion says when and why images go. All that go in one transaction go at
// one time: that is how the bin knows what belongs together.
type deletion struct {
	at     time.Time
	reason string
	rule   int // priority of the lifecycle rule; 0 for none
}

func (r *Registry) byRequest() deletion {
	return deletion{at: r.cfg.Now(), reason: "deleted by request"}
}

// deleteImage puts an image on record, moves it to the recycle bin where there
// is one, and removes it. m has its body and tags. It fails before it changes
// anything where an index lists the image, so that an item of a batch may fail
// without failing the transaction. Errors: ReferencedByManifestList.
func (r *Registry) deleteImage(ctx context.Context, tx *gate.Tx, at ecr.Repo, repo meta.Repository, m meta.Manifest, why deletion) error {
	if err := unlisted(ctx, tx, repo.ID, m.Image.Digest); err != nil {
		return err
	}
	if err := r.recycle(ctx, tx, at, m, why); err != nil {
		return err
	}
	return tx.DeleteManifest(ctx, repo.ID, m.Image.Digest, why.at)
}

// recycle puts an image that is about to go on record, and into the bin.
func (r *Registry) recycle(ctx context.Context, tx *gate.Tx, at ecr.Repo, m meta.Manifest, why deletion) error {
	e := imageEntry(tx, at, m, meta.JournalDeleteImage, m.Image.Tags, why)
	if err := tx.Retention().AppendJournal(ctx, e); err != nil || r.cfg.RecycleTime <= 0 {
		return err
	}
	b := meta.BinEntry{
		Registry: at.In, Name: at.Name, Repository: m.Repository,
		DeletedAt: why.at, ExpiresAt: why.at.Add(r.cfg.RecycleTime), Actor: e.Actor, Reason: why.reason, Rule: why.rule,
	}
	b.Manifest.Image.Digest = m.Image.Digest
	_, err := tx.Retention().BinManifest(ctx, b)
	return err
}

func (r *Registry) deleteTag(ctx context.Context, tx *gate.Tx, at ecr.Repo, repo meta.Repository, tag ecr.Tag, m meta.Manifest) error {
	if err := tx.Retention().AppendJournal(ctx, imageEntry(tx, at, m, meta.JournalDeleteTag, []ecr.Tag{tag}, r.byRequest())); err != nil {
		return err
	}
	return tx.DeleteTag(ctx, repo.ID, tag)
}

// unlisted refuses an image that an index of the repository lists.
func unlisted(ctx context.Context, rd meta.ImageReader, repo meta.RepositoryID, d ecr.Digest) error {
	parents, err := rd.Parents(ctx, repo, d)
	if err != nil || len(parents) == 0 {
		return err
	}
	return ecr.Errorf(ecr.CodeReferencedByManifestList, "Requested image referenced by manifest list: %s", digestList(parents))
}

// imageEntry records what happens to m, or to tags of it.
func imageEntry(tx *gate.Tx, at ecr.Repo, m meta.Manifest, op meta.JournalOp, tags []ecr.Tag, why deletion) meta.JournalEntry {
	e := meta.JournalEntry{
		At: why.at, Registry: at.In, Name: at.Name, Repository: m.Repository, Op: op,
		Digest: m.Image.Digest, Tags: slices.Clone(tags), MediaType: m.Image.MediaType, SizeBytes: m.Image.SizeBytes,
		Actor: tx.Principal().String(), Reason: why.reason, Rule: why.rule, RequestID: tx.Principal().Request.ID,
	}
	if op == meta.JournalDeleteImage {
		e.Body = m.Body
	}
	return e
}

// entry records that something of the repository itself goes.
func (r *Registry) entry(tx *gate.Tx, at ecr.Repo, repo meta.Repository, op meta.JournalOp, body []byte) meta.JournalEntry {
	return meta.JournalEntry{
		At: r.cfg.Now(), Registry: at.In, Name: at.Name, Repository: repo.ID, Op: op,
		Body: body, Actor: tx.Principal().String(), Reason: "deleted by request", RequestID: tx.Principal().Request.ID,
	}
}

// journalAll records every image of a repository that goes as a whole, and puts
// it into the recycle bin.
func (r *Registry) journalAll(ctx context.Context, tx *gate.Tx, repo meta.Repository, reason string) error {
	at := repo.Registry.Repo(repo.Name)
	why := deletion{at: r.cfg.Now(), reason: reason}
	for row, err := range meta.Images(ctx, tx, repo.ID, "", 500) {
		if err != nil {
			return err
		}
		m, err := tx.Manifest(ctx, repo.ID, row.Image.Digest)
		if err == nil {
			err = r.recycle(ctx, tx, at, m, why)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

var opDeleteManifest = gate.Op("DeleteManifest", "ecr:BatchDeleteImage")

// DeleteManifest deletes the image d with all its tags (OCI).
// Errors: RepositoryNotFound, ImageNotFound, ReferencedByManifestList.
func (c *Caller) DeleteManifest(ctx context.Context, at ecr.Repo, d ecr.Digest) error {
	return c.gate.ChangeRepository(ctx, opDeleteManifest, at, func(ctx context.Context, tx *gate.Tx, repo meta.Repository) error {
		m, err := resolve(ctx, tx, at, repo.ID, ecr.ImageID{Digest: d})
		if err != nil {
			return err
		}
		return c.r.deleteImage(ctx, tx, at, repo, m, c.r.byRequest())
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
		return c.r.deleteTag(ctx, tx, at, repo, tag, m)
	})
}

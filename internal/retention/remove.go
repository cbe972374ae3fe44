package retention

import (
	"context"
	"slices"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/events"
	"github.com/kontor-registry/kontor/internal/gate"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// Cause says when and why images go. All that go in one transaction go at
// one time: that is how the bin knows what belongs together.
type Cause struct {
	At     time.Time
	Reason string
	Rule   int // priority of the lifecycle rule; 0 for none
	// Actor asked for it, with the request RequestID; "" for who asks now.
	Actor, RequestID string
}

// ByRequest is the cause of what a caller asked for.
func ByRequest(now time.Time) Cause { return Cause{At: now, Reason: "deleted by request"} }

func (s *Service) byRequest() Cause { return ByRequest(s.cfg.Now()) }

// DeleteImage puts an image on record, moves it to the recycle bin where there
// is one, and removes it. m has its body and tags. It fails before it changes
// anything where an index lists the image, so that an item of a batch may fail
// without failing the transaction. Errors: ReferencedByManifestList.
func (s *Service) DeleteImage(ctx context.Context, tx *gate.Tx, at ecr.Repo, m meta.Manifest, why Cause) error {
	if err := unlisted(ctx, tx, m.Repository, m.Image.Digest); err != nil {
		return err
	}
	if err := s.recycle(ctx, tx, at, m, why); err != nil {
		return err
	}
	if err := s.deleted(ctx, tx, at, m, append(slices.Clone(m.Image.Tags), "")...); err != nil {
		return err
	}
	return tx.DeleteManifest(ctx, m.Repository, m.Image.Digest, why.At)
}

// deleted tells Config.Deleted.
func (s *Service) deleted(ctx context.Context, tx *gate.Tx, at ecr.Repo, m meta.Manifest, tags ...ecr.Tag) error {
	if s.cfg.Deleted == nil {
		return nil
	}
	for _, tag := range tags {
		if err := s.cfg.Deleted(ctx, tx, at, m.Repository, ecr.ImageID{Digest: m.Image.Digest, Tag: tag}); err != nil {
			return err
		}
	}
	return nil
}

// recycle records an image that is about to be deleted, and moves it to the bin.
func (s *Service) recycle(ctx context.Context, tx *gate.Tx, at ecr.Repo, m meta.Manifest, why Cause) error {
	e := imageEntry(tx, at, m, meta.JournalDeleteImage, m.Image.Tags, why)
	if err := Record(ctx, tx, e, m.Image); err != nil || s.cfg.RecycleTime <= 0 {
		return err
	}
	b := meta.BinEntry{
		Registry: at.In, Name: at.Name, Repository: m.Repository,
		DeletedAt: why.At, ExpiresAt: why.At.Add(s.cfg.RecycleTime), Actor: e.Actor, Reason: why.Reason, Rule: why.Rule,
	}
	b.Manifest.Image.Digest = m.Image.Digest
	_, err := tx.Retention().BinManifest(ctx, b)
	return err
}

// DeleteTag takes a tag from the image m, and puts that on record.
func (s *Service) DeleteTag(ctx context.Context, tx *gate.Tx, at ecr.Repo, m meta.Manifest, tag ecr.Tag) error {
	if err := recordImage(ctx, tx, at, m, meta.JournalDeleteTag, []ecr.Tag{tag}, s.byRequest()); err != nil {
		return err
	}
	if err := s.deleted(ctx, tx, at, m, tag); err != nil {
		return err
	}
	return tx.DeleteTag(ctx, m.Repository, tag)
}

// unlisted refuses an image that an index of the repository lists.
func unlisted(ctx context.Context, r meta.ImageReader, repo meta.RepositoryID, d ecr.Digest) error {
	parents, err := r.Parents(ctx, repo, d)
	if err != nil || len(parents) == 0 {
		return err
	}
	return ecr.Errorf(ecr.CodeReferencedByManifestList, "Requested image referenced by manifest list: %s", ecr.DigestList(parents))
}

// Entry is the journal's of what happens in a repository, in the name of who
// asked in tx. The rest is for the caller to fill in.
func Entry(tx *gate.Tx, at ecr.Repo, repo meta.RepositoryID, op meta.JournalOp, why Cause) meta.JournalEntry {
	e := meta.JournalEntry{
		At: why.At, Registry: at.In, Name: at.Name, Repository: repo, Op: op,
		Actor: why.Actor, Reason: why.Reason, Rule: why.Rule, RequestID: why.RequestID,
	}
	if e.Actor == "" {
		p := tx.Principal()
		e.Actor, e.RequestID = p.String(), p.Request.ID
	}
	return e
}

// Record puts e, which is about image or where that is zero about none, on record, and
// has those told who want to know.
func Record(ctx context.Context, tx *gate.Tx, e meta.JournalEntry, image ecr.Image) error {
	if told, ok := events.OfJournal(e, image); ok {
		tx.Emit(told)
	}
	return tx.Retention().AppendJournal(ctx, e)
}

// recordImage is Record for what happens to m, or to tags of it.
func recordImage(ctx context.Context, tx *gate.Tx, at ecr.Repo, m meta.Manifest, op meta.JournalOp, tags []ecr.Tag, why Cause) error {
	return Record(ctx, tx, imageEntry(tx, at, m, op, tags, why), m.Image)
}

// imageEntry is what the journal says of m, or of tags of it.
func imageEntry(tx *gate.Tx, at ecr.Repo, m meta.Manifest, op meta.JournalOp, tags []ecr.Tag, why Cause) meta.JournalEntry {
	e := Entry(tx, at, m.Repository, op, why)
	e.Digest, e.Tags, e.MediaType, e.SizeBytes = m.Image.Digest, slices.Clone(tags), m.Image.MediaType, m.Image.SizeBytes
	if op == meta.JournalDeleteImage {
		e.Body = m.Body
	}
	return e
}

package replication

import (
	"context"
	"errors"
	"slices"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/gate"
	"github.com/kontor-registry/kontor/internal/retention"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// opReplicateDeletion is what a destination must let the service-linked role do where
// deletions are replicated, which ECR does not do.
var opReplicateDeletion = gate.Op("ReplicateDeletion", "ecr:BatchDeleteImage")

// deletionPolicy lets the service-linked role ask for it.
var deletionPolicy = access.Document{
	Name: "replicated deletions",
	Text: `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"ecr:BatchDeleteImage","Resource":"*"}]}`,
}

// deleteHere deletes at a destination on this server what was deleted at the source: the
// tag, where it stands for that image, and the image when no tag is left and no index
// lists it. Whatever else the destination has stays.
func (s *Service) deleteHere(ctx context.Context, task meta.Replication) error {
	p := actorOf(task.Source)
	p.Documents = append(p.Documents, deletionPolicy)
	to := task.To.Repo(task.Name)
	return s.cfg.Gate.As(p).Change(ctx, opReplicateDeletion, func(ctx context.Context, tx *gate.Tx) error {
		scene, err := tx.Enter(ctx, to)
		if ecr.CodeOf(err) == ecr.CodeRepositoryNotFound {
			return nil
		}
		if err != nil {
			return err
		}
		image, tag, err := stillThere(ctx, tx, task)
		if err != nil || image && task.Image.Tag == "" || tag {
			return err // pushed again
		}
		m, err := tx.Manifest(ctx, scene.Row.ID, task.Image.Digest)
		if errors.Is(err, meta.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		if t := task.Image.Tag; slices.Contains(m.Image.Tags, t) {
			if image || len(m.Image.Tags) > 1 {
				return s.cfg.Retention.DeleteTag(ctx, tx, to, m, t)
			}
		} else if image || len(m.Image.Tags) > 0 {
			return nil
		}
		err = s.cfg.Retention.DeleteImage(ctx, tx, to, m, retention.Cause{At: s.cfg.Now(), Reason: "deleted in " + task.Source.String()})
		switch {
		case ecr.CodeOf(err) != ecr.CodeReferencedByManifestList:
			return err
		case len(m.Image.Tags) > 0:
			return s.cfg.Retention.DeleteTag(ctx, tx, to, m, task.Image.Tag)
		}
		return nil
	})
}

// stillThere reports whether the source has the image, and the tag for it.
func stillThere(ctx context.Context, tx *gate.Tx, task meta.Replication) (image, tag bool, err error) {
	row, err := tx.Repository(ctx, task.Source, task.Name)
	if err == nil {
		_, err = tx.FindImage(ctx, row.ID, ecr.ImageID{Digest: task.Image.Digest})
	}
	if image = err == nil; image && task.Image.Tag != "" {
		var t meta.TagRow
		t, err = tx.Tag(ctx, row.ID, task.Image.Tag)
		tag = err == nil && t.Digest == task.Image.Digest
	}
	if errors.Is(err, meta.ErrNotFound) {
		err = nil
	}
	return image, tag, err
}

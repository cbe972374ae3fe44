package registry

import (
	"context"
	"errors"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/gate"
	"github.com/kontor-registry/kontor/internal/retention"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// mountSource is what mounting asks for in the repository mounted from.
const mountSource access.Action = "ecr:GetDownloadUrlForLayer"

// mountTarget is what mounting asks for in the repository mounted to.
const mountTarget access.Action = "ecr:InitiateLayerUpload"

var opMountBlob = gate.Op("MountBlob", mountTarget).Hot()

// MountBlob makes a blob of from visible in at. It reports false, without an
// error, when the caller must upload it instead: the blob is not there, was found to be
// damaged, or the caller may not read it there. What a caller cannot read it cannot mount, and
// the answer does not tell which of the two it was.
func (c *Caller) MountBlob(ctx context.Context, at, from ecr.Repo, d ecr.Digest) (BlobInfo, bool, error) {
	var (
		mounted bool
		b       meta.Blob
	)
	err := c.r.pushTo(ctx, c.gate, opMountBlob, at, func(ctx context.Context, tx *gate.Tx, s gate.Scene) error {
		mounted = false
		source, err := tx.EnterFor(ctx, from, mountSource)
		if code := ecr.CodeOf(err); code == ecr.CodeAccessDenied || code == ecr.CodeRepositoryNotFound {
			return nil
		}
		if err != nil {
			return err
		}
		b, err = tx.Blob(ctx, source.Row.ID, d)
		if errors.Is(err, meta.ErrNotFound) || err == nil && c.r.content.damaged(b.Key) {
			return nil
		}
		if err != nil {
			return err
		}
		if c.r.Compat(at.In) == CompatECR {
			// ECR mounts only what an image of the source refers to, within
			// one registry, and unless the registry's setting forbids it.
			used, err := tx.BlobIsUsed(ctx, source.Row.ID, d)
			if err != nil || !used || at.In != from.In {
				return err
			}
			settings, err := tx.Registries().RegistrySettings(ctx, at.In)
			if err != nil || accountSetting(settings, SettingBlobMounting) != "ENABLED" {
				return err
			}
		}
		mounted = true
		return tx.LinkBlob(ctx, s.Row.ID, d, c.r.cfg.Now())
	})
	return info(b), mounted && err == nil, err
}

var opFindBlob = gate.Op("FindBlob", mountTarget)

// findPage is how many repositories FindBlob looks at in one snapshot.
const findPage = 100

// FindBlob returns a repository of at's registry from which the caller may
// mount d: one that has it and where the caller may read it, be it at itself.
// It reports false when there is none; whether others have it is not told.
// In CompatECR there is never one: ECR does not search.
func (c *Caller) FindBlob(ctx context.Context, at ecr.Repo, d ecr.Digest) (from ecr.Repo, found bool, err error) {
	var after ecr.RepositoryName
	for {
		more := false
		err := c.gate.Read(ctx, opFindBlob, func(ctx context.Context, v *gate.View) error {
			here, _, err := v.EnterOrDraft(ctx, at, c.r.pushDraft(v.Registries(), at), pushActions...)
			if err != nil {
				return err
			}
			if c.r.Compat(at.In) == CompatECR {
				return nil
			}
			list, err := v.ListBlobRepositories(ctx, at.In, d, after, findPage)
			if err != nil {
				return err
			}
			for _, row := range list {
				from = row.Registry.Repo(row.Name)
				if v.Would(gate.Scene{At: from, Row: row, Settings: here.Settings}, mountSource) == nil {
					b, err := v.Blob(ctx, row.ID, d)
					found = err == nil && !c.r.content.damaged(b.Key)
					return err
				}
				after = row.Name
			}
			more = len(list) == findPage
			return nil
		})
		if err != nil || found || !more {
			return from, found, err
		}
	}
}

var opDeleteBlob = gate.Op("DeleteBlob", "ecr:BatchDeleteImage")

// DeleteBlob takes a blob from the repository (OCI); other repositories keep
// it. One that an image refers to stays. ECR has no such operation and no
// action for it; who may delete images may.
// Errors: RepositoryNotFound, LayersNotFound, ReferencedByManifestList,
// InvalidParameter in CompatECR.
func (c *Caller) DeleteBlob(ctx context.Context, at ecr.Repo, d ecr.Digest) error {
	return c.gate.ChangeRepository(ctx, opDeleteBlob, at, func(ctx context.Context, tx *gate.Tx, repo meta.Repository) error {
		if c.r.Compat(at.In) == CompatECR {
			return ecr.InvalidParameter("layerDigest", "layers cannot be deleted; the registry collects those that no image refers to")
		}
		b, err := tx.Blob(ctx, repo.ID, d)
		if errors.Is(err, meta.ErrNotFound) {
			return layerNotFound(at, d)
		}
		if err != nil {
			return err
		}
		err = tx.UnlinkBlob(ctx, repo.ID, d)
		if errors.Is(err, meta.ErrReferenced) {
			return ecr.Errorf(ecr.CodeReferencedByManifestList, "Requested layer referenced by an image: %s", d)
		}
		if err != nil {
			return err
		}
		e := retention.Entry(tx, at, repo.ID, meta.JournalDeleteBlob, c.r.byRequest())
		e.Digest, e.SizeBytes = d, b.SizeBytes
		return tx.Retention().AppendJournal(ctx, e)
	})
}

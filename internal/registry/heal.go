package registry

import (
	"context"
	"errors"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/gate"
	"github.com/kontor-registry/kontor/internal/store/blob"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// Content that was found to be damaged or missing counts as not there for who would push
// it: clients leave out what the registry has, so they would never send it again. When
// it comes, it takes the place of what is damaged.

// lost is the error of a client that asks whether the repository has b, when opening b
// failed with err.
func (r *Registry) lost(ctx context.Context, at ecr.Repo, b meta.Blob, err error) error {
	if !r.content.damaged(b.Key) || errors.Is(err, blob.ErrUnavailable) || ctx.Err() != nil {
		return err
	}
	r.cfg.Log.WarnContext(ctx, "a damaged blob counts as missing until it is pushed again", "registry", at.In, "repository", at.Name, "digest", b.Digest, "key", b.Key, "error", err)
	return layerNotFound(at, b.Digest)
}

// heal keeps b, which was just committed, in place of damaged content, and reports
// whether it does. The content of b is durable, and what its digest says.
func (r *Registry) heal(ctx context.Context, damaged, b meta.Blob) bool {
	ctx = context.WithoutCancel(ctx)
	err := r.cfg.Gate.System("damaged blobs").Change(ctx, gate.Op("ReplaceBlob"), func(ctx context.Context, tx *gate.Tx) error {
		return tx.Retention().ReplaceBlob(ctx, damaged.Key, b)
	})
	if err != nil {
		r.cfg.Log.WarnContext(ctx, "a damaged blob was not replaced", "digest", b.Digest, "key", damaged.Key, "error", err)
		return false
	}
	r.cfg.Log.InfoContext(ctx, "a damaged blob was replaced by what was pushed", "digest", b.Digest, "key", b.Key)
	if err := r.cfg.Blobs.Delete(ctx, damaged.Key); err != nil { // an orphan, then
		r.cfg.Log.WarnContext(ctx, "surplus blob not deleted", "key", damaged.Key, "error", err)
	}
	return true
}

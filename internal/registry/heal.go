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

// errNotLooked: before a pushed copy is dropped, the content that the registry has
// already has to be looked at, which no transaction can wait for.
var errNotLooked = errors.New("it is not known whether the content is whole")

// isWhole looks at content that the registry has, and reports whether a pushed copy of it
// is surplus: it is there, has its size, and was read by this process within contentFor
// or is read now. Whoever asked for it may have asked another replica, or before a start:
// what they found is not known here. Content that cannot be read now is not whole.
func (r *Registry) isWhole(ctx context.Context, b meta.Blob) bool {
	if r.content.damaged(b.Key) {
		return false
	}
	ctx = context.WithoutCancel(ctx)
	err := r.look(ctx, b)
	if err != nil {
		r.cfg.Log.WarnContext(ctx, "a blob is replaced by what was pushed", "digest", b.Digest, "key", b.Key, "error", err)
	}
	return err == nil
}

func (r *Registry) look(ctx context.Context, b meta.Blob) (err error) {
	if b.Key.InDatabase() {
		return r.lookInDatabase(ctx, b)
	}
	f, err := r.cfg.Blobs.Open(ctx, b.Key)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if r.verified() {
		return checkSize(f, b.SizeBytes)
	}
	return r.verifyNow(ctx, f, b)
}

func (r *Registry) lookInDatabase(ctx context.Context, b meta.Blob) error {
	return r.cfg.Gate.System("known blobs").Read(ctx, gate.Op("LookAtBlob"), func(ctx context.Context, v *gate.View) error {
		content, err := v.Retention().BlobContent(ctx, b.Key)
		if err == nil && !b.Digest.Verifies(content) {
			err = errors.New("is damaged in the database")
		}
		return err
	})
}

// replaced ends old, in whose place b was put by a transaction that was committed.
func (r *Registry) replaced(ctx context.Context, old, b meta.Blob) {
	r.cfg.Log.InfoContext(ctx, "a damaged blob was replaced by what was pushed", "digest", b.Digest, "key", b.Key)
	if old.Key.InDatabase() { // it went with the transaction
		return
	}
	if err := r.dropSurplus(context.WithoutCancel(ctx), old.Key); err != nil { // an orphan, then
		r.cfg.Log.WarnContext(ctx, "surplus blob not deleted", "key", old.Key, "error", err)
	}
}

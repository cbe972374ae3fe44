package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/gate"
	"github.com/kontor-registry/kontor/internal/store/blob"
	"github.com/kontor-registry/kontor/internal/store/blob/small"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

func info(b meta.Blob) BlobInfo {
	return BlobInfo{Digest: b.Digest, SizeBytes: b.SizeBytes, CreatedAt: b.CreatedAt}
}

func layerNotFound(at ecr.Repo, d ecr.Digest) error {
	return ecr.Errorf(ecr.CodeLayersNotFound,
		"The layer with digest '%s' does not exist within the repository with name '%s' in the registry with id '%s'", d, at.Name, at.In.Account)
}

var opBatchCheckLayers = gate.Op("BatchCheckLayers", "ecr:BatchCheckLayerAvailability")

// BatchCheckLayers reports the layers that the repository has, and failures
// for digests that are malformed. A layer in neither list is not there. Those
// that are there stay for a while, for the image that the caller will push.
func (c *Caller) BatchCheckLayers(ctx context.Context, at ecr.Repo, digests []string) ([]BlobInfo, []LayerFailure, error) {
	var (
		want     []ecr.Digest
		failures []LayerFailure
	)
	for _, s := range digests {
		if s == "" {
			// ECR's text is not known.
			failures = append(failures, LayerFailure{Digest: s, Code: "MissingLayerDigest", Reason: "Invalid request parameters: layer digest cannot be null"})
			continue
		}
		d, err := ecr.ParseDigest(s)
		if err != nil {
			failures = append(failures, LayerFailure{Digest: s, Code: "InvalidLayerDigest",
				Reason: "Invalid request parameters: layer digest should satisfy the regex '" + ecr.DigestPattern + "'"})
			continue
		}
		want = append(want, d)
	}
	var (
		id    meta.RepositoryID
		blobs []meta.Blob
	)
	err := c.gate.ReadRepository(ctx, opBatchCheckLayers, at, func(ctx context.Context, r *gate.View, repo meta.Repository) (err error) {
		id = repo.ID
		blobs, err = r.Blobs(ctx, repo.ID, want)
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	blobs = slices.DeleteFunc(blobs, func(b meta.Blob) bool { return c.r.content.damaged(b.Key) })
	c.r.promise(ctx, id, blobs...)
	var found []BlobInfo
	for _, b := range blobs {
		found = append(found, info(b))
	}
	return found, failures, nil
}

var opStatBlob = gate.Op("StatBlob", "ecr:BatchCheckLayerAvailability")

// StatBlob describes a blob, and keeps it for a while as BatchCheckLayers
// does. Errors: RepositoryNotFound, LayersNotFound, also for one that was found to
// be damaged: clients then push it again, and it is whole.
func (c *Caller) StatBlob(ctx context.Context, at ecr.Repo, d ecr.Digest) (BlobInfo, error) {
	repo, b, err := c.linkedBlob(ctx, opStatBlob, at, d, false)
	if err == nil && c.r.content.damaged(b.Key) {
		// It may have been put right since.
		var (
			f   blob.File
			now meta.Blob
		)
		if _, now, err = c.linkedBlob(ctx, opStatBlob, at, d, true); err == nil {
			if now, f, err = c.openBlob(ctx, opStatBlob, at, now); err == nil {
				b, err = now, f.Close()
			} else {
				err = c.r.lost(ctx, at, b, err)
			}
		}
	}
	if err != nil {
		return BlobInfo{}, err
	}
	c.r.promise(ctx, repo, b)
	return info(b), nil
}

// touchEvery is how old the promise of a blob may be before it is renewed:
// checking a blob costs a write an hour at most.
const touchEvery = time.Hour

// promise keeps blobs that no image refers to from being collected before the
// image comes for which the caller checks them. That it may fail is no reason
// not to answer: the image would be refused then, and pushed again with all
// its blobs.
func (r *Registry) promise(ctx context.Context, repo meta.RepositoryID, blobs ...meta.Blob) {
	now := r.cfg.Now()
	var stale []ecr.Digest
	for _, b := range blobs {
		if !b.IdleSince.IsZero() && now.Sub(b.IdleSince) > min(touchEvery, r.cfg.BlobGrace/2) {
			stale = append(stale, b.Digest)
		}
	}
	if len(stale) == 0 {
		return
	}
	err := r.cfg.Gate.System("promised blobs").Change(ctx, gate.Op("TouchBlobs").Hot(), func(ctx context.Context, tx *gate.Tx) error {
		return tx.TouchBlobs(ctx, repo, stale, now)
	})
	if err != nil && ctx.Err() == nil {
		r.cfg.Log.WarnContext(ctx, "blobs not kept for the push that asked for them", "repository", repo, "blobs", len(stale), "error", err)
	}
}

var opOpenBlob = gate.Op("OpenBlob", "ecr:GetDownloadUrlForLayer")

// OpenBlob opens a blob for download; the caller closes it. What it opens is
// the whole content and what its digest says, see content. Where the store lets
// clients fetch it themselves, there is a URL in place of a file.
// Errors: RepositoryNotFound, LayersNotFound; ServerException for a blob that
// is damaged.
func (c *Caller) OpenBlob(ctx context.Context, at ecr.Repo, d ecr.Digest) (BlobInfo, blob.File, error) {
	_, b, err := c.linkedBlob(ctx, opOpenBlob, at, d, true)
	if err != nil {
		return BlobInfo{}, nil, err
	}
	if store, ok := c.r.cfg.Blobs.(blob.Redirector); ok {
		url, err := store.Redirect(ctx, b.Key)
		if err != nil {
			return BlobInfo{}, nil, fmt.Errorf("blob %s of %s/%s under key %s: %w", d, at.In, at.Name, b.Key, spaceError(err))
		}
		if url != "" {
			found := info(b)
			found.URL = url
			return found, nil, nil
		}
	}
	b, f, err := c.openBlob(ctx, opOpenBlob, at, b)
	if err != nil {
		return BlobInfo{}, nil, err
	}
	return info(b), f, nil
}

// ReadBlob is OpenBlob of c for a reader in this server: there is always a file, which
// the caller closes. Errors: as OpenBlob.
func ReadBlob(ctx context.Context, c *Caller, at ecr.Repo, d ecr.Digest) (blob.File, error) {
	_, b, err := c.linkedBlob(ctx, opOpenBlob, at, d, true)
	if err != nil {
		return nil, err
	}
	_, f, err := c.openBlob(ctx, opOpenBlob, at, b)
	return f, err
}

// openBlob opens b, which linkedBlob has returned with its content, or what has come in
// its place.
func (c *Caller) openBlob(ctx context.Context, op gate.Operation, at ecr.Repo, b meta.Blob) (meta.Blob, blob.File, error) {
	if b.Key.InDatabase() {
		f, err := c.r.openContent(at, b)
		return b, f, err
	}
	d, opening := b.Digest, ctx
	if !c.r.verified() {
		// Stores read with the context of Open, and verify outlives the client.
		opening = context.WithoutCancel(ctx)
	}
	f, err := c.r.cfg.Blobs.Open(opening, b.Key)
	if errors.Is(err, blob.ErrNotFound) {
		// It may have been collected since, and even come again under another
		// key. Rows go before files, so a row that is still there settles it.
		_, now, rowErr := c.linkedBlob(ctx, op, at, d, true)
		if rowErr != nil {
			return b, nil, rowErr
		}
		if now.Key.InDatabase() {
			return c.openBlob(ctx, op, at, now)
		}
		if now.Key != b.Key {
			b = now
			f, err = c.r.cfg.Blobs.Open(opening, b.Key)
		}
	}
	if errors.Is(err, blob.ErrNotFound) {
		c.r.content.note(b.Key, sighting{at: c.r.passed(), damage: "its file is missing"})
	}
	if err != nil {
		// The row says it is there: the store has lost it, which is no
		// caller's fault and nothing to call missing.
		return b, nil, fmt.Errorf("opening blob %s of %s/%s under key %s: %w", d, at.In, at.Name, b.Key, spaceError(err))
	}
	if err := c.r.verify(ctx, f, b); err != nil {
		return b, nil, errors.Join(fmt.Errorf("blob %s of %s/%s under key %s %w", d, at.In, at.Name, b.Key, err), f.Close())
	}
	return b, f, nil
}

// openContent opens b, whose content the database had. It is compared with its digest
// each time: nothing tells whether it has changed.
func (r *Registry) openContent(at ecr.Repo, b meta.Blob) (blob.File, error) {
	if !b.Digest.Verifies(b.Content) {
		r.content.note(b.Key, sighting{at: r.passed(), damage: "its content is " + string(ecr.DigestOf(b.Content))})
		return nil, fmt.Errorf("blob %s of %s/%s under key %s is damaged in the database: its content is %s", b.Digest, at.In, at.Name, b.Key, ecr.DigestOf(b.Content))
	}
	if r.content.damaged(b.Key) {
		r.content.note(b.Key, sighting{at: r.passed()})
	}
	return small.NewFile(b.Content), nil
}

// checkSize makes sure that a file was neither cut nor grown: what is damaged
// is an error, not a shorter answer.
func checkSize(f io.Seeker, want int64) error {
	got, err := f.Seek(0, io.SeekEnd)
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err == nil && got != want {
		err = fmt.Errorf("it has %d bytes, not %d", got, want)
	}
	return err
}

// linkedBlob returns a blob of a repository, if content is set with what the database has
// of its content.
func (c *Caller) linkedBlob(ctx context.Context, op gate.Operation, at ecr.Repo, d ecr.Digest, content bool) (id meta.RepositoryID, b meta.Blob, err error) {
	err = c.gate.ReadRepository(ctx, op, at, func(ctx context.Context, r *gate.View, repo meta.Repository) (err error) {
		id = repo.ID
		find := r.Blob
		if content {
			find = r.BlobAndContent
		}
		b, err = find(ctx, repo.ID, d)
		if errors.Is(err, meta.ErrNotFound) {
			return layerNotFound(at, d)
		}
		return err
	})
	return id, b, err
}

var opDownloadableLayer = gate.Op("DownloadableLayer", "ecr:GetDownloadUrlForLayer")

// DownloadableLayer describes a layer for which the caller may have a download
// URL: one that an image of the repository refers to.
// Errors: RepositoryNotFound, LayersNotFound, LayerInaccessible.
func (c *Caller) DownloadableLayer(ctx context.Context, at ecr.Repo, d ecr.Digest) (BlobInfo, error) {
	var b meta.Blob
	err := c.gate.ReadRepository(ctx, opDownloadableLayer, at, func(ctx context.Context, r *gate.View, repo meta.Repository) (err error) {
		b, err = r.Blob(ctx, repo.ID, d)
		if errors.Is(err, meta.ErrNotFound) {
			return layerNotFound(at, d)
		}
		if err != nil {
			return err
		}
		used, err := r.BlobIsUsed(ctx, repo.ID, d)
		if err == nil && !used {
			// ECR's text is not known.
			return ecr.Errorf(ecr.CodeLayerInaccessible,
				"The layer with digest '%s' in the repository with name '%s' in the registry with id '%s' is not associated with any image", d, at.Name, at.In.Account)
		}
		return err
	})
	return info(b), err
}

package retention

import (
	"context"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/gate"
	"github.com/kontor-registry/kontor/internal/manifest"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// IndexManifest is the manifest of an index.
type IndexManifest struct {
	Digest ecr.Digest
	Body   []byte
}

// maxIndexBytes bounds the manifests of one page, except one that is larger
// alone.
const maxIndexBytes = 4 << 20

var opIndexManifests = gate.Op("IndexManifests", "kontor:ListIndexManifests")

// IndexManifests returns at most limit manifests of a repository's indexes, in
// byte order of their digests after the digest after, and the image clock's
// time. next is the digest to go on after, "" at the end. It is for reports on
// images, which must not change what they report on: unlike BatchGetImage it is
// no pull.
// Errors: RepositoryNotFound.
func (c *Caller) IndexManifests(ctx context.Context, at ecr.Repo, after ecr.Digest, limit int) (list []IndexManifest, next ecr.Digest, now time.Time, err error) {
	err = c.gate.ReadRepository(ctx, opIndexManifests, at, func(ctx context.Context, r *gate.View, repo meta.Repository) error {
		list, next = nil, ""
		last, size := after, 0
		for m, err := range meta.Images(ctx, r, repo.ID, after, surveyPage) {
			if err != nil {
				return err
			}
			if manifest.IsIndex(m.Image.MediaType) {
				if len(list) == limit || size > 0 && size+int(m.BodySizeBytes) > maxIndexBytes {
					next = last
					return nil
				}
				whole, err := r.Manifest(ctx, repo.ID, m.Image.Digest)
				if err != nil {
					return err
				}
				size += len(whole.Body)
				list = append(list, IndexManifest{m.Image.Digest, whole.Body})
			}
			last = m.Image.Digest
		}
		return nil
	})
	return list, next, c.s.cfg.Now(), err
}

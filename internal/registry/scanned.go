package registry

import (
	"context"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// addScans adds to images what is known of their scans.
func addScans(ctx context.Context, r meta.ScanReader, repo meta.RepositoryID, images []ecr.Image) error {
	digests := make([]ecr.Digest, len(images))
	for i, image := range images {
		digests[i] = image.Digest
	}
	scans, err := r.Scans(ctx, repo, digests)
	for _, s := range scans {
		for i := range images {
			if images[i].Digest == s.Digest {
				images[i].Scan = &s.Scan
			}
		}
	}
	return err
}

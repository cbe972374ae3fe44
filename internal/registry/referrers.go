package registry

import (
	"context"
	"fmt"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/manifest"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

var opListReferrers = Operation{"ListReferrers", []access.Action{"ecr:ListImageReferrers", "ecr:BatchGetImage"}}

// ListReferrers returns at most limit images whose subject is d, those of
// artifactType only unless that is empty, in byte order of their digests after
// the digest after, and the digest to go on after; empty when that was all.
func (c *Caller) ListReferrers(ctx context.Context, at Repo, d ecr.Digest, artifactType string, after ecr.Digest, limit int) (list []Referrer, next ecr.Digest, err error) {
	err = c.view(ctx, opListReferrers, at, func(ctx context.Context, r meta.Reader, repo meta.Repository) error {
		list, next = nil, ""
		from := after
		for {
			page, err := r.ListReferrers(ctx, repo.ID, d, from, limit)
			if err != nil {
				return err
			}
			for _, row := range page {
				ref, err := referrer(ctx, r, row)
				if err != nil {
					return err
				}
				if artifactType != "" && ref.ArtifactType != artifactType {
					continue
				}
				if len(list) == limit {
					next = list[limit-1].Digest
					return nil
				}
				list = append(list, ref)
			}
			if len(page) < limit {
				return nil
			}
			from = page[len(page)-1].Image.Digest
		}
	})
	return list, next, err
}

// referrer describes a listed image as the referrers API wants it, which
// needs the manifest's own size.
func referrer(ctx context.Context, r meta.ImageReader, row meta.Manifest) (Referrer, error) {
	full, err := r.Manifest(ctx, row.Repository, row.Image.Digest)
	if err != nil {
		return Referrer{}, err
	}
	m, err := manifest.Parse(full.Body, full.Image.MediaType)
	if err != nil {
		return Referrer{}, fmt.Errorf("reading stored manifest %s: %w", row.Image.Digest, err)
	}
	return Referrer{
		Digest: full.Image.Digest, MediaType: full.Image.MediaType, ArtifactType: m.ArtifactType,
		SizeBytes: int64(len(full.Body)), Annotations: m.Annotations,
	}, nil
}

package registry

import (
	"context"
	"slices"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

var opListReferrers = Operation{"ListReferrers", []access.Action{"ecr:ListImageReferrers", "ecr:BatchGetImage"}}

// ListReferrers returns at most limit images whose subject is d, those of
// artifactType only unless that is empty, in byte order of their digests after
// the digest after, and the digest to go on after; empty when that was all. When
// of is given, they have one of these statuses.
func (c *Caller) ListReferrers(ctx context.Context, at Repo, d ecr.Digest, artifactType string, after ecr.Digest, limit int, of ...ecr.ImageStatus) (list []Referrer, next ecr.Digest, err error) {
	err = c.view(ctx, opListReferrers, at, func(ctx context.Context, r meta.Reader, repo meta.Repository) error {
		list, next = nil, ""
		now := c.r.cfg.Now()
		from := after
		for {
			page, err := r.ListReferrers(ctx, repo.ID, d, from, limit)
			if err != nil {
				return err
			}
			for _, row := range page {
				c.r.settleStatus(&row.Image, now)
				ref := referrer(row)
				if artifactType != "" && ref.ArtifactType != artifactType || len(of) > 0 && !slices.Contains(of, ref.Status) {
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

// referrer describes a listed image as the referrers API wants it.
func referrer(row meta.Manifest) Referrer {
	return Referrer{
		Digest: row.Image.Digest, MediaType: row.Image.MediaType, ArtifactType: row.Image.ArtifactMediaType,
		SizeBytes: row.BodySizeBytes, Annotations: row.Annotations,
		Status: row.Image.Status,
	}
}

package registry

import (
	"context"
	"slices"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/gate"
	"github.com/kontor-registry/kontor/internal/retention"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

var opListReferrers = gate.Op("ListReferrers", "ecr:ListImageReferrers", "ecr:BatchGetImage")

// ListReferrers returns at most limit images whose subject is d, those of
// artifactType only unless that is empty, in byte order of their digests after
// the digest after, and the digest to go on after; empty when that was all. When
// of is given, they have one of these statuses.
func (c *Caller) ListReferrers(ctx context.Context, at ecr.Repo, d ecr.Digest, artifactType string, after ecr.Digest, limit int, of ...ecr.ImageStatus) (list []Referrer, next ecr.Digest, err error) {
	err = c.gate.ReadRepository(ctx, opListReferrers, at, func(ctx context.Context, r *gate.View, repo meta.Repository) error {
		list, next = nil, ""
		now := c.r.cfg.Now()
		rows, more, err := meta.Take(meta.Referrers(ctx, r, repo.ID, d, after, limit+1), limit, func(m *meta.Manifest) (bool, error) {
			retention.Settle(&m.Image, now)
			return (artifactType == "" || m.Image.ArtifactMediaType == artifactType) && (len(of) == 0 || slices.Contains(of, m.Image.Status)), nil
		})
		for _, row := range rows {
			list = append(list, referrer(row))
		}
		if more {
			next = list[limit-1].Digest
		}
		return err
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

package registry

import (
	"context"
	"slices"
	"time"

	"github.com/kontor-registry/kontor/internal/budget"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/gate"
	"github.com/kontor-registry/kontor/internal/retention"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

var opListReferrers = gate.Op("ListReferrers", "ecr:ListImageReferrers", "ecr:BatchGetImage")

// ListReferrers returns at most limit images whose subject is d, those of
// artifactType only unless that is empty, in byte order of their digests after
// the digest after, and the digest to go on after; empty when that was all. When
// of is given, they have one of these statuses. A page may have fewer than limit
// and yet not be the last: its annotations have no more than
// meta.MaxListedAnnotations bytes, those of its first image apart.
func (c *Caller) ListReferrers(ctx context.Context, at ecr.Repo, d ecr.Digest, artifactType string, after ecr.Digest, limit int, of ...ecr.ImageStatus) (list []Referrer, next ecr.Digest, err error) {
	err = c.gate.Read(ctx, opListReferrers, func(ctx context.Context, r *gate.View) error {
		s, err := r.EnterImage(ctx, at, ecr.ImageID{Digest: d})
		if err != nil {
			return err
		}
		p := referrersPage{artifactType: artifactType, statuses: of, limit: limit, now: c.r.cfg.Now()}
		for done := false; !done; {
			rows, err := r.ListReferrers(ctx, s.Row.ID, d, after, limit+1)
			if err != nil {
				return err
			}
			if done = p.add(rows); p.read != "" {
				after = p.read
			}
		}
		list, next = p.list, p.next
		// They are in the answer, too.
		return budget.Take(ctx, 2*p.size)
	})
	return list, next, err
}

// referrersPage is a page of referrers on its way.
type referrersPage struct {
	artifactType string
	statuses     []ecr.ImageStatus
	limit        int
	now          time.Time

	list []Referrer
	next ecr.Digest // to go on after; "" when that was all
	size int64      // bytes of annotations in list
	read ecr.Digest // the last image looked at
}

// add takes what p wants of rows, which were read with one more than p.limit
// as their limit, and reports whether the page is complete.
func (p *referrersPage) add(rows []meta.Manifest) (done bool) {
	for _, row := range rows {
		retention.Settle(&row.Image, p.now)
		if p.artifactType != "" && row.Image.ArtifactMediaType != p.artifactType ||
			len(p.statuses) > 0 && !slices.Contains(p.statuses, row.Image.Status) {
			p.read = row.Image.Digest
			continue
		}
		size := int64(0)
		for k, v := range row.Annotations {
			size += int64(len(k) + len(v))
		}
		if n := len(p.list); n == p.limit || n > 0 && (row.AnnotationsLeftOut || p.size+size > meta.MaxListedAnnotations) {
			p.next = p.list[n-1].Digest
			return true
		}
		if row.AnnotationsLeftOut {
			return false // read again, as the first
		}
		p.list, p.size, p.read = append(p.list, referrer(row)), p.size+size, row.Image.Digest
	}
	return len(rows) <= p.limit
}

// referrer describes a listed image as the referrers API wants it.
func referrer(row meta.Manifest) Referrer {
	return Referrer{
		Digest: row.Image.Digest, MediaType: row.Image.MediaType, ArtifactType: row.Image.ArtifactMediaType,
		SizeBytes: row.BodySizeBytes, Annotations: row.Annotations,
		Status: row.Image.Status,
	}
}

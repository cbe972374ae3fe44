package ecrapi

import (
	"context"
	"slices"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/registry"
)

// Page sizes of ListImageReferrers: what it returns by default, and how many
// referrers it looks at for one page when it has to choose among them.
const (
	referrersPage = 20
	referrersScan = 1000
)

// listImageReferrers may return a page that is short, or empty, and yet has a
// nextToken, when it filters for several artifact types.
func (c *call) listImageReferrers(ctx context.Context, in *ListImageReferrersRequest) (*ListImageReferrersResponse, error) {
	at := c.repo(in.RegistryId, in.RepositoryName)
	subject, err := ecr.ParseDigest(*in.SubjectId.ImageDigest)
	if err != nil {
		return nil, ecr.InvalidParameter("subjectId.imageDigest", "Member must satisfy regular expression '%s'", ecr.DigestPattern)
	}
	walk, err := newListing("ListImageReferrers", at.In,
		ListImageReferrersRequest{RepositoryName: in.RepositoryName, SubjectId: in.SubjectId, Filter: in.Filter})
	if err != nil {
		return nil, err
	}
	after, err := walk.cursor(in.NextToken)
	if err != nil {
		return nil, err
	}
	filter := value(in.Filter)
	limit, one, scan := pageSize(in.MaxResults, referrersPage), "", 0
	scan = limit
	if types := filter.ArtifactTypes; len(types) == 1 {
		one = types[0]
	} else if len(types) > 1 {
		scan = referrersScan
	}
	if after == "" {
		if _, err := c.h.cfg.Upstreams.For(c.h.cfg.Gate.As(c.p)).Referrers(ctx, at, subject); err != nil {
			return nil, err
		}
	}
	list, next, err := c.ListReferrers(ctx, at, subject, one, ecr.Digest(after), scan, statuses(filter.ArtifactStatus)...)
	if err != nil {
		return nil, err
	}
	out := &ListImageReferrersResponse{Referrers: []ImageReferrer{}}
	for _, r := range list {
		if len(filter.ArtifactTypes) > 1 && !slices.Contains(filter.ArtifactTypes, r.ArtifactType) {
			continue
		}
		if len(out.Referrers) == limit {
			// The next match begins the next page.
			next = ecr.Digest(*out.Referrers[limit-1].Digest)
			break
		}
		out.Referrers = append(out.Referrers, referrer(r))
	}
	out.NextToken = walk.token(string(next))
	return out, nil
}

func referrer(r registry.Referrer) ImageReferrer {
	return ImageReferrer{
		Digest: text(r.Digest), MediaType: text(r.MediaType), ArtifactType: text(r.ArtifactType),
		Size: &r.SizeBytes, Annotations: r.Annotations, ArtifactStatus: text(r.Status),
	}
}

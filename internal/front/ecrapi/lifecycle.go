package ecrapi

import (
	"context"
	"strconv"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/registry"
	"github.com/kontor-registry/kontor/internal/retention"
	"github.com/kontor-registry/kontor/internal/wire/awsjson"
	"github.com/kontor-registry/kontor/lifecycle"
)

func (c *call) startLifecyclePolicyPreview(ctx context.Context, in *StartLifecyclePolicyPreviewRequest) (*StartLifecyclePolicyPreviewResponse, error) {
	at := c.repo(in.RegistryId, in.RepositoryName)
	p, err := c.retention.StartLifecyclePreview(ctx, at, value(in.LifecyclePolicyText))
	if err != nil {
		return nil, err
	}
	return &StartLifecyclePolicyPreviewResponse{
		RegistryId: text(at.In.Account), RepositoryName: text(at.Name), LifecyclePolicyText: &p.PolicyText, Status: text(p.Status),
	}, nil
}

// getLifecyclePolicyPreview shows the results that are asked for; the summary
// is of them all.
func (c *call) getLifecyclePolicyPreview(ctx context.Context, in *GetLifecyclePolicyPreviewRequest) (*GetLifecyclePolicyPreviewResponse, error) {
	at := c.repo(in.RegistryId, in.RepositoryName)
	var ids []ecr.ImageID
	if in.ImageIds != nil {
		if err := exclusive("imageIds", in.MaxResults, in.NextToken); err != nil {
			return nil, err
		}
		ids = imageIDs(in.ImageIds)
	}
	p, err := c.retention.LifecyclePreview(ctx, at)
	if err != nil {
		return nil, err
	}
	out := &GetLifecyclePolicyPreviewResponse{
		RegistryId: text(at.In.Account), RepositoryName: text(at.Name), LifecyclePolicyText: &p.PolicyText, Status: text(p.Status),
		PreviewResults: []LifecyclePolicyPreviewResult{}, Summary: previewSummary(p),
	}
	list := p.Select(ecr.TagStatus(value(value(in.Filter).TagStatus)), ids)
	if ids == nil {
		// A preview does not change, but another may take its place.
		walk, err := newListing("GetLifecyclePolicyPreview", at.In, struct {
			Name    *string
			Filter  *LifecyclePolicyPreviewFilter
			Started time.Time
		}{in.RepositoryName, in.Filter, p.StartedAt})
		if err != nil {
			return nil, err
		}
		first, err := walk.place(in.NextToken, len(list))
		if err != nil {
			return nil, err
		}
		if list = list[first:]; len(list) > pageSize(in.MaxResults, defaultPage) {
			list = list[:pageSize(in.MaxResults, defaultPage)]
			out.NextToken = walk.token(strconv.Itoa(first + len(list)))
		}
	}
	for _, r := range list {
		out.PreviewResults = append(out.PreviewResults, previewResult(r))
	}
	return out, nil
}

// place is the place in an unchanging list of n elements that the token t was
// given for, 0 when t is nil.
func (l listing) place(t *string, n int) (int, error) {
	cursor, err := l.cursor(t)
	if err != nil || cursor == "" {
		return 0, err
	}
	first, err := strconv.Atoi(cursor)
	if err != nil || first < 0 || first > n {
		return 0, ecr.InvalidParameter("nextToken", "must be a token that this operation returned for the same parameters")
	}
	return first, nil
}

func previewSummary(p retention.Preview) *LifecyclePolicyPreviewSummary {
	if p.Status != retention.PreviewComplete {
		return nil
	}
	expire, archive := p.Totals()
	s := &LifecyclePolicyPreviewSummary{ExpiringImageTotalCount: count(expire)}
	if archive > 0 {
		s.TransitioningImageTotalCounts = []TransitioningImageTotalCount{{TargetStorageClass: text(registry.ClassArchive), ImageTotalCount: count(archive)}}
	}
	return s
}

func previewResult(r retention.PreviewResult) LifecyclePolicyPreviewResult {
	out := LifecyclePolicyPreviewResult{
		ImageDigest: text(r.Digest), ImagePushedAt: awsjson.NewTime(r.PushedAt), AppliedRulePriority: count(r.Rule),
		Action: &LifecyclePolicyRuleAction{Type: text("EXPIRE")}, StorageClass: text(registry.ClassStandard),
	}
	if r.Action == lifecycle.Transition {
		out.Action = &LifecyclePolicyRuleAction{Type: text("TRANSITION"), TargetStorageClass: text(registry.ClassArchive)}
	}
	if r.Archived {
		out.StorageClass = text(registry.ClassArchive)
	}
	for _, t := range r.Tags {
		out.ImageTags = append(out.ImageTags, string(t))
	}
	return out
}

// count is n as a member. Images and priorities are far fewer than fit.
func count(n int) *int32 {
	c := int32(n)
	return &c
}

func (c *call) updateImageStorageClass(ctx context.Context, in *UpdateImageStorageClassRequest) (*UpdateImageStorageClassResponse, error) {
	at := c.repo(in.RegistryId, in.RepositoryName)
	id := imageIDs([]ImageIdentifier{*in.ImageId})[0]
	image, err := c.SetStorageClass(ctx, at, id, registry.StorageClass(*in.TargetStorageClass))
	if err != nil {
		return nil, err
	}
	return &UpdateImageStorageClassResponse{
		RegistryId: text(at.In.Account), RepositoryName: text(at.Name),
		ImageId: imageID(ecr.ImageID{Digest: image.Digest, Tag: id.Tag}), ImageStatus: text(image.Status),
	}, nil
}

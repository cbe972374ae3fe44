package adminapi

import (
	"context"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/wire/admin"
)

func (c *call) collectGarbage(ctx context.Context, in *admin.CollectGarbageRequest) (*admin.CollectGarbageResponse, error) {
	at, err := c.in(in.RegistryID)
	if err != nil {
		return nil, err
	}
	done, err := c.jobs.Collect(ctx, at)
	if err != nil {
		return nil, err
	}
	return &admin.CollectGarbageResponse{BinEntries: done.BinEntries, Links: done.Links, Blobs: done.Blobs, SizeBytes: done.SizeBytes}, nil
}

func (c *call) listJobs(ctx context.Context, in *admin.ListJobsRequest) (*admin.ListJobsResponse, error) {
	at, err := c.in(in.RegistryID)
	if err != nil {
		return nil, err
	}
	all, err := c.jobs.ListJobs(ctx, at)
	if err != nil {
		return nil, err
	}
	out := &admin.ListJobsResponse{Jobs: make([]admin.Job, len(all))}
	for i, l := range all {
		j := admin.Job{Name: l.Name, Process: l.Holder, Running: l.Held, BeganAt: l.BeganAt}
		if l.Held {
			j.Progress = l.Progress
		}
		if !l.EndedAt.IsZero() {
			j.Last = &admin.JobRun{EndedAt: l.EndedAt, Removed: l.Last.Removed, SizeBytes: l.Last.SizeBytes, Error: l.Last.Error}
		}
		out.Jobs[i] = j
	}
	return out, nil
}

func (c *call) describeUsage(ctx context.Context, in *admin.DescribeUsageRequest) (*admin.DescribeUsageResponse, error) {
	at, err := c.repo(in.RegistryID, in.RepositoryName)
	if err != nil {
		return nil, err
	}
	u, err := c.Usage(ctx, at)
	if err != nil {
		return nil, err
	}
	out := &admin.DescribeUsageResponse{
		RepositoryName: string(at.Name), Images: u.Images, ManifestBytes: u.ManifestBytes, LayerBytes: u.BlobBytes, OwnBytes: u.OwnBytes,
		Tags: make([]admin.TagUsage, len(u.Tags)), Rules: make([]admin.RuleUsage, len(u.Rules)),
	}
	for i, t := range u.Tags {
		out.Tags[i] = admin.TagUsage{ImageTag: string(t.Tag), ImageDigest: string(t.Digest), LayerBytes: t.BlobBytes, OwnBytes: t.OwnBytes}
	}
	for i, r := range u.Rules {
		out.Rules[i] = admin.RuleUsage{RulePriority: r.Rule, Images: r.Images, FreedBytes: r.FreedBytes}
	}
	return out, nil
}

func (c *call) estimateFreedBytes(ctx context.Context, in *admin.EstimateFreedBytesRequest) (*admin.EstimateFreedBytesResponse, error) {
	at, err := c.repo(in.RegistryID, in.RepositoryName)
	if err != nil {
		return nil, err
	}
	sets := make([][]ecr.Digest, len(in.ImageSets))
	for i, set := range in.ImageSets {
		for _, text := range set.ImageDigests {
			d, err := ecr.ParseDigest(text)
			if err != nil {
				return nil, ecr.InvalidParameter("imageSets", "Member must satisfy regular expression pattern: [a-zA-Z0-9-_+.]+:[a-fA-F0-9]+")
			}
			sets[i] = append(sets[i], d)
		}
	}
	freed, err := c.FreedBytes(ctx, at, sets)
	if err != nil {
		return nil, err
	}
	return &admin.EstimateFreedBytesResponse{FreedBytes: freed}, nil
}

package adminapi

import (
	"context"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/retention"
	"github.com/kontor-registry/kontor/internal/wire/admin"
)

func (c *call) runLifecycle(ctx context.Context, in *admin.RunLifecycleRequest) (*admin.RunLifecycleResponse, error) {
	at, err := c.repo(in.RegistryID, in.RepositoryName)
	if err != nil {
		return nil, err
	}
	run, err := c.RunLifecycle(ctx, at, retention.RunOptions{DryRun: in.DryRun, Force: in.Force})
	if err != nil {
		return nil, err
	}
	out := &admin.RunLifecycleResponse{
		RepositoryName: string(at.Name), At: run.At.UTC(), DryRun: run.DryRun, Images: run.Images, Expired: run.Expired, Archived: run.Archived,
		SizeBytes: run.SizeBytes, Stopped: run.Stopped, Outcomes: make([]admin.Outcome, len(run.Outcomes)), Findings: make([]admin.Finding, len(run.Findings)),
	}
	for i, o := range run.Outcomes {
		out.Outcomes[i] = admin.Outcome{
			ImageDigest: string(o.Digest), ImageTags: texts(o.Tags), PushedAt: o.PushedAt.UTC(), SizeBytes: o.SizeBytes, RulePriority: o.Rule,
			Reason: o.Reason, Action: string(o.Action), Wanted: string(o.Wanted), With: string(o.With), GuardedBy: string(o.GuardedBy),
			HeldBy: o.HeldBy, Saved: o.Saved,
		}
	}
	for i, f := range run.Findings {
		out.Findings[i] = admin.Finding{Code: f.Code, Message: f.Message}
	}
	return out, nil
}

func (c *call) listIndexManifests(ctx context.Context, in *admin.ListIndexManifestsRequest) (*admin.ListIndexManifestsResponse, error) {
	at, err := c.repo(in.RegistryID, in.RepositoryName)
	if err != nil {
		return nil, err
	}
	l, err := newListing("ListIndexManifests", at.In, at.Name, in.MaxResults, in.NextToken)
	if err != nil {
		return nil, err
	}
	after, err := optional(l.after, ecr.ParseDigest)
	if err != nil {
		return nil, badToken()
	}
	list, next, now, err := c.IndexManifests(ctx, at, after, l.limit)
	if err != nil {
		return nil, err
	}
	out := &admin.ListIndexManifestsResponse{Now: now.UTC(), Manifests: make([]admin.IndexManifest, len(list))}
	for i, m := range list {
		out.Manifests[i] = admin.IndexManifest{ImageDigest: string(m.Digest), Manifest: string(m.Body)}
	}
	if next != "" {
		out.NextToken = l.token(string(next))
	}
	return out, nil
}

func (c *call) moveClock(ctx context.Context, in *admin.MoveClockRequest) (*admin.MoveClockResponse, error) {
	at, err := c.in(in.RegistryID)
	if err != nil {
		return nil, err
	}
	const most = int64(longestTime / time.Second)
	if in.MoveSeconds > most || in.MoveSeconds < -most {
		return nil, ecr.InvalidParameter("moveSeconds", "Member must have value less than or equal to %d", most)
	}
	now, err := c.MoveClock(ctx, at, time.Duration(in.MoveSeconds)*time.Second)
	if err != nil {
		return nil, err
	}
	return &admin.MoveClockResponse{Now: now.UTC()}, nil
}

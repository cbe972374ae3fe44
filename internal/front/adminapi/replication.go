package adminapi

import (
	"context"
	"strconv"
	"strings"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/replication"
	"github.com/kontor-registry/kontor/internal/store/meta"
	"github.com/kontor-registry/kontor/internal/wire/admin"
)

// replications are the operations on replication.
type replications struct {
	*replication.Caller
	call *call
}

// serveReplication is serve for operations of replications.
func serveReplication[In, Out any](operation func(replications, context.Context, *In) (*Out, error)) func(context.Context, *call, []byte) (any, error) {
	return serve(func(c *call, ctx context.Context, in *In) (*Out, error) {
		return operation(replications{c.h.cfg.Replication.As(c.p), c}, ctx, in)
	})
}

// destination reads ACCOUNT/REGION, or REGION of the registry's own account.
func destination(in ecr.RegistryID, text string) (ecr.RegistryID, error) {
	account, region, ok := strings.Cut(text, "/")
	if !ok {
		account, region = string(in.Account), text
	}
	a, err := ecr.ParseAccountID(account)
	if err == nil {
		var r ecr.Region
		if r, err = ecr.ParseRegion(region); err == nil {
			return ecr.RegistryID{Account: a, Region: r}, nil
		}
	}
	return ecr.RegistryID{}, ecr.InvalidParameter("replicationDestination", "want ACCOUNT/REGION, or REGION for the registry's own account, not '%s'", text)
}

func optionsOf(o replication.Options) admin.ReplicationOptions {
	return admin.ReplicationOptions{ImageTags: some(o.Tags), ExcludePrefixes: some(o.Exclude), Deletions: o.Deletions}
}

// some is a list that is never null.
func some(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

func replicationsOf(rows []meta.Replication) []admin.Replication {
	list := []admin.Replication{}
	for _, r := range rows {
		list = append(list, admin.Replication{
			Kind: string(r.Kind), RepositoryName: string(r.Name), ImageDigest: string(r.Image.Digest), ImageTag: string(r.Image.Tag), Destination: r.To.String(),
			Status: string(r.Status), FailureCode: r.Code, FailureReason: r.Message, SubImageFailureCodes: r.SubCodes, UpdatedAt: r.UpdatedAt,
		})
	}
	return list
}

func (r replications) list(ctx context.Context, in *admin.ListReplicationsRequest) (*admin.ListReplicationsResponse, error) {
	at, err := r.call.in(in.RegistryID)
	if err != nil {
		return nil, err
	}
	l, err := newListing("ListReplications", at, nil, in.MaxResults, in.NextToken)
	if err != nil {
		return nil, err
	}
	after, err := l.number()
	if err != nil {
		return nil, err
	}
	state, err := r.Replications(ctx, at, after, l.limit)
	if err != nil {
		return nil, err
	}
	out := &admin.ListReplicationsResponse{
		Rules: []admin.ReplicationRule{}, Options: map[string]admin.ReplicationOptions{}, Rates: map[string]admin.ReplicationRate{}, Queues: []admin.ReplicationQueue{}, Failed: replicationsOf(state.Failed),
	}
	for _, rule := range state.Rules {
		one := admin.ReplicationRule{Destinations: []string{}, Prefixes: some(rule.Prefixes)}
		for _, to := range rule.To {
			one.Destinations = append(one.Destinations, to.String())
		}
		out.Rules = append(out.Rules, one)
	}
	for to, o := range state.Options {
		out.Options[to.String()] = optionsOf(o)
	}
	for to, rate := range state.Rates {
		out.Rates[to.String()] = admin.ReplicationRate{ImagesPerMinute: rate.ImagesPerMinute(), BytesPerSecond: rate.BytesPerSecond}
	}
	for _, q := range state.Queues {
		out.Queues = append(out.Queues, admin.ReplicationQueue{Destination: q.To.String(), Waiting: q.Waiting, OldestAt: q.Oldest, WaitsForRate: q.WaitsForRate, RestReason: q.Rests})
	}
	if state.More {
		out.NextToken = l.token(strconv.FormatInt(state.Failed[len(state.Failed)-1].ID, 10))
	}
	return out, nil
}

func (r replications) describe(ctx context.Context, in *admin.DescribeReplicationRequest) (*admin.DescribeReplicationResponse, error) {
	at, err := r.call.repo(in.RegistryID, in.RepositoryName)
	if err != nil {
		return nil, err
	}
	all, err := r.ImageReplicationStatus(ctx, at, ecr.ImageID{Digest: ecr.Digest(in.ImageDigest), Tag: ecr.Tag(in.ImageTag)})
	if err != nil {
		return nil, err
	}
	out := &admin.DescribeReplicationResponse{Statuses: []admin.ReplicationStatus{}}
	for _, s := range all {
		out.Statuses = append(out.Statuses, admin.ReplicationStatus{Destination: s.To.String(), Status: string(s.Status), FailureCode: s.Code, FailureReason: s.Message, WaitReason: s.Waits})
	}
	return out, nil
}

func (r replications) putOptions(ctx context.Context, in *admin.PutReplicationOptionsRequest) (*admin.PutReplicationOptionsResponse, error) {
	at, err := r.call.in(in.RegistryID)
	if err != nil {
		return nil, err
	}
	to, err := destination(at, in.Destination)
	if err != nil {
		return nil, err
	}
	o := replication.Options{Tags: in.Options.ImageTags, Exclude: in.Options.ExcludePrefixes, Deletions: in.Options.Deletions, BeforeRule: in.BeforeRule}
	if err := r.SetReplicationOptions(ctx, at, to, o); err != nil {
		return nil, err
	}
	return &admin.PutReplicationOptionsResponse{Destination: to.String(), Options: optionsOf(o)}, nil
}

func (r replications) retry(ctx context.Context, in *admin.RetryReplicationsRequest) (*admin.RetryReplicationsResponse, error) {
	at, err := r.call.in(in.RegistryID)
	if err != nil {
		return nil, err
	}
	var to ecr.RegistryID
	if in.Destination != "" {
		if to, err = destination(at, in.Destination); err != nil {
			return nil, err
		}
	}
	n, err := r.RetryReplications(ctx, at, to)
	return &admin.RetryReplicationsResponse{Queued: n}, err
}

func backfillOf(b replication.Backfill) admin.Backfill {
	out := admin.Backfill{ID: b.ID, Destination: b.To.String(), Status: string(b.Status), StartedAt: b.StartedAt, EndedAt: b.EndedAt}
	if p := b.Progress; p != nil {
		out.Total, out.Completed, out.FailedCount = p.Total, p.Completed, p.Failed
	}
	return out
}

func (r replications) startBackfill(ctx context.Context, in *admin.StartBackfillRequest) (*admin.BackfillResponse, error) {
	at, err := r.call.in(in.RegistryID)
	if err != nil {
		return nil, err
	}
	to, err := destination(at, in.Destination)
	if err != nil {
		return nil, err
	}
	b, err := r.StartBackfill(ctx, at, to)
	return &admin.BackfillResponse{Backfill: backfillOf(replication.Backfill{Backfill: b}), Failed: []admin.Replication{}}, err
}

func (r replications) stopBackfill(ctx context.Context, in *admin.BackfillRequest) (*admin.BackfillResponse, error) {
	at, err := r.call.in(in.RegistryID)
	if err != nil {
		return nil, err
	}
	b, err := r.StopBackfill(ctx, at, in.ID)
	return &admin.BackfillResponse{Backfill: backfillOf(replication.Backfill{Backfill: b}), Failed: []admin.Replication{}}, err
}

func (r replications) describeBackfill(ctx context.Context, in *admin.BackfillRequest) (*admin.BackfillResponse, error) {
	at, err := r.call.in(in.RegistryID)
	if err != nil {
		return nil, err
	}
	b, failed, _, err := r.BackfillResults(ctx, at, in.ID, meta.ReplicationFailed, 0, admin.DefaultPage)
	return &admin.BackfillResponse{Backfill: backfillOf(b), Failed: replicationsOf(failed)}, err
}

func (r replications) listBackfills(ctx context.Context, in *admin.ListBackfillsRequest) (*admin.ListBackfillsResponse, error) {
	at, err := r.call.in(in.RegistryID)
	if err != nil {
		return nil, err
	}
	list, _, err := r.ListBackfills(ctx, at, "", admin.DefaultPage)
	out := &admin.ListBackfillsResponse{Backfills: []admin.Backfill{}}
	for _, b := range list {
		out.Backfills = append(out.Backfills, backfillOf(b))
	}
	return out, err
}

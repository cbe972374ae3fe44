package ecrapi

import (
	"context"
	"strconv"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/replication"
	"github.com/kontor-registry/kontor/internal/store/meta"
	"github.com/kontor-registry/kontor/internal/wire/awsjson"
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

// prefixMatch is the one type of repository filters.
const prefixMatch = "PREFIX_MATCH"

func (r replications) describeRegistry(ctx context.Context, _ *DescribeRegistryRequest) (*DescribeRegistryResponse, error) {
	in := r.call.in(nil)
	found, err := r.DescribeRegistry(ctx, in)
	if err != nil {
		return nil, err
	}
	return &DescribeRegistryResponse{RegistryId: text(in.Account), ReplicationConfiguration: wireReplication(found)}, nil
}

func wireReplication(c replication.Configuration) *ReplicationConfiguration {
	out := &ReplicationConfiguration{Rules: []ReplicationRule{}}
	for _, r := range c.Rules {
		rule := ReplicationRule{Destinations: []ReplicationDestination{}}
		for _, to := range r.To {
			rule.Destinations = append(rule.Destinations, *wireDestination(to))
		}
		for _, p := range r.Prefixes {
			rule.RepositoryFilters = append(rule.RepositoryFilters, RepositoryFilter{Filter: text(p), FilterType: text(prefixMatch)})
		}
		out.Rules = append(out.Rules, rule)
	}
	return out
}

func wireDestination(to ecr.RegistryID) *ReplicationDestination {
	return &ReplicationDestination{Region: text(to.Region), RegistryId: text(to.Account)}
}

func destinationOf(d ReplicationDestination) ecr.RegistryID {
	return ecr.RegistryID{Account: ecr.AccountID(*d.RegistryId), Region: ecr.Region(*d.Region)}
}

func (r replications) putReplicationConfiguration(ctx context.Context, in *PutReplicationConfigurationRequest) (*PutReplicationConfigurationResponse, error) {
	var to replication.Configuration
	for _, given := range in.ReplicationConfiguration.Rules {
		var rule replication.Rule
		for _, d := range given.Destinations {
			rule.To = append(rule.To, destinationOf(d))
		}
		for _, f := range given.RepositoryFilters {
			rule.Prefixes = append(rule.Prefixes, *f.Filter)
		}
		to.Rules = append(to.Rules, rule)
	}
	if err := r.PutReplication(ctx, r.call.in(nil), to); err != nil {
		return nil, err
	}
	return &PutReplicationConfigurationResponse{ReplicationConfiguration: wireReplication(to)}, nil
}

func (r replications) describeImageReplicationStatus(ctx context.Context, in *DescribeImageReplicationStatusRequest) (*DescribeImageReplicationStatusResponse, error) {
	id := imageIDs([]ImageIdentifier{*in.ImageId})[0]
	all, err := r.ImageReplicationStatus(ctx, r.call.repo(in.RegistryId, in.RepositoryName), id)
	if err != nil {
		return nil, err
	}
	out := &DescribeImageReplicationStatusResponse{ImageId: in.ImageId, RepositoryName: in.RepositoryName, ReplicationStatuses: []ImageReplicationStatus{}}
	for _, s := range all {
		out.ReplicationStatuses = append(out.ReplicationStatuses, ImageReplicationStatus{
			Region: text(s.To.Region), RegistryId: text(s.To.Account), Status: text(s.Status), FailureCode: text(s.Code),
		})
	}
	return out, nil
}

func (r replications) startReplicationBackfill(ctx context.Context, in *StartReplicationBackfillRequest) (*StartReplicationBackfillResponse, error) {
	at := r.call.in(in.RegistryId)
	b, err := r.StartBackfill(ctx, at, destinationOf(*in.Destination))
	if err != nil {
		return nil, err
	}
	return &StartReplicationBackfillResponse{
		Destination: wireDestination(b.To), RegistryId: text(at.Account), ReplicationBackfillId: text(b.ID), StartedAt: awsjson.NewTime(b.StartedAt), Status: text(b.Status),
	}, nil
}

func (r replications) stopReplicationBackfill(ctx context.Context, in *StopReplicationBackfillRequest) (*StopReplicationBackfillResponse, error) {
	at := r.call.in(in.RegistryId)
	b, err := r.StopBackfill(ctx, at, *in.ReplicationBackfillId)
	if err != nil {
		return nil, err
	}
	return &StopReplicationBackfillResponse{
		Destination: wireDestination(b.To), RegistryId: text(at.Account), ReplicationBackfillId: text(b.ID), StartedAt: awsjson.NewTime(b.StartedAt), Status: text(b.Status),
	}, nil
}

func wireProgress(p *replication.Progress) *ReplicationBackfillProgress {
	if p == nil {
		return nil
	}
	number := func(n int) *int32 { v := int32(n); return &v }
	codes := p.Codes
	if codes == nil {
		codes = []string{}
	}
	return &ReplicationBackfillProgress{
		TotalReplicationCount: number(p.Total), CompletedReplicationCount: number(p.Completed), FailedReplicationCount: number(p.Failed), FailureCodes: codes,
	}
}

// The pages of both lists of backfills: the API gives ranges and no defaults.
const (
	backfillsPage = 25
	resultsPage   = 100
)

func (r replications) listReplicationBackfills(ctx context.Context, in *ListReplicationBackfillsRequest) (*ListReplicationBackfillsResponse, error) {
	at := r.call.in(in.RegistryId)
	l, err := newListing("ListReplicationBackfills", at, nil)
	if err != nil {
		return nil, err
	}
	after, err := l.cursor(in.NextToken)
	if err != nil {
		return nil, err
	}
	list, more, err := r.ListBackfills(ctx, at, after, pageSize(in.MaxResults, backfillsPage))
	if err != nil {
		return nil, err
	}
	out := &ListReplicationBackfillsResponse{RegistryId: text(at.Account), Backfills: []ReplicationBackfillSummary{}}
	for _, b := range list {
		s := ReplicationBackfillSummary{
			ReplicationBackfillId: text(b.ID), Destination: wireDestination(b.To), Status: text(b.Status), StartedAt: awsjson.NewTime(b.StartedAt),
			FailureCode: text(b.Code), Progress: wireProgress(b.Progress),
		}
		if !b.EndedAt.IsZero() {
			s.EndedAt = awsjson.NewTime(b.EndedAt)
		}
		out.Backfills = append(out.Backfills, s)
	}
	if more {
		out.NextToken = l.token(list[len(list)-1].ID)
	}
	return out, nil
}

func (r replications) describeReplicationBackfillResults(ctx context.Context, in *DescribeReplicationBackfillResultsRequest) (*DescribeReplicationBackfillResultsResponse, error) {
	at, id := r.call.in(in.RegistryId), *in.ReplicationBackfillId
	l, err := newListing("DescribeReplicationBackfillResults", at, [2]string{id, value(in.ResultStatusFilter)})
	if err != nil {
		return nil, err
	}
	cursor, err := l.cursor(in.NextToken)
	if err != nil {
		return nil, err
	}
	var after int64
	if cursor != "" {
		if after, err = strconv.ParseInt(cursor, 10, 64); err != nil {
			return nil, ecr.InvalidParameter("nextToken", "must be a token that this operation returned for the same parameters")
		}
	}
	b, results, more, err := r.BackfillResults(ctx, at, id, meta.ReplicationStatus(value(in.ResultStatusFilter)), after, pageSize(in.MaxResults, resultsPage))
	if err != nil {
		return nil, err
	}
	out := &DescribeReplicationBackfillResultsResponse{
		Destination: wireDestination(b.To), FailureCode: text(b.Code), Progress: wireProgress(b.Progress), RegistryId: text(at.Account),
		ReplicationBackfillId: text(b.ID), StartedAt: awsjson.NewTime(b.StartedAt), Status: text(b.Status),
	}
	if !b.EndedAt.IsZero() {
		out.EndedAt, out.Results = awsjson.NewTime(b.EndedAt), []ReplicationBackfillResult{}
	}
	for _, one := range results {
		out.Results = append(out.Results, ReplicationBackfillResult{
			RepositoryName: text(one.Name), ImageId: &ImageIdentifier{ImageDigest: text(one.Image.Digest), ImageTag: text(one.Image.Tag)},
			Status: text(one.Status), FailureCode: text(one.Code), SubImageFailureCodes: one.SubCodes,
		})
	}
	if more {
		out.NextToken = l.token(strconv.FormatInt(results[len(results)-1].ID, 10))
	}
	return out, nil
}

package ecrapi

import (
	"context"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/unconfigured"
)

// features are the operations of features that this server does not offer. They
// answer as ECR does in an account that has not configured them; see package
// unconfigured.
type features struct {
	*unconfigured.Caller
	call *call
}

// serveFeature is serve for operations of features.
func serveFeature[In, Out any](operation func(features, context.Context, *In) (*Out, error)) func(context.Context, *call, []byte) (any, error) {
	return serve(func(c *call, ctx context.Context, in *In) (*Out, error) {
		return operation(features{unconfigured.As(c.h.cfg.Gate, c.p), c}, ctx, in)
	})
}

// putReplicationConfiguration takes the configuration without rules, which
// replicates nothing.
func (f features) putReplicationConfiguration(ctx context.Context, in *PutReplicationConfigurationRequest) (*PutReplicationConfigurationResponse, error) {
	if len(in.ReplicationConfiguration.Rules) > 0 {
		return nil, notServed("PutReplicationConfiguration", modelled["PutReplicationConfiguration"])
	}
	if err := f.Caller.ClearReplication(ctx, f.call.in(nil)); err != nil {
		return nil, err
	}
	return &PutReplicationConfigurationResponse{ReplicationConfiguration: &ReplicationConfiguration{Rules: []ReplicationRule{}}}, nil
}

func (f features) describeImageReplicationStatus(ctx context.Context, in *DescribeImageReplicationStatusRequest) (*DescribeImageReplicationStatusResponse, error) {
	id := imageIDs([]ImageIdentifier{*in.ImageId})[0]
	if err := f.Caller.ImageReplicationStatus(ctx, f.call.repo(in.RegistryId, in.RepositoryName), id); err != nil {
		return nil, err
	}
	return &DescribeImageReplicationStatusResponse{
		ImageId: in.ImageId, RepositoryName: in.RepositoryName, ReplicationStatuses: []ImageReplicationStatus{},
	}, nil
}

func (f features) listReplicationBackfills(ctx context.Context, in *ListReplicationBackfillsRequest) (*ListReplicationBackfillsResponse, error) {
	at := f.call.in(in.RegistryId)
	if err := noToken("ListReplicationBackfills", at, in.NextToken); err != nil {
		return nil, err
	}
	if err := f.Caller.ListReplicationBackfills(ctx, at); err != nil {
		return nil, err
	}
	return &ListReplicationBackfillsResponse{RegistryId: text(at.Account), Backfills: []ReplicationBackfillSummary{}}, nil
}

func (f features) describeReplicationBackfillResults(ctx context.Context, in *DescribeReplicationBackfillResultsRequest) (*DescribeReplicationBackfillResultsResponse, error) {
	return nil, f.Caller.ReplicationBackfill(ctx, f.call.in(in.RegistryId), *in.ReplicationBackfillId) // always an error
}

func (f features) stopReplicationBackfill(ctx context.Context, in *StopReplicationBackfillRequest) (*StopReplicationBackfillResponse, error) {
	return nil, f.Caller.StopReplicationBackfill(ctx, f.call.in(in.RegistryId), *in.ReplicationBackfillId) // always an error
}

// noToken refuses every token of a list that is always empty, because none was
// given out.
func noToken(operation string, in ecr.RegistryID, token *string) error {
	l, err := newListing(operation, in, nil)
	if err != nil {
		return err
	}
	_, err = l.cursor(token)
	return err
}

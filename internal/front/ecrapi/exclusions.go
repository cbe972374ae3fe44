package ecrapi

import (
	"context"

	"github.com/kontor-registry/kontor/internal/wire/awsjson"
)

func (c *call) registerPullTimeUpdateExclusion(ctx context.Context, in *RegisterPullTimeUpdateExclusionRequest) (*RegisterPullTimeUpdateExclusionResponse, error) {
	at, err := c.retention.RegisterPullTimeExclusion(ctx, c.in(nil), *in.PrincipalArn)
	if err != nil {
		return nil, err
	}
	return &RegisterPullTimeUpdateExclusionResponse{PrincipalArn: in.PrincipalArn, CreatedAt: awsjson.NewTime(at)}, nil
}

func (c *call) deregisterPullTimeUpdateExclusion(ctx context.Context, in *DeregisterPullTimeUpdateExclusionRequest) (*DeregisterPullTimeUpdateExclusionResponse, error) {
	if err := c.retention.DeregisterPullTimeExclusion(ctx, c.in(nil), *in.PrincipalArn); err != nil {
		return nil, err
	}
	return &DeregisterPullTimeUpdateExclusionResponse{PrincipalArn: in.PrincipalArn}, nil
}

func (c *call) listPullTimeUpdateExclusions(ctx context.Context, in *ListPullTimeUpdateExclusionsRequest) (*ListPullTimeUpdateExclusionsResponse, error) {
	at := c.in(nil)
	l, err := newListing("ListPullTimeUpdateExclusions", at, nil)
	if err != nil {
		return nil, err
	}
	after, err := l.cursor(in.NextToken)
	if err != nil {
		return nil, err
	}
	arns, more, err := c.retention.ListPullTimeExclusions(ctx, at, after, pageSize(in.MaxResults, 100))
	if err != nil {
		return nil, err
	}
	out := &ListPullTimeUpdateExclusionsResponse{PullTimeUpdateExclusions: append([]string{}, arns...)}
	if more {
		out.NextToken = l.token(arns[len(arns)-1])
	}
	return out, nil
}

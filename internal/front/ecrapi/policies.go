package ecrapi

import (
	"context"
	"time"

	"github.com/kontor-registry/kontor/internal/wire/awsjson"
)

func (c *call) setRepositoryPolicy(ctx context.Context, in *SetRepositoryPolicyRequest) (*SetRepositoryPolicyResponse, error) {
	at := c.repo(in.RegistryId, in.RepositoryName)
	policy, err := c.SetPolicy(ctx, at, *in.PolicyText, value(in.Force))
	if err != nil {
		return nil, err
	}
	return &SetRepositoryPolicyResponse{RegistryId: text(at.In.Account), RepositoryName: text(at.Name), PolicyText: &policy}, nil
}

func (c *call) getRepositoryPolicy(ctx context.Context, in *GetRepositoryPolicyRequest) (*GetRepositoryPolicyResponse, error) {
	at := c.repo(in.RegistryId, in.RepositoryName)
	policy, err := c.Policy(ctx, at)
	if err != nil {
		return nil, err
	}
	return &GetRepositoryPolicyResponse{RegistryId: text(at.In.Account), RepositoryName: text(at.Name), PolicyText: &policy}, nil
}

func (c *call) deleteRepositoryPolicy(ctx context.Context, in *DeleteRepositoryPolicyRequest) (*DeleteRepositoryPolicyResponse, error) {
	at := c.repo(in.RegistryId, in.RepositoryName)
	policy, err := c.DeletePolicy(ctx, at)
	if err != nil {
		return nil, err
	}
	return &DeleteRepositoryPolicyResponse{RegistryId: text(at.In.Account), RepositoryName: text(at.Name), PolicyText: &policy}, nil
}

func (c *call) putLifecyclePolicy(ctx context.Context, in *PutLifecyclePolicyRequest) (*PutLifecyclePolicyResponse, error) {
	at := c.repo(in.RegistryId, in.RepositoryName)
	policy, err := c.retention.SetLifecyclePolicy(ctx, at, *in.LifecyclePolicyText)
	if err != nil {
		return nil, err
	}
	return &PutLifecyclePolicyResponse{RegistryId: text(at.In.Account), RepositoryName: text(at.Name), LifecyclePolicyText: &policy}, nil
}

func (c *call) getLifecyclePolicy(ctx context.Context, in *GetLifecyclePolicyRequest) (*GetLifecyclePolicyResponse, error) {
	at := c.repo(in.RegistryId, in.RepositoryName)
	policy, evaluated, err := c.retention.LifecyclePolicy(ctx, at)
	if err != nil {
		return nil, err
	}
	return &GetLifecyclePolicyResponse{
		RegistryId: text(at.In.Account), RepositoryName: text(at.Name), LifecyclePolicyText: &policy, LastEvaluatedAt: evaluatedAt(evaluated),
	}, nil
}

func (c *call) deleteLifecyclePolicy(ctx context.Context, in *DeleteLifecyclePolicyRequest) (*DeleteLifecyclePolicyResponse, error) {
	at := c.repo(in.RegistryId, in.RepositoryName)
	policy, evaluated, err := c.retention.DeleteLifecyclePolicy(ctx, at)
	if err != nil {
		return nil, err
	}
	return &DeleteLifecyclePolicyResponse{
		RegistryId: text(at.In.Account), RepositoryName: text(at.Name), LifecyclePolicyText: &policy, LastEvaluatedAt: evaluatedAt(evaluated),
	}, nil
}

// evaluatedAt is 0 before the first run, as ECR says it.
func evaluatedAt(t time.Time) *awsjson.Time {
	if t.IsZero() {
		t = time.Unix(0, 0)
	}
	return awsjson.NewTime(t)
}

package ecrapi

import (
	"context"
	"errors"

	"github.com/kontor-registry/kontor/internal/budget"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/registry"
	"github.com/kontor-registry/kontor/internal/upstream"
	"github.com/kontor-registry/kontor/internal/wire/awsjson"
)

// upstreamsOf are the operations on pull-through cache rules for the caller.
func upstreamsOf(c *call) *upstream.Caller { return c.h.cfg.Upstreams.As(c.p) }

func (c *call) createPullThroughCacheRule(ctx context.Context, in *CreatePullThroughCacheRuleRequest) (*CreatePullThroughCacheRuleResponse, error) {
	at := c.in(in.RegistryId)
	r, err := upstreamsOf(c).CreateRule(ctx, at, upstream.NewRule{
		Prefix: *in.EcrRepositoryPrefix, URL: *in.UpstreamRegistryUrl, UpstreamPrefix: value(in.UpstreamRepositoryPrefix),
		Kind: upstream.Kind(value(in.UpstreamRegistry)), CredentialARN: value(in.CredentialArn), CustomRoleARN: value(in.CustomRoleArn),
	})
	if err != nil {
		return nil, err
	}
	return &CreatePullThroughCacheRuleResponse{
		EcrRepositoryPrefix: text(r.Prefix), UpstreamRegistryUrl: text(r.Host), UpstreamRegistry: text(r.Kind), UpstreamRepositoryPrefix: text(r.UpstreamPrefix),
		CredentialArn: text(r.CredentialARN), CustomRoleArn: text(r.CustomRoleARN), CreatedAt: awsjson.NewTime(r.CreatedAt), RegistryId: text(at.Account),
	}, nil
}

func (c *call) describePullThroughCacheRules(ctx context.Context, in *DescribePullThroughCacheRulesRequest) (*DescribePullThroughCacheRulesResponse, error) {
	at := c.in(in.RegistryId)
	if in.EcrRepositoryPrefixes != nil {
		if err := exclusive("ecrRepositoryPrefixes", in.MaxResults, in.NextToken); err != nil {
			return nil, err
		}
	}
	l, err := newListing("DescribePullThroughCacheRules", at, nil)
	if err != nil {
		return nil, err
	}
	after, err := l.cursor(in.NextToken)
	if err != nil {
		return nil, err
	}
	rules, err := upstreamsOf(c).Rules(ctx, at, in.EcrRepositoryPrefixes)
	if err != nil {
		return nil, err
	}
	out := &DescribePullThroughCacheRulesResponse{PullThroughCacheRules: []PullThroughCacheRule{}}
	limit := len(rules)
	if in.EcrRepositoryPrefixes == nil {
		limit = pageSize(in.MaxResults, defaultPage)
	}
	for _, r := range rules {
		if r.Prefix <= after && after != "" {
			continue
		}
		if n := len(out.PullThroughCacheRules); n == limit {
			out.NextToken = l.token(*out.PullThroughCacheRules[n-1].EcrRepositoryPrefix)
			break
		}
		out.PullThroughCacheRules = append(out.PullThroughCacheRules, PullThroughCacheRule{
			EcrRepositoryPrefix: text(r.Prefix), UpstreamRegistryUrl: text(r.Host), UpstreamRegistry: text(r.Kind), UpstreamRepositoryPrefix: text(r.UpstreamPrefix),
			CredentialArn: text(r.CredentialARN), CustomRoleArn: text(r.CustomRoleARN), CreatedAt: awsjson.NewTime(r.CreatedAt),
			UpdatedAt: awsjson.NewTime(r.UpdatedAt), RegistryId: text(at.Account),
		})
	}
	return out, nil
}

func (c *call) updatePullThroughCacheRule(ctx context.Context, in *UpdatePullThroughCacheRuleRequest) (*UpdatePullThroughCacheRuleResponse, error) {
	at := c.in(in.RegistryId)
	r, err := upstreamsOf(c).UpdateRule(ctx, at, *in.EcrRepositoryPrefix, value(in.CredentialArn), value(in.CustomRoleArn))
	if err != nil {
		return nil, err
	}
	return &UpdatePullThroughCacheRuleResponse{
		EcrRepositoryPrefix: text(r.Prefix), RegistryId: text(at.Account), UpdatedAt: awsjson.NewTime(r.UpdatedAt),
		CredentialArn: text(r.CredentialARN), CustomRoleArn: text(r.CustomRoleARN), UpstreamRepositoryPrefix: text(r.UpstreamPrefix),
	}, nil
}

func (c *call) deletePullThroughCacheRule(ctx context.Context, in *DeletePullThroughCacheRuleRequest) (*DeletePullThroughCacheRuleResponse, error) {
	at := c.in(in.RegistryId)
	r, err := upstreamsOf(c).DeleteRule(ctx, at, *in.EcrRepositoryPrefix)
	if err != nil {
		return nil, err
	}
	return &DeletePullThroughCacheRuleResponse{
		EcrRepositoryPrefix: text(r.Prefix), UpstreamRegistryUrl: text(r.Host), UpstreamRepositoryPrefix: text(r.UpstreamPrefix),
		CredentialArn: text(r.CredentialARN), CustomRoleArn: text(r.CustomRoleARN), CreatedAt: awsjson.NewTime(r.CreatedAt), RegistryId: text(at.Account),
	}, nil
}

func (c *call) validatePullThroughCacheRule(ctx context.Context, in *ValidatePullThroughCacheRuleRequest) (*ValidatePullThroughCacheRuleResponse, error) {
	at := c.in(in.RegistryId)
	r, failure, err := upstreamsOf(c).ValidateRule(ctx, at, *in.EcrRepositoryPrefix)
	if err != nil {
		return nil, err
	}
	valid := failure == ""
	return &ValidatePullThroughCacheRuleResponse{
		EcrRepositoryPrefix: text(r.Prefix), RegistryId: text(at.Account), UpstreamRegistryUrl: text(r.Host), UpstreamRepositoryPrefix: text(r.UpstreamPrefix),
		CredentialArn: text(r.CredentialARN), CustomRoleArn: text(r.CustomRoleARN), IsValid: &valid, Failure: text(failure),
	}, nil
}

// fetchImages tries for images that the repository does not have, where a rule says
// that its upstream may. What fails stays a failure, with ECR's codes for upstreams
// (API reference, ImageFailure).
func (c *call) fetchImages(ctx context.Context, at ecr.Repo, missing []registry.ImageFailure) (images []registry.GotImage, failures []registry.ImageFailure, err error) {
	puller := c.h.cfg.Upstreams.For(c.h.cfg.Gate.As(c.p))
	for _, f := range missing {
		if f.Code != "ImageNotFound" {
			failures = append(failures, f)
			continue
		}
		m, _, err := puller.Manifest(ctx, at, f.ID, true)
		switch code := ecr.CodeOf(err); code {
		case "":
			// The answer, which is put together from it, has it again.
			if err := budget.Take(ctx, 2*int64(len(m.Body))); err != nil {
				return nil, nil, err
			}
			images = append(images, registry.GotImage{ID: ecr.ImageID{Digest: m.Digest, Tag: f.ID.Tag}, Manifest: m})
			continue
		case ecr.CodeImageNotFound:
		case ecr.CodeUpstreamImage:
			f.Code, f.Reason = "UpstreamAccessDenied", message(err)
		case ecr.CodeThrottling:
			f.Code, f.Reason = "UpstreamTooManyRequests", message(err)
		case ecr.CodeUnavailable:
			f.Code, f.Reason = "UpstreamUnavailable", message(err)
		default:
			return nil, nil, err
		}
		failures = append(failures, f)
	}
	return images, failures, nil
}

// message is what a client may be told of an error.
func message(err error) string {
	var e *ecr.Error
	if errors.As(err, &e) {
		return e.Message
	}
	return ""
}

package adminapi

import (
	"context"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/upstream"
	"github.com/kontor-registry/kontor/internal/wire/admin"
)

func secret(s upstream.Secret) admin.Secret {
	return admin.Secret{Name: s.Name, ARN: s.ARN, CreatedAt: s.CreatedAt.UTC(), UpdatedAt: s.UpdatedAt.UTC()}
}

func (c *call) putSecret(ctx context.Context, in *admin.PutSecretRequest) (*admin.PutSecretResponse, error) {
	at, err := c.in(in.RegistryID)
	if err != nil {
		return nil, err
	}
	s, err := c.upstreams.PutSecret(ctx, at, in.Name, upstream.Login{Username: in.Username, AccessToken: in.AccessToken})
	if err != nil {
		return nil, err
	}
	return &admin.PutSecretResponse{Secret: secret(s)}, nil
}

func (c *call) listSecrets(ctx context.Context, in *admin.ListSecretsRequest) (*admin.ListSecretsResponse, error) {
	at, err := c.in(in.RegistryID)
	if err != nil {
		return nil, err
	}
	list, err := c.upstreams.Secrets(ctx, at)
	if err != nil {
		return nil, err
	}
	out := &admin.ListSecretsResponse{Secrets: []admin.Secret{}}
	for _, s := range list {
		out.Secrets = append(out.Secrets, secret(s))
	}
	return out, nil
}

func (c *call) deleteSecret(ctx context.Context, in *admin.DeleteSecretRequest) (*admin.DeleteSecretResponse, error) {
	at, err := c.in(in.RegistryID)
	if err != nil {
		return nil, err
	}
	return &admin.DeleteSecretResponse{}, c.upstreams.DeleteSecret(ctx, at, in.Name)
}

func (c *call) refreshUpstream(ctx context.Context, in *admin.RefreshUpstreamRequest) (*admin.RefreshUpstreamResponse, error) {
	at, err := c.repo(in.RegistryID, in.RepositoryName)
	if err != nil {
		return nil, err
	}
	tag, err := optional(in.ImageTag, ecr.ParseTag)
	if err != nil {
		return nil, err
	}
	r, err := c.upstreams.Refresh(ctx, at, tag)
	if err != nil {
		return nil, err
	}
	return &admin.RefreshUpstreamResponse{
		RepositoryName: string(at.Name), Upstream: r.Upstream, ImageTag: string(r.Tag), DigestBefore: string(r.Before), DigestAfter: string(r.After),
	}, nil
}

func upstreamOf(r upstream.Rule) admin.Upstream {
	return admin.Upstream{
		Prefix: r.Prefix, URL: r.Host, Registry: string(r.Kind), UpstreamPrefix: r.UpstreamPrefix, CredentialARN: r.CredentialARN,
		CreatedAt: r.CreatedAt.UTC(), UpdatedAt: r.UpdatedAt.UTC(),
	}
}

func (c *call) listUpstreams(ctx context.Context, in *admin.ListUpstreamsRequest) (*admin.ListUpstreamsResponse, error) {
	at, err := c.in(in.RegistryID)
	if err != nil {
		return nil, err
	}
	rules, err := c.upstreams.Rules(ctx, at, nil)
	if err != nil {
		return nil, err
	}
	out := &admin.ListUpstreamsResponse{Upstreams: []admin.Upstream{}}
	for _, r := range rules {
		out.Upstreams = append(out.Upstreams, upstreamOf(r))
	}
	return out, nil
}

func (c *call) createUpstream(ctx context.Context, in *admin.CreateUpstreamRequest) (*admin.CreateUpstreamResponse, error) {
	at, err := c.in(in.RegistryID)
	if err != nil {
		return nil, err
	}
	n := upstream.NewRule{Prefix: in.Prefix, URL: in.URL, UpstreamPrefix: in.UpstreamPrefix}
	if in.Secret != "" {
		if n.CredentialARN, err = c.upstreams.SecretARN(ctx, at, in.Secret); err != nil {
			return nil, err
		}
	}
	r, err := c.upstreams.CreateRule(ctx, at, n)
	if err != nil {
		return nil, err
	}
	return &admin.CreateUpstreamResponse{Upstream: upstreamOf(r)}, nil
}

func (c *call) deleteUpstream(ctx context.Context, in *admin.DeleteUpstreamRequest) (*admin.DeleteUpstreamResponse, error) {
	at, err := c.in(in.RegistryID)
	if err != nil {
		return nil, err
	}
	_, err = c.upstreams.DeleteRule(ctx, at, in.Prefix)
	return &admin.DeleteUpstreamResponse{}, err
}

func (c *call) validateUpstream(ctx context.Context, in *admin.ValidateUpstreamRequest) (*admin.ValidateUpstreamResponse, error) {
	at, err := c.in(in.RegistryID)
	if err != nil {
		return nil, err
	}
	r, failure, err := c.upstreams.ValidateRule(ctx, at, in.Prefix)
	if err != nil {
		return nil, err
	}
	return &admin.ValidateUpstreamResponse{Upstream: upstreamOf(r), IsValid: failure == "", Failure: failure}, nil
}

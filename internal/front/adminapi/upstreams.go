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

package ecrapi

import (
	"context"
	"encoding/base64"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/wire/awsjson"
)

// dockerUser is the user name of every docker token.
const dockerUser = "AWS"

// getAuthorizationToken names one proxyEndpoint, that of this endpoint: the
// token is good for the whole region, but of other registries it is not known
// here where they are reached.
func (c *call) getAuthorizationToken(ctx context.Context, in *GetAuthorizationTokenRequest) (*GetAuthorizationTokenResponse, error) {
	for _, id := range in.RegistryIds {
		if ecr.AccountID(id) != c.at.Registry.Account {
			return nil, ecr.InvalidParameter("registryIds", "%s is not the registry of this endpoint, %s; ask the endpoint of that registry", id, c.at.Registry.Account)
		}
	}
	token, err := c.AuthorizationToken(ctx, c.at.Registry.Region)
	if err != nil {
		return nil, err
	}
	encoded := base64.StdEncoding.EncodeToString([]byte(dockerUser + ":" + token.Password))
	return &GetAuthorizationTokenResponse{AuthorizationData: []AuthorizationData{{
		AuthorizationToken: &encoded, ExpiresAt: awsjson.NewTime(token.ExpiresAt), ProxyEndpoint: text(c.at.Scheme + "://" + c.at.Host),
	}}}, nil
}

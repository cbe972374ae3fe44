package ecrapi

import (
	"context"
	"encoding/base64"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/lazyregexp"
	"github.com/kontor-registry/kontor/internal/wire/awsjson"
)

// dockerUser is the user name of every docker token.
const dockerUser = "AWS"

// getAuthorizationToken answers with one token, which is good for the whole
// region, and where each registry asked for is reached: by default the caller's
// own.
func (c *call) getAuthorizationToken(ctx context.Context, in *GetAuthorizationTokenRequest) (*GetAuthorizationTokenResponse, error) {
	registries := []ecr.RegistryID{c.in(nil)}
	if !c.at.Serves(registries[0]) {
		registries[0].Account = c.at.Registry.Account
	}
	if in.RegistryIds != nil {
		registries = nil
	}
	for _, id := range in.RegistryIds {
		at := c.in(&id)
		if !c.at.Serves(at) {
			return nil, ecr.InvalidParameter("registryIds", "%s is no registry of this server in %s", id, at.Region)
		}
		registries = append(registries, at)
	}
	token, err := c.AuthorizationToken(ctx, c.at.Registry.Region)
	if err != nil {
		return nil, err
	}
	encoded := base64.StdEncoding.EncodeToString([]byte(dockerUser + ":" + token.Password))
	out := &GetAuthorizationTokenResponse{}
	for _, at := range registries {
		out.AuthorizationData = append(out.AuthorizationData, AuthorizationData{
			AuthorizationToken: &encoded, ExpiresAt: awsjson.NewTime(token.ExpiresAt), ProxyEndpoint: text(proxyEndpoint(c.at.Address(at))),
		})
	}
	return out, nil
}

// ecrHost are names of ECR's own form.
var ecrHost = lazyregexp.New(`^\d{12}\.dkr[.-]ecr(-fips)?\.[a-z0-9-]+\.[a-z.]+(:\d+)?$`)

// proxyEndpoint is a as clients of ECR expect it: with names of ECR's form they
// know no other scheme than https, and take the host only.
func proxyEndpoint(a Address) string {
	if ecrHost.MatchString(a.Host) {
		a.Scheme = "https"
	}
	return a.Scheme + "://" + a.Host
}

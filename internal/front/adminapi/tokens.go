package adminapi

import (
	"context"

	"github.com/kontor-registry/kontor/internal/access/iam"
	"github.com/kontor-registry/kontor/internal/store/meta"
	"github.com/kontor-registry/kontor/internal/wire/admin"
)

// tokens are the operations on machine tokens, as the caller may call them.
func (c *call) tokens() (*iam.Service, iam.Tokens) {
	s := c.h.cfg.IAM(c.at.Region)
	return s, s.As(c.p).Tokens()
}

func (c *call) createUserToken(ctx context.Context, in *admin.CreateUserTokenRequest) (*admin.CreateUserTokenResponse, error) {
	s, tokens := c.tokens()
	made, password, err := tokens.Create(ctx, iam.NewMachineToken{
		User: in.UserName, Name: in.TokenName, Policy: in.Policy, Pull: in.Pull, Push: in.Push, Expires: in.ExpiresAt, Off: !c.h.cfg.MachineTokens(c.at),
	})
	if err != nil {
		return nil, err
	}
	return &admin.CreateUserTokenResponse{Token: userToken(s, in.UserName, made), Password: password}, nil
}

func (c *call) listUserTokens(ctx context.Context, in *admin.ListUserTokensRequest) (*admin.ListUserTokensResponse, error) {
	s, tokens := c.tokens()
	list, err := tokens.List(ctx, in.UserName)
	if err != nil {
		return nil, err
	}
	out := &admin.ListUserTokensResponse{UserName: in.UserName, Tokens: []admin.UserToken{}, Off: !c.h.cfg.MachineTokens(c.at)}
	for _, t := range list {
		out.Tokens = append(out.Tokens, userToken(s, in.UserName, t))
	}
	return out, nil
}

func (c *call) deleteUserToken(ctx context.Context, in *admin.DeleteUserTokenRequest) (*admin.DeleteUserTokenResponse, error) {
	if err := bounded("tokenName", in.TokenName, 1, admin.MaxName); err != nil {
		return nil, err
	}
	s, tokens := c.tokens()
	gone, err := tokens.Delete(ctx, in.UserName, in.TokenName)
	if err != nil {
		return nil, err
	}
	return &admin.DeleteUserTokenResponse{Token: userToken(s, in.UserName, gone)}, nil
}

func userToken(s *iam.Service, user string, t meta.MachineToken) admin.UserToken {
	return admin.UserToken{
		ID: t.ID, Name: t.Name, UserName: user, Policy: t.Policy, CreatedAt: t.CreatedAt, ExpiresAt: t.ExpiresAt, Expired: s.Expired(t),
		LastUsedAt: t.LastUsed.At, LastUsedFrom: t.LastUsed.From,
	}
}

package adminapi

import (
	"context"
	"net/url"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/wire/admin"
)

// createConsoleLink makes a one-time link to the console. It gives no rights but the
// caller's.
func (c *call) createConsoleLink(ctx context.Context, _ *admin.CreateConsoleLinkRequest) (*admin.CreateConsoleLinkResponse, error) {
	if !c.h.cfg.Console {
		return nil, ecr.Errorf(ecr.CodeValidation, "The web console of this server is off.")
	}
	secret, session, err := c.h.cfg.IAM(c.at.Region).Console(c.p).Open(ctx, true)
	if err != nil {
		return nil, err
	}
	port := ""
	if c.h.cfg.ConsolePort != nil {
		port = c.h.cfg.ConsolePort(c.at)
	}
	return &admin.CreateConsoleLinkResponse{
		Path: "/console/open?code=" + url.QueryEscape(secret), ExpiresAt: session.ExpiresAt, Principal: session.Principal,
		Port: port,
	}, nil
}

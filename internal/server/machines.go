package server

import (
	"context"
	"net/http"
	"time"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/access/authn"
	"github.com/kontor-registry/kontor/internal/access/iam"
	"github.com/kontor-registry/kontor/internal/access/identity"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/registry"
)

// Kinds of credentials, as Observation names them.
const (
	credentialToken       = "machine token"
	credentialWebIdentity = "web identity"
)

// machines verifies what machines log in with, for one request.
type machines struct {
	identity.Tokens
	s   *Server
	r   *http.Request
	req *request
}

// machines returns nil when machine credentials are off.
func (s *Server) machines(r *http.Request, req *request, tokens identity.Tokens) authn.Machines {
	if !s.takesMachines(req.binding.Registry) {
		if s.cfg.Scanner == nil || s.cfg.Scanner.Adapter == nil {
			return nil
		}
		return scannersOnly{machines{tokens, s, r, req}}
	}
	return machines{tokens, s, r, req}
}

// scannersOnly accepts what the server itself gave a scanner, where the credentials of
// other machines are off.
type scannersOnly struct{ machines }

// VerifyMachineToken implements authn.Machines.
func (m scannersOnly) VerifyMachineToken(ctx context.Context, user, password string) (access.Principal, error) {
	p, err := m.machines.VerifyMachineToken(ctx, user, password)
	if err == nil && !p.Token.OfScanner() {
		return access.Principal{}, errMachinesOff
	}
	return p, err
}

// VerifyWebIdentity implements authn.Machines.
func (m scannersOnly) VerifyWebIdentity(context.Context, string, string) (access.Principal, error) {
	return access.Principal{}, errMachinesOff
}

// errMachinesOff is what is answered where machine credentials are off.
var errMachinesOff = &ecr.Error{Code: ecr.CodeUnrecognizedClient, Message: "Your Authorization Token is invalid."}

// takesMachines reports whether machine credentials are on in a registry.
func (s *Server) takesMachines(in ecr.RegistryID) bool {
	if s.cfg.MachineCredentials != "" {
		return s.cfg.MachineCredentials == On
	}
	return s.registry.Compat(in) == registry.CompatOCI
}

// VerifyMachineToken implements authn.Machines.
func (m machines) VerifyMachineToken(ctx context.Context, user, password string) (access.Principal, error) {
	m.req.credential = credentialToken
	return m.Tokens.VerifyMachineToken(ctx, user, password)
}

// VerifyWebIdentity implements authn.Machines.
func (m machines) VerifyWebIdentity(ctx context.Context, role, token string) (access.Principal, error) {
	m.req.credential = credentialWebIdentity
	in := m.req.binding.Registry
	return m.s.iams[in.Region.Partition()].WebLogin(ctx, iam.WebLogin{
		Role: role, Account: in.Account, Token: token, Region: in.Region, Info: m.s.info(m.r, m.req),
	})
}

// noteTime bounds how long noting the use of a token may take.
const noteTime = 5 * time.Second

// noteToken notes the use of the machine token that a request was sent with.
func (s *Server) noteToken(r *http.Request, req *request) {
	t := req.principal.Token
	if t == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), noteTime)
	defer cancel()
	s.users[req.binding.Registry.Region.Partition()].TokenUsed(ctx, t.ID, req.principal.Request.Source.String())
}

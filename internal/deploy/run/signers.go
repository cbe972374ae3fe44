package run

import (
	"context"
	"fmt"

	"github.com/kontor-registry/kontor/internal/adminclient"
	"github.com/kontor-registry/kontor/internal/deploy"
	"github.com/kontor-registry/kontor/internal/deploy/state"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/wire/admin"
)

// signers are those of a Kontor registry.
type signers struct{ c *adminclient.Client }

// signers returns the signers of the registry; nil for Amazon ECR.
func (s *Registry) signers() deploy.SignersAPI {
	if c := s.admin(); c != nil {
		return signers{c}
	}
	return nil
}

// observeSigners reads the signers, or says why they are not known.
func (s *Registry) observeSigners(ctx context.Context) (all map[string]state.Signer, why string, err error) {
	api := s.signers()
	if api == nil {
		return nil, "the registry is Amazon ECR, which does not verify signatures; name the registries of Kontor with `registries` in their entries", nil
	}
	all, err = api.Signers(ctx)
	if why, err := s.unknown(err, "signers", "kontor:ListSigners", "verifies signatures"); why != "" || err != nil {
		return nil, why, err
	}
	return all, "", nil
}

// unknown says why settings of a kind could not be read, where that is no failure.
func (s *Registry) unknown(err error, kind, permission, does string) (why string, failure error) {
	switch {
	case err == nil:
		return "", nil
	case s.noAdmin(err):
		return "the server is not a Kontor server that " + does, nil
	case ecr.CodeOf(err) == ecr.CodeAccessDenied:
		return fmt.Sprintf("%v: allow %s", err, permission), nil
	}
	return "", fmt.Errorf("reading the %s of registry %s: %w", kind, s.Target.Name, err)
}

// Signers implements deploy.SignersAPI.
func (s signers) Signers(ctx context.Context) (map[string]state.Signer, error) {
	var list admin.ListSignersResponse
	if err := s.c.Call(ctx, "ListSigners", admin.ListSignersRequest{}, &list); err != nil {
		return nil, err
	}
	out := map[string]state.Signer{}
	for _, x := range list.Signers {
		g := state.Signer{Name: x.Name, Repositories: x.Repositories, Key: x.Key, Certificates: x.Certificates, Subject: x.Subject}
		if k := x.Keyless; k != nil {
			g.Identity, g.Issuer, g.TrustedRoot = k.Identity, k.Issuer, k.TrustedRoot
		}
		out[x.Name] = g
	}
	return out, nil
}

// PutSigner implements deploy.SignersAPI.
func (s signers) PutSigner(ctx context.Context, g state.Signer) error {
	in := admin.Signer{Name: g.Name, Repositories: g.Repositories, Key: g.Key, Certificates: g.Certificates, Subject: g.Subject}
	if g.Identity != "" {
		in.Keyless = &admin.Keyless{Issuer: g.Issuer, Identity: g.Identity, TrustedRoot: g.TrustedRoot}
	}
	return s.c.Call(ctx, "PutSigner", admin.PutSignerRequest{Signer: in}, &admin.PutSignerResponse{})
}

// DeleteSigner implements deploy.SignersAPI.
func (s signers) DeleteSigner(ctx context.Context, name string) error {
	return s.c.Call(ctx, "DeleteSigner", admin.DeleteSignerRequest{Name: name}, &admin.DeleteSignerResponse{})
}

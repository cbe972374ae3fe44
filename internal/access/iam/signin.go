package iam

import (
	"context"
	"errors"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/access/authn"
	"github.com/kontor-registry/kontor/internal/access/authz"
	"github.com/kontor-registry/kontor/internal/access/identity"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/gate"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// SignIn is a person whom an identity provider has sent to the console, with an ID
// token that was verified for the server's own client.
type SignIn struct {
	Account ecr.AccountID // of the roles
	Region  ecr.Region
	Token   string
	Info    access.RequestInfo
}

// maxSignInRoles is how many roles are offered, rolesPage how many are read at once.
const (
	maxSignInRoles = 100
	rolesPage      = 200
)

// Trusted reports whether the account knows the provider, with the client ID among its
// audiences: AccessDenied, with what to do, if not.
func (s *Service) Trusted(ctx context.Context, account ecr.AccountID, p authn.Provider) error {
	return s.cfg.Gate.System("issuer of a web identity").Read(ctx, operation(assumeByToken), func(ctx context.Context, v *gate.View) error {
		_, err := trustedIssuer(ctx, v.Identities(), account, p.Issuer, []string{p.ClientID})
		return err
	})
}

func trustedIssuer(ctx context.Context, r meta.IdentityReader, account ecr.AccountID, issuer string, audiences []string) (meta.Issuer, error) {
	i, err := r.Issuer(ctx, account, issuer)
	switch {
	case errors.Is(err, meta.ErrNotFound):
		return i, ecr.Errorf(ecr.CodeAccessDenied, "Account %s does not trust %s yet. An administrator creates the identity provider, with the audience %s: aws iam create-open-id-connect-provider.", account, issuer, audiences[0])
	case err != nil:
		return i, err
	case len(meant(authn.WebToken{Audiences: audiences}, i.Audiences)) == 0:
		return i, ecr.Errorf(ecr.CodeAccessDenied, "The identity provider %s of account %s does not have the audience %s. An administrator adds it: aws iam add-client-id-to-open-id-connect-provider.", issuer, account, audiences[0])
	}
	return i, nil
}

// errUntrusted is for a role that does not trust a token.
var errUntrusted = errors.New("iam: the role does not trust the token")

// SignInRole is a role that a person may assume.
type SignInRole struct{ ARN, Name, Description string }

// SignInRoles are the roles of the account that the person may assume, in the
// order of their names; more says that there are others. Nothing goes on record: no one
// asked for one of them yet. AccessDenied when the account does not know the provider.
func (s *Service) SignInRoles(ctx context.Context, in SignIn) (roles []SignInRole, more bool, err error) {
	t, err := authn.ParseWebToken(in.Token)
	if err != nil {
		return nil, false, err
	}
	a := AssumeRole{SessionName: sessionName(t.Subject), Region: in.Region, Tags: Tags(t.Tags), Transitive: t.TransitiveTags}
	if _, err := checkTags(nil, a.Tags); err != nil {
		return nil, false, err
	}
	err = s.cfg.Gate.System("roles of a web identity").Read(ctx, operation(assumeByToken), func(ctx context.Context, v *gate.View) error {
		roles, more = nil, false
		r := v.Identities()
		issuer, err := trustedIssuer(ctx, r, in.Account, t.Issuer, t.Audiences)
		if err != nil {
			return err
		}
		for after, n := "", rolesPage; n == rolesPage; {
			page, err := r.ListRoles(ctx, in.Account, after, rolesPage)
			if err != nil {
				return err
			}
			for _, role := range page {
				after = role.Name
				w := webRole{role: role, arn: identity.RoleARN(s.cfg.Partition, role), issuer: issuer}
				err := s.askTrust(w, t, a, in.Info, func(_ access.Action, _ string, d authz.Decision) error {
					if !d.Allowed {
						return errUntrusted
					}
					return nil
				})
				switch {
				case err == nil && len(roles) == maxSignInRoles:
					more = true
					return nil
				case err == nil:
					roles = append(roles, SignInRole{w.arn, role.Name, role.Description})
				case !errors.Is(err, errUntrusted):
					return err
				}
			}
			n = len(page)
		}
		return nil
	})
	return roles, more, err
}

// SignIn begins a session of a role for the person, as AssumeRoleWithWebIdentity does,
// and one of the console with it. It lasts as long as the role allows, and not longer
// than sessions of the console do. It returns the secret for the browser.
// Errors: those of AssumeRoleWithWebIdentity, in the codes of a login.
func (s *Service) SignIn(ctx context.Context, in SignIn, roleARN string) (secret string, p access.Principal, err error) {
	t, err := authn.ParseWebToken(in.Token)
	if err != nil {
		return "", p, err
	}
	var role meta.Role
	err = s.cfg.Gate.System("role of a web identity").Read(ctx, operation(assumeByToken), func(ctx context.Context, v *gate.View) (err error) {
		role, err = s.roleOf(ctx, v.Identities(), roleARN)
		return err
	})
	if err != nil {
		return "", p, err
	}
	if role.UniqueID == "" || role.Account != in.Account {
		return "", p, ecr.Errorf(ecr.CodeAccessDenied, "Not authorized to perform %s", assumeByToken)
	}
	out, err := s.AssumeRoleWithWebIdentity(ctx, in.Info, in.Token, AssumeRole{
		RoleARN: roleARN, SessionName: sessionName(t.Subject), Duration: min(role.MaxSession, identity.ConsoleLifetime), Region: in.Region,
	})
	if err != nil {
		return "", p, loginError(err)
	}
	if p, _, err = s.cfg.Identity.LookupSession(ctx, out.AccessKeyID, out.SessionToken); err != nil {
		return "", p, err
	}
	p.Request = in.Info
	secret, _, err = s.Console(p).Open(ctx, false)
	return secret, p, err
}

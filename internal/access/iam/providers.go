package iam

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/access/authn"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

func isMissing(err error) bool { return err == nil || errors.Is(err, meta.ErrNotFound) }

// providerName is the last part of a provider's ARN and the prefix of its
// condition keys: the issuer's URL without its scheme.
func providerName(issuerURL string) string {
	_, name, _ := strings.Cut(issuerURL, "://")
	return strings.TrimSuffix(name, "/")
}

// ProviderARN is the ARN of the account's provider for an issuer.
func (s *Service) ProviderARN(account ecr.AccountID, issuerURL string) string {
	return ecr.IAMARN(s.cfg.Partition, account, "oidc-provider/"+providerName(issuerURL))
}

// provider finds the account's issuer by its provider's ARN.
func (r *reading) provider(ctx context.Context, arn string) (meta.Issuer, error) {
	if err := r.may(question{resource: arn}); err != nil {
		return meta.Issuer{}, err
	}
	all, err := r.ListIssuers(ctx, r.c.p.Account)
	if err != nil {
		return meta.Issuer{}, err
	}
	for _, i := range all {
		if r.c.s.ProviderARN(i.Account, i.URL) == arn {
			return i, nil
		}
	}
	return meta.Issuer{}, ecr.Errorf(CodeNoSuchEntity, "OpenIDConnect Provider not found for arn %s", arn)
}

// CreateProvider trusts an OpenID Connect issuer to say who its subjects are,
// in tokens for one of audiences.
func (c *Caller) CreateProvider(ctx context.Context, url string, audiences, thumbprints []string) (arn string, err error) {
	if err := authn.CheckIssuerURL(url); err != nil {
		return "", ecr.Errorf(CodeInvalidInput, "Invalid Open ID Connect Provider URL: %v", err)
	}
	if len(audiences) > maxAudiences {
		return "", limitExceeded("ClientIdsPerOpenIdConnectProvider", maxAudiences)
	}
	arn = c.s.ProviderARN(c.p.Account, url)
	return arn, c.update(ctx, "iam:CreateOpenIDConnectProvider", func(ctx context.Context, tx *writing) error {
		if err := tx.may(question{resource: arn}); err != nil {
			return err
		}
		all, err := tx.ListIssuers(ctx, c.p.Account)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(all, func(i meta.Issuer) bool { return providerName(i.URL) == providerName(url) }) {
			return ecr.Errorf(CodeEntityAlreadyExists, "Provider with url %s already exists.", url)
		}
		if len(all) >= maxIssuersCount {
			return limitExceeded("OpenIdConnectProvidersPerAccount", maxIssuersCount)
		}
		return tx.PutIssuer(ctx, meta.Issuer{Account: c.p.Account, URL: url, Audiences: audiences, Thumbprints: thumbprints, CreatedAt: c.now()})
	})
}

// Provider returns an issuer.
func (c *Caller) Provider(ctx context.Context, arn string) (i meta.Issuer, err error) {
	err = c.view(ctx, "iam:GetOpenIDConnectProvider", func(ctx context.Context, r *reading) (err error) {
		i, err = r.provider(ctx, arn)
		return err
	})
	return i, err
}

// Providers lists the ARNs of the account's issuers.
func (c *Caller) Providers(ctx context.Context) (arns []string, err error) {
	err = c.view(ctx, "iam:ListOpenIDConnectProviders", func(ctx context.Context, r *reading) error {
		if err := r.may(question{resource: "*"}); err != nil {
			return err
		}
		all, err := r.ListIssuers(ctx, c.p.Account)
		arns = nil
		for _, i := range all {
			arns = append(arns, c.s.ProviderARN(i.Account, i.URL))
		}
		return err
	})
	return arns, err
}

// ChangeAudience adds an audience to an issuer, or removes it.
func (c *Caller) ChangeAudience(ctx context.Context, arn, audience string, add bool) error {
	action := access.Action("iam:RemoveClientIDFromOpenIDConnectProvider")
	if add {
		action = "iam:AddClientIDToOpenIDConnectProvider"
	}
	return c.update(ctx, action, func(ctx context.Context, tx *writing) error {
		i, err := tx.provider(ctx, arn)
		if err != nil {
			return err
		}
		i.Audiences = slices.DeleteFunc(slices.Clone(i.Audiences), func(a string) bool { return a == audience })
		if add {
			i.Audiences = append(i.Audiences, audience)
		}
		if len(i.Audiences) > maxAudiences {
			return limitExceeded("ClientIdsPerOpenIdConnectProvider", maxAudiences)
		}
		return tx.PutIssuer(ctx, i)
	})
}

// DeleteProvider stops trusting an issuer. Sessions that run continue.
func (c *Caller) DeleteProvider(ctx context.Context, arn string) error {
	return c.update(ctx, "iam:DeleteOpenIDConnectProvider", func(ctx context.Context, tx *writing) error {
		i, err := tx.provider(ctx, arn)
		if err != nil {
			return err
		}
		return tx.DeleteIssuer(ctx, i.Account, i.URL)
	})
}

package adminapi

import (
	"context"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/signing"
	"github.com/kontor-registry/kontor/internal/signing/trust"
	"github.com/kontor-registry/kontor/internal/wire/admin"
)

func signer(s signing.Signer) admin.Signer {
	out := admin.Signer{
		Name: s.Name, Repositories: s.Repositories, Key: s.Key, Certificates: s.Certificates, Subject: s.Subject,
		CreatedAt: s.CreatedAt.UTC(), UpdatedAt: s.UpdatedAt.UTC(),
	}
	if k := s.Keyless; k != nil {
		out.Keyless = &admin.Keyless{Issuer: k.Issuer, Identity: k.Identity, TrustedRoot: k.TrustedRoot}
	}
	return out
}

func (c *call) putSigner(ctx context.Context, in *admin.PutSignerRequest) (*admin.PutSignerResponse, error) {
	at, err := c.in(in.RegistryID)
	if err != nil {
		return nil, err
	}
	g := in.Signer
	s := trust.Signer{Name: g.Name, Repositories: g.Repositories, Key: g.Key, Certificates: g.Certificates, Subject: g.Subject}
	if k := g.Keyless; k != nil {
		s.Keyless = &trust.Keyless{Issuer: k.Issuer, Identity: k.Identity, TrustedRoot: k.TrustedRoot}
	}
	stored, err := c.signing.PutSigner(ctx, at, s)
	if err != nil {
		return nil, err
	}
	return &admin.PutSignerResponse{Signer: signer(stored)}, nil
}

func (c *call) listSigners(ctx context.Context, in *admin.ListSignersRequest) (*admin.ListSignersResponse, error) {
	at, err := c.in(in.RegistryID)
	if err != nil {
		return nil, err
	}
	list, err := c.signing.ListSigners(ctx, at)
	if err != nil {
		return nil, err
	}
	out := &admin.ListSignersResponse{Signers: []admin.Signer{}}
	for _, s := range list {
		out.Signers = append(out.Signers, signer(s))
	}
	return out, nil
}

func (c *call) deleteSigner(ctx context.Context, in *admin.DeleteSignerRequest) (*admin.DeleteSignerResponse, error) {
	at, err := c.in(in.RegistryID)
	if err != nil {
		return nil, err
	}
	return &admin.DeleteSignerResponse{}, c.signing.DeleteSigner(ctx, at, in.Name)
}

func (c *call) listImageSignatures(ctx context.Context, in *admin.ListImageSignaturesRequest) (*admin.ListImageSignaturesResponse, error) {
	at, err := c.repo(in.RegistryID, in.RepositoryName)
	if err != nil {
		return nil, err
	}
	d, err := optional(in.ImageDigest, ecr.ParseDigest)
	if err != nil {
		return nil, err
	}
	tag, err := optional(in.ImageTag, ecr.ParseTag)
	if err != nil {
		return nil, err
	}
	r, err := c.signing.ImageSignatures(ctx, at, ecr.ImageID{Digest: d, Tag: tag})
	if err != nil {
		return nil, err
	}
	out := &admin.ListImageSignaturesResponse{
		RepositoryName: in.RepositoryName, ImageDigest: string(r.Image), SignedBy: texts(r.SignedBy), Trusted: texts(r.Trusted), Signatures: []admin.Signature{},
	}
	for _, g := range r.Signatures {
		out.Signatures = append(out.Signatures, admin.Signature{
			Signer: g.Signer, Accepted: g.Refused == "", Reason: g.Refused, As: g.As, Form: string(g.Form),
			Of: string(g.Of), Manifest: string(g.Manifest), Layer: string(g.Layer), Until: g.Until.UTC(),
		})
	}
	return out, nil
}

package adminapi

import (
	"context"

	"github.com/kontor-registry/kontor/internal/signing/managed"
	"github.com/kontor-registry/kontor/internal/wire/admin"
)

func signingProfile(p managed.Profile) admin.SigningProfile {
	return admin.SigningProfile{
		Name: p.Name, ARN: p.ARN, Subject: p.Subject, NotAfter: p.NotAfter.UTC(), Certificates: p.Certificates,
		CreatedAt: p.CreatedAt.UTC(), UpdatedAt: p.UpdatedAt.UTC(),
	}
}

func (c *call) createSigningProfile(ctx context.Context, in *admin.CreateSigningProfileRequest) (*admin.CreateSigningProfileResponse, error) {
	at, err := c.in(in.RegistryID)
	if err != nil {
		return nil, err
	}
	p, err := c.h.cfg.Managed.As(c.p).CreateProfile(ctx, at, managed.NewProfile{
		Name: in.Name, Key: in.Key, Certificates: in.Certificates, Subject: in.Subject, Days: in.Days, Replace: in.Replace,
	})
	if err != nil {
		return nil, err
	}
	return &admin.CreateSigningProfileResponse{Profile: signingProfile(p)}, nil
}

func (c *call) listSigningProfiles(ctx context.Context, in *admin.ListSigningProfilesRequest) (*admin.ListSigningProfilesResponse, error) {
	at, err := c.in(in.RegistryID)
	if err != nil {
		return nil, err
	}
	list, err := c.h.cfg.Managed.As(c.p).Profiles(ctx, at, in.Name)
	if err != nil {
		return nil, err
	}
	out := &admin.ListSigningProfilesResponse{Profiles: []admin.SigningProfile{}}
	for _, p := range list {
		out.Profiles = append(out.Profiles, signingProfile(p))
	}
	return out, nil
}

func (c *call) deleteSigningProfile(ctx context.Context, in *admin.DeleteSigningProfileRequest) (*admin.DeleteSigningProfileResponse, error) {
	at, err := c.in(in.RegistryID)
	if err != nil {
		return nil, err
	}
	return &admin.DeleteSigningProfileResponse{}, c.h.cfg.Managed.As(c.p).DeleteProfile(ctx, at, in.Name)
}

package ecrapi

import (
	"context"

	"github.com/kontor-registry/kontor/internal/signing"
	"github.com/kontor-registry/kontor/internal/signing/managed"
)

// signatures are the operations on signatures.
type signatures struct {
	*signing.Caller
	call *call
}

// serveSignatures is serve for operations of signatures.
func serveSignatures[In, Out any](operation func(signatures, context.Context, *In) (*Out, error)) func(context.Context, *call, []byte) (any, error) {
	return serve(func(c *call, ctx context.Context, in *In) (*Out, error) {
		return operation(signatures{c.h.cfg.Signing.As(c.p), c}, ctx, in)
	})
}

// managedSigning are the operations on what the registry signs.
type managedSigning struct {
	*managed.Caller
	call *call
}

// serveManaged is serve for operations of managedSigning.
func serveManaged[In, Out any](operation func(managedSigning, context.Context, *In) (*Out, error)) func(context.Context, *call, []byte) (any, error) {
	return serve(func(c *call, ctx context.Context, in *In) (*Out, error) {
		return operation(managedSigning{c.h.cfg.Managed.As(c.p), c}, ctx, in)
	})
}

// wildcardMatch is the one type of filters of signing rules.
const wildcardMatch = "WILDCARD_MATCH"

func wireSigning(c managed.Configuration) *SigningConfiguration {
	out := &SigningConfiguration{Rules: []SigningRule{}}
	for _, r := range c.Rules {
		rule := SigningRule{SigningProfileArn: text(r.Profile)}
		for _, f := range r.Filters {
			rule.RepositoryFilters = append(rule.RepositoryFilters, SigningRepositoryFilter{Filter: text(f), FilterType: text(wildcardMatch)})
		}
		out.Rules = append(out.Rules, rule)
	}
	return out
}

func (s managedSigning) getSigningConfiguration(ctx context.Context, _ *GetSigningConfigurationRequest) (*GetSigningConfigurationResponse, error) {
	at := s.call.in(nil)
	c, err := s.SigningConfiguration(ctx, at)
	if err != nil {
		return nil, err
	}
	return &GetSigningConfigurationResponse{RegistryId: text(at.Account), SigningConfiguration: wireSigning(c)}, nil
}

func (s managedSigning) putSigningConfiguration(ctx context.Context, in *PutSigningConfigurationRequest) (*PutSigningConfigurationResponse, error) {
	var c managed.Configuration
	for _, given := range in.SigningConfiguration.Rules {
		rule := managed.Rule{Profile: *given.SigningProfileArn}
		for _, f := range given.RepositoryFilters {
			rule.Filters = append(rule.Filters, *f.Filter)
		}
		c.Rules = append(c.Rules, rule)
	}
	if err := s.PutSigningConfiguration(ctx, s.call.in(nil), c); err != nil {
		return nil, err
	}
	return &PutSigningConfigurationResponse{SigningConfiguration: wireSigning(c)}, nil
}

func (s managedSigning) deleteSigningConfiguration(ctx context.Context, _ *DeleteSigningConfigurationRequest) (*DeleteSigningConfigurationResponse, error) {
	at := s.call.in(nil)
	was, err := s.DeleteSigningConfiguration(ctx, at)
	if err != nil {
		return nil, err
	}
	return &DeleteSigningConfigurationResponse{RegistryId: text(at.Account), SigningConfiguration: wireSigning(was)}, nil
}

// describeImageSigningStatus answers with the signatures of signing profiles, and with
// those that were verified: each signer stands for a signing profile.
func (s signatures) describeImageSigningStatus(ctx context.Context, in *DescribeImageSigningStatusRequest) (*DescribeImageSigningStatusResponse, error) {
	at := s.call.repo(in.RegistryId, in.RepositoryName)
	id := imageIDs([]ImageIdentifier{*in.ImageId})[0]
	statuses, err := s.ImageSigningStatus(ctx, at, id)
	if err != nil {
		return nil, err
	}
	out := &DescribeImageSigningStatusResponse{
		ImageId: in.ImageId, RegistryId: text(at.In.Account), RepositoryName: in.RepositoryName, SigningStatuses: []ImageSigningStatus{},
	}
	for _, of := range statuses {
		status := ImageSigningStatus{SigningProfileArn: text(of.ARN), Status: text(of.State)}
		if of.Code != "" {
			status.FailureCode, status.FailureReason = text(of.Code), text(of.Reason)
		}
		out.SigningStatuses = append(out.SigningStatuses, status)
	}
	return out, nil
}

package ecrapi

import (
	"context"

	"github.com/kontor-registry/kontor/internal/unconfigured"
)

// features are the operations of features that this server does not offer. They
// answer as ECR does in an account that has not configured them; see package
// unconfigured.
type features struct {
	*unconfigured.Caller
	call *call
}

// serveFeature is serve for operations of features.
func serveFeature[In, Out any](operation func(features, context.Context, *In) (*Out, error)) func(context.Context, *call, []byte) (any, error) {
	return serve(func(c *call, ctx context.Context, in *In) (*Out, error) {
		return operation(features{unconfigured.As(c.h.cfg.Gate, c.p), c}, ctx, in)
	})
}

func (f features) getSigningConfiguration(ctx context.Context, _ *GetSigningConfigurationRequest) (*GetSigningConfigurationResponse, error) {
	return nil, f.Caller.SigningConfiguration(ctx, f.call.in(nil)) // always an error
}

// putSigningConfiguration takes the configuration without rules, which signs
// nothing.
func (f features) putSigningConfiguration(ctx context.Context, in *PutSigningConfigurationRequest) (*PutSigningConfigurationResponse, error) {
	if len(in.SigningConfiguration.Rules) > 0 {
		return nil, notServed("PutSigningConfiguration", modelled["PutSigningConfiguration"])
	}
	if err := f.Caller.ClearSigning(ctx, f.call.in(nil)); err != nil {
		return nil, err
	}
	return &PutSigningConfigurationResponse{SigningConfiguration: &SigningConfiguration{Rules: []SigningRule{}}}, nil
}

func (f features) deleteSigningConfiguration(ctx context.Context, _ *DeleteSigningConfigurationRequest) (*DeleteSigningConfigurationResponse, error) {
	return nil, f.Caller.DeleteSigningConfiguration(ctx, f.call.in(nil)) // always an error
}

func (f features) describeImageSigningStatus(ctx context.Context, in *DescribeImageSigningStatusRequest) (*DescribeImageSigningStatusResponse, error) {
	at := f.call.repo(in.RegistryId, in.RepositoryName)
	id := imageIDs([]ImageIdentifier{*in.ImageId})[0]
	if err := f.Caller.ImageSigningStatus(ctx, at, id); err != nil {
		return nil, err
	}
	return &DescribeImageSigningStatusResponse{
		ImageId: in.ImageId, RegistryId: text(at.In.Account), RepositoryName: in.RepositoryName, SigningStatuses: []ImageSigningStatus{},
	}, nil
}

package ecrapi

import (
	"context"

	"github.com/kontor-registry/kontor/internal/signing"
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

func (s signatures) getSigningConfiguration(ctx context.Context, _ *GetSigningConfigurationRequest) (*GetSigningConfigurationResponse, error) {
	return nil, s.Caller.SigningConfiguration(ctx, s.call.in(nil)) // always an error
}

// putSigningConfiguration takes the configuration without rules, which signs nothing.
func (s signatures) putSigningConfiguration(ctx context.Context, in *PutSigningConfigurationRequest) (*PutSigningConfigurationResponse, error) {
	if err := s.Caller.ClearSigning(ctx, s.call.in(nil), len(in.SigningConfiguration.Rules)); err != nil {
		return nil, err
	}
	return &PutSigningConfigurationResponse{SigningConfiguration: &SigningConfiguration{Rules: []SigningRule{}}}, nil
}

func (s signatures) deleteSigningConfiguration(ctx context.Context, _ *DeleteSigningConfigurationRequest) (*DeleteSigningConfigurationResponse, error) {
	return nil, s.Caller.DeleteSigningConfiguration(ctx, s.call.in(nil)) // always an error
}

// refusedCode is the failureCode of signatures that were not accepted. AWS has no list
// of them.
const refusedCode = "SignatureNotTrusted"

// describeImageSigningStatus answers with the signatures that were verified: each signer
// is a signing profile.
func (s signatures) describeImageSigningStatus(ctx context.Context, in *DescribeImageSigningStatusRequest) (*DescribeImageSigningStatusResponse, error) {
	at := s.call.repo(in.RegistryId, in.RepositoryName)
	id := imageIDs([]ImageIdentifier{*in.ImageId})[0]
	statuses, err := s.Caller.ImageSigningStatus(ctx, at, id)
	if err != nil {
		return nil, err
	}
	out := &DescribeImageSigningStatusResponse{
		ImageId: in.ImageId, RegistryId: text(at.In.Account), RepositoryName: in.RepositoryName, SigningStatuses: []ImageSigningStatus{},
	}
	for _, of := range statuses {
		status := ImageSigningStatus{SigningProfileArn: text(of.ARN), Status: text("COMPLETE")}
		if of.Refused != "" {
			status.Status, status.FailureCode, status.FailureReason = text("FAILED"), text(refusedCode), text(of.Refused)
		}
		out.SigningStatuses = append(out.SigningStatuses, status)
	}
	return out, nil
}

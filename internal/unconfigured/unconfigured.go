// Package unconfigured answers for the features of ECR that this server does not
// offer, as an account answers that has not configured them: with an empty list,
// with the error that the API has for what is not there, or by accepting the
// configuration that says "none". What would configure such a feature is not here;
// it is refused.
//
// The feature is managed signing. One that gets built moves out.
//
// Errors are *ecr.Error. The API names these codes; ECR's texts are not known.
package unconfigured

import (
	"context"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/gate"
	"github.com/kontor-registry/kontor/internal/registry"
)

// Caller is the operations in the name of one principal. It is safe for
// concurrent use.
type Caller struct{ gate *gate.Caller }

// As returns the operations as p may use them.
func As(g *gate.Gate, p access.Principal) *Caller { return &Caller{g.As(p)} }

// Operations lists every operation. Each stands next to its method; a test
// holds the list against the methods of Caller.
func Operations() []gate.Operation {
	return []gate.Operation{
		opSigningConfiguration, opClearSigning, opDeleteSigningConfiguration, opImageSigningStatus,
	}
}

// ask asks for the permission that op needs on the registry, and answers err.
func (c *Caller) ask(ctx context.Context, op gate.Operation, in ecr.RegistryID, err error) error {
	return c.gate.Read(ctx, op, func(ctx context.Context, v *gate.View) error {
		if _, refused := v.EnterRegistry(ctx, in); refused != nil {
			return refused
		}
		return err
	})
}

// accept is ask for a change of the registry that changes nothing.
func (c *Caller) accept(ctx context.Context, op gate.Operation, in ecr.RegistryID) error {
	return c.gate.Change(ctx, op, func(ctx context.Context, tx *gate.Tx) error {
		_, refused := tx.EnterRegistry(ctx, in)
		return refused
	})
}

// askImage is ask on an image. Errors: RepositoryNotFound, ImageNotFound.
func (c *Caller) askImage(ctx context.Context, op gate.Operation, at ecr.Repo, id ecr.ImageID) error {
	return c.gate.Read(ctx, op, func(ctx context.Context, v *gate.View) error {
		s, err := v.Enter(ctx, at)
		if err != nil {
			return err
		}
		return registry.FindImage(ctx, v, at, s.Row.ID, id)
	})
}

func noSigning(in ecr.RegistryID) error {
	return ecr.Errorf(ecr.CodeSigningConfigurationNotFound, "Signing configuration does not exist in the registry with id '%s'", in.Account)
}

var opSigningConfiguration = gate.Op("SigningConfiguration", "ecr:GetSigningConfiguration")

// SigningConfiguration errors: SigningConfigurationNotFound.
func (c *Caller) SigningConfiguration(ctx context.Context, in ecr.RegistryID) error {
	return c.ask(ctx, opSigningConfiguration, in, noSigning(in))
}

var opClearSigning = gate.Op("ClearSigning", "ecr:PutSigningConfiguration")

// ClearSigning accepts that nothing is signed.
func (c *Caller) ClearSigning(ctx context.Context, in ecr.RegistryID) error {
	return c.accept(ctx, opClearSigning, in)
}

var opDeleteSigningConfiguration = gate.Op("DeleteSigningConfiguration", "ecr:DeleteSigningConfiguration")

// DeleteSigningConfiguration errors: SigningConfigurationNotFound.
func (c *Caller) DeleteSigningConfiguration(ctx context.Context, in ecr.RegistryID) error {
	return c.ask(ctx, opDeleteSigningConfiguration, in, noSigning(in))
}

var opImageSigningStatus = gate.Op("ImageSigningStatus", "ecr:DescribeImageSigningStatus")

// ImageSigningStatus finds no signing profile that an image was signed with.
// Errors: RepositoryNotFound, ImageNotFound.
func (c *Caller) ImageSigningStatus(ctx context.Context, at ecr.Repo, id ecr.ImageID) error {
	return c.askImage(ctx, opImageSigningStatus, at, id)
}

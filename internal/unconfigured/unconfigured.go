// Package unconfigured answers for the features of ECR that this server does not
// offer, as an account answers that has not configured them: with an empty list,
// with the error that the API has for what is not there, or by accepting the
// configuration that says "none". What would configure such a feature is not here;
// it is refused.
//
// The features are pull-through cache, replication and managed signing. One that gets
// built moves out.
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
		opDescribePullThroughCacheRules, opUpdatePullThroughCacheRule, opDeletePullThroughCacheRule, opValidatePullThroughCacheRule,
		opClearReplication, opImageReplicationStatus, opListReplicationBackfills, opReplicationBackfill, opStopReplicationBackfill,
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

func noRule(in ecr.RegistryID, prefix string) error {
	return ecr.Errorf(ecr.CodePullThroughCacheRuleNotFound, "The pull through cache rule with prefix '%s' does not exist in the registry with id '%s'", prefix, in.Account)
}

var opDescribePullThroughCacheRules = gate.Op("DescribePullThroughCacheRules", "ecr:DescribePullThroughCacheRules")

// DescribePullThroughCacheRules finds none of the rules with the given prefixes,
// and of all rules none. Errors: PullThroughCacheRuleNotFound.
func (c *Caller) DescribePullThroughCacheRules(ctx context.Context, in ecr.RegistryID, prefixes []string) error {
	var err error
	if len(prefixes) > 0 {
		err = noRule(in, prefixes[0])
	}
	return c.ask(ctx, opDescribePullThroughCacheRules, in, err)
}

var opUpdatePullThroughCacheRule = gate.Op("UpdatePullThroughCacheRule", "ecr:UpdatePullThroughCacheRule")

// UpdatePullThroughCacheRule errors: PullThroughCacheRuleNotFound.
func (c *Caller) UpdatePullThroughCacheRule(ctx context.Context, in ecr.RegistryID, prefix string) error {
	return c.ask(ctx, opUpdatePullThroughCacheRule, in, noRule(in, prefix))
}

var opDeletePullThroughCacheRule = gate.Op("DeletePullThroughCacheRule", "ecr:DeletePullThroughCacheRule")

// DeletePullThroughCacheRule errors: PullThroughCacheRuleNotFound.
func (c *Caller) DeletePullThroughCacheRule(ctx context.Context, in ecr.RegistryID, prefix string) error {
	return c.ask(ctx, opDeletePullThroughCacheRule, in, noRule(in, prefix))
}

var opValidatePullThroughCacheRule = gate.Op("ValidatePullThroughCacheRule", "ecr:ValidatePullThroughCacheRule")

// ValidatePullThroughCacheRule errors: PullThroughCacheRuleNotFound.
func (c *Caller) ValidatePullThroughCacheRule(ctx context.Context, in ecr.RegistryID, prefix string) error {
	return c.ask(ctx, opValidatePullThroughCacheRule, in, noRule(in, prefix))
}

var opClearReplication = gate.Op("ClearReplication", "ecr:PutReplicationConfiguration")

// ClearReplication accepts that nothing is replicated.
func (c *Caller) ClearReplication(ctx context.Context, in ecr.RegistryID) error {
	return c.accept(ctx, opClearReplication, in)
}

var opImageReplicationStatus = gate.Op("ImageReplicationStatus", "ecr:DescribeImageReplicationStatus")

// ImageReplicationStatus finds no destination of an image.
// Errors: RepositoryNotFound, ImageNotFound.
func (c *Caller) ImageReplicationStatus(ctx context.Context, at ecr.Repo, id ecr.ImageID) error {
	return c.askImage(ctx, opImageReplicationStatus, at, id)
}

var opListReplicationBackfills = gate.Op("ListReplicationBackfills", "ecr:ListReplicationBackfills")

// ListReplicationBackfills finds none.
func (c *Caller) ListReplicationBackfills(ctx context.Context, in ecr.RegistryID) error {
	return c.ask(ctx, opListReplicationBackfills, in, nil)
}

func noBackfill(in ecr.RegistryID, id string) error {
	return ecr.Errorf(ecr.CodeReplicationBackfillNotFound, "The replication backfill with id '%s' does not exist in the registry with id '%s'", id, in.Account)
}

var opReplicationBackfill = gate.Op("ReplicationBackfill", "ecr:DescribeReplicationBackfillResults")

// ReplicationBackfill errors: ReplicationBackfillNotFound.
func (c *Caller) ReplicationBackfill(ctx context.Context, in ecr.RegistryID, id string) error {
	return c.ask(ctx, opReplicationBackfill, in, noBackfill(in, id))
}

var opStopReplicationBackfill = gate.Op("StopReplicationBackfill", "ecr:StopReplicationBackfill")

// StopReplicationBackfill errors: ReplicationBackfillNotFound.
func (c *Caller) StopReplicationBackfill(ctx context.Context, in ecr.RegistryID, id string) error {
	return c.ask(ctx, opStopReplicationBackfill, in, noBackfill(in, id))
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

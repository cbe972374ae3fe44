// Package unconfigured answers for the features of ECR that this server does not
// offer, as an account answers that has not configured them: with an empty list,
// with the error that the API has for what is not there, or by accepting the
// configuration that says "none". What would configure such a feature is not here;
// it is refused.
//
// The feature is replication. One that gets built moves out.
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
		opClearReplication, opImageReplicationStatus, opListReplicationBackfills, opReplicationBackfill, opStopReplicationBackfill,
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

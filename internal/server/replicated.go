package server

import (
	"context"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/events"
	"github.com/kontor-registry/kontor/internal/gate"
	"github.com/kontor-registry/kontor/internal/replication"
)

// tellReplicated tells what became of an image on its way to a destination: as on ECR
// the destination's receivers, and those of the source where the destination is elsewhere.
func tellReplicated(serves func(ecr.RegistryID) bool) func(context.Context, *gate.Tx, replication.Outcome) error {
	return func(_ context.Context, tx *gate.Tx, o replication.Outcome) error {
		e := events.Event{
			Type: events.ImageReplicated, Registry: o.To.In, Repository: o.To.Name, Digest: o.Image.Digest, Tag: o.Image.Tag, From: o.From.In,
			FailureCode: o.Code,
		}
		if o.Code != "" {
			e.Failure = "the image was not replicated to " + o.To.In.String()
		}
		if !serves(o.To.In) {
			e.Registry, e.Repository, e.Reason = o.From.In, o.From.Name, "replication to "+o.To.In.String()
		}
		tx.Emit(e)
		return nil
	}
}

package replication

import (
	"context"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/gate"
	"github.com/kontor-registry/kontor/internal/registry"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// Status is how far an image is on its way to a destination.
type Status struct {
	To     ecr.RegistryID
	Status meta.ReplicationStatus
	// Code says why it failed, Message the same for people; "" for other statuses.
	Code, Message string
}

var opImageReplicationStatus = gate.Op("ImageReplicationStatus", "ecr:DescribeImageReplicationStatus")

// ImageReplicationStatus returns the status of an image at each destination that it was
// queued for, in order; of several tags, one that failed counts before one that is in
// progress. Errors: RepositoryNotFound, ImageNotFound.
func (c *Caller) ImageReplicationStatus(ctx context.Context, at ecr.Repo, id ecr.ImageID) (all []Status, err error) {
	err = c.gate.Read(ctx, opImageReplicationStatus, func(ctx context.Context, v *gate.View) error {
		s, err := v.Enter(ctx, at)
		if err != nil {
			return err
		}
		d, err := registry.ImageDigest(ctx, v, at, s.Row.ID, id)
		if err != nil {
			return err
		}
		rows, err := v.Registries().ImageReplications(ctx, s.Row.ID, d)
		if err != nil {
			return err
		}
		all = statuses(rows)
		return nil
	})
	return all, err
}

// statuses puts the rows of an image together, which are in order of destination, tag
// and age: of a tag the newest row counts.
func statuses(rows []meta.Replication) []Status {
	var all []Status
	for i, r := range rows {
		if i+1 < len(rows) && rows[i+1].To == r.To && rows[i+1].Image.Tag == r.Image.Tag {
			continue
		}
		s := Status{To: r.To, Status: r.Status}
		if r.Status == meta.ReplicationFailed {
			s.Code, s.Message = r.Code, r.Message
		}
		switch last := len(all) - 1; {
		case last < 0 || all[last].To != r.To:
			all = append(all, s)
		case weight(s.Status) > weight(all[last].Status):
			all[last] = s
		}
	}
	return all
}

func weight(s meta.ReplicationStatus) int {
	switch s {
	case meta.ReplicationFailed:
		return 2
	case meta.ReplicationInProgress:
		return 1
	}
	return 0
}

// State is what of a registry is replicated, and how far.
type State struct {
	Configuration
	// Options by destination; only of those that have any.
	Options map[ecr.RegistryID]Options
	// Queues are what waits, by destination.
	Queues []meta.ReplicationQueue
	// Failed are the first that failed, of pushes and deletions, and More says that there
	// are others.
	Failed []meta.Replication
	More   bool
}

var opReplications = gate.Op("Replications", "kontor:ListReplications")

// Replications returns the state of replication of a registry, with at most limit
// failures after the one with the id after.
func (c *Caller) Replications(ctx context.Context, in ecr.RegistryID, after int64, limit int) (state State, err error) {
	err = c.gate.Read(ctx, opReplications, func(ctx context.Context, v *gate.View) error {
		s, err := v.EnterRegistry(ctx, in)
		if err != nil {
			return err
		}
		now, err := read(s.Settings)
		if err != nil {
			return err
		}
		state = State{Configuration: now.Configuration, Options: map[ecr.RegistryID]Options{}}
		for _, r := range now.Rules {
			for _, to := range r.To {
				if o, ok := now.Options[to.String()]; ok {
					state.Options[to] = o
				}
			}
		}
		if state.Queues, err = v.Registries().ReplicationQueues(ctx, in); err != nil {
			return err
		}
		if state.Failed, err = v.Registries().FailedReplications(ctx, in, after, limit+1); err != nil {
			return err
		}
		if state.More = len(state.Failed) > limit; state.More {
			state.Failed = state.Failed[:limit]
		}
		return nil
	})
	return state, err
}

var opRetryReplications = gate.Op("RetryReplications", "kontor:RetryReplications")

// RetryReplications queues again what failed of a registry, for one destination or with
// the zero one for all, and returns how much that is.
func (c *Caller) RetryReplications(ctx context.Context, in, to ecr.RegistryID) (n int, err error) {
	err = c.gate.Change(ctx, opRetryReplications, func(ctx context.Context, tx *gate.Tx) error {
		if _, err := tx.EnterRegistry(ctx, in); err != nil {
			return err
		}
		n, err = tx.Registries().RetryReplications(ctx, in, to)
		return err
	})
	c.s.cfg.Queue.wake()
	return n, err
}

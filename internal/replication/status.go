package replication

import (
	"context"
	"fmt"
	"time"

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
	// Waits says why it is still in progress, for people; "" for no special reason.
	Waits string
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
		waiting, err := c.s.waitingForRate(ctx, v.Registries(), true, true)
		all = c.s.statuses(rows, waiting)
		return err
	})
	return all, err
}

// newest are those rows that changed last, of each destination and tag. They are in order
// of these; a push and a backfill have a row each.
func newest(rows []meta.Replication) (list []meta.Replication) {
	for _, r := range rows {
		last := len(list) - 1
		switch {
		case last < 0 || list[last].To != r.To || list[last].Image.Tag != r.Image.Tag:
			list = append(list, r)
		case !r.UpdatedAt.Before(list[last].UpdatedAt):
			list[last] = r
		}
	}
	return list
}

// statuses puts the rows of an image together, which are in order of destination and tag:
// of a tag the newest row counts.
func (s *Service) statuses(rows []meta.Replication, waiting map[ecr.RegistryID]time.Duration) []Status {
	var all []Status
	for _, r := range newest(rows) {
		one := Status{To: r.To, Status: r.Status}
		switch r.Status {
		case meta.ReplicationFailed:
			one.Code, one.Message = r.Code, r.Message
		case meta.ReplicationInProgress:
			one.Waits = s.waits(r, waiting[r.To] > 0)
		}
		switch last := len(all) - 1; {
		case last < 0 || all[last].To != r.To:
			all = append(all, one)
		case weight(one.Status) > weight(all[last].Status):
			all[last] = one
		}
	}
	return all
}

// waits says why a replication is still in progress.
func (s *Service) waits(r meta.Replication, forRate bool) string {
	rate := s.rateOf(r.To)
	switch {
	case r.Taken && rate.BytesPerSecond > 0:
		return "is sent at the rate of the destination: at most " + rate.String()
	case r.Taken:
		return "is sent"
	case r.Due && s.rests(r.To) != "":
		return "waits because the destination rests: " + s.rests(r.To)
	case r.Due && forRate:
		return "waits because of the rate of the destination: at most " + rate.String()
	case r.Message != "" && r.Attempts > 0:
		return fmt.Sprintf("is tried again, after attempt %d: %s", r.Attempts, r.Message)
	}
	return ""
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
	// Rates are those of destinations of the rules that have one.
	Rates map[ecr.RegistryID]Rate
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
		state = State{Configuration: now.Configuration, Options: map[ecr.RegistryID]Options{}, Rates: map[ecr.RegistryID]Rate{}}
		for _, r := range now.Rules {
			for _, to := range r.To {
				if o, ok := now.Options[to.String()]; ok {
					state.Options[to] = o
				}
				if rate := c.s.rateOf(to); !rate.None() {
					state.Rates[to] = rate
				}
			}
		}
		if state.Queues, err = c.s.queues(ctx, v.Registries(), in); err != nil {
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

package replication

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/gate"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// Backfills replicate what was in a registry before its rules. Source: the AWS SDK for
// Go, service/ecr v1.67.0: api_op_StartReplicationBackfill.go and its siblings, types.go.
const (
	// maxBackfills is how many of a registry may be under way.
	maxBackfills = 10
	// keepBackfills is how long those are kept that have ended.
	keepBackfills = 90 * 24 * time.Hour
	// listPage is how many images are queued in one transaction.
	listPage = 200
)

// Progress is how far a backfill is. Each image and tag counts as one replication.
type Progress struct {
	Total, Completed, Failed int
	Codes                    []string // of failures, each once
}

// Backfill is a backfill with its progress, which is nil while it is prepared.
type Backfill struct {
	meta.Backfill
	Progress *Progress
}

func noBackfill(in ecr.RegistryID, id string) error {
	return ecr.Errorf(ecr.CodeReplicationBackfillNotFound, "The replication backfill with id '%s' does not exist in the registry with id '%s'", id, in.Account)
}

var opStartBackfill = gate.Op("StartBackfill", "ecr:StartReplicationBackfill")

// StartBackfill begins to replicate the images that a registry has to a destination of
// its rules. Errors: InvalidParameter, LimitExceeded, ReplicationBackfillInProgress.
func (c *Caller) StartBackfill(ctx context.Context, in, to ecr.RegistryID) (b meta.Backfill, err error) {
	id := uuid.NewString()
	err = c.gate.Change(ctx, opStartBackfill, func(ctx context.Context, tx *gate.Tx) error {
		s, err := tx.EnterRegistry(ctx, in)
		if err != nil {
			return err
		}
		now, err := read(s.Settings)
		if err != nil {
			return err
		}
		if !now.names(to) {
			return ecr.InvalidParameter("destination", "No rule of the replication configuration has the destination %s", to)
		}
		all, err := tx.Registries().Backfills(ctx, in)
		if err != nil {
			return err
		}
		running := 0
		for _, b := range all {
			if b.Status.Ended() {
				continue
			}
			if running++; b.To == to {
				return ecr.Errorf(ecr.CodeReplicationBackfillInProgress, "The replication backfill with id '%s' to the destination %s has not ended", b.ID, to)
			}
		}
		if running >= maxBackfills {
			return ecr.Errorf(ecr.CodeLimitExceeded, "The registry with id '%s' already has the maximum number of replication backfills in progress, which is %d", in.Account, maxBackfills)
		}
		b, err = tx.Registries().InsertBackfill(ctx, meta.Backfill{ID: id, Source: in, To: to, Status: meta.BackfillPreparing})
		return err
	})
	c.s.cfg.Queue.wake()
	return b, err
}

var opStopBackfill = gate.Op("StopBackfill", "ecr:StopReplicationBackfill")

// StopBackfill ends a backfill: what waits of it is not copied, what is being copied is
// finished. Errors: ReplicationBackfillNotFound, ReplicationBackfillInvalidStatus.
func (c *Caller) StopBackfill(ctx context.Context, in ecr.RegistryID, id string) (b meta.Backfill, err error) {
	err = c.gate.Change(ctx, opStopBackfill, func(ctx context.Context, tx *gate.Tx) error {
		if _, err := tx.EnterRegistry(ctx, in); err != nil {
			return err
		}
		if b, err = tx.Registries().Backfill(ctx, in, id); errors.Is(err, meta.ErrNotFound) {
			return noBackfill(in, id)
		} else if err != nil {
			return err
		}
		if b.Status.Ended() || b.Status == meta.BackfillStopping {
			return ecr.Errorf(ecr.CodeReplicationBackfillInvalidStatus, "The replication backfill with id '%s' is %s and cannot be stopped", id, b.Status)
		}
		return stop(ctx, tx, &b)
	})
	return b, err
}

// stop goes on with stopping a backfill.
func stop(ctx context.Context, tx *gate.Tx, b *meta.Backfill) error {
	left, err := tx.Registries().StopBackfill(ctx, b.ID)
	if err != nil {
		return err
	}
	if b.Status = meta.BackfillStopping; left == 0 {
		b.Status = meta.BackfillStopped
	}
	return tx.Registries().UpdateBackfill(ctx, *b)
}

// progress counts what a backfill has done.
func progress(ctx context.Context, r meta.ReplicationReader, b meta.Backfill) (Backfill, error) {
	out := Backfill{Backfill: b}
	if b.Status == meta.BackfillPreparing {
		return out, nil
	}
	counts, err := r.BackfillCounts(ctx, b.ID)
	if err != nil {
		return out, err
	}
	out.Progress = &Progress{}
	for _, c := range counts {
		switch out.Progress.Total += c.Count; c.Status {
		case meta.ReplicationComplete:
			out.Progress.Completed += c.Count
		case meta.ReplicationFailed:
			out.Progress.Failed += c.Count
			out.Progress.Codes = append(out.Progress.Codes, c.Code)
		}
	}
	slices.Sort(out.Progress.Codes)
	return out, nil
}

var opListBackfills = gate.Op("ListBackfills", "ecr:ListReplicationBackfills")

// ListBackfills returns the backfills of a registry, the newest first: at most limit,
// after the one with the id after; and whether there are more.
func (c *Caller) ListBackfills(ctx context.Context, in ecr.RegistryID, after string, limit int) (list []Backfill, more bool, err error) {
	err = c.gate.Read(ctx, opListBackfills, func(ctx context.Context, v *gate.View) error {
		list, more = nil, false
		if _, err := v.EnterRegistry(ctx, in); err != nil {
			return err
		}
		all, err := v.Registries().Backfills(ctx, in)
		if err != nil {
			return err
		}
		if i := slices.IndexFunc(all, func(b meta.Backfill) bool { return b.ID == after }); after != "" {
			all = all[i+1:]
		}
		if more = len(all) > limit; more {
			all = all[:limit]
		}
		for _, b := range all {
			with, err := progress(ctx, v.Registries(), b)
			if err != nil {
				return err
			}
			list = append(list, with)
		}
		return nil
	})
	return list, more, err
}

var opBackfillResults = gate.Op("BackfillResults", "ecr:DescribeReplicationBackfillResults")

// BackfillResults returns a backfill, and when it has ended what became of its images: at
// most limit, those with the status, or all for "", after the one with the id after; and
// whether there are more. Errors: ReplicationBackfillNotFound.
func (c *Caller) BackfillResults(ctx context.Context, in ecr.RegistryID, id string, status meta.ReplicationStatus, after int64, limit int) (b Backfill, results []meta.Replication, more bool, err error) {
	err = c.gate.Read(ctx, opBackfillResults, func(ctx context.Context, v *gate.View) error {
		results, more = nil, false
		if _, err := v.EnterRegistry(ctx, in); err != nil {
			return err
		}
		row, err := v.Registries().Backfill(ctx, in, id)
		if errors.Is(err, meta.ErrNotFound) {
			return noBackfill(in, id)
		}
		if err == nil {
			b, err = progress(ctx, v.Registries(), row)
		}
		if err != nil || !row.Status.Ended() {
			return err
		}
		results, err = v.Registries().BackfillResults(ctx, id, status, after, limit+1)
		if more = len(results) > limit; more {
			results = results[:limit]
		}
		return err
	})
	return b, results, more, err
}

var opBackfill = gate.Op("Backfill")

// advance takes a step of each backfill that has not ended: it lists images to be copied,
// or sees which have been; and reports whether there are steps to take now. Several
// processes may do it at a time. One that fails does not hold up the others.
func (s *Service) advance(ctx context.Context) (more bool, err error) {
	var all []meta.Backfill
	err = s.system().Read(ctx, opBackfill, func(ctx context.Context, v *gate.View) (err error) {
		all, err = v.Registries().UnendedBackfills(ctx)
		return err
	})
	for _, b := range all {
		next := false
		failed := s.system().Change(ctx, opBackfill, func(ctx context.Context, tx *gate.Tx) (err error) {
			next, err = s.step(ctx, tx, b.Source, b.ID)
			return err
		})
		more, err = more || next && failed == nil, errors.Join(err, failed)
	}
	return more, err
}

// step takes one step of a backfill, and reports whether there is another to take now.
func (s *Service) step(ctx context.Context, tx *gate.Tx, in ecr.RegistryID, id string) (more bool, err error) {
	b, err := tx.Registries().Backfill(ctx, in, id)
	if err != nil || b.Status.Ended() {
		return false, err
	}
	switch b.Status {
	case meta.BackfillStopping:
		return false, stop(ctx, tx, &b)
	case meta.BackfillPreparing:
		if more, err = s.list(ctx, tx, &b); err != nil {
			return false, err
		}
		if !more {
			b.Status = meta.BackfillInProgress
		}
		return more, tx.Registries().UpdateBackfill(ctx, b)
	}
	with, err := progress(ctx, tx.Registries(), b)
	if err != nil || with.Progress.Completed+with.Progress.Failed < with.Progress.Total {
		return false, err
	}
	b.Status = meta.BackfillComplete
	return false, tx.Registries().UpdateBackfill(ctx, b)
}

// list queues a page of images, and reports whether there are more.
func (s *Service) list(ctx context.Context, tx *gate.Tx, b *meta.Backfill) (more bool, err error) {
	settings, err := tx.Registries().RegistrySettings(ctx, b.Source)
	if err != nil {
		return false, err
	}
	c, err := read(settings)
	if err != nil {
		return false, err
	}
	row, err := tx.Repository(ctx, b.Source, b.AfterName)
	if b.AfterName == "" || errors.Is(err, meta.ErrNotFound) {
		next, err := tx.ListRepositories(ctx, b.Source, b.AfterName, 1)
		if err != nil || len(next) == 0 {
			return false, err
		}
		row, b.AfterName, b.AfterImage = next[0], next[0].Name, ecr.ImageID{}
	} else if err != nil {
		return false, err
	}
	var ids []ecr.ImageID
	if slices.Contains(c.destinations(row.Name), b.To) {
		if ids, err = tx.ListImageIDs(ctx, row.ID, b.AfterImage, listPage); err != nil {
			return false, err
		}
	}
	for _, id := range ids {
		m, err := tx.FindImage(ctx, row.ID, ecr.ImageID{Digest: id.Digest})
		if err != nil {
			return false, err
		}
		if m.Image.Status == ecr.StatusArchived || !c.takes(b.To, id.Tag, m.Image.Subject) {
			continue
		}
		err = tx.Registries().QueueReplication(ctx, meta.Replication{
			Kind: meta.ReplicateImage, Source: b.Source, Repository: row.ID, Name: row.Name, Image: id, To: b.To, Backfill: b.ID,
		}, 0, false)
		if err != nil {
			return false, err
		}
	}
	if len(ids) == listPage {
		b.AfterImage = ids[len(ids)-1]
		return true, nil
	}
	next, err := tx.ListRepositories(ctx, b.Source, row.Name, 1)
	if err != nil || len(next) == 0 {
		return false, err
	}
	b.AfterName, b.AfterImage = next[0].Name, ecr.ImageID{}
	return true, nil
}

// trim removes what is not needed any longer, in batches.
func (s *Service) trim(ctx context.Context) (removed int, err error) {
	for {
		n := 0
		err := s.system().Change(ctx, opBackfill, func(ctx context.Context, tx *gate.Tx) error {
			now, err := tx.Retention().Now(ctx)
			if err == nil {
				n, err = tx.Registries().TrimReplications(ctx, now.Add(-keepBackfills), listPage)
			}
			return err
		})
		if removed += n; err != nil || n < listPage {
			return removed, err
		}
	}
}

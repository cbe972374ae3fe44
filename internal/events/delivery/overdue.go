package delivery

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/kontor-registry/kontor/internal/events"
	"github.com/kontor-registry/kontor/internal/gate"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// overdueState is the name of the state that says until when overdue leases were looked
// for: a time in JSON.
const overdueState = "overdue leases"

// WantsOverdue reports whether there is a receiver for what FindOverdue finds.
func (s *Service) WantsOverdue(ctx context.Context) bool {
	all, err := s.targets(ctx)
	for _, t := range all {
		if t.Wants(events.Event{Type: events.LeaseOverdue}) {
			return true
		}
	}
	return err != nil
}

// FindOverdue has those told who want to know of collectors of leases whose report became
// overdue since the last time, and returns how many there are.
func (s *Service) FindOverdue(ctx context.Context) (n int, err error) {
	if !s.WantsOverdue(ctx) {
		return 0, nil
	}
	now := s.cfg.ImageNow()
	err = s.cfg.Gate.System("overdue leases").Change(ctx, opOverdue, func(ctx context.Context, tx *gate.Tx) error {
		n = 0
		var last time.Time
		state, err := tx.Retention().JobState(ctx, overdueState)
		if err == nil {
			err = json.Unmarshal(state, &last)
		}
		if errors.Is(err, meta.ErrNotFound) {
			last, err = now, nil
		}
		if err != nil {
			return err
		}
		for _, in := range s.cfg.Registries {
			wanted, err := tx.Wanted(ctx, in, events.LeaseOverdue)
			if err != nil {
				return err
			}
			if !wanted {
				continue
			}
			collectors, err := tx.Retention().LeaseCollectors(ctx, in)
			if err != nil {
				return err
			}
			for _, c := range collectors {
				if expected := c.ReportedAt.Add(c.TTL); expected.Before(now) && !expected.Before(last) {
					tx.Emit(events.Event{Type: events.LeaseOverdue, Registry: in, Collector: c.Name, Expected: expected, Reason: "the collector did not report in time; its leases stay"})
					n++
				}
			}
		}
		if state, err = json.Marshal(now); err != nil {
			return err
		}
		return tx.Retention().PutJobState(ctx, overdueState, state)
	})
	return n, err
}

package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/kontor-registry/kontor/internal/deploy/images"
	"github.com/kontor-registry/kontor/internal/deploy/plan"
	"github.com/kontor-registry/kontor/internal/deploy/state"
	"github.com/kontor-registry/kontor/internal/report"
	"github.com/kontor-registry/kontor/lifecycle"
)

// checks are what keeps the plans of d from being carried out, beside their
// own errors: tests of the file that do not hold, images in use that would go
// and a bound on images that would be exceeded. nil for nothing. A site that
// cannot be read for them has an error afterwards, and is no part of them.
func (e *Env) checks(ctx context.Context, d *deployment, o targetsOptions, inUse, hosts []string) error {
	err := report.NewLifecycleTests(d.file.RunLifecycleTests(e.Now())).Err()
	if d.failed() == nil {
		results, readErr := e.accessTests(ctx, d, accessOptions{targetsOptions: o})
		err = errors.Join(err, readErr, results.Err())
	}
	return errors.Join(err, e.leasedLost(ctx, d, inUse, hosts), e.overBudget(ctx, d))
}

// overBudget is the error for changes by which more images of a repository
// would expire at once than the file's plan.max_expire allows; nil for none.
func (e *Env) overBudget(ctx context.Context, d *deployment) error {
	budget := d.file.Desired(anyRegistry).MaxExpire
	if budget == nil {
		return nil
	}
	var over error
	for _, s := range d.sites {
		if s.err != nil {
			continue
		}
		for _, c := range s.plan.Changes {
			if c.Before == nil || c.Op == plan.OpDelete || !c.Has(plan.FieldLifecycle) {
				continue
			}
			snapshot, err := s.conn.Images(ctx, c.Repository, true, e.Now())
			if err != nil {
				s.err = err
				break
			}
			if err := budgetOf(*budget, c, snapshot, e.Now().UTC()); err != nil {
				over = errors.Join(over, d.named(s, err))
			}
		}
	}
	return over
}

// budgetOf counts the images that expire by the new policy and not by the old.
func budgetOf(budget state.Budget, c plan.Change, s images.Snapshot, now time.Time) error {
	all, _ := s.Images()
	options := lifecycle.Options{}
	if !s.Kontor {
		options = lifecycle.PredictAWS()
	}
	before, err := expiring(options, c.Before.Lifecycle, all, now)
	if err != nil {
		return fmt.Errorf("%s: %w", c.Repository, err)
	}
	after, err := expiring(options, c.After.Lifecycle, all, now)
	if err != nil {
		return fmt.Errorf("%s: %w", c.Repository, err)
	}
	lost := slices.DeleteFunc(all, func(m lifecycle.Image) bool {
		_, goes := after[m.Digest]
		_, went := before[m.Digest]
		return !goes || went
	})
	total, _ := s.Images()
	if !budget.Exceeded(len(lost), len(total)) {
		return nil
	}
	bound := fmt.Sprint(budget.Count)
	if budget.Share {
		bound = fmt.Sprintf("%g%%", budget.Percent)
	}
	return fmt.Errorf("%s: %s: the new lifecycle policy would expire %d of %s at once, and plan.max_expire allows %s: see `kontor lifecycle preview %s`, or raise the bound",
		budget.Origin, c.Repository, len(lost), plural(len(total), "image", "images"), bound, c.Repository)
}

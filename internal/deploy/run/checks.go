package run

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kontor-registry/kontor/internal/deploy"
	"github.com/kontor-registry/kontor/internal/deploy/images"
	"github.com/kontor-registry/kontor/internal/deploy/plan"
	"github.com/kontor-registry/kontor/internal/deploy/state"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/leases"
	"github.com/kontor-registry/kontor/internal/report/rollout"
	"github.com/kontor-registry/kontor/lifecycle"
)

// leaseHorizon is how far ahead a change is looked at that may cost an image in
// use its life: "a rule takes it some day" is as bad as today.
const leaseHorizon = 365 * 24 * time.Hour

// check runs every check on the plans of r, says what their changes do to images
// and people, and makes them what Apply carries out. A registry that cannot be read
// for a check has an Err afterwards, and is no part of the result.
func (r *Run) check(ctx context.Context) Planned {
	p := Planned{AccessTests: rollout.AccessTests{Tests: []rollout.AccessTest{}}}
	p.LifecycleTests = rollout.NewLifecycleTests(r.cfg.File.RunLifecycleTests(r.cfg.Now()))
	var access error
	p.AccessTests, p.Notices, access = r.people(ctx)
	costs := r.costs(ctx)
	p.failed, p.wrong, p.Set = errors.Join(r.Err(), r.clustersErr()), r.findings(), r.set()

	refuse := func(check Check, registry string, err error) {
		if err != nil {
			p.Refusals = append(p.Refusals, Refusal{check, registry, err})
		}
	}
	refuse(CheckLifecycleTests, "", with(p.LifecycleTests.Err(), rollout.Expiring(p.Set, p.LifecycleTests)))
	refuse(CheckAccessTests, "", errors.Join(access, with(p.AccessTests.Err(), rollout.Gaining(p.Set, p.AccessTests))))
	for i, s := range r.Registries {
		p.Notices = append(p.Notices, costs[i].notices...)
		for _, err := range costs[i].inUse {
			refuse(CheckImagesInUse, s.Target.Name, s.named(err))
		}
	}
	for i, s := range r.Registries {
		for _, err := range costs[i].over {
			refuse(CheckMaxExpire, s.Target.Name, s.named(err))
		}
	}
	r.planned = &p
	return p
}

// with adds what effects say to a refusal, a line for each.
func with(err error, lines []string) error {
	if err == nil {
		return nil
	}
	for _, l := range lines {
		err = errors.Join(err, errors.New(l))
	}
	return err
}

// keep adds err to list, unless it is nil.
func keep(list []error, err error) []error {
	if err == nil {
		return list
	}
	return append(list, err)
}

func parallel(n int) int {
	if n <= 0 {
		return deploy.Parallel
	}
	return n
}

// leasedChange says which images in use a change would cost. What went before
// the change goes on going: that is no matter of the change.
func leasedChange(c plan.Change, s images.Snapshot, all []lifecycle.Image, inUse []leases.Lease) error {
	held := leases.Held(inUse, c.Repository, all)
	if len(held) == 0 {
		return nil
	}
	if c.Op == plan.OpDelete {
		return fmt.Errorf("%s: would delete %s in use: %s", c.Repository, plural(len(held), "image", "images"), images.Used(all, held, nil))
	}
	lost := map[string]int{} // the rule that takes it, by digest
	for _, at := range []time.Time{s.Taken, s.Taken.Add(leaseHorizon)} {
		before, after, err := expiring(c, predicted(s), all, at)
		if err != nil {
			return fmt.Errorf("%s: %w", c.Repository, err)
		}
		for d := range held {
			if rule, goes := after[d]; goes && before[d] == 0 {
				lost[d] = rule
			}
		}
	}
	if len(lost) == 0 {
		return nil
	}
	return fmt.Errorf("%s: the new lifecycle policy would expire %s in use: %s; keep them with a rule, or forget the lease",
		c.Repository, plural(len(lost), "image", "images"), images.Used(all, held, lost))
}

// overBudget is the error for a change by which more images would expire at the next
// run than plan.max_expire allows; nil for none. Those count that expire by the new
// policy and not by the old.
func overBudget(budget state.Budget, name ecr.RepositoryName, x plan.ImageEffects) error {
	next := plan.At(x.Expire, 0)
	if !budget.Exceeded(next.Count, x.Count) {
		return nil
	}
	bound := fmt.Sprint(budget.Count)
	if budget.Share {
		bound = fmt.Sprintf("%g%%", budget.Percent)
	}
	return fmt.Errorf("%s: %s: the new lifecycle policy would expire %d of %s at once, and plan.max_expire allows %s: %s; see `kontor lifecycle preview %s`, or raise the bound",
		budget.Origin, name, next.Count, plural(x.Count, "image", "images"), bound, rollout.NamesOf(x, 0), name)
}

// predicted are the options with which lifecycle policies do what the registry
// of the images will do.
func predicted(s images.Snapshot) lifecycle.Options {
	if s.Kontor {
		return lifecycle.Options{}
	}
	return lifecycle.PredictAWS()
}

// expiring are the images that the policies before and after a change take at a
// time, with the rule, by digest.
func expiring(c plan.Change, options lifecycle.Options, all []lifecycle.Image, at time.Time) (before, after map[string]int, err error) {
	by := func(policy string) (map[string]int, error) {
		out := map[string]int{}
		if policy == "" {
			return out, nil
		}
		p, err := lifecycle.Decode([]byte(policy))
		if err != nil {
			return nil, err
		}
		for i, x := range options.Decide(p, all, at) {
			if x.Action == lifecycle.Expire {
				out[all[i].Digest] = x.Rule
			}
		}
		return out, nil
	}
	if before, err = by(c.Before.Lifecycle); err != nil {
		return nil, nil, err
	}
	after, err = by(c.After.Lifecycle)
	return before, after, err
}

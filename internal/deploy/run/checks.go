package run

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

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

// check runs every check on the plans of r, and makes them what Apply carries
// out. A registry that cannot be read for a check has an Err afterwards, and is
// no part of the result.
func (r *Run) check(ctx context.Context) Planned {
	p := Planned{AccessTests: rollout.AccessTests{Tests: []rollout.AccessTest{}}}
	refuse := func(check Check, registry string, err error) {
		if err != nil {
			p.Refusals = append(p.Refusals, Refusal{check, registry, err})
		}
	}
	p.LifecycleTests = rollout.NewLifecycleTests(r.cfg.File.RunLifecycleTests(r.cfg.Now()))
	refuse(CheckLifecycleTests, "", p.LifecycleTests.Err())
	if errors.Join(r.Err(), r.clustersErr()) == nil {
		results, notices, err := r.accessTests(ctx)
		p.AccessTests, p.Notices = results, append(p.Notices, notices...)
		refuse(CheckAccessTests, "", errors.Join(err, results.Err()))
	}
	costs := make([]cost, len(r.Registries))
	each(r.Registries, func(i int, s *Registry) {
		if s.Err == nil {
			costs[i], s.Err = s.cost(ctx)
		}
	})
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
	p.failed, p.wrong, p.Set = errors.Join(r.Err(), r.clustersErr()), r.findings(), r.set()
	r.planned = &p
	return p
}

// cost is what the changes of one registry would cost.
type cost struct {
	inUse   []error // images in use that would go
	over    []error // more images than may expire at once
	notices []string
}

// cost looks at the images of each repository that a change may cost some: once,
// for both checks and for what the plan says of them.
func (s *Registry) cost(ctx context.Context) (out cost, err error) {
	var changes []*plan.Change
	for i := range s.plan.Changes {
		if c := &s.plan.Changes[i]; mayCostImages(*c) {
			changes = append(changes, c)
		}
	}
	if len(changes) == 0 {
		return out, nil
	}
	leased, notices, err := s.Leases(ctx, "")
	if err != nil {
		return out, fmt.Errorf("reading the leases of registry %s: %w", s.Target.Name, err)
	}
	inUse, over, failed := make([]error, len(changes)), make([]error, len(changes)), make([]error, len(changes))
	var g errgroup.Group
	g.SetLimit(parallel(s.run.cfg.Parallel))
	for i, c := range changes {
		named := slices.ContainsFunc(leased, func(l leases.Lease) bool { return l.Repository == c.Repository })
		bound := s.run.desired.MaxExpire != nil && c.Op != plan.OpDelete
		told := c.Effects == nil && c.Op != plan.OpDelete && !s.plan.RefreshOnly // a plan that was made earlier has them
		if named || bound || told {
			g.Go(func() error {
				inUse[i], over[i], failed[i] = s.costOf(ctx, c, leased, named, bound)
				return nil
			})
		}
	}
	_ = g.Wait() // its functions return no errors
	out.notices = append(notices, s.Notices()...)
	for i := range changes {
		if failed[i] != nil {
			return out, failed[i]
		}
		out.inUse, out.over = keep(out.inUse, inUse[i]), keep(out.over, over[i])
	}
	return out, nil
}

// costOf looks at the images of one repository: at those in use when the leases
// name some, at the bound when there is one; and fills in the effects of c.
// Images that the caller may not read are reported as such, unless a check needs
// them.
func (s *Registry) costOf(ctx context.Context, c *plan.Change, leased []leases.Lease, named, bound bool) (inUse, over, failed error) {
	checked := named || bound
	// What belongs to an index counts for lifecycle rules only. On AWS manifests
	// are pulled, and only if a check needs them.
	snapshot, err := s.Conn.ImagesUnder(ctx, c.Repository, c.Before.Lifecycle, c.Op != plan.OpDelete && (checked || s.Conn.Indexes != nil), s.run.cfg.Now())
	var refused *deploy.Error
	if !checked && errors.As(err, &refused) && refused.Code == string(ecr.CodeAccessDenied) {
		c.Effects = &plan.Effects{Unread: refused.Message}
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	all, _ := snapshot.Images()
	if named {
		inUse = leasedChange(*c, snapshot, all, leased)
	}
	if c.Op == plan.OpDelete {
		return inUse, nil, nil
	}
	effects, err := plan.EffectsOf(c.Before.Lifecycle, c.After.Lifecycle, predicted(snapshot), all, snapshot.Linked(), snapshot.Taken)
	switch {
	case err == nil:
		if !s.plan.RefreshOnly {
			c.Effects = &effects
		}
		if bound {
			over = overBudget(*s.run.desired.MaxExpire, c.Repository, effects)
		}
	case bound:
		over = fmt.Errorf("%s: %w", c.Repository, err)
	} // else the plan has a finding
	return inUse, over, nil
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

// mayCostImages reports whether a change deletes a repository or gives one that
// is there another lifecycle policy.
func mayCostImages(c plan.Change) bool {
	return c.Before != nil && (c.Op == plan.OpDelete || c.Has(plan.FieldLifecycle))
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

// overBudget is the error for a change by which more images would expire at
// once than plan.max_expire allows; nil for none. Those count that expire by the
// new policy and not by the old.
func overBudget(budget state.Budget, name ecr.RepositoryName, x plan.Effects) error {
	if !budget.Exceeded(x.Lost.Count, x.Images) {
		return nil
	}
	bound := fmt.Sprint(budget.Count)
	if budget.Share {
		bound = fmt.Sprintf("%g%%", budget.Percent)
	}
	return fmt.Errorf("%s: %s: the new lifecycle policy would expire %d of %s at once, and plan.max_expire allows %s: see `kontor lifecycle preview %s`, or raise the bound",
		budget.Origin, name, x.Lost.Count, plural(x.Images, "image", "images"), bound, name)
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

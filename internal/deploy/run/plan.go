package run

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/kontor-registry/kontor/internal/deploy"
	"github.com/kontor-registry/kontor/internal/deploy/clusters"
	"github.com/kontor-registry/kontor/internal/deploy/plan"
	"github.com/kontor-registry/kontor/internal/deploy/wording"
	"github.com/kontor-registry/kontor/internal/report/rollout"
)

// Planned is what an apply would do, and what keeps it from being done.
type Planned struct {
	Set            plan.Set
	LifecycleTests rollout.LifecycleTests
	// AccessTests are empty when a registry could not be read.
	AccessTests rollout.AccessTests
	// Refusals are why nothing at all may be applied.
	Refusals []Refusal
	// Notices are further things that the reader should know.
	Notices []string

	failed error // registries and clusters that could not be read
	wrong  error // plans that may not be carried out because of their findings
}

// Refusal is one reason why nothing may be applied.
type Refusal struct {
	Check Check
	// Registry is the name of the one it is about, "" for the file.
	Registry string
	Err      error
}

// Check is a kind of refusal.
type Check string

// The checks.
const (
	CheckLifecycleTests Check = "lifecycle_tests"
	CheckAccessTests    Check = "access_tests"
	CheckImagesInUse    Check = "images_in_use"
	CheckMaxExpire      Check = "max_expire"
)

// Err is everything that keeps p from being applied as it is: what could not
// be read, plans that have errors, and refusals. nil for nothing.
func (p Planned) Err() error {
	err := errors.Join(p.failed, p.wrong)
	for _, x := range p.Refusals {
		err = errors.Join(err, x.Err)
	}
	return err
}

// Failed are the registries and clusters that could not be read; nil for none.
func (p Planned) Failed() error { return p.failed }

// Todo are the plans that Apply carries out: those that do something and have
// no errors.
func (p Planned) Todo() (registries []plan.Plan, nodes []plan.Cluster) {
	for _, x := range p.Set.Plans {
		if ready(x.Errors(), x.Work()) {
			registries = append(registries, x)
		}
	}
	for _, x := range p.Set.Clusters {
		if ready(x.Errors(), len(x.Pending())) {
			nodes = append(nodes, x)
		}
	}
	return registries, nodes
}

// ready reports whether a plan with these errors and so many changes is carried
// out.
func ready(errs []plan.Finding, pending int) bool { return len(errs) == 0 && pending > 0 }

// Plan compares the registries with the file, and checks what that comes to.
// Apply carries it out. The error is for a plan that may not be made at all;
// what could not be read is in the Planned.
func (r *Run) Plan(ctx context.Context, o plan.Options) (Planned, error) {
	r.planned = nil
	switch o.End {
	case plan.LeftFile:
		if err := r.mayEnd("--prune"); err != nil {
			return Planned{}, err
		}
	case plan.Everything:
		if err := r.mayEnd("destroy"); err != nil {
			return Planned{}, err
		}
	}
	r.observe(ctx, o.End)
	r.each(func(s *Registry) {
		o := o
		// The images of what would be deleted are counted.
		if names := plan.Ending(r.desired, s.observed, o.End); len(names) > 0 {
			if o.Images, s.Err = s.ending(ctx, names); s.Err != nil {
				return
			}
		}
		s.plan = plan.DiffWith(r.desired, s.observed, o)
		wording.Mark(&s.plan)
	})
	r.planClusters(ctx, o)
	return r.check(ctx), nil
}

// StaleError is about a plan that no longer fits the file or the registries.
type StaleError struct{ err error }

func (e *StaleError) Error() string { return e.err.Error() }

func (e *StaleError) Unwrap() error { return e.err }

// Adopt takes a plan that was made earlier, and checks it as Plan does: Apply
// then carries out exactly that. The error is a StaleError when the plan no
// longer fits, and otherwise says what could not be read.
func (r *Run) Adopt(ctx context.Context, set plan.Set) (Planned, error) {
	r.planned = nil
	byName, end := map[string]plan.Plan{}, plan.Nothing
	for _, p := range set.Plans {
		byName[p.Target.Name] = p
		if p.End != plan.Nothing {
			end = p.End
		}
	}
	r.observe(ctx, end)
	if err := r.Err(); err != nil {
		return Planned{}, err
	}
	var stale error
	for _, s := range r.Registries {
		p, ok := byName[s.Target.Name]
		if !ok {
			stale = errors.Join(stale, s.named(errors.New("the plan is not about it")))
			continue
		}
		s.plan = p
		if p.End != plan.Nothing {
			stale = errors.Join(stale, r.mayEnd("the plan"))
		}
		for _, why := range p.Stale(r.desired, s.observed) {
			stale = errors.Join(stale, s.named(errors.New(why)))
		}
	}
	if err := errors.Join(stale, r.adoptClusters(ctx, set)); err != nil {
		return Planned{}, &StaleError{err}
	}
	return r.check(ctx), nil
}

// observe reads what each registry has of the file's and the stack's. Where
// something is to be deleted, the tags of every repository tell what is the
// stack's; else it is only reported, and an index of tags is enough.
func (r *Run) observe(ctx context.Context, end plan.End) {
	progress, done := r.progress(func(*Registry) bool { return true })
	defer done()
	r.each(func(s *Registry) {
		s.ends, s.leases, s.leaseNotices, s.leasesRead = nil, nil, nil, false
		scope := deploy.ScopeOf(s.Desired())
		scope.Parallel = r.cfg.Parallel
		if end == plan.Nothing {
			scope.Tagged = s.Conn.Tagged
		}
		scope.Progress = func(read, known int) { progress(s.Target.Name, read, known) }
		if s.observed, s.Err = deploy.Observe(ctx, s.Conn.API, s.Conn.Target, scope); s.Err == nil {
			s.observed.Settings, s.Err = s.observeSettings(ctx, end)
		}
	})
}

// progress begins to show how far reading the registries that have something to read
// has come.
func (r *Run) progress(reads func(*Registry) bool) (told func(registry string, read, known int), done func()) {
	var names []string
	for _, s := range r.Registries {
		if s.Err == nil && reads(s) {
			names = append(names, s.Target.Name)
		}
	}
	if r.cfg.Reading == nil || len(names) == 0 {
		return func(string, int, int) {}, func() {}
	}
	reading := r.cfg.Reading(names)
	return reading.Read, reading.Close
}

// counter counts what has been read of a registry.
type counter struct {
	known    int
	progress func(read, known int)
	mu       sync.Mutex
	read     int // guarded by mu
}

func (c *counter) one() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.read++
	c.progress(c.read, c.known)
}

// mayEnd refuses to delete what a file owns only by the default name.
func (r *Run) mayEnd(word string) error {
	if !r.desired.StackExplicit {
		return fmt.Errorf("%s deletes what belongs to the file's stack, and the file names none: give stack:, apply, and try again", word)
	}
	return nil
}

// findings is the error for plans that may not be carried out because of their
// findings; nil for none.
func (r *Run) findings() error {
	var err error
	for _, s := range r.Registries {
		switch errs := s.plan.Errors(); {
		case s.Err != nil || len(errs) == 0:
		case len(errs) == 1:
			err = errors.Join(err, s.named(fmt.Errorf("the plan cannot be applied: %s", errs[0].Message)))
		default:
			err = errors.Join(err, s.named(fmt.Errorf("the plan cannot be applied: it has %d errors", len(errs))))
		}
	}
	for _, s := range r.clusters {
		if errs := s.plan.Errors(); s.err == nil && len(errs) > 0 {
			err = errors.Join(err, fmt.Errorf("the plan for cluster %s cannot be applied: %s", s.cluster.Name, errs[0].Message))
		}
	}
	return err
}

// set are the plans as they are now.
func (r *Run) set() plan.Set {
	out := plan.Set{Version: plan.SetVersion, Stack: r.desired.Stack, Files: r.cfg.Files, Plans: []plan.Plan{}}
	for _, s := range r.Registries {
		if s.Err != nil {
			out.Failures = append(out.Failures, plan.Failure{Target: plan.TargetOf(s.Target), Error: s.Err.Error()})
			continue
		}
		out.Plans = append(out.Plans, s.plan)
	}
	for _, s := range r.clusters {
		if s.err != nil {
			out.ClusterFailures = append(out.ClusterFailures, plan.Failure{Target: clusters.TargetOf(s.cluster), Error: s.err.Error()})
			continue
		}
		out.Clusters = append(out.Clusters, s.plan)
	}
	return out
}

package run

import (
	"context"
	"errors"
	"fmt"

	"github.com/kontor-registry/kontor/internal/report/words"

	"github.com/kontor-registry/kontor/internal/deploy"
	"github.com/kontor-registry/kontor/internal/deploy/clusters"
	"github.com/kontor-registry/kontor/internal/deploy/plan"
)

// Result is what was planned and what became of it. The field names of its JSON
// form are published.
type Result struct {
	Plan plan.Set `json:"plan"`
	// Registries are those that had something to do, in the order of the file.
	Registries []deploy.Result `json:"results"`
	// Clusters are the node roles that changed, or should have.
	Clusters []clusters.Result `json:"clusters,omitempty"`
}

// NoResult is the result of a plan that was not applied.
func (p Planned) NoResult() Result { return Result{Plan: p.Set, Registries: []deploy.Result{}} }

// Progress is told of each repository of a registry, as soon as it and all
// before it have come out. It is safe for concurrent use.
type Progress func(registry string, r deploy.RepositoryResult)

// Apply carries out what was planned or adopted last: several registries at a
// time, then the clusters. When one fails the others go on. Once ctx ends, what
// was begun is finished and no more is begun. The error names everything that
// is not as planned, also what could not be read for the plan; after a refusal
// nothing was done.
func (r *Run) Apply(ctx context.Context, progress Progress) (Result, error) {
	if r.planned == nil {
		return Result{Registries: []deploy.Result{}}, errors.New("nothing was planned")
	}
	p := r.planned
	r.planned = nil
	out := p.NoResult()
	if len(p.Refusals) > 0 {
		return out, p.Err()
	}
	var todo []*Registry
	for _, s := range r.Registries {
		if s.Err == nil && ready(s.plan.Errors(), s.plan.Work()) {
			todo = append(todo, s)
		}
	}
	out.Registries = make([]deploy.Result, len(todo))
	errs := make([]error, len(todo))
	each(todo, func(i int, s *Registry) { out.Registries[i], errs[i] = s.apply(ctx, progress) })
	failed := errors.Join(append(errs, p.Err())...)
	var err error
	out.Clusters, err = r.applyClusters(ctx, failed == nil)
	return out, errors.Join(failed, err)
}

// apply carries out the plan of s.
func (s *Registry) apply(ctx context.Context, progress Progress) (deploy.Result, error) {
	r, err := deploy.Apply(ctx, s.Conn.API, s.plan, deploy.ApplyConfig{
		Parallel: s.run.cfg.Parallel, Signers: s.signers(), Receivers: s.receivers(), Replication: s.replication(),
		Progress: func(r deploy.RepositoryResult) {
			if progress != nil {
				progress(s.Target.Name, r)
			}
		},
	})
	stopped := ctx.Err() != nil
	if (err == nil || stopped) && !r.OK() {
		err = notDone(s.plan, r, stopped)
	} else if stopped {
		err = nil // all was done by then
	}
	if err != nil {
		err = s.named(err)
	}
	return r, err
}

// notDone says how much of a plan is left, and what to do.
func notDone(p plan.Plan, r deploy.Result, stopped bool) error {
	n, settings := r.Undone(), r.UndoneSettings()
	left := words.Count(n, "repository is", "repositories are")
	switch {
	case n == 0:
		left = words.Count(settings, "registry setting is", "registry settings are")
	case settings > 0:
		left = fmt.Sprintf("%s and %s are", words.Count(n, "repository", "repositories"), words.Count(settings, "registry setting", "registry settings"))
	}
	n += settings
	what, again := "not as the file says", "run apply again"
	if p.End == plan.Everything {
		what, again = "not deleted", "run destroy again"
	}
	if stopped {
		left = "stopped: " + left
	}
	return fmt.Errorf("%s %s: %s", left, what, next(n, r.Lasting(), again))
}

// next is what to do about n failures, of which some last until something else is
// changed: again does not help those.
func next(n, lasting int, again string) string {
	switch lasting {
	case 0:
		return again
	case n:
		return "a further try does not help before what the errors name is changed"
	}
	return fmt.Sprintf("%s; that does not help %d of them before what their errors name is changed", again, lasting)
}

package run

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/aws/smithy-go"
	"golang.org/x/sync/errgroup"

	"github.com/kontor-registry/kontor/internal/access/proof"
	"github.com/kontor-registry/kontor/internal/deploy"
	"github.com/kontor-registry/kontor/internal/deploy/effects"
	"github.com/kontor-registry/kontor/internal/deploy/images"
	"github.com/kontor-registry/kontor/internal/deploy/plan"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/leases"
	"github.com/kontor-registry/kontor/internal/report/rollout"
)

// cost is what the changes of one registry would cost.
type cost struct {
	inUse   []error // images in use that would go
	over    []error // more images than may expire at once
	notices []string
}

// looked is what came of looking at the images of one repository.
type looked struct {
	effects *plan.ImageEffects
	gone    [][]string // digests, as of effects.OfImages
	inUse   error
}

// costs looks at the images of the repositories whose change can have effects on
// them.
func (r *Run) costs(ctx context.Context) []cost {
	out := make([]cost, len(r.Registries))
	progress, done := r.progress(func(s *Registry) bool { return len(s.touching()) > 0 })
	defer done()
	each(r.Registries, func(i int, s *Registry) {
		if s.Err == nil {
			out[i], s.Err = s.cost(ctx, func(read, known int) { progress(s.Target.Name, read, known) })
		}
	})
	return out
}

// touching are the changes that can have effects on images.
func (s *Registry) touching() []*plan.Change {
	var out []*plan.Change
	for i := range s.plan.Changes {
		if c := &s.plan.Changes[i]; s.Err == nil && effects.MayTouchImages(*c) {
			out = append(out, c)
		}
	}
	return out
}

// cost looks at the images of each repository that a change may cost some: once,
// for the checks and for what the plan says of them.
func (s *Registry) cost(ctx context.Context, progress func(read, known int)) (out cost, err error) {
	changes := s.touching()
	if len(changes) == 0 {
		return out, nil
	}
	if err := s.readLeases(ctx); err != nil {
		return out, err
	}
	inUse, over, failed := make([]error, len(changes)), make([]error, len(changes)), make([]error, len(changes))
	count := counter{known: len(changes), progress: progress}
	var g errgroup.Group
	g.SetLimit(parallel(s.run.cfg.Parallel))
	for i, c := range changes {
		if seen, ok := s.ends[c.Repository]; ok && c.Op == plan.OpDelete { // it was read to be counted
			inUse[i] = seen.inUse
			setImages(c, seen.effects)
			count.one()
			continue
		}
		leased := s.leased(c.Repository) && (c.Op == plan.OpDelete || c.Has(plan.FieldLifecycle))
		bound := s.run.desired.MaxExpire != nil && c.Has(plan.FieldLifecycle)
		told := (c.Effects == nil || c.Effects.Images == nil) && !s.plan.RefreshOnly // a plan that was made earlier has them
		if !leased && !bound && !told {
			count.one()
			continue
		}
		g.Go(func() error {
			inUse[i], over[i], failed[i] = s.costOf(ctx, c, leased, bound, told)
			count.one()
			return nil
		})
	}
	_ = g.Wait() // its functions return no errors
	out.notices = append(s.leaseNotices, s.Notices()...)
	for i := range changes {
		if failed[i] != nil {
			return out, failed[i]
		}
		out.inUse, out.over = keep(out.inUse, inUse[i]), keep(out.over, over[i])
	}
	return out, nil
}

// costOf looks at the images of one repository: at those in use when leases name
// some, at the bound when there is one; and tells the effects of c. Images that the
// caller may not read are reported as such, unless a check needs them.
func (s *Registry) costOf(ctx context.Context, c *plan.Change, leased, bound, told bool) (inUse, over, failed error) {
	// What belongs to an index counts for lifecycle rules only. On AWS manifests
	// are pulled, and only if a check needs them.
	checked := leased || bound
	manifests := c.Op != plan.OpDelete && c.Has(plan.FieldLifecycle) && (checked || s.Conn.Indexes != nil)
	snapshot, err := s.Conn.ImagesUnder(ctx, c.Repository, c.Before.Lifecycle, manifests, s.run.cfg.Now())
	var refused *deploy.Error
	if !checked && errors.As(err, &refused) && refused.Code == string(ecr.CodeAccessDenied) {
		setImages(c, &plan.ImageEffects{Unread: refused.Message})
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	seen, err := s.look(*c, snapshot, leased)
	switch {
	case err == nil:
		if told {
			if err := s.freed(ctx, c.Repository, seen); err != nil {
				return nil, nil, err
			}
			setImages(c, seen.effects)
		}
		if bound {
			over = overBudget(*s.run.desired.MaxExpire, c.Repository, *seen.effects)
		}
	case bound:
		over = fmt.Errorf("%s: %w", c.Repository, err)
	} // else the plan has a finding
	return seen.inUse, over, nil
}

// look says what c does to the images. The error is about a lifecycle policy that
// cannot be read.
func (s *Registry) look(c plan.Change, snapshot images.Snapshot, leased bool) (out looked, err error) {
	all, _ := snapshot.Images()
	if leased {
		out.inUse = leasedChange(c, snapshot, all, s.leases)
	}
	out.effects, out.gone, err = effects.OfImages(c, effects.Images{
		List: all, Linked: snapshot.Linked(), At: snapshot.Taken, Options: predicted(snapshot), InUse: leases.Held(s.leases, c.Repository, all),
	})
	return out, err
}

// ending counts the images of repositories that would be deleted, and keeps what
// their deletion does to them. One that does not exist has none.
func (s *Registry) ending(ctx context.Context, names []ecr.RepositoryName) (map[ecr.RepositoryName]plan.Images, error) {
	if err := s.readLeases(ctx); err != nil {
		return nil, err
	}
	found := make([]looked, len(names))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel(s.run.cfg.Parallel))
	for i, name := range names {
		g.Go(func() error {
			snapshot, err := s.Conn.ImagesUnder(gctx, name, "", false, s.run.cfg.Now())
			var answer *deploy.Error
			if errors.As(err, &answer) && answer.Code == string(ecr.CodeRepositoryNotFound) {
				err = nil
			}
			if err == nil {
				found[i], err = s.look(plan.Change{Repository: name, Op: plan.OpDelete}, snapshot, s.leased(name))
			}
			if err == nil && found[i].effects != nil {
				err = s.freed(gctx, name, found[i])
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	counts := map[ecr.RepositoryName]plan.Images{}
	s.ends = map[ecr.RepositoryName]looked{}
	for i, name := range names {
		s.ends[name], counts[name] = found[i], found[i].effects.Deleted.Images
	}
	return counts, nil
}

// readLeases reads those on the registry's images, once for a plan.
func (s *Registry) readLeases(ctx context.Context) (err error) {
	if s.leasesRead {
		return nil
	}
	if s.leases, s.leaseNotices, err = s.Leases(ctx, ""); err != nil {
		return fmt.Errorf("reading the leases of registry %s: %w", s.Target.Name, err)
	}
	s.leasesRead = true
	return nil
}

// leased reports whether leases name images of the repository.
func (s *Registry) leased(name ecr.RepositoryName) bool {
	return slices.ContainsFunc(s.leases, func(l leases.Lease) bool { return l.Repository == name })
}

func setImages(c *plan.Change, e *plan.ImageEffects) {
	if c.Effects == nil {
		c.Effects = &plan.Effects{}
	}
	c.Effects.Images = e
}

func setAccess(c *plan.Change, e *plan.AccessEffects) {
	if c.Effects == nil {
		c.Effects = &plan.Effects{}
	}
	c.Effects.Access = e
}

// people runs the access tests, and says what the plans mean for people: by
// evidence that is read once for both, and only where there is something to say.
// The error is about evidence that the tests lack.
func (r *Run) people(ctx context.Context) (results rollout.AccessTests, notices []string, err error) {
	results.Tests = []rollout.AccessTest{}
	tests := len(r.desired.AccessTests) > 0 && errors.Join(r.Err(), r.clustersErr()) == nil
	var registries []*Registry
	var asked []string
	for _, s := range r.Registries {
		changes := s.granting()
		for _, c := range changes {
			for _, side := range []*plan.Settings{c.Before, c.After} {
				if side != nil {
					for _, id := range proof.Accounts(side.Policy) {
						asked = append(asked, string(id))
					}
				}
			}
		}
		if tests || len(changes) > 0 {
			registries = append(registries, s)
		}
	}
	if len(registries) == 0 {
		return results, nil, nil
	}
	var ev Evidence
	unread := map[*Registry]error{}
	if tests {
		ev, err = r.testEvidence(ctx, asked)
	} else {
		ev, err = r.gather(ctx, registries, asked, func(*Registry) ([]proof.Repository, error) { return nil, nil }, func(s *Registry, err error) {
			var answer smithy.APIError
			if errors.As(err, &answer) {
				s.Err = deploy.Explain(err, "who has access")
			} else { // not every network reaches IAM, and no check needs it
				unread[s] = err
			}
		})
	}
	for _, s := range registries {
		changes := s.granting()
		if len(changes) > 0 && notices == nil {
			notices = slices.Clone(ev.Notes)
		}
		for _, c := range changes {
			if why := cmp.Or(unread[s], err); why != nil {
				setAccess(c, &plan.AccessEffects{Unread: why.Error()})
				continue
			}
			e, bad := effects.OfPeople(ev.Prover, s.Conn.Target.Registry, *c, s.observed.Repositories[c.Repository].Tags, ev.Notes)
			if bad != nil {
				e = &plan.AccessEffects{Unread: bad.Error()}
			} else {
				e.Barred = s.barred(ctx, ev.Prover, *c)
			}
			setAccess(c, e)
		}
	}
	if !tests {
		return results, nil, nil
	}
	if err == nil {
		var more []string
		results, more = r.runAccessTests(ev)
		notices = append(notices, more...)
	}
	return results, notices, err
}

// granting are the changes that can have effects on people and of which none are
// known.
func (s *Registry) granting() []*plan.Change {
	var out []*plan.Change
	for i := range s.plan.Changes {
		if c := &s.plan.Changes[i]; s.Err == nil && !s.plan.RefreshOnly && effects.MayTouchPeople(*c) && (c.Effects == nil || c.Effects.Access == nil) {
			out = append(out, c)
		}
	}
	return out
}

package run

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/kontor-registry/kontor/internal/access/proof"
	"github.com/kontor-registry/kontor/internal/deploy/plan"
	"github.com/kontor-registry/kontor/internal/deploy/principals"
	"github.com/kontor-registry/kontor/internal/deploy/state"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/report/rollout"
)

// Evidence is what both sides of access say, and what of it could not be seen.
type Evidence struct {
	Prover       *proof.Prover
	Repositories []proof.Repository
	Notes        []string
}

// AccessConfig says what evidence to gather.
type AccessConfig struct {
	// Planned takes the repositories as the file would make them.
	Planned bool
	// Repository is looked at alone; "" for all.
	Repository ecr.RepositoryName
	// Asked are the principals that will be asked about.
	Asked []string
}

// Evidence reads the policies of the registries, and the users and roles of
// their accounts.
func (r *Run) Evidence(ctx context.Context, c AccessConfig) (Evidence, error) {
	var notes []string
	if err := r.Err(); err != nil {
		return Evidence{}, err
	}
	ev, err := r.gather(ctx, r.Registries, c.Asked, func(s *Registry) ([]proof.Repository, error) {
		names := []ecr.RepositoryName{c.Repository}
		if c.Repository == "" {
			var known []ecr.RepositoryName
			for _, d := range s.Desired().Repositories {
				known = append(known, d.Name)
			}
			listed, note, err := principals.Names(ctx, s.Conn.Grants, s.Conn.Target.Registry, known)
			if err != nil {
				return nil, err
			}
			if names = listed; note != "" {
				notes = append(notes, note)
			}
		}
		have, unseen, err := principals.Grants(ctx, s.Conn.Grants, s.Conn.Target.Registry, names)
		notes = append(notes, unseen...)
		if c.Planned {
			have = s.planned(have, c.Repository)
		}
		return have, err
	}, nil)
	ev.Notes = append(ev.Notes, notes...)
	return ev, err
}

// gather puts together what of says of each registry's repositories with the
// registries' policies and the accounts behind them. Where failed is not nil, it is
// told of a registry that cannot be read, which is then left out.
func (r *Run) gather(ctx context.Context, registries []*Registry, asked []string, of func(*Registry) ([]proof.Repository, error), failed func(*Registry, error)) (ev Evidence, err error) {
	world := proof.World{Registries: map[ecr.RegistryID]proof.Registry{}}
	read := map[ecr.AccountID]bool{}
	var local *Registry
	for _, s := range registries {
		if err := s.gather(ctx, &world, &ev, read, of); err != nil {
			if failed == nil {
				return ev, s.named(err)
			}
			failed(s, err)
			continue
		}
		if s.Target.Local {
			local = s
		}
	}
	if local != nil {
		if err := local.people(ctx, &world, read, asked); err != nil {
			return ev, err
		}
	}
	ev.Repositories = world.Repositories
	ev.Prover, err = proof.New(world)
	return ev, err
}

// gather adds what is known of one registry and of its account, unless that was
// read.
func (s *Registry) gather(ctx context.Context, world *proof.World, ev *Evidence, read map[ecr.AccountID]bool, of func(*Registry) ([]proof.Repository, error)) error {
	in := s.Conn.Target.Registry
	registry, note, err := principals.RegistryOf(ctx, s.Conn.Grants, in)
	if err != nil {
		return err
	}
	world.Registries[in] = registry
	have, err := of(s)
	if err != nil {
		return err
	}
	if note != "" {
		ev.Notes = append(ev.Notes, note)
	}
	world.Repositories = append(world.Repositories, have...)
	if read[in.Account] {
		return nil
	}
	read[in.Account] = true
	people, unseen, err := principals.Read(ctx, s.Conn.Principals)
	switch {
	case err != nil:
		return fmt.Errorf("account %s: %w", in.Account, err)
	case unseen != "":
		ev.Notes = append(ev.Notes, fmt.Sprintf("the users and roles of account %s could not be read: %s", in.Account, unseen))
	default:
		world.Seen = append(world.Seen, string(in.Account))
	}
	world.Principals = append(world.Principals, people...)
	return nil
}

// people adds to w the users and roles of the other accounts that this machine
// hosts and that the policies or asked name.
func (s *Registry) people(ctx context.Context, w *proof.World, read map[ecr.AccountID]bool, asked []string) error {
	accounts := slices.DeleteFunc(accountsOf(w, asked), func(id ecr.AccountID) bool { return read[id] })
	if len(accounts) == 0 {
		return nil
	}
	all, err := s.local.People(ctx, s.Conn.Target.Registry.Region.Partition(), accounts)
	if err != nil {
		return err
	}
	for _, id := range accounts {
		if list := all[id]; len(list) > 0 {
			w.Principals, w.Seen = append(w.Principals, list...), append(w.Seen, string(id))
		}
	}
	return nil
}

// accountsOf are the accounts that policies of w, or names, mention.
func accountsOf(w *proof.World, names []string) []ecr.AccountID {
	var texts []string
	for _, r := range w.Registries {
		texts = append(texts, r.Policy)
	}
	for _, r := range w.Repositories {
		texts = append(texts, r.Policy)
	}
	out := proof.Accounts(texts...)
	for _, name := range names {
		if id := ecr.AccountID(proof.AccountOf(name)); id != "" && !slices.Contains(out, id) {
			out = append(out, id)
		}
	}
	return out
}

// planned are the repositories as the file would make them, in byte order of
// their names. only is looked at alone, unless it is "".
func (s *Registry) planned(have []proof.Repository, only ecr.RepositoryName) []proof.Repository {
	for _, want := range s.Desired().Repositories {
		if only != "" && want.Name != only {
			continue
		}
		i := slices.IndexFunc(have, func(r proof.Repository) bool { return r.Name == want.Name })
		if i < 0 {
			i = len(have)
			have = append(have, proof.Repository{In: s.Conn.Target.Registry, Name: want.Name, Tags: map[string]string{}})
		}
		have[i].Policy = want.Policy
		maps.Copy(have[i].Tags, want.Tags)
	}
	slices.SortFunc(have, func(a, b proof.Repository) int { return strings.Compare(string(a.Name), string(b.Name)) })
	return have
}

// AccessTests runs the file's access_tests on every registry, on the
// repositories as the file would make them.
func (r *Run) AccessTests(ctx context.Context) (rollout.AccessTests, error) {
	if len(r.desired.AccessTests) > 0 {
		r.observe(ctx, plan.Nothing)
	}
	if len(r.desired.AccessTests) == 0 {
		return rollout.AccessTests{Tests: []rollout.AccessTest{}}, nil
	}
	if err := r.Err(); err != nil {
		return rollout.AccessTests{Tests: []rollout.AccessTest{}}, err
	}
	ev, err := r.testEvidence(ctx, nil)
	if err != nil {
		return rollout.AccessTests{Tests: []rollout.AccessTest{}}, err
	}
	results, _ := r.runAccessTests(ev)
	return results, nil
}

// testEvidence is what the access tests go by: of the repositories that observe has
// read nothing more is asked for. asked are more principals than those of the tests.
func (r *Run) testEvidence(ctx context.Context, asked []string) (Evidence, error) {
	for _, t := range r.desired.AccessTests {
		asked = append(asked, t.Principal)
	}
	return r.gather(ctx, r.Registries, asked, func(s *Registry) ([]proof.Repository, error) {
		var have []proof.Repository
		for name, o := range s.observed.Repositories {
			have = append(have, proof.Repository{In: s.Conn.Target.Registry, Name: name, Policy: o.Policy, Tags: maps.Clone(o.Tags)})
		}
		return s.planned(have, ""), nil
	}, nil)
}

// runAccessTests runs them. notices say which were not run, and why.
func (r *Run) runAccessTests(ev Evidence) (results rollout.AccessTests, notices []string) {
	results.Tests = []rollout.AccessTest{}
	tests := r.desired.AccessTests
	add := func(t state.AccessTest, in ecr.RegistryID, name ecr.RepositoryName, right string, may bool) {
		result, missing := ev.test(t, in, name, right, may)
		if !missing || !r.cfg.Offline {
			results.Tests = append(results.Tests, result)
			return
		}
		// A registry that stands for another has not all of its people.
		n := fmt.Sprintf("%s: this access test was not run: this server has no user or role %s", result.Where, t.Principal)
		if !slices.Contains(notices, n) {
			notices = append(notices, n)
		}
	}
	for _, s := range r.Registries {
		for _, repo := range s.Desired().Repositories {
			for _, t := range tests {
				if !t.Covers(repo.Name) {
					continue
				}
				for _, right := range t.Allow {
					add(t, s.Conn.Target.Registry, repo.Name, right, true)
				}
				for _, right := range t.Deny {
					add(t, s.Conn.Target.Registry, repo.Name, right, false)
				}
			}
		}
	}
	return results, notices
}

// test is the result of one assertion. missing: there is no such user or role,
// though its account was seen whole.
func (ev Evidence) test(t state.AccessTest, in ecr.RegistryID, name ecr.RepositoryName, right string, may bool) (r rollout.AccessTest, missing bool) {
	r = rollout.AccessTest{Principal: t.Principal, Repository: in.RepositoryARN(name), Right: right, Expect: "may not", Where: t.Origin.String()}
	if may {
		r.Expect = "may"
	}
	actions, err := proof.ParseRight(right)
	if err != nil {
		r.Failure = err.Error()
		return r, false
	}
	a, err := ev.Prover.Check(t.Principal, actions, in, name)
	if err != nil {
		r.Failure = err.Error()
		return r, false
	}
	r.Outcome = a.Outcome
	holds := a.Outcome == proof.Denied && !a.Missing
	if may {
		holds = a.Outcome == proof.Allowed || a.Outcome == proof.Unseen
	}
	if holds {
		return r, a.Missing
	}
	if a.Missing {
		r.Failure = "there is no such user or role"
		return r, true
	}
	r.Failure = "it is " + string(a.Outcome)
	for _, action := range a.Actions {
		if (action.Outcome == proof.Denied) == may {
			r.Failure = fmt.Sprintf("%s is %s", action.Action, action.Outcome)
			break
		}
	}
	return r, false
}

package run

import (
	"context"
	"slices"
	"sync"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/access/proof"
	"github.com/kontor-registry/kontor/internal/deploy"
	"github.com/kontor-registry/kontor/internal/deploy/principals"
	"github.com/kontor-registry/kontor/internal/deploy/promote"
	"github.com/kontor-registry/kontor/internal/deploy/state"
	"github.com/kontor-registry/kontor/internal/ecr"
)

// rights proves what the caller of a registry may do, from the policies of both
// sides. It asks once for the account, and once for each repository.
type rights struct {
	conn *deploy.Conn

	mu     sync.Mutex
	people *proof.World                              // guarded by mu; nil before the first
	known  map[ecr.RepositoryName][]proof.Repository // guarded by mu
}

var _ promote.Rights = (*rights)(nil)

func newRights(c *deploy.Conn) *rights {
	return &rights{conn: c, known: map[ecr.RepositoryName][]proof.Repository{}}
}

// Missing are those of the actions that the policies deny. Where a policy cannot
// be read nothing is certain, and then the answer is none.
func (r *rights) Missing(ctx context.Context, name ecr.RepositoryName, list []access.Action) ([]access.Action, error) {
	return r.missing(ctx, name, list, func(ctx context.Context) ([]proof.Repository, error) { return r.grants(ctx, name) })
}

// MissingIn is Missing for a repository that is yet to be made.
func (r *rights) MissingIn(ctx context.Context, as state.Repository, list []access.Action) ([]access.Action, error) {
	return r.missing(ctx, as.Name, list, func(context.Context) ([]proof.Repository, error) {
		return []proof.Repository{{In: r.conn.Target.Registry, Name: as.Name, Policy: as.Policy, Tags: as.Tags}}, nil
	})
}

func (r *rights) missing(ctx context.Context, name ecr.RepositoryName, list []access.Action, grants func(context.Context) ([]proof.Repository, error)) ([]access.Action, error) {
	world, ok := r.world(ctx, grants)
	if !ok {
		return nil, ctx.Err()
	}
	prover, err := proof.New(world)
	if err != nil {
		return nil, nil // a policy that cannot be read proves nothing
	}
	answer, err := prover.Check(r.conn.Caller, list, r.conn.Target.Registry, name)
	if err != nil || answer.Missing {
		return nil, nil // a caller of a kind that is not known proves nothing
	}
	var out []access.Action
	for _, a := range answer.Actions {
		if a.Outcome == proof.Denied {
			out = append(out, a.Action)
		}
	}
	return out, nil
}

// grants are the policy and the tags of a repository, none where it does not
// exist. The caller holds mu.
func (r *rights) grants(ctx context.Context, name ecr.RepositoryName) ([]proof.Repository, error) {
	if have, read := r.known[name]; read {
		return have, nil
	}
	have, _, err := principals.Grants(ctx, r.conn.Grants, r.conn.Target.Registry, []ecr.RepositoryName{name})
	if err == nil {
		r.known[name] = have
	}
	return have, err
}

// world are the policies that decide about the repository of grants, which is
// called with mu.
func (r *rights) world(ctx context.Context, grants func(context.Context) ([]proof.Repository, error)) (w proof.World, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	in := r.conn.Target.Registry
	if r.people == nil {
		registry, note, err := principals.RegistryOf(ctx, r.conn.Grants, in)
		if err != nil || note != "" {
			return w, false
		}
		w := proof.World{Registries: map[ecr.RegistryID]proof.Registry{in: registry}}
		people, unseen, err := principals.Read(ctx, r.conn.Principals)
		if err != nil {
			return w, false
		}
		if unseen == "" {
			w.Seen = []string{string(in.Account)}
		}
		w.Principals = people
		r.people = &w
	}
	have, err := grants(ctx)
	if err != nil {
		return w, false
	}
	w = *r.people
	w.Repositories = slices.Clone(have)
	return w, len(have) > 0
}

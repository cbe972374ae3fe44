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
	world, ok := r.world(ctx, name)
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

// world are the policies that decide about the repository.
func (r *rights) world(ctx context.Context, name ecr.RepositoryName) (w proof.World, ok bool) {
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
	have, read := r.known[name]
	if !read {
		var err error
		if have, _, err = principals.Grants(ctx, r.conn.Grants, in, []ecr.RepositoryName{name}); err != nil {
			return w, false
		}
		r.known[name] = have
	}
	w = *r.people
	w.Repositories = slices.Clone(have)
	return w, len(have) > 0
}

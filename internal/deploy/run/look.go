package run

import (
	"context"

	"github.com/kontor-registry/kontor/internal/deploy"
	"github.com/kontor-registry/kontor/internal/deploy/state"
	"github.com/kontor-registry/kontor/internal/ecr"
)

// Look reads the repositories of the only registry of r for which only holds,
// whatever the file says of them.
func (r *Run) Look(ctx context.Context, only func(ecr.RepositoryName) bool) (state.Observed, error) {
	return r.Registries[0].read(ctx, deploy.Scope{All: true, Only: only})
}

// Found reads the repositories of the file in each registry of r, in the order of
// Registries. Those that do not exist are left out.
func (r *Run) Found(ctx context.Context) ([]state.Observed, error) {
	var out []state.Observed
	for _, s := range r.Registries {
		o, err := s.read(ctx, deploy.Scope{Names: deploy.ScopeOf(s.Desired()).Names})
		if err != nil {
			return nil, s.named(err)
		}
		out = append(out, o)
	}
	return out, nil
}

func (s *Registry) read(ctx context.Context, scope deploy.Scope) (state.Observed, error) {
	scope.Parallel = s.run.cfg.Parallel
	if s.run.cfg.Reading != nil {
		reading := s.run.cfg.Reading([]string{s.Target.Name})
		defer reading.Close()
		scope.Progress = func(read, known int) { reading.Read(s.Target.Name, read, known) }
	}
	return deploy.Observe(ctx, s.Conn.API, s.Conn.Target, scope)
}

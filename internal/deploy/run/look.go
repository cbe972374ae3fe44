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
	s := r.Registries[0]
	scope := deploy.Scope{All: true, Only: only, Parallel: r.cfg.Parallel}
	if r.cfg.Reading != nil {
		reading := r.cfg.Reading([]string{s.Target.Name})
		defer reading.Close()
		scope.Progress = func(read, known int) { reading.Read(s.Target.Name, read, known) }
	}
	return deploy.Observe(ctx, s.Conn.API, s.Conn.Target, scope)
}

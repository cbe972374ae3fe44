package cli

import (
	"context"

	"github.com/kontor-registry/kontor/internal/deploy"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/leases"
)

// knownLeases asks a Kontor registry for the leases of a repository, or of all
// when name is empty. Amazon ECR, and what stands in for it, knows none.
func (e *Env) knownLeases(ctx context.Context, conn *deploy.Conn, name ecr.RepositoryName) ([]leases.Lease, error) {
	c := e.adminOf(conn)
	if c == nil {
		return nil, nil
	}
	known, err := c.leases(ctx, string(name))
	switch {
	case err != nil && noAdmin(conn, err):
		return nil, nil
	case ecr.CodeOf(err) == ecr.CodeAccessDenied:
		e.notice("the leases of registry %s are not known (%s), so images in use are not told apart", conn.Target.Name, err)
		return nil, nil
	case err != nil:
		return nil, err
	}
	for _, s := range known.Collectors {
		if s.Silent {
			e.notice("collector %s has reported last on %s and is silent since: its leases stay in force until it reports again, or kontor lease forget %s",
				s.Name, s.ReportedAt.UTC().Format("2006-01-02"), s.Name)
		}
	}
	return fromWire(known.Leases)
}

package run

import (
	"context"
	"fmt"
	"net/url"
	"slices"

	"github.com/kontor-registry/kontor/internal/deploy/images"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/leases"
)

// Images reads the images of a repository and its lifecycle policy; see
// deploy.Conn.Images. Notices has what the user should know of them.
func (s *Registry) Images(ctx context.Context, name ecr.RepositoryName, manifests bool) (images.Snapshot, error) {
	return s.Conn.Images(ctx, name, manifests, s.run.cfg.Now())
}

// InUse are the leases on the registry's images that Config.InUse names.
func (s *Registry) InUse() ([]leases.Lease, error) {
	return leases.AllOn(s.run.cfg.InUse, s.hosts())
}

// Leases are on the images that are in use in a repository, or in all when the
// name is "": those of InUse, and those that a Kontor registry knows. Amazon ECR,
// and what stands in for it, knows none. notices are what the user should know
// of them.
func (s *Registry) Leases(ctx context.Context, name ecr.RepositoryName) (list []leases.Lease, notices []string, err error) {
	if list, err = s.InUse(); err != nil {
		return nil, nil, err
	}
	c := s.admin()
	if c == nil {
		return list, nil, nil
	}
	known, err := c.Leases(ctx, string(name))
	switch {
	case s.noAdmin(err):
		return list, nil, nil
	case ecr.CodeOf(err) == ecr.CodeAccessDenied:
		return list, []string{fmt.Sprintf("the leases of registry %s are not known (%s), so images in use are not told apart", s.Conn.Target.Name, err)}, nil
	case err != nil:
		return nil, nil, err
	}
	for _, c := range known.Collectors {
		if c.Silent {
			notices = append(notices, fmt.Sprintf("collector %s has reported last on %s and is silent since: its leases stay in force until it reports again, or kontor lease forget %s",
				c.Name, c.ReportedAt.UTC().Format("2006-01-02"), c.Name))
		}
	}
	more, err := leases.FromWire(known.Leases)
	return append(list, more...), notices, err
}

// hosts are the names of the registry in references to its images.
func (s *Registry) hosts() []string {
	hosts := append(leases.Hosts(s.Conn.Target.Registry), s.run.cfg.Hosts...)
	if at, err := url.Parse(s.Conn.Target.Endpoint); err == nil && at.Host != "" {
		hosts = append(hosts, at.Host)
	}
	if host := s.local.Host; host != "" && !slices.Contains(hosts, host) {
		hosts = append(hosts, host)
	}
	return hosts
}

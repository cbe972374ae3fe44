package run

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/kontor-registry/kontor/internal/report/words"

	"github.com/kontor-registry/kontor/internal/access/proof"
	"github.com/kontor-registry/kontor/internal/deploy"
	"github.com/kontor-registry/kontor/internal/deploy/clusters"
	"github.com/kontor-registry/kontor/internal/deploy/plan"
	"github.com/kontor-registry/kontor/internal/deploy/state"
)

// cluster is one cluster of a run, and its account.
type cluster struct {
	cluster state.Cluster
	conn    *clusters.Conn
	plan    plan.Cluster
	err     error // why it could not be reached, read or planned
}

// account is an account of clusters, at one endpoint.
type account struct {
	members []*cluster
	people  []proof.Principal
}

// planClusters plans the node roles of the file's clusters. One that cannot be
// read says why in its err, and then no role of its account loses anything.
func (r *Run) planClusters(ctx context.Context, o plan.Options) {
	for _, a := range r.accounts() {
		if o.End == plan.Everything && !r.whole {
			for _, s := range a.members {
				s.plan.Findings = append(s.plan.Findings, plan.Finding{Code: plan.CodeRoleKept, Severity: plan.Info, Field: s.cluster.Origin.Field,
					Message: fmt.Sprintf("cluster %s: its node roles keep what they have for the other registries of the file", s.cluster.Name)})
			}
			continue
		}
		var all clusters.Account
		leave := r.whole
		a.reach(ctx)
		var planned []*cluster
		for _, s := range a.members {
			m := clusters.Member{Cluster: s.cluster, Discovered: len(s.cluster.NodeRoleARNs) == 0, Pulls: r.pulls(s.cluster)}
			if s.err == nil && o.End != plan.Everything {
				m.Roles, s.err = s.conn.NodeRoles(ctx)
			}
			if s.err != nil {
				leave = false
				continue
			}
			m.Cluster = s.conn.Cluster
			all.Members = append(all.Members, m)
			planned = append(planned, s)
		}
		all.People = a.people
		plans, err := clusters.Plan(all, clusters.Options{
			Stack: r.desired.Stack, Explicit: r.desired.StackExplicit, End: o.End, Leave: leave, RefreshOnly: o.RefreshOnly,
		})
		for i, s := range planned {
			if s.err = err; err == nil {
				s.plan = plans[i]
			}
		}
	}
}

// accounts puts each cluster of the file into r and returns those to be read,
// by account. A deployment to the local registry never goes to AWS. Where only
// some of the file's registries are deployed to, clusters that pull from none of
// these are left out.
func (r *Run) accounts() []*account {
	r.clusters = nil
	if r.cfg.Offline {
		return nil
	}
	local := len(r.Registries) > 0 && r.Registries[0].Target.Local
	byKey := map[string]*account{}
	var out []*account
	for _, c := range r.desired.Clusters {
		if !r.whole && len(r.pulls(c)) == 0 {
			continue
		}
		s := &cluster{cluster: c, plan: plan.Cluster{Target: clusters.TargetOf(c), Roles: []plan.RoleChange{}}}
		r.clusters = append(r.clusters, s)
		if local && c.Endpoint == "" {
			s.plan.Findings = []plan.Finding{{Code: plan.CodeNotReached, Severity: plan.Info, Field: c.Origin.Field, Message: fmt.Sprintf(
				"cluster %s is not looked at: a file without registries: never goes to AWS", c.Name)}}
			continue
		}
		key := string(c.Account) + " " + c.Endpoint
		if byKey[key] == nil {
			byKey[key] = &account{}
			out = append(out, byKey[key])
		}
		byKey[key].members = append(byKey[key].members, s)
	}
	return out
}

// reach connects to the account for each member, several at a time, and reads
// its roles once.
func (a *account) reach(ctx context.Context) {
	each(a.members, func(_ int, s *cluster) { s.conn, s.err = clusters.Connect(ctx, s.cluster) })
	for _, s := range a.members {
		if s.err != nil {
			continue
		}
		if a.people, s.err = s.conn.People(ctx); s.err == nil {
			return
		}
	}
}

// pulls are the repositories that the cluster's nodes pull from, as the file
// makes them in the registries of r. None of another partition is: IAM does not
// reach across.
func (r *Run) pulls(c state.Cluster) []proof.Repository {
	var out []proof.Repository
	for _, s := range r.Registries {
		in := s.Target.Registry
		if in.Region.Partition() != c.Region.Partition() {
			continue
		}
		for _, repo := range s.Desired().Repositories {
			if c.Pulls(repo.Name) {
				out = append(out, proof.Repository{In: in, Name: repo.Name, Policy: repo.Policy, Tags: repo.Tags})
			}
		}
	}
	return out
}

// clustersErr is why clusters could not be read; nil when all could.
func (r *Run) clustersErr() error {
	var err error
	for _, s := range r.clusters {
		if s.err != nil {
			err = errors.Join(err, s.named(s.err))
		}
	}
	return err
}

func (s *cluster) named(err error) error {
	prefix := "cluster " + s.cluster.Name
	if strings.HasPrefix(err.Error(), prefix+":") || strings.HasPrefix(err.Error(), prefix+" ") {
		return err
	}
	return fmt.Errorf("%s: %w", prefix, err)
}

// adoptClusters takes the clusters' part of a plan file, and says why it no
// longer fits the file or an account.
func (r *Run) adoptClusters(ctx context.Context, set plan.Set) error {
	if len(set.ClusterFailures) > 0 {
		return errors.New("the plan could not see all clusters")
	}
	accounts := r.accounts()
	for _, a := range accounts {
		a.reach(ctx)
	}
	err := r.clustersErr()
	if err != nil {
		return err
	}
	if len(set.Clusters) != len(r.clusters) {
		return fmt.Errorf("the plan is for %d clusters, the file names %d", len(set.Clusters), len(r.clusters))
	}
	for i, s := range r.clusters {
		s.plan = set.Clusters[i]
		t := clusters.TargetOf(s.cluster)
		if s.conn != nil {
			t = clusters.TargetOf(s.conn.Cluster)
		}
		if s.plan.Target != t {
			err = errors.Join(err, s.named(errors.New("it is not the plan's, or is reached in another way")))
		}
		if s.conn == nil && len(s.plan.Pending()) > 0 {
			err = errors.Join(err, s.named(errors.New("it is no longer read")))
		}
	}
	for _, a := range accounts {
		for _, s := range a.members {
			for _, why := range clusters.Stale(s.plan, a.people) {
				err = errors.Join(err, s.named(errors.New(why)))
			}
		}
	}
	return err
}

// applyClusters changes the node roles. Nothing is taken away unless mayLeave:
// the repositories are as planned.
func (r *Run) applyClusters(ctx context.Context, mayLeave bool) ([]clusters.Result, error) {
	var out []clusters.Result
	var failed error
	for _, s := range r.clusters {
		p := s.plan
		if s.err != nil || !ready(p.Errors(), len(p.Pending())) {
			continue
		}
		if leaves := p.Count(plan.RoleLeave) + p.Count(plan.RoleDetach); leaves > 0 && !mayLeave {
			failed = errors.Join(failed, s.named(errors.New("its node roles keep what they have until the repositories are as planned: run the command again")))
			continue
		}
		result, err := clusters.Apply(ctx, s.conn.IAM, p, r.desired.Stack)
		if n := len(result.Roles) - result.Count(deploy.StatusDone); err == nil && n > 0 {
			err = fmt.Errorf("%s not as planned: %s", words.Count(n, "role is", "roles are"), next(n, result.Lasting(), "run apply again"))
		}
		if err != nil {
			failed = errors.Join(failed, s.named(err))
		}
		out = append(out, result)
	}
	return out, failed
}

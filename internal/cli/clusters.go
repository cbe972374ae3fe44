package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/kontor-registry/kontor/internal/access/proof"
	"github.com/kontor-registry/kontor/internal/deploy"
	"github.com/kontor-registry/kontor/internal/deploy/clusters"
	"github.com/kontor-registry/kontor/internal/deploy/plan"
	"github.com/kontor-registry/kontor/internal/deploy/state"
	"github.com/kontor-registry/kontor/internal/ecr"
)

// clusterSite is one cluster of a deployment, and its account.
type clusterSite struct {
	cluster state.Cluster
	conn    *clusters.Conn
	plan    plan.Cluster
	err     error // why it could not be reached, read or planned
}

// accountSite is an account of clusters, at one endpoint.
type accountSite struct {
	members []*clusterSite
	people  []proof.Principal
}

// planClusters plans the node roles of the file's clusters. One that cannot be
// read says why in its site, and then no role of its account loses anything.
func (d *deployment) planClusters(ctx context.Context, o plan.Options) {
	desired := d.file.Frame(anyRegistry)
	whole := len(d.sites) == len(desired.Targets)
	for _, a := range d.clusterAccounts(desired.Clusters, whole) {
		if o.End == plan.Everything && !whole {
			for _, s := range a.members {
				s.plan.Findings = append(s.plan.Findings, plan.Finding{Code: plan.CodeRoleKept, Severity: plan.Info, Field: s.cluster.Origin.Field,
					Message: fmt.Sprintf("cluster %s: its node roles keep what they have for the other registries of the file", s.cluster.Name)})
			}
			continue
		}
		account := clusters.Account{}
		leave := whole
		a.reach(ctx)
		var planned []*clusterSite
		for _, s := range a.members {
			m := clusters.Member{Cluster: s.cluster, Discovered: len(s.cluster.NodeRoleARNs) == 0, Pulls: d.pulls(s.cluster)}
			if s.err == nil && o.End != plan.Everything {
				m.Roles, s.err = s.conn.NodeRoles(ctx)
			}
			if s.err != nil {
				leave = false
				continue
			}
			m.Cluster = s.conn.Cluster
			account.Members = append(account.Members, m)
			planned = append(planned, s)
		}
		account.People = a.people
		plans, err := clusters.Plan(account, clusters.Options{
			Stack: d.stack, Explicit: desired.StackExplicit, End: o.End, Leave: leave, RefreshOnly: o.RefreshOnly,
		})
		for i, s := range planned {
			if s.err = err; err == nil {
				s.plan = plans[i]
			}
		}
	}
}

// clusterAccounts makes a site of each cluster and returns those to be read, by
// account. A deployment to the local registry never goes to AWS. Where only some
// of the file's registries are deployed to, not whole, clusters that pull from
// none of these are left out.
func (d *deployment) clusterAccounts(list []state.Cluster, whole bool) []*accountSite {
	d.clusters = nil
	local := len(d.sites) > 0 && d.sites[0].target.Local
	byKey := map[string]*accountSite{}
	var out []*accountSite
	for _, c := range list {
		if !whole && len(d.pulls(c)) == 0 {
			continue
		}
		s := &clusterSite{cluster: c, plan: plan.Cluster{Target: clusters.TargetOf(c), Roles: []plan.RoleChange{}}}
		d.clusters = append(d.clusters, s)
		if local && c.Endpoint == "" {
			s.plan.Findings = []plan.Finding{{Code: plan.CodeNotReached, Severity: plan.Info, Field: c.Origin.Field, Message: fmt.Sprintf(
				"cluster %s is not looked at: a file without registries: never goes to AWS", c.Name)}}
			continue
		}
		key := string(c.Account) + " " + c.Endpoint
		if byKey[key] == nil {
			byKey[key] = &accountSite{}
			out = append(out, byKey[key])
		}
		byKey[key].members = append(byKey[key].members, s)
	}
	return out
}

// reach connects to the account for each member, several at a time, and reads
// its roles once.
func (a *accountSite) reach(ctx context.Context) {
	var wg sync.WaitGroup
	slots := make(chan struct{}, sitesAtOnce)
	for _, s := range a.members {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			s.conn, s.err = clusters.Connect(ctx, s.cluster)
		})
	}
	wg.Wait()
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
// makes them in the registries of d. None of another partition is: IAM does not
// reach across.
func (d *deployment) pulls(c state.Cluster) []proof.Repository {
	var out []proof.Repository
	for _, s := range d.sites {
		in := s.target.Registry
		if in.Region.Partition() != c.Region.Partition() {
			continue
		}
		for _, r := range s.desired.For(s.target).Repositories {
			if c.Pulls(r.Name) {
				out = append(out, proof.Repository{In: in, Name: r.Name, Policy: r.Policy, Tags: r.Tags})
			}
		}
	}
	return out
}

// clustersOf adds the clusters' part to a set of plans.
func (d *deployment) clustersOf(set *plan.Set) {
	for _, s := range d.clusters {
		if s.err != nil {
			set.ClusterFailures = append(set.ClusterFailures, plan.Failure{Target: clusters.TargetOf(s.cluster), Error: s.err.Error()})
			continue
		}
		set.Clusters = append(set.Clusters, s.plan)
	}
}

// clustersFailed is why clusters could not be read; nil when all could.
func (d *deployment) clustersFailed() error {
	var err error
	for _, s := range d.clusters {
		if s.err != nil {
			err = errors.Join(err, s.named(s.err))
		}
	}
	return err
}

// clustersRefused is the error for the plans that may not be carried out.
func (d *deployment) clustersRefused() error {
	var err error
	for _, s := range d.clusters {
		if errs := s.plan.Errors(); s.err == nil && len(errs) > 0 {
			err = errors.Join(err, fmt.Errorf("the plan for cluster %s cannot be applied: %s", s.cluster.Name, errs[0].Message))
		}
	}
	return err
}

func (s *clusterSite) named(err error) error {
	prefix := "cluster " + s.cluster.Name
	if strings.HasPrefix(err.Error(), prefix+":") || strings.HasPrefix(err.Error(), prefix+" ") {
		return err
	}
	return fmt.Errorf("%s: %w", prefix, err)
}

// clustersPending are the clusters whose plans do something and may.
func (d *deployment) clustersPending() []*clusterSite {
	var out []*clusterSite
	for _, s := range d.clusters {
		if s.err == nil && len(s.plan.Errors()) == 0 && len(s.plan.Pending()) > 0 {
			out = append(out, s)
		}
	}
	return out
}

// adoptClusters takes the clusters' part of a plan file, and says why it does
// not fit the file or an account any more.
func (d *deployment) adoptClusters(ctx context.Context, set plan.Set) error {
	if len(set.ClusterFailures) > 0 {
		return errors.New("the plan could not see all clusters")
	}
	desired := d.file.Frame(anyRegistry)
	accounts := d.clusterAccounts(desired.Clusters, len(d.sites) == len(desired.Targets))
	for _, a := range accounts {
		a.reach(ctx)
	}
	err := d.clustersFailed()
	if err != nil {
		return err
	}
	if len(set.Clusters) != len(d.clusters) {
		return fmt.Errorf("the plan is for %d clusters, the file names %d", len(set.Clusters), len(d.clusters))
	}
	for i, s := range d.clusters {
		s.plan = set.Clusters[i]
		t := clusters.TargetOf(s.cluster)
		if s.conn != nil {
			t = clusters.TargetOf(s.conn.Cluster)
		}
		if s.plan.Target != t {
			err = errors.Join(err, s.named(errors.New("it is not the plan's, or is reached in another way")))
		}
		if s.conn == nil && len(s.plan.Pending()) > 0 {
			err = errors.Join(err, s.named(errors.New("it is not looked at any more")))
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

// carryOutClusters changes the node roles. Nothing is taken away unless
// mayLeave: the repositories are as planned.
func (e *Env) carryOutClusters(ctx context.Context, d *deployment, mayLeave bool) ([]clusters.Result, error) {
	var out []clusters.Result
	var failed error
	for _, s := range d.clustersPending() {
		p := s.plan
		if leaves := p.Count(plan.RoleLeave) + p.Count(plan.RoleDetach); leaves > 0 && !mayLeave {
			failed = errors.Join(failed, s.named(errors.New("its node roles keep what they have until the repositories are as planned: run the command again")))
			continue
		}
		r, err := clusters.Apply(ctx, s.conn.IAM, p, d.stack)
		if n := len(r.Roles) - r.Count(deploy.StatusDone); err == nil && n > 0 {
			err = fmt.Errorf("%s not as planned: run apply again", plural(n, "role is", "roles are"))
		}
		if err != nil {
			failed = errors.Join(failed, s.named(err))
		}
		out = append(out, r)
	}
	return out, failed
}

// clusterQuestion says in a few words what will change of node roles.
func clusterQuestion(sites []*clusterSite) string {
	gain, lose := 0, 0
	accounts := map[ecr.AccountID]bool{}
	for _, s := range sites {
		accounts[s.cluster.Account] = true
		gain += s.plan.Count(plan.RoleAttach) + s.plan.Count(plan.RoleJoin)
		lose += s.plan.Count(plan.RoleLeave) + s.plan.Count(plan.RoleDetach)
	}
	var words []string
	if gain > 0 {
		words = append(words, "let "+plural(gain, "node role", "node roles")+" pull")
	}
	if lose > 0 {
		words = append(words, "take that from "+plural(lose, "node role", "node roles"))
	}
	return strings.Join(words, " and ") + " in " + plural(len(accounts), "account", "accounts")
}

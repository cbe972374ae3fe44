package spec

import (
	"slices"
	"strconv"
	"strings"

	"github.com/kontor-registry/kontor/internal/deploy/lang"
	"github.com/kontor-registry/kontor/internal/deploy/spec/fields"
	"github.com/kontor-registry/kontor/internal/deploy/state"
	"github.com/kontor-registry/kontor/internal/ecr"
)

// cluster reads an entry of clusters.
func (r *reader) cluster(n node) {
	names := fields.Names("clusters")
	if n.Kind == lang.Null {
		r.wrong(n, "want a mapping with the fields %s, but the entry is empty", strings.Join(names, ", "))
		return
	}
	before := len(r.errs)
	f := r.object(n, "clusters")
	if f == nil {
		return
	}
	if len(r.errs) == before {
		r.need(n, f, "a cluster", "name", "account", "region")
	}
	c := state.Cluster{Repositories: every, Origin: n.origin()}
	c.Name = r.checked(f["name"], func(s string) string {
		if !fields.ClusterName.MatchString(s) {
			return strconv.Quote(lang.Clip(s)) + " is not a cluster's name: want 1 to 100 letters, digits, '_' and '-', beginning with a letter or digit"
		}
		return ""
	})
	if v, ok := f["account"]; ok {
		c.Account, _ = r.account(v)
	}
	c.Region = ecr.Region(r.checked(f["region"], badRegion))
	role := func(s string) string { return badRole(s, c.Region) }
	c.RoleARN, c.Profile, c.Endpoint = r.checked(f["role_arn"], role), r.checked(f["profile"], badProfile), r.checked(f["endpoint"], badEndpoint)
	r.noteRegion(f)
	if v, ok := f["node_role_arns"]; ok {
		for _, item := range r.list(v, "ARNs of roles") {
			s := r.checked(item, func(s string) string {
				why := role(s)
				if account := policyAccount(s); why == "" && c.Account != "" && account != string(c.Account) {
					why = "the role is of account " + account + ", but the cluster is of " + string(c.Account)
				}
				return why
			})
			if s != "" && slices.Contains(c.NodeRoleARNs, s) {
				r.wrong(item, "%s is given twice", s)
			}
			c.NodeRoleARNs = append(c.NodeRoleARNs, s)
		}
	}
	if v, ok := f["repositories"]; ok {
		c.Repositories = r.globs(v)
	}
	for _, other := range r.clusters {
		if c.Name != "" && other.Name == c.Name && other.Account == c.Account && other.Region == c.Region {
			r.wrong(n, "cluster %s of account %s in region %s is given twice, first at %s", c.Name, c.Account, c.Region, from(other.Origin.Position, n.At))
		}
	}
	if len(r.errs) == before {
		r.clusters = append(r.clusters, c)
	}
}

// policyAccount is the account in an ARN.
func policyAccount(arn string) string {
	if parts := strings.SplitN(arn, ":", 6); len(parts) == 6 {
		return parts[4]
	}
	return ""
}

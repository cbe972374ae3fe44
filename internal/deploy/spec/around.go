package spec

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/kontor-registry/kontor/internal/deploy/state"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/policy"
)

// This file reads what stands around the repositories: clusters, access_tests,
// promotions and plan.

var (
	// EKS API reference, CreateCluster, name
	clusterName  = regexp.MustCompile(`^[0-9A-Za-z][A-Za-z0-9_-]{0,99}$`)
	globPattern  = regexp.MustCompile(`^[a-z0-9._/*-]{1,256}$`)
	rightPattern = regexp.MustCompile(`^(pull|push|delete|admin|ecr:[A-Za-z]+)$`)
	sharePattern = regexp.MustCompile(`^([0-9]{1,3}(\.[0-9]{1,4})?)%$`)
)

// maxBudget bounds plan.max_expire: no repository has more images.
const maxBudget = 1_000_000

// every is the wildcard of all names.
var every = []string{"*"}

// cluster reads an entry of clusters.
func (r *reader) cluster(n node) {
	names := fieldNames("clusters")
	if n.kind == null {
		r.wrong(n, "want a mapping with the fields %s, not nothing", strings.Join(names, ", "))
		return
	}
	before := len(r.errs)
	f := r.object(n, names, nil)
	if f == nil {
		return
	}
	if len(r.errs) == before {
		r.need(n, f, "a cluster", "name", "account", "region")
	}
	c := state.Cluster{Repositories: every, Origin: n.origin()}
	c.Name = r.checked(f["name"], func(s string) string {
		if !clusterName.MatchString(s) {
			return strconv.Quote(clip(s)) + " is not a cluster's name: want 1 to 100 letters, digits, '_' and '-', beginning with a letter or digit"
		}
		return ""
	})
	if v, ok := f["account"]; ok {
		c.Account, _ = r.account(v)
	}
	c.Region = ecr.Region(r.checked(f["region"], badRegion))
	role := func(s string) string { return badRole(s, c.Region) }
	c.RoleARN, c.Profile, c.Endpoint = r.checked(f["role_arn"], role), r.checked(f["profile"], badProfile), r.checked(f["endpoint"], badEndpoint)
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
			r.wrong(n, "cluster %s of account %s in region %s is given twice, first at %s", c.Name, c.Account, c.Region, from(other.Origin.Position, n.at))
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

// checked reads a text that check finds nothing wrong with; "" when there is
// none.
func (d decoder) checked(n node, check func(string) string) string {
	if n.value == nil {
		return ""
	}
	s, ok := d.text(n)
	if !ok {
		return ""
	}
	if why := check(s); why != "" {
		d.wrong(n, "%s", why)
		return ""
	}
	return s
}

// globs reads names of repositories with '*'. Names without must be some of
// the files; that is checked at the end.
func (r *reader) globs(n node) []string {
	out := []string{}
	for _, item := range r.list(n, "names of repositories, with * for any run of characters") {
		if s, ok := r.glob(item); ok {
			out = append(out, s)
		}
	}
	return out
}

func (r *reader) glob(n node) (string, bool) {
	s, ok := r.text(n)
	if ok && !globPattern.MatchString(s) {
		r.wrong(n, "%q is not a repository name, with * for any run of characters", clip(s))
		return "", false
	}
	if ok && !strings.Contains(s, "*") {
		r.named = append(r.named, n)
	}
	return s, ok
}

// accessTest reads an entry of access_tests.
func (r *reader) accessTest(n node) {
	before := len(r.errs)
	m := r.object(n, fieldNames("access_tests"), nil)
	if m == nil {
		if n.kind == null {
			r.wrong(n, "want a mapping with the fields principal, allow and deny, not nothing")
		}
		return
	}
	t := state.AccessTest{Repositories: every, Origin: n.origin()}
	if len(r.errs) == before && r.need(n, m, "a test", "principal") {
		_, allow := m["allow"]
		if _, deny := m["deny"]; !allow && !deny {
			r.errorf(n.at, n.path, "a test needs the field allow or the field deny")
		}
	}
	if v, ok := m["principal"]; ok {
		t.Principal = r.tester(v)
	}
	if v, ok := m["repository"]; ok {
		if s, ok := r.glob(v); ok {
			t.Repositories = []string{s}
		}
	}
	rights := func(field string) (out []string) {
		v, ok := m[field]
		if !ok {
			return nil
		}
		for _, item := range r.list(v, "pull, push, delete, admin, or actions such as ecr:PutImage") {
			s, ok := r.text(item)
			action, known := policy.LookupAction(s)
			if known {
				s = action.Name // in the letter case that answers have
			}
			switch {
			case !ok:
			case !rightPattern.MatchString(s):
				r.wrong(item, "want pull, push, delete, admin, or an action such as ecr:PutImage, not %q", clip(s))
			case !known && strings.HasPrefix(s, "ecr:"):
				r.wrong(item, "%v", policy.CheckAction(s))
			case s == "ecr:GetAuthorizationToken":
				r.wrong(item, "%s is not about a repository; pull and push ask for it already", s)
			case slices.Contains(out, s):
				r.wrong(item, "%s is given twice", s)
			case slices.Contains(t.Allow, s):
				r.wrong(item, "%s is in allow too", s)
			default:
				out = append(out, s)
			}
		}
		return out
	}
	t.Allow = rights("allow")
	t.Deny = rights("deny")
	r.accessTests = append(r.accessTests, t)
}

// tester reads the principal of a test.
func (d decoder) tester(n node) string {
	if n.kind == integer || n.kind == text && n.plain && isDigits(n.text) {
		id, _ := d.account(n)
		return string(id)
	}
	return d.checked(n, func(s string) string {
		if policy.AccountOf(s) != "" || principalPattern.MatchString(s) || servicePattern.MatchString(s) {
			return ""
		}
		return strconv.Quote(clip(s)) + " is not a principal; want an account id, the ARN of an account's root, a role, a user or a session, or the name of a service"
	})
}

// promotion reads an entry of promotions.
func (r *reader) promotion(n node) {
	before := len(r.errs)
	m := r.object(n, fieldNames("promotions"), nil)
	if m == nil {
		if n.kind == null {
			r.wrong(n, "want a mapping with the fields name, from and to, not nothing")
		}
		return
	}
	if len(r.errs) == before {
		r.need(n, m, "a promotion", "name", "from", "to")
	}
	t := state.Promotion{Repositories: every, Tags: every, Origin: n.origin()}
	t.Name = r.checked(m["name"], func(s string) string {
		if !registryName.MatchString(s) {
			return strconv.Quote(clip(s)) + " is not a promotion's name: want 1 to 63 letters, digits, '.', '_' and '-', beginning with a letter or digit"
		}
		return ""
	})
	for _, other := range r.promotions {
		if t.Name != "" && other.Name == t.Name {
			r.wrong(m["name"], "promotion %q is given twice, first at %s", t.Name, from(other.Origin.Position, n.at))
		}
	}
	if v, ok := m["from"]; ok {
		if t.From, ok = r.text(v); ok {
			r.routed = append(r.routed, v)
		}
	}
	if v, ok := m["to"]; ok {
		for _, item := range r.registryNames(v) {
			if item.text == t.From {
				r.wrong(item, "images are in %s already: it is what from says", clip(t.From))
			}
			t.To = append(t.To, item.text)
			r.routed = append(r.routed, item)
		}
	}
	if v, ok := m["repositories"]; ok {
		t.Repositories = r.globs(v)
	}
	if v, ok := m["tags"]; ok {
		t.Tags = []string{}
		for _, p := range r.patterns(v) {
			t.Tags = append(t.Tags, p.text)
		}
	}
	r.promotions = append(r.promotions, t)
}

// plan reads the bounds on plans.
func (r *reader) planBounds(n node) {
	m := r.object(n, fieldNames("plan"), nil)
	v, ok := m["max_expire"]
	if !ok {
		return
	}
	b := &state.Budget{Origin: v.origin()}
	switch {
	case v.kind == integer:
		count, err := strconv.Atoi(v.text)
		if err != nil || count < 0 || count > maxBudget {
			r.wrong(v, "want a number of images from 0 to %d, not %s", maxBudget, clip(v.text))
			return
		}
		b.Count = count
	case v.kind == text && sharePattern.MatchString(v.text):
		share, err := strconv.ParseFloat(strings.TrimSuffix(v.text, "%"), 64)
		if err != nil || share > 100 {
			r.wrong(v, "want a share from 0%% to 100%%, not %s", clip(v.text))
			return
		}
		b.Share, b.Percent = true, share
	default:
		r.wrong(v, "want a whole number of images, or a share of them such as 10%%, not %s", v)
		return
	}
	r.maxExpire = b
}

// checkNames finds names of repositories and registries that the files do not
// have.
func (r *reader) checkNames() {
	for _, v := range r.named {
		if _, ok := r.repositories[ecr.RepositoryName(v.text)]; !ok {
			r.wrong(v, "the file has no repository %q", clip(v.text))
		}
	}
	for _, v := range r.routed {
		r.registryExists(v, v.text)
	}
	check := func(f *fields) {
		for _, v := range f.registries.value {
			r.registryExists(v, v.text)
		}
		for name, o := range f.overrides.value {
			// the key is what is wrong, and not what it leads to
			v := node{&value{kind: text, at: o.node.key, text: name}, o.node.path, o.node.key}
			if !r.registryExists(v, name) || !f.registries.given {
				continue
			}
			if !slices.ContainsFunc(f.registries.value, func(n node) bool { return n.text == name }) {
				r.wrong(v, "the repository is not wanted in registry %q: it is not in registries", name)
			}
		}
	}
	check(&r.defaultValue)
	for _, d := range r.repositories {
		check(&d.fields)
	}
}

// registryExists reports a name that no registry has.
func (r *reader) registryExists(n node, name string) bool {
	var names []string
	for _, reg := range r.registries {
		if reg.Name == name {
			return true
		}
		names = append(names, reg.Name)
	}
	if r.badRegistries {
		return false // it may be one that could not be read
	}
	hint := "; it has none"
	if len(names) > 0 {
		hint = "; it has " + strings.Join(names, ", ")
	}
	r.wrong(n, "the file has no registry %q%s", clip(name), hint)
	return false
}

package spec

import (
	"fmt"
	"slices"
	"strings"

	"github.com/kontor-registry/kontor/internal/deploy/spec/fields"
	"github.com/kontor-registry/kontor/internal/deploy/state"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/policy"
)

// Sids of the generated statements.
const (
	SidPull              = "KontorPull"
	SidPush              = "KontorPush"
	SidPullOrganizations = "KontorPullOrganizations"
)

// pullActions are what pulling takes, with any client, and looking at what
// there is to pull. pushActions are those that pushing takes in addition.
// Neither deletes anything or reads or changes policies.
var (
	pullActions = []string{
		"ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:DescribeImages", "ecr:DescribeRepositories",
		"ecr:GetDownloadUrlForLayer", "ecr:ListImageReferrers", "ecr:ListImages",
	}
	pushActions = slices.Sorted(slices.Values(slices.Concat(pullActions, []string{
		"ecr:CompleteLayerUpload", "ecr:InitiateLayerUpload", "ecr:PutImage", "ecr:UploadLayerPart",
	})))
)

// repository is a repository with the defaults filled in.
type repository struct {
	name   ecr.RepositoryName
	origin state.Origin
	settings
	// in holds what differs in the targets that have overrides, by name.
	in map[string]settings
}

// variant is a repository as some targets have it: those of one partition,
// with the same overrides and the same clusters.
type variant struct {
	repository
	targets   []state.Target
	partition string
	clusters  []state.Cluster // that pull from it, and whose accounts are not the targets'
}

// variants are what r comes to in targets, in their order. Each target that
// has r is in one of them.
func (r repository) variants(targets []state.Target, clusters []state.Cluster) []variant {
	type key struct{ partition, override, clusters string }
	var out []variant
	index := map[key]int{}
	for _, t := range targets {
		if !r.wantedIn(t) {
			continue
		}
		v := variant{repository: r, partition: t.Registry.Region.Partition()}
		k := key{partition: v.partition}
		if f, ok := r.in[t.Name]; ok {
			v.settings, k.override = f, t.Name
		}
		for i, c := range clusters {
			if c.Account != t.Registry.Account && c.Region.Partition() == v.partition && c.Pulls(r.name) {
				v.clusters = append(v.clusters, c)
				k.clusters += fmt.Sprint(i, " ")
			}
		}
		i, ok := index[k]
		if !ok {
			i = len(out)
			index[k] = i
			out = append(out, v)
		}
		out[i].targets = append(out[i].targets, t)
	}
	return out
}

// wantedIn reports whether r is to be in the target.
func (r repository) wantedIn(t state.Target) bool {
	return t.Local || !r.registries.given ||
		slices.ContainsFunc(r.registries.value, func(n node) bool { return n.Text == t.Name })
}

// compile makes the settings of v.
func (v variant) compile(stack string) state.Repository {
	out := state.Repository{
		Name:        v.name,
		Mutability:  v.mutability(),
		Tags:        v.resourceTags(stack),
		Unprotected: v.unprotected(),
	}
	if v.scan.given {
		out.ScanOnPush = new(bool)
		*out.ScanOnPush = v.scan.value
	}
	if v.encryption.given {
		e := v.encryption.value
		out.Encryption = &e
	}
	l, rules := v.lifecycle()
	doc, statements := v.policy()
	if len(l.Rules) > 0 {
		out.Lifecycle = l.String()
	}
	if len(doc.Statements) > 0 {
		out.Policy = doc.String()
	}
	out.Origins = state.Origins{Repository: v.origin.Position, Rules: rules, Statements: statements}
	return out
}

// policy makes the repository policy, and the origins of its statements by
// Sid. Without grants it has no statements.
func (v variant) policy() (policy.Document, map[string]state.Origin) {
	origins := map[string]state.Origin{}
	if v.policyText.given {
		for i, s := range v.policyText.value.doc.Statements {
			origins[s.Sid] = v.policyText.value.origins[i]
		}
		return v.policyText.value.doc, origins
	}
	doc := policy.Document{Version: policy.Version2012}
	add := func(by state.Origin, s policy.Statement) {
		doc.Statements = append(doc.Statements, s)
		origins[s.Sid] = by
	}
	allow := func(sid string, actions []string) policy.Statement {
		return policy.Statement{Sid: sid, Effect: policy.Allow, Action: actions}
	}
	pushed := v.arns(v.push.value, v.pushPrincipals.value)
	pulled := v.arns(v.pull.value, v.pullPrincipals.value)
	for _, c := range v.clusters {
		pulled = append(pulled, v.root(c.Account))
	}
	slices.Sort(pulled)
	pulled = slices.DeleteFunc(slices.Compact(pulled), func(arn string) bool { return slices.Contains(pushed, arn) })
	if len(pulled) > 0 {
		s := allow(SidPull, pullActions)
		s.Principal.AWS = pulled
		add(v.pullOrigin(), s)
	}
	if ids := v.organizations.value; len(ids) > 0 {
		s := allow(SidPullOrganizations, pullActions)
		s.Principal.Everyone = true
		s.Condition = []policy.Condition{{Operator: "StringEquals", Key: "aws:PrincipalOrgID", Values: slices.Sorted(slices.Values(ids))}}
		add(v.organizations.by, s)
	}
	services := func(sid string, actions []string, list []principal) {
		i := 0
		for _, p := range list {
			if p.service == "" {
				continue
			}
			s := allow(serviceSid(sid, i), actions)
			s.Principal.Service = []string{p.service}
			s.Condition = p.condition()
			add(p.by, s)
			i++
		}
	}
	services(SidPull, pullActions, v.pullPrincipals.value)
	if len(pushed) > 0 {
		s := allow(SidPush, pushActions)
		s.Principal.AWS = pushed
		add(v.pushOrigin(), s)
	}
	services(SidPush, pushActions, v.pushPrincipals.value)
	for i, s := range v.extra.value.doc.Statements {
		add(v.extra.value.origins[i], s)
	}
	return doc, origins
}

// root is the principal that represents the users and roles which the account
// itself lets through.
func (v variant) root(id ecr.AccountID) string {
	return ecr.IAMARN(v.partition, id, "root")
}

// arns are the principals of accounts and of those of list that have an ARN,
// sorted and once each.
func (v variant) arns(accounts []grant, list []principal) []string {
	var out []string
	for _, g := range accounts {
		out = append(out, v.root(g.account))
	}
	for _, p := range list {
		if p.arn != "" {
			out = append(out, p.arn)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// pullOrigin is the field that has most principals of KontorPull.
func (v variant) pullOrigin() state.Origin {
	most, by := len(v.pull.value), v.pull.by
	if n := len(v.pullPrincipals.value); n > most {
		most, by = n, v.pullPrincipals.by
	}
	if most == 0 {
		by = v.clusters[0].Origin
	}
	return by
}

// pushOrigin is the field that has most principals of KontorPush.
func (v variant) pushOrigin() state.Origin {
	if len(v.pushPrincipals.value) > len(v.push.value) {
		return v.pushPrincipals.by
	}
	return v.push.by
}

// check looks for what is wrong only in the compiled settings. Values were
// checked as they were read; the engines' own checks are the net below.
func (v variant) check(p *problems) {
	v.checkLifecycle(p)
	v.checkMutability(p)
	if n := len(v.resourceTags("")); n > fields.MaxTags && len(v.tags.value) < fields.MaxTags {
		p.failf(v.tags.by, "%d tags including Kontor's own; ECR allows %d", n, fields.MaxTags)
	}
	for _, t := range v.targets {
		v.checkKey(p, t)
	}
	doc, _ := v.policy()
	if len(doc.Statements) == 0 {
		return
	}
	foreign := v.checkPartition(p)
	by := v.longest()
	if n, most := policy.Size(doc.String()), policy.Repository.MaxSize(); n > most {
		advice := "; pull_organization_ids admits a whole organization in one statement"
		p.failf(by, "the repository policy has %d characters; ECR allows %d, about 300 accounts%s", n, most, advice)
	} else if err := policy.Validate(doc, policy.Repository); err != nil && !foreign {
		p.failf(by, "the resulting repository policy is not valid: %v", err)
	}
}

// checkKey finds a key of KMS that ECR cannot use in the target.
func (v variant) checkKey(p *problems, t state.Target) {
	key := v.encryption.value.KMSKey
	parts := strings.SplitN(key, ":", 6)
	if t.Local || parts[0] != "arn" || len(parts) < 6 {
		return
	}
	if parts[1] != v.partition || parts[3] != string(t.Registry.Region) {
		p.failf(v.encryption.by, "the key is in region %s, but registry %s is in %s; set a key for each registry in overrides", parts[3], t.Name, t.Registry.Region)
	}
}

// checkPartition finds principals that do not exist in v's partition. That of
// the local registry is known only when it runs.
func (v variant) checkPartition(p *problems) (found bool) {
	if v.targets[0].Local {
		return false
	}
	fail := func(by state.Origin, arn string) {
		found = true
		p.failf(by, "%s is in partition %s, but registry %s is in %s; name principals of that partition in overrides", arn, partitionOf(arn), v.targets[0].Name, v.partition)
	}
	statements := func(d policyDocument) {
		for i, s := range d.doc.Statements {
			for _, arn := range foreignPrincipals(s, v.partition) {
				fail(d.origins[i], arn)
			}
		}
	}
	if v.policyText.given {
		statements(v.policyText.value)
		return found
	}
	for _, q := range slices.Concat(v.pullPrincipals.value, v.pushPrincipals.value) {
		for _, arn := range []string{q.arn, q.sourceARN} {
			if partition := partitionOf(arn); partition != "" && partition != v.partition {
				fail(q.by, arn)
			}
		}
	}
	statements(v.extra.value)
	return found
}

// longest is the access field that makes most of the policy.
func (v variant) longest() state.Origin {
	if v.policyText.given {
		return v.policyText.by
	}
	by, most := v.origin, 0
	for _, c := range []struct {
		by state.Origin
		n  int
	}{
		{v.pull.by, len(v.pull.value)},
		{v.push.by, len(v.push.value)},
		{v.pullPrincipals.by, len(v.pullPrincipals.value)},
		{v.pushPrincipals.by, len(v.pushPrincipals.value)},
		{v.organizations.by, len(v.organizations.value)},
		{v.extra.by, len(v.extra.value.doc.Statements)},
	} {
		if c.n > most {
			by, most = c.by, c.n
		}
	}
	return by
}

// note looks for what is allowed but may surprise.
func (v variant) note(p *problems, clusters []state.Cluster) {
	v.noteLifecycle(p)
	if v.policyText.given {
		v.noteOverridden(p)
		return
	}
	for _, g := range slices.Concat(v.pull.value, v.push.value) {
		own := func(t state.Target) bool { return !t.Local && t.Registry.Account == g.account }
		if i := slices.IndexFunc(v.targets, own); i >= 0 {
			p.notef(g.by, CodeOwnAccount, "%s is the account of registry %s itself, where identity policies decide; the grant has no effect",
				g.account, v.targets[i].Name)
		}
	}
	for _, c := range clusters {
		if !v.targets[0].Local && c.Region.Partition() != v.partition && c.Pulls(v.name) {
			p.notef(c.Origin, CodeOtherPartition, "the cluster is in partition %s and registry %s in %s; its nodes cannot pull from there",
				c.Region.Partition(), v.targets[0].Name, v.partition)
		}
	}
}

// noteOverridden says what repository_policy_json takes the place of.
func (v variant) noteOverridden(p *problems) {
	var replaced []string
	for _, c := range []struct {
		name string
		n    int
	}{
		{"additional_pull_account_ids", len(v.pull.value)},
		{"additional_push_account_ids", len(v.push.value)},
		{"pull_principals", len(v.pullPrincipals.value)},
		{"push_principals", len(v.pushPrincipals.value)},
		{"pull_organization_ids", len(v.organizations.value)},
		{"extra_policy_statements", len(v.extra.value.doc.Statements)},
		{"the grants to clusters", len(v.clusters)},
	} {
		if c.n > 0 {
			replaced = append(replaced, c.name)
		}
	}
	if len(replaced) > 0 {
		p.notef(v.policyText.by, CodePolicyOverridden, "this policy replaces %s", and(replaced))
	}
}

// and joins words as a sentence does.
func and(words []string) string {
	if n := len(words); n > 1 {
		return strings.Join(words[:n-1], ", ") + " and " + words[n-1]
	}
	return strings.Join(words, "")
}

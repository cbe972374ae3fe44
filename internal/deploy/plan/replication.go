package plan

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/kontor-registry/kontor/internal/deploy/state"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/policy"
)

// Fields of replication.
const (
	FieldRules    Field = "rules"
	FieldOptions  Field = "options"
	FieldAccounts Field = "accounts" // that may replicate into the registry
)

// Replication is what of a registry is replicated where, and who may replicate into it.
type Replication struct {
	Rules []ReplicationRule `json:"rules"`
	// Options are by destination, ACCOUNT/REGION, without those that say nothing.
	Options map[string]ReplicationOptions `json:"options,omitempty"`
	// Accounts are the statements of Kontor's in the registry policy that let another
	// account replicate into the registry, by that account; each a policy with the one
	// statement.
	Accounts map[string]string `json:"accounts,omitempty"`
}

// ReplicationRule copies the repositories whose names begin with one of Prefixes, or all,
// to each of To, which are ACCOUNT/REGION. All are in byte order.
type ReplicationRule struct {
	To       []string `json:"to"`
	Prefixes []string `json:"prefixes,omitempty"`
}

// ReplicationOptions are what only a Kontor registry has for a destination.
type ReplicationOptions struct {
	Tags      []string `json:"tags,omitempty"`
	Exclude   []string `json:"exclude,omitempty"`
	Deletions bool     `json:"deletions,omitempty"`
}

// ReplicationChange is what a plan does to the replication of a registry.
type ReplicationChange struct {
	Op          Op           `json:"op"`
	Before      *Replication `json:"before,omitempty"`
	After       *Replication `json:"after,omitempty"`
	Differences []Difference `json:"differences,omitempty"`
	Effect      string       `json:"effect,omitempty"`
}

// The findings about replication.
const (
	// CodeReplicationOptions: the file has options that the registry cannot have, or
	// that are not known.
	CodeReplicationOptions Code = "KON2031"
	// CodeReplicationPrefix: a prefix matches none of the file's repositories.
	CodeReplicationPrefix Code = "KON2032"
	// CodeReplicationDenied: a destination does not let images in, or that is not known.
	CodeReplicationDenied Code = "KON2033"
	// CodeReplicationBothWays: two registries replicate the same repositories to each other.
	CodeReplicationBothWays Code = "KON2034"
)

// String is "prod/*, team* to 111111111111/eu-west-1".
func (r ReplicationRule) String() string { return r.What() + " to " + strings.Join(r.To, ", ") }

// What says which repositories r copies.
func (r ReplicationRule) What() string {
	if len(r.Prefixes) == 0 {
		return "all repositories"
	}
	list := make([]string, len(r.Prefixes))
	for i, p := range r.Prefixes {
		list[i] = p + "*"
	}
	return strings.Join(list, ", ")
}

// String is "only tags v*; not scratch/*; deletions too".
func (o ReplicationOptions) String() string {
	var list []string
	if len(o.Tags) > 0 {
		list = append(list, "only tags "+strings.Join(o.Tags, ", "))
	}
	if len(o.Exclude) > 0 {
		list = append(list, "not "+strings.Join(o.Exclude, "*, ")+"*")
	}
	if o.Deletions {
		list = append(list, "deletions too")
	}
	return strings.Join(list, "; ")
}

func (o ReplicationOptions) equal(other ReplicationOptions) bool {
	return slices.Equal(o.Tags, other.Tags) && slices.Equal(o.Exclude, other.Exclude) && o.Deletions == other.Deletions
}

// ReplicationOf is r as plans have it.
func ReplicationOf(r state.Replication) Replication { return replicationOf(&r, nil) }

// replicationOf is r as plans have it.
func replicationOf(r *state.Replication, accounts map[string]string) Replication {
	out := Replication{Rules: []ReplicationRule{}, Accounts: accounts}
	if r == nil {
		return out
	}
	for _, rule := range r.Rules {
		x := ReplicationRule{Prefixes: slices.Sorted(slices.Values(rule.Prefixes))}
		for _, to := range rule.To {
			x.To = append(x.To, to.String())
		}
		slices.Sort(x.To)
		out.Rules = append(out.Rules, x)
	}
	slices.SortStableFunc(out.Rules, compareRules)
	for to, o := range r.Options {
		if o.None() {
			continue
		}
		if out.Options == nil {
			out.Options = map[string]ReplicationOptions{}
		}
		out.Options[to.String()] = ReplicationOptions{slices.Sorted(slices.Values(o.Tags)), slices.Sorted(slices.Values(o.Exclude)), o.Deletions}
	}
	return out
}

func compareRules(a, b ReplicationRule) int {
	if c := slices.Compare(a.To, b.To); c != 0 {
		return c
	}
	return slices.Compare(a.Prefixes, b.Prefixes)
}

func sameRule(a, b ReplicationRule) bool { return compareRules(a, b) == 0 }

// State is r as a registry has it, without the statements of its policy.
func (r Replication) State() state.Replication {
	out := state.Replication{Options: map[ecr.RegistryID]state.ReplicationOptions{}}
	for _, rule := range r.Rules {
		x := state.ReplicationRule{Prefixes: rule.Prefixes}
		for _, to := range rule.To {
			x.To = append(x.To, registryID(to))
		}
		out.Rules = append(out.Rules, x)
	}
	for to, o := range r.Options {
		out.Options[registryID(to)] = state.ReplicationOptions{Tags: o.Tags, Exclude: o.Exclude, Deletions: o.Deletions}
	}
	return out
}

func registryID(s string) ecr.RegistryID {
	account, region, _ := strings.Cut(s, "/")
	return ecr.RegistryID{Account: ecr.AccountID(account), Region: ecr.Region(region)}
}

// empty reports whether nothing is replicated, and no one's images are let in.
func (r Replication) empty() bool { return len(r.Rules)+len(r.Options)+len(r.Accounts) == 0 }

func replicationDifferences(a, b Replication) (list []Difference) {
	if !slices.EqualFunc(a.Rules, b.Rules, sameRule) {
		list = append(list, Difference{Field: FieldRules, Action: Modify})
	}
	if !maps.EqualFunc(a.Options, b.Options, ReplicationOptions.equal) {
		list = append(list, Difference{Field: FieldOptions, Action: Modify})
	}
	if !maps.EqualFunc(a.Accounts, b.Accounts, EqualPolicy) {
		list = append(list, Difference{Field: FieldAccounts, Action: Modify})
	}
	return list
}

// grantSid begins the names of the statements that let an account replicate into a registry.
const grantSid = "KontorReplicationFrom"

// grantOf is the policy with the statement that lets s replicate into the registry in.
func grantOf(s state.ReplicationSource, in ecr.RegistryID) string {
	actions, resources := []string{"ecr:CreateRepository", "ecr:ReplicateImage"}, []string{}
	if s.Deletions {
		actions = append([]string{"ecr:BatchDeleteImage"}, actions...)
	}
	for _, p := range s.Prefixes {
		resources = append(resources, in.RepositoryARN(ecr.RepositoryName(p+"*")))
	}
	if len(resources) == 0 {
		resources = []string{in.RepositoryARN("*")}
	}
	return policy.Document{Version: policy.Version2012, Statements: []policy.Statement{{
		Sid: grantSid + string(s.Account), Effect: policy.Allow, Action: actions, Resource: resources,
		Principal: policy.Principals{AWS: []string{ecr.IAMARN(in.Region.Partition(), s.Account, "root")}},
	}}}.String()
}

// Grants are the statements of Kontor's in a registry policy, as Replication.Accounts has
// them.
func Grants(text string) map[string]string {
	doc, err := policy.ParseFor([]byte(text), policy.Registry)
	if text == "" || err != nil {
		return nil
	}
	var out map[string]string
	for _, s := range doc.Statements {
		if account, ok := strings.CutPrefix(s.Sid, grantSid); ok && policy.AccountOf(account) == account {
			if out == nil {
				out = map[string]string{}
			}
			out[account] = policy.Document{Version: policy.Version2012, Statements: []policy.Statement{s}}.String()
		}
	}
	return out
}

// GrantWords is a statement of Grants in words, such as "may replicate into prod/*".
func GrantWords(text string) string {
	doc, err := policy.ParseFor([]byte(text), policy.Registry)
	if err != nil || len(doc.Statements) != 1 {
		return text
	}
	s := doc.Statements[0]
	var into []string
	for _, r := range s.Resource {
		_, name, _ := strings.Cut(r, ":repository/")
		into = append(into, name)
	}
	words := "may replicate into " + strings.Join(into, ", ")
	if slices.Contains(s.Action, "ecr:BatchDeleteImage") {
		words += ", and delete there"
	}
	if s.Effect != policy.Allow || len(s.Condition) > 0 {
		words = "another statement: " + doc.String()
	}
	return words
}

// WithGrants is a registry policy with these statements of Kontor's in place of those that
// it has; "" for a policy that would have none at all.
func WithGrants(text string, accounts map[string]string) (string, error) {
	doc := policy.Document{Version: policy.Version2012}
	if text != "" {
		var err error
		if doc, err = policy.ParseFor([]byte(text), policy.Registry); err != nil {
			return "", fmt.Errorf("reading the registry policy: %w", err)
		}
	}
	have := Grants(text)
	doc.Statements = slices.DeleteFunc(slices.Clone(doc.Statements), func(s policy.Statement) bool {
		account, ok := strings.CutPrefix(s.Sid, grantSid)
		return ok && have[account] != ""
	})
	for _, account := range slices.Sorted(maps.Keys(accounts)) {
		one, err := policy.ParseFor([]byte(accounts[account]), policy.Registry)
		if err != nil {
			return "", fmt.Errorf("reading the statement for account %s: %w", account, err)
		}
		doc.Statements = append(doc.Statements, one.Statements...)
	}
	if len(doc.Statements) == 0 {
		return "", nil
	}
	return doc.String(), nil
}

// replicationRole is the service-linked role of an account that copies. Source: ECR user
// guide, "Amazon ECR service-linked role for replication".
func replicationRole(account ecr.AccountID, in ecr.RegistryID) policy.Caller {
	const name = "AWSServiceRoleForECRReplication"
	partition := in.Region.Partition()
	return policy.Caller{
		Type: policy.RoleSession, Account: string(account),
		ARN:     fmt.Sprintf("arn:%s:sts::%s:assumed-role/%s/replication", partition, account, name),
		RoleARN: ecr.IAMARN(partition, account, "role/aws-service-role/replication.ecr.amazonaws.com/"+name),
	}
}

// letsIn decides whether a registry policy lets s replicate into in, and if not, names the
// statement that denies it, "" for none.
func letsIn(text string, s state.ReplicationSource, in ecr.RegistryID) (ok bool, denies string) {
	if text == "" {
		return false, ""
	}
	doc, err := policy.ParseFor([]byte(text), policy.Registry)
	if err != nil {
		return false, ""
	}
	actions := []string{"ecr:ReplicateImage", "ecr:CreateRepository"}
	if s.Deletions {
		actions = append(actions, "ecr:BatchDeleteImage")
	}
	own := policy.Compile(policy.Document{Version: policy.Version2012, Statements: []policy.Statement{{Effect: policy.Allow, Action: actions, Resource: []string{"*"}}}})
	prefixes := s.Prefixes
	if len(prefixes) == 0 {
		prefixes = []string{""}
	}
	for _, p := range prefixes {
		for _, action := range actions {
			d := policy.Evaluate(policy.Request{
				Principal: replicationRole(s.Account, in), Action: action, Owner: string(in.Account),
				Resource:      in.RepositoryARN(ecr.RepositoryName(p + "kontor-example")),
				Identity:      []policy.Named{{Name: "ECRReplicationServiceRolePolicy", Policy: own}},
				ResourceBased: []policy.Named{{Name: "registry policy", Policy: policy.Compile(doc)}},
				Unknown:       []string{"*"},
			})
			if d.Outcome == policy.Denied && d.Deny != (policy.Ref{}) {
				return false, d.Deny.String()
			}
			if d.Outcome != policy.Allowed {
				return false, ""
			}
		}
	}
	return true, ""
}

// diffReplication plans the replication. The file has all of it; of the registry policy
// it has the statements for accounts of its registries.
func diffReplication(desired state.Desired, observed state.Observed, o Options) (*ReplicationChange, []Finding) {
	want, seen := desired.Wanted.Replication, observed.Settings
	if want == nil {
		return nil, nil
	}
	if seen.Replication == nil {
		return nil, []Finding{{Code: CodeReplicationOptions, Severity: Error, Field: "replication", Message: "the replication of the registry is not known: " + seen.ReplicationUnseen}}
	}
	in := observed.Target.Registry
	before := replicationOf(seen.Replication, Grants(seen.RegistryPolicy))
	after := replicationOf(want, maps.Clone(before.Accounts))
	var findings []Finding
	if seen.Replication.Options == nil {
		if len(after.Options) > 0 && o.End != Everything {
			findings = append(findings, Finding{Code: CodeReplicationOptions, Severity: Error, Field: "replication", Message: "the options of the file's destinations (tags, exclude, deletions) cannot be set: " + seen.NoReplicationOptions})
		}
		after.Options = nil
	}
	if o.End == Everything {
		after = withoutReplication(before, after, desired.Wanted.ReplicatedFrom)
	} else {
		for account := range after.Accounts { // the file has all of these accounts' replication
			ours := slices.Contains(desired.Wanted.ReplicationAccounts, ecr.AccountID(account))
			if ours && !slices.ContainsFunc(desired.Wanted.ReplicatedFrom, func(s state.ReplicationSource) bool { return string(s.Account) == account }) {
				delete(after.Accounts, account)
			}
		}
		findings = append(findings, accountsFor(&after, desired.Wanted.ReplicatedFrom, seen, in)...)
		findings = append(findings, prefixFindings(desired)...)
	}
	c := &ReplicationChange{Op: OpNone}
	list := replicationDifferences(before, after)
	switch {
	case len(list) == 0:
		return c, findings
	case after.empty():
		c = &ReplicationChange{Op: OpDelete, Before: &before}
	case before.empty():
		c = &ReplicationChange{Op: OpCreate, After: &after}
	default:
		c = &ReplicationChange{Op: OpUpdate, Before: &before, After: &after, Differences: list}
	}
	c.Effect = replicationEffect(before, after)
	return c, findings
}

// withoutReplication is before without what the file has.
func withoutReplication(before, file Replication, from []state.ReplicationSource) Replication {
	after := Replication{Rules: []ReplicationRule{}, Options: map[string]ReplicationOptions{}, Accounts: maps.Clone(before.Accounts)}
	for _, r := range before.Rules {
		if !slices.ContainsFunc(file.Rules, func(f ReplicationRule) bool { return sameRule(f, r) }) {
			after.Rules = append(after.Rules, r)
		}
	}
	for to, o := range before.Options {
		if slices.ContainsFunc(after.Rules, func(r ReplicationRule) bool { return slices.Contains(r.To, to) }) {
			after.Options[to] = o
		}
	}
	for _, s := range from {
		delete(after.Accounts, string(s.Account))
	}
	return after
}

// accountsFor sets the statements that from need.
func accountsFor(after *Replication, from []state.ReplicationSource, seen state.Settings, in ecr.RegistryID) (findings []Finding) {
	if len(from) > 0 && !seen.RegistryPolicySeen {
		return []Finding{{Code: CodeReplicationDenied, Severity: Warning, Field: "replication", Message: fmt.Sprintf(
			"whether %s lets the images of account %s in is not known: %s", in, from[0].Account, seen.RegistryPolicyUnseen)}}
	}
	for _, s := range from {
		_, has := after.Accounts[string(s.Account)]
		ok, denies := letsIn(seen.RegistryPolicy, s, in)
		switch {
		case denies != "":
			findings = append(findings, Finding{Code: CodeReplicationDenied, Severity: Warning, Field: "replication", Message: fmt.Sprintf(
				"%s denies the images of account %s (registry %s): %s; they would be FAILED with AccessDeniedException", in, s.Account, s.Name, denies)})
		case has || !ok:
			if after.Accounts == nil {
				after.Accounts = map[string]string{}
			}
			after.Accounts[string(s.Account)] = grantOf(s, in)
		}
	}
	return findings
}

// prefixFindings are about prefixes that match none of the file's repositories there.
func prefixFindings(desired state.Desired) (findings []Finding) {
	begins := func(prefix string) bool {
		w := desired.Wanted
		return slices.ContainsFunc(desired.Repositories, func(r state.Repository) bool { return strings.HasPrefix(string(r.Name), prefix) }) ||
			slices.ContainsFunc(w.Templates, func(t state.Template) bool { return below(t.Prefix, prefix) }) ||
			slices.ContainsFunc(w.Upstreams, func(u state.Upstream) bool { return below(u.Prefix, prefix) })
	}
	for _, r := range desired.Wanted.Replication.Rules {
		for _, p := range r.Prefixes {
			if !begins(p) {
				findings = append(findings, Finding{Code: CodeReplicationPrefix, Severity: Warning, Field: r.Origin.Field + ".prefixes", Message: fmt.Sprintf(
					"no repository or template of the file begins with %q, which the rule replicates", p)})
			}
		}
	}
	for _, other := range desired.Wanted.BothWays {
		findings = append(findings, Finding{Code: CodeReplicationBothWays, Severity: Info, Field: "replication", Message: fmt.Sprintf(
			"this registry and %s replicate the same repositories to each other; images are not sent back, but a tag that is pushed to both at a time may differ in the end: push each repository to one of them", other)})
	}
	return findings
}

// below reports whether repositories of a template or an upstream may begin with prefix.
func below(of, prefix string) bool {
	return of == ecr.RootPrefix || strings.HasPrefix(of+"/", prefix) || strings.HasPrefix(prefix, of+"/")
}

func replicationEffect(before, after Replication) string {
	var parts []string
	added := slices.DeleteFunc(slices.Clone(after.Rules), func(r ReplicationRule) bool {
		return slices.ContainsFunc(before.Rules, func(b ReplicationRule) bool { return sameRule(b, r) })
	})
	gone := slices.DeleteFunc(slices.Clone(before.Rules), func(r ReplicationRule) bool {
		return slices.ContainsFunc(after.Rules, func(b ReplicationRule) bool { return sameRule(b, r) })
	})
	for _, r := range added {
		parts = append(parts, "what is pushed to "+r.What()+" would be copied to "+strings.Join(r.To, ", "))
	}
	if len(added) > 0 {
		parts = append(parts, "images that are there already are copied by a backfill only")
	}
	for _, r := range gone {
		parts = append(parts, "what is pushed to "+r.What()+" would no longer be copied to "+strings.Join(r.To, ", ")+" by that rule")
	}
	if len(gone) > 0 {
		parts = append(parts, "what was copied stays")
	}
	for _, to := range slices.Sorted(maps.Keys(after.Options)) {
		if o := after.Options[to]; !o.equal(before.Options[to]) {
			parts = append(parts, "to "+to+": "+o.String())
		}
	}
	for _, to := range slices.Sorted(maps.Keys(before.Options)) {
		if _, stays := after.Options[to]; !stays && slices.ContainsFunc(after.Rules, func(r ReplicationRule) bool { return slices.Contains(r.To, to) }) {
			parts = append(parts, "to "+to+": everything that the rules say")
		}
	}
	for _, account := range slices.Sorted(maps.Keys(after.Accounts)) {
		if !EqualPolicy(before.Accounts[account], after.Accounts[account]) {
			parts = append(parts, "account "+account+" could replicate into this registry")
		}
	}
	for _, account := range slices.Sorted(maps.Keys(before.Accounts)) {
		if _, stays := after.Accounts[account]; !stays {
			parts = append(parts, "account "+account+" could no longer replicate into this registry")
		}
	}
	return strings.Join(parts, "; ")
}

// Moved says how the replication differs from what the plan saw; "" when it does not, or
// when it is as the plan leaves it.
func (c ReplicationChange) Moved(have state.Replication, registryPolicy string) string {
	now := replicationOf(&have, Grants(registryPolicy))
	before, after := Replication{}, Replication{}
	if c.Before != nil {
		before = *c.Before
	}
	if c.After != nil {
		after = *c.After
	}
	if len(replicationDifferences(before, now)) == 0 || len(replicationDifferences(after, now)) == 0 {
		return ""
	}
	return "the replication changed since the plan was made; plan again"
}

// staleReplication is staleSettings for replication.
func (p Plan) staleReplication(desired state.Desired, observed state.Observed) []string {
	is, _ := diffReplication(desired, observed, Options{End: p.End})
	was := p.Replication
	if was == nil {
		was = &ReplicationChange{Op: OpNone}
	}
	if is == nil {
		is = &ReplicationChange{Op: OpNone}
	}
	const what = "the replication"
	if was.Op == OpNone && is.Op == OpNone {
		return nil
	}
	if was.Op == OpNone {
		return []string{what + " is another than when the plan was made, or the file asks for another"}
	}
	if observed.Settings.Replication == nil {
		return nil // which is an error of the plan
	}
	if why := was.Moved(*observed.Settings.Replication, observed.Settings.RegistryPolicy); why != "" {
		return []string{why}
	}
	now, after := replicationOf(observed.Settings.Replication, Grants(observed.Settings.RegistryPolicy)), Replication{}
	if was.After != nil {
		after = *was.After
	}
	if done := len(replicationDifferences(now, after)) == 0; is.Op == OpNone && !done || is.Op != OpNone && digest(is.After) != digest(was.After) {
		return []string{"the plan's change of " + what + " is not what the file asks for"}
	}
	return nil
}

func (c ReplicationChange) check() error {
	switch c.Op {
	case OpNone:
		return nil
	case OpCreate, OpUpdate:
		if err := sides(c.Op, c.Before, c.After); err != nil {
			return err
		}
		for account, text := range c.After.Accounts {
			if _, ok := Grants(text)[account]; !ok {
				return fmt.Errorf("the statement for account %s is none of Kontor's", account)
			}
		}
		return nil
	case OpDelete:
		if c.Before == nil || c.After != nil {
			return errors.New("a deletion without what was there")
		}
		return nil
	}
	return fmt.Errorf("unknown operation %q", c.Op)
}

// PendingReplication is the change, if it does something.
func (p Plan) PendingReplication() (c ReplicationChange, ok bool) {
	if p.Replication == nil || p.Replication.Op == OpNone {
		return ReplicationChange{}, false
	}
	return *p.Replication, true
}

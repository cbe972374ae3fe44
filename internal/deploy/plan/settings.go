package plan

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/kontor-registry/kontor/internal/deploy/state"
	"github.com/kontor-registry/kontor/internal/ecr"
)

// Fields of templates and upstreams.
const (
	FieldDescription Field = "description"
	FieldAppliedFor  Field = "applied_for"
	FieldRole        Field = "role_arn"
	FieldCredential  Field = "credential"
)

// Template is a repository creation template.
type Template struct {
	// Description is without the mark of the stack; Stack is the one it marks.
	Description string               `json:"description,omitempty"`
	Stack       string               `json:"stack,omitempty"`
	AppliedFor  []ecr.CreationReason `json:"applied_for"`
	RoleARN     string               `json:"role_arn,omitempty"`
	// Settings are those of the repositories. Tags are all of them; ScanOnPush is
	// nil.
	Settings Settings `json:"settings"`
}

// TemplateChange is one template's part of a plan.
type TemplateChange struct {
	Prefix string `json:"prefix"`
	Op     Op     `json:"op"`
	// Before and After are as in Change.
	Before      *Template    `json:"before,omitempty"`
	After       *Template    `json:"after,omitempty"`
	Differences []Difference `json:"differences,omitempty"`
	// Effect says in a sentence what the change does; "" for OpNone.
	Effect string `json:"effect,omitempty"`
}

// Upstream is a pull-through cache rule.
type Upstream struct {
	Registry       string `json:"registry"`
	UpstreamPrefix string `json:"upstream_prefix"` // ROOT for the whole registry
	// CredentialARN and RoleARN are "" for none; in After, also for one that the
	// file leaves as it is.
	CredentialARN string `json:"credential_arn,omitempty"`
	RoleARN       string `json:"role_arn,omitempty"`
}

// UpstreamChange is one rule's part of a plan.
type UpstreamChange struct {
	Prefix      string       `json:"prefix"`
	Op          Op           `json:"op"`
	Before      *Upstream    `json:"before,omitempty"`
	After       *Upstream    `json:"after,omitempty"`
	Differences []Difference `json:"differences,omitempty"`
	Effect      string       `json:"effect,omitempty"`
}

// The findings about templates and upstreams.
const (
	// CodeForeignTemplate: a template of the file belongs to another stack.
	CodeForeignTemplate Code = "KON2011"
	// CodeTemplateLeftFile: a template of the stack is no longer in the file.
	CodeTemplateLeftFile Code = "KON2012"
	// CodeTemplatesUnseen: it was not looked for templates that left the file.
	CodeTemplatesUnseen Code = "KON2013"
	// CodeOtherUpstream: a rule exists for another upstream than the file's.
	CodeOtherUpstream Code = "KON2014"
	// CodeCredential: a credential that the file names is not there.
	CodeCredential Code = "KON2015"
	// CodeKept: a rule has a setting that the file does not name, and keeps it.
	CodeKept Code = "KON2016"
)

// templateOf is t as plans have it.
func templateOf(t state.Template) Template {
	out := Template{
		Description: t.Description, Stack: t.Stack, AppliedFor: slices.Sorted(slices.Values(t.AppliedFor)), RoleARN: t.RoleARN,
		Settings: settingsOf(t.Repository, nil),
	}
	if out.Settings.Encryption == nil {
		out.Settings.Encryption = &Encryption{Type: "AES256"}
	}
	return out
}

// diffTemplates plans the templates.
func diffTemplates(desired state.Desired, observed state.Observed, o Options) (changes []TemplateChange, findings []Finding) {
	wanted := map[string]bool{}
	for _, want := range desired.Wanted.Templates {
		wanted[want.Prefix] = true
		have, exists := observed.Settings.Templates[want.Prefix]
		c, found := diffTemplate(desired.Stack, want, have, exists)
		changes, findings = append(changes, c), append(findings, found...)
	}
	for _, prefix := range slices.Sorted(maps.Keys(observed.Settings.Templates)) {
		have := observed.Settings.Templates[prefix]
		if wanted[prefix] || desired.Stack == "" || have.Stack != desired.Stack {
			continue
		}
		if o.End == Nothing {
			findings = append(findings, Finding{Code: CodeTemplateLeftFile, Severity: Warning, Message: fmt.Sprintf(
				"the template for %s belongs to stack %s but is not in the file; it is left as it is: `kontor apply --prune` deletes it", state.Below(prefix), desired.Stack)})
			continue
		}
		before := templateOf(have)
		changes = append(changes, TemplateChange{Prefix: prefix, Op: OpDelete, Before: &before, Effect: fmt.Sprintf(
			"%s would no longer create a repository from this template; repositories that exist stay as they are", whoCreates(before, prefix))})
	}
	if why := observed.Settings.TemplatesUnseen; why != "" {
		findings = append(findings, Finding{Code: CodeTemplatesUnseen, Severity: Info, Message: fmt.Sprintf(
			"templates of stack %s that left the file were not looked for: %s", desired.Stack, why)})
	}
	slices.SortStableFunc(changes, func(a, b TemplateChange) int { return strings.Compare(a.Prefix, b.Prefix) })
	return changes, findings
}

func diffTemplate(stack string, want, have state.Template, exists bool) (TemplateChange, []Finding) {
	none := TemplateChange{Prefix: want.Prefix, Op: OpNone}
	if exists && have.Stack != "" && have.Stack != stack {
		return none, []Finding{{
			Code: CodeForeignTemplate, Severity: Error, Field: want.Field,
			Message: fmt.Sprintf("the template for %s belongs to stack %s, not to %s; take it out of one of the two files, or remove the mark [%s=%s] from its description to hand it over",
				state.Below(want.Prefix), have.Stack, stack, state.TagStack, have.Stack),
		}}
	}
	after := templateOf(want)
	c := TemplateChange{Prefix: want.Prefix, Op: OpCreate, After: &after}
	before := Template{}
	if exists {
		before = templateOf(have)
		c.Before, c.Op = &before, OpUpdate
		if have.Stack == "" && stack != "" {
			c.Op = OpAdopt
		}
	}
	c.Differences = templateDifferences(before, after)
	parts := Change{Differences: c.Differences}
	findings := nameParts(&parts, before.Settings, after.Settings, want.Origins)
	for i := range findings {
		findings[i].Message = strings.ReplaceAll(findings[i].Message, `repository ""`, "the template for "+state.Below(want.Prefix))
	}
	switch {
	case exists && len(c.Differences) == 0 && before.Stack == after.Stack:
		return none, findings
	case exists:
		c.Effect = fmt.Sprintf("%s would create a repository %s; repositories that exist stay as they are", whoCreates(after, want.Prefix), withWhat(after))
	default:
		c.Effect = fmt.Sprintf("%s would create a repository %s", whoCreates(after, want.Prefix), withWhat(after))
	}
	return c, findings
}

// templateDifferences lists the settings in which before and after differ. The zero
// before is a template that does not exist.
func templateDifferences(before, after Template) []Difference {
	var ds []Difference
	text := func(f Field, old, now string) {
		if old != now {
			ds = append(ds, Difference{Field: f, Action: action(old, now)})
		}
	}
	text(FieldDescription, before.Description, after.Description)
	text(FieldAppliedFor, Reasons(before.AppliedFor), Reasons(after.AppliedFor))
	text(FieldRole, before.RoleARN, after.RoleARN)
	ds = append(ds, slices.DeleteFunc(differences(before.Settings, after.Settings), func(d Difference) bool {
		return d.Field == FieldEncryption && after.Settings.Encryption.Type == "AES256" // which is what there is without a template
	})...)
	if e := before.Settings.Encryption; e != nil && !sameEncryption(*after.Settings.Encryption, e) {
		ds = append(ds, Difference{Field: FieldEncryption, Action: Modify})
	}
	return ds
}

// Reasons are those of a template in one text.
func Reasons(list []ecr.CreationReason) string {
	out := make([]string, len(list))
	for i, r := range list {
		out[i] = string(r)
	}
	return strings.Join(out, ", ")
}

// whoCreates says what creates repositories from a template.
func whoCreates(t Template, prefix string) string {
	var list []string
	for _, r := range []struct {
		reason ecr.CreationReason
		word   string
	}{{ecr.CreateOnPush, "a push to"}, {ecr.CreateOnPull, "a first pull of"}, {ecr.CreateOnReplicate, "replication to"}} {
		if slices.Contains(t.AppliedFor, r.reason) {
			list = append(list, r.word)
		}
	}
	where := "below " + prefix + "/ that does not exist"
	if prefix == ecr.RootPrefix {
		where = "that does not exist and that no other template is for"
	}
	return fmt.Sprintf("%s a repository %s", or(list), where)
}

func or(list []string) string {
	if n := len(list); n > 1 {
		return strings.Join(list[:n-1], ", ") + " or " + list[n-1]
	}
	return strings.Join(list, "")
}

// withWhat says what the repositories of a template are like.
func withWhat(t Template) string {
	s := "with mutable tags"
	switch t.Settings.Mutability.Mode {
	case ecr.Immutable:
		s = "with immutable tags"
	case ecr.ImmutableWithExclusion:
		s = "with immutable tags except " + strings.Join(t.Settings.Mutability.Filters, ", ")
	case ecr.MutableWithExclusion:
		s = "with mutable tags except " + strings.Join(t.Settings.Mutability.Filters, ", ")
	}
	var list []string
	if t.Settings.Lifecycle == "" {
		list = append(list, "no lifecycle policy")
	} else if n, err := rules(t.Settings.Lifecycle); err == nil {
		list = append(list, fmt.Sprintf("a lifecycle policy (%s)", count(len(n), "rule", "rules")))
	}
	if t.Settings.Policy == "" {
		list = append(list, "no repository policy")
	} else if n, err := statements(t.Settings.Policy); err == nil {
		list = append(list, fmt.Sprintf("a repository policy (%s)", count(len(n), "statement", "statements")))
	}
	return s + ", " + strings.Join(list, " and ")
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// upstreamOf is u as plans have it.
func upstreamOf(u state.Upstream) Upstream {
	if u.UpstreamPrefix == "" {
		u.UpstreamPrefix = ecr.RootPrefix
	}
	return Upstream{Registry: u.Host, UpstreamPrefix: u.UpstreamPrefix, CredentialARN: u.Credential, RoleARN: u.RoleARN}
}

// from is "registry-1.docker.io", or "quay.io/team" for a part of one.
func (u Upstream) from() string {
	if u.UpstreamPrefix == ecr.RootPrefix || u.UpstreamPrefix == "" {
		return u.Registry
	}
	return u.Registry + "/" + u.UpstreamPrefix
}

// diffUpstreams plans the rules. A rule has nothing that says whose it is: those are
// changed that the file names, and only if they are for the same upstream.
func diffUpstreams(desired state.Desired, observed state.Observed, o Options) (changes []UpstreamChange, findings []Finding) {
	for _, want := range desired.Wanted.Upstreams {
		have, exists := observed.Settings.Upstreams[want.Prefix]
		c := UpstreamChange{Prefix: want.Prefix, Op: OpNone}
		gone := want.Removed || o.End == Everything
		switch {
		case !exists && gone:
			continue
		case exists && !have.SameUpstream(want):
			f := Finding{Code: CodeOtherUpstream, Severity: Error, Field: want.Origin.Field, Message: fmt.Sprintf(
				"the upstream rule %s is for %s, and the file's is for %s; ECR cannot change that: correct the file, or delete the rule with `%s`",
				want.Prefix, upstreamOf(have).from(), upstreamOf(want).from(), deleteRule(observed.Target, want.Prefix))}
			if gone {
				f.Severity, f.Message = Warning, fmt.Sprintf("the upstream rule %s is for %s, and the file's is for %s; it is left as it is: `%s` deletes it",
					want.Prefix, upstreamOf(have).from(), upstreamOf(want).from(), deleteRule(observed.Target, want.Prefix))
			}
			changes, findings = append(changes, c), append(findings, f)
			continue
		case gone:
			before := upstreamOf(have)
			pulls, _ := pullsOf(want.Prefix)
			c = UpstreamChange{Prefix: want.Prefix, Op: OpDelete, Before: &before, Effect: fmt.Sprintf(
				"%s would no longer come from %s; images that are there stay (rules have no owner: other files may name it)", pulls, before.from())}
			changes = append(changes, c)
			continue
		}
		after, finding := wantedUpstream(want, observed.Settings)
		if finding != nil {
			changes, findings = append(changes, c), append(findings, *finding)
			continue
		}
		c, kept := diffUpstream(want.Prefix, after, have, exists)
		changes, findings = append(changes, c), append(findings, kept...)
	}
	return changes, findings
}

// deleteRule is the command that deletes a rule of t.
func deleteRule(t state.Target, prefix string) string {
	switch {
	case t.Local:
		return "kontor upstreams delete " + prefix
	case t.Endpoint != "":
		return fmt.Sprintf("kontor upstreams delete %s --endpoint %s --region %s", prefix, withoutUser(t.Endpoint), t.Registry.Region)
	}
	return fmt.Sprintf("aws ecr delete-pull-through-cache-rule --registry-id %s --region %s --ecr-repository-prefix %s", t.Registry.Account, t.Registry.Region, prefix)
}

// pullsOf says which pulls a rule is for, and which of these fetch an image.
func pullsOf(prefix string) (all, missing string) {
	if prefix == ecr.RootPrefix {
		all = "pulls of images that no other rule is for"
		return all, all + " and that are not there yet"
	}
	all = "pulls of " + state.Below(prefix)
	return all, all + " that are not there yet"
}

func diffUpstream(prefix string, after Upstream, have state.Upstream, exists bool) (c UpstreamChange, findings []Finding) {
	c = UpstreamChange{Prefix: prefix, Op: OpCreate, After: &after}
	before := Upstream{}
	if exists {
		before = upstreamOf(have)
		c.Op, c.Before = OpUpdate, &before
	}
	for _, x := range []struct {
		field    Field
		old, now string
		what     string
	}{{FieldCredential, before.CredentialARN, after.CredentialARN, "credential"}, {FieldRole, before.RoleARN, after.RoleARN, "role"}} {
		switch {
		case x.now == x.old:
		case x.now == "":
			findings = append(findings, Finding{Code: CodeKept, Severity: Info, Message: fmt.Sprintf(
				"the upstream rule %s has the %s %s, which the file does not name; it stays, as ECR cannot take it away", prefix, x.what, x.old)})
		default:
			c.Differences = append(c.Differences, Difference{Field: x.field, Action: action(x.old, x.now)})
		}
	}
	pulls, missing := pullsOf(prefix)
	login := "without a login"
	if after.CredentialARN != "" {
		login = "with the login of " + after.CredentialARN
	}
	switch {
	case !exists:
		c.Effect = fmt.Sprintf("%s would come from %s, %s", missing, after.from(), login)
	case len(c.Differences) == 0:
		return UpstreamChange{Prefix: prefix, Op: OpNone}, findings
	case c.Differences[0].Field == FieldCredential:
		c.Effect = fmt.Sprintf("%s would come from %s %s", pulls, after.from(), login)
	default:
		c.Effect = fmt.Sprintf("%s would come from %s with the role %s", pulls, after.from(), after.RoleARN)
	}
	return c, findings
}

// wantedUpstream is a rule with the ARN of its credential, or what is wrong with
// that.
func wantedUpstream(want state.Upstream, s state.Settings) (Upstream, *Finding) {
	out := upstreamOf(want)
	if want.Credential == "" || state.IsARN(want.Credential) {
		return out, nil
	}
	f := Finding{Code: CodeCredential, Severity: Error, Field: want.Origin.Field + ".credential"}
	arn, ok := s.Credentials[want.Credential]
	switch {
	case ok:
		out.CredentialARN = arn
		return out, nil
	case s.NoCredentials != "":
		f.Message = fmt.Sprintf("the credential %s of the upstream %s is not known: %s", want.Credential, want.Prefix, s.NoCredentials)
	default:
		f.Message = fmt.Sprintf("the registry has no credential %s: store it with `kontor upstreams login %s --username USER`", want.Credential, want.Credential)
	}
	return Upstream{}, &f
}

// Moved says how a template differs from what the plan saw; "" when it does not. One
// that is as the plan leaves it is no difference. have is the zero value when it does
// not exist.
func (c TemplateChange) Moved(have state.Template, exists bool) string {
	now := templateOf(have)
	return moved("the template for "+state.Below(c.Prefix), c.Before, c.After, &now, exists, c.Op == OpDelete, func(a, b *Template) bool {
		return a.Stack == b.Stack && len(templateDifferences(*a, *b)) == 0
	})
}

// Moved is TemplateChange.Moved for a rule.
func (c UpstreamChange) Moved(have state.Upstream, exists bool) string {
	now := upstreamOf(have)
	var after *Upstream
	if c.After != nil {
		x := c.Leaves(now)
		after = &x
	}
	return moved("the upstream rule "+c.Prefix, c.Before, after, &now, exists, c.Op == OpDelete, func(a, b *Upstream) bool { return *a == *b })
}

// done reports whether a template is as c, which is no deletion, leaves it.
func (c TemplateChange) done(have state.Template, exists bool) bool {
	now := templateOf(have)
	return exists && c.After != nil && now.Stack == c.After.Stack && len(templateDifferences(now, *c.After)) == 0
}

// done is TemplateChange.done for a rule.
func (c UpstreamChange) done(have state.Upstream, exists bool) bool {
	now := upstreamOf(have)
	return exists && c.After != nil && c.Leaves(now) == now
}

// UpstreamOf is u as plans have it.
func UpstreamOf(u state.Upstream) Upstream { return upstreamOf(u) }

// Leaves is what c, which is no deletion, leaves of a rule that is now: what the file
// does not name stays.
func (c UpstreamChange) Leaves(now Upstream) Upstream {
	x := *c.After
	x.Registry = now.Registry // one of its spellings
	if !(state.Upstream{Host: x.Registry}).SameUpstream(state.Upstream{Host: c.After.Registry}) {
		x.Registry = c.After.Registry
	}
	if x.CredentialARN == "" {
		x.CredentialARN = now.CredentialARN
	}
	if x.RoleARN == "" {
		x.RoleARN = now.RoleARN
	}
	return x
}

func moved[T any](what string, before, after, now *T, exists, goes bool, same func(a, b *T) bool) string {
	switch {
	case !exists && (before == nil || goes):
		return ""
	case !exists:
		return what + " is gone since the plan was made; plan again"
	case before != nil && same(before, now), after != nil && same(after, now):
		return ""
	case before == nil:
		return what + " was created by someone else since the plan was made; plan again"
	}
	return what + " changed since the plan was made; plan again"
}

// staleSettings says how the templates and upstreams differ from those that p was made
// from.
func (p Plan) staleSettings(desired state.Desired, observed state.Observed) []string {
	var out []string
	templates, _ := diffTemplates(desired, observed, Options{End: p.End})
	planned := map[string]TemplateChange{}
	for _, c := range p.Templates {
		planned[c.Prefix] = c
	}
	for _, c := range templates {
		was, ok := planned[c.Prefix]
		delete(planned, c.Prefix)
		have, exists := observed.Settings.Templates[c.Prefix]
		done := was.done(have, exists)
		out = append(out, staleSetting("the template for "+state.Below(c.Prefix), ok, was.Op, c.Op, was.After, c.After, done, func() string { return was.Moved(have, exists) })...)
	}
	for prefix, was := range planned {
		if have, exists := observed.Settings.Templates[prefix]; was.Op == OpDelete && !exists && have.Stack == "" {
			continue // it is gone already, as wanted
		}
		out = append(out, fmt.Sprintf("the template for %s left the file since the plan was made", state.Below(prefix)))
	}
	upstreams, _ := diffUpstreams(desired, observed, Options{End: p.End})
	rules := map[string]UpstreamChange{}
	for _, c := range p.Upstreams {
		rules[c.Prefix] = c
	}
	for _, c := range upstreams {
		was, ok := rules[c.Prefix]
		delete(rules, c.Prefix)
		have, exists := observed.Settings.Upstreams[c.Prefix]
		done := was.done(have, exists)
		out = append(out, staleSetting("the upstream rule "+c.Prefix, ok, was.Op, c.Op, was.After, c.After, done, func() string { return was.Moved(have, exists) })...)
	}
	for prefix, was := range rules {
		if _, exists := observed.Settings.Upstreams[prefix]; was.Op == OpDelete && !exists {
			continue
		}
		out = append(out, fmt.Sprintf("the upstream rule %s left the file since the plan was made", prefix))
	}
	signers, _ := diffSigners(desired, observed, Options{End: p.End})
	out = append(out, staleNamed(p.Signers, signers, byNames(observed.Settings.Signers, SignerOf))...)
	receivers, _ := diffReceivers(desired, observed, Options{End: p.End})
	out = append(out, staleNamed(p.Receivers, receivers, byNames(observed.Settings.Receivers, EventReceiverOf))...)
	out = append(out, p.staleReplication(desired, observed)...)
	slices.Sort(out)
	return out
}

// staleSetting compares what was planned for one object with what would be planned
// now. done: the object is as the plan leaves it.
func staleSetting[T any](what string, planned bool, was, is Op, then, now *T, done bool, moved func() string) []string {
	switch {
	case !planned:
		return []string{what + " came into the file since the plan was made"}
	case was == OpNone && is == OpNone:
		return nil
	case was == OpNone:
		return []string{what + " is another than when the plan was made, or the file asks for other settings of it"}
	case is != OpNone && (is == OpDelete) != (was == OpDelete):
		return []string{"the file asks for something else of " + what + " than when the plan was made"}
	case is != OpNone && digest(then) != digest(now):
		return []string{"the plan's change of " + what + " is not what the file asks for"}
	}
	if why := moved(); why != "" {
		return []string{why}
	}
	if is == OpNone && !done {
		return []string{"the plan's change of " + what + " is not what the file asks for"} // which is what there is
	}
	return nil
}

// check refuses what DiffWith would not have planned.
func (c TemplateChange) check(p Plan) error {
	switch c.Op {
	case OpNone:
		return nil
	case OpCreate, OpAdopt, OpUpdate:
		if err := sides(c.Op, c.Before, c.After); err != nil {
			return err
		}
		if c.After.Stack != p.Stack || c.Before != nil && c.Before.Stack != "" && c.Before.Stack != p.Stack {
			return fmt.Errorf("it does not belong to stack %s", p.Stack)
		}
		return nil
	case OpDelete:
		if c.Before == nil || c.After != nil || p.End == Nothing || p.Stack == "" || c.Before.Stack != p.Stack {
			return errors.New("it may not be deleted")
		}
		return nil
	}
	return fmt.Errorf("unknown operation %q", c.Op)
}

func (c UpstreamChange) check() error {
	switch c.Op {
	case OpNone:
		return nil
	case OpCreate, OpUpdate:
		if err := sides(c.Op, c.Before, c.After); err != nil {
			return err
		}
		if c.Op == OpUpdate && c.After.UpstreamPrefix != c.Before.UpstreamPrefix {
			return errors.New("it would be another rule")
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

// PendingTemplates are the changes that do something.
func (p Plan) PendingTemplates() []TemplateChange {
	return slices.DeleteFunc(slices.Clone(p.Templates), func(c TemplateChange) bool { return c.Op == OpNone })
}

// PendingUpstreams is PendingTemplates for rules.
func (p Plan) PendingUpstreams() []UpstreamChange {
	return slices.DeleteFunc(slices.Clone(p.Upstreams), func(c UpstreamChange) bool { return c.Op == OpNone })
}

// Work is how many changes p makes in all.
func (p Plan) Work() int {
	n := len(p.Pending()) + len(p.PendingTemplates()) + len(p.PendingUpstreams()) + len(p.PendingSigners()) + len(p.PendingReceivers())
	if _, ok := p.PendingReplication(); ok {
		n++
	}
	return n
}

package plan

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/kontor-registry/kontor/internal/deploy/state"
	"github.com/kontor-registry/kontor/internal/ecr"
)

// Diff returns the plan that leads from observed to what desired wants for
// observed's target. The order of repositories, tags and filters on either
// side makes no difference.
//
// observed must hold every repository that desired names and that exists, and
// should hold those that carry desired's stack tag.
func Diff(desired state.Desired, observed state.Observed) Plan {
	return DiffWith(desired, observed, Options{})
}

// DiffWith is Diff, with deletions or for drift.
func DiffWith(desired state.Desired, observed state.Observed, o Options) Plan {
	desired = desired.For(observed.Target)
	unseen := unseen(desired, observed)
	if o.End == Everything {
		desired.Repositories = nil
		desired.Wanted.Templates = nil
	}
	p := Plan{
		Version:        Version,
		Stack:          desired.Stack,
		Target:         targetOf(observed.Target),
		DesiredDigest:  DigestDesired(desired),
		ObservedDigest: DigestObserved(observed),
		Objects:        objects(desired, observed),
		RefreshOnly:    o.RefreshOnly,
		End:            o.End,
		Changes:        []Change{},
		Findings:       unseen,
	}
	wanted := make(map[ecr.RepositoryName]bool, len(desired.Repositories))
	for _, want := range byName(desired.Repositories) {
		wanted[want.Name] = true
		if _, hidden := observed.Hidden[want.Name]; hidden {
			p.Changes = append(p.Changes, Change{Repository: want.Name, Op: OpNone})
			continue
		}
		have, exists := observed.Repositories[want.Name]
		c, findings := diffRepository(desired.Stack, want, have, exists)
		p.Changes = append(p.Changes, c)
		p.Findings = append(p.Findings, findings...)
	}
	p.Findings = append(p.Findings, stayingTags(desired, observed)...)
	for _, name := range slices.Sorted(maps.Keys(observed.Repositories)) {
		r := observed.Repositories[name]
		if wanted[name] || desired.Stack == "" || r.Tags[state.TagStack] != desired.Stack {
			continue
		}
		if o.End == Nothing {
			p.Findings = append(p.Findings, Finding{
				Code: CodeLeftFile, Severity: Warning, Repository: name,
				Message: fmt.Sprintf("repository %s belongs to stack %s but is not in the file; it is left as it is", quoted(name), desired.Stack),
			})
			continue
		}
		c, findings := end(r, o)
		p.Changes = append(p.Changes, c)
		p.Findings = append(p.Findings, findings...)
	}
	var found []Finding
	p.Templates, found = diffTemplates(desired, observed, o)
	p.Findings = append(p.Findings, found...)
	p.Upstreams, found = diffUpstreams(desired, observed, o)
	p.Findings = append(p.Findings, found...)
	p.Signers, found = diffSigners(desired, observed, o)
	p.Findings = append(p.Findings, found...)
	p.Receivers, found = diffReceivers(desired, observed, o)
	p.Findings = append(p.Findings, found...)
	p.Replication, found = diffReplication(desired, observed, o)
	p.Findings = append(p.Findings, found...)
	slices.SortStableFunc(p.Changes, func(a, b Change) int { return strings.Compare(string(a.Repository), string(b.Repository)) })
	slices.SortFunc(p.Findings, func(a, b Finding) int {
		if c := strings.Compare(string(a.Repository), string(b.Repository)); c != 0 {
			return c
		}
		if c := strings.Compare(string(a.Code), string(b.Code)); c != 0 {
			return c
		}
		return strings.Compare(a.Message, b.Message)
	})
	return p
}

// unseen are the findings about what could not be read. A repository of the file
// is an error: it is not known what to do with it.
func unseen(desired state.Desired, observed state.Observed) []Finding {
	out := []Finding{}
	for name, why := range observed.Hidden {
		f := Finding{
			Code: CodeHidden, Severity: Warning, Repository: name,
			Message: fmt.Sprintf("repository %s %s; whether it belongs to stack %s is not known, and it is left as it is", quoted(name), why, desired.Stack),
		}
		if slices.ContainsFunc(desired.Repositories, func(r state.Repository) bool { return r.Name == name }) {
			f.Severity, f.Field = Error, "ecr_repositories."+string(name)
			f.Message = fmt.Sprintf("repository %s %s", quoted(name), why)
		}
		out = append(out, f)
	}
	if why := observed.OthersUnseen; why != "" {
		out = append(out, Finding{Code: CodeOthersUnseen, Severity: Info, Message: fmt.Sprintf(
			"repositories of stack %s that left the file were not looked for: %s; `kontor plan --prune` looks for them without that", desired.Stack, why)})
	}
	return out
}

// stayingTags are the findings about tags of the stack's repositories that the file
// does not name, one for each key: it may have named them earlier, and nothing
// tells whose they are.
func stayingTags(desired state.Desired, observed state.Observed) []Finding {
	on := map[string][]ecr.RepositoryName{}
	for _, want := range byName(desired.Repositories) {
		have := observed.Repositories[want.Name]
		if desired.Stack == "" || have.Tags[state.TagStack] != desired.Stack {
			continue
		}
		for key := range have.Tags {
			if _, named := want.Tags[key]; !named && !strings.HasPrefix(key, state.TagReserved) && !strings.HasPrefix(key, "aws:") {
				on[key] = append(on[key], want.Name)
			}
		}
	}
	var out []Finding
	for _, key := range slices.Sorted(maps.Keys(on)) {
		names := on[key]
		f := Finding{Code: CodeTagStays, Severity: Info}
		where := fmt.Sprintf("%d repositories, such as %s,", len(names), quoted(names[0]))
		if len(names) == 1 {
			f.Repository, where = names[0], "repository "+quoted(names[0])
		}
		f.Message = fmt.Sprintf("the resource tag %s of %s is not in the file and stays: name it in tags:, or remove it with `aws ecr untag-resource`", strconv.Quote(key), where)
		out = append(out, f)
	}
	return out
}

func byName(rs []state.Repository) []state.Repository {
	return slices.SortedFunc(slices.Values(rs), func(a, b state.Repository) int {
		return strings.Compare(string(a.Name), string(b.Name))
	})
}

// diffRepository compares one repository. have is the zero value when the
// repository does not exist.
func diffRepository(stack string, want, have state.Repository, exists bool) (Change, []Finding) {
	none := Change{Repository: want.Name, Op: OpNone}
	if owner := have.Tags[state.TagStack]; exists && owner != "" && owner != stack {
		return none, []Finding{{
			Code: CodeForeignStack, Severity: Error, Repository: want.Name,
			Field: "ecr_repositories." + string(want.Name),
			Message: fmt.Sprintf("repository %s belongs to stack %s, not to %s; take it out of one of the two files, or remove its tag %s to hand it over",
				quoted(want.Name), owner, stack, state.TagStack),
		}}
	}
	after := wanted(stack, want)
	c := Change{Repository: want.Name, Op: OpCreate, After: &after}
	var before Settings
	if exists {
		before = managed(have, after)
		if e := after.Encryption; e != nil && !sameEncryption(*e, before.Encryption) {
			return none, []Finding{{
				Code: CodeEncryption, Severity: Error, Repository: want.Name,
				Field: "ecr_repositories." + string(want.Name) + ".encryption",
				Message: fmt.Sprintf("repository %s exists with the encryption %s and the file asks for %s; ECR sets it when it creates a repository and never after: correct encryption:, or delete the repository and apply again",
					quoted(want.Name), before.Encryption, e),
			}}
		}
		c.Before = &before
		c.Op = OpUpdate
		if _, owned := have.Tags[state.TagStack]; !owned && stack != "" {
			c.Op = OpAdopt
		}
	}
	c.Differences = differences(before, after)
	findings := nameParts(&c, before, after, want.Origins)
	if exists && len(c.Differences) == 0 {
		return none, findings
	}
	return c, findings
}

// wanted is what a repository is to have.
func wanted(stack string, want state.Repository) Settings {
	after := settingsOf(want, nil)
	if stack != "" {
		after.Tags[state.TagStack] = stack
	}
	if want.Unprotected {
		after.Tags[state.TagProtection] = "off"
	}
	return after
}

// settingsOf copies the managed part of r: of its tags those whose keys only
// holds, or all when it is nil.
func settingsOf(r state.Repository, only map[string]string) Settings {
	s := Settings{
		Mutability: mutabilityOf(r.Mutability),
		Tags:       make(map[string]string, len(r.Tags)+1),
		Policy:     r.Policy,
		Lifecycle:  r.Lifecycle,
	}
	for k, v := range r.Tags {
		if _, ok := only[k]; ok || only == nil {
			s.Tags[k] = v
		}
	}
	if r.ScanOnPush != nil {
		on := *r.ScanOnPush
		s.ScanOnPush = &on
	}
	if e := r.Encryption; e != nil {
		s.Encryption = &Encryption{Type: e.Type, KMSKey: e.KMSKey}
	}
	return s
}

// managed is the part of r that a change to after is about: the tags of after
// and the protection, and the settings that after has.
func managed(r state.Repository, after Settings) Settings {
	only := maps.Clone(after.Tags)
	if only == nil {
		only = map[string]string{}
	}
	only[state.TagProtection] = ""
	s := settingsOf(r, only)
	if after.ScanOnPush == nil {
		s.ScanOnPush = nil
	}
	if after.Encryption == nil {
		s.Encryption = nil
	}
	return s
}

// Managed returns the settings of r that c is about, for comparing what is
// there now with c.Before and c.After.
func (c Change) Managed(r state.Repository) Settings {
	if c.After == nil {
		return settingsOf(r, nil)
	}
	return managed(r, *c.After)
}

// String is "AES256", or "KMS with key KEY".
func (e *Encryption) String() string {
	switch {
	case e == nil:
		return "that was not told"
	case e.KMSKey == "":
		return e.Type
	}
	return e.Type + " with key " + e.KMSKey
}

// sameEncryption reports whether have is what want asks for. ECR answers with
// the ARN of a key that it was given as an id, and with that of the AWS managed
// key where none was given. An alias says nothing about the key's id, so it is
// taken to fit.
func sameEncryption(want Encryption, have *Encryption) bool {
	if have == nil {
		return false
	}
	key := want.KMSKey
	_, alias, _ := strings.Cut(key, ":alias/")
	return want.Type == have.Type &&
		(key == "" || key == have.KMSKey || strings.HasSuffix(have.KMSKey, ":key/"+key) || strings.HasPrefix(key, "alias/") || alias != "")
}

// quoted puts a name that holds a slash in quotes, so that a reader sees where
// it ends.
func quoted(n ecr.RepositoryName) string {
	if strings.Contains(string(n), "/") {
		return strconv.Quote(string(n))
	}
	return string(n)
}

// mutabilityOf brings m into the form in which equal meanings are equal: the
// default spelled out, filters in byte order and once each, and none where
// the mode ignores them.
func mutabilityOf(m ecr.Mutability) Mutability {
	out := Mutability{Mode: m.Mode}
	switch m.Mode {
	case "":
		out.Mode = ecr.Mutable
	case ecr.MutableWithExclusion, ecr.ImmutableWithExclusion:
		out.Filters = slices.Compact(slices.Sorted(slices.Values(m.Filters)))
	}
	return out
}

// Equal reports whether a and b mean the same for every tag.
func (a Mutability) Equal(b Mutability) bool {
	return a.Mode == b.Mode && slices.Equal(a.Filters, b.Filters)
}

// differences lists the settings in which before and after differ. The zero
// before is a repository that does not exist.
func differences(before, after Settings) []Difference {
	var ds []Difference
	if !before.Mutability.Equal(after.Mutability) {
		a := Modify
		if before.Mutability.Mode == "" {
			a = Add
		}
		ds = append(ds, Difference{Field: FieldMutability, Action: a})
	}
	if before.Encryption == nil && after.Encryption != nil {
		ds = append(ds, Difference{Field: FieldEncryption, Action: Add})
	}
	if after.ScanOnPush != nil && (before.ScanOnPush == nil || *before.ScanOnPush != *after.ScanOnPush) {
		a := Modify
		if before.ScanOnPush == nil {
			a = Add
		}
		ds = append(ds, Difference{Field: FieldScanOnPush, Action: a})
	}
	both := maps.Clone(before.Tags)
	if both == nil {
		both = map[string]string{}
	}
	maps.Copy(both, after.Tags)
	for _, k := range slices.Sorted(maps.Keys(both)) {
		old, ok := before.Tags[k]
		_, stays := after.Tags[k]
		switch {
		case !stays:
			ds = append(ds, Difference{Field: FieldTag, Key: k, Action: Remove})
		case !ok:
			ds = append(ds, Difference{Field: FieldTag, Key: k, Action: Add})
		case old != after.Tags[k]:
			ds = append(ds, Difference{Field: FieldTag, Key: k, Action: Modify})
		}
	}
	if !EqualPolicy(before.Policy, after.Policy) {
		ds = append(ds, Difference{Field: FieldPolicy, Action: action(before.Policy, after.Policy)})
	}
	if !EqualLifecycle(before.Lifecycle, after.Lifecycle) {
		ds = append(ds, Difference{Field: FieldLifecycle, Action: action(before.Lifecycle, after.Lifecycle)})
	}
	return ds
}

// action is how one text, "" for none, becomes the other.
func action(before, after string) Action {
	switch {
	case before == "":
		return Add
	case after == "":
		return Remove
	}
	return Modify
}

// nameParts fills in the parts of c's document differences, and returns the
// findings about documents that cannot be read.
func nameParts(c *Change, before, after Settings, origins state.Origins) []Finding {
	var findings []Finding
	unreadable := func(what string, err error) {
		findings = append(findings, Finding{
			Code: CodeUnreadable, Severity: Warning, Repository: c.Repository,
			Message: fmt.Sprintf("the present %s of repository %s cannot be read, so what it would lose is not listed: %v", what, quoted(c.Repository), err),
		})
	}
	for i := range c.Differences {
		d := &c.Differences[i]
		switch d.Field {
		case FieldPolicy:
			old, err := statements(before.Policy)
			if err != nil {
				unreadable("repository policy", err)
				continue
			}
			// A document of the file has been checked before it got here; one
			// that cannot be read has no parts to list.
			if now, err := statements(after.Policy); err == nil {
				d.Parts = compareParts(old, now, func(p part) string { return origins.Statements[p.name].Field })
			}
		case FieldLifecycle:
			old, err := rules(before.Lifecycle)
			if err != nil {
				unreadable("lifecycle policy", err)
				continue
			}
			if now, err := rules(after.Lifecycle); err == nil {
				d.Parts = compareParts(old, now, func(p part) string { return origins.Rules[p.priority].Field })
			}
		}
	}
	return findings
}

package plan

import (
	"fmt"
	"maps"
	"slices"
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
	desired = desired.For(observed.Target)
	p := Plan{
		Version:        Version,
		Stack:          desired.Stack,
		Target:         targetOf(observed.Target),
		DesiredDigest:  DigestDesired(desired),
		ObservedDigest: DigestObserved(observed),
		Changes:        []Change{},
		Findings:       []Finding{},
	}
	wanted := make(map[ecr.RepositoryName]bool, len(desired.Repositories))
	for _, want := range byName(desired.Repositories) {
		wanted[want.Name] = true
		have, exists := observed.Repositories[want.Name]
		c, findings := diffRepository(desired.Stack, want, have, exists)
		p.Changes = append(p.Changes, c)
		p.Findings = append(p.Findings, findings...)
	}
	for name, r := range observed.Repositories {
		if !wanted[name] && desired.Stack != "" && r.Tags[state.TagStack] == desired.Stack {
			p.Findings = append(p.Findings, Finding{
				Code: CodeLeftFile, Severity: Warning, Repository: name,
				Message: fmt.Sprintf("repository %s belongs to stack %s but is not in the file; it is left as it is", name, desired.Stack),
			})
		}
	}
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
				want.Name, owner, stack, state.TagStack),
		}}
	}
	after := settingsOf(want, nil)
	if stack != "" {
		after.Tags[state.TagStack] = stack
	}
	c := Change{Repository: want.Name, Op: OpCreate, After: &after}
	var before Settings
	if exists {
		before = settingsOf(have, after.Tags)
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
	return s
}

// Managed returns the settings of r that c is about, for comparing what is
// there now with c.Before and c.After.
func (c Change) Managed(r state.Repository) Settings {
	if c.After == nil {
		return settingsOf(r, map[string]string{})
	}
	return settingsOf(r, c.After.Tags)
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
	for _, k := range slices.Sorted(maps.Keys(after.Tags)) {
		old, ok := before.Tags[k]
		switch {
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
			Message: fmt.Sprintf("the present %s of repository %s cannot be read, so what it would lose is not listed: %v", what, c.Repository, err),
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

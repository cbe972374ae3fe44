package plan

import (
	"fmt"
	"maps"
	"slices"

	"github.com/kontor-registry/kontor/internal/deploy/state"
	"github.com/kontor-registry/kontor/internal/ecr"
)

// Moved says how a repository differs from what the plan saw; "" when it does
// not. A setting that has the plan's new value already is no difference: that
// is how a plan that was carried out in part is carried out again. now is the
// zero value when the repository does not exist.
func (c Change) Moved(now state.Repository, exists bool) string {
	before, after := c.Before, c.After
	name := quoted(c.Repository)
	if !exists {
		if before != nil && c.Op != OpDelete {
			return fmt.Sprintf("repository %s is gone since the plan was made; plan again", name)
		}
		return ""
	}
	have := c.Managed(now)
	changed := func(what string) string {
		return fmt.Sprintf("%s of repository %s changed since the plan was made; plan again", what, name)
	}
	if c.Op == OpDelete {
		after = before // it goes as it was seen, or not at all
		if !maps.Equal(have.Tags, before.Tags) {
			return changed("a tag")
		}
	}
	if owner := have.Tags[state.TagStack]; before == nil && owner != after.Tags[state.TagStack] {
		return fmt.Sprintf("repository %s was created by someone else since the plan was made; plan again", name)
	}
	if before == nil {
		before = &Settings{Mutability: after.Mutability, ScanOnPush: after.ScanOnPush, Encryption: after.Encryption}
		if after.ScanOnPush != nil {
			before.ScanOnPush = have.ScanOnPush // either value may be our own creation's
		}
	}
	if !have.Mutability.Equal(before.Mutability) && !have.Mutability.Equal(after.Mutability) {
		return changed("the mutability")
	}
	if e := after.Encryption; e != nil && !sameEncryption(*e, have.Encryption) {
		return changed("the encryption")
	}
	if have.ScanOnPush != nil && !sameFlag(have.ScanOnPush, before.ScanOnPush) && !sameFlag(have.ScanOnPush, after.ScanOnPush) {
		return changed("scan on push")
	}
	keys := maps.Clone(have.Tags)
	maps.Copy(keys, before.Tags)
	maps.Copy(keys, after.Tags)
	for _, k := range slices.Sorted(maps.Keys(keys)) {
		if !sameTag(k, have.Tags, before.Tags) && !sameTag(k, have.Tags, after.Tags) {
			return changed("the tag " + k)
		}
	}
	if !EqualPolicy(have.Policy, before.Policy) && !EqualPolicy(have.Policy, after.Policy) {
		return changed("the policy")
	}
	if !EqualLifecycle(have.Lifecycle, before.Lifecycle) && !EqualLifecycle(have.Lifecycle, after.Lifecycle) {
		return changed("the lifecycle policy")
	}
	return ""
}

func sameFlag(a, b *bool) bool { return a != nil && b != nil && *a == *b }

func sameTag(k string, a, b map[string]string) bool {
	x, had := a[k]
	y, has := b[k]
	return had == has && x == y
}

// Stale says how the two sides differ from those that p was made from, one
// line for each object; nothing when p may be carried out. What p itself wants
// done already is no difference.
func (p Plan) Stale(desired state.Desired, observed state.Observed) []string {
	desired = desired.For(observed.Target)
	if p.End == Everything {
		desired.Repositories, desired.Wanted.Templates = nil, nil
	}
	var out []string
	sameFile := DigestDesired(desired) == p.DesiredDigest
	if !sameFile && desired.Stack != p.Stack {
		out = append(out, fmt.Sprintf("the file's stack is %s, the plan's %s", desired.Stack, p.Stack))
	}
	if observed.Target.Registry != p.Target.Registry() {
		return append(out, fmt.Sprintf("registry %s of the file is %s, that of the plan %s", p.Target.Name, observed.Target.Registry, p.Target.Registry()))
	}
	for _, f := range unseen(desired, observed) {
		if f.Severity == Error {
			out = append(out, f.Message)
		}
	}
	if len(out) == 0 && sameFile && DigestObserved(observed) == p.ObservedDigest {
		return append(p.others(desired), p.staleSettings(desired, observed)...)
	}
	out = append(out, p.staleSettings(desired, observed)...)
	changes := map[ecr.RepositoryName]Change{}
	for _, c := range p.Changes {
		changes[c.Repository] = c
	}
	out = append(out, p.others(desired)...)
	now := objects(desired, observed)
	names := map[ecr.RepositoryName]bool{}
	for n := range now {
		names[n] = true
	}
	for n := range p.Objects {
		names[n] = true
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		was, is := p.Objects[name], now[name]
		if _, planned := changes[name]; !planned && p.End == Nothing && was.Desired == is.Desired {
			continue // it left the file, and nothing is done to it
		}
		switch {
		case was.Desired == is.Desired:
		case was.Desired == "":
			out = append(out, fmt.Sprintf("repository %s came into the file since the plan was made", quoted(name)))
		case is.Desired == "":
			out = append(out, fmt.Sprintf("repository %s left the file since the plan was made", quoted(name)))
		default:
			out = append(out, fmt.Sprintf("the file asks for other settings of repository %s than when the plan was made", quoted(name)))
		}
		if was.Observed == is.Observed {
			continue
		}
		repository, exists := observed.Repositories[name]
		c := changes[name]
		if c.Op == OpNone || c.Op == "" {
			out = append(out, fmt.Sprintf("repository %s is another than when the plan was made", quoted(name)))
		} else if why := c.Moved(repository, exists); why != "" {
			out = append(out, why)
		}
	}
	return out
}

// others lists the changes of p that do not lead to what the file asks for: the
// plan was edited.
func (p Plan) others(desired state.Desired) []string {
	want := map[ecr.RepositoryName]Settings{}
	for _, r := range desired.Repositories {
		want[r.Name] = wanted(desired.Stack, r)
	}
	var out []string
	for _, c := range p.Pending() {
		after, ok := want[c.Repository]
		if c.Op == OpDelete && !ok || c.Op != OpDelete && ok && digest(*c.After) == digest(after) {
			continue
		}
		out = append(out, fmt.Sprintf("the plan's change of repository %s is not what the file asks for", quoted(c.Repository)))
	}
	return out
}

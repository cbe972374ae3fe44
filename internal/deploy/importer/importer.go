// Package importer makes a file of what exists: the shortest one that means the
// same as the settings of the repositories of a registry.
//
// A policy becomes fields, such as keep_last_images, only where these
// have the same effect. That is not assumed but tried, with the engines that
// decide about images and requests: on images and principals made for the two
// policies, the outcomes must be the same. Where they are not, the policy is
// written as it is. Settings that most repositories share go into defaults, and
// only after the file with defaults compiles to the same settings as the file
// without.
//
// It is pure. What it cannot express it leaves out, the whole repository, with a
// notice: a repository that is not in a file is never changed.
package importer

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/kontor-registry/kontor/internal/deploy/lang"
	"github.com/kontor-registry/kontor/internal/deploy/plan"
	"github.com/kontor-registry/kontor/internal/deploy/spec"
	"github.com/kontor-registry/kontor/internal/deploy/spec/fields"
	"github.com/kontor-registry/kontor/internal/deploy/state"
	"github.com/kontor-registry/kontor/internal/ecr"
)

// Options say how to write the file.
type Options struct {
	Language lang.Language
	// Exact writes a policy as it is wherever a plan would show any difference,
	// if only in a description.
	Exact bool
	// Stack is the name of the file's stack; "" for the one that the repositories
	// belong to, else NewStack, else spec.DefaultStack.
	Stack, NewStack string
	// Modules are what made repositories, such as "cloudposse/ecr" and the place of
	// its call: a comment names it.
	Modules map[ecr.RepositoryName]string
}

// File is a file that was made.
type File struct {
	Text []byte
	// Repositories are how many it declares, Settings how many templates and
	// upstreams.
	Repositories, Settings int
	// Notices are in the order of their first repositories.
	Notices []Notice
}

// Notice is what the reader of a file should know that the file does not say.
type Notice struct {
	Repositories []ecr.RepositoryName // none for what is about something else
	Message      string
}

// String is "repository NAME: MESSAGE", or for several "NAME, NAME, NAME and 9
// more repositories: MESSAGE".
func (n Notice) String() string {
	if len(n.Repositories) == 0 {
		return n.Message
	}
	const most = 3
	names := make([]string, 0, most)
	for _, name := range n.Repositories[:min(most, len(n.Repositories))] {
		names = append(names, string(name))
	}
	who := "repositories " + strings.Join(names, ", ")
	switch more := len(n.Repositories) - most; {
	case len(n.Repositories) == 1:
		who = "repository " + names[0]
	case more > 0:
		who = fmt.Sprintf("%s and %d more repositories", strings.Join(names, ", "), more)
	}
	return who + ": " + n.Message
}

// StackError says that repositories belong to several stacks, and a file has one.
type StackError struct{ Stacks []string }

func (e *StackError) Error() string {
	return fmt.Sprintf("the repositories belong to the stacks %s, and a file has one", strings.Join(e.Stacks, ", "))
}

// Write makes the file of o. The same settings give the same bytes.
func Write(o state.Observed, opts Options) (File, error) {
	w := &writer{observed: o, opts: opts, lifecycles: map[string]chosen{}, policies: map[string]chosen{}}
	names := slices.Sorted(maps.Keys(o.Repositories))
	stack, names, err := w.stack(names)
	if err != nil {
		return File{}, err
	}
	entries := make([]*entry, 0, len(names))
	for _, n := range names {
		if e := w.entry(o.Repositories[n]); e != nil {
			entries = append(entries, e)
		}
	}
	w.settings(stack)
	defaults := w.hoist(entries)
	text, err := w.print(stack, defaults, entries)
	return File{Text: text, Repositories: len(entries), Settings: len(w.templates) + len(w.upstreams) + w.others(), Notices: w.notices}, err
}

// writer makes one file.
type writer struct {
	observed state.Observed
	opts     Options
	notices  []Notice
	// lifecycles and policies are what was chosen, by the text of the policy:
	// most repositories share a few.
	lifecycles, policies map[string]chosen
	templates            []templateEntry
	upstreams            []upstreamEntry
	replication          *lang.Value // nil for none
	extra                *lang.Value // signers and receivers of events; nil for none
}

// chosen are the fields for a policy.
type chosen struct {
	fields settings
	above  []string // lines of comment
	notes  []string
	err    error // the policy cannot be expressed
}

// settings are fields of a repository. They are printed in the order of the
// manual.
type settings map[string]*lang.Value

// entry is a repository of the file.
type entry struct {
	name   ecr.RepositoryName
	fields settings
	above  []string
	// want are the settings that a file without defaults compiles to.
	want state.Repository
}

func (w *writer) note(name ecr.RepositoryName, format string, args ...any) {
	message := fmt.Sprintf(format, args...)
	i := slices.IndexFunc(w.notices, func(n Notice) bool { return n.Message == message })
	if i < 0 {
		i = len(w.notices)
		w.notices = append(w.notices, Notice{Message: message})
	}
	w.notices[i].Repositories = append(w.notices[i].Repositories, name)
}

// stack chooses the stack of the file, and the repositories that can be in it.
func (w *writer) stack(names []ecr.RepositoryName) (string, []ecr.RepositoryName, error) {
	of := func(n ecr.RepositoryName) string { return w.observed.Repositories[n].Tags[state.TagStack] }
	stack := w.opts.Stack
	if stack == "" {
		found := map[string]bool{}
		for _, n := range names {
			if s := of(n); s != "" {
				found[s] = true
			}
		}
		for _, t := range w.observed.Settings.Templates {
			if t.Stack != "" {
				found[t.Stack] = true
			}
		}
		if len(found) > 1 {
			return "", nil, &StackError{slices.Sorted(maps.Keys(found))}
		}
		for s := range found {
			stack = s
		}
	}
	stack = cmp.Or(stack, w.opts.NewStack, spec.DefaultStack)
	return stack, slices.DeleteFunc(names, func(n ecr.RepositoryName) bool {
		other := of(n)
		if other == "" || other == stack {
			return false
		}
		w.note(n, "left out: owned by stack %s", other)
		return true
	}), nil
}

// entry makes the fields of a repository; nil when they cannot be expressed.
func (w *writer) entry(r state.Repository) *entry {
	e := &entry{name: r.Name, fields: settings{}}
	e.fields.mutability(r.Mutability)
	if r.ScanOnPush != nil && *r.ScanOnPush {
		e.fields["scan_on_push"] = lang.NewBoolean(true)
	}
	if x := r.Encryption; x != nil && x.Type != "AES256" && x.Type != "" {
		v := inline(lang.NewMapping()).Add("type", lang.NewText(x.Type))
		if x.KMSKey != "" {
			v.Add("kms_key", lang.NewText(x.KMSKey))
		}
		e.fields["encryption"] = v
	}
	w.tags(e, r)
	for _, c := range []chosen{w.lifecycle(r.Lifecycle), w.access(r.Policy)} {
		if c.err != nil {
			w.note(r.Name, "left out: %v", c.err)
			return nil
		}
		for _, n := range c.notes {
			w.note(r.Name, "%s", n)
		}
		maps.Copy(e.fields, c.fields)
		e.above = append(e.above, c.above...)
	}
	if module := w.opts.Modules[r.Name]; module != "" {
		// which says more than a shape
		e.above = slices.DeleteFunc(e.above, func(line string) bool { return strings.Contains(line, ": the shape of ") })
		e.above = append([]string{"From " + module + "."}, e.above...)
	}
	var err error
	if e.want, err = w.compile(r.Name, e.fields); err != nil {
		w.note(r.Name, "left out: %v", err)
		return nil
	}
	return e
}

// mutability sets the fields of m. ECR keeps no order of filters.
func (s settings) mutability(m ecr.Mutability) {
	field := "mutable_tags"
	if m.Mode == ecr.Mutable || m.Mode == ecr.MutableWithExclusion {
		s["is_immutable"], field = lang.NewBoolean(false), "immutable_tags"
	}
	if len(m.Filters) > 0 {
		s[field] = texts(slices.Sorted(slices.Values(m.Filters)))
	}
}

// tags sets the fields that come of resource tags.
func (w *writer) tags(e *entry, r state.Repository) {
	v := inline(lang.NewMapping())
	for _, key := range slices.Sorted(maps.Keys(r.Tags)) {
		switch {
		case key == state.TagProtection:
			if r.Tags[key] == "off" {
				e.fields["delete_protection"] = lang.NewBoolean(false)
			}
		case strings.HasPrefix(key, state.TagReserved):
		case key == "aws:cloudformation:stack-name":
			w.note(r.Name, "CloudFormation manages it, in stack %s: let that go before you apply the file, or both will change it", r.Tags[key])
		case strings.HasPrefix(strings.ToLower(key), "aws:"):
		default:
			v.Add(key, lang.NewText(r.Tags[key]))
		}
	}
	if len(v.Members) > 0 {
		e.fields["tags"] = v
	}
}

// compile is what a repository with these fields comes to.
func (w *writer) compile(name ecr.RepositoryName, s settings) (state.Repository, error) {
	d, err := w.desired(nil, []*entry{{name: name, fields: s}})
	if err != nil {
		return state.Repository{}, err
	}
	return d.Repositories[0], nil
}

// desired is what repositories with these fields and defaults come to, and the
// templates and upstreams of w.
func (w *writer) desired(defaults settings, entries []*entry) (state.Desired, error) {
	text, err := lang.Print(lang.JSON, w.file("import", defaults, entries, false))
	if err != nil {
		return state.Desired{}, err
	}
	f, _, err := spec.Load(spec.Source{Name: "import.json", Data: text})
	if err != nil {
		return state.Desired{}, firstOf(err)
	}
	d := f.Desired(w.observed.Target.Registry)
	return d.For(d.Targets[0]), nil
}

// firstOf is what is wrong with a file that was not shown, without its place.
func firstOf(err error) error {
	if list, ok := err.(spec.Errors); ok && len(list) > 0 {
		_, field, _ := strings.Cut(list[0].Field, ".")
		return fmt.Errorf("%s: %s", field, list[0].Message)
	}
	return err
}

// file is the tree of a file.
func (w *writer) file(stack string, defaults settings, entries []*entry, comments bool) *lang.Value {
	root := lang.NewMapping().Add("stack", lang.NewText(stack))
	if t := w.observed.Target; !t.Local {
		r := lang.NewMapping().Add("name", lang.NewText(t.Name)).
			Add("account", lang.NewText(string(t.Registry.Account))).Add("region", lang.NewText(string(t.Registry.Region)))
		for _, f := range [][2]string{{"role_arn", t.RoleARN}, {"profile", t.Profile}, {"endpoint", t.Endpoint}} {
			if f[1] != "" {
				r.Add(f[0], lang.NewText(f[1]))
			}
		}
		root.Add("registries", lang.NewList(r))
	}
	if len(defaults) > 0 {
		root.Add("defaults", defaults.mapping())
	}
	repositories := lang.NewMapping()
	for _, e := range entries {
		v := e.fields.mapping()
		if comments {
			v.Above = e.above
		}
		v.Gap = comments && len(v.Members)+len(e.above) > 0
		repositories.Add(string(e.name), v)
	}
	repositories.Gap = comments
	root.Add("ecr_repositories", repositories)
	return w.addSettings(root, comments)
}

// mapping are the fields in the order of the manual.
func (s settings) mapping() *lang.Value {
	v := lang.NewMapping()
	for _, name := range fields.Names(fields.Repository) {
		if value := s[name]; value != nil {
			v.Add(name, value)
		}
	}
	return v
}

func (w *writer) print(stack string, defaults settings, entries []*entry) ([]byte, error) {
	root := w.file(stack, defaults, entries, true)
	root.Above = []string{"Written by kontor import. kontor plan shows what applying it would change.", ""}
	text, err := lang.Print(w.opts.Language, root)
	if err != nil {
		return nil, fmt.Errorf("writing the file: %w", err)
	}
	return text, nil
}

// same reports whether two desired states are the same for a repository that
// exists: what is not said of scanning and encryption is off.
func same(a, b state.Repository) bool {
	scans := func(r state.Repository) bool { return r.ScanOnPush != nil && *r.ScanOnPush }
	encryption := func(r state.Repository) ecr.Encryption {
		if r.Encryption == nil {
			return ecr.Encryption{Type: "AES256"}
		}
		return *r.Encryption
	}
	return a.Name == b.Name && a.Mutability.Mode == b.Mutability.Mode && slices.Equal(a.Mutability.Filters, b.Mutability.Filters) &&
		maps.Equal(a.Tags, b.Tags) && a.Unprotected == b.Unprotected && scans(a) == scans(b) && encryption(a) == encryption(b) &&
		plan.EqualPolicy(a.Policy, b.Policy) && plan.EqualLifecycle(a.Lifecycle, b.Lifecycle)
}

func inline(v *lang.Value) *lang.Value {
	v.Inline = true
	return v
}

// texts is a list on one line.
func texts(list []string) *lang.Value {
	v := inline(lang.NewList())
	for _, s := range list {
		v.Items = append(v.Items, lang.NewText(s))
	}
	return v
}

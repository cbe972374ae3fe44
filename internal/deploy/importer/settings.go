package importer

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/kontor-registry/kontor/internal/deploy/lang"
	"github.com/kontor-registry/kontor/internal/deploy/spec/fields"
	"github.com/kontor-registry/kontor/internal/deploy/state"
	"github.com/kontor-registry/kontor/internal/ecr"
)

// templateEntry is a template of the file.
type templateEntry struct {
	prefix string
	fields settings
	above  []string
	// want is what a file without defaults compiles to.
	want state.Template
}

// upstreamEntry is an upstream of the file.
type upstreamEntry struct {
	prefix string
	value  *lang.Value
}

// settings makes the templates and upstreams of the file. What cannot be expressed is
// left out, with a notice.
func (w *writer) settings(stack string) {
	have := w.observed.Settings
	for _, prefix := range slices.Sorted(maps.Keys(have.Templates)) {
		t := have.Templates[prefix]
		name := "template " + state.Below(prefix)
		if t.Stack != "" && t.Stack != stack {
			w.tell("%s: left out: owned by stack %s", name, t.Stack)
			continue
		}
		e, err := w.templateEntry(name, t)
		if err == nil && e.fields == nil {
			continue // it was told
		}
		if err == nil {
			alone := *w
			alone.templates, alone.upstreams = []templateEntry{e}, nil
			var d state.Desired
			if d, err = alone.desired(nil, nil); err == nil {
				e.want = d.Wanted.Templates[0]
			}
		}
		if err != nil {
			w.tell("%s: left out: %v", name, err)
			continue
		}
		w.templates = append(w.templates, e)
	}
	for _, prefix := range slices.Sorted(maps.Keys(have.Upstreams)) {
		e := upstreamEntry{prefix, upstreamValue(have.Upstreams[prefix])}
		alone := *w
		alone.templates, alone.upstreams = nil, []upstreamEntry{e}
		if _, err := alone.desired(nil, nil); err != nil {
			w.tell("upstream %s: left out: %v", state.Below(prefix), err)
			continue
		}
		w.upstreams = append(w.upstreams, e)
	}
	w.named("signer", "signers", slices.Sorted(maps.Keys(have.Signers)), func(name string) (*lang.Value, string) { return signerValue(have.Signers[name]), "" })
	w.named("event receiver", "event_receivers", slices.Sorted(maps.Keys(have.Receivers)), func(name string) (*lang.Value, string) {
		return receiverValue(have.Receivers[name])
	})
	if have.Replication == nil || len(have.Replication.Rules) == 0 {
		return
	}
	alone := *w
	alone.templates, alone.upstreams, alone.replication = nil, nil, replicationValue(w.observed.Target, *have.Replication)
	if _, err := alone.desired(nil, nil); err != nil {
		w.tell("replication: left out: %v", err)
		return
	}
	w.replication = alone.replication
	if len(w.replication.Items) > len(have.Replication.Rules) {
		w.tell("replication: destinations with other options have rules of their own in the file, which a plan shows as a difference")
	}
}

// named makes the entries of a field whose settings have names. What cannot be expressed
// is left out, with a notice.
func (w *writer) named(kind, field string, names []string, value func(name string) (v *lang.Value, why string)) {
	entries := lang.NewMapping()
	for _, name := range names {
		v, why := value(name)
		if why == "" {
			alone := *w
			alone.templates, alone.upstreams, alone.extra = nil, nil, lang.NewMapping().Add(field, lang.NewMapping().Add(name, v))
			if _, err := alone.desired(nil, nil); err != nil {
				why = err.Error()
			}
		}
		if why != "" {
			w.tell("%s %s: left out: %s", kind, name, why)
			continue
		}
		entries.Add(name, v)
	}
	if len(entries.Members) > 0 {
		if w.extra == nil {
			w.extra = lang.NewMapping()
		}
		w.extra.Add(field, entries)
	}
}

func signerValue(s state.Signer) *lang.Value {
	v := lang.NewMapping()
	if len(s.Repositories) > 0 {
		v.Add("repositories", texts(s.Repositories))
	}
	for _, f := range [][2]string{
		{"key", s.Key}, {"identity", s.Identity}, {"issuer", s.Issuer}, {"trusted_root", s.TrustedRoot}, {"certificates", s.Certificates}, {"subject", s.Subject},
	} {
		if f[1] != "" {
			v.Add(f[0], lang.NewText(f[1]))
		}
	}
	return v
}

// receiverValue is r, or why it cannot be in a file.
func receiverValue(r state.EventReceiver) (v *lang.Value, why string) {
	switch {
	case r.OfServer:
		return nil, "it is in the configuration file of the server"
	case strings.Contains(r.URL, "..."):
		return nil, "parts of its URL are not shown, as they may be secrets"
	}
	v = lang.NewMapping().Add("url", lang.NewText(r.URL))
	if r.Format != fields.EventFormats[0] {
		v.Add("format", lang.NewText(r.Format))
	}
	if len(r.Types) > 0 {
		v.Add("types", texts(r.Types))
	}
	if len(r.Repositories) > 0 {
		v.Add("repositories", texts(r.Repositories))
	}
	v.Inline = len(v.Members) == 1
	return v, ""
}

// others counts what else the file has: signers, receivers of events, and replication.
func (w *writer) others() (n int) {
	if w.replication != nil {
		n++
	}
	if w.extra != nil {
		for _, m := range w.extra.Members {
			n += len(m.Value.Members)
		}
	}
	return n
}

// replicationValue are the rules of a registry.
func replicationValue(in state.Target, r state.Replication) *lang.Value {
	var rules []*lang.Value
	for _, rule := range r.Rules {
		// destinations with the same options share a rule
		var left []ecr.RegistryID
		left = append(left, rule.To...)
		for len(left) > 0 {
			o := r.Options[left[0]]
			var to []string
			rest := left[:0:0]
			for _, d := range left {
				switch name := d.String(); {
				case !r.Options[d].Equal(o):
					rest = append(rest, d)
				case d.Account == in.Registry.Account:
					to = append(to, string(d.Region))
				default:
					to = append(to, name)
				}
			}
			left = rest
			v := lang.NewMapping().Add("to", texts(to))
			for _, f := range []struct {
				name string
				list []string
			}{{"prefixes", rule.Prefixes}, {"tags", o.Tags}, {"exclude", o.Exclude}} {
				if len(f.list) > 0 {
					v.Add(f.name, texts(f.list))
				}
			}
			if o.Deletions {
				v.Add("deletions", lang.NewBoolean(true))
			}
			rules = append(rules, v)
		}
	}
	return lang.NewList(rules...)
}

// tell keeps a notice that is about no repository.
func (w *writer) tell(format string, args ...any) {
	w.notices = append(w.notices, Notice{Message: fmt.Sprintf(format, args...)})
}

// templateEntry makes the fields of a template: those of a repository with its
// settings, and its own. They are nil when they cannot be expressed.
func (w *writer) templateEntry(name string, t state.Template) (templateEntry, error) {
	sub := &writer{observed: state.Observed{Target: w.observed.Target}, opts: w.opts, lifecycles: w.lifecycles, policies: w.policies}
	r := t.Repository
	r.Name = "template"
	e := sub.entry(r)
	for _, n := range sub.notices {
		w.tell("%s: %s", name, n.Message)
	}
	if e == nil {
		return templateEntry{}, nil
	}
	out := templateEntry{prefix: t.Prefix, fields: e.fields, above: e.above}
	delete(out.fields, "delete_protection")
	if t.Description != "" {
		out.fields["description"] = lang.NewText(t.Description)
	}
	list := make([]string, len(t.AppliedFor))
	for i, x := range t.AppliedFor {
		list[i] = string(x)
	}
	slices.Sort(list)
	if !slices.Equal(list, []string{string(ecr.CreateOnPush)}) {
		out.fields["applied_for"] = texts(list)
	}
	if t.RoleARN != "" {
		out.fields["role_arn"] = lang.NewText(t.RoleARN)
	}
	return out, nil
}

func upstreamValue(u state.Upstream) *lang.Value {
	v := lang.NewMapping().Add("registry", lang.NewText(u.Host))
	prefix := u.UpstreamPrefix
	if prefix == ecr.RootPrefix {
		prefix = ""
	}
	for _, f := range [][2]string{{"upstream_prefix", prefix}, {"credential", u.Credential}, {"role_arn", u.RoleARN}} {
		if f[1] != "" {
			v.Add(f[0], lang.NewText(f[1]))
		}
	}
	v.Inline = len(v.Members) == 1
	return v
}

// addSettings adds the templates and upstreams to the tree of a file.
func (w *writer) addSettings(root *lang.Value, comments bool) *lang.Value {
	if len(w.templates) > 0 {
		templates := lang.NewMapping()
		for _, e := range w.templates {
			v := lang.NewMapping()
			for _, name := range fields.Names(fields.Template) {
				if value := e.fields[name]; value != nil {
					v.Add(name, value)
				}
			}
			if comments {
				v.Above = e.above
			}
			templates.Add(e.prefix, v)
		}
		templates.Gap = comments
		root.Add("templates", templates)
	}
	if len(w.upstreams) > 0 {
		upstreams := lang.NewMapping()
		for _, e := range w.upstreams {
			upstreams.Add(e.prefix, e.value)
		}
		upstreams.Gap = comments
		root.Add("upstreams", upstreams)
	}
	if w.extra != nil {
		for _, m := range w.extra.Members {
			m.Value.Gap = comments
			root.Add(m.Key, m.Value)
		}
	}
	if w.replication != nil {
		root.Add("replication", w.replication)
	}
	return root
}

// sameTemplates reports whether the templates of d are those that are wanted.
func (w *writer) sameTemplates(d state.Desired) bool {
	return slices.EqualFunc(d.Wanted.Templates, w.templates, func(a state.Template, e templateEntry) bool {
		b := e.want
		return a.Prefix == b.Prefix && a.Description == b.Description && a.RoleARN == b.RoleARN && slices.Equal(a.AppliedFor, b.AppliedFor) && same(a.Repository, b.Repository)
	})
}

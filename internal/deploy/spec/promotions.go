package spec

import (
	"strconv"

	"github.com/kontor-registry/kontor/internal/deploy/lang"
	"github.com/kontor-registry/kontor/internal/deploy/spec/fields"
	"github.com/kontor-registry/kontor/internal/deploy/state"
)

// promotion reads an entry of promotions.
func (r *reader) promotion(n node) {
	before := len(r.errs)
	m := r.object(n, "promotions")
	if m == nil {
		if n.Kind == lang.Null {
			r.wrong(n, "want a mapping with the fields name, from and to, but the entry is empty")
		}
		return
	}
	if len(r.errs) == before {
		r.need(n, m, "a promotion", "name", "from", "to")
	}
	t := state.Promotion{Repositories: every, Tags: every, Origin: n.origin()}
	t.Name = r.checked(m["name"], func(s string) string {
		if !fields.RegistryName.MatchString(s) {
			return strconv.Quote(lang.Clip(s)) + " is not a promotion's name: want 1 to 63 letters, digits, '.', '_' and '-', beginning with a letter or digit"
		}
		return ""
	})
	for _, other := range r.promotions {
		if t.Name != "" && other.Name == t.Name {
			r.wrong(m["name"], "promotion %q is given twice, first at %s", t.Name, from(other.Origin.Position, n.At))
		}
	}
	if v, ok := m["from"]; ok {
		if t.From, ok = r.text(v); ok {
			r.routed = append(r.routed, v)
		}
	}
	if v, ok := m["to"]; ok {
		for _, item := range r.registryNames(v) {
			if item.Text == t.From {
				r.wrong(item, "%s is already the registry in from", lang.Clip(t.From))
			}
			t.To = append(t.To, item.Text)
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

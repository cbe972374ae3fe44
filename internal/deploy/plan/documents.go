package plan

import (
	"strconv"

	"github.com/kontor-registry/kontor/lifecycle"
	"github.com/kontor-registry/kontor/policy"
)

// EqualPolicy reports whether two repository policies, "" for none, mean the
// same. Documents that cannot be read are equal only as texts.
func EqualPolicy(a, b string) bool {
	if a == b {
		return true
	}
	if a == "" || b == "" {
		return false
	}
	x, err := policy.Parse([]byte(a))
	if err != nil {
		return false
	}
	y, err := policy.Parse([]byte(b))
	return err == nil && policy.Equal(x, y)
}

// EqualLifecycle is EqualPolicy for lifecycle policies.
func EqualLifecycle(a, b string) bool {
	if a == b {
		return true
	}
	if a == "" || b == "" {
		return false
	}
	x, err := lifecycle.Decode([]byte(a))
	if err != nil {
		return false
	}
	y, err := lifecycle.Decode([]byte(b))
	return err == nil && lifecycle.Equal(x, y)
}

// part is a statement or rule, taken out of its document.
type part struct {
	name string
	// named: the name is the part's own, not its place in the document.
	named bool
	// priority is a rule's, 0 for a statement.
	priority int
	// text is a document that holds only this part, equal tells whether
	// another such text means the same.
	text  string
	equal func(a, b string) bool
}

// statements takes a repository policy apart; "" has no statements.
func statements(doc string) ([]part, error) {
	if doc == "" {
		return nil, nil
	}
	d, err := policy.Parse([]byte(doc))
	if err != nil {
		return nil, err
	}
	var parts []part
	for i, s := range d.Statements {
		name := s.Sid
		if name == "" {
			name = "#" + strconv.Itoa(i+1)
		}
		parts = append(parts, part{
			name: name, named: s.Sid != "",
			text: policy.Document{Version: d.Version, Statements: []policy.Statement{s}}.String(), equal: EqualPolicy,
		})
	}
	return parts, nil
}

// rules takes a lifecycle policy apart; "" has no rules.
func rules(doc string) ([]part, error) {
	if doc == "" {
		return nil, nil
	}
	p, err := lifecycle.Decode([]byte(doc))
	if err != nil {
		return nil, err
	}
	var parts []part
	for _, r := range p.Rules {
		parts = append(parts, part{
			name: strconv.Itoa(r.Priority), named: true, priority: r.Priority,
			text: lifecycle.Policy{Rules: []lifecycle.Rule{r}}.String(), equal: EqualLifecycle,
		})
	}
	return parts, nil
}

// compareParts lists what is in one list and not in the other, and what has
// the same name with another meaning: first what changed or went, in old's
// order, then what came, in now's. field is the origin of a new part. Parts
// that mean the same are paired first, whatever their names, so that a
// renamed statement is not said to be lost.
func compareParts(old, now []part, field func(part) string) []Part {
	pairs := make([]int, len(old)) // index into now, or -1
	taken := make([]bool, len(now))
	pair := func(i int, fits func(o, n part) bool) {
		for j, n := range now {
			if pairs[i] < 0 && !taken[j] && fits(old[i], n) {
				pairs[i], taken[j] = j, true
			}
		}
	}
	for i := range old {
		pairs[i] = -1
		pair(i, func(o, n part) bool { return o.equal(o.text, n.text) })
	}
	var out []Part
	for i, o := range old {
		same := pairs[i] >= 0
		pair(i, func(o, n part) bool { return o.named && n.named && o.name == n.name })
		switch {
		case same:
		case pairs[i] < 0:
			out = append(out, Part{Name: o.name, Action: Remove, Old: o.text})
		default:
			n := now[pairs[i]]
			out = append(out, Part{Name: o.name, Action: Modify, Old: o.text, New: n.text, Field: field(n)})
		}
	}
	for j, n := range now {
		if !taken[j] {
			out = append(out, Part{Name: n.name, Action: Add, New: n.text, Field: field(n)})
		}
	}
	return out
}

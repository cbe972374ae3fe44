package policy

import (
	"slices"

	"github.com/kontor-registry/kontor/internal/jsonpos"
)

// String is the document as JSON without spaces, with the elements in AWS's
// order and lists of one element as that element. Parse reads it back as an
// equal document, if d is valid.
func (d Document) String() string { return string(d.tree().compact(nil)) }

// MarshalJSON is String; package json may add escapes.
func (d Document) MarshalJSON() ([]byte, error) { return []byte(d.String()), nil }

// Pretty is the document in the form in which ECR returns policies, which is
// that of the Jackson library: two spaces of indent, " : " after names, and
// arrays on the line where they begin.
func (d Document) Pretty() string { return string(d.tree().pretty(nil, "\n")) }

// node is JSON to be printed: one of a string, an array and an object.
type node struct {
	text    string
	items   []node // of an array
	members []pair // of an object
}

type pair struct {
	name  string
	value node
}

// add appends a member, unless its value is nothing at all.
func (n *node) add(name string, value node) {
	if value.text != "" || value.items != nil || value.members != nil {
		n.members = append(n.members, pair{name, value})
	}
}

func (d Document) tree() node {
	var n node
	n.add("Version", node{text: string(d.Version)})
	n.add("Id", node{text: d.ID})
	statements := node{items: []node{}}
	for _, s := range d.Statements {
		statements.items = append(statements.items, s.tree())
	}
	n.add("Statement", statements)
	return n
}

func (s Statement) tree() node {
	n := node{members: []pair{}}
	n.add("Sid", node{text: s.Sid})
	n.add("Effect", node{text: string(s.Effect)})
	n.add("Principal", s.Principal.tree())
	n.add("NotPrincipal", s.NotPrincipal.tree())
	n.add("Action", list(s.Action))
	n.add("NotAction", list(s.NotAction))
	n.add("Resource", list(s.Resource))
	n.add("NotResource", list(s.NotResource))
	var conditions node
	for _, c := range s.Condition {
		i := slices.IndexFunc(conditions.members, func(p pair) bool { return p.name == c.Operator })
		if i < 0 {
			i = len(conditions.members)
			conditions.members = append(conditions.members, pair{name: c.Operator})
		}
		of := &conditions.members[i].value
		of.members = append(of.members, pair{c.Key, list(append([]string{}, c.Values...))})
	}
	n.add("Condition", conditions)
	return n
}

func (p Principals) tree() node {
	if p.Everyone {
		return node{text: "*"}
	}
	var n node
	for _, l := range p.lists() {
		n.add(l.name, list(l.ids))
	}
	return n
}

// list is nothing for nil, and an array for an empty list.
func list(values []string) node {
	if len(values) == 1 {
		return node{text: values[0]}
	}
	var n node
	if values != nil {
		n.items = []node{}
	}
	for _, s := range values {
		n.items = append(n.items, node{text: s})
	}
	return n
}

func (n node) compact(b []byte) []byte {
	switch {
	case n.members != nil:
		b = append(b, '{')
		for i, m := range n.members {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(jsonpos.AppendString(b, m.name), ':')
			b = m.value.compact(b)
		}
		return append(b, '}')
	case n.items != nil:
		b = append(b, '[')
		for i, item := range n.items {
			if i > 0 {
				b = append(b, ',')
			}
			b = item.compact(b)
		}
		return append(b, ']')
	}
	return jsonpos.AppendString(b, n.text)
}

// pretty prints a node that begins on a line whose indent, with the line
// break before it, is indent. Only objects indent.
func (n node) pretty(b []byte, indent string) []byte {
	switch {
	case n.members != nil:
		b = append(b, '{')
		for i, m := range n.members {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(b, indent+"  "...)
			b = append(jsonpos.AppendString(b, m.name), " : "...)
			b = m.value.pretty(b, indent+"  ")
		}
		return append(b, indent+"}"...)
	case n.items != nil:
		b = append(b, '[')
		for i, item := range n.items {
			if i > 0 {
				b = append(b, ',')
			}
			b = item.pretty(append(b, ' '), indent)
		}
		return append(b, " ]"...)
	}
	return jsonpos.AppendString(b, n.text)
}

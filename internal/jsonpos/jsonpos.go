// Package jsonpos reads JSON strictly and keeps where everything stood, so
// that a document's reader can say "2:14: rules[0].action: ..." for each thing
// it refuses. It also writes JSON strings without the HTML escapes of
// encoding/json, which would count against a document's size.
//
// Strict means RFC 8259 and nothing else: one value, valid UTF-8, no
// byte order mark, no lone surrogates, no name twice in one object, no more
// than MaxDepth levels. What the values mean is left to the caller.
package jsonpos

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// MaxDepth bounds how deep arrays and objects may nest.
const MaxDepth = 100

// Pos is a place in a text. Offset counts bytes from 0; Line and Column count
// from 1, the column in characters. The zero Pos means no place.
type Pos struct {
	Offset, Line, Column int
}

// String is "line:column".
func (p Pos) String() string { return strconv.Itoa(p.Line) + ":" + strconv.Itoa(p.Column) }

// Kind is the JSON type of a value.
type Kind uint8

// The six types of JSON.
const (
	Null Kind = iota
	Boolean
	Number
	String
	Array
	Object
)

// String is the type's name in JSON Schema: "null", "boolean", "number",
// "string", "array" or "object".
func (k Kind) String() string {
	return [...]string{"null", "boolean", "number", "string", "array", "object"}[k]
}

// Value is one value of a document. Values are not changed after Parse.
type Value struct {
	Kind Kind
	Pos  Pos // of its first byte
	// Text is a string's content without quotes and escapes, a number's
	// literal, "true" or "false"; empty for the others.
	Text    string
	Items   []*Value // of an array
	Members []Member // of an object, in the order of the text, names unique

	parent *Value
	step   any // how the parent leads here: a string or an int
}

// Member is one name and value of an object.
type Member struct {
	Name    string
	NamePos Pos
	Value   *Value
}

// Get returns the member called name of an object, nil when there is none.
func (v *Value) Get(name string) *Value {
	for _, m := range v.Members {
		if m.Name == name {
			return m.Value
		}
	}
	return nil
}

// IsInteger reports whether v is a number written without fraction and
// exponent.
func (v *Value) IsInteger() bool {
	return v.Kind == Number && !strings.ContainsAny(v.Text, ".eE")
}

// Path is the way from the root to v.
func (v *Value) Path() Path {
	var p Path
	for ; v.parent != nil; v = v.parent {
		p = append(p, v.step)
	}
	slices.Reverse(p)
	return p
}

// Locate follows path from v as far as it goes and returns the value it
// reached. An index into a value that is not an array stays where it is, so that
// the path of a list's element also finds the single value that some formats
// allow in its place.
func (v *Value) Locate(path Path) *Value {
	for _, step := range path {
		next := v
		switch s := step.(type) {
		case string:
			next = v.Get(s)
		case int:
			if v.Kind == Array {
				if s >= len(v.Items) {
					return v
				}
				next = v.Items[s]
			}
		}
		if next == nil {
			return v
		}
		v = next
	}
	return v
}

// Path leads from the root of a document to a value: strings are the names of
// members, ints the indexes of items.
type Path []any

// At is p and then steps. It never shares memory with p.
func (p Path) At(steps ...any) Path { return slices.Concat(p, steps) }

// String is the path as in "rules[1].selection.countUnit"; names that are not
// words are quoted: `Condition.StringEquals["aws:PrincipalOrgID"]`. The root
// is "".
func (p Path) String() string {
	var b strings.Builder
	for _, step := range p {
		switch s := step.(type) {
		case int:
			fmt.Fprintf(&b, "[%d]", s)
		case string:
			switch {
			case !isWord(s):
				fmt.Fprintf(&b, "[%q]", s)
			case b.Len() > 0:
				b.WriteString("." + s)
			default:
				b.WriteString(s)
			}
		}
	}
	return b.String()
}

func isWord(s string) bool {
	for _, r := range s {
		if !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '_' || r == '-') {
			return false
		}
	}
	return s != ""
}

// SyntaxError says why a text is not strict JSON.
type SyntaxError struct {
	Pos  Pos
	Path Path // of the value that was being read
	Msg  string
}

// Error is "line:column: path: message".
func (e *SyntaxError) Error() string {
	s := e.Pos.String() + ": "
	if p := e.Path.String(); p != "" {
		s += p + ": "
	}
	return s + e.Msg
}

package lang

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/kontor-registry/kontor/internal/deploy/state"
	"github.com/kontor-registry/kontor/internal/jsonpos"
)

// Kind is the type of a value.
type Kind uint8

// The kinds.
const (
	Null Kind = iota
	Boolean
	Integer // a decimal number without fraction and exponent
	Number  // any other number
	Text
	List
	Mapping
	Broken // something that was refused as it was read: nothing more is said of it
)

// Value is one value of a file, whatever the file's language.
type Value struct {
	Kind Kind
	// At is where it begins.
	At state.Position
	// Text is a text's content; a number or boolean as it is written, such as
	// "1e3" or "True".
	Text string
	// Plain is set for a text of YAML that has no quotes.
	Plain bool
	// Items are those of a list.
	Items []*Value
	// Members are those of a mapping, in the file's order; keys are unique.
	Members []Member

	// Above and Beside are the comments of the entry that v is the value of, or
	// of the file: lines above it, and words at the end of its line. Below are
	// lines at the end of the file; only its outermost value has them. They are
	// without marks; an empty line parts paragraphs. JSON has none.
	Above, Below []string
	Beside       string
	// Gap: there is a blank line above the entry.
	Gap bool
	// Inline: the list or mapping is on one line, as {a: 1}. JSON has none.
	Inline bool

	from  *Source // of a text that was read
	start int     // its offset in that; -1 for what At says
	size  int     // how many values it holds, itself included, aliases counted in full
}

// Member is one key of a mapping, with its place and its value.
type Member struct {
	Key   string
	At    state.Position
	Value *Value
}

// NewText returns a text for Print. NewInteger, NewBoolean, NewList and
// NewMapping are likewise.
func NewText(s string) *Value { return &Value{Kind: Text, Text: s} }

// NewInteger returns a whole number.
func NewInteger(n int) *Value { return &Value{Kind: Integer, Text: strconv.Itoa(n)} }

// NewBoolean returns true or false.
func NewBoolean(b bool) *Value { return &Value{Kind: Boolean, Text: strconv.FormatBool(b)} }

// NewList returns a list.
func NewList(items ...*Value) *Value { return &Value{Kind: List, Items: items} }

// NewMapping returns a mapping without members.
func NewMapping() *Value { return &Value{Kind: Mapping} }

// Add puts a member at the end of the mapping v, and returns v. The key must
// not be in it.
func (v *Value) Add(key string, value *Value) *Value {
	v.Members = append(v.Members, Member{Key: key, Value: value})
	return v
}

// Get returns the value of a member, nil when there is none.
func (v *Value) Get(key string) *Value {
	for _, m := range v.Members {
		if m.Key == key {
			return m.Value
		}
	}
	return nil
}

// True reports whether v is the boolean true.
func (v *Value) True() bool { return v.Kind == Boolean && strings.EqualFold(v.Text, "true") }

// String says what v is, for messages: `the number 5`, `a list`.
func (v *Value) String() string {
	switch v.Kind {
	case Null:
		return "nothing"
	case Boolean:
		return v.Text
	case Integer, Number:
		return "the number " + Clip(v.Text)
	case Text:
		return "the string " + strconv.Quote(Clip(v.Text))
	case List:
		return "a list"
	}
	return "a mapping"
}

// Clip shortens s for a message.
func Clip(s string) string {
	const most = 80
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "..."
	}
	return s
}

// IsDigits reports whether s is digits and nothing else.
func IsDigits(s string) bool {
	for _, c := range s {
		if c < '0' || '9' < c {
			return false
		}
	}
	return s != ""
}

// IsDecimal reports whether s is an integer as JSON writes it, a leading zero
// or plus aside.
func IsDecimal(s string) bool {
	if s != "" && (s[0] == '-' || s[0] == '+') {
		s = s[1:]
	}
	return IsDigits(s)
}

// AppendJSON appends v as JSON, for which path is the way to it. places, if not nil, gets the position of each
// value by its path, as in "rules[0].action".
func (v *Value) AppendJSON(b []byte, path jsonpos.Path, places map[string]state.Position) ([]byte, error) {
	if places != nil {
		places[path.String()] = v.At
	}
	var err error
	switch v.Kind {
	case Null:
		return append(b, "null"...), nil
	case Boolean:
		return strconv.AppendBool(b, v.True()), nil
	case Integer:
		n, err := strconv.ParseInt(v.Text, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("%s: the number %s is too large", path, Clip(v.Text))
		}
		return strconv.AppendInt(b, n, 10), nil
	case Number:
		f, err := strconv.ParseFloat(v.Text, 64)
		if err != nil || f != f || f-f != 0 {
			return nil, fmt.Errorf("%s: %s is not a number of JSON", path, Clip(v.Text))
		}
		return strconv.AppendFloat(b, f, 'g', -1, 64), nil
	case Text:
		return jsonpos.AppendString(b, v.Text), nil
	case List:
		b = append(b, '[')
		for i, item := range v.Items {
			if i > 0 {
				b = append(b, ',')
			}
			if b, err = item.AppendJSON(b, path.At(i), places); err != nil {
				return nil, err
			}
		}
		return append(b, ']'), nil
	}
	b = append(b, '{')
	for i, m := range v.Members {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(jsonpos.AppendString(b, m.Key), ':')
		if b, err = m.Value.AppendJSON(b, path.At(m.Key), places); err != nil {
			return nil, err
		}
	}
	return append(b, '}'), nil
}

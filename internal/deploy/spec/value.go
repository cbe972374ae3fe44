package spec

import (
	"fmt"
	"strconv"

	"github.com/kontor-registry/kontor/internal/deploy/state"
	"github.com/kontor-registry/kontor/internal/jsonpos"
)

// Bounds on what is read. They lie far above what a person writes and keep a
// hostile file from taking the machine with it.
const (
	maxBytes = 16 << 20 // of one source
	maxDepth = jsonpos.MaxDepth
)

// kind is the type of a value.
type kind uint8

const (
	null kind = iota
	boolean
	integer // a decimal number without fraction and exponent
	number  // any other number
	text
	list
	mapping
	broken // something that was refused already: nothing more is said of it
)

// value is one value of a file, whatever the file's language, with its place.
type value struct {
	kind  kind
	at    state.Position
	text  string // of a scalar: a text's content, else as written
	plain bool   // a text without quotes, of YAML
	items []*value
	// members are those of a mapping in the file's order; keys are unique.
	members []member
	size    int // how many values it holds, itself included, aliases counted in full
}

// member is one key of a mapping and its value.
type member struct {
	key   string
	at    state.Position
	value *value
}

// String says what v is, for messages: `the number 5`, `a list`.
func (v *value) String() string {
	switch v.kind {
	case null:
		return "nothing"
	case boolean:
		return v.text
	case integer, number:
		return "the number " + clip(v.text)
	case text:
		return "the text " + strconv.Quote(clip(v.text))
	case list:
		return "a list"
	}
	return "a mapping"
}

// clip shortens s for a message.
func clip(s string) string {
	const most = 80
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "..."
	}
	return s
}

// isDigits reports whether s is digits and nothing else.
func isDigits(s string) bool {
	for _, c := range s {
		if c < '0' || '9' < c {
			return false
		}
	}
	return s != ""
}

// isDecimal reports whether s is an integer as JSON writes it, a leading zero
// or plus aside.
func isDecimal(s string) bool {
	if s != "" && (s[0] == '-' || s[0] == '+') {
		s = s[1:]
	}
	return isDigits(s)
}

// parse reads the source's text into values. It returns nil when there is
// nothing to go on with; what is wrong is in p.
func parse(p *problems, s Source) *value {
	start := state.Position{File: s.Name, Line: 1, Column: 1}
	if len(s.Data) > maxBytes {
		p.errorf(start, nil, "the file has %d bytes; at most %d are read", len(s.Data), maxBytes)
		return nil
	}
	data := s.Data
	if bad, ok := invalidUTF8(s.Name, data); ok {
		p.errorf(bad, nil, "the file is not UTF-8 text")
		return nil
	}
	switch languageOf(s.Name) {
	case JSON:
		return parseJSON(p, s.Name, data)
	case HCL:
		return parseHCL(p, s.Name, data)
	}
	return parseYAML(p, s.Name, data)
}

// appendJSON appends v as JSON. places, if not nil, gets the position of each
// value by its path, as in "rules[0].action".
func (v *value) appendJSON(b []byte, path jsonpos.Path, places map[string]state.Position) ([]byte, error) {
	if places != nil {
		places[path.String()] = v.at
	}
	var err error
	switch v.kind {
	case null:
		return append(b, "null"...), nil
	case boolean:
		return strconv.AppendBool(b, isTrue(v.text)), nil
	case integer:
		n, err := strconv.ParseInt(v.text, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("%s: the number %s is too large", path, clip(v.text))
		}
		return strconv.AppendInt(b, n, 10), nil
	case number:
		f, err := strconv.ParseFloat(v.text, 64)
		if err != nil || f != f || f-f != 0 {
			return nil, fmt.Errorf("%s: %s is not a number of JSON", path, clip(v.text))
		}
		return strconv.AppendFloat(b, f, 'g', -1, 64), nil
	case text:
		return jsonpos.AppendString(b, v.text), nil
	case list:
		b = append(b, '[')
		for i, item := range v.items {
			if i > 0 {
				b = append(b, ',')
			}
			if b, err = item.appendJSON(b, path.At(i), places); err != nil {
				return nil, err
			}
		}
		return append(b, ']'), nil
	}
	b = append(b, '{')
	for i, m := range v.members {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(jsonpos.AppendString(b, m.key), ':')
		if b, err = m.value.appendJSON(b, path.At(m.key), places); err != nil {
			return nil, err
		}
	}
	return append(b, '}'), nil
}

// isTrue reads a boolean of either language.
func isTrue(s string) bool { return s != "" && (s[0] == 't' || s[0] == 'T') }

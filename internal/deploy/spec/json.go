package spec

import (
	"errors"
	"strings"
	"unicode/utf8"

	"github.com/kontor-registry/kontor/internal/deploy/state"
	"github.com/kontor-registry/kontor/internal/jsonpos"
)

// invalidUTF8 finds the first byte that is not UTF-8.
func invalidUTF8(name string, data []byte) (state.Position, bool) {
	if utf8.Valid(data) {
		return state.Position{}, false
	}
	at := state.Position{File: name, Line: 1, Column: 1}
	for i := 0; i < len(data); {
		r, n := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && n == 1 {
			break
		}
		i += n
		at.Column++
		if r == '\n' {
			at.Line++
			at.Column = 1
		}
	}
	return at, true
}

func parseJSON(p *problems, name string, data []byte) *value {
	place := func(at jsonpos.Pos) state.Position {
		return state.Position{File: name, Line: at.Line, Column: at.Column}
	}
	if len(strings.TrimSpace(string(data))) == 0 {
		return &value{at: state.Position{File: name, Line: 1, Column: 1}, size: 1}
	}
	root, err := jsonpos.Parse(data)
	if err != nil {
		var syntax *jsonpos.SyntaxError
		if errors.As(err, &syntax) {
			p.errorf(place(syntax.Pos), syntax.Path, "%s", syntax.Msg)
			return nil
		}
		p.errorf(state.Position{File: name}, nil, "%v", err)
		return nil
	}
	var convert func(j *jsonpos.Value) *value
	convert = func(j *jsonpos.Value) *value {
		v := &value{at: place(j.Pos), text: j.Text, size: 1}
		switch j.Kind {
		case jsonpos.Null:
			v.kind = null
		case jsonpos.Boolean:
			v.kind = boolean
		case jsonpos.Number:
			v.kind = number
			if j.IsInteger() {
				v.kind = integer
			}
		case jsonpos.String:
			v.kind = text
		case jsonpos.Array:
			v.kind = list
			for _, item := range j.Items {
				v.items = append(v.items, convert(item))
			}
		case jsonpos.Object:
			v.kind = mapping
			for _, m := range j.Members {
				v.members = append(v.members, member{m.Name, place(m.NamePos), convert(m.Value)})
			}
		}
		return v
	}
	return convert(root)
}

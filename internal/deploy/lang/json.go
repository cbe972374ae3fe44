package lang

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

// jsonAdvice adds what to do to the errors that people meet.
func jsonAdvice(data []byte, err *jsonpos.SyntaxError) string {
	before := strings.TrimRight(string(data[:err.Pos.Offset]), " \t\r\n")
	rest := string(data[err.Pos.Offset:])
	switch {
	case strings.HasPrefix(rest, "//"), strings.HasPrefix(rest, "/*"), strings.HasPrefix(rest, "#"):
		return "; JSON has no comments, YAML and HCL do"
	case strings.HasPrefix(rest, "'"):
		return "; JSON allows only double quotes"
	case strings.HasSuffix(before, ",") && (strings.HasPrefix(rest, "}") || strings.HasPrefix(rest, "]")):
		return "; remove the comma before it"
	}
	return ""
}

func parseJSON(p *problems, s *Source) *Value {
	name, data := s.Name, s.Data
	place := func(at jsonpos.Pos) state.Position {
		return state.Position{File: name, Line: at.Line, Column: at.Column}
	}
	if len(strings.TrimSpace(string(data))) == 0 {
		return &Value{At: state.Position{File: name, Line: 1, Column: 1}, size: 1}
	}
	root, err := jsonpos.Parse(data)
	if err != nil {
		var syntax *jsonpos.SyntaxError
		if errors.As(err, &syntax) {
			p.errorf(place(syntax.Pos), syntax.Path, "%s%s", syntax.Msg, jsonAdvice(data, syntax))
			return nil
		}
		p.errorf(state.Position{File: name}, nil, "%v", err)
		return nil
	}
	var convert func(j *jsonpos.Value) *Value
	convert = func(j *jsonpos.Value) *Value {
		v := &Value{At: place(j.Pos), Text: j.Text, size: 1}
		switch j.Kind {
		case jsonpos.Null:
			v.Kind = Null
		case jsonpos.Boolean:
			v.Kind = Boolean
		case jsonpos.Number:
			v.Kind = Number
			if j.IsInteger() {
				v.Kind = Integer
			}
		case jsonpos.String:
			v.Kind, v.from, v.start = Text, s, j.Pos.Offset
		case jsonpos.Array:
			v.Kind = List
			for _, item := range j.Items {
				v.Items = append(v.Items, convert(item))
			}
		case jsonpos.Object:
			v.Kind = Mapping
			for _, m := range j.Members {
				v.Members = append(v.Members, Member{m.Name, place(m.NamePos), convert(m.Value)})
			}
		}
		return v
	}
	return convert(root)
}

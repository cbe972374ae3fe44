package jsonpos

import (
	"fmt"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// Parse reads text, which must hold exactly one JSON value. Every error is a
// *SyntaxError.
func Parse(text []byte) (*Value, error) {
	p := parser{text: text, at: Pos{Line: 1, Column: 1}}
	v := &Value{}
	if err := p.value(v, 0); err != nil {
		return nil, err
	}
	p.space()
	if p.off < len(p.text) {
		return nil, p.fail(nil, "%s after the end of the document", p.here())
	}
	return v, nil
}

type parser struct {
	text []byte
	off  int // of the next byte
	at   Pos // a place at or before off; see pos
}

// pos is the place of the next byte. It moves p.at forward, so that all the
// calls together read the text once.
func (p *parser) pos() Pos {
	for p.at.Offset < p.off {
		r, n := utf8.DecodeRune(p.text[p.at.Offset:p.off])
		p.at.Offset += n
		p.at.Column++
		if r == '\n' {
			p.at.Line++
			p.at.Column = 1
		}
	}
	return p.at
}

// here names the next byte for messages.
func (p *parser) here() string {
	if p.off >= len(p.text) {
		return "end of text"
	}
	r, n := utf8.DecodeRune(p.text[p.off:])
	if r == utf8.RuneError && n == 1 {
		return fmt.Sprintf("byte 0x%02x", p.text[p.off])
	}
	return strconv.QuoteRune(r)
}

func (p *parser) fail(v *Value, format string, args ...any) error {
	e := &SyntaxError{Pos: p.pos(), Msg: fmt.Sprintf(format, args...)}
	if v != nil {
		e.Path = v.Path()
	}
	return e
}

func (p *parser) space() {
	for p.off < len(p.text) {
		switch p.text[p.off] {
		case ' ', '\t', '\r', '\n':
			p.off++
		default:
			return
		}
	}
}

// next skips space and returns the byte after it, 0 at the end.
func (p *parser) next() byte {
	p.space()
	if p.off < len(p.text) {
		return p.text[p.off]
	}
	return 0
}

// value reads into v, whose parent and step are set.
func (p *parser) value(v *Value, depth int) error {
	c := p.next()
	v.Pos = p.pos()
	switch {
	case c == '{' || c == '[':
		if depth == MaxDepth {
			return p.fail(nil, "nested deeper than %d levels", MaxDepth)
		}
		if c == '{' {
			return p.object(v, depth)
		}
		return p.array(v, depth)
	case c == '"':
		v.Kind = String
		var err error
		v.Text, err = p.str(v)
		return err
	case c == '-' || '0' <= c && c <= '9':
		return p.number(v)
	case p.word("true"), p.word("false"):
		v.Kind, v.Text = Boolean, string(p.text[v.Pos.Offset:p.off])
		return nil
	case p.word("null"):
		return nil
	}
	return p.fail(v, "%s where a value should be", p.here())
}

// word takes w off the text when it is next.
func (p *parser) word(w string) bool {
	if len(p.text)-p.off < len(w) || string(p.text[p.off:p.off+len(w)]) != w {
		return false
	}
	p.off += len(w)
	return true
}

func (p *parser) array(v *Value, depth int) error {
	v.Kind = Array
	p.off++
	if p.next() == ']' {
		p.off++
		return nil
	}
	for {
		item := &Value{parent: v, step: len(v.Items)}
		if err := p.value(item, depth+1); err != nil {
			return err
		}
		v.Items = append(v.Items, item)
		switch p.next() {
		case ',':
			p.off++
		case ']':
			p.off++
			return nil
		default:
			return p.fail(v, `%s where "," or "]" should be`, p.here())
		}
	}
}

func (p *parser) object(v *Value, depth int) error {
	v.Kind = Object
	p.off++
	if p.next() == '}' {
		p.off++
		return nil
	}
	seen := map[string]Pos{}
	for {
		if p.next() != '"' {
			return p.fail(v, "%s where a name in quotes should be", p.here())
		}
		pos := p.pos()
		name, err := p.str(v)
		if err != nil {
			return err
		}
		if first, twice := seen[name]; twice {
			return &SyntaxError{Pos: pos, Path: v.Path().At(name), Msg: "given twice, first at " + first.String()}
		}
		seen[name] = pos
		if p.next() != ':' {
			return p.fail(v, `%s where ":" should be`, p.here())
		}
		p.off++
		m := Member{Name: name, NamePos: pos, Value: &Value{parent: v, step: name}}
		if err := p.value(m.Value, depth+1); err != nil {
			return err
		}
		v.Members = append(v.Members, m)
		switch p.next() {
		case ',':
			p.off++
		case '}':
			p.off++
			return nil
		default:
			return p.fail(v, `%s where "," or "}" should be`, p.here())
		}
	}
}

func (p *parser) number(v *Value) error {
	v.Kind = Number
	start := p.off
	if !p.numeral() {
		return p.fail(v, "malformed number")
	}
	v.Text = string(p.text[start:p.off])
	return nil
}

// numeral takes a number off the text, or as much of it as is well-formed.
func (p *parser) numeral() bool {
	if p.text[p.off] == '-' {
		p.off++
	}
	zero := p.off < len(p.text) && p.text[p.off] == '0'
	if n := p.digits(); n == 0 || zero && n > 1 {
		return false
	}
	if p.off < len(p.text) && p.text[p.off] == '.' {
		p.off++
		if p.digits() == 0 {
			return false
		}
	}
	if p.off < len(p.text) && (p.text[p.off] == 'e' || p.text[p.off] == 'E') {
		p.off++
		if p.off < len(p.text) && (p.text[p.off] == '+' || p.text[p.off] == '-') {
			p.off++
		}
		if p.digits() == 0 {
			return false
		}
	}
	return true
}

func (p *parser) digits() int {
	start := p.off
	for p.off < len(p.text) && '0' <= p.text[p.off] && p.text[p.off] <= '9' {
		p.off++
	}
	return p.off - start
}

// str reads a string whose opening quote is next.
func (p *parser) str(v *Value) (string, error) {
	p.off++
	var out []byte
	for p.off < len(p.text) {
		c := p.text[p.off]
		switch {
		case c == '"':
			p.off++
			return string(out), nil
		case c < ' ':
			return "", p.fail(v, "unescaped control character 0x%02x in a string", c)
		case c == '\\':
			r, ok := p.escape()
			if !ok {
				return "", p.fail(v, "malformed escape in a string")
			}
			out = utf8.AppendRune(out, r)
		default:
			r, n := utf8.DecodeRune(p.text[p.off:])
			if r == utf8.RuneError && n == 1 {
				return "", p.fail(v, "a string is not valid UTF-8")
			}
			out = append(out, p.text[p.off:p.off+n]...)
			p.off += n
		}
	}
	return "", p.fail(v, "end of text within a string")
}

var escapes = map[byte]rune{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

// escape reads what a backslash begins. When it is malformed, it takes nothing
// off the text.
func (p *parser) escape() (rune, bool) {
	if p.off+1 >= len(p.text) {
		return 0, false
	}
	c := p.text[p.off+1]
	if r, ok := escapes[c]; ok {
		p.off += 2
		return r, true
	}
	r, ok := p.unit(p.off)
	if !ok {
		return 0, false
	}
	if !utf16.IsSurrogate(r) {
		p.off += 6
		return r, true
	}
	low, ok := p.unit(p.off + 6)
	if r = utf16.DecodeRune(r, low); !ok || r == utf8.RuneError {
		return 0, false
	}
	p.off += 12
	return r, true
}

// unit reads the UTF-16 unit of a \uXXXX at off.
func (p *parser) unit(off int) (rune, bool) {
	if off+6 > len(p.text) || p.text[off] != '\\' || p.text[off+1] != 'u' {
		return 0, false
	}
	var r rune
	for _, c := range p.text[off+2 : off+6] {
		switch {
		case '0' <= c && c <= '9':
			r = r<<4 | rune(c-'0')
		case 'a' <= c && c <= 'f':
			r = r<<4 | rune(c-'a'+10)
		case 'A' <= c && c <= 'F':
			r = r<<4 | rune(c-'A'+10)
		default:
			return 0, false
		}
	}
	return r, true
}

// AppendString appends s as a JSON string in the shortest common form: only
// quotes, backslashes and control characters are escaped. Bytes that are not
// UTF-8 become U+FFFD.
func AppendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	for _, r := range s {
		switch r {
		case '"', '\\':
			dst = append(dst, '\\', byte(r))
		case '\b':
			dst = append(dst, `\b`...)
		case '\f':
			dst = append(dst, `\f`...)
		case '\n':
			dst = append(dst, `\n`...)
		case '\r':
			dst = append(dst, `\r`...)
		case '\t':
			dst = append(dst, `\t`...)
		default:
			if r < ' ' {
				dst = fmt.Appendf(dst, `\u%04x`, r)
				continue
			}
			dst = utf8.AppendRune(dst, r)
		}
	}
	return append(dst, '"')
}

package lang

import (
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/kontor-registry/kontor/internal/lazyregexp"
)

func (w *writer) yamlFile(v *Value) {
	w.paragraphs(v.Above)
	w.gap(v.Kind != Null)
	switch {
	case v.Kind == Null:
	case v.oneLine():
		w.yamlInline(v, false)
		w.beside(v.Beside)
	default:
		w.yamlBlock(v, 0, false)
	}
	w.gap(len(v.Below) > 0)
	w.paragraphs(v.Below)
}

// yamlBlock writes the entries of a list or mapping that takes several lines.
// Where it has been begun, the first entry continues a line.
func (w *writer) yamlBlock(v *Value, indent int, begun bool) {
	lead := func(first bool, value *Value) {
		if first && begun {
			return
		}
		w.gap(value.Gap && !first)
		w.comment(indent, value.Above)
		w.indent(indent)
	}
	for i, m := range v.Members {
		lead(i == 0, m.Value)
		w.yamlKey(m.Key)
		w.WriteByte(':')
		switch {
		case m.Value.Kind == Text && blockText(m.Value.Text):
			w.WriteByte(' ')
			w.yamlText(m.Value, indent+2)
		case m.Value.oneLine():
			w.WriteByte(' ')
			w.yamlInline(m.Value, false)
			w.beside(m.Value.Beside)
		default:
			w.beside(m.Value.Beside)
			w.yamlBlock(m.Value, indent+2, false)
		}
	}
	for i, item := range v.Items {
		if !item.oneLine() && !(i == 0 && begun) {
			w.gap(item.Gap && i > 0)
			w.comment(indent, itemComments(item))
			w.indent(indent)
		} else {
			lead(i == 0, item)
		}
		w.WriteString("- ")
		switch {
		case item.Kind == Text && blockText(item.Text):
			w.yamlText(item, indent+2)
		case item.oneLine():
			w.yamlInline(item, false)
			w.beside(item.Beside)
		default:
			w.yamlBlock(item, indent+2, true)
		}
	}
}

// itemComments are the comments of an item that takes several lines: its own,
// and those of the entry that begins on the line of its dash.
func itemComments(item *Value) []string {
	out := slices.Clone(item.Above)
	if item.Beside != "" {
		out = append(out, item.Beside)
	}
	switch {
	case len(item.Members) > 0:
		out = append(out, item.Members[0].Value.Above...)
	case len(item.Items) > 0 && item.Items[0].oneLine():
		out = append(out, item.Items[0].Above...)
	case len(item.Items) > 0:
		out = append(out, itemComments(item.Items[0])...)
	}
	return out
}

// yamlInline writes v on one line. within says that it stands in brackets.
func (w *writer) yamlInline(v *Value, within bool) {
	if w.scalar(v) {
		return
	}
	switch v.Kind {
	case Text:
		w.WriteString(yamlWord(v.Text, within))
	case List:
		w.WriteByte('[')
		for i, item := range v.Items {
			if i > 0 {
				w.WriteString(", ")
			}
			w.yamlInline(item, true)
		}
		w.WriteByte(']')
	case Mapping:
		w.WriteByte('{')
		for i, m := range v.Members {
			if i > 0 {
				w.WriteString(", ")
			}
			w.yamlKey(m.Key)
			w.WriteString(": ")
			w.yamlInline(m.Value, true)
		}
		w.WriteByte('}')
	}
}

func (w *writer) yamlKey(key string) {
	w.scalar(NewText(key)) // for its check
	w.WriteString(yamlWord(key, true))
}

// blockText reports whether s, of several lines, can be written as it is.
func blockText(s string) bool {
	lines := strings.Split(strings.TrimSuffix(s, "\n"), "\n")
	if len(lines) < 2 || lines[0] == "" || lines[len(lines)-1] == "" || strings.HasPrefix(s, " ") {
		return false
	}
	for _, line := range lines {
		if line != strings.TrimRightFunc(line, unicode.IsSpace) || strings.ContainsFunc(line, func(c rune) bool { return !unicode.IsPrint(c) }) {
			return false
		}
	}
	return true
}

// yamlText writes a text for which blockText holds.
func (w *writer) yamlText(v *Value, indent int) {
	w.scalar(v) // for its check
	text, ended := strings.CutSuffix(v.Text, "\n")
	w.WriteByte('|')
	if !ended {
		w.WriteByte('-')
	}
	w.beside(v.Beside)
	for line := range strings.SplitSeq(text, "\n") {
		if line != "" {
			w.indent(indent)
		}
		w.WriteString(line + "\n")
	}
}

var (
	// plainWord are texts that need no quotes: no reader takes them for
	// something else, whatever its version of YAML.
	plainWord  = lazyregexp.New(`^[A-Za-z_/][A-Za-z0-9_./=@+:-]*( [A-Za-z0-9_./=@+:-]+)*$`)
	plainFlow  = lazyregexp.New(`^[A-Za-z_/][A-Za-z0-9_./=@+-]*( [A-Za-z0-9_./=@+-]+)*$`)
	notAText   = lazyregexp.New(`(?i)^(null|true|false|yes|no|on|off|y|n|nan|inf)$`)
	colonSpace = lazyregexp.New(`:( |$)`)
)

// yamlWord is a text on one line. within says that it stands in brackets, or
// is a key.
func yamlWord(s string, within bool) string {
	plain := plainWord
	if within {
		plain = plainFlow
	}
	if plain.MatchString(s) && !notAText.MatchString(s) && !colonSpace.MatchString(s) {
		return s
	}
	var b strings.Builder
	b.WriteByte('"')
	for _, c := range s {
		switch {
		case c == '"' || c == '\\':
			b.WriteString(`\` + string(c))
		case c == '\n':
			b.WriteString(`\n`)
		case c == '\t':
			b.WriteString(`\t`)
		case c == '\r':
			b.WriteString(`\r`)
		case unicode.IsPrint(c):
			b.WriteRune(c)
		case c <= 0xff:
			fmt.Fprintf(&b, `\x%02x`, c)
		case c <= 0xffff:
			fmt.Fprintf(&b, `\u%04x`, c)
		default:
			fmt.Fprintf(&b, `\U%08x`, c)
		}
	}
	return b.String() + `"`
}

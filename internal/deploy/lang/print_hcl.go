package lang

import (
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/hashicorp/hcl/v2/hclsyntax"
)

func (w *writer) hclFile(v *Value) {
	w.paragraphs(v.Above)
	if v.Kind != Null && v.Kind != Mapping {
		w.fail("an HCL file contains names and values, not %s", v)
	}
	w.gap(len(v.Members) > 0)
	for i, m := range v.Members {
		if !identifier(m.Key) {
			w.fail("%q cannot be a name at the top of an HCL file", Clip(m.Key))
		}
		w.hclMember(m.Key, m.Value, 0, i > 0)
	}
	w.gap(len(v.Below) > 0)
	w.paragraphs(v.Below)
}

// hclMember writes a name and its value on their own lines.
func (w *writer) hclMember(name string, v *Value, indent int, gap bool) {
	w.gap(v.Gap && gap)
	w.comment(indent, v.Above)
	heredoc := v.Kind == Text && blockText(v.Text) && strings.HasSuffix(v.Text, "\n") && !strings.Contains(v.Text, "$${") && !strings.Contains(v.Text, "%%{")
	if heredoc && v.Beside != "" {
		w.comment(indent, []string{v.Beside}) // a comment cannot follow its delimiters
	}
	w.indent(indent)
	w.WriteString(name + " = ")
	switch {
	case heredoc:
		w.hclHeredoc(v)
	case v.oneLine():
		w.hclInline(v)
		w.beside(v.Beside)
	default:
		w.hclBlock(v, indent)
		w.WriteByte('\n')
	}
}

// hclBlock writes a list or mapping that takes several lines, without the end
// of the last.
func (w *writer) hclBlock(v *Value, indent int) {
	brackets := "{}"
	if v.Kind == List {
		brackets = "[]"
	}
	w.WriteString(brackets[:1])
	w.beside(v.Beside)
	for i, m := range v.Members {
		w.hclMember(hclName(m.Key), m.Value, indent+2, i > 0)
	}
	for i, item := range v.Items {
		w.gap(item.Gap && i > 0)
		w.comment(indent+2, item.Above)
		w.indent(indent + 2)
		if item.oneLine() {
			w.hclInline(item)
			w.WriteByte(',')
			w.beside(item.Beside)
		} else {
			w.hclBlock(item, indent+2)
			w.WriteString(",\n")
		}
	}
	w.indent(indent)
	w.WriteString(brackets[1:])
}

// hclInline writes v on one line.
func (w *writer) hclInline(v *Value) {
	if w.scalar(v) {
		return
	}
	switch v.Kind {
	case Text:
		w.WriteString(hclText(v.Text))
	case List:
		w.WriteByte('[')
		for i, item := range v.Items {
			if i > 0 {
				w.WriteString(", ")
			}
			w.hclInline(item)
		}
		w.WriteByte(']')
	case Mapping:
		if len(v.Members) == 0 {
			w.WriteString("{}")
			return
		}
		w.WriteString("{ ")
		for i, m := range v.Members {
			if i > 0 {
				w.WriteString(", ")
			}
			w.scalar(NewText(m.Key)) // for its check
			w.WriteString(hclName(m.Key) + " = ")
			w.hclInline(m.Value)
		}
		w.WriteString(" }")
	}
}

// hclWords are names that mean something else than themselves, or may.
var hclWords = []string{"for", "true", "false", "null", "if", "in"}

// identifier reports whether s can be a name without quotes. The parser would
// take one after a byte order mark.
func identifier(s string) bool {
	return hclsyntax.ValidIdentifier(s) && !strings.Contains(s, "\ufeff")
}

// hclName is a key of a mapping.
func hclName(key string) string {
	if identifier(key) && !slices.Contains(hclWords, key) {
		return key
	}
	return hclText(key)
}

// hclHeredoc writes a text of lines as it is, apart from what would begin a
// template.
func (w *writer) hclHeredoc(v *Value) {
	w.scalar(v) // for its check
	end := "EOT"
	for strings.Contains(v.Text, end) {
		end += "_"
	}
	w.WriteString("<<" + end + "\n" + strings.NewReplacer("${", "$${", "%{", "%%{").Replace(v.Text) + end + "\n")
}

// hclText is a text in quotes.
func hclText(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i, c := range s {
		rest := s[i:]
		switch {
		case strings.HasPrefix(rest, "${") || strings.HasPrefix(rest, "%{"):
			// Twice the character represents it, but not where it is there twice.
			if strings.HasSuffix(s[:i], string(c)) {
				fmt.Fprintf(&b, `\u%04x`, c)
			} else {
				b.WriteString(string(c) + string(c))
			}
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
		case c <= 0xffff:
			fmt.Fprintf(&b, `\u%04x`, c)
		default:
			fmt.Fprintf(&b, `\U%08x`, c)
		}
	}
	return b.String() + `"`
}

package render

import (
	"io"
	"strings"

	"github.com/kontor-registry/kontor/internal/deploy/spec/fields"
	"github.com/kontor-registry/kontor/internal/lazyregexp"
)

// Fields writes what the manual says of each field of list.
func Fields(w io.Writer, list []fields.Field, o Options) error {
	pr := newPrinter(o)
	for i, f := range list {
		if i > 0 {
			pr.linef(plain, "")
		}
		pr.field(f)
	}
	return pr.flush(w)
}

func (p *printer) field(f fields.Field) {
	p.linef(bold, "%s", f.ID())
	p.linef(plain, "")
	p.wrapped("  ", "  ", f.Summary)
	p.linef(plain, "")
	for _, row := range f.Table() {
		p.wrapped("  "+pad(row[0]+":", 11), strings.Repeat(" ", 13), row[1])
	}
	if len(f.Details) > 0 {
		p.linef(plain, "")
	}
	for _, d := range f.Details {
		p.wrapped("  - ", "    ", d)
	}
	if f.Example != "" {
		p.linef(plain, "")
		p.linef(plain, "  Example:")
		p.linef(plain, "")
		for _, line := range strings.Split(strings.TrimSuffix(f.Example, "\n"), "\n") {
			p.linef(plain, "%s", strings.TrimRight("    "+line, " "))
		}
	}
}

func pad(s string, width int) string { return s + strings.Repeat(" ", max(0, width-len(s))) }

var markdownLink = lazyregexp.New(`\[([^\]]+)\]\([^)]+\)`)

// wrapped writes a paragraph of Markdown as text, in lines of 80.
func (p *printer) wrapped(first, others, markdown string) {
	text := strings.ReplaceAll(markdownLink.ReplaceAllString(markdown, "$1"), "`", "")
	line, empty := first, true
	for _, word := range strings.Fields(text) {
		if !empty && len(line)+1+len(word) > 80 {
			p.linef(plain, "%s", line)
			line, empty = others, true
		}
		if !empty {
			line += " "
		}
		line += word
		empty = false
	}
	p.linef(plain, "%s", line)
}

// FieldList writes the names of fields and what each is for.
func FieldList(w io.Writer, list []fields.Field, o Options) error {
	pr := newPrinter(o)
	var rows [][2]string
	for _, f := range list {
		rows = append(rows, [2]string{f.ID(), strings.ReplaceAll(markdownLink.ReplaceAllString(f.Summary, "$1"), "`", "")})
	}
	for _, l := range align("", rows) {
		pr.linef(plain, "%s", l)
	}
	return pr.flush(w)
}

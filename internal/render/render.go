// Package render writes reports for people: text and Markdown. With package
// page, for pages and pictures, it is the only place that formats for people.
// What it prints is computed by package report.
//
// What it guarantees: the text is stable (the same value gives the same bytes,
// no times, no widths taken from the terminal), it holds escape sequences only
// when colour is asked for, and text that came from a registry or a file
// cannot bring its own.
package render

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"

	"github.com/kontor-registry/kontor/internal/report/words"
)

// Options say how to write.
type Options struct {
	// Color marks additions, changes and removals with ANSI colours.
	Color bool
	// Documents adds the policy documents' own difference to a plan.
	Documents bool
	// Verbose lists every effect of a plan.
	Verbose bool
	// List adds a line for each image to a preview or forecast.
	List bool
}

// ColorFor reports whether w wants colour: it is a terminal that knows it,
// and NO_COLOR (https://no-color.org) is not set.
func ColorFor(w io.Writer, getenv func(string) string) bool {
	return getenv("NO_COLOR") == "" && getenv("TERM") != "dumb" && IsTerminal(w)
}

// IsTerminal reports whether v, a reader or writer, is a terminal.
func IsTerminal(v any) bool {
	f, ok := v.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// JSON writes v indented, with a line end.
func JSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// A color is the parameter of an ANSI SGR sequence.
type color string

const (
	plain  color = ""
	bold   color = "1"
	red    color = "31"
	green  color = "32"
	yellow color = "33"
	faint  color = "2"
)

// printer gathers text and keeps the first error of writing it.
type printer struct {
	b     strings.Builder
	color bool
}

func newPrinter(o Options) *printer { return &printer{color: o.Color} }

// linef writes one line. The format is ours; arguments that came from outside
// go through clean first.
func (p *printer) linef(c color, format string, args ...any) {
	s := fmt.Sprintf(format, args...)
	if p.color && c != plain && s != "" {
		rest := strings.TrimLeft(s, " ")
		s = s[:len(s)-len(rest)] + "\x1b[" + string(c) + "m" + rest + "\x1b[0m"
	}
	p.b.WriteString(s)
	p.b.WriteByte('\n')
}

func (p *printer) flush(w io.Writer) error {
	_, err := io.WriteString(w, p.b.String())
	return err
}

// clean makes s safe to print in one line.
func clean(s string) string { return words.Clean(s) }

// align pads each first column of rows to the same width, indents and joins.
func align(indent string, rows [][2]string) []string {
	width := 0
	for _, r := range rows {
		width = max(width, len(r[0]))
	}
	out := make([]string, len(rows))
	for i, r := range rows {
		out[i] = strings.TrimRight(fmt.Sprintf("%s%-*s  %s", indent, width, r[0], r[1]), " ")
	}
	return out
}

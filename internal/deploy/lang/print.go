package lang

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/kontor-registry/kontor/internal/jsonpos"
)

// Print writes v, formatted as Format does. Reading the result gives v again. A
// value that the language cannot express, such as a string in HCL that is not in
// Unicode's form C, is an error. JSON has no comments.
//
// In YAML and HCL a list or mapping with comments in it is never on one line,
// and a comment beside an item that takes several lines goes above it.
func Print(l Language, v *Value) ([]byte, error) {
	w := &writer{}
	root := *v
	if len(v.Items)+len(v.Members) == 0 {
		root.Above, root.Below = slices.Concat(v.Above, v.Below), nil
	}
	switch l {
	case JSON:
		w.json(&root)
	case HCL:
		w.hclFile(&root)
	default:
		w.yamlFile(&root)
	}
	if w.err != nil {
		return nil, w.err
	}
	s := Source{Name: "printed." + string(l), Data: w.Bytes()}
	got, errs := Parse(s)
	if len(errs) > 0 {
		return nil, fmt.Errorf("this cannot be written as %s: %w", l, errs)
	}
	if empty := got.Kind == Null && v.Kind == Mapping && len(v.Members) == 0; !empty {
		if d := difference(v, got, nil); d != nil {
			return nil, fmt.Errorf("this cannot be written as %s: %w", l, d)
		}
	}
	return Format(s)
}

// writer collects the text of a file.
type writer struct {
	bytes.Buffer
	err error // the first
}

func (w *writer) fail(format string, args ...any) {
	if w.err == nil {
		w.err = fmt.Errorf(format, args...)
	}
}

// comment writes lines of comment, each after the indent.
func (w *writer) comment(indent int, lines []string) {
	for _, s := range lines {
		for line := range strings.SplitSeq(s, "\n") {
			w.indent(indent)
			w.WriteString(strings.TrimRight("# "+printable(line), " ") + "\n")
		}
	}
}

// paragraphs writes lines of comment at the beginning or end of a file. An
// empty one becomes a blank line.
func (w *writer) paragraphs(lines []string) {
	for _, s := range lines {
		if s == "" {
			w.gap(true)
			continue
		}
		w.comment(0, []string{s})
	}
}

// beside writes a comment at the end of a line, and ends the line.
func (w *writer) beside(s string) {
	if s = strings.TrimSpace(printable(s)); s != "" {
		w.WriteString(" # " + s)
	}
	w.WriteByte('\n')
}

func (w *writer) indent(n int) { w.WriteString(strings.Repeat(" ", n)) }

// gap writes a blank line, but none at the beginning, nor a second one.
func (w *writer) gap(wanted bool) {
	if wanted && w.Len() > 0 && !bytes.HasSuffix(w.Bytes(), []byte("\n\n")) {
		w.WriteByte('\n')
	}
}

// printable is a comment's line with spaces in place of what cannot be seen.
func printable(s string) string {
	return strings.Map(func(c rune) rune {
		if !unicode.IsPrint(c) {
			return ' '
		}
		return c
	}, strings.ToValidUTF8(s, " "))
}

// oneLine reports whether v can be written on one line.
func (v *Value) oneLine() bool {
	switch v.Kind {
	case List, Mapping:
		if len(v.Items)+len(v.Members) == 0 {
			return true
		}
		if !v.Inline {
			return false
		}
	}
	quiet := func(v *Value) bool { return len(v.Above) == 0 && v.Beside == "" && v.oneLine() }
	for _, item := range v.Items {
		if !quiet(item) {
			return false
		}
	}
	for _, m := range v.Members {
		if !quiet(m.Value) {
			return false
		}
	}
	return true
}

// scalar writes what all languages write alike, and reports whether v is that.
func (w *writer) scalar(v *Value) bool {
	switch v.Kind {
	case Null:
		w.WriteString("null")
	case Boolean:
		w.WriteString(strings.ToLower(v.Text))
	case Integer, Number:
		w.WriteString(v.Text)
	case Text:
		if !utf8.ValidString(v.Text) {
			w.fail("a string is not UTF-8: %q", Clip(v.Text))
		}
		return false
	case List, Mapping:
		return false
	default:
		w.fail("there is a value that could not be read")
	}
	return true
}

func (w *writer) json(v *Value) {
	if w.scalar(v) {
		return
	}
	switch v.Kind {
	case Text:
		w.Write(jsonpos.AppendString(nil, v.Text))
	case List:
		w.WriteByte('[')
		for i, item := range v.Items {
			if i > 0 {
				w.WriteByte(',')
			}
			w.json(item)
		}
		w.WriteByte(']')
	case Mapping:
		w.WriteByte('{')
		for i, m := range v.Members {
			if i > 0 {
				w.WriteByte(',')
			}
			w.json(NewText(m.Key))
			w.WriteByte(':')
			w.json(m.Value)
		}
		w.WriteByte('}')
	}
}

// difference says how got differs from want, which stands at path; nil when it
// says the same.
func difference(want, got *Value, path jsonpos.Path) error {
	at := path.String()
	if at != "" {
		at += ": "
	}
	switch {
	case want.Kind != got.Kind, want.Kind == Boolean && want.True() != got.True(), want.Kind != Boolean && want.Text != got.Text:
		return fmt.Errorf("%s%s would be read as %s", at, want, got)
	case len(want.Items) != len(got.Items), len(want.Members) != len(got.Members):
		return fmt.Errorf("%sit would be read with a different number of values", at)
	}
	for i := range want.Items {
		if err := difference(want.Items[i], got.Items[i], path.At(i)); err != nil {
			return err
		}
	}
	for i, m := range want.Members {
		if m.Key != got.Members[i].Key {
			return fmt.Errorf("%sthe key %q would be read as %q", at, Clip(m.Key), Clip(got.Members[i].Key))
		}
		if err := difference(m.Value, got.Members[i].Value, path.At(m.Key)); err != nil {
			return err
		}
	}
	return nil
}

package render

import (
	"fmt"
	"io"
	"strings"

	"github.com/kontor-registry/kontor/internal/deploy/plan"
)

// PlanMarkdown writes s for a pull request: for each registry the counts, a
// table of what changes, the findings, and the whole plan folded away. Text
// that came from a registry or a file is escaped: it brings no markup and
// mentions nobody.
func PlanMarkdown(w io.Writer, s plan.Set) error {
	var b strings.Builder
	fmt.Fprintf(&b, "## Kontor: stack %s\n", escapeMarkdown(s.Stack))
	for _, p := range s.Plans {
		if err := planMarkdown(&b, p); err != nil {
			return err
		}
	}
	for _, f := range s.Failures {
		fmt.Fprintf(&b, "\n### %s\n\n**Could not be read:** %s\n", escapeMarkdown(Target(f.Target)), escapeMarkdown(clean(f.Error)))
	}
	clustersMarkdown(&b, s)
	_, err := io.WriteString(w, b.String())
	return err
}

func planMarkdown(b *strings.Builder, p plan.Plan) error {
	fmt.Fprintf(b, "\n### %s\n\n%s\n", escapeMarkdown(Target(p.Target)), escapeMarkdown(Summary(p)))
	if len(p.Pending()) > 0 {
		b.WriteString("\n| | repository | settings |\n|---|---|---|\n")
	}
	for _, c := range p.Pending() {
		fmt.Fprintf(b, "| %s | `%s` | %s |\n", c.Op, c.Repository, escapeMarkdown(changed(c)))
	}
	if len(p.Findings) > 0 {
		b.WriteString("\n")
	}
	for _, f := range p.Findings {
		fmt.Fprintf(b, "- **%s** %s: %s\n", f.Severity, f.Code, escapeMarkdown(clean(f.Message)))
	}
	if len(p.Pending()) == 0 {
		return nil
	}
	var text strings.Builder
	if err := Plan(&text, p, Options{}); err != nil {
		return err
	}
	fence := "```"
	for strings.Contains(text.String(), fence) {
		fence += "`"
	}
	fmt.Fprintf(b, "\n<details><summary>The plan</summary>\n\n%sdiff\n", fence)
	for _, line := range strings.Split(strings.TrimSuffix(text.String(), "\n"), "\n") {
		b.WriteString(diffLine(line) + "\n")
	}
	fmt.Fprintf(b, "%s\n\n</details>\n", fence)
	return nil
}

// changed names the settings of c in a few words.
func changed(c plan.Change) string {
	if c.Op == plan.OpDelete {
		if c.Images != nil {
			return "with " + count(c.Images.Count, "image", "images")
		}
		return "it is empty"
	}
	var words []string
	for _, d := range c.Differences {
		w := strings.ReplaceAll(string(d.Field), "_", " ")
		switch d.Field {
		case plan.FieldPolicy:
			w = "repository policy"
		case plan.FieldLifecycle:
			w = "lifecycle policy"
		case plan.FieldTag:
			w = "tag " + clean(d.Key)
		}
		lost := 0
		for _, x := range d.Parts {
			if x.Action != plan.Add {
				lost++
			}
		}
		if lost > 0 && c.Op == plan.OpAdopt {
			w += fmt.Sprintf(" (%d of its parts change or go)", lost)
		}
		words = append(words, w)
	}
	return strings.Join(words, ", ")
}

// diffLine puts the mark of a line where a diff has it, so that it is coloured.
func diffLine(line string) string {
	rest := strings.TrimLeft(line, " ")
	indent := line[:len(line)-len(rest)]
	switch {
	case strings.HasPrefix(rest, "+ "), strings.HasPrefix(rest, "- "):
		return rest[:1] + indent + rest[1:]
	case strings.HasPrefix(rest, "~ "):
		return "!" + indent + rest[1:]
	}
	return " " + line
}

// escapeMarkdown takes what Markdown and HTML would read as markup, and '@',
// which would call people, out of s.
func escapeMarkdown(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case strings.ContainsRune("\\`*_{}[]|~#", r):
			b.WriteByte('\\')
			b.WriteRune(r)
		case strings.ContainsRune("<>&@", r):
			fmt.Fprintf(&b, "&#%d;", r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

package render

import (
	"fmt"
	"io"
	"strings"

	"github.com/kontor-registry/kontor/internal/deploy/plan"
	"github.com/kontor-registry/kontor/internal/report/rollout"
	"github.com/kontor-registry/kontor/internal/report/words"
)

// MarkdownLimit is the most bytes that PlanMarkdown writes. A comment on GitHub
// has at most 65,536 characters, and a workflow may add its own text.
const MarkdownLimit = 64_000

// PlanMarkdown writes s for a pull request: what it does to images and people in a
// sentence, then for each registry the counts, a table of what changes, the
// findings, and the whole plan folded away. Text
// that came from a registry or a file is escaped: it brings no markup and
// mentions no user. What is too long for a comment is cut and says so: the whole
// plans first, then the tables, then the findings that are not errors.
func PlanMarkdown(w io.Writer, s plan.Set) error {
	doc := markdown{}
	doc.add(rankKept, fmt.Sprintf("## Kontor: stack %s\n", escapeMarkdown(s.Stack)), nil, "")
	if effects := rollout.Summary(s.Plans); effects != "" {
		doc.add(rankKept, fmt.Sprintf("\n**%s.**\n", escapeMarkdown(words.Sentence(effects))), nil, "")
	}
	for _, p := range s.Plans {
		if err := doc.plan(rollout.NewPlan(p)); err != nil {
			return err
		}
	}
	for _, f := range s.Failures {
		doc.add(rankError, fmt.Sprintf("\n### %s\n\n", escapeMarkdown(Target(f.Target))),
			[]string{fmt.Sprintf("**Could not be read:** %s\n", escapeMarkdown(clean(f.Error)))}, "")
	}
	doc.clusters(s)
	_, err := io.WriteString(w, doc.text(MarkdownLimit))
	return err
}

// rank says what goes first where a document is too long.
type rank int

const (
	rankWhole   rank = iota // the whole plan, folded away
	rankTable               // a row for each change
	rankFinding             // findings that are not errors
	rankError
	rankKept // always there
)

// block is a piece of a document: lines, each with its line break, between a
// head and a tail. A block that had lines and has lost them all is left out but
// for note.
type block struct {
	rank       rank
	head, tail string
	lines      []string
	cut        int // lines that were left out
}

// note says that lines are missing.
func (x block) note() string {
	switch {
	case x.cut == 0:
		return ""
	case x.rank == rankTable:
		return fmt.Sprintf("\n%s more: this is too long for a comment.\n", words.Count(x.cut, "change", "changes"))
	case x.rank == rankWhole:
		return fmt.Sprintf("\n%s of the plan are left out: `kontor plan` shows all.\n", words.Count(x.cut, "line", "lines"))
	}
	return fmt.Sprintf("- %s more: `kontor plan` shows all.\n", words.Count(x.cut, "finding", "findings"))
}

func (x block) text() string {
	switch {
	case x.cut > 0 && len(x.lines) == 0 && x.rank >= rankFinding:
		return x.head + x.note()
	case x.cut > 0 && len(x.lines) == 0:
		return x.note()
	case x.rank == rankFinding || x.rank == rankError:
		return x.head + strings.Join(x.lines, "") + x.note() + x.tail // in its list
	}
	return x.head + strings.Join(x.lines, "") + x.tail + x.note()
}

// markdown is a document in the order of its blocks.
type markdown struct{ blocks []block }

func (d *markdown) add(r rank, head string, lines []string, tail string) {
	d.blocks = append(d.blocks, block{rank: r, head: head, lines: lines, tail: tail})
}

// text is the document, in at most limit bytes as long as what is always there
// leaves room.
func (d *markdown) text(limit int) string {
	size := 0
	for _, x := range d.blocks {
		size += len(x.text())
	}
	for r := rankWhole; r < rankKept; r++ {
		for i := len(d.blocks) - 1; i >= 0 && size > limit; i-- {
			x := &d.blocks[i]
			if x.rank != r {
				continue
			}
			size -= len(x.text())
			room := limit - size
			// A note of a known length first, then as many lines as fit.
			kept, all := 0, x.lines
			length := len(x.head) + len(x.tail) + len(block{rank: r, cut: len(all)}.note())
			for kept < len(all) && length+len(all[kept]) <= room {
				length += len(all[kept])
				kept++
			}
			x.lines, x.cut = all[:kept], len(all)-kept
			size += len(x.text())
		}
	}
	var b strings.Builder
	for _, x := range d.blocks {
		b.WriteString(x.text())
	}
	return b.String()
}

func (d *markdown) plan(p rollout.Plan) error {
	d.add(rankKept, fmt.Sprintf("\n### %s\n\n%s\n", escapeMarkdown(Target(p.Target)), escapeMarkdown(Summary(p))), nil, "")
	head, rows := tableRows(p.Changes)
	if len(rows) > 0 {
		d.add(rankTable, head, rows, "")
	}
	var settings []string
	for _, x := range p.RegistrySettings {
		settings = append(settings, fmt.Sprintf("| %s | %s | %s |\n", x.Op, escapeMarkdown(clean(x.Name)), escapeMarkdown(short(clean(x.Effect)))))
	}
	if len(settings) > 0 {
		d.add(rankTable, "\n| | registry setting | effect |\n|---|---|---|\n", settings, "")
	}
	d.findings(p.Findings)
	if len(rows)+len(settings) == 0 {
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
	var lines []string
	for _, line := range strings.Split(strings.TrimSuffix(text.String(), "\n"), "\n") {
		lines = append(lines, diffLine(line)+"\n")
	}
	d.add(rankWhole, fmt.Sprintf("\n<details><summary>The plan</summary>\n\n%sdiff\n", fence), lines, fence+"\n\n</details>\n")
	return nil
}

// findings adds a list, errors apart: they go last.
func (d *markdown) findings(list []plan.Finding) {
	head := "\n"
	for _, errors := range []bool{true, false} {
		r := rankFinding
		if errors {
			r = rankError
		}
		var lines []string
		for _, f := range foundAlike(list) {
			if (f.Severity == plan.Error) == errors {
				lines = append(lines, fmt.Sprintf("- **%s** %s: %s\n", f.Severity, f.Code, escapeMarkdown(clean(f.Message))))
			}
		}
		if len(lines) > 0 {
			d.add(r, head, lines, "")
			head = ""
		}
	}
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

package render

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/kontor-registry/kontor/internal/deploy/plan"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/jsonpos"
	"github.com/kontor-registry/kontor/internal/report/rollout"
	"github.com/kontor-registry/kontor/internal/report/words"
)

// groupFrom is from how many repositories on an equal change, or finding, is
// written once for all of them; groupNames is how many of these are named.
const (
	groupFrom  = 5
	groupNames = 10
)

// group is a change that one repository has, or several in the same way.
type group struct {
	rollout.Change // of the first
	names          []ecr.RepositoryName
}

// one reports whether the group stands for a single repository.
func (g group) one() bool { return len(g.names) == 1 }

// grouped puts equal changes together, each group at the place of its first. The
// repository's own name, where a field has it, makes no difference. Deletions are
// each for themselves, and so are changes that only a few repositories have.
func grouped(changes []rollout.Change, o Options) []group {
	keys := make([]string, len(changes))
	members := map[string][]ecr.RepositoryName{}
	for i, c := range changes {
		if c.Op == plan.OpDelete {
			continue
		}
		p := newPrinter(Options{})
		p.differences(c, ownField(c.Repository), Options{Documents: o.Documents, Verbose: o.Verbose})
		keys[i] = string(c.Op) + p.b.String()
		members[keys[i]] = append(members[keys[i]], c.Repository)
	}
	var out []group
	for i, c := range changes {
		switch names := members[keys[i]]; {
		case len(names) < groupFrom:
			out = append(out, group{c, []ecr.RepositoryName{c.Repository}})
		case names[0] == c.Repository:
			out = append(out, group{c, names})
		}
	}
	return out
}

// ownField puts "*" in the place of the repository's name in a field of the file.
func ownField(name ecr.RepositoryName) func(string) string {
	own := jsonpos.Path{"ecr_repositories", string(name)}.String()
	return func(field string) string {
		if rest, ok := strings.CutPrefix(field, own); ok && (rest == "" || rest[0] == '.') {
			return "ecr_repositories.*" + rest
		}
		return field
	}
}

// group writes a change and the repositories that have it; drift tells it as what
// became of them.
func (p *printer) group(g group, drift bool, o Options) {
	if g.one() {
		p.change(g.Change, drift, o)
		return
	}
	mark, c := sign(plan.Modify)
	if g.Op == plan.OpCreate {
		mark, c = sign(plan.Add)
	}
	p.linef(c, "%s %d repositories: %s", mark, len(g.names), what(g.Op, drift, "they exist and have no owner"))
	p.linef(plain, "      %s", strings.Join(named(g.names, groupNames, " (--json names all)"), ", "))
	p.differences(g.Change, ownField(g.Repository), o)
}

// what is an operation in words; unowned are those of a repository without an
// owner.
func what(op plan.Op, drift bool, unowned string) string {
	switch {
	case op == plan.OpCreate && drift:
		return "missing (deleted, or never applied)"
	case op == plan.OpCreate:
		return "create"
	case op == plan.OpAdopt && drift:
		return "without an owner (the tag kontor:stack was removed, or never set)"
	case op == plan.OpAdopt:
		return "adopt (" + unowned + ")"
	}
	return "update"
}

// named are the first most of names, and how many more there are with a hint. One
// more than most is named, too: a number is no shorter.
func named(names []ecr.RepositoryName, most int, hint string) []string {
	var out []string
	for i, n := range names {
		if i == most && len(names) > most+1 {
			return append(out, fmt.Sprintf("and %d more%s", len(names)-most, hint))
		}
		out = append(out, string(n))
	}
	return out
}

// foundAlike puts findings together that say the same of several repositories, at
// the place of the first and in its words.
func foundAlike(list []plan.Finding) []plan.Finding {
	key := func(f plan.Finding) string {
		name := string(f.Repository)
		if name == "" {
			return ""
		}
		rest := strings.ReplaceAll(f.Message, fmt.Sprintf("%q", name), "*")
		return string(f.Code) + string(f.Severity) + strings.ReplaceAll(rest, " "+name+" ", " * ")
	}
	members := map[string][]ecr.RepositoryName{}
	for _, f := range list {
		members[key(f)] = append(members[key(f)], f.Repository)
	}
	var out []plan.Finding
	for _, f := range list {
		names := members[key(f)]
		if key(f) == "" || len(names) < groupFrom {
			out = append(out, f)
			continue
		}
		if names[0] != f.Repository {
			continue
		}
		others := names[1:]
		f.Message = fmt.Sprintf("%s; the same is so of %d more: %s", f.Message, len(others), strings.Join(named(others, groupNames, ""), ", "))
		f.Field = ""
		out = append(out, f)
	}
	return out
}

// inRow is the change of g in a table: what becomes of which settings.
func (g group) inRow() string {
	if g.Op == plan.OpDelete {
		if g.Images != nil {
			return "with " + words.Count(g.Images.Count, "image", "images")
		}
		return "it is empty"
	}
	var out []string
	for _, s := range g.Settings {
		text := settingName(s.Field, s.Key)
		switch {
		case s.SameEffect:
			text += ": " + clean(s.OtherWording)
		case s.Field == plan.FieldPolicy || s.Field == plan.FieldLifecycle:
			text = g.documentInRow(s)
		case s.Action == plan.Add:
			text += " " + clean(s.After)
		case s.Action == plan.Remove:
			text += " removed"
		default:
			text += " " + clean(s.Before) + " → " + clean(s.After)
		}
		out = append(out, strings.TrimPrefix(text, "resource "))
	}
	return strings.Join(out, ", ")
}

// effectsInRow is what g does to images and people.
func (g group) effectsInRow() string {
	var out []string
	for _, e := range g.Effects {
		if !e.Detail {
			out = append(out, e.Text)
		}
	}
	return short(strings.Join(out, "; "))
}

// short is text of at most mostInRow characters.
func short(text string) string {
	if all := []rune(text); len(all) > mostInRow {
		return string(all[:mostInRow]) + "…"
	}
	return text
}

// mostInRow bounds what a row says of one document, in characters.
const mostInRow = 300

// documentInRow is what a document gains and loses. Rules that come with a
// repository take nothing away.
func (g group) documentInRow(s rollout.Setting) string {
	name := settingName(s.Field, "")
	if s.Action == plan.Remove {
		return name + " removed"
	}
	if len(s.Parts) == 0 || g.Op == plan.OpCreate && s.Field == plan.FieldLifecycle {
		return name
	}
	lost := 0
	var parts []string
	for _, x := range s.Parts {
		mark, _ := sign(x.Action)
		part := mark + " " + partName(s.Field, x)
		if x.Action != plan.Add {
			lost++
		}
		if len(x.Lines) == 0 {
			part += ": " + clean(cmp.Or(x.Brief, x.After, x.Before))
		}
		for _, l := range x.Lines {
			mark, _ := sign(l.Action)
			part += " " + mark + " " + clean(l.Text)
		}
		parts = append(parts, part)
	}
	if lost > 0 && g.Op == plan.OpAdopt {
		name += fmt.Sprintf(" (%d of its parts change or go)", lost)
	}
	return name + ": " + short(strings.Join(parts, ", "))
}

func partName(f plan.Field, x rollout.Part) string {
	if f == plan.FieldLifecycle {
		return "rule " + clean(x.Name)
	}
	return "statement " + clean(x.Name)
}

// tableRows are the head of a table of changes and its rows, with a column for
// effects if there are some.
func tableRows(changes []rollout.Change) (head string, rows []string) {
	groups := grouped(changes, Options{})
	head = "\n| | repository | settings |\n|---|---|---|\n"
	effects := slices.ContainsFunc(groups, func(g group) bool { return g.effectsInRow() != "" })
	if effects {
		head = "\n| | repository | settings | effects |\n|---|---|---|---|\n"
	}
	for _, g := range groups {
		names := named(g.names, groupNames, "")
		for i, n := range names {
			if !strings.Contains(n, " ") { // it is a name, not how many more there are
				names[i] = "`" + n + "`"
			}
		}
		who := strings.Join(names, ", ")
		if !g.one() {
			who = fmt.Sprintf("%d repositories: %s", len(g.names), who)
		}
		row := fmt.Sprintf("| %s | %s | %s |", g.Op, who, escapeMarkdown(g.inRow()))
		if effects {
			row += fmt.Sprintf(" %s |", escapeMarkdown(g.effectsInRow()))
		}
		rows = append(rows, row+"\n")
	}
	return head, rows
}

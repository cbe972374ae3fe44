package render

import (
	"fmt"
	"slices"
	"strings"

	"github.com/kontor-registry/kontor/internal/deploy/plan"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/jsonpos"
)

// groupFrom is from how many repositories on an equal change, or finding, is
// written once for all of them; groupNames is how many of these are named.
const (
	groupFrom  = 5
	groupNames = 10
)

// group is a change that one repository has, or several in the same way.
type group struct {
	plan.Change // of the first
	names       []ecr.RepositoryName
}

// one reports whether the group stands for a single repository.
func (g group) one() bool { return len(g.names) == 1 }

// grouped puts equal changes together, each group at the place of its first. The
// repository's own name, where a field has it, makes no difference. Deletions are
// each for themselves, and so are changes that only a few repositories have.
func grouped(changes []plan.Change, o Options) []group {
	keys := make([]string, len(changes))
	members := map[string][]ecr.RepositoryName{}
	for i, c := range changes {
		if c.Op == plan.OpDelete {
			continue
		}
		p := newPrinter(Options{})
		p.differences(c, ownField(c.Repository), Options{Documents: o.Documents})
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
			return "with " + count(g.Images.Count, "image", "images")
		}
		return "it is empty"
	}
	before := plan.Settings{}
	if g.Before != nil {
		before = *g.Before
	}
	var out []string
	for _, d := range g.Differences {
		setting := ""
		switch d.Field {
		case plan.FieldMutability:
			setting = inWords(d.Action, "tag mutability", tagMode(before.Mutability), tagMode(g.After.Mutability))
		case plan.FieldEncryption:
			setting = inWords(d.Action, "encryption", "", clean(g.After.Encryption.String()))
		case plan.FieldScanOnPush:
			setting = inWords(d.Action, "scan on push", onOff(before.ScanOnPush), onOff(g.After.ScanOnPush))
		case plan.FieldTag:
			setting = inWords(d.Action, "tag "+clean(d.Key), clean(before.Tags[d.Key]), clean(g.After.Tags[d.Key]))
		case plan.FieldPolicy:
			setting = partsInWords(d, "repository policy", g.Op)
		case plan.FieldLifecycle:
			setting = partsInWords(d, "lifecycle policy", g.Op)
		}
		out = append(out, setting)
	}
	return strings.Join(out, ", ")
}

// mostInRow bounds what a row says of one document.
const mostInRow = 300

// inWords is a setting with its values, unless it comes with the repository.
func inWords(a plan.Action, name, before, after string) string {
	switch a {
	case plan.Add:
		return name + " " + after
	case plan.Remove:
		return name + " removed"
	}
	return name + " " + before + " → " + after
}

// partsInWords is what a document gains and loses.
func partsInWords(d plan.Difference, name string, op plan.Op) string {
	if d.Action == plan.Remove {
		return name + " removed"
	}
	if len(d.Parts) == 0 || op == plan.OpCreate && d.Field == plan.FieldLifecycle {
		return name
	}
	lost := 0
	var parts []string
	for _, x := range d.Parts {
		mark, _ := sign(x.Action)
		if x.Action != plan.Add {
			lost++
		}
		part := mark + " " + partName(d.Field, x)
		switch lines := statementChange(d.Field, x); {
		case len(lines) > 0:
			for _, l := range lines[1:] {
				part += " " + l.text
			}
		case x.Action == plan.Remove:
			part += ": " + inFewWords(d.Field, x.Old)
		default:
			part += ": " + inFewWords(d.Field, x.New)
		}
		parts = append(parts, part)
	}
	if lost > 0 && op == plan.OpAdopt {
		name += fmt.Sprintf(" (%d of its parts change or go)", lost)
	}
	text := strings.Join(parts, ", ")
	if cut := []rune(text); len(cut) > mostInRow {
		text = string(cut[:mostInRow]) + "…"
	}
	return name + ": " + text
}

// inFewWords is words with a number in the place of many actions.
func inFewWords(f plan.Field, text string) string {
	if s, ok := onlyStatement(text); ok && f == plan.FieldPolicy && len(s.Action) > mostKept {
		s.Action = []string{count(len(s.Action), "action", "actions")}
		return clean(statement(s))
	}
	return words(f, text)
}

func partName(f plan.Field, x plan.Part) string {
	if f == plan.FieldLifecycle {
		return "rule " + clean(x.Name)
	}
	return "statement " + clean(x.Name)
}

// tableRows are the rows of the changes of p.
func tableRows(p plan.Plan) []string {
	var rows []string
	for _, g := range grouped(p.Pending(), Options{}) {
		names := named(g.names, groupNames, "")
		for i := range names[:min(len(names), groupNames)] {
			names[i] = "`" + names[i] + "`"
		}
		who := strings.Join(names, ", ")
		if !g.one() {
			who = fmt.Sprintf("%d repositories: %s", len(g.names), who)
		}
		rows = append(rows, fmt.Sprintf("| %s | %s | %s |\n", g.Op, who, escapeMarkdown(g.inRow())))
	}
	return rows
}

// line is a line of a statement's change, with its mark.
type line struct {
	action plan.Action
	text   string
}

// within is one list of a statement before and after.
type within struct {
	word     string // what stands before its members
	old, now []string
}

func (w within) added() []string   { return missingIn(w.now, w.old) }
func (w within) removed() []string { return missingIn(w.old, w.now) }

// missingIn are the members of a that b has not, in a's order.
func missingIn(a, b []string) []string {
	return slices.DeleteFunc(slices.Clone(a), func(s string) bool { return slices.Contains(b, s) })
}

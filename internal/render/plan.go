package render

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/aymanbagabas/go-udiff"

	"github.com/kontor-registry/kontor/internal/deploy/plan"
)

// Plan writes p: each repository that changes with what changes, then the
// findings, then the counts.
func Plan(w io.Writer, p plan.Plan, o Options) error {
	pr := newPrinter(o)
	pr.linef(bold, "%s, stack %s", Target(p.Target), clean(p.Stack))
	for _, g := range grouped(p.Pending(), o) {
		pr.linef(plain, "")
		pr.group(g, p.RefreshOnly, o)
	}
	if len(p.Findings) > 0 {
		pr.linef(plain, "")
		pr.findings(p.Findings)
	}
	pr.linef(plain, "")
	pr.linef(bold, "%s", Summary(p))
	return pr.flush(w)
}

// Plans writes the plan of each registry, then those that could not be read,
// and with several the counts of all.
func Plans(w io.Writer, s plan.Set, o Options) error {
	for i, p := range s.Plans {
		if i > 0 {
			if _, err := io.WriteString(w, "\n"); err != nil {
				return err
			}
		}
		if err := Plan(w, p, o); err != nil {
			return err
		}
	}
	pr := newPrinter(o)
	for _, c := range s.Clusters {
		pr.linef(plain, "")
		pr.cluster(c, s.Stack)
	}
	for _, f := range s.ClusterFailures {
		pr.linef(plain, "")
		pr.linef(bold, "%s", cluster(f.Target))
		pr.linef(red, "could not be read: %s", clean(f.Error))
	}
	for i, f := range s.Failures {
		if i > 0 || len(s.Plans) > 0 {
			pr.linef(plain, "")
		}
		pr.linef(bold, "%s", Target(f.Target))
		pr.linef(red, "could not be read: %s", clean(f.Error))
	}
	if len(s.Plans)+len(s.Failures) > 1 {
		pr.linef(plain, "")
		pr.linef(bold, "%s", total(s))
	}
	return pr.flush(w)
}

// total is the counts of all registries in one line.
func total(s plan.Set) string {
	changes := 0
	for _, p := range s.Plans {
		changes += len(p.Pending())
	}
	line := fmt.Sprintf("All registries: %s", count(changes, "change", "changes"))
	if n := len(s.Refused()); n > 0 {
		line += fmt.Sprintf(", %d cannot be applied", n)
	}
	if n := len(s.Failures); n > 0 {
		line += fmt.Sprintf(", %d could not be read", n)
	}
	return line + "."
}

// Target names the registry of a plan in one line. The local registry's
// endpoint is left out: its port may be another each time.
func Target(t plan.Target) string {
	s := fmt.Sprintf("Registry %s: account %s, region %s", clean(t.Name), t.Account, t.Region)
	if t.Endpoint != "" && !t.Local {
		s += ", at " + clean(t.Endpoint)
	}
	return s
}

// Summary is the counts of p in one line.
func Summary(p plan.Plan) string {
	unchanged := p.Count(plan.OpNone)
	if p.RefreshOnly {
		if n := len(p.Errors()); n > 0 {
			return fmt.Sprintf("Drift: %s, so apply cannot put it right.", count(n, "error", "errors"))
		}
		if n := len(p.Pending()); n > 0 {
			return fmt.Sprintf("Drift: %s not as the file says; apply changes that back.", count(n, "repository is", "repositories are"))
		}
		return "Drift: none."
	}
	if n := len(p.Errors()); n > 0 {
		return fmt.Sprintf("Plan: %s, so it cannot be applied.", count(n, "error", "errors"))
	}
	if len(p.Pending()) == 0 && p.End == plan.Everything {
		return "Plan: nothing to delete."
	}
	if len(p.Pending()) == 0 {
		return fmt.Sprintf("Plan: nothing to do, %s as the file says.", count(unchanged, "repository is", "repositories are"))
	}
	deletes := ""
	if n := p.Count(plan.OpDelete); n > 0 {
		deletes = fmt.Sprintf("%d to delete, ", n)
	}
	return fmt.Sprintf("Plan: %d to create, %d to adopt, %d to update, %s%d unchanged.",
		p.Count(plan.OpCreate), p.Count(plan.OpAdopt), p.Count(plan.OpUpdate), deletes, unchanged)
}

// change writes what changes in a repository; drift tells that as what became of it.
func (p *printer) change(c plan.Change, drift bool, o Options) {
	if c.Op == plan.OpDelete {
		p.deletion(c)
		return
	}
	mark, color := sign(plan.Modify)
	if c.Op == plan.OpCreate {
		mark, color = sign(plan.Add)
	}
	p.linef(color, "%s %s: %s", mark, c.Repository, what(c.Op, drift, "it exists and has no owner"))
	p.differences(c, func(field string) string { return field }, o)
}

// differences writes the settings that change; field is how a field of the file is
// told.
func (p *printer) differences(c plan.Change, field func(string) string, o Options) {
	before := plan.Settings{}
	if c.Before != nil {
		before = *c.Before
	}
	for _, d := range c.Differences {
		switch d.Field {
		case plan.FieldMutability:
			p.setting(d.Action, "tag mutability", tagMode(before.Mutability), tagMode(c.After.Mutability))
		case plan.FieldEncryption:
			p.setting(d.Action, "encryption", "", clean(c.After.Encryption.String()))
		case plan.FieldScanOnPush:
			p.setting(d.Action, "scan on push", onOff(before.ScanOnPush), onOff(c.After.ScanOnPush))
		case plan.FieldTag:
			p.setting(d.Action, "resource tag "+clean(d.Key), clean(before.Tags[d.Key]), clean(c.After.Tags[d.Key]))
		case plan.FieldPolicy:
			p.document(d, "repository policy", before.Policy, c.After.Policy, field, o)
		case plan.FieldLifecycle:
			p.document(d, "lifecycle policy", before.Lifecycle, c.After.Lifecycle, field, o)
		}
	}
}

// deletion writes what goes with a repository.
func (p *printer) deletion(c plan.Change) {
	images := "it is empty"
	if c.Images != nil {
		images = fmt.Sprintf("with %s (%d bytes)", count(c.Images.Count, "image", "images"), c.Images.SizeBytes)
	}
	p.linef(red, "- %s: delete, %s", c.Repository, images)
	if c.Before.Policy != "" {
		p.linef(red, "    - repository policy")
	}
	if c.Before.Lifecycle != "" {
		p.linef(red, "    - lifecycle policy")
	}
}

func onOff(b *bool) string {
	switch {
	case b == nil:
		return ""
	case *b:
		return "on"
	}
	return "off"
}

// sign is the mark and colour of an action.
func sign(a plan.Action) (string, color) {
	switch a {
	case plan.Add:
		return "+", green
	case plan.Remove:
		return "-", red
	}
	return "~", yellow
}

func (p *printer) setting(a plan.Action, name, before, after string) {
	mark, c := sign(a)
	switch a {
	case plan.Add:
		p.linef(c, "    %s %s: %s", mark, name, after)
	case plan.Remove:
		p.linef(c, "    %s %s: %s", mark, name, before)
	default:
		p.linef(c, "    %s %s: %s -> %s", mark, name, before, after)
	}
}

func tagMode(m plan.Mutability) string {
	s := string(m.Mode)
	if len(m.Filters) > 0 {
		s += " of " + clean(strings.Join(m.Filters, ", "))
	}
	return s
}

// document writes a document's parts, or its text's difference when they are
// not known or the text is asked for.
func (p *printer) document(d plan.Difference, name, before, after string, field func(string) string, o Options) {
	mark, c := sign(d.Action)
	p.linef(c, "    %s %s", mark, name)
	for _, x := range d.Parts {
		mark, c := sign(x.Action)
		from := ""
		if x.Field != "" {
			from = "  (" + clean(field(x.Field)) + ")"
		}
		name := partName(d.Field, x)
		lines := statementChange(d.Field, x)
		switch {
		case x.Action == plan.Add:
			p.linef(c, "        %s %s: %s%s", mark, name, words(d.Field, x.New), from)
		case x.Action == plan.Remove:
			p.linef(c, "        %s %s: %s", mark, name, words(d.Field, x.Old))
		case len(lines) > 0:
			p.linef(c, "        %s %s: %s%s", mark, name, lines[0].text, from)
			for _, l := range lines[1:] {
				_, c := sign(l.action)
				p.linef(c, "            %s", l.text)
			}
		default:
			p.linef(c, "        %s %s: %s", mark, name, words(d.Field, x.Old))
			p.linef(c, "          -> %s%s", words(d.Field, x.New), from)
		}
	}
	if len(d.Parts) == 0 || o.Documents {
		p.textDiff(indented(before), indented(after))
	}
}

// textDiff writes the lines that differ, with some around them.
func (p *printer) textDiff(before, after string) {
	diff := udiff.Unified("before", "after", before, after)
	for i, line := range strings.Split(strings.TrimSuffix(diff, "\n"), "\n") {
		if i < 2 || line == "" { // the two file names
			continue
		}
		c := plain
		switch line[0] {
		case '+':
			c = green
		case '-':
			c = red
		case '@':
			c = faint
		}
		p.linef(c, "        %s", clean(line))
	}
}

// indented is a document's text with a line for each member, or as it is when
// it is not JSON.
func indented(doc string) string {
	if doc == "" {
		return ""
	}
	var b bytes.Buffer
	if json.Indent(&b, []byte(doc), "", "  ") != nil {
		return doc + "\n"
	}
	return b.String() + "\n"
}

// findings writes one line for each.
func (p *printer) findings(fs []plan.Finding) {
	for _, f := range foundAlike(fs) {
		c := yellow
		switch f.Severity {
		case plan.Error:
			c = red
		case plan.Info:
			c = plain
		}
		where := ""
		if f.Field != "" {
			where = "  (" + clean(f.Field) + ")"
		}
		p.linef(c, "%s %s: %s%s", f.Severity, f.Code, clean(f.Message), where)
	}
}

package render

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/aymanbagabas/go-udiff"

	"github.com/kontor-registry/kontor/internal/deploy/plan"
	"github.com/kontor-registry/kontor/internal/report/rollout"
	"github.com/kontor-registry/kontor/internal/report/words"
)

// Plan writes p: each repository that changes with what changes, then the
// findings, then the counts.
func Plan(w io.Writer, p rollout.Plan, o Options) error {
	pr := newPrinter(o)
	pr.linef(bold, "%s, stack %s", Target(p.Target), clean(p.Stack))
	for _, g := range grouped(p.Changes, o) {
		pr.linef(plain, "")
		pr.group(g, p.RefreshOnly, o)
	}
	for _, x := range p.RegistrySettings {
		pr.linef(plain, "")
		pr.registrySetting(x, p.RefreshOnly, o)
	}
	if len(p.Findings) > 0 {
		pr.linef(plain, "")
		pr.findings(p.Findings)
	}
	pr.linef(plain, "")
	if p.Summary != "" {
		pr.linef(bold, "Effects: %s.", p.Summary)
	}
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
		if err := Plan(w, rollout.NewPlan(p), o); err != nil {
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
		changes += p.Work()
	}
	line := fmt.Sprintf("All registries: %s", words.Count(changes, "change", "changes"))
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
func Summary(p rollout.Plan) string {
	changes, settings := len(p.Changes), len(p.RegistrySettings)
	if p.RefreshOnly {
		switch {
		case p.Errors > 0:
			return fmt.Sprintf("Drift: %s, so apply cannot put it right.", words.Count(p.Errors, "error", "errors"))
		case changes > 0 && settings > 0:
			return fmt.Sprintf("Drift: %s and %s differ from the file; apply changes that back.", words.Count(changes, "repository", "repositories"), words.Count(settings, "registry setting", "registry settings"))
		case settings > 0:
			return fmt.Sprintf("Drift: %s from the file; apply changes that back.", words.Count(settings, "registry setting differs", "registry settings differ"))
		case changes > 0:
			return fmt.Sprintf("Drift: %s from the file; apply changes that back.", words.Count(changes, "repository differs", "repositories differ"))
		}
		return "Drift: none."
	}
	if p.Errors > 0 {
		return fmt.Sprintf("Plan: %s, so it cannot be applied.", words.Count(p.Errors, "error", "errors"))
	}
	if changes == 0 && settings > 0 {
		return fmt.Sprintf("Plan: no repository to change. %s", settingsSummary(p))
	}
	if changes == 0 && p.End == plan.Everything {
		return "Plan: nothing to delete."
	}
	if changes == 0 && p.UnchangedSettings > 0 {
		return fmt.Sprintf("Plan: nothing to do, %s and %s are as the file says.", words.Count(p.Unchanged, "repository", "repositories"), words.Count(p.UnchangedSettings, "registry setting", "registry settings"))
	}
	if changes == 0 {
		return fmt.Sprintf("Plan: nothing to do, %s as the file says.", words.Count(p.Unchanged, "repository is", "repositories are"))
	}
	deletes := ""
	if p.Delete > 0 {
		deletes = fmt.Sprintf("%d to delete, ", p.Delete)
	}
	rewords := ""
	if p.Reword > 0 {
		rewords = fmt.Sprintf("%d to reword with the same effect, ", p.Reword)
	}
	line := fmt.Sprintf("Plan: %d to create, %d to adopt, %d to update, %s%s%d unchanged.", p.Create, p.Adopt, p.Update, rewords, deletes, p.Unchanged)
	if settings > 0 {
		line += " " + settingsSummary(p)
	}
	return line
}

// settingsSummary counts templates and upstream rules by what happens to them.
func settingsSummary(p rollout.Plan) string {
	n := map[plan.Op]int{}
	for _, x := range p.RegistrySettings {
		n[x.Op]++
	}
	var list []string
	for _, op := range []plan.Op{plan.OpCreate, plan.OpAdopt, plan.OpUpdate, plan.OpDelete} {
		if n[op] > 0 {
			list = append(list, fmt.Sprintf("%d to %s", n[op], op))
		}
	}
	return "Registry settings: " + strings.Join(list, ", ") + "."
}

// registrySetting writes what changes in a template or an upstream rule.
func (p *printer) registrySetting(x rollout.RegistrySetting, drift bool, o Options) {
	if x.Op == plan.OpDelete {
		p.linef(red, "- %s: delete", clean(x.Name))
	} else {
		mark, color := sign(plan.Modify)
		if x.Op == plan.OpCreate {
			mark, color = sign(plan.Add)
		}
		p.linef(color, "%s %s: %s", mark, clean(x.Name), what(x.Op, drift, "it exists and has no owner"))
	}
	p.differences(rollout.Change{Settings: x.Settings}, func(field string) string { return field }, o)
	p.linef(plain, "    effect: %s", clean(x.Effect))
}

// change writes what changes in a repository; drift tells that as what became of it.
func (p *printer) change(c rollout.Change, drift bool, o Options) {
	if c.Op == plan.OpDelete {
		p.deletion(c, o)
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
func (p *printer) differences(c rollout.Change, field func(string) string, o Options) {
	for _, s := range c.Settings {
		switch s.Field {
		case plan.FieldPolicy, plan.FieldLifecycle:
			p.document(s, field, o)
		default:
			p.setting(s)
		}
	}
	p.effects(c.Effects, o)
}

// effects writes what a change does to images and people.
func (p *printer) effects(list []rollout.Effect, o Options) {
	last := rollout.EffectKind("")
	for _, e := range list {
		if e.Detail && !o.Verbose {
			continue
		}
		if e.Kind != last {
			p.linef(plain, "    effects on %s", e.Kind)
			last = e.Kind
		}
		mark, c := sign(e.Action)
		items := e.Items
		if o.Verbose {
			items = e.All
		}
		p.linef(c, "        %s %s", mark, e.Text)
		for _, x := range items {
			p.linef(c, "            %s", x)
		}
		if !o.Verbose && e.More > 0 && len(e.Items) > 0 {
			p.linef(faint, "            and %d more: kontor plan -v", e.More)
		}
	}
}

// deletion writes what goes with a repository.
func (p *printer) deletion(c rollout.Change, o Options) {
	holds := "it is empty"
	if c.Images != nil {
		holds = fmt.Sprintf("with %s (%d bytes)", words.Count(c.Images.Count, "image", "images"), c.Images.SizeBytes)
	}
	p.linef(red, "- %s: delete, %s", c.Repository, holds)
	for _, d := range c.Documents {
		p.linef(red, "    - %s", settingName(d, ""))
	}
	p.effects(c.Effects, o)
}

// settingName is what readers call a field.
func settingName(f plan.Field, key string) string {
	switch f {
	case plan.FieldPolicy:
		return "repository policy"
	case plan.FieldLifecycle:
		return "lifecycle policy"
	case plan.FieldTag:
		return "resource tag " + clean(key)
	case plan.FieldMutability:
		return "tag mutability"
	case plan.FieldRole:
		return "role"
	}
	if key != "" {
		return string(f) + " " + clean(key)
	}
	return strings.ReplaceAll(string(f), "_", " ")
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

func (p *printer) setting(s rollout.Setting) {
	mark, c := sign(s.Action)
	name, before, after := settingName(s.Field, s.Key), clean(s.Before), clean(s.After)
	switch s.Action {
	case plan.Add:
		p.linef(c, "    %s %s: %s", mark, name, after)
	case plan.Remove:
		p.linef(c, "    %s %s: %s", mark, name, before)
	default:
		p.linef(c, "    %s %s: %s -> %s", mark, name, before, after)
	}
}

// document writes a document's parts, or its text's difference when they are
// not known or the text is asked for.
func (p *printer) document(s rollout.Setting, field func(string) string, o Options) {
	mark, c := sign(s.Action)
	if s.OtherWording != "" {
		p.linef(c, "    %s %s: %s", mark, settingName(s.Field, ""), clean(s.OtherWording))
		if s.SameEffect && !o.Verbose && !o.Documents {
			return
		}
	} else {
		p.linef(c, "    %s %s", mark, settingName(s.Field, ""))
	}
	for _, x := range s.Parts {
		mark, c := sign(x.Action)
		from := ""
		if x.Field != "" {
			from = "  (" + clean(field(x.Field)) + ")"
		}
		name := partName(s.Field, x)
		switch {
		case x.Action == plan.Add:
			p.linef(c, "        %s %s: %s%s", mark, name, clean(x.After), from)
		case x.Action == plan.Remove:
			p.linef(c, "        %s %s: %s", mark, name, clean(x.Before))
		case len(x.Lines) > 0:
			p.linef(c, "        %s %s: %s%s", mark, name, clean(x.Kept), from)
			for _, l := range x.Lines {
				mark, c := sign(l.Action)
				p.linef(c, "            %s %s", mark, clean(l.Text))
			}
		default:
			p.linef(c, "        %s %s: %s", mark, name, clean(x.Before))
			p.linef(c, "          -> %s%s", clean(x.After), from)
		}
	}
	if len(s.Parts) == 0 || o.Documents {
		p.textDiff(indented(s.Before), indented(s.After))
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

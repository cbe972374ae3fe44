// Package rollout holds the reports about a file and the registries that it is
// deployed to, as plain values: plans, outputs, settings, fields, and what
// keeps images in use alive. It is to package report as the deployer is to the
// engines.
package rollout

import (
	"strings"

	"github.com/kontor-registry/kontor/internal/deploy/plan"
	"github.com/kontor-registry/kontor/internal/deploy/state"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/report"
	"github.com/kontor-registry/kontor/internal/report/words"
	"github.com/kontor-registry/kontor/lifecycle"
	"github.com/kontor-registry/kontor/policy"
)

// Plan is a plan as its readers see it: with the rules and statements of its
// documents in words. The plan that is applied is plan.Plan.
type Plan struct {
	Stack  string      `json:"stack"`
	Target plan.Target `json:"target"`
	// Changes are those that do something.
	Changes  []Change       `json:"changes"`
	Findings []plan.Finding `json:"findings"`
	// Errors of Findings keep the plan from being applied.
	Errors int `json:"errors"`
	// Repositories by what happens to them.
	Create int `json:"create"`
	Adopt  int `json:"adopt"`
	Update int `json:"update"`
	// Reword are updates that put documents in other words with the same effect;
	// Update does not count them.
	Reword    int `json:"reword,omitempty"`
	Delete    int `json:"delete"`
	Unchanged int `json:"unchanged"`
	// UnchangedSettings are the templates and upstream rules with nothing to do.
	UnchangedSettings int `json:"unchanged_settings,omitempty"`
	// RegistrySettings are the changes of templates and upstream rules.
	RegistrySettings []RegistrySetting `json:"registry_settings,omitempty"`
	// RefreshOnly: the plan shows drift. End is what it deletes.
	RefreshOnly bool     `json:"refresh_only,omitempty"`
	End         plan.End `json:"end,omitempty"`
	// Summary is what all of it does to images and people, in a sentence without
	// its full stop; "" for nothing that is known.
	Summary string `json:"summary,omitempty"`
}

// Change is one repository's part of a plan.
type Change struct {
	Repository ecr.RepositoryName `json:"repository"`
	Op         plan.Op            `json:"op"`
	Settings   []Setting          `json:"settings,omitempty"`
	// Of a repository to delete: its images, nil when it must be empty, and
	// the documents that go with it.
	Images    *plan.Images `json:"images,omitempty"`
	Documents []plan.Field `json:"documents,omitempty"`
	// Effects are those on images and people.
	Effects []Effect `json:"effects,omitempty"`
}

// Setting is one setting that changes.
type Setting struct {
	Field  plan.Field  `json:"field"`
	Key    string      `json:"key,omitempty"` // of a tag
	Action plan.Action `json:"action"`
	// Before and After are values in words, or a document's text.
	Before string `json:"before,omitempty"`
	After  string `json:"after,omitempty"`
	// Parts are the statements or rules of a document that change; empty when
	// one side cannot be read.
	Parts []Part `json:"parts,omitempty"`
	// OtherWording says that a document has the same effect as before, such as "same
	// effect, other wording"; "" where it has another.
	OtherWording string `json:"other_wording,omitempty"`
	// SameEffect: nothing but words changes.
	SameEffect bool `json:"same_effect,omitempty"`
}

// Part is a statement or a rule, in words.
type Part struct {
	Name   string      `json:"name"`
	Action plan.Action `json:"action"`
	Before string      `json:"before,omitempty"`
	After  string      `json:"after,omitempty"`
	Field  string      `json:"field,omitempty"` // of the file that made the new part
	// Brief is a statement that comes or goes with a number in the place of its
	// actions; "" where they are few.
	Brief string `json:"brief,omitempty"`
	// Kept is what stays of a statement that changes, and Lines what comes and
	// goes, for example "account 444444444444"; empty where before and after say
	// more.
	Kept  string `json:"kept,omitempty"`
	Lines []Line `json:"lines,omitempty"`
}

// Line is one thing that a statement gains or loses.
type Line struct {
	Action plan.Action `json:"action"`
	Text   string      `json:"text"`
}

// NewPlan is the report of p.
func NewPlan(p plan.Plan) Plan {
	out := Plan{
		Stack: p.Stack, Target: p.Target, Changes: []Change{}, Findings: p.Findings, Errors: len(p.Errors()),
		Create: p.Count(plan.OpCreate), Adopt: p.Count(plan.OpAdopt), Update: p.Count(plan.OpUpdate), Delete: p.Count(plan.OpDelete),
		Unchanged: p.Count(plan.OpNone), RefreshOnly: p.RefreshOnly, End: p.End, Summary: Summary([]plan.Plan{p}),
	}
	for _, c := range p.Pending() {
		if c.Reworded() {
			out.Reword++
			out.Update--
		}
		out.Changes = append(out.Changes, NewChange(c))
	}
	out.RegistrySettings = registrySettings(p)
	out.UnchangedSettings = len(p.Templates) + len(p.Upstreams) + len(p.Signers) + len(p.Receivers) - len(out.RegistrySettings)
	if p.Replication != nil {
		out.UnchangedSettings++
	}
	return out
}

// NewChange is the report of c.
func NewChange(c plan.Change) Change {
	out := Change{Repository: c.Repository, Op: c.Op, Images: c.Images, Effects: EffectsOf(c.Effects)}
	before, after := plan.Settings{}, plan.Settings{}
	if c.Before != nil {
		before = *c.Before
	}
	if c.After != nil {
		after = *c.After
	}
	if c.Op == plan.OpDelete {
		if before.Policy != "" {
			out.Documents = append(out.Documents, plan.FieldPolicy)
		}
		if before.Lifecycle != "" {
			out.Documents = append(out.Documents, plan.FieldLifecycle)
		}
		return out
	}
	for _, d := range c.Differences {
		s := Setting{Field: d.Field, Key: d.Key, Action: d.Action}
		switch d.Field {
		case plan.FieldMutability:
			s.Before, s.After = TagMode(before.Mutability), TagMode(after.Mutability)
		case plan.FieldEncryption:
			s.After = after.Encryption.String()
		case plan.FieldScanOnPush:
			s.Before, s.After = onOff(before.ScanOnPush), onOff(after.ScanOnPush)
		case plan.FieldTag:
			s.Before, s.After = before.Tags[d.Key], after.Tags[d.Key]
		case plan.FieldPolicy:
			s.Before, s.After = before.Policy, after.Policy
		case plan.FieldLifecycle:
			s.Before, s.After = before.Lifecycle, after.Lifecycle
		}
		s.OtherWording, s.SameEffect = otherWording(d.OtherWording), d.OtherWording.Same()
		for _, x := range d.Parts {
			s.Parts = append(s.Parts, newPart(d.Field, x))
		}
		out.Settings = append(out.Settings, s)
	}
	return out
}

// otherWording says what another wording changes; "" for nil.
func otherWording(w *plan.Wording) string {
	switch {
	case w == nil:
		return ""
	case w.Same():
		return "same effect, other wording"
	}
	s := "same rights, other wording"
	if len(w.Gained) > 0 {
		s += "; those who may pull also get " + strings.Join(w.Gained, ", ")
	}
	if len(w.Lost) > 0 {
		s += "; those who may pull or push lose " + strings.Join(w.Lost, ", ")
	}
	return s + " (these only read)"
}

func newPart(f plan.Field, x plan.Part) Part {
	out := Part{Name: x.Name, Action: x.Action, Before: part(f, x.Old), After: part(f, x.New), Field: x.Field}
	switch x.Action {
	case plan.Add:
		out.Brief = brief(f, x.New)
	case plan.Remove:
		out.Brief = brief(f, x.Old)
	default:
		out.Kept, out.Lines = statementChange(f, x)
	}
	return out
}

// part says what a part of a document does. A text that cannot be read stands
// for itself.
func part(f plan.Field, text string) string {
	switch f {
	case plan.FieldLifecycle:
		if p, err := lifecycle.Decode([]byte(text)); err == nil && len(p.Rules) == 1 {
			return words.Rule(p.Rules[0])
		}
	case plan.FieldPolicy:
		if d, err := policy.Parse([]byte(text)); err == nil && len(d.Statements) == 1 {
			return words.Statement(d.Statements[0])
		}
	}
	return text
}

// TagMode is a mutability in words: "IMMUTABLE_WITH_EXCLUSION of main, pr-*".
func TagMode(m plan.Mutability) string {
	s := string(m.Mode)
	for i, f := range m.Filters {
		s += []string{" of ", ", "}[min(i, 1)] + f
	}
	return s
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

// Origins are those of the rules of a repository, by priority.
func Origins(rules map[int]state.Origin) map[int]report.Origin {
	out := make(map[int]report.Origin, len(rules))
	for priority, o := range rules {
		out[priority] = report.Origin{Field: o.Field, Place: Place(o.Position)}
	}
	return out
}

// Place is p as reports have it.
func Place(p state.Position) report.Place { return report.Place(p) }

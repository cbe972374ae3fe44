package render

import (
	"fmt"
	"io"
	"strings"

	"github.com/kontor-registry/kontor/internal/deploy/images"
	"github.com/kontor-registry/kontor/internal/deploy/state"
	"github.com/kontor-registry/kontor/internal/report"
	"github.com/kontor-registry/kontor/lifecycle"
)

// LintReport is what there is to say about one policy.
type LintReport struct {
	Lifecycle
	// File holds the policy's text, to which the findings' lines and columns
	// belong; "" for a policy from elsewhere.
	File string
	// Declared is where the repository is declared, for a policy of the file.
	Declared state.Position
	Findings []lifecycle.Finding
}

// place is where a finding belongs: in the policy's file, or at the field that
// made the rule.
func (r *LintReport) place(f lifecycle.Finding) (at state.Position, field string) {
	if r.File != "" {
		return state.Position{File: r.File, Line: f.Line, Column: f.Column}, f.Path
	}
	if o, ok := r.Origins[f.Rule]; ok {
		return o.Position, o.Field
	}
	return r.Declared, f.Path
}

// Lint writes each finding in a line, PLACE: CODE: severity: message, and its
// remedy in a second one.
func Lint(w io.Writer, reports []LintReport, o Options) error {
	p := newPrinter(o)
	warnings, notes := 0, 0
	for _, r := range reports {
		for _, f := range r.Findings {
			at, field := r.place(f)
			where := at.String()
			switch {
			case where == "" && r.Repository != "":
				where = "repository " + r.Repository
			case where == "":
				where = r.Source
			}
			c := yellow
			if f.Severity == lifecycle.Note {
				c = plain
				notes++
			} else {
				warnings++
			}
			p.linef(c, "%s: %s: %s: %s: %s.", clean(where), f.Code, f.Severity, clean(field), clean(f.Message))
			p.linef(plain, "    Remedy: %s.", clean(f.Remedy))
			if len(f.Images) > 0 {
				p.linef(plain, "    Images: %s", clean(r.names(f.Images)))
			}
		}
	}
	p.linef(bold, "%s, %s.", count(warnings, "warning", "warnings"), count(notes, "note", "notes"))
	return p.flush(w)
}

// names lists images with their tags.
func (r *LintReport) names(digests []string) string {
	const most = 3
	var names []string
	for i, d := range digests {
		if i == most {
			names = append(names, fmt.Sprintf("and %d more", len(digests)-most))
			break
		}
		name := images.Short(d)
		for _, m := range r.Images {
			if m.Digest == d {
				name = imageText(m)
			}
		}
		names = append(names, name)
	}
	return strings.Join(names, ", ")
}

// LintJSON writes all findings as {"findings": [...]}.
func LintJSON(w io.Writer, reports []LintReport) error {
	type findingForm struct {
		Repository string             `json:"repository,omitempty"`
		Code       lifecycle.LintCode `json:"code"`
		Severity   lifecycle.Severity `json:"severity"`
		Rule       *int               `json:"rulePriority"`
		Path       string             `json:"path"`
		Field      string             `json:"field,omitempty"`
		File       string             `json:"file,omitempty"`
		Line       int                `json:"line,omitempty"`
		Column     int                `json:"column,omitempty"`
		Message    string             `json:"message"`
		Remedy     string             `json:"remedy"`
		Images     []string           `json:"imageDigests"`
	}
	form := struct {
		Findings []findingForm `json:"findings"`
	}{[]findingForm{}}
	for _, r := range reports {
		for _, f := range r.Findings {
			at, field := r.place(f)
			if r.File != "" {
				field = ""
			}
			form.Findings = append(form.Findings, findingForm{
				Repository: r.Repository, Code: f.Code, Severity: f.Severity, Rule: priority(f.Rule), Path: f.Path, Field: field,
				File: at.File, Line: at.Line, Column: at.Column, Message: f.Message, Remedy: f.Remedy, Images: append([]string{}, f.Images...),
			})
		}
	}
	return JSON(w, form)
}

// LifecycleTests writes a line for each test and repository.
func LifecycleTests(w io.Writer, l report.LifecycleTests, o Options) error {
	p := newPrinter(o)
	failed := 0
	for _, r := range l.Tests {
		word, c := "ok", green
		if !r.Passed {
			word, c = "FAILED", red
			failed++
		}
		p.linef(c, "%-6s  %s: repository %s: %s is %s", word, clean(r.Position().String()), r.Repository, testImage(r), r.Got)
	}
	p.linef(bold, "%s passed, %d failed.", count(len(l.Tests)-failed, "test", "tests"), failed)
	return p.flush(w)
}

// testImage describes the image of a test.
func testImage(t report.LifecycleTest) string {
	s := "an untagged image"
	if len(t.Tags) > 0 {
		s = "an image tagged " + clean(strings.Join(t.Tags, ", "))
	}
	return fmt.Sprintf("%s, %v days old,", s, t.AgeDays)
}

// Difference is a Lifecycle and another policy for its images.
type Difference struct {
	Lifecycle
	After       lifecycle.Policy
	AfterSource string
}

// LifecycleDiff writes which images the new policy loses, gains and treats
// otherwise.
func LifecycleDiff(w io.Writer, d Difference, o Options) error {
	diff := d.Options.Diff(d.Policy, d.After, d.Images, d.At)
	p := newPrinter(o)
	p.linef(bold, "Lifecycle of %s at %s: %s -> %s", clean(orUnknown(d.Repository)), moment(d.At), clean(d.Source), clean(d.AfterSource))
	group := func(c color, title string, changes []lifecycle.Change) {
		if len(changes) == 0 {
			return
		}
		var t tally
		for _, x := range changes {
			t.add(x.Image)
		}
		p.linef(plain, "")
		p.linef(c, "%s: %s", title, t)
		for i, x := range changes {
			if i == mostListed {
				p.linef(plain, "  and %d more; --json lists all", len(changes)-mostListed)
				break
			}
			p.linef(plain, "  %s: %s -> %s", imageText(x.Image), fate(x.Before), fate(x.After))
		}
	}
	group(red, "Lost: expire by the new policy only", diff.Lost)
	group(green, "Gained: expire by the old policy only", diff.Gained)
	group(yellow, "Changed otherwise", diff.Changed)
	p.linef(plain, "")
	if mayBe := d.uncertain(diff.Lost); mayBe > 0 {
		p.linef(yellow, "Not known: %s without tags may belong to an index, and then stay; manifests would tell.", count(mayBe, "image", "images"))
	}
	p.linef(bold, "%d lost, %d gained, %d changed otherwise, %s as before.", len(diff.Lost), len(diff.Gained), len(diff.Changed),
		count(len(d.Images)-len(diff.Lost)-len(diff.Gained)-len(diff.Changed), "image", "images"))
	return p.flush(w)
}

// mostListed is how many images of a kind a text lists.
const mostListed = 50

func orUnknown(repository string) string {
	if repository == "" {
		return "a repository"
	}
	return repository
}

func (d *Difference) uncertain(changes []lifecycle.Change) int {
	n := 0
	for _, c := range changes {
		if d.mayBeChild(c.Image, c.After) {
			n++
		}
	}
	return n
}

// fate is an outcome in a few words.
func fate(o lifecycle.Outcome) string {
	switch {
	case o.GuardedBy != nil:
		return fmt.Sprintf("stays, guarded from rule %d", o.Rule)
	case o.Action == lifecycle.Expire:
		return fmt.Sprintf("expires by rule %d", o.Rule)
	case o.Action == lifecycle.Transition:
		return fmt.Sprintf("archived by rule %d", o.Rule)
	case o.Owner != 0:
		return fmt.Sprintf("stays in rule %d", o.Owner)
	}
	return "stays"
}

// LifecycleDiffJSON writes {"lost": [...], "gained": [...], "changed": [...]},
// each image before and after.
func LifecycleDiffJSON(w io.Writer, d Difference) error {
	type changeForm struct {
		Digest string    `json:"imageDigest"`
		Tags   []string  `json:"imageTags"`
		Before imageForm `json:"before"`
		After  imageForm `json:"after"`
	}
	diff := d.Options.Diff(d.Policy, d.After, d.Images, d.At)
	forms := func(changes []lifecycle.Change) []changeForm {
		out := []changeForm{}
		for _, c := range changes {
			before, after := d.image(c.Image, c.Before), d.image(c.Image, c.After)
			out = append(out, changeForm{c.Image.Digest, before.Tags, before, after})
		}
		return out
	}
	return JSON(w, struct {
		Lost    []changeForm `json:"lost"`
		Gained  []changeForm `json:"gained"`
		Changed []changeForm `json:"changed"`
		New     string       `json:"newPolicy"`
		header
	}{forms(diff.Lost), forms(diff.Gained), forms(diff.Changed), d.AfterSource, d.header()})
}

package report

import (
	"github.com/kontor-registry/kontor/lifecycle"
)

// Lint is what there is to say about policies.
type Lint struct {
	Findings []Finding `json:"findings"`
}

// Finding is a finding of package lifecycle, with its place.
type Finding struct {
	Repository string             `json:"repository,omitempty"`
	Code       lifecycle.LintCode `json:"code"`
	Severity   lifecycle.Severity `json:"severity"`
	Rule       *int               `json:"rulePriority"`
	Path       string             `json:"path"`            // in the policy
	Field      string             `json:"field,omitempty"` // of the file that made the rule
	File       string             `json:"file,omitempty"`
	Line       int                `json:"line,omitempty"`
	Column     int                `json:"column,omitempty"`
	Message    string             `json:"message"`
	Remedy     string             `json:"remedy"`
	Images     []string           `json:"imageDigests"`
	// Policy is where the policy comes from. Names are the images of Images.
	Policy string       `json:"policy"`
	Names  []NamedImage `json:"imageIds"`
}

// At is where the finding stands; the zero Place when it is in no file.
func (f Finding) At() Place { return Place{f.File, f.Line, f.Column} }

// Linted is a policy that was looked at, and what was found.
type Linted struct {
	Lifecycle
	// File holds the policy's text, to which the findings' lines and columns
	// belong; "" for a policy from elsewhere.
	File string
	// Declared is where the repository is declared, for a policy of the file.
	Declared Place
	Findings []lifecycle.Finding
}

// NewLint gathers what was found in policies.
func NewLint(all []Linted) Lint {
	l := Lint{Findings: []Finding{}}
	for _, p := range all {
		tags := map[string][]string{}
		for _, m := range p.Lifecycle.Images {
			tags[m.Digest] = m.Tags
		}
		for _, f := range p.Findings {
			at, field := p.place(f)
			out := Finding{
				Repository: p.Repository, Code: f.Code, Severity: f.Severity, Rule: priority(f.Rule), Path: f.Path, Field: field,
				File: at.File, Line: at.Line, Column: at.Column, Message: f.Message, Remedy: f.Remedy, Images: list(f.Images), Policy: p.Source, Names: []NamedImage{},
			}
			for _, d := range f.Images {
				out.Names = append(out.Names, NamedImage{d, list(tags[d])})
			}
			l.Findings = append(l.Findings, out)
		}
	}
	return l
}

// place is where a finding belongs: in the policy's file, or at the field that
// made the rule.
func (p *Linted) place(f lifecycle.Finding) (at Place, field string) {
	if p.File != "" {
		return Place{p.File, f.Line, f.Column}, ""
	}
	if o, ok := p.Origins[f.Rule]; ok {
		return o.Place, o.Field
	}
	return p.Declared, f.Path
}

// Count is how many findings have a severity.
func (l *Lint) Count(s lifecycle.Severity) int {
	n := 0
	for _, f := range l.Findings {
		if f.Severity == s {
			n++
		}
	}
	return n
}

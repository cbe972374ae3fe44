package render

import (
	"fmt"
	"io"
	"strings"

	"github.com/kontor-registry/kontor/internal/deploy/spec"
	"github.com/kontor-registry/kontor/internal/report"
	"github.com/kontor-registry/kontor/internal/report/words"
	"github.com/kontor-registry/kontor/lifecycle"
)

// Lint writes each finding in a line, PLACE: CODE: severity: message, and its
// remedy in a second one.
func Lint(w io.Writer, r report.Lint, o Options) error {
	p := newPrinter(o)
	for _, f := range r.Findings {
		where := f.At().String()
		switch {
		case where == "" && f.Repository != "":
			where = "repository " + f.Repository
		case where == "":
			where = f.Policy
		}
		c, field := yellow, f.Field
		if f.Severity == lifecycle.Note {
			c = plain
		}
		if field == "" {
			field = f.Path
		}
		p.linef(c, "%s: %s: %s: %s: %s.", clean(where), f.Code, f.Severity, clean(field), clean(f.Message))
		p.linef(plain, "    Remedy: %s.", clean(f.Remedy))
		if len(f.Names) > 0 {
			p.linef(plain, "    Images: %s", namedImages(f.Names))
		}
	}
	p.linef(bold, "%s, %s.", words.Count(r.Count(lifecycle.Warning), "warning", "warnings"), words.Count(r.Count(lifecycle.Note), "note", "notes"))
	return p.flush(w)
}

// namedImages lists some images with their tags.
func namedImages(list []report.NamedImage) string {
	const most = 3
	var names []string
	for i, m := range list {
		if i == most {
			names = append(names, fmt.Sprintf("and %d more", len(list)-most))
			break
		}
		names = append(names, words.Image(m.Digest, m.Tags))
	}
	return strings.Join(names, ", ")
}

// LifecycleTests writes a line for each test and repository.
func LifecycleTests(w io.Writer, results []spec.LifecycleResult, o Options) error {
	p := newPrinter(o)
	failed := 0
	for _, r := range results {
		word, c := "ok", green
		if !r.Result.Passed {
			word, c = "FAILED", red
			failed++
		}
		p.linef(c, "%-6s  %s: repository %s: %s is %s", word, clean(r.Position.String()), r.In, testImage(r.Test), r.Result.Got)
	}
	p.linef(bold, "%s passed, %d failed.", words.Count(len(results)-failed, "test", "tests"), failed)
	return p.flush(w)
}

// testImage describes the image of a test.
func testImage(t lifecycle.Test) string {
	s := "an untagged image"
	if len(t.Tags) > 0 {
		s = "an image tagged " + clean(strings.Join(t.Tags, ", "))
	}
	return fmt.Sprintf("%s, %v days old,", s, t.AgeDays)
}

// LifecycleTestsJSON writes {"tests": [...]}.
func LifecycleTestsJSON(w io.Writer, results []spec.LifecycleResult) error {
	type testForm struct {
		Passed     bool           `json:"passed"`
		Repository string         `json:"repository"`
		Tags       []string       `json:"tags"`
		AgeDays    float64        `json:"ageDays"`
		Expect     lifecycle.Fate `json:"expect"`
		Got        lifecycle.Fate `json:"got"`
		Rule       *int           `json:"rulePriority"`
		MadeBy     string         `json:"ruleField,omitempty"`
		Field      string         `json:"field"`
		File       string         `json:"file"`
		Line       int            `json:"line"`
		Column     int            `json:"column"`
	}
	form := struct {
		Tests []testForm `json:"tests"`
	}{[]testForm{}}
	for _, r := range results {
		var rule *int
		if n := r.Result.Why.Outcome.Owner; n != 0 {
			rule = &n
		}
		form.Tests = append(form.Tests, testForm{
			Passed: r.Result.Passed, Repository: string(r.In), Tags: append([]string{}, r.Test.Tags...), AgeDays: r.Test.AgeDays,
			Expect: r.Test.Expect, Got: r.Result.Got, Rule: rule, MadeBy: r.By.Field,
			Field: r.Field, File: r.File, Line: r.Line, Column: r.Column,
		})
	}
	return JSON(w, form)
}

package render

import (
	"fmt"
	"io"
	"strings"

	"github.com/kontor-registry/kontor/internal/report"
	"github.com/kontor-registry/kontor/internal/report/rollout"
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
func LifecycleTests(w io.Writer, l rollout.LifecycleTests, o Options) error {
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
	p.linef(bold, "%s passed, %d failed.", words.Count(len(l.Tests)-failed, "test", "tests"), failed)
	return p.flush(w)
}

// testImage describes the image of a test.
func testImage(t rollout.LifecycleTest) string {
	s := "an untagged image"
	if len(t.Tags) > 0 {
		s = "an image tagged " + clean(strings.Join(t.Tags, ", "))
	}
	return fmt.Sprintf("%s, %v days old,", s, t.AgeDays)
}

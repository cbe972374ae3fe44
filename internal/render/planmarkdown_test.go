package render_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/kontor-registry/kontor/internal/deploy/plan"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/render"
)

// large is a plan of one registry with so many changes and findings.
func large(name string, changes, warnings, errors int) plan.Plan {
	p := plan.Plan{Stack: "s", Target: plan.Target{Name: name, Account: "111111111111", Region: "us-east-2"}}
	for i := range changes {
		p.Changes = append(p.Changes, plan.Change{
			Repository: ecr.RepositoryName(fmt.Sprintf("team/repository-%d", i)), Op: plan.OpCreate,
			After:       &plan.Settings{Mutability: plan.Mutability{Mode: ecr.Immutable}, Tags: map[string]string{"kontor:stack": fmt.Sprint("s", i)}}, // no two alike
			Differences: []plan.Difference{{Field: plan.FieldMutability, Action: plan.Add}, {Field: plan.FieldTag, Key: "kontor:stack", Action: plan.Add}},
		})
	}
	for i := range warnings + errors {
		f := plan.Finding{Code: plan.CodeLeftFile, Severity: plan.Warning, Message: fmt.Sprintf("warning number %d", i)}
		if i >= warnings {
			f.Code, f.Severity, f.Message = plan.CodeForeignStack, plan.Error, fmt.Sprintf("error number %d", i-warnings)
		}
		p.Findings = append(p.Findings, f)
	}
	return p
}

// A comment on GitHub has at most 65,536 characters ("Body is too long"). What
// does not fit is left out from what says least, and counted.
func TestMarkdownFitsAComment(t *testing.T) {
	several := func(plans ...plan.Plan) plan.Set { return plan.Set{Stack: "s", Plans: plans} }
	for _, c := range []struct {
		name      string
		set       plan.Set
		has, lost []string
	}{
		{"a short one is whole", several(large("prod", 3, 1, 0)), []string{"repository-2` |", "+ team/repository-2: create", "warning number 0"}, []string{"left out", "more"}},
		{
			"first the whole plan is cut", several(large("prod", 400, 5, 1)),
			[]string{"repository-399` |", "+ team/repository-0: create", "lines of the plan are left out: `kontor plan` shows all.", "warning number 4", "error number 0"},
			[]string{"+ team/repository-399: create", "changes more"},
		},
		{
			"that of the last registry first", several(large("prod", 100, 0, 0), large("dev", 400, 0, 0)),
			[]string{"+ team/repository-99: create", "lines of the plan are left out"}, []string{"+ team/repository-399: create"},
		},
		{
			"then the tables", several(large("prod", 5000, 5, 1)),
			[]string{"Plan: 1 error, so it cannot be applied.", "repository-0` |", "changes more: this is too long for a comment.", "warning number 4", "error number 0"},
			[]string{"repository-4999", "<details>"},
		},
		{
			"then the findings, and errors last", several(large("prod", 5000, 3000, 20)),
			[]string{"5000 changes more", "warning number 0\n", "findings more", "error number 0\n", "error number 19\n"}, []string{"warning number 2999", "<details>", "| create |"},
		},
		{
			"errors, too", several(large("prod", 10, 10, 3000)),
			[]string{"10 changes more", "\n- 10 findings more", "error number 0\n", "findings more"}, []string{"error number 2999", "warning number"},
		},
		{
			"registries that fail", plan.Set{Stack: "s", Plans: []plan.Plan{large("prod", 5000, 0, 0)}, Failures: []plan.Failure{{Target: plan.Target{Name: "dev"}, Error: "no credentials"}}},
			[]string{"**Could not be read:** no credentials"}, nil,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			var b strings.Builder
			if err := render.PlanMarkdown(&b, c.set); err != nil {
				t.Fatal(err)
			}
			got := b.String()
			if len(got) > render.MarkdownLimit {
				t.Errorf("%d bytes", len(got))
			}
			for _, w := range c.has {
				if !strings.Contains(got, w) {
					t.Errorf("%q is missing in\n%.3000s", w, got)
				}
			}
			for _, w := range c.lost {
				if strings.Contains(got, w) {
					t.Errorf("%q is there", w)
				}
			}
			if strings.Count(got, "<details>") != strings.Count(got, "</details>") || strings.Count(got, "\n```") != 2*strings.Count(got, "<details>") {
				t.Error("a block that is opened is not closed")
			}
		})
	}
}

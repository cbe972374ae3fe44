package render_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/kontor-registry/kontor/internal/deploy"
	"github.com/kontor-registry/kontor/internal/deploy/plan"
	"github.com/kontor-registry/kontor/internal/render"
)

func TestReporter(t *testing.T) {
	p := samplePlan()
	done := deploy.RepositoryResult{Repository: "api", Op: plan.OpDelete, Status: deploy.StatusDone, Done: []deploy.Step{deploy.StepDelete}}
	for _, bars := range []bool{false, true} {
		t.Run(fmt.Sprint("bars ", bars), func(t *testing.T) {
			var b strings.Builder
			r := render.NewReporter(&b, []plan.Plan{p}, true, render.Options{}, bars)
			r.Report("prod", done)
			if err := r.Close(); err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(b.String(), "prod: api: deleted\n") {
				t.Errorf("with bars %t: %q", bars, b.String())
			}
		})
	}
	r := render.NewReporter(broken{}, []plan.Plan{p}, false, render.Options{}, false)
	r.Report("prod", done)
	if r.Close() == nil {
		t.Error("an error of writing was lost")
	}
}

// TestReading: bars are drawn where there is a terminal, and are gone in the
// end.
func TestReading(t *testing.T) {
	var b strings.Builder
	r := render.NewReading(&b, []string{"prod", "europe"})
	r.Read("prod", 1, 10)
	r.Read("prod", 10, 10)
	r.Read("europe", 3, 5) // it fails after these
	r.Read("mars", 1, 1)
	r.Close()
	nowhere := render.NewReading(nil, []string{"prod"})
	nowhere.Read("prod", 1, 1)
	nowhere.Close()
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.New("broken") }

func TestMarkdownBringsNoMarkupOfOthers(t *testing.T) {
	s := plan.Set{Stack: "<b>*x*</b>", Plans: []plan.Plan{samplePlan()}, Failures: []plan.Failure{{Error: "@team `x` | [a](b)"}}}
	var b strings.Builder
	if err := render.PlanMarkdown(&b, s); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"<b>", "@team", "`x`", "[a](b)", "\x1b"} {
		t.Run(bad, func(t *testing.T) {
			if strings.Contains(b.String(), bad) {
				t.Errorf("%q is in\n%s", bad, b.String())
			}
		})
	}
}

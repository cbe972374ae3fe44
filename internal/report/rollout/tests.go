package rollout

import (
	"errors"
	"fmt"

	"github.com/kontor-registry/kontor/internal/access/proof"
	"github.com/kontor-registry/kontor/internal/deploy/spec"
	"github.com/kontor-registry/kontor/internal/deploy/state"
	"github.com/kontor-registry/kontor/lifecycle"
)

// LifecycleTests are the results of a file's lifecycle_tests.
type LifecycleTests struct {
	Tests []LifecycleTest `json:"tests"` // in the order of the file; never nil
}

// LifecycleTest is one of lifecycle_tests in one repository, and what came of
// it.
type LifecycleTest struct {
	Passed     bool           `json:"passed"`
	Repository string         `json:"repository"`
	Tags       []string       `json:"tags"` // of the test's image; never nil
	AgeDays    float64        `json:"ageDays"`
	Expect     lifecycle.Fate `json:"expect"`
	Got        lifecycle.Fate `json:"got"`
	// Rule is the priority of the rule that the image belongs to, nil for none,
	// and MadeBy the field of the file that made it.
	Rule   *int   `json:"rulePriority"`
	MadeBy string `json:"ruleField,omitempty"`
	// Field, File, Line and Column are the place of the test.
	Field  string `json:"field"`
	File   string `json:"file"`
	Line   int    `json:"line"`
	Column int    `json:"column"`
	// Failure says why the test does not hold; "" when it does.
	Failure string `json:"-"`
}

// NewLifecycleTests puts the results into their published form.
func NewLifecycleTests(results []spec.LifecycleResult) LifecycleTests {
	out := LifecycleTests{Tests: []LifecycleTest{}}
	for _, r := range results {
		t := LifecycleTest{
			Passed: r.Result.Passed, Repository: string(r.In), Tags: append([]string{}, r.Test.Tags...), AgeDays: r.Test.AgeDays,
			Expect: r.Test.Expect, Got: r.Result.Got, MadeBy: r.By.Field,
			Field: r.Field, File: r.File, Line: r.Line, Column: r.Column,
		}
		if n := r.Result.Why.Outcome.Owner; n != 0 {
			t.Rule = &n
		}
		for _, e := range spec.FailedLifecycleTests([]spec.LifecycleResult{r}) {
			t.Failure = e.Message
		}
		out.Tests = append(out.Tests, t)
	}
	return out
}

// Position is the place of the test in the file.
func (t LifecycleTest) Position() state.Position {
	return state.Position{File: t.File, Line: t.Line, Column: t.Column}
}

// Err is the error for tests that do not hold, a line for each; nil when all do.
func (l LifecycleTests) Err() error {
	var failed spec.Errors
	for _, t := range l.Tests {
		if !t.Passed {
			failed = append(failed, &spec.Error{Position: t.Position(), Field: t.Field, Message: t.Failure})
		}
	}
	switch len(failed) {
	case 0:
		return nil
	case 1:
		return errors.Join(failed, errors.New("1 lifecycle test does not hold"))
	}
	return errors.Join(failed, fmt.Errorf("%d lifecycle tests do not hold", len(failed)))
}

// AccessTests are the results of a file's access_tests.
type AccessTests struct {
	Tests []AccessTest `json:"tests"` // by registry, repository and the order of the file; never nil
}

// AccessTest is one assertion of access_tests in one repository, and what came
// of it.
type AccessTest struct {
	Principal  string `json:"principal"`
	Repository string `json:"repository"` // ARN
	Right      string `json:"right"`
	Expect     string `json:"expect"` // "may" or "may not"
	// Outcome is what was found, Failure why the test does not hold, "" when it
	// does. Where is the place of the test in the file.
	Outcome proof.Outcome `json:"outcome"`
	Failure string        `json:"failure,omitempty"`
	Where   string        `json:"where"`
}

// Failed are the tests that do not hold.
func (l AccessTests) Failed() []AccessTest {
	var out []AccessTest
	for _, t := range l.Tests {
		if t.Failure != "" {
			out = append(out, t)
		}
	}
	return out
}

// Err is the error for tests that do not hold; nil when all do.
func (l AccessTests) Err() error {
	switch failed := l.Failed(); len(failed) {
	case 0:
		return nil
	case 1:
		t := failed[0]
		return fmt.Errorf("%s: an access test does not hold: %s %s %s %s: %s", t.Where, t.Principal, t.Expect, t.Right, t.Repository, t.Failure)
	default:
		return fmt.Errorf("%d access tests do not hold: see `kontor access test`", len(failed))
	}
}

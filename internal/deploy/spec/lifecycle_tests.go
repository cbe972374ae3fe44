package spec

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/kontor-registry/kontor/internal/deploy/lang"
	"github.com/kontor-registry/kontor/internal/deploy/spec/fields"
	"github.com/kontor-registry/kontor/internal/deploy/state"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/lifecycle"
)

// fates are the values of expect.
var fates = []lifecycle.Fate{lifecycle.Kept, lifecycle.Expired, lifecycle.Archived}

// LifecycleTest is an entry of lifecycle_tests.
type LifecycleTest struct {
	// Repository is the one whose policy is tried; "" for that of each.
	Repository ecr.RepositoryName
	Test       lifecycle.Test
	state.Origin
}

// LifecycleResult is what became of a LifecycleTest in one repository.
type LifecycleResult struct {
	LifecycleTest
	// In is the repository, By the field that made the rule that the image
	// belongs to; the zero Origin when it belongs to none.
	In     ecr.RepositoryName
	By     state.Origin
	Result lifecycle.TestResult
}

// LifecycleTests are the file's tests, in its order.
func (f *File) LifecycleTests() []LifecycleTest { return slices.Clone(f.lifecycleTests) }

// RunLifecycleTests tries each test on the policies that the file asks for: in
// the order of the tests, and within one of the repositories' names; in a
// repository once for each of the policies that it has in some registry.
func (f *File) RunLifecycleTests(now time.Time) []LifecycleResult {
	var out []LifecycleResult
	for _, t := range f.lifecycleTests {
		for _, repo := range f.repositories {
			if t.Repository != "" && t.Repository != repo.name {
				continue
			}
			for _, v := range f.lifecycles(repo) {
				p, origins := v.lifecycle()
				r := LifecycleResult{LifecycleTest: t, In: repo.name, Result: t.Test.Run(p, now)}
				if owner := r.Result.Why.Owner(); owner != nil {
					r.By = origins[owner.Rule.Priority]
				}
				out = append(out, r)
			}
		}
	}
	return out
}

// lifecycles are the variants of r that differ in their lifecycle policy.
func (f *File) lifecycles(r repository) []variant {
	var out []variant
	seen := map[string]bool{}
	for _, v := range r.variants(f.localOr(ecr.RegistryID{}), nil) {
		p, _ := v.lifecycle()
		if text := p.String(); !seen[text] {
			seen[text] = true
			out = append(out, v)
		}
	}
	return out
}

// FailedLifecycleTests are the errors of the tests that do not hold.
func FailedLifecycleTests(results []LifecycleResult) Errors {
	var errs Errors
	for _, r := range results {
		if r.Result.Passed {
			continue
		}
		because := "no rule selects it"
		if owner := r.Result.Why.Owner(); owner != nil {
			because = fmt.Sprintf("it belongs to rule %d, made by %s", owner.Rule.Priority, r.By.Field)
			if place := r.By.String(); place != "" {
				because += " at " + from(r.By.Position, r.Position)
			}
		}
		errs = append(errs, &Error{Position: r.Position, Field: r.Field, Message: fmt.Sprintf("in repository %s the image is %s, not %s: %s", r.In, r.Result.Got, r.Test.Expect, because)})
	}
	return errs
}

// lifecycleTest reads an entry of lifecycle_tests.
func (r *reader) lifecycleTest(n node) {
	before := len(r.errs)
	m := r.object(n, "lifecycle_tests")
	if m == nil {
		if n.Kind == lang.Null {
			r.wrong(n, "want a mapping with the fields image and expect, but the entry is empty")
		}
		return
	}
	t := LifecycleTest{Origin: n.origin()}
	if len(r.errs) == before {
		r.need(n, m, "a test", "image", "expect")
	}
	if v, ok := m["repository"]; ok {
		if s, ok := r.text(v); ok {
			t.Repository = ecr.RepositoryName(s)
			r.tested = append(r.tested, v)
		}
	}
	if v, ok := m["expect"]; ok {
		if s, ok := r.text(v); ok {
			if t.Test.Expect = lifecycle.Fate(s); !slices.Contains(fates, t.Test.Expect) {
				r.wrong(v, "want kept, expired or archived, not %q", lang.Clip(s))
			}
		}
	}
	if v, ok := m["image"]; ok {
		r.testImage(v, &t.Test)
	}
	if len(r.errs) == before {
		r.lifecycleTests = append(r.lifecycleTests, t)
	}
}

func (r *reader) testImage(n node, t *lifecycle.Test) {
	before := len(r.errs)
	m := r.object(n, "lifecycle_tests.image")
	if m == nil || len(r.errs) == before && !r.need(n, m, "an image", "age_days") {
		return
	}
	if v, ok := m["tags"]; ok {
		for _, item := range r.list(v, "tags") {
			if s, ok := r.text(item); ok {
				if _, err := ecr.ParseTag(s); err != nil {
					r.wrong(item, "%q is not a tag: want 1 to 128 letters, digits, '.', '_' and '-', beginning with a letter, digit or '_'", lang.Clip(s))
				}
				t.Tags = append(t.Tags, s)
			}
		}
	}
	ago := func(field string) *float64 {
		v, ok := m[field]
		if !ok {
			return nil
		}
		days, ok := r.ago(v)
		if !ok {
			return nil
		}
		return &days
	}
	if days := ago("age_days"); days != nil {
		t.AgeDays = *days
	}
	t.PulledDaysAgo, t.ArchivedDaysAgo = ago("pulled_days_ago"), ago("archived_days_ago")
	if v, ok := m["newer"]; ok {
		if n, err := strconv.Atoi(v.Text); v.Kind != lang.Integer || err != nil || n < 0 || n > fields.MaxNewer {
			r.wrong(v, "want a number of newer images from 0 to %d, not %s", fields.MaxNewer, v)
		} else {
			t.Newer = n
		}
	}
}

// ago reads a number of days, fractions allowed.
func (d decoder) ago(n node) (float64, bool) {
	days, err := strconv.ParseFloat(n.Text, 64)
	if n.Kind != lang.Integer && n.Kind != lang.Number || err != nil || !(days >= 0 && days <= fields.MaxDaysAgo) {
		d.wrong(n, "want a number of days from 0 to %d, not %s", fields.MaxDaysAgo, n)
		return 0, false
	}
	return days, true
}

// checkTests finds tests of repositories that the files do not have.
func (r *reader) checkTests() {
	for _, v := range r.tested {
		if _, ok := r.repositories[ecr.RepositoryName(v.Text)]; !ok {
			r.wrong(v, "the file has no repository %q", lang.Clip(v.Text))
		}
	}
}

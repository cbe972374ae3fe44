package plan_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/kontor-registry/kontor/internal/deploy/plan"
	"github.com/kontor-registry/kontor/internal/deploy/state"
	"github.com/kontor-registry/kontor/internal/ecr"
)

// drawRepository makes a repository; stacks are the owners it may have.
func drawRepository(t *rapid.T, name string, stacks ...string) state.Repository {
	broken := []string{}
	if slices.Contains(stacks, "platform") { // observed
		broken = []string{"{", "[1]"}
	}
	r := repo(name, rapid.SampledFrom(stacks).Draw(t, "stack"),
		rapid.SampledFrom(append([]string{"", pull, pull2, other}, broken...)).Draw(t, "policy"),
		rapid.SampledFrom(append([]string{"", days1, days1b, days7}, broken...)).Draw(t, "lifecycle"))
	r.Mutability.Mode = rapid.SampledFrom([]ecr.TagMutability{ecr.Mutable, ecr.Immutable, ecr.MutableWithExclusion, ecr.ImmutableWithExclusion}).Draw(t, "mode")
	if r.Mutability.Mode == ecr.MutableWithExclusion || r.Mutability.Mode == ecr.ImmutableWithExclusion {
		r.Mutability.Filters = rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"a*", "b*", "c"}), 1, 3, rapid.ID).Draw(t, "filters")
	}
	if v := rapid.IntRange(0, 2).Draw(t, "scan"); v > 0 || slices.Contains(stacks, "platform") {
		on := v == 1 // ECR tells either
		r.ScanOnPush = &on
	}
	if slices.Contains(stacks, "platform") || rapid.Bool().Draw(t, "encryption") {
		r.Encryption = &ecr.Encryption{Type: "AES256"}
	}
	r.Unprotected = !slices.Contains(stacks, "platform") && rapid.Bool().Draw(t, "unprotected")
	for _, k := range []string{"team", "env"} {
		if v := rapid.SampledFrom([]string{"", "x", "y"}).Draw(t, k); v != "" {
			r.Tags[k] = v
		}
	}
	return r
}

var names = []string{"aa", "bb", "cc", "dd"}

func drawDesired(t *rapid.T) state.Desired {
	d := wanted()
	for _, n := range rapid.SliceOfNDistinct(rapid.SampledFrom(names), 0, len(names), rapid.ID).Draw(t, "wanted") {
		d.Repositories = append(d.Repositories, drawRepository(t, n, ""))
	}
	return d
}

func drawObserved(t *rapid.T, stacks ...string) state.Observed {
	var rs []state.Repository
	for _, n := range rapid.SliceOfNDistinct(rapid.SampledFrom(names), 0, len(names), rapid.ID).Draw(t, "seen") {
		rs = append(rs, drawRepository(t, n, stacks...))
	}
	return seen(rs...)
}

func TestDiffOfEqualSidesIsEmpty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := drawDesired(t)
		o := seen()
		for _, r := range d.Repositories {
			o.Repositories[r.Name] = with(r, func(r *state.Repository) {
				r.Tags[state.TagStack] = d.Stack
				if r.Unprotected {
					r.Tags[state.TagProtection] = "off"
				}
			})
		}
		p := plan.Diff(d, o)
		if len(p.Pending()) > 0 || len(p.Findings) > 0 {
			t.Fatalf("changes between equal sides: %q", brief(p))
		}
	})
}

func TestApplyingADiffGivesDesired(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d, o := drawDesired(t), drawObserved(t, "", "platform")
		p := plan.Diff(d, o)
		got := applyTo(p, o)
		for _, want := range d.Repositories {
			r := got.Repositories[want.Name]
			if r.Mutability.Mode != want.Mutability.Mode || !plan.EqualPolicy(r.Policy, want.Policy) || !plan.EqualLifecycle(r.Lifecycle, want.Lifecycle) {
				t.Fatalf("%s is %+v, want %+v", want.Name, r, want)
			}
			if want.ScanOnPush != nil && (r.ScanOnPush == nil || *r.ScanOnPush != *want.ScanOnPush) || want.Unprotected != plan.Unprotected(r.Tags) {
				t.Fatalf("%s is %+v, want %+v", want.Name, r, want)
			}
			for k, v := range want.Tags {
				if r.Tags[k] != v {
					t.Fatalf("%s has tag %s=%q, want %q", want.Name, k, r.Tags[k], v)
				}
			}
			for k, v := range o.Repositories[want.Name].Tags {
				if _, managed := want.Tags[k]; !managed && k != state.TagStack && r.Tags[k] != v {
					t.Fatalf("%s lost the tag %s that is not in the file", want.Name, k)
				}
			}
		}
		if again := plan.Diff(d, got); len(again.Pending()) > 0 {
			t.Fatalf("a second plan has changes: %q", brief(again))
		}
	})
}

func TestRepositoriesOutsideTheFileOrOfOthersStay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d, o := drawDesired(t), drawObserved(t, "", "platform", "website")
		got := applyTo(plan.Diff(d, o), o)
		inFile := map[ecr.RepositoryName]bool{}
		for _, r := range d.Repositories {
			inFile[r.Name] = true
		}
		for name, before := range o.Repositories {
			if inFile[name] && before.Tags[state.TagStack] != "website" {
				continue
			}
			if diff := cmp.Diff(before, got.Repositories[name]); diff != "" {
				t.Fatalf("%s changed:\n%s", name, diff)
			}
		}
	})
}

func TestOrderIsIrrelevant(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d, o := drawDesired(t), drawObserved(t, "", "platform", "website")
		before := plan.Diff(d, o)
		shuffled := d
		shuffled.Repositories = rapid.Permutation(d.Repositories).Draw(t, "order")
		for i, r := range shuffled.Repositories {
			shuffled.Repositories[i].Mutability.Filters = slices.Clone(r.Mutability.Filters)
			slices.Reverse(shuffled.Repositories[i].Mutability.Filters)
		}
		if diff := cmp.Diff(before, plan.Diff(shuffled, o)); diff != "" {
			t.Fatalf("the plan depends on the order:\n%s", diff)
		}
	})
}

func TestDiffChangesNeitherSide(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d, o := drawDesired(t), drawObserved(t, "", "platform", "website")
		rs, observed := make([]state.Repository, len(d.Repositories)), maps.Clone(o.Repositories)
		for i, r := range d.Repositories {
			rs[i] = with(r, func(r *state.Repository) { r.Mutability.Filters = slices.Clone(r.Mutability.Filters) })
		}
		for n, r := range observed {
			observed[n] = with(r, func(*state.Repository) {})
		}
		p := plan.Diff(d, o)
		applyTo(p, o)
		if diff := cmp.Diff(rs, d.Repositories, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("desired changed:\n%s", diff)
		}
		if diff := cmp.Diff(observed, o.Repositories); diff != "" {
			t.Fatalf("observed changed:\n%s", diff)
		}
	})
}

// A change of a document says which of its parts changes.
func TestChangedDocumentsHaveParts(t *testing.T) {
	statement := rapid.Custom(func(t *rapid.T) string {
		return `{"Sid":"` + rapid.SampledFrom([]string{"", "A", "B"}).Draw(t, "sid") + `","Effect":"Allow","Principal":` +
			rapid.SampledFrom([]string{`"*"`, `{"AWS":"*"}`, `{"AWS":"111111111111"}`}).Draw(t, "principal") + `,"Action":"ecr:` +
			rapid.SampledFrom([]string{"PutImage", "putimage", "ListImages"}).Draw(t, "action") + `"}`
	})
	rule := rapid.Custom(func(t *rapid.T) string {
		return fmt.Sprintf(`{"rulePriority":%d,"selection":{"tagStatus":"tagged","tagPrefixList":["%s"],"countType":"imageCountMoreThan","countNumber":1},"action":{"type":"expire"}}`,
			rapid.IntRange(1, 3).Draw(t, "priority"), rapid.SampledFrom([]string{"a", "b"}).Draw(t, "prefix"))
	})
	rapid.Check(t, func(t *rapid.T) {
		policy := func(label string) string {
			return `{"Version":"` + rapid.SampledFrom([]string{"2012-10-17", "2008-10-17"}).Draw(t, "version") + `","Statement":[` +
				strings.Join(rapid.SliceOfN(statement, 1, 3).Draw(t, label), ",") + `]}`
		}
		lifecycle := func(label string) string {
			return `{"rules":[` + strings.Join(rapid.SliceOfN(rule, 1, 3).Draw(t, label), ",") + `]}`
		}
		p := plan.Diff(wanted(repo("api", "", policy("want"), lifecycle("wanted rules"))), seen(repo("api", "platform", policy("have"), lifecycle("rules"))))
		for _, c := range p.Changes {
			for _, d := range c.Differences {
				if len(d.Parts) == 0 {
					t.Fatalf("%s changes, but no part of it:\n%s\n%s", d.Field, c.Before.Policy+c.Before.Lifecycle, c.After.Policy+c.After.Lifecycle)
				}
			}
		}
	})
}

// applyTo returns what o becomes when every change of p is carried out. It
// does not change o.
func applyTo(p plan.Plan, o state.Observed) state.Observed {
	out := state.Observed{Target: o.Target, Repositories: maps.Clone(o.Repositories)}
	if out.Repositories == nil {
		out.Repositories = map[ecr.RepositoryName]state.Repository{}
	}
	for _, c := range p.Pending() {
		if c.Op == plan.OpDelete {
			delete(out.Repositories, c.Repository)
			continue
		}
		r := out.Repositories[c.Repository]
		tags := make(map[string]string, len(r.Tags)+len(c.After.Tags))
		maps.Copy(tags, r.Tags)
		for _, d := range c.Differences {
			if d.Field == plan.FieldTag && d.Action == plan.Remove {
				delete(tags, d.Key)
			}
		}
		maps.Copy(tags, c.After.Tags)
		next := state.Repository{
			Name:       c.Repository,
			Mutability: ecr.Mutability{Mode: c.After.Mutability.Mode, Filters: c.After.Mutability.Filters},
			Tags:       tags,
			Policy:     c.After.Policy,
			Lifecycle:  c.After.Lifecycle,
			ScanOnPush: r.ScanOnPush,
			Encryption: r.Encryption,
		}
		if c.After.ScanOnPush != nil {
			next.ScanOnPush = c.After.ScanOnPush
		}
		if e := c.After.Encryption; e != nil && c.Op == plan.OpCreate {
			next.Encryption = &ecr.Encryption{Type: e.Type, KMSKey: e.KMSKey}
		}
		out.Repositories[c.Repository] = next
	}
	return out
}

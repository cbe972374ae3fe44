package state_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kontor-registry/kontor/internal/deploy/state"
	"github.com/kontor-registry/kontor/internal/ecr"
)

func TestFor(t *testing.T) {
	us := state.Target{Name: "us", Registry: ecr.RegistryID{Account: "111111111111", Region: "us-east-1"}}
	cn := state.Target{Name: "cn", Registry: ecr.RegistryID{Account: "111111111111", Region: "cn-north-1"}}
	gov := state.Target{Name: "gov", Registry: ecr.RegistryID{Account: "111111111111", Region: "us-gov-west-1"}}
	repo := func(policy string) []state.Repository {
		return []state.Repository{{Name: "app", Policy: policy}}
	}
	d := state.Desired{
		Stack: "s", StackExplicit: true, Targets: []state.Target{us, cn},
		Repositories: repo("us"), ByTarget: map[string][]state.Repository{"us": repo("us"), "cn": repo("cn")},
	}
	want := func(target state.Target, policy string) state.Desired {
		return state.Desired{Stack: "s", StackExplicit: true, Targets: []state.Target{target}, Repositories: repo(policy)}
	}
	for _, c := range []struct {
		name string
		have state.Desired
		want state.Desired
	}{
		{"first", d.For(us), want(us, "us")},
		{"other target", d.For(cn), want(cn, "cn")},
		{"again", d.For(cn).For(cn), want(cn, "cn")},
		{"unknown target", d.For(gov), want(gov, "us")},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, c.have); diff != "" {
				t.Errorf("%s", diff)
			}
		})
	}
}

// What a description is, and whose mark it has, is read as it was written.
func TestMarked(t *testing.T) {
	for _, stack := range []string{"", "platform"} {
		for _, description := range []string{"", " ", "  a", "a ", "a b", "]", "[kontor:stack=]", "a [kontor:stack"} {
			marked := state.Marked(description, stack)
			if got, owner := state.Unmarked(marked); got != description || owner != stack {
				t.Errorf("%q of %q is read as %q of %q", description, stack, got, owner)
			}
		}
	}
}

func TestPositionString(t *testing.T) {
	for want, p := range map[string]state.Position{
		"kontor.yaml:3:14": {File: "kontor.yaml", Line: 3, Column: 14},
		"kontor.yaml":      {File: "kontor.yaml"},
		"":                 {},
	} {
		t.Run("position "+want, func(t *testing.T) {
			if got := p.String(); got != want {
				t.Errorf("%+v is %q, want %q", p, got, want)
			}
		})
	}
}

func TestBudget(t *testing.T) {
	for _, c := range []struct {
		budget state.Budget
		n, all int
		want   bool
	}{
		{state.Budget{Count: 3}, 3, 3, false},
		{state.Budget{Count: 3}, 4, 100, true},
		{state.Budget{Count: 0}, 1, 1, true},
		{state.Budget{Share: true, Percent: 10}, 10, 100, false},
		{state.Budget{Share: true, Percent: 10}, 11, 100, true},
		{state.Budget{Share: true, Percent: 12.5}, 1, 8, false},
		{state.Budget{Share: true, Percent: 0}, 0, 0, false},
		{state.Budget{Share: true, Percent: 100}, 7, 7, false},
	} {
		t.Run(fmt.Sprintf("%+v %d of %d", c.budget, c.n, c.all), func(t *testing.T) {
			if got := c.budget.Exceeded(c.n, c.all); got != c.want {
				t.Errorf("%+v: %d of %d exceed it: %t", c.budget, c.n, c.all, got)
			}
		})
	}
}

func TestWildcardsOfRepositories(t *testing.T) {
	c := state.Cluster{Repositories: []string{"team/*", "base"}}
	a := state.AccessTest{Repositories: c.Repositories}
	for name, want := range map[ecr.RepositoryName]bool{"team/app": true, "base": true, "base/go": false, "team": false} {
		t.Run(string(name), func(t *testing.T) {
			if c.Pulls(name) != want || a.Covers(name) != want {
				t.Errorf("%s: %t, %t", name, c.Pulls(name), a.Covers(name))
			}
		})
	}
}

func TestWithPolicies(t *testing.T) {
	repo := func(policies ...string) (rs []state.Repository) {
		for _, p := range policies {
			rs = append(rs, state.Repository{Name: "app", Policy: p})
		}
		return rs
	}
	change := func(t state.Target, r state.Repository) (string, error) { return r.Policy + "@" + t.Name, nil }
	us, cn := state.Target{Name: "us"}, state.Target{Name: "cn"}
	d := state.Desired{Targets: []state.Target{us, cn}, Repositories: repo("a"), ByTarget: map[string][]state.Repository{"us": repo("a"), "cn": repo("b", "c")}}
	plain := state.Desired{Targets: []state.Target{us}, Repositories: repo("a")}
	got, err1 := d.WithPolicies(change)
	gotPlain, err2 := plain.WithPolicies(change)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		have state.Desired
		want []state.Repository
	}{
		{"us", got.For(us), repo("a@us")},
		{"cn", got.For(cn), repo("b@cn", "c@cn")},
		{"without ByTarget", gotPlain.For(us), repo("a@us")},
		// which shares no repositories with the result
		{"before", d.For(cn), repo("b", "c")},
		{"before, without ByTarget", plain.For(us), repo("a")},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, c.have.Repositories); diff != "" {
				t.Errorf("%s", diff)
			}
		})
	}
	broken := errors.New("broken")
	if _, err := d.WithPolicies(func(state.Target, state.Repository) (string, error) { return "", broken }); !errors.Is(err, broken) {
		t.Error(err)
	}
}

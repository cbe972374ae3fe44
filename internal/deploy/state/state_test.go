package state_test

import (
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
		Repositories: repo("us"), Partitions: map[string][]state.Repository{"aws": repo("us"), "aws-cn": repo("cn")},
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
		{"other partition", d.For(cn), want(cn, "cn")},
		{"again", d.For(cn).For(cn), want(cn, "cn")},
		{"partition not compiled", d.For(gov), want(gov, "us")},
	} {
		if diff := cmp.Diff(c.want, c.have); diff != "" {
			t.Errorf("%s: %s", c.name, diff)
		}
	}
}

func TestPositionString(t *testing.T) {
	for want, p := range map[string]state.Position{
		"kontor.yaml:3:14": {File: "kontor.yaml", Line: 3, Column: 14},
		"kontor.yaml":      {File: "kontor.yaml"},
		"":                 {},
	} {
		if got := p.String(); got != want {
			t.Errorf("%+v is %q, want %q", p, got, want)
		}
	}
}

package plan_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/kontor-registry/kontor/internal/deploy/plan"
	"github.com/kontor-registry/kontor/internal/deploy/state"
	"github.com/kontor-registry/kontor/internal/ecr"
)

// What a plan does to the replication, and what it says of it.
func TestReplication(t *testing.T) {
	west := ecr.RegistryID{Account: "111111111111", Region: "eu-west-1"}
	away := ecr.RegistryID{Account: "222222222222", Region: "us-east-1"}
	rule := func(to ecr.RegistryID, prefixes ...string) state.ReplicationRule {
		return state.ReplicationRule{To: []ecr.RegistryID{to}, Prefixes: prefixes}
	}
	replicates := func(rules ...state.ReplicationRule) *state.Replication {
		return &state.Replication{Rules: rules, Options: map[ecr.RegistryID]state.ReplicationOptions{}}
	}
	with := func(r *state.Replication, to ecr.RegistryID, o state.ReplicationOptions) *state.Replication {
		r.Options[to] = o
		return r
	}
	unknown := func(r *state.Replication) *state.Replication { r.Options = nil; return r }
	tags := state.ReplicationOptions{Tags: []string{"v*"}}
	for name, c := range map[string]struct {
		want, have *state.Replication
		change     func(d *state.Desired, o *state.Observed)
		end        plan.End
		wanted     string
	}{
		"the file has none":   {have: replicates(rule(west)), wanted: ""},
		"as it is":            {want: replicates(rule(west), rule(away)), have: replicates(rule(away), rule(west)), wanted: "none"},
		"new":                 {want: replicates(rule(west)), have: replicates(), wanted: "create"},
		"another prefix":      {want: replicates(rule(west, "api")), have: replicates(rule(west)), wanted: "update rules"},
		"all are gone":        {want: replicates(), have: replicates(rule(west)), wanted: "delete"},
		"options":             {want: with(replicates(rule(west)), west, tags), have: replicates(rule(west)), wanted: "update options"},
		"options of ECR":      {want: with(replicates(rule(west)), west, tags), have: unknown(replicates(rule(west))), wanted: "none KON2031"},
		"no options, of ECR":  {want: replicates(rule(west)), have: unknown(replicates(rule(west))), wanted: "none"},
		"not read":            {want: replicates(rule(west)), wanted: " KON2031"},
		"a prefix of nothing": {want: replicates(rule(west, "nothing/")), have: replicates(), wanted: "create KON2032"},
		"a prefix of a template": {want: replicates(rule(west, "team/x")), have: replicates(), change: func(d *state.Desired, _ *state.Observed) {
			d.Wanted.Templates = []state.Template{template("team", "platform")}
		}, wanted: "create"},
		"both ways": {want: replicates(rule(west)), have: replicates(rule(west)), change: func(d *state.Desired, _ *state.Observed) { d.Wanted.BothWays = []string{"west"} }, wanted: "none KON2034"},
		"a policy that was not seen": {want: replicates(), have: replicates(), change: func(d *state.Desired, _ *state.Observed) {
			d.Wanted.ReplicatedFrom = []state.ReplicationSource{{Account: "333333333333"}}
		}, wanted: "none KON2033"},
		"someone may replicate": {want: replicates(rule(west)), have: replicates(rule(west)), change: func(d *state.Desired, o *state.Observed) {
			d.Wanted.ReplicatedFrom = []state.ReplicationSource{{Account: "333333333333"}}
			o.Settings.RegistryPolicySeen = true
		}, wanted: "update accounts"},
		"destroy leaves other rules": {want: replicates(rule(west)), have: replicates(rule(west), rule(away)), end: plan.Everything, wanted: "update rules"},
		"destroy of the only rule":   {want: with(replicates(rule(west)), west, tags), have: with(replicates(rule(west)), west, tags), end: plan.Everything, wanted: "delete"},
	} {
		t.Run(name, func(t *testing.T) {
			d, o := wanted(repo("api", "platform", "", "")), seen()
			d.Wanted.Replication, o.Settings.Replication = c.want, c.have
			if c.change != nil {
				c.change(&d, &o)
			}
			p := plan.DiffWith(d, o, plan.Options{End: c.end})
			got := ""
			if p.Replication != nil {
				got = string(p.Replication.Op)
				for _, x := range p.Replication.Differences {
					got += " " + string(x.Field)
				}
			}
			for _, f := range p.Findings {
				if strings.HasPrefix(string(f.Code), "KON203") {
					got += " " + string(f.Code)
				}
			}
			if got != c.wanted {
				t.Errorf("got %q, want %q", got, c.wanted)
			}
			if err := validate(schema(t), plan.Set{Version: plan.SetVersion, Stack: p.Stack, Files: []string{"kontor.yaml"}, Plans: []plan.Plan{p}}); err != nil {
				t.Error(err)
			}
			if err := p.Check(); err != nil && !slices.ContainsFunc(p.Findings, func(f plan.Finding) bool { return f.Severity == plan.Error }) {
				t.Error(err)
			}
		})
	}
}

// What a plan leaves is what it was made for: of that, nothing is left to do.
func TestReplicationIsStale(t *testing.T) {
	west := ecr.RegistryID{Account: "111111111111", Region: "eu-west-1"}
	d, o := wanted(), seen()
	d.Wanted.Replication = &state.Replication{Rules: []state.ReplicationRule{{To: []ecr.RegistryID{west}}}, Options: map[ecr.RegistryID]state.ReplicationOptions{}}
	o.Settings.Replication = &state.Replication{Options: map[ecr.RegistryID]state.ReplicationOptions{}}
	p := plan.Diff(d, o)
	if why := p.Stale(d, o); len(why) > 0 {
		t.Errorf("at once: %v", why)
	}
	done := o
	done.Settings.Replication = d.Wanted.Replication
	if why := p.Stale(d, done); len(why) > 0 {
		t.Errorf("when it is done: %v", why)
	}
	moved := o
	moved.Settings.Replication = &state.Replication{Rules: []state.ReplicationRule{{To: []ecr.RegistryID{west}, Prefixes: []string{"x"}}}}
	if why := p.Stale(d, moved); len(why) != 1 || !strings.Contains(why[0], "changed since") {
		t.Errorf("when it moved: %v", why)
	}
	d.Wanted.Replication = &state.Replication{}
	if why := p.Stale(d, o); len(why) != 1 {
		t.Errorf("with another file: %v", why)
	}
}

package render_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kontor-registry/kontor/internal/deploy"
	"github.com/kontor-registry/kontor/internal/deploy/clusters"
	"github.com/kontor-registry/kontor/internal/deploy/plan"
	"github.com/kontor-registry/kontor/internal/render"
)

func clusterPlan() plan.Set {
	role := func(name string, op plan.RoleOp, before, after []string) plan.RoleChange {
		return plan.RoleChange{Role: "arn:aws:iam::222222222222:role/" + name, Op: op, Policy: "arn:aws:iam::aws:policy/PullOnly",
			Before: plan.Attachment{Attached: len(before) > 0, Stacks: before}, After: plan.Attachment{Attached: len(after) > 0, Stacks: after}}
	}
	attach := role("new", plan.RoleAttach, nil, []string{"one"})
	attach.Found, attach.Pulls = []string{"node group blue", "node group \x1b[31mred"}, &plan.Pulls{Of: 3, Before: 1, After: 2}
	target := plan.Target{Name: "apps", Account: "222222222222", Region: "us-east-2"}
	return plan.Set{
		Stack: "one",
		Clusters: []plan.Cluster{{
			Target: target,
			Roles: []plan.RoleChange{
				attach, role("shared", plan.RoleJoin, []string{"two"}, []string{"one", "two"}), role("left", plan.RoleLeave, []string{"one", "two"}, []string{"two"}),
				role("gone", plan.RoleLeave, nil, nil), role("last", plan.RoleDetach, []string{"one"}, nil), role("same", plan.RoleNone, []string{"one"}, []string{"one"}),
			},
			Findings: []plan.Finding{{Code: plan.CodeRoleMayNotPull, Severity: plan.Warning, Message: "@team no"}},
		}},
		ClusterFailures: []plan.Failure{{Target: plan.Target{Name: "far", Account: "333333333333", Region: "us-east-2"}, Error: "no\n<b>"}},
	}
}

func TestClusters(t *testing.T) {
	var b strings.Builder
	if err := render.Plans(&b, clusterPlan(), render.Options{}); err != nil {
		t.Fatal(err)
	}
	const want = `
Cluster apps: account 222222222222, region us-east-2
+ arn:aws:iam::222222222222:role/new: attach PullOnly  (node group blue, node group \x1b[31mred)
    may pull from 1 of 3 repositories, then from 2
~ arn:aws:iam::222222222222:role/shared: mark as needed by stack one; it has PullOnly of stack two
~ arn:aws:iam::222222222222:role/left: remove the mark of stack one (1 other stack needs PullOnly)
~ arn:aws:iam::222222222222:role/gone: remove the mark of stack one (PullOnly is no longer attached)
- arn:aws:iam::222222222222:role/last: detach PullOnly, which no stack needs now
  arn:aws:iam::222222222222:role/same: unchanged
warning KON2102: @team no
Node roles: 1 to attach to, 1 to mark, 2 to unmark, 1 to detach from, 1 unchanged.

Cluster far: account 333333333333, region us-east-2
could not be read: no\n<b>
`
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	b.Reset()
	if err := render.PlanMarkdown(&b, clusterPlan()); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"\x1b", "@team", "<b>"} {
		t.Run(bad, func(t *testing.T) {
			if strings.Contains(b.String(), bad) {
				t.Errorf("%q is in\n%s", bad, b.String())
			}
		})
	}
	if !strings.Contains(b.String(), "| attach | arn:aws:iam::222222222222:role/new | 2 of 3 repositories |\n") {
		t.Error(b.String())
	}
}

func TestClusterResult(t *testing.T) {
	r := clusters.Result{Target: plan.Target{Name: "apps"}, Roles: []clusters.RoleResult{
		{Role: "a", Op: plan.RoleAttach, Status: deploy.StatusDone}, {Role: "b", Op: plan.RoleDetach, Status: deploy.StatusFailed, Error: "no\nway"},
	}}
	var b strings.Builder
	if err := render.ClusterResult(&b, r, render.Options{}); err != nil {
		t.Fatal(err)
	}
	want := "apps: a: may pull now\napps: b: not changed: no\\nway\nApplied to cluster apps: 1 of 2 node roles done.\n"
	if b.String() != want {
		t.Errorf("%q, want %q", b.String(), want)
	}
}

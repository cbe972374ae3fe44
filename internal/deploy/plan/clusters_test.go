package plan_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kontor-registry/kontor/internal/deploy/plan"
)

// clusterSet is a set with every form of a cluster's part.
func clusterSet() plan.Set {
	change := func(role string, op plan.RoleOp, before, after plan.Attachment) plan.RoleChange {
		return plan.RoleChange{Role: "arn:aws:iam::222222222222:role/" + role, Op: op, Policy: "arn:aws:iam::aws:policy/P", Before: before, After: after}
	}
	has := func(attached bool, stacks ...string) plan.Attachment {
		return plan.Attachment{Attached: attached, Stacks: stacks}
	}
	attach := change("a", plan.RoleAttach, has(false), has(true, "s"))
	attach.Found, attach.Pulls = []string{"node group blue"}, &plan.Pulls{Of: 2, After: 2}
	target := plan.Target{Name: "apps", Account: "222222222222", Region: "us-east-2"}
	return plan.Set{
		Version: plan.SetVersion, Stack: "s", Plans: []plan.Plan{},
		Clusters: []plan.Cluster{{
			Target: target, Discovered: true,
			Roles: []plan.RoleChange{
				attach,
				change("b", plan.RoleJoin, has(true, "t"), has(true, "s", "t")),
				change("c", plan.RoleLeave, has(true, "s", "t"), has(true, "t")),
				change("d", plan.RoleDetach, has(true, "s"), has(false)),
				change("e", plan.RoleNone, has(true), has(true)),
			},
			Findings: []plan.Finding{{Code: plan.CodeRoleMayNotPull, Severity: plan.Warning, Message: "no"}},
		}},
		ClusterFailures: []plan.Failure{{Target: target, Error: "no"}},
	}
}

func TestClustersFitThePublishedSchema(t *testing.T) {
	s := schema(t)
	set := clusterSet()
	if err := validate(s, set); err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	got, err := plan.ParseSet("plan", b)
	if diff := cmp.Diff(set, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if n := set.Pending(); n != 4 {
		t.Errorf("%d changes, want 4", n)
	}
	for name, spoil := range map[string]func(*plan.Cluster){
		"an unknown operation":                func(c *plan.Cluster) { c.Roles[0].Op = "explode" },
		"an attachment without a stack":       func(c *plan.Cluster) { c.Roles[0].After.Stacks = nil },
		"a detachment that leaves the policy": func(c *plan.Cluster) { c.Roles[3].After.Attached = true },
		"a role that is none":                 func(c *plan.Cluster) { c.Roles[0].Role = "nodes" },
	} {
		t.Run(name, func(t *testing.T) {
			bad := clusterSet()
			spoil(&bad.Clusters[0])
			if validate(s, bad) == nil {
				t.Errorf("%s fits the schema", name)
			}
		})
	}
}

func TestEditedClusters(t *testing.T) {
	for name, spoil := range map[string]func(*plan.Cluster){
		"a mark of another stack":         func(c *plan.Cluster) { c.Roles[1].After.Stacks = []string{"s"} },
		"a detachment others rely on":     func(c *plan.Cluster) { c.Roles[3].Before.Stacks = []string{"s", "t"} },
		"a detachment of what is others'": func(c *plan.Cluster) { c.Roles[3].Before.Stacks = nil },
		"nothing, which is something":     func(c *plan.Cluster) { c.Roles[4].After.Attached = false },
		"leaving what it is not in":       func(c *plan.Cluster) { c.Roles[2].Before = c.Roles[2].After },
	} {
		t.Run(name, func(t *testing.T) {
			bad := clusterSet()
			spoil(&bad.Clusters[0])
			b, err := json.Marshal(bad)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := plan.ParseSet("my.plan", b); err == nil || !strings.HasPrefix(err.Error(), "my.plan: the plan for cluster apps: role arn:") {
				t.Error(err)
			}
		})
	}
}

package clusters_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/access/proof"
	"github.com/kontor-registry/kontor/internal/deploy/clusters"
	"github.com/kontor-registry/kontor/internal/deploy/plan"
	"github.com/kontor-registry/kontor/internal/deploy/state"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/policy"
)

const (
	pullGrant = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::222222222222:root"},"Action":["ecr:BatchGetImage","ecr:GetDownloadUrlForLayer"]}]}`
	nodes     = arn + "nodes"
)

// aws is AWS's managed policy of that name.
func aws(t *testing.T, name string) access.Document {
	t.Helper()
	for _, m := range policy.ManagedPolicies() {
		if m.Name == name {
			return access.Document{Name: name, Text: m.Document.String()}
		}
	}
	t.Fatalf("there is no policy %s", name)
	return access.Document{}
}

func text(name, statement string) access.Document {
	return access.Document{Name: name, Text: `{"Version":"2012-10-17","Statement":[` + statement + `]}`}
}

func repository(policy string, names ...string) []proof.Repository {
	var out []proof.Repository
	for _, n := range names {
		out = append(out, proof.Repository{
			In: ecr.RegistryID{Account: "111111111111", Region: "us-east-2"}, Name: ecr.RepositoryName(n), Policy: policy,
		})
	}
	return out
}

// marks are the tags of a role that stacks need.
func marks(stacks ...string) map[string]string {
	out := map[string]string{"team": "x"}
	for _, s := range stacks {
		out[clusters.TagKey(s)] = s
	}
	return out
}

func member(pulls []proof.Repository, roles ...string) clusters.Member {
	m := clusters.Member{Cluster: state.Cluster{Name: "apps", Account: "222222222222", Region: "us-east-2"}, Pulls: pulls}
	for _, r := range roles {
		m.Roles = append(m.Roles, clusters.Role{ARN: r, Found: []string{"node_role_arns"}})
	}
	return m
}

func TestPlan(t *testing.T) {
	pullOnly, readOnly := aws(t, clusters.PolicyName), aws(t, "AmazonEC2ContainerRegistryReadOnly")
	both := repository(pullGrant, "team/api", "team/web")
	of := func(before, after int) *plan.Pulls { return &plan.Pulls{Of: 2, Before: before, After: after} }
	has := func(attached bool, stacks ...string) plan.Attachment {
		return plan.Attachment{Attached: attached, Stacks: stacks}
	}
	for _, c := range []struct {
		name          string
		role          proof.Principal
		pulls         []proof.Repository // both, if nil
		change        func(*clusters.Options)
		op            plan.RoleOp
		before, after plan.Attachment
		counts        *plan.Pulls
		finding       string // code and some words; "" for none
	}{
		{name: "a role without policies", op: plan.RoleAttach, after: has(true, "one"), counts: of(0, 2)},
		{name: "ReadOnly is wider", role: proof.Principal{Documents: []access.Document{readOnly}}, op: plan.RoleNone, counts: of(2, 2)},
		{name: "attached by others", role: proof.Principal{Documents: []access.Document{pullOnly}}, op: plan.RoleNone, before: has(true), after: has(true), counts: of(2, 2)},
		{
			name: "a policy of one's own for one repository",
			role: proof.Principal{Documents: []access.Document{text("own", `{"Effect":"Allow","Action":"ecr:GetAuthorizationToken","Resource":"*"},`+
				`{"Effect":"Allow","Action":"ecr:*","Resource":"arn:aws:ecr:us-east-2:111111111111:repository/team/api"}`)}},
			op: plan.RoleAttach, after: has(true, "one"), counts: of(1, 2),
		},
		{name: "of this stack already", role: proof.Principal{Documents: []access.Document{pullOnly}, Tags: marks("one")}, op: plan.RoleNone, before: has(true, "one"), after: has(true, "one"), counts: of(2, 2)},
		{name: "of another stack", role: proof.Principal{Documents: []access.Document{pullOnly}, Tags: marks("two")}, op: plan.RoleJoin, before: has(true, "two"), after: has(true, "one", "two"), counts: of(2, 2)},
		{name: "detached by hand", role: proof.Principal{Tags: marks("one", "two")}, op: plan.RoleAttach, before: has(false, "one", "two"), after: has(true, "one", "two"), counts: of(0, 2)},
		{name: "a wider policy was attached instead", role: proof.Principal{Documents: []access.Document{readOnly}, Tags: marks("one")}, op: plan.RoleLeave, before: has(false, "one"), counts: of(2, 2)},
		{name: "drift", role: proof.Principal{Tags: marks("one")}, change: func(o *clusters.Options) { o.RefreshOnly = true }, op: plan.RoleAttach, before: has(false, "one"), after: has(true, "one"), counts: of(0, 2)},
		{name: "what lost its mark is drift, too", change: func(o *clusters.Options) { o.RefreshOnly = true }, op: plan.RoleAttach, after: has(true, "one"), counts: of(0, 2)},
		{
			// IAM user guide, "Permissions boundaries for IAM entities"
			name: "a boundary that the policy does not get past",
			role: proof.Principal{Boundary: &access.Document{Name: "limit", Text: text("", `{"Effect":"Allow","Action":"s3:*","Resource":"*"}`).Text}},
			op:   plan.RoleNone, counts: of(0, 0), finding: "KON2102 may not pull from any of 2 repositories even with",
		},
		{
			// IAM user guide, "Policy evaluation logic": an explicit deny wins
			name: "an explicit deny",
			role: proof.Principal{Documents: []access.Document{text("no", `{"Effect":"Deny","Action":"ecr:BatchGetImage","Resource":"*"}`)}},
			op:   plan.RoleNone, counts: of(0, 0), finding: "KON2102 is denied by no, statement 1",
		},
		{name: "repositories that do not grant it", pulls: append(repository(pullGrant, "team/api"), repository("", "team/web")...), op: plan.RoleAttach, after: has(true, "one"), counts: of(0, 1), finding: "KON2102 may pull from 1 of 2"},
		{name: "policies that could not be seen", role: proof.Principal{Unseen: "policy x: iam:GetPolicy is not allowed"}, op: plan.RoleNone, counts: of(0, 0), finding: "KON2103 iam:GetPolicy is not allowed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.role.ARN = nodes
			if c.pulls == nil {
				c.pulls = both
			}
			o := clusters.Options{Stack: "one", Explicit: true, Leave: true}
			if c.change != nil {
				c.change(&o)
			}
			got, err := clusters.Plan(clusters.Account{Members: []clusters.Member{member(c.pulls, nodes)}, People: []proof.Principal{c.role}}, o)
			if err != nil {
				t.Fatal(err)
			}
			want := []plan.RoleChange{{
				Role: nodes, Op: c.op, Policy: "arn:aws:iam::aws:policy/" + clusters.PolicyName,
				Before: c.before, After: c.after, Found: []string{"node_role_arns"}, Pulls: c.counts,
			}}
			if diff := cmp.Diff(want, got[0].Roles); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if err := got[0].Check("one"); err != nil {
				t.Errorf("it refuses its own plan: %v", err)
			}
			var all string
			for _, f := range got[0].Findings {
				all += string(f.Code) + " " + f.Message + "\n"
			}
			code, words, _ := strings.Cut(c.finding, " ")
			if c.finding == "" && all != "" || !strings.Contains(all, code) || !strings.Contains(all, words) {
				t.Errorf("findings %q, want %q", all, c.finding)
			}
		})
	}
}

func TestPlanLeaves(t *testing.T) {
	pullOnly := []access.Document{aws(t, clusters.PolicyName)}
	people := []proof.Principal{
		{ARN: arn + "a", Documents: pullOnly, Tags: marks("one")},
		{ARN: arn + "b", Documents: pullOnly, Tags: marks("one", "two")},
		{ARN: arn + "c", Documents: pullOnly, Tags: marks("two")},
		{ARN: arn + "d", Documents: pullOnly},
		// A tag that only looks like one of Kontor's is no one's word.
		{ARN: arn + "e", Documents: pullOnly, Tags: map[string]string{"kontor:pull:0000": "one"}},
	}
	for _, c := range []struct {
		name  string
		roles []string
		o     clusters.Options
		want  map[string]plan.RoleOp
	}{
		{"a role left its cluster", []string{arn + "a"}, clusters.Options{Explicit: true, Leave: true}, map[string]plan.RoleOp{"a": plan.RoleNone, "b": plan.RoleLeave}},
		{"the stack ends", []string{arn + "a"}, clusters.Options{Explicit: true, Leave: true, End: plan.Everything}, map[string]plan.RoleOp{"a": plan.RoleDetach, "b": plan.RoleLeave}},
		{"not all clusters were seen", []string{arn + "a"}, clusters.Options{Explicit: true}, map[string]plan.RoleOp{"a": plan.RoleNone}},
		{"a stack without a name", []string{arn + "a"}, clusters.Options{Leave: true}, map[string]plan.RoleOp{"a": plan.RoleNone}},
		{"drift", []string{arn + "a"}, clusters.Options{Explicit: true, Leave: true, RefreshOnly: true}, map[string]plan.RoleOp{"a": plan.RoleNone, "b": plan.RoleLeave}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.o.Stack = "one"
			// The second cluster shares the role: it is changed in one plan only.
			two := []clusters.Member{member(repository(pullGrant, "team/api"), c.roles...), member(repository(pullGrant, "team/api"), c.roles...)}
			two[1].Cluster.Name = "other"
			got, err := clusters.Plan(clusters.Account{Members: two, People: people}, c.o)
			if err != nil {
				t.Fatal(err)
			}
			ops := map[string]plan.RoleOp{}
			for _, r := range got[0].Roles {
				ops[strings.TrimPrefix(r.Role, arn)] = r.Op
			}
			if diff := cmp.Diff(c.want, ops); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if n := len(got[1].Pending()); n > 0 {
				t.Errorf("the second cluster has %d changes", n)
			}
			if (len(got[0].Findings) > 0) != (!c.o.Explicit && c.o.Leave) {
				t.Errorf("findings %v", got[0].Findings)
			}
			for _, f := range got[0].Findings {
				if f.Code != plan.CodeRoleKept {
					t.Errorf("finding %s, want %s", f.Code, plan.CodeRoleKept)
				}
			}
		})
	}
}

func TestPlanMissing(t *testing.T) {
	got, err := clusters.Plan(clusters.Account{Members: []clusters.Member{
		member(repository(pullGrant, "a"), nodes), member(nil, nodes), member(repository(pullGrant, "a")),
	}}, clusters.Options{Stack: "one"})
	if err != nil {
		t.Fatal(err)
	}
	for i, code := range []plan.Code{plan.CodeRoleMissing, plan.CodeNoRoles, plan.CodeNoRoles} {
		t.Run(fmt.Sprint("cluster ", i), func(t *testing.T) {
			if f := got[i].Findings; len(f) != 1 || f[0].Code != code {
				t.Errorf("cluster %d: findings %v, want %s", i, f, code)
			}
		})
	}
	if len(got[0].Errors()) != 1 {
		t.Error("a role that is not there is no error")
	}
}

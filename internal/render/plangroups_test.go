package render_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kontor-registry/kontor/internal/deploy/plan"
	"github.com/kontor-registry/kontor/internal/deploy/state"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/render"
	"github.com/kontor-registry/kontor/internal/report/rollout"
)

// granted is a policy with one statement.
func granted(action string, principals ...string) string {
	return fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Sid":"Pull","Effect":"Allow","Principal":{"AWS":["%s"]},"Action":%s}]}`, strings.Join(principals, `","`), action)
}

const fourActions = `["ecr:BatchGetImage","ecr:GetDownloadUrlForLayer","ecr:ListImages","ecr:DescribeImages"]`

// alike is a plan by which n repositories get the account 666666666666 in, one
// other gets another, and left more have left the file.
func alike(n, left int) plan.Plan {
	d := state.Desired{Stack: "s"}
	o := state.Observed{
		Target:       state.Target{Name: "prod", Registry: ecr.RegistryID{Account: "111111111111", Region: "us-east-2"}},
		Repositories: map[ecr.RepositoryName]state.Repository{},
	}
	have := func(name string) state.Repository {
		return state.Repository{
			Name: ecr.RepositoryName(name), Mutability: ecr.Mutability{Mode: ecr.Immutable}, Tags: map[string]string{state.TagStack: "s"},
			Policy: granted(fourActions, "555555555555"),
		}
	}
	add := func(name, account string) {
		r := have(name)
		o.Repositories[r.Name] = r
		r.Tags, r.Policy = nil, granted(fourActions, "555555555555", account)
		r.Origins.Statements = map[string]state.Origin{"Pull": {Field: fmt.Sprintf("ecr_repositories[%q].additional_pull_account_ids", name)}}
		d.Repositories = append(d.Repositories, r)
	}
	for i := range n {
		add(fmt.Sprintf("team/app-%04d", i), "666666666666")
	}
	add("team/other", "777777777777")
	for i := range left {
		r := have(fmt.Sprintf("old/%03d", i))
		o.Repositories[r.Name] = r
	}
	return plan.Diff(d, o)
}

func planText(t *testing.T, p plan.Plan) string {
	t.Helper()
	var b strings.Builder
	if err := render.Plan(&b, rollout.NewPlan(p), render.Options{}); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// What 2,000 repositories get in the same way is written once, with some of their
// names, and what one gets otherwise stands apart.
func TestEqualChangesAreGrouped(t *testing.T) {
	got := planText(t, alike(2000, 0))
	want := `Registry prod: account 111111111111, region us-east-2, stack s

~ 2000 repositories: update
      team/app-0000, team/app-0001, team/app-0002, team/app-0003, team/app-0004, team/app-0005, team/app-0006, team/app-0007, team/app-0008, team/app-0009, and 1990 more (--json names all)
    ~ repository policy
        ~ statement Pull: Allow, 4 actions  (ecr_repositories.*.additional_pull_account_ids)
            + account 666666666666

~ team/other: update
    ~ repository policy
        ~ statement Pull: Allow, 4 actions  (ecr_repositories["team/other"].additional_pull_account_ids)
            + account 777777777777

Plan: 0 to create, 0 to adopt, 2001 to update, 0 unchanged.
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := planText(t, alike(4, 0)); strings.Count(got, "+ account 666666666666") != 4 || !strings.Contains(got, "~ team/app-0003: update") {
		t.Errorf("four are each for themselves:\n%s", got)
	}
	if got := planText(t, alike(11, 0)); !strings.Contains(got, "team/app-0009, team/app-0010\n") {
		t.Errorf("eleven are all named:\n%s", got)
	}
}

// Whoever reviews a pull request sees who gets in, in how many repositories, also
// where the changes are all different.
func TestMarkdownSaysWhatChanges(t *testing.T) {
	markdown := func(p plan.Plan) string {
		var b strings.Builder
		if err := render.PlanMarkdown(&b, plan.Set{Stack: "s", Plans: []plan.Plan{p}}); err != nil {
			t.Fatal(err)
		}
		if b.Len() > render.MarkdownLimit {
			t.Errorf("%d bytes", b.Len())
		}
		return b.String()
	}
	got := markdown(alike(2000, 300))
	for _, want := range []string{
		"| update | 2000 repositories: `team/app-0000`, ", "and 1990 more | repository policy: \\~ statement Pull + account 666666666666 |\n",
		"| update | `team/other` | repository policy: \\~ statement Pull + account 777777777777 |\n",
		"+             account 666666666666\n",
		"- **warning** KON2001: repository \"old/000\" belongs to stack s but is not in the file; it is left as it is; the same is so of 299 more: old/001, ",
	} {
		t.Run(strings.TrimSpace(want), func(t *testing.T) {
			if !strings.Contains(got, want) {
				t.Errorf("%q is missing in\n%s", want, got)
			}
		})
	}
	if strings.Contains(got, "too long") || strings.Contains(got, "left out") {
		t.Errorf("something is left out of\n%s", got)
	}

	// No two are alike: the rows that fit say what changes.
	p := alike(2000, 0)
	for i := range p.Changes {
		d := &p.Changes[i].Differences[0].Parts[0]
		d.New = strings.Replace(d.New, "666666666666", fmt.Sprintf("8%011d", i), 1)
	}
	got = markdown(p)
	if !strings.Contains(got, "| update | `team/app-0123` | repository policy: \\~ statement Pull + account 800000000123 |\n") || !strings.Contains(got, "changes more") {
		t.Errorf("%.2000s", got)
	}
}

// What is deleted is named, each with its images.
func TestDeletionsAreNotGrouped(t *testing.T) {
	p := plan.Plan{Target: plan.Target{Name: "prod"}}
	for i := range 40 {
		p.Changes = append(p.Changes, plan.Change{Repository: ecr.RepositoryName(fmt.Sprintf("r-%d", i)), Op: plan.OpDelete, Before: &plan.Settings{}})
	}
	if got := planText(t, p); strings.Count(got, ": delete, it is empty") != 40 {
		t.Error(got)
	}
}

// A statement that changes says what is new and what goes, not all of it again.
func TestStatementChanges(t *testing.T) {
	const org = `"Condition":{"StringEquals":{"aws:PrincipalOrgID":"o-1"}}`
	statement := func(effect, principal, action, rest string) string {
		if rest != "" {
			rest = "," + rest
		}
		return fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Sid":"S","Effect":%q,"Principal":%s,"Action":%s%s}]}`, effect, principal, action, rest)
	}
	one := `{"AWS":"555555555555"}`
	tests := []struct{ name, old, now, want string }{
		{"an account comes", granted(fourActions, "555555555555"), granted(fourActions, "555555555555", "666666666666"), "Allow, 4 actions\n+ account 666666666666"},
		{"one goes", granted(`"ecr:ListImages"`, "555555555555", "666666666666"), granted(`"ecr:ListImages"`, "666666666666"), "Allow, ListImages\n- account 555555555555"},
		{"one takes the place of another", granted(fourActions, "555555555555"), granted(fourActions, "arn:aws:iam::555555555555:role/ci"), "Allow, 4 actions\n+ arn:aws:iam::555555555555:role/ci\n- account 555555555555"},
		{"an action comes", granted(`"ecr:ListImages"`, "555555555555"), granted(`["ecr:ListImages","ecr:PutImage"]`, "555555555555"), "Allow, account 555555555555\n+ PutImage"},
		{"a condition goes", statement("Allow", one, fourActions, org), statement("Allow", one, fourActions, ""), "Allow, account 555555555555, 4 actions\n- when aws:PrincipalOrgID StringEquals o-1"},
		{"a condition stays", statement("Allow", one, fourActions, org), statement("Allow", `"*"`, fourActions, org), "Allow, 4 actions, when aws:PrincipalOrgID StringEquals o-1\n+ everyone\n- account 555555555555"},
		{"another effect", statement("Allow", one, `"ecr:*"`, ""), statement("Deny", one, `"ecr:*"`, ""), ""},
		{"all but some", statement("Allow", one, `"ecr:*"`, ""), strings.Replace(statement("Allow", one, `"ecr:PutImage"`, ""), `"Action"`, `"NotAction"`, 1), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := func(text string, tags map[string]string) state.Repository {
				return state.Repository{Name: "api", Mutability: ecr.Mutability{Mode: ecr.Immutable}, Policy: text, Tags: tags}
			}
			got := planText(t, plan.Diff(state.Desired{Stack: "s", Repositories: []state.Repository{r(tt.now, nil)}}, state.Observed{
				Repositories: map[ecr.RepositoryName]state.Repository{"api": r(tt.old, map[string]string{state.TagStack: "s"})},
			}))
			_, got, _ = strings.Cut(got, "    ~ repository policy\n")
			got, _, _ = strings.Cut(got, "\n\n")
			if tt.want == "" { // before and after
				if !strings.Contains(got, "\n          -> ") {
					t.Error(got)
				}
				return
			}
			lines := strings.Split(got, "\n")
			for i := range lines {
				lines[i] = strings.TrimSpace(lines[i])
			}
			_, lines[0], _ = strings.Cut(lines[0], ": ")
			if diff := cmp.Diff(tt.want, strings.Join(lines, "\n")); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

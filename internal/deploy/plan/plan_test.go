package plan_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/kontor-registry/kontor/internal/deploy/plan"
	"github.com/kontor-registry/kontor/internal/deploy/state"
	"github.com/kontor-registry/kontor/internal/ecr"
)

var registry = ecr.RegistryID{Account: "111111111111", Region: "us-east-2"}

var target = state.Target{Name: "prod", Registry: registry, RoleARN: "arn:aws:iam::111111111111:role/deployer"}

// Documents that the cases share.
const (
	pull   = `{"Version":"2012-10-17","Statement":[{"Sid":"Pull","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::333333333333:root"},"Action":["ecr:BatchGetImage","ecr:GetDownloadUrlForLayer"]}]}`
	pull2  = "{\n  \"Version\": \"2012-10-17\",\n  \"Statement\": {\"Sid\": \"Pull\", \"Effect\": \"Allow\", \"Principal\": {\"AWS\": [\"arn:aws:iam::333333333333:root\"]}, \"Action\": [\"ecr:GetDownloadUrlForLayer\", \"ecr:BatchGetImage\"]}}"
	other  = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"ecr:BatchGetImage"},{"Sid":"Pull","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::444444444444:root"},"Action":"ecr:BatchGetImage"}]}`
	days1  = `{"rules":[{"rulePriority":1,"selection":{"tagStatus":"untagged","countType":"sinceImagePushed","countUnit":"days","countNumber":1},"action":{"type":"expire"}}]}`
	days1b = `{"rules": [{"action":{"type":"expire"},"rulePriority":1,"selection":{"tagStatus":"untagged","countType":"sinceImagePushed","countUnit":"days","countNumber":1}}]}`
	days7  = `{"rules":[{"rulePriority":1,"selection":{"tagStatus":"untagged","countType":"sinceImagePushed","countUnit":"days","countNumber":7},"action":{"type":"expire"}},{"rulePriority":2,"selection":{"tagStatus":"any","countType":"imageCountMoreThan","countNumber":10},"action":{"type":"expire"}}]}`
)

func wanted(rs ...state.Repository) state.Desired {
	return state.Desired{Stack: "platform", Targets: []state.Target{target}, Repositories: rs}
}

func seen(rs ...state.Repository) state.Observed {
	o := state.Observed{Target: target, Repositories: map[ecr.RepositoryName]state.Repository{}}
	for _, r := range rs {
		o.Repositories[r.Name] = r
	}
	return o
}

func repo(name, stack, policy, lifecycle string) state.Repository {
	r := state.Repository{
		Name: ecr.RepositoryName(name), Mutability: ecr.Mutability{Mode: ecr.Immutable},
		Tags: map[string]string{}, Policy: policy, Lifecycle: lifecycle,
	}
	if stack != "" {
		r.Tags[state.TagStack] = stack
	}
	return r
}

func with(r state.Repository, change func(*state.Repository)) state.Repository {
	r.Tags = maps.Clone(r.Tags)
	change(&r)
	return r
}

// brief is a plan as lines: op, differences, parts, findings.
func brief(p plan.Plan) []string {
	var out []string
	for _, c := range p.Changes {
		line := string(c.Repository) + " " + string(c.Op)
		for _, d := range c.Differences {
			line += "; " + string(d.Action) + " " + string(d.Field)
			if d.Key != "" {
				line += " " + d.Key
			}
			for _, x := range d.Parts {
				line += ", " + string(x.Action) + " " + x.Name
			}
		}
		out = append(out, line)
	}
	for _, f := range p.Findings {
		out = append(out, string(f.Severity)+" "+string(f.Code)+" "+string(f.Repository))
	}
	return out
}

func TestDiff(t *testing.T) {
	tests := []struct {
		name string
		want []state.Repository
		have []state.Repository
		plan []string
	}{
		{
			name: "a repository that does not exist is created with all it has",
			want: []state.Repository{repo("api", "", pull, days1)},
			plan: []string{"api create; add mutability; add tag kontor:stack; add policy, add Pull; add lifecycle, add 1"},
		},
		{
			name: "nothing to do",
			want: []state.Repository{repo("api", "", pull, days1)},
			have: []state.Repository{repo("api", "platform", pull, days1)},
			plan: []string{"api none"},
		},
		{
			name: "documents compare by meaning",
			want: []state.Repository{repo("api", "", pull, days1)},
			have: []state.Repository{repo("api", "platform", pull2, days1b)},
			plan: []string{"api none"},
		},
		{
			name: "an existing repository without owner is adopted and what it loses is named",
			want: []state.Repository{repo("api", "", pull, days1)},
			have: []state.Repository{repo("api", "", other, days7)},
			plan: []string{"api adopt; add tag kontor:stack; modify policy, remove #1, modify Pull; modify lifecycle, modify 1, remove 2"},
		},
		{
			name: "no policy is a state: one that is not in the file goes",
			want: []state.Repository{repo("api", "", "", "")},
			have: []state.Repository{repo("api", "platform", pull, days1)},
			plan: []string{"api update; remove policy, remove Pull; remove lifecycle, remove 1"},
		},
		{
			name: "another stack's repository is refused",
			want: []state.Repository{repo("api", "", pull, "")},
			have: []state.Repository{repo("api", "website", "", "")},
			plan: []string{"api none", "error KON2002 api"},
		},
		{
			name: "a repository that left the file is reported and no more; those of others are not",
			have: []state.Repository{repo("old", "platform", pull, ""), repo("theirs", "website", "", ""), repo("nobodys", "", "", "")},
			plan: []string{"warning KON2001 old"},
		},
		{
			name: "a document that cannot be read is replaced, with a warning",
			want: []state.Repository{repo("api", "", pull, days1)},
			have: []state.Repository{repo("api", "", `{"Statement":`, `[]`)},
			plan: []string{"api adopt; add tag kontor:stack; modify policy; modify lifecycle", "warning KON2003 api", "warning KON2003 api"},
		},
		{
			name: "tags that the file does not set are left alone",
			want: []state.Repository{with(repo("api", "", "", ""), func(r *state.Repository) { r.Tags["team"] = "a"; r.Tags["cost"] = "1" })},
			have: []state.Repository{with(repo("api", "platform", "", ""), func(r *state.Repository) { r.Tags["team"] = "b"; r.Tags["env"] = "x" })},
			plan: []string{"api update; add tag cost; modify tag team", "info KON2010 api"},
		},
		{
			name: "filters compare as a set",
			want: []state.Repository{with(repo("api", "", "", ""), func(r *state.Repository) {
				r.Mutability = ecr.Mutability{Mode: ecr.ImmutableWithExclusion, Filters: []string{"b*", "a*"}}
			})},
			have: []state.Repository{with(repo("api", "platform", "", ""), func(r *state.Repository) {
				r.Mutability = ecr.Mutability{Mode: ecr.ImmutableWithExclusion, Filters: []string{"a*", "b*"}}
			})},
			plan: []string{"api none"},
		},
		{
			name: "mutability changes",
			want: []state.Repository{repo("api", "", "", "")},
			have: []state.Repository{with(repo("api", "platform", "", ""), func(r *state.Repository) { r.Mutability.Mode = ecr.Mutable })},
			plan: []string{"api update; modify mutability"},
		},
		{
			name: "changes come in the order of the names",
			want: []state.Repository{repo("b", "", "", ""), repo("a", "", "", "")},
			plan: []string{"a create; add mutability; add tag kontor:stack", "b create; add mutability; add tag kontor:stack"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := plan.Diff(wanted(tt.want...), seen(tt.have...))
			if diff := cmp.Diff(tt.plan, brief(p), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("plan (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDiffNamesTheFieldOfTheFile(t *testing.T) {
	want := repo("api", "", pull, days1)
	want.Origins.Rules = map[int]state.Origin{1: {Field: "ecr_repositories.api"}}
	want.Origins.Statements = map[string]state.Origin{"Pull": {Field: "ecr_repositories.api.additional_pull_account_ids"}}
	p := plan.Diff(wanted(want), seen(repo("api", "platform", "", "")))
	var got []string
	for _, d := range p.Changes[0].Differences {
		for _, x := range d.Parts {
			got = append(got, x.Field)
		}
	}
	if diff := cmp.Diff([]string{"ecr_repositories.api.additional_pull_account_ids", "ecr_repositories.api"}, got); diff != "" {
		t.Errorf("fields (-want +got):\n%s", diff)
	}
}

func TestRenamedStatementIsNotLost(t *testing.T) {
	// Both documents differ in meaning, so there is a difference; the statement
	// that both have is in none of its parts.
	before := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"ecr:BatchGetImage"},{"Effect":"Allow","Principal":"*","Action":"ecr:PutImage"}]}`
	after := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"ecr:PutImage"}]}`
	p := plan.Diff(wanted(repo("api", "", after, "")), seen(repo("api", "platform", before, "")))
	if diff := cmp.Diff([]string{"api update; modify policy, remove #1"}, brief(p)); diff != "" {
		t.Errorf("plan (-want +got):\n%s", diff)
	}
}

func TestDiffUsesTheTargetsPartition(t *testing.T) {
	d := wanted(repo("api", "", pull, ""))
	china := strings.ReplaceAll(pull, "arn:aws:", "arn:aws-cn:")
	d.ByTarget = map[string][]state.Repository{"prod": d.Repositories, "china": {repo("api", "", china, "")}}
	o := seen()
	o.Target.Name, o.Target.Registry.Region = "china", "cn-north-1"
	if got := plan.Diff(d, o).Changes[0].After.Policy; got != china {
		t.Errorf("policy for cn-north-1: %s", got)
	}
}

func TestPlanRoundTrips(t *testing.T) {
	p := plan.Diff(
		wanted(repo("api", "", pull, days1), repo("new", "", pull, ""), repo("same", "", "", ""), repo("theirs", "", "", "")),
		seen(repo("api", "", other, days7), repo("same", "platform", "", ""), repo("theirs", "x", "", ""), repo("gone", "platform", "", "")),
	)
	for _, indent := range []string{"", "  "} {
		t.Run(fmt.Sprintf("indent %q", indent), func(t *testing.T) {
			b, err := json.MarshalIndent(p, "", indent)
			if err != nil {
				t.Fatal(err)
			}
			var back plan.Plan
			if err := json.Unmarshal(b, &back); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(p, back); diff != "" {
				t.Errorf("after a round trip (-before +after):\n%s", diff)
			}
		})
	}
}

func TestDigests(t *testing.T) {
	a := wanted(repo("a", "", pull, ""), repo("b", "", "", days1))
	moved := a
	moved.Repositories = slices.Clone(a.Repositories)
	slices.Reverse(moved.Repositories)
	moved.Repositories[0].Origins.Repository.Line = 7
	if plan.DigestDesired(a) != plan.DigestDesired(moved) {
		t.Error("the digest of a file depends on the order or place of its repositories")
	}
	changed := wanted(repo("a", "", pull, ""), repo("b", "", "", days7))
	if plan.DigestDesired(a) == plan.DigestDesired(changed) {
		t.Error("two files that want different rules have the same digest")
	}
	x, y := seen(repo("a", "platform", pull, "")), seen(repo("a", "platform", pull, ""), repo("b", "", "", ""))
	if plan.DigestObserved(x) == plan.DigestObserved(y) {
		t.Error("two registries of different repositories have the same digest")
	}
	if !strings.HasPrefix(plan.DigestObserved(x), "sha256:") {
		t.Errorf("digest %q", plan.DigestObserved(x))
	}
}

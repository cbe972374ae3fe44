package render_test

import (
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kontor-registry/kontor/internal/deploy"
	"github.com/kontor-registry/kontor/internal/deploy/plan"
	"github.com/kontor-registry/kontor/internal/deploy/state"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/render"
	"github.com/kontor-registry/kontor/internal/report/rollout"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// golden compares what write writes with testdata/name.
func golden(t *testing.T, name string, write func(io.Writer) error) {
	t.Helper()
	var b strings.Builder
	if err := write(&b); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), b.String()); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

const (
	policyText = `{"Version":"2012-10-17","Statement":[{"Sid":"KontorPull","Effect":"Allow","Principal":{"AWS":["arn:aws:iam::333333333333:root","arn:aws:iam::444444444444:root"]},"Action":["ecr:BatchGetImage","ecr:GetDownloadUrlForLayer"]}]}`
	denyText   = `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","NotPrincipal":{"AWS":"arn:aws:iam::333333333333:role/ci"},"NotAction":"ecr:Get*","Condition":{"Bool":{"aws:SecureTransport":"false"}}},{"Sid":"Org","Effect":"Allow","Principal":"*","Action":"ecr:BatchGetImage","Condition":{"StringEquals":{"aws:PrincipalOrgID":"o-1234567890"}}}]}`
	rulesText  = `{"rules":[{"rulePriority":1,"selection":{"tagStatus":"untagged","countType":"sinceImagePushed","countUnit":"days","countNumber":1},"action":{"type":"expire"}},{"rulePriority":2,"selection":{"tagStatus":"tagged","tagPatternList":["pr-*"],"countType":"sinceImagePushed","countUnit":"days","countNumber":7},"action":{"type":"expire"}},{"rulePriority":3,"selection":{"tagStatus":"any","countType":"sinceImagePushed","countUnit":"days","countNumber":14},"action":{"type":"expire"}}]}`
	oldRules   = `{"rules":[{"rulePriority":1,"selection":{"tagStatus":"untagged","countType":"sinceImagePushed","countUnit":"days","countNumber":30},"action":{"type":"expire"}},{"rulePriority":2,"selection":{"tagStatus":"tagged","tagPrefixList":["v","rc"],"countType":"imageCountMoreThan","countNumber":10},"action":{"type":"expire"}},{"rulePriority":9,"selection":{"tagStatus":"any","storageClass":"archive","countType":"sinceImageTransitioned","countUnit":"days","countNumber":120},"action":{"type":"expire"}},{"rulePriority":10,"selection":{"tagStatus":"any","countType":"sinceImagePulled","countUnit":"days","countNumber":60},"action":{"type":"transition","targetStorageClass":"archive"}}]}`
)

func samplePlan() plan.Plan {
	d := state.Desired{Stack: "platform", Repositories: []state.Repository{
		{
			Name: "api", Mutability: ecr.Mutability{Mode: ecr.Immutable}, Policy: policyText, Lifecycle: rulesText,
			Origins: state.Origins{
				Rules:      map[int]state.Origin{2: {Field: "ecr_repositories.api.expiration_rules[0]"}},
				Statements: map[string]state.Origin{"KontorPull": {Field: "ecr_repositories.api.additional_pull_account_ids"}},
			},
		},
		{Name: "broken", Mutability: ecr.Mutability{Mode: ecr.Immutable}, Lifecycle: rulesText},
		{Name: "legacy", Mutability: ecr.Mutability{Mode: ecr.Immutable}, Policy: policyText, Lifecycle: rulesText},
		{Name: "same", Mutability: ecr.Mutability{Mode: ecr.Immutable}},
		{
			Name: "team/website", Mutability: ecr.Mutability{Mode: ecr.ImmutableWithExclusion, Filters: []string{"main", "pr-*"}},
			Tags: map[string]string{"cost-center": "12"},
		},
	}}
	owned := func(extra ...string) map[string]string {
		m := map[string]string{state.TagStack: "platform"}
		for i := 0; i < len(extra); i += 2 {
			m[extra[i]] = extra[i+1]
		}
		return m
	}
	o := state.Observed{
		Target: state.Target{Name: "prod", Registry: ecr.RegistryID{Account: "111111111111", Region: "us-east-2"}},
		Repositories: map[ecr.RepositoryName]state.Repository{
			"broken":       {Name: "broken", Mutability: ecr.Mutability{Mode: ecr.Immutable}, Tags: owned(), Lifecycle: "{\"rules\":\x1b[31m"},
			"legacy":       {Name: "legacy", Mutability: ecr.Mutability{Mode: ecr.Mutable}, Policy: denyText, Lifecycle: oldRules},
			"same":         {Name: "same", Mutability: ecr.Mutability{Mode: ecr.Immutable}, Tags: owned()},
			"team/website": {Name: "team/website", Mutability: ecr.Mutability{Mode: ecr.Immutable}, Tags: owned("cost-center", "11\x1b[2J"), Policy: policyText},
			"gone":         {Name: "gone", Tags: owned()},
		},
	}
	return plan.Diff(d, o)
}

func TestPlan(t *testing.T) {
	p := samplePlan()
	golden(t, "plan.txt", func(w io.Writer) error { return render.Plan(w, rollout.NewPlan(p), render.Options{}) })
	golden(t, "plan-color.txt", func(w io.Writer) error { return render.Plan(w, rollout.NewPlan(p), render.Options{Color: true}) })
	golden(t, "plan-documents.txt", func(w io.Writer) error { return render.Plan(w, rollout.NewPlan(p), render.Options{Documents: true}) })
	golden(t, "plan.json", func(w io.Writer) error { return render.JSON(w, p) })
}

func TestPlanWithoutChanges(t *testing.T) {
	d := state.Desired{Stack: "platform", Repositories: []state.Repository{{Name: "api"}}}
	o := state.Observed{
		Target: state.Target{Name: "local", Registry: ecr.RegistryID{Account: "000000000000", Region: "us-east-1"}, Endpoint: "http://localhost:5050", Local: true},
		Repositories: map[ecr.RepositoryName]state.Repository{
			"api": {Name: "api", Tags: map[string]string{state.TagStack: "platform"}},
		},
	}
	golden(t, "plan-none.txt", func(w io.Writer) error { return render.Plan(w, rollout.NewPlan(plan.Diff(d, o)), render.Options{}) })
	o.Repositories["api"].Tags[state.TagStack] = "website"
	golden(t, "plan-foreign.txt", func(w io.Writer) error { return render.Plan(w, rollout.NewPlan(plan.Diff(d, o)), render.Options{}) })
}

func TestNoEscapesWithoutColor(t *testing.T) {
	// samplePlan holds escape sequences in a tag and in a document.
	var b strings.Builder
	if err := render.Plan(&b, rollout.NewPlan(samplePlan()), render.Options{Documents: true}); err != nil {
		t.Fatal(err)
	}
	if i := strings.IndexByte(b.String(), 0x1b); i >= 0 {
		t.Errorf("an escape character in plain text: %q", b.String()[max(0, i-40):i+10])
	}
}

func TestProgressAndResult(t *testing.T) {
	r := deploy.Result{Repositories: []deploy.RepositoryResult{
		{Repository: "api", Op: plan.OpCreate, Status: deploy.StatusDone, Done: []deploy.Step{deploy.StepCreate, deploy.StepPolicy}},
		{Repository: "legacy", Op: plan.OpAdopt, Status: deploy.StatusDone, Done: []deploy.Step{deploy.StepTags}},
		{Repository: "web", Op: plan.OpUpdate, Status: deploy.StatusDone, Done: []deploy.Step{deploy.StepMutability, deploy.StepDeletePolicy}},
		{Repository: "again", Op: plan.OpUpdate, Status: deploy.StatusDone},
		{Repository: "moved", Op: plan.OpUpdate, Status: deploy.StatusMoved, Error: "the policy of repository moved changed since the plan was made; plan again"},
		{
			Repository: "half", Op: plan.OpCreate, Status: deploy.StatusFailed, Error: "repository half: setting its policy: AccessDeniedException: no",
			Done: []deploy.Step{deploy.StepCreate}, Left: []deploy.Step{deploy.StepPolicy, deploy.StepLifecycle},
		},
		{Repository: "late", Op: plan.OpCreate, Status: deploy.StatusSkipped, Error: "stopped before it was this repository's turn"},
	}}
	golden(t, "result.txt", func(w io.Writer) error {
		for _, x := range r.Repositories {
			if err := render.Progress(w, x, render.Options{}); err != nil {
				return err
			}
		}
		return render.Result(w, r, render.Options{})
	})
	golden(t, "result.json", func(w io.Writer) error { return render.JSON(w, r) })
}

func TestOutputs(t *testing.T) {
	id := ecr.RegistryID{Account: "111111111111", Region: "us-east-2"}
	all := rollout.Outputs{Registries: []rollout.RegistryOutput{
		rollout.NewRegistryOutput("prod", id, id.Host(), []ecr.RepositoryName{"api", "team/web-site"}),
		rollout.NewRegistryOutput("local", ecr.RegistryID{Account: "000000000000", Region: "us-east-1"}, "localhost:5050", []ecr.RepositoryName{"api"}),
	}}
	golden(t, "outputs.txt", func(w io.Writer) error { return render.Outputs(w, all, render.Options{}) })
	golden(t, "outputs.json", func(w io.Writer) error { return render.JSON(w, all) })
	golden(t, "outputs.env", func(w io.Writer) error {
		return render.OutputsDotenv(w, rollout.Outputs{Registries: all.Registries[:1]})
	})
}

func TestOutputsEnvRefusesOneVariableForTwo(t *testing.T) {
	o := rollout.NewRegistryOutput("prod", ecr.RegistryID{}, "host", []ecr.RepositoryName{"a-b", "a/b"})
	var b strings.Builder
	err := render.OutputsDotenv(&b, rollout.Outputs{Registries: []rollout.RegistryOutput{o}})
	if err == nil || !strings.Contains(err.Error(), "KONTOR_URI_A_B") {
		t.Errorf("error %v, want one that names KONTOR_URI_A_B", err)
	}
	if b.Len() > 0 {
		t.Errorf("wrote %q in addition to the error", b.String())
	}
}

func TestSettings(t *testing.T) {
	d := state.Desired{Stack: "platform", Repositories: []state.Repository{
		{Name: "api", Mutability: ecr.Mutability{Mode: ecr.Immutable}, Policy: policyText, Lifecycle: rulesText, Tags: map[string]string{state.TagStack: "platform", "team": "a"}},
		{Name: "plain", Mutability: ecr.Mutability{Mode: ecr.MutableWithExclusion, Filters: []string{"v*"}}},
	}}
	golden(t, "settings.txt", func(w io.Writer) error { return render.Settings(w, rollout.NewSettings(d), render.Options{}) })
	golden(t, "settings.json", func(w io.Writer) error { return render.JSON(w, rollout.NewSettings(d)) })
}

func TestColorIsOnlyForTerminals(t *testing.T) {
	none := func(string) string { return "" }
	if render.ColorFor(&strings.Builder{}, none) {
		t.Error("colour for something that is not a terminal")
	}
	f, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	if render.IsTerminal(f) {
		t.Error("the null device is said to be a terminal")
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
}

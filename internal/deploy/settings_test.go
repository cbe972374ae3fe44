package deploy_test

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/google/go-cmp/cmp"

	"github.com/kontor-registry/kontor/internal/deploy"
	"github.com/kontor-registry/kontor/internal/deploy/plan"
	"github.com/kontor-registry/kontor/internal/deploy/state"
	kecr "github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/kontortest"
)

// settings are templates and rules as a file wants them.
func settings(templates []state.Template, upstreams ...state.Upstream) state.Desired {
	d := wanted()
	d.Wanted = state.Wanted{Templates: templates, TemplatesGiven: true, Upstreams: upstreams}
	return d
}

func template(prefix string, change func(*state.Template)) state.Template {
	t := state.Template{Repository: repo("", policyA, rulesA), Prefix: prefix, Stack: stack, AppliedFor: []kecr.CreationReason{kecr.CreateOnPush}}
	t.Name = kecr.RepositoryName(state.Below(prefix))
	if change != nil {
		change(&t)
	}
	return t
}

// planSettings plans d on conn.
func planSettings(t *testing.T, conn *deploy.Conn, d state.Desired, o plan.Options) plan.Plan {
	t.Helper()
	seen := state.Observed{Target: conn.Target}
	var err error
	if seen.Settings, err = deploy.ObserveSettings(t.Context(), conn.API, conn.Target.Registry, deploy.SettingsScopeOf(d, o.End)); err != nil {
		t.Fatal(err)
	}
	return plan.DiffWith(d, seen, o)
}

// outcomes applies p and returns what became of each setting.
func outcomes(t *testing.T, conn *deploy.Conn, p plan.Plan) []string {
	t.Helper()
	r, err := deploy.Apply(t.Context(), conn.API, p, deploy.ApplyConfig{})
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, x := range r.Settings {
		line := string(x.Kind) + " " + x.Prefix + " " + string(x.Op) + ": " + string(x.Status)
		if x.Code != "" {
			line += " " + x.Code
		}
		out = append(out, line)
	}
	if done := r.UndoneSettings() == 0; done != r.OK() {
		t.Errorf("%+v", r)
	}
	return out
}

func wantOutcomes(t *testing.T, got []string, want ...string) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Fatal(d)
	}
}

// Templates and rules are created, changed and deleted, in an order in which a first pull
// finds its template; planned again there is nothing to do.
func TestSettings(t *testing.T) {
	reg := kontortest.Start(t)
	conn := connect(t, reg)
	quay := state.Upstream{Prefix: "quay", Host: "quay.io", UpstreamPrefix: "team"}
	first := settings([]state.Template{template("quay", nil), template("team", nil)}, quay)
	wantOutcomes(t, outcomes(t, conn, planSettings(t, conn, first, plan.Options{})),
		"template quay create: done", "template team create: done", "upstream quay create: done")
	if p := planSettings(t, conn, first, plan.Options{}); p.Work() > 0 {
		t.Fatalf("still to do: %+v", p)
	}
	got, err := conn.API.DescribeRepositoryCreationTemplates(t.Context(), &ecr.DescribeRepositoryCreationTemplatesInput{Prefixes: []string{"team"}})
	if err != nil || len(got.RepositoryCreationTemplates) != 1 || aws.ToString(got.RepositoryCreationTemplates[0].Description) != "[kontor:stack="+stack+"]" {
		t.Fatalf("%+v, %v", got, err)
	}

	// Everything of one changes, and is taken away again.
	all := settings([]state.Template{template("quay", nil), template("team", func(x *state.Template) {
		x.Description, x.Policy, x.Lifecycle, x.Tags = "for teams", "", "", map[string]string{}
		x.Mutability = kecr.Mutability{Mode: kecr.ImmutableWithExclusion, Filters: []string{"latest"}}
		x.AppliedFor = []kecr.CreationReason{kecr.CreateOnPush, kecr.CreateOnPull}
	})}, quay)
	wantOutcomes(t, outcomes(t, conn, planSettings(t, conn, all, plan.Options{})), "template team update: done")
	if p := planSettings(t, conn, all, plan.Options{}); p.Work() > 0 {
		t.Fatalf("still to do: %+v", p)
	}
	wantOutcomes(t, outcomes(t, conn, planSettings(t, conn, first, plan.Options{})), "template team update: done")

	p := planSettings(t, conn, first, plan.Options{End: plan.Everything})
	wantOutcomes(t, outcomes(t, conn, p), "upstream quay delete: done", "template quay delete: done", "template team delete: done")
	// What is gone already is done.
	wantOutcomes(t, outcomes(t, conn, p), "upstream quay delete: done", "template quay delete: done", "template team delete: done")
}

// What changed since the plan is left alone, and the rest is done. A template is changed
// under the name that it was created with.
func TestSettingsThatMoved(t *testing.T) {
	reg := kontortest.Start(t)
	conn := connect(t, reg)
	if _, err := conn.API.CreateRepositoryCreationTemplate(t.Context(), &ecr.CreateRepositoryCreationTemplateInput{
		Prefix: aws.String("mine/"), AppliedFor: []types.RCTAppliedFor{types.RCTAppliedForCreateOnPush},
	}); err != nil {
		t.Fatal(err)
	}
	d := settings([]state.Template{template("mine", nil), template("team", nil)}, state.Upstream{Prefix: "quay", Host: "quay.io", UpstreamPrefix: "ROOT"})
	p := planSettings(t, conn, d, plan.Options{})
	if _, err := conn.API.CreateRepositoryCreationTemplate(t.Context(), &ecr.CreateRepositoryCreationTemplateInput{
		Prefix: aws.String("team"), AppliedFor: []types.RCTAppliedFor{types.RCTAppliedForReplication},
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.API.CreatePullThroughCacheRule(t.Context(), &ecr.CreatePullThroughCacheRuleInput{
		EcrRepositoryPrefix: aws.String("quay"), UpstreamRegistryUrl: aws.String("registry.k8s.io"),
	}); err != nil {
		t.Fatal(err)
	}
	wantOutcomes(t, outcomes(t, conn, p), "template mine adopt: done", "template team create: moved", "upstream quay create: moved")
	if p := planSettings(t, conn, d, plan.Options{}); len(p.Errors()) != 1 || !strings.Contains(p.Errors()[0].Message, "is for registry.k8s.io") {
		t.Errorf("%+v", p.Findings)
	}
}

// A caller who may not is told which action is missing; one who may not look for templates
// that left the file can still plan.
func TestSettingsDenied(t *testing.T) {
	reg := kontortest.Start(t)
	conn := as(t, reg, "deployer", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["ecr:DescribeRepositoryCreationTemplates","ecr:DescribePullThroughCacheRules","sts:*"],"Resource":"*"}]}`)
	d := settings([]state.Template{template("team", nil)}, state.Upstream{Prefix: "quay", Host: "quay.io", UpstreamPrefix: "ROOT"})
	wantOutcomes(t, outcomes(t, conn, planSettings(t, conn, d, plan.Options{})),
		"template team create: failed AccessDeniedException", "upstream quay create: failed AccessDeniedException")

	conn = as(t, reg, "blind", `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:*","Resource":"*"}]}`)
	p := planSettings(t, conn, wanted(), plan.Options{End: plan.LeftFile})
	if len(p.Findings) != 1 || p.Findings[0].Code != plan.CodeTemplatesUnseen {
		t.Errorf("%+v", p.Findings)
	}
	seen, err := deploy.ObserveSettings(t.Context(), conn.API, conn.Target.Registry, deploy.SettingsScope{Templates: deploy.Wished, Upstreams: deploy.Wished})
	if err != nil || !strings.Contains(seen.TemplatesUnseen, "ecr:DescribeRepositoryCreationTemplates") || !strings.Contains(seen.UpstreamsUnseen, "ecr:DescribePullThroughCacheRules") {
		t.Errorf("%+v, %v", seen, err)
	}
	if _, err := deploy.ObserveSettings(t.Context(), conn.API, conn.Target.Registry, deploy.SettingsScopeOf(d, plan.Nothing)); err == nil || !strings.Contains(err.Error(), "ecr:DescribeRepositoryCreationTemplates") {
		t.Errorf("%v", err)
	}
}

package importer_test

import (
	"strings"
	"testing"

	"github.com/kontor-registry/kontor/internal/race"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/google/go-cmp/cmp"

	"github.com/kontor-registry/kontor/internal/deploy"
	"github.com/kontor-registry/kontor/internal/deploy/importer"
	"github.com/kontor-registry/kontor/internal/deploy/plan"
	"github.com/kontor-registry/kontor/internal/deploy/state"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/kontortest"
)

// start starts a registry with the users and roles that the shapes name.
func start(t *testing.T) *deploy.Conn {
	t.Helper()
	reg := kontortest.Start(t, kontortest.Options{Account: string(target.Registry.Account)})
	in := target
	in.Endpoint = reg.URL
	conn, err := deploy.Connect(t.Context(), deploy.ConnectConfig{Target: in, AccessKeyID: reg.Admin.AccessKeyID, SecretAccessKey: reg.Admin.SecretAccessKey})
	if err != nil {
		t.Fatal(err)
	}
	people := iam.NewFromConfig(conn.Config, func(o *iam.Options) { o.BaseEndpoint = aws.String(reg.URL) })
	for _, name := range []string{"role-1", "role-2"} {
		_, err := people.CreateRole(t.Context(), &iam.CreateRoleInput{RoleName: aws.String(name), AssumeRolePolicyDocument: aws.String(
			`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"111111111111"},"Action":"sts:AssumeRole"}]}`)})
		if err != nil {
			t.Fatal(err)
		}
	}
	return conn
}

// set makes the repository by the API. ok is false when the registry refuses its
// policies.
func (s shape) set(t *testing.T, conn *deploy.Conn, r state.Repository) (ok bool) {
	t.Helper()
	in := &sdk.CreateRepositoryInput{
		RepositoryName: aws.String(string(r.Name)), ImageTagMutability: types.ImageTagMutability(r.Mutability.Mode),
		ImageScanningConfiguration: &types.ImageScanningConfiguration{ScanOnPush: s.Scan},
	}
	for _, f := range r.Mutability.Filters {
		in.ImageTagMutabilityExclusionFilters = append(in.ImageTagMutabilityExclusionFilters,
			types.ImageTagMutabilityExclusionFilter{Filter: aws.String(f), FilterType: types.ImageTagMutabilityExclusionFilterTypeWildcard})
	}
	if _, err := conn.API.CreateRepository(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	var errs []error
	if r.Lifecycle != "" {
		_, err := conn.API.PutLifecyclePolicy(t.Context(), &sdk.PutLifecyclePolicyInput{RepositoryName: in.RepositoryName, LifecyclePolicyText: &r.Lifecycle})
		errs = append(errs, err)
	}
	if r.Policy != "" {
		text := strings.ReplaceAll(r.Policy, `"ecr:GetAuthorizationToken",`, "") // which only Amazon ECR takes there
		_, err := conn.API.SetRepositoryPolicy(t.Context(), &sdk.SetRepositoryPolicyInput{RepositoryName: in.RepositoryName, PolicyText: &text})
		errs = append(errs, err)
	}
	ok = true
	for _, err := range errs {
		if err != nil && !s.Refused {
			t.Errorf("%s: %v", r.Name, err)
		}
		ok = ok && err == nil
	}
	return ok
}

func look(t *testing.T, conn *deploy.Conn) state.Observed {
	t.Helper()
	o, err := deploy.Observe(t.Context(), conn.API, conn.Target, deploy.Scope{All: true})
	if err != nil {
		t.Fatal(err)
	}
	o.Target.Endpoint = ""
	return o
}

// The configurations that people have are set by the API and imported. The plan
// for the file has no effects; applied to an empty registry, it is read back as it
// is.
func TestShapesOnARegistry(t *testing.T) {
	conn := start(t)
	refused := 0
	for i, s := range shapes(t) {
		if !s.set(t, conn, s.repository(i)) {
			refused++
			if _, err := conn.API.DeleteRepository(t.Context(), &sdk.DeleteRepositoryInput{RepositoryName: aws.String(string(s.repository(i).Name))}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if refused != 2 {
		t.Errorf("%d were refused", refused)
	}
	o := look(t, conn)
	first := write(t, o, importer.Options{NewStack: "images"})
	wantNoEffects(t, o, load(t, "k.yaml", first.Text))

	exact := write(t, o, importer.Options{NewStack: "images", Exact: true})
	for _, c := range plan.Diff(load(t, "k.yaml", exact.Text), o).Changes {
		for _, d := range c.Differences {
			if d.Field != plan.FieldTag || d.Key != state.TagStack {
				t.Errorf("exact: %s: %+v", c.Repository, d)
			}
		}
	}

	texts := map[string][]byte{"short": first.Text, "exact": exact.Text}
	if race.Enabled {
		delete(texts, "exact")
	}
	for name, text := range texts {
		t.Run(name, func(t *testing.T) {
			empty := start(t)
			d := load(t, "k.yaml", text)
			p := plan.Diff(d, look(t, empty))
			if len(p.Pending()) != len(o.Repositories) {
				t.Fatalf("%d changes", len(p.Pending()))
			}
			if r, err := deploy.Apply(t.Context(), empty.API, p, deploy.ApplyConfig{}); err != nil || !r.OK() {
				t.Fatalf("%+v, %v", r, err)
			}
			seen := look(t, empty)
			if n := plan.Diff(d, seen).Pending(); len(n) > 0 {
				t.Errorf("after apply: %+v", n)
			}
			again := write(t, seen, importer.Options{Exact: name == "exact"})
			if d := cmp.Diff(bare(text), bare(again.Text)); d != "" {
				t.Error(d)
			}
			if n := plan.Diff(load(t, "k.yaml", again.Text), seen).Pending(); len(n) > 0 {
				t.Errorf("the second import: %+v", n)
			}
		})
	}
}

// Only reads no more than it names.
func TestLookAtSome(t *testing.T) {
	conn := start(t)
	for _, name := range []string{"team/a", "team/b", "other"} {
		(shape{}).set(t, conn, state.Repository{Name: ecr.RepositoryName(name), Mutability: ecr.Mutability{Mode: ecr.Mutable}})
	}
	o, err := deploy.Observe(t.Context(), conn.API, conn.Target, deploy.Scope{All: true, Only: func(n ecr.RepositoryName) bool { return strings.HasPrefix(string(n), "team/") }})
	if err != nil || len(o.Repositories) != 2 {
		t.Errorf("%d, %v", len(o.Repositories), err)
	}
}

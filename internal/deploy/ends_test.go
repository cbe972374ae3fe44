package deploy_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"pgregory.net/rapid"

	"github.com/kontor-registry/kontor/internal/deploy"
	"github.com/kontor-registry/kontor/internal/deploy/plan"
	"github.com/kontor-registry/kontor/internal/deploy/spec"
	"github.com/kontor-registry/kontor/internal/deploy/state"
	kecr "github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/race"
	"github.com/kontor-registry/kontor/kontortest"
)

// fatal is the part of testing and rapid that the helpers here need.
type fatal interface {
	Helper()
	Fatalf(format string, args ...any)
}

// background is for rapid's checks, which have no context.
var background = context.Background()

// wipe deletes every repository.
func wipe(t fatal, client *ecr.Client) {
	t.Helper()
	ctx := background
	out, err := client.DescribeRepositories(ctx, &ecr.DescribeRepositoriesInput{})
	if err != nil {
		t.Fatalf("%v", err)
	}
	for _, r := range out.Repositories {
		if _, err := client.DeleteRepository(ctx, &ecr.DeleteRepositoryInput{RepositoryName: r.RepositoryName, Force: true}); err != nil {
			t.Fatalf("%v", err)
		}
	}
}

// at spoils one call of the ECR API, counted from arm.
type at struct {
	spoil func(*http.Request) (*http.Response, error)
	after func() // called when a call that may change something came back

	mu    sync.Mutex
	n     int // guarded by mu; calls since arm
	which int // guarded by mu; the one to spoil, 0 for none
}

func (a *at) arm(which int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.n, a.which = 0, which
}

// calls are those since arm.
func (a *at) calls() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.n
}

func (a *at) Do(r *http.Request) (*http.Response, error) {
	_, op, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	if op == "" {
		return http.DefaultClient.Do(r)
	}
	a.mu.Lock()
	a.n++
	now := a.n == a.which
	a.mu.Unlock()
	do := http.DefaultClient.Do
	if now {
		do = a.spoil
	}
	resp, err := do(r)
	if !strings.HasPrefix(op, "Get") && !strings.HasPrefix(op, "Describe") && !strings.HasPrefix(op, "List") {
		a.after()
	}
	return resp, err
}

// TestTheServerFailsAtEveryCall lets each call of a plan and its apply fail in
// turn, before and after it took effect, and runs both once more cleanly: then
// all is as the file says, and no repository that stays was ever without its
// policy. With the race detector it takes one of seven calls.
func TestTheServerFailsAtEveryCall(t *testing.T) {
	for _, kind := range []struct {
		name  string
		spoil func(*http.Request) (*http.Response, error)
	}{{"before", refused}, {"after", lost}} {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			reg := kontortest.Start(t)
			admin := connect(t, reg)
			client := admin.API.(*ecr.Client)
			a := &at{spoil: kind.spoil}
			conn := connectAs(t, reg, reg.Admin, a)
			a.after = func() {
				for _, name := range []string{"adopted", "updated"} {
					if _, err := client.GetRepositoryPolicy(t.Context(), &ecr.GetRepositoryPolicyInput{RepositoryName: &name}); err != nil {
						t.Errorf("call %d: %s: %v", a.calls(), name, err)
					}
				}
			}
			updated := repo("updated", policyB, rulesB)
			updated.Mutability.Mode, updated.ScanOnPush = kecr.Mutable, aws.Bool(true)
			d := wanted(repo("adopted", policyB, rulesB), repo("new", policyA, rulesA), updated)

			// run plans and applies as the command does.
			run := func() (deploy.Result, error) {
				o, err := deploy.Observe(t.Context(), conn.API, conn.Target, deploy.Scope{All: true, Parallel: 1})
				if err != nil {
					return deploy.Result{}, err
				}
				images := map[kecr.RepositoryName]plan.Images{}
				for _, name := range plan.Ending(d, o, plan.LeftFile) {
					s, err := conn.ImagesUnder(t.Context(), name, "", false, time.Now())
					if err != nil {
						return deploy.Result{}, err
					}
					images[name] = plan.Images{Count: len(s.Details)}
				}
				p := plan.DiffWith(d, o, plan.Options{End: plan.LeftFile, Images: images})
				return deploy.Apply(t.Context(), conn.API, p, deploy.ApplyConfig{Parallel: 1})
			}
			last, step := 0, 1
			if race.Enabled {
				step = 7 // of the calls, every seventh
			}
			for which := 1; ; which += step {
				wipe(t, client)
				left, before := repo("left", policyA, rulesA), repo("updated", policyA, rulesA)
				left.Unprotected, before.Unprotected = true, true
				deployAll(t, admin, wanted(left, before))
				create(t, admin, "adopted", policyA, rulesA)

				a.arm(which)
				r, err := run()
				if which > a.calls() {
					last = a.calls()
					break
				}
				if err == nil && r.OK() {
					t.Errorf("call %d failed and nobody noticed", which)
				}
				for _, x := range r.Repositories {
					if x.Status != deploy.StatusDone && x.Error == "" {
						t.Errorf("call %d: %+v", which, x)
					}
				}
				a.arm(0)
				if r, err := run(); err != nil || !r.OK() {
					t.Errorf("after call %d, once more: %v, %+v", which, err, r)
				}
				check(t, admin, d)
				o := observe(t, admin, wanted(left))
				if _, there := o.Repositories["left"]; there {
					t.Errorf("after call %d: what left the file is still there", which)
				}
				if tags := o.Repositories["updated"].Tags; plan.Unprotected(tags) {
					t.Errorf("after call %d: updated is not protected: %v", which, tags)
				}
			}
			if last < 30 {
				t.Errorf("only %d calls were made", last)
			}
		})
	}
}

// drawFile writes a file of up to four repositories.
func drawFile(t *rapid.T) string {
	var b strings.Builder
	b.WriteString("stack: platform\necr_repositories:\n")
	names := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"api", "team/api", "web", "a.b_c"}), 1, 4, rapid.ID).Draw(t, "names")
	for _, n := range names {
		fmt.Fprintf(&b, "  %s:\n    tags: {team: %q}\n", n, rapid.SampledFrom([]string{"a", "b c", ""}).Draw(t, "tag"))
		line := func(field string, values ...string) {
			if v := rapid.SampledFrom(append([]string{""}, values...)).Draw(t, field); v != "" {
				fmt.Fprintf(&b, "    %s: %s\n", field, v)
			}
		}
		accounts := []string{"[]", `["333333333333"]`, `["444444444444", "333333333333", "555555555555"]`}
		line("is_immutable", "true", "false")
		line("additional_pull_account_ids", accounts...)
		line("additional_push_account_ids", accounts...)
		line("pull_organization_ids", `["o-a1b2c3d4e5"]`)
		line("scan_on_push", "true", "false")
		line("delete_protection", "true", "false")
		line("expire_untagged_after_days", "1", "30", "never")
		line("expire_all_images", "true")
		line("keep", `["v*"]`, `["v*", "release-*"]`)
		line("expiration_rules", `[{tag_pattern: "pr-*", days: 7}]`, `[{tag_pattern: "main-*", keep_last: 5}, {tag_pattern: "pr-*", days: 7}]`)
	}
	return b.String()
}

// TestApplyThenPlanIsEmpty deploys random files one after another: after each
// there is nothing left to do.
func TestApplyThenPlanIsEmpty(t *testing.T) {
	conn := connect(t, kontortest.Start(t))
	rapid.Check(t, func(rt *rapid.T) {
		wipe(rt, conn.API.(*ecr.Client))
		for range 2 {
			text := drawFile(rt)
			f, _, err := spec.Load(spec.Source{Name: "kontor.yaml", Data: []byte(text)})
			if err != nil {
				rt.Fatalf("%v\n%s", err, text)
			}
			d := f.Desired(conn.Target.Registry)
			target := conn.Target
			target.Name = d.Targets[0].Name
			plans := func() plan.Plan {
				o, err := deploy.Observe(background, conn.API, target, deploy.ScopeOf(d))
				if err != nil {
					rt.Fatalf("%v", err)
				}
				return plan.Diff(d, o)
			}
			if r, err := deploy.Apply(background, conn.API, plans(), deploy.ApplyConfig{}); err != nil || !r.OK() {
				rt.Fatalf("%v, %+v\n%s", err, r, text)
			}
			if p := plans(); len(p.Pending()) > 0 || len(p.Errors()) > 0 {
				rt.Fatalf("a second plan has changes: %v, %v\n%s", pending(p), p.Errors(), text)
			}
		}
	})
}

// free is a repository that may be deleted.
func free(name string) state.Repository {
	r := repo(name, policyA, rulesA)
	r.Unprotected = true
	return r
}

func TestDeletionsThatMovedAreLeftAlone(t *testing.T) {
	conn := connect(t, kontortest.Start(t))
	deployAll(t, conn, wanted(free("as-planned"), free("handed-over"), free("protected"), free("policy"), free("gone")))
	d := wanted()
	p := plan.DiffWith(d, observe(t, conn, d), plan.Options{End: plan.LeftFile})
	ctx := t.Context()
	arn := func(name string) *string {
		return aws.String(conn.Target.Registry.RepositoryARN(kecr.RepositoryName(name)))
	}
	client := conn.API.(*ecr.Client)
	must[*ecr.TagResourceOutput](t)(client.TagResource(ctx, &ecr.TagResourceInput{ResourceArn: arn("handed-over"), Tags: []types.Tag{tag(state.TagStack, "website")}}))
	must[*ecr.UntagResourceOutput](t)(client.UntagResource(ctx, &ecr.UntagResourceInput{ResourceArn: arn("protected"), TagKeys: []string{state.TagProtection}}))
	setPolicy(t, conn, "policy", policyB)
	must[*ecr.DeleteRepositoryOutput](t)(client.DeleteRepository(ctx, &ecr.DeleteRepositoryInput{RepositoryName: aws.String("gone")}))
	for _, x := range apply(t, conn, p).Repositories {
		want := map[kecr.RepositoryName]deploy.Status{"as-planned": deploy.StatusDone, "gone": deploy.StatusDone}[x.Repository]
		if want == "" {
			want = deploy.StatusMoved
		}
		if x.Status != want {
			t.Errorf("%s came out as %s (%s), want %s", x.Repository, x.Status, x.Error, want)
		}
	}
	o := observe(t, conn, wanted(free("as-planned"), free("handed-over"), free("protected"), free("policy")))
	if len(o.Repositories) != 3 {
		t.Errorf("left: %v", o.Repositories)
	}
	for n, r := range o.Repositories {
		if r.Policy == "" || r.Lifecycle == "" {
			t.Errorf("%s lost its policies", n)
		}
	}
}

func TestPlansThatMayNotBeCarriedOut(t *testing.T) {
	conn := connect(t, kontortest.Start(t))
	deployAll(t, conn, wanted(repo("api", policyA, "")))
	d := wanted(repo("api", policyB, ""))
	drift := plan.DiffWith(d, observe(t, conn, d), plan.Options{RefreshOnly: true})
	forged := plan.DiffWith(wanted(), observe(t, conn, d), plan.Options{})
	before := plan.Settings{Tags: map[string]string{state.TagStack: stack}}
	forged.Changes = append(forged.Changes, plan.Change{Repository: "api", Op: plan.OpDelete, Before: &before})
	for name, p := range map[string]plan.Plan{"drift": drift, "a deletion that nobody planned": forged} {
		if _, err := deploy.Apply(t.Context(), conn.API, p, deploy.ApplyConfig{}); err == nil {
			t.Errorf("%s was carried out", name)
		}
	}
	check(t, conn, wanted(repo("api", policyA, "")))
}

func TestHosts(t *testing.T) {
	id := func(region string) kecr.RegistryID {
		return kecr.RegistryID{Account: "111111111111", Region: kecr.Region(region)}
	}
	// ECR user guide, "Amazon ECR endpoints", and the hosts that the credential
	// helper knows.
	for _, c := range []struct {
		endpoints deploy.Endpoints
		region    string
		want      string
		partition string // of ARNs: IAM user guide, "Amazon Resource Names"
	}{
		{deploy.Endpoints{}, "us-east-2", "111111111111.dkr.ecr.us-east-2.amazonaws.com", "aws"},
		{deploy.Endpoints{}, "us-gov-west-1", "111111111111.dkr.ecr.us-gov-west-1.amazonaws.com", "aws-us-gov"},
		{deploy.Endpoints{FIPS: true}, "us-gov-west-1", "111111111111.dkr.ecr-fips.us-gov-west-1.amazonaws.com", "aws-us-gov"},
		{deploy.Endpoints{FIPS: true, DualStack: true}, "us-gov-east-1", "111111111111.dkr-ecr-fips.us-gov-east-1.on.aws", "aws-us-gov"},
		{deploy.Endpoints{DualStack: true}, "us-east-2", "111111111111.dkr-ecr.us-east-2.on.aws", "aws"},
		{deploy.Endpoints{FIPS: true, DualStack: true}, "us-east-2", "111111111111.dkr-ecr-fips.us-east-2.on.aws", "aws"},
		{deploy.Endpoints{}, "cn-north-1", "111111111111.dkr.ecr.cn-north-1.amazonaws.com.cn", "aws-cn"},
		{deploy.Endpoints{DualStack: true}, "cn-northwest-1", "111111111111.dkr-ecr.cn-northwest-1.on.amazonwebservices.com.cn", "aws-cn"},
	} {
		if got := c.endpoints.Host(id(c.region)); got != c.want {
			t.Errorf("%+v in %s: %s, want %s", c.endpoints, c.region, got, c.want)
		}
		if got, want := id(c.region).RepositoryARN("team/api"), "arn:"+c.partition+":ecr:"+c.region+":111111111111:repository/team/api"; got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

// toward answers as STS and notes where the calls go.
type toward struct {
	mu    sync.Mutex
	hosts map[string]bool // guarded by mu
}

func (w *toward) Do(r *http.Request) (*http.Response, error) {
	w.mu.Lock()
	w.hosts[r.URL.Host] = true
	w.mu.Unlock()
	body, kind := `{"repositories":[]}`, "application/x-amz-json-1.1"
	if strings.HasPrefix(r.URL.Host, "sts") {
		kind = "text/xml"
		body = `<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>` +
			`<Arn>arn:aws:iam::111111111111:user/a</Arn><UserId>A</UserId><Account>111111111111</Account></GetCallerIdentityResult></GetCallerIdentityResponse>`
	}
	return &http.Response{StatusCode: http.StatusOK, Request: r, Header: http.Header{"Content-Type": {kind}}, Body: readCloser{strings.NewReader(body)}}, nil
}

// TestEndpoints: the variables of the AWS CLI choose the endpoints of the
// calls, too (API reference, "Amazon ECR endpoints and quotas").
func TestEndpoints(t *testing.T) {
	for _, c := range []struct {
		fips, dual string
		region     kecr.Region
		sts, ecr   string
	}{
		{"", "", "us-east-2", "sts.us-east-2.amazonaws.com", "api.ecr.us-east-2.amazonaws.com"},
		{"true", "", "us-gov-west-1", "sts.us-gov-west-1.amazonaws.com", "api.ecr-fips.us-gov-west-1.amazonaws.com"},
		{"", "true", "us-east-2", "sts.us-east-2.api.aws", "ecr.us-east-2.api.aws"},
		{"", "", "cn-north-1", "sts.cn-north-1.amazonaws.com.cn", "api.ecr.cn-north-1.amazonaws.com.cn"},
	} {
		t.Run(c.ecr, func(t *testing.T) {
			awsHome(t, "")
			t.Setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
			t.Setenv("AWS_SECRET_ACCESS_KEY", "x")
			t.Setenv("AWS_USE_FIPS_ENDPOINT", c.fips)
			t.Setenv("AWS_USE_DUALSTACK_ENDPOINT", c.dual)
			w := &toward{hosts: map[string]bool{}}
			conn, err := deploy.Connect(t.Context(), deploy.ConnectConfig{
				Target: state.Target{Name: "prod", Registry: kecr.RegistryID{Account: "111111111111", Region: c.region}}, HTTPClient: w,
			})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := deploy.Observe(t.Context(), conn.API, conn.Target, deploy.Scope{All: true}); err != nil {
				t.Fatal(err)
			}
			if !w.hosts[c.sts] || !w.hosts[c.ecr] || len(w.hosts) != 2 {
				t.Errorf("calls went to %v, want %s and %s", w.hosts, c.sts, c.ecr)
			}
		})
	}
}

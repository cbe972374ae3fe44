package run_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kontor-registry/kontor/internal/access/proof"
	"github.com/kontor-registry/kontor/internal/deploy"
	"github.com/kontor-registry/kontor/internal/deploy/plan"
	"github.com/kontor-registry/kontor/internal/deploy/run"
	"github.com/kontor-registry/kontor/internal/deploy/spec"
	"github.com/kontor-registry/kontor/internal/deploy/state"
	kecr "github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/leases"
	"github.com/kontor-registry/kontor/internal/testkit/push"
	"github.com/kontor-registry/kontor/kontortest"
	"github.com/kontor-registry/kontor/kontortest/awstest"
)

// counted is an HTTP client that counts calls by operation, of all APIs.
type counted struct {
	// answer is an error to answer an operation with; "" lets it through. nil for
	// none.
	answer func(op string) string

	mu    sync.Mutex
	calls map[string]int // guarded by mu
}

func (c *counted) Do(r *http.Request) (*http.Response, error) {
	_, op, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	if op == "" { // the Query protocol of IAM and STS
		text, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		r.Body = io.NopCloser(bytes.NewReader(text))
		form, err := url.ParseQuery(string(text))
		if err != nil {
			return nil, err
		}
		op = form.Get("Action")
	}
	c.mu.Lock()
	if c.calls == nil {
		c.calls = map[string]int{}
	}
	c.calls[op]++
	refusal := ""
	if c.answer != nil {
		refusal = c.answer(op)
	}
	c.mu.Unlock()
	if refusal != "" {
		return &http.Response{
			StatusCode: http.StatusBadRequest, Request: r, Body: io.NopCloser(strings.NewReader(refusal)),
			Header: http.Header{"Content-Type": {"application/x-amz-json-1.1"}},
		}, nil
	}
	return http.DefaultClient.Do(r)
}

// take returns the calls so far and forgets them.
func (c *counted) take() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := c.calls
	c.calls = nil
	return out
}

// bench is a registry of this machine that files are deployed to.
type bench struct {
	t     *testing.T
	reg   *kontortest.Registry
	http  counted
	inUse []leases.InUse
}

func newBench(t *testing.T) *bench { return &bench{t: t, reg: kontortest.Start(t)} }

func (b *bench) file(text string) *spec.File {
	b.t.Helper()
	f, _, err := spec.Load(spec.Source{Name: "kontor.yaml", Data: []byte(text)})
	if err != nil {
		b.t.Fatal(err)
	}
	return f
}

func (b *bench) config(f *spec.File) run.Config {
	return run.Config{
		File: f, Files: []string{"kontor.yaml"}, InUse: b.inUse, Now: time.Now,
		Local: func(context.Context, state.Target) (run.Local, error) {
			return run.Local{
				Registry: kecr.RegistryID{Account: kecr.AccountID(b.reg.Account), Region: kecr.Region(b.reg.Region)},
				Endpoint: b.reg.URL, AccessKeyID: b.reg.Admin.AccessKeyID, SecretAccessKey: b.reg.Admin.SecretAccessKey, HTTPClient: &b.http,
				People: func(context.Context, string, []kecr.AccountID) (map[kecr.AccountID][]proof.Principal, error) {
					return map[kecr.AccountID][]proof.Principal{}, nil
				},
			}, nil
		},
	}
}

func (b *bench) open(text string) *run.Run {
	b.t.Helper()
	r, err := run.Open(b.t.Context(), b.config(b.file(text)))
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() {
		if err := r.Close(); err != nil {
			b.t.Error(err)
		}
	})
	return r
}

func (b *bench) plan(text string, o plan.Options) (*run.Run, run.Planned) {
	b.t.Helper()
	r := b.open(text)
	p, err := r.Plan(b.t.Context(), o)
	if err != nil {
		b.t.Fatal(err)
	}
	return r, p
}

// apply deploys a file, which must come out.
func (b *bench) apply(text string) {
	b.t.Helper()
	r, p := b.plan(text, plan.Options{})
	if p.Err() != nil {
		b.t.Fatal(p.Err())
	}
	if _, err := r.Apply(b.t.Context(), nil); err != nil {
		b.t.Fatal(err)
	}
}

// image pushes an image of one layer and returns its digest.
func (b *bench) image(repo, content, tag string) string {
	b.t.Helper()
	return push.To(b.t, awstest.ECR(b.reg), repo).Image(content, "", tag)
}

// use lets a host use an image of the registry.
func (b *bench) use(image string) {
	b.t.Helper()
	u, err := leases.ParseInUse("used.txt", []byte(b.reg.Host+"/"+image+"  host db1\n"))
	if err != nil {
		b.t.Fatal(err)
	}
	b.inUse = append(b.inUse, u)
}

// TestCallsOfAPlan: what a plan with every check reads, to the call. The images
// of a repository whose rules change are read once for both checks on them and for
// what the plan says of them, without pulling their manifests; the
// policies that are compared serve the access tests, too, and a repository that
// stays as it is costs its tags and policies.
func TestCallsOfAPlan(t *testing.T) {
	b := newBench(t)
	const file = `stack: shop
plan: {max_expire: 50%}
access_tests: [{principal: "222222222222", repository: "*", allow: [pull], deny: [push]}]
defaults: {additional_pull_account_ids: ["222222222222"]}
ecr_repositories:
  same: {}
  app: {expiration_rules: [{tag_pattern: "pr-*", days: 7}]}
  web: {expiration_rules: [{tag_pattern: "pr-*", days: 7}]}
  new: {}
`
	b.apply("stack: shop\ndefaults: {additional_pull_account_ids: [\"222222222222\"]}\necr_repositories: {same: {}, app: {}, web: {}}\n")
	b.image("app", "one", "v1")
	b.image("web", "one", "v1")
	b.use("app:v1")
	b.http.take()
	_, p := b.plan(file, plan.Options{})
	if p.Err() != nil || p.Set.Pending() != 3 || len(p.AccessTests.Tests) != 8 {
		t.Fatalf("%d changes, %d access tests, %v", p.Set.Pending(), len(p.AccessTests.Tests), p.Err())
	}
	want := map[string]int{
		"GetCallerIdentity": 1, "DescribeRepositories": 4, "GetResources": 1,
		"ListTagsForResource": 3, "GetRepositoryPolicy": 3, "GetLifecyclePolicy": 3, // of those that there are
		"DescribeImages": 2, "ListIndexManifests": 2, // of those whose rules change
		"GetRegistryPolicy": 1, "ListLeases": 1,
		"GetAccountAuthorizationDetails": 1, "GetPolicy": 1, "GetPolicyVersion": 1, // the users, and a policy that the answer names only
	}
	if diff := cmp.Diff(want, b.http.take()); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
}

// TestRefusals: each check keeps everything from being applied, and says why as
// data and as an error.
func TestRefusals(t *testing.T) {
	b := newBench(t)
	b.apply("stack: shop\necr_repositories: {app: {delete_protection: false}}\n")
	for i := range 4 {
		b.image("app", fmt.Sprint("layer ", i), fmt.Sprint("v", i))
	}
	const expire = "stack: shop\necr_repositories: {new: {}, app: {expiration_rules: [{tag_pattern: \"v*\", keep_last: 1}], delete_protection: false}}\n"
	tests := []struct {
		name    string
		file    string
		used    string
		options plan.Options
		check   run.Check
		err     string
	}{
		{
			name: "lifecycle test", check: run.CheckLifecycleTests, err: "kontor.yaml:3:19: lifecycle_tests[0]: in repository app the image is expired, not kept",
			file: expire + "lifecycle_tests: [{repository: app, image: {tags: [v1], age_days: 30, newer: 1}, expect: kept}]\n",
		},
		{
			name: "access test", check: run.CheckAccessTests, err: `kontor.yaml:3:16: an access test failed: 222222222222 may pull arn:aws:ecr:us-east-1:000000000000:repository/app: ecr:BatchGetImage is denied`,
			file: expire + "access_tests: [{principal: \"222222222222\", repository: app, allow: [pull]}]\n",
		},
		{
			name: "image in use would expire", check: run.CheckImagesInUse, err: "app: the new lifecycle policy would expire 1 image in use: sha256:",
			file: expire, used: "app:v1",
		},
		{
			name: "image in use would be deleted", check: run.CheckImagesInUse, err: "app: would delete 1 image in use: sha256:",
			file: expire, used: "app:v1", options: plan.Options{End: plan.Everything, DeleteImages: true},
		},
		{
			name: "too many would expire", check: run.CheckMaxExpire, err: "app: the new lifecycle policy would expire 3 of 4 images at once, and plan.max_expire allows 10%",
			file: expire + "plan: {max_expire: 10%}\n",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := &bench{t: t, reg: b.reg}
			if tt.used != "" {
				b.use(tt.used)
			}
			r, p := b.plan(tt.file, tt.options)
			if len(p.Refusals) != 1 || p.Refusals[0].Check != tt.check || p.Failed() != nil || p.Err() == nil || !strings.Contains(p.Err().Error(), tt.err) {
				t.Fatalf("%+v, %v", p.Refusals, p.Err())
			}
			b.http.take()
			p.Refusals = nil // what a caller does to its copy counts for nothing
			result, err := r.Apply(t.Context(), nil)
			if err == nil || !strings.Contains(err.Error(), tt.err) || len(result.Registries) != 0 || len(result.Plan.Plans) != 1 {
				t.Errorf("apply: %+v, %v", result, err)
			}
			if calls := b.http.take(); len(calls) > 0 {
				t.Errorf("apply called %v", calls)
			}
		})
	}
}

// TestApplyWantsAPlan: what was not planned is not applied, nor a plan twice, nor
// one that another took the place of.
func TestApplyWantsAPlan(t *testing.T) {
	b := newBench(t)
	r := b.open("ecr_repositories: {app: {}}\n")
	nothing := func() {
		t.Helper()
		if _, err := r.Apply(t.Context(), nil); err == nil || err.Error() != "nothing was planned" {
			t.Errorf("apply without a plan: %v", err)
		}
	}
	nothing()
	if _, err := r.Plan(t.Context(), plan.Options{}); err != nil {
		t.Fatal(err)
	}
	var told []string
	result, err := r.Apply(t.Context(), func(registry string, x deploy.RepositoryResult) {
		told = append(told, registry+" "+string(x.Repository)+" "+string(x.Status))
	})
	if err != nil || len(result.Registries) != 1 || !result.Registries[0].OK() || !slices.Equal(told, []string{"local app done"}) {
		t.Errorf("%+v, %v, %v", result, err, told)
	}
	nothing()
	if _, err := r.Plan(t.Context(), plan.Options{}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Plan(t.Context(), plan.Options{End: plan.LeftFile}); err == nil || !strings.Contains(err.Error(), "--prune deletes what belongs to the file's stack, and the file names none") {
		t.Errorf("prune without a stack: %v", err)
	}
	nothing()
}

// TestAdopt: a plan that was made earlier is carried out as it is, or not at all
// when the file, the registry or the choice of registries is another.
func TestAdopt(t *testing.T) {
	b := newBench(t)
	const file = "stack: shop\necr_repositories: {app: {}, web: {}}\n"
	_, p := b.plan(file, plan.Options{})
	stale := func(text string, set plan.Set, why string) {
		t.Helper()
		_, err := b.open(text).Adopt(t.Context(), set)
		var s *run.StaleError
		if !errors.As(err, &s) || !strings.Contains(err.Error(), why) {
			t.Errorf("%v, want %q", err, why)
		}
	}
	stale("stack: shop\necr_repositories: {app: {is_immutable: false}, web: {}}\n", p.Set, "the file asks for other settings of repository app than when the plan was made")
	stale(file, plan.Set{Version: plan.SetVersion}, "the plan is not about it")
	failed := p.Set
	failed.ClusterFailures = []plan.Failure{{}}
	stale(file, failed, "the plan could not see all clusters")

	r := b.open(file)
	if _, err := r.Adopt(t.Context(), p.Set); err != nil {
		t.Fatal(err)
	}
	if result, err := r.Apply(t.Context(), nil); err != nil || !result.Registries[0].OK() {
		t.Errorf("%+v, %v", result, err)
	}
	b.use("app:v1")
	b.image("app", "one", "v1")
	_, p = (&bench{t: t, reg: b.reg}).plan("stack: shop\necr_repositories: {app: {expire_all_images: true}, web: {}}\n", plan.Options{})
	adopted, err := b.open("stack: shop\necr_repositories: {app: {expire_all_images: true}, web: {}}\n").Adopt(t.Context(), p.Set)
	if err != nil || len(adopted.Refusals) != 1 || adopted.Refusals[0].Check != run.CheckImagesInUse {
		t.Errorf("%+v, %v: a plan file is checked as a new plan is", adopted, err)
	}
}

func TestChoose(t *testing.T) {
	all := []state.Target{{Name: "us"}, {Name: "eu"}, {Name: "ap"}}
	names := func(list []state.Target) []string {
		out := []string{}
		for _, x := range list {
			out = append(out, x.Name)
		}
		return out
	}
	tests := map[string]struct {
		names []string
		want  []string
		err   string
	}{
		"all":                   {nil, []string{"us", "eu", "ap"}, ""},
		"order of the file":     {[]string{"ap", "us"}, []string{"us", "ap"}, ""},
		"one that is not there": {[]string{"us", "sa"}, nil, `there is no registry "sa" in the file: it has us, eu, ap`},
	}
	for _, name := range slices.Sorted(maps.Keys(tests)) {
		t.Run(name, func(t *testing.T) {
			tt := tests[name]
			got, err := run.Choose(all, tt.names)
			if (err == nil) != (tt.err == "") || err != nil && err.Error() != tt.err || err == nil && !slices.Equal(names(got), tt.want) {
				t.Errorf("%v, %v", names(got), err)
			}
		})
	}
	if got, err := run.ChooseOne(all, "eu"); err != nil || got.Name != "eu" {
		t.Errorf("%v, %v", got, err)
	}
	if got, err := run.ChooseOne(all[:1], ""); err != nil || got.Name != "us" {
		t.Errorf("%v, %v", got, err)
	}
	var bad *run.TargetError
	if _, err := run.ChooseOne(all, ""); !errors.As(err, &bad) || err.Error() != "the file has 3 registries: give --target with one of us, eu, ap" {
		t.Errorf("%v", err)
	}
}

// TestEvidence: with one repository nothing is read of others, and a planned one
// need not be there.
func TestEvidence(t *testing.T) {
	b := newBench(t)
	b.apply("ecr_repositories: {app: {additional_pull_account_ids: [\"222222222222\"]}, other: {}}\n")
	r := b.open("ecr_repositories: {app: {}, new: {additional_pull_account_ids: [\"333333333333\"]}}\n")
	ask := func(c run.AccessConfig, who, repository string) proof.Outcome {
		t.Helper()
		c.Asked = []string{who}
		ev, err := r.Evidence(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		actions, err := proof.ParseRight("pull")
		if err != nil {
			t.Fatal(err)
		}
		a, err := ev.Prover.Check(who, actions, kecr.LocalRegistry(), kecr.RepositoryName(repository))
		if err != nil {
			return proof.Outcome(err.Error())
		}
		return a.Outcome
	}
	b.http.take()
	if got := ask(run.AccessConfig{Repository: "app"}, "222222222222", "app"); got != proof.Allowed {
		t.Errorf("as it is: %s", got)
	}
	if calls := b.http.take(); calls["GetRepositoryPolicy"] != 1 || calls["DescribeRepositories"] != 0 {
		t.Errorf("%v", calls)
	}
	if got := ask(run.AccessConfig{Planned: true}, "222222222222", "app"); got != proof.Denied {
		t.Errorf("as planned: %s", got)
	}
	if got := ask(run.AccessConfig{Planned: true}, "333333333333", "new"); got != proof.Allowed {
		t.Errorf("a new one as planned: %s", got)
	}
}

// TestWhatHelps: apply says to try again only where that helps.
func TestWhatHelps(t *testing.T) {
	const scp = `with an explicit deny in a service control policy`
	denied := fmt.Sprintf(`{"__type":"AccessDeniedException","message":"User: u is not authorized to perform: ecr:PutLifecyclePolicy %s"}`, scp)
	const (
		quota = `{"__type":"LimitExceededException","message":"The operation did not succeed because it would have exceeded a service limit"}`
		later = `{"__type":"RepositoryPolicyNotFoundException","message":"for now"}`
	)
	for _, c := range []struct {
		name          string
		first, others string // answers to PutLifecyclePolicy
		want, not     string
	}{
		{"a denial", denied, denied, "2 repositories are not as the file says: a further try does not help before", "again"},
		{"a quota", quota, quota, "a further try does not help", "again"},
		{"what passes", later, later, "2 repositories are not as the file says: run apply again", "help"},
		{"both", denied, later, "run apply again; that does not help 1 of them", "2 of them"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t)
			n := 0
			b.http.answer = func(op string) string {
				if op != "PutLifecyclePolicy" {
					return ""
				}
				if n++; n == 1 {
					return c.first
				}
				return c.others
			}
			r, p := b.plan("stack: shop\necr_repositories: {app: {}, web: {}}\n", plan.Options{})
			if p.Err() != nil {
				t.Fatal(p.Err())
			}
			_, err := r.Apply(t.Context(), nil)
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), c.not) {
				t.Errorf("%v, want %q and not %q", err, c.want, c.not)
			}
		})
	}
}

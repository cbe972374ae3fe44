package run_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"

	"github.com/kontor-registry/kontor/internal/deploy"
	"github.com/kontor-registry/kontor/internal/deploy/plan"
	"github.com/kontor-registry/kontor/internal/deploy/run"
	"github.com/kontor-registry/kontor/internal/deploy/spec"
	"github.com/kontor-registry/kontor/internal/race"
	"github.com/kontor-registry/kontor/kontortest"
	"github.com/kontor-registry/kontor/kontortest/awstest"
)

// flaky stands before a registry and fails one call, of whatever API.
type flaky struct {
	url string
	// after lets the call take effect, and only loses the answer.
	after bool
	// watch is called when a call of the ECR API has changed something since
	// arm, before it is answered.
	watch func()

	mu      sync.Mutex
	armed   bool // guarded by mu
	n       int  // guarded by mu; calls since arm
	which   int  // guarded by mu; the one to fail, 0 for none
	changes bool // guarded by mu; that one would have changed something
}

func newFlaky(t *testing.T, reg *kontortest.Registry) *flaky {
	t.Helper()
	to, err := url.Parse(reg.URL)
	if err != nil {
		t.Fatal(err)
	}
	f := &flaky{watch: func() {}}
	// The host stays that of the request: it is signed.
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.Out.URL.Scheme, r.Out.URL.Host, r.Out.Host = to.Scheme, to.Host, r.In.Host
	}}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, op, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
		changes := op != "" && !strings.HasPrefix(op, "Get") && !strings.HasPrefix(op, "Describe") && !strings.HasPrefix(op, "List")
		f.mu.Lock()
		f.n++
		fail, watch := f.n == f.which, f.armed && changes
		if fail {
			f.changes = changes
		}
		f.mu.Unlock()
		switch {
		case !fail:
			rec := httptest.NewRecorder()
			proxy.ServeHTTP(rec, r)
			if watch {
				f.watch()
			}
			for k, v := range rec.Header() {
				w.Header()[k] = v
			}
			w.WriteHeader(rec.Code)
			_, _ = rec.Body.WriteTo(w)
			return
		case f.after:
			proxy.ServeHTTP(httptest.NewRecorder(), r)
			if watch {
				f.watch()
			}
		default:
			_, _ = io.Copy(io.Discard, r.Body)
		}
		code, body := "application/x-amz-json-1.1", `{"__type":"InvalidParameterException","message":"made to fail"}`
		if op == "" {
			code, body = "text/xml", `<ErrorResponse><Error><Code>InvalidParameterValue</Code><Message>made to fail</Message></Error></ErrorResponse>`
		}
		w.Header().Set("Content-Type", code)
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(srv.Close)
	f.url = srv.URL
	return f
}

// arm lets call number which fail, none for 0, and watches from now on.
func (f *flaky) arm(which int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.armed, f.n, f.which, f.changes = true, 0, which, false
}

// rest fails nothing and watches nothing.
func (f *flaky) rest() {
	f.arm(0)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.armed = false
}

// changed reports whether the call that failed would have changed something.
func (f *flaky) changed() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.changes
}

func (f *flaky) calls() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.n
}

// place is a registry of the test, seen from behind the proxy.
type place struct {
	t   *testing.T
	api *ecr.Client
}

func (p place) must(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

// empty deletes every repository.
func (p place) empty() {
	p.t.Helper()
	for name := range p.tags() {
		_, err := p.api.DeleteRepository(p.t.Context(), &ecr.DeleteRepositoryInput{RepositoryName: &name, Force: true})
		p.must(err)
	}
}

// tags are the stack and protection tags of each repository there is.
func (p place) tags() map[string]map[string]string {
	p.t.Helper()
	out, err := p.api.DescribeRepositories(context.Background(), &ecr.DescribeRepositoriesInput{})
	p.must(err)
	all := map[string]map[string]string{}
	for _, r := range out.Repositories {
		got, err := p.api.ListTagsForResource(context.Background(), &ecr.ListTagsForResourceInput{ResourceArn: r.RepositoryArn})
		p.must(err)
		tags := map[string]string{}
		for _, x := range got.Tags {
			tags[aws.ToString(x.Key)] = aws.ToString(x.Value)
		}
		all[aws.ToString(r.RepositoryName)] = tags
	}
	return all
}

// create makes a repository with both policies, outside of the deployer.
func (p place) create(name string, tags map[string]string) {
	p.t.Helper()
	in := &ecr.CreateRepositoryInput{RepositoryName: &name}
	for k, v := range tags {
		in.Tags = append(in.Tags, types.Tag{Key: &k, Value: &v})
	}
	_, err := p.api.CreateRepository(p.t.Context(), in)
	p.must(err)
	_, err = p.api.SetRepositoryPolicy(p.t.Context(), &ecr.SetRepositoryPolicyInput{RepositoryName: &name, PolicyText: aws.String(
		`{"Version":"2012-10-17","Statement":[{"Sid":"Theirs","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::999999999999:root"},"Action":"ecr:BatchGetImage"}]}`)})
	p.must(err)
	_, err = p.api.PutLifecyclePolicy(p.t.Context(), &ecr.PutLifecyclePolicyInput{RepositoryName: &name, LifecyclePolicyText: aws.String(
		`{"rules":[{"rulePriority":9,"selection":{"tagStatus":"untagged","countType":"sinceImagePushed","countUnit":"days","countNumber":99},"action":{"type":"expire"}}]}`)})
	p.must(err)
}

// whole fails for each of the repositories that is there without one of its
// policies. It may be called by any goroutine.
func (p place) whole(when string, names ...string) {
	for _, name := range names {
		_, err := p.api.GetRepositoryPolicy(context.Background(), &ecr.GetRepositoryPolicyInput{RepositoryName: &name})
		var gone *types.RepositoryNotFoundException
		if errors.As(err, &gone) {
			continue
		}
		if err != nil {
			p.t.Errorf("%s: %s: %v", when, name, err)
		}
		if _, err := p.api.GetLifecyclePolicy(context.Background(), &ecr.GetLifecyclePolicyInput{RepositoryName: &name}); err != nil {
			p.t.Errorf("%s: %s: %v", when, name, err)
		}
	}
}

// twoAccounts are two registries behind flaky proxies, and a profile for each.
func twoAccounts(t *testing.T) (at [2]*flaky, places [2]place, registries string) {
	t.Helper()
	for _, e := range os.Environ() {
		if name, _, _ := strings.Cut(e, "="); strings.HasPrefix(name, "AWS_") {
			t.Setenv(name, "")
		}
	}
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	var config strings.Builder
	registries = "registries:\n"
	for i, o := range []kontortest.Options{{Account: "111111111111", Region: "us-east-2"}, {Account: "222222222222", Region: "eu-west-1"}} {
		reg := kontortest.Start(t, o)
		at[i] = newFlaky(t, reg)
		places[i] = place{t, awstest.ECR(reg)}
		name := []string{"prod", "europe"}[i]
		fmt.Fprintf(&config, "[profile %s]\naws_access_key_id = %s\naws_secret_access_key = %s\n", name, reg.Admin.AccessKeyID, reg.Admin.SecretAccessKey)
		registries += fmt.Sprintf("- {name: %s, account: %q, region: %s, profile: %s, endpoint: %q}\n", name, o.Account, o.Region, name, at[i].url)
	}
	file := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(file, []byte(config.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("AWS_CONFIG_FILE", file)
	return at, places, registries
}

// outcome is what became of a run from end to end.
type outcome struct {
	planned run.Planned
	result  run.Result
	err     error
	// told are the lines of progress.
	told []string
}

// deployTo plans and applies a file, all of its registries or those of targets.
func deployTo(t *testing.T, file string, o plan.Options, targets ...string) (out outcome) {
	t.Helper()
	f, _, err := spec.Load(spec.Source{Name: "kontor.yaml", Data: []byte(file)})
	if err != nil {
		t.Fatal(err)
	}
	r, err := run.Open(t.Context(), run.Config{File: f, Targets: targets, Parallel: 1, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { out.err = errors.Join(out.err, r.Close()) }()
	if out.planned, out.err = r.Plan(t.Context(), o); out.err != nil {
		return out
	}
	var mu sync.Mutex
	out.result, out.err = r.Apply(t.Context(), func(registry string, x deploy.RepositoryResult) {
		mu.Lock()
		defer mu.Unlock()
		out.told = append(out.told, fmt.Sprintf("%s %s %s", registry, x.Repository, x.Status))
	})
	return out
}

// want fails unless a run came out well.
func (o outcome) want(t *testing.T) outcome {
	t.Helper()
	if o.err != nil {
		t.Fatal(o.err)
	}
	return o
}

const (
	// faultsBefore is deployed before faultsFile is: what was updated, and
	// what left the file.
	faultsBefore = `stack: platform
ecr_repositories:
  updated: {additional_pull_account_ids: ["333333333333"], scan_on_push: true}
  left: {additional_pull_account_ids: ["333333333333"], delete_protection: false}
`
	faultsFile = `stack: platform
ecr_repositories:
  created: {additional_pull_account_ids: ["333333333333"]}
  adopted: {additional_pull_account_ids: ["333333333333"]}
  updated:
    is_immutable: false
    additional_pull_account_ids: ["444444444444"]
    scan_on_push: false
    keep: ["v*"]
    tags: {team: a}
`
)

// eachCall lets each call of a command to prod fail in turn, and one that changes
// something once more after it took effect, with only the answer lost. scene is
// what there is before; run runs the command and reports whether it came to the
// call. It returns how many calls there are. With the race detector it takes one
// of seven calls.
func eachCall(f *flaky, scene func(), run func(call int) bool) int {
	defer f.rest()
	step := 1
	if race.Enabled {
		step = 7
	}
	for call := 1; ; call += step {
		for _, f.after = range []bool{false, true} {
			f.rest()
			scene()
			f.arm(call)
			if !run(call) {
				return f.calls()
			}
			if !f.after && !f.changed() {
				break
			}
		}
	}
}

// TestEveryCallOfApplyFails lets each call of an apply that prunes to one of two
// accounts fail in turn, from the first question who the caller is: the other
// account is done all the same, no repository that stays is ever without its
// policies, and the same once more leads to the end.
func TestEveryCallOfApplyFails(t *testing.T) {
	at, places, registries := twoAccounts(t)
	prod, europe := places[0], places[1]
	before, file, prune := registries+faultsBefore, registries+faultsFile, plan.Options{End: plan.LeftFile}
	deployTo(t, before, plan.Options{}).want(t)
	europe.create("adopted", nil)
	at[0].watch = func() { prod.whole("while a call fails", "adopted", "updated", "theirs") }
	scene := func() {
		prod.empty()
		deployTo(t, before, plan.Options{}, "prod").want(t)
		prod.create("adopted", nil)
		prod.create("theirs", map[string]string{"kontor:stack": "website", "kontor:delete-protection": "off"})
		if _, ok := europe.tags()["created"]; ok {
			_, err := europe.api.DeleteRepository(t.Context(), &ecr.DeleteRepositoryInput{RepositoryName: aws.String("created")})
			europe.must(err)
		}
	}
	calls := eachCall(at[0], scene, func(call int) bool {
		o := deployTo(t, file, prune)
		if call > at[0].calls() {
			if n := o.want(t).result.Registries[0].Count(deploy.StatusDone); o.result.Registries[0].Target.Name != "prod" || n != 4 {
				t.Errorf("%d repositories of prod are done, want 4", n)
			}
			return false
		}
		if o.err == nil || !strings.Contains(failures(o), "made to fail") || !strings.Contains(o.err.Error(), "registry prod") ||
			strings.Contains(o.err.Error(), "registry europe") || !slices.Contains(o.told, "europe created done") {
			t.Errorf("call %d of prod: %v, %v", call, o.err, o.told)
		}
		if last := o.result.Registries[len(o.result.Registries)-1]; last.Target.Name != "europe" || !last.OK() {
			t.Errorf("call %d of prod: europe came out as %+v", call, last)
		}
		changed := at[0].changed()
		at[0].arm(0)
		deployTo(t, file, prune).want(t)
		if changed {
			if n := deployTo(t, file, prune).want(t).planned.Set.Pending(); n > 0 {
				t.Errorf("after call %d and another apply there are %d changes", call, n)
			}
		}
		prod.whole("afterwards", "adopted", "updated", "created", "theirs")
		have := prod.tags()
		if _, there := have["left"]; there || len(have) != 4 {
			t.Errorf("after call %d and another apply there are %v", call, have)
		}
		return true
	})
	if calls < 35 {
		t.Errorf("only %d calls were made", calls)
	}
}

// failures is everything that is said of what failed.
func failures(o outcome) string {
	text := fmt.Sprint(o.err)
	for _, r := range o.result.Registries {
		for _, x := range r.Repositories {
			text += "\n" + x.Error
		}
	}
	return text
}

// TestEveryCallOfDestroyFails is the same of a plan that deletes everything: a
// repository that cannot go keeps its policies, what others own stays, what is
// said to be gone is gone, and the same once more ends it.
func TestEveryCallOfDestroyFails(t *testing.T) {
	at, places, registries := twoAccounts(t)
	prod, europe := places[0], places[1]
	file, destroy := registries+"defaults: {delete_protection: false}\n"+faultsFile, plan.Options{End: plan.Everything}
	prod.create("theirs", map[string]string{"kontor:stack": "website", "kontor:delete-protection": "off"})
	prod.create("nobodys", nil)
	at[0].watch = func() { prod.whole("while a call fails", "adopted", "updated", "created", "theirs", "nobodys") }
	calls := eachCall(at[0], func() { deployTo(t, file, plan.Options{}).want(t) }, func(call int) bool {
		o := deployTo(t, file, destroy)
		if len(europe.tags()) > 0 {
			t.Errorf("call %d of prod: europe still has %v", call, europe.tags())
		}
		if call > at[0].calls() {
			o.want(t)
			return false
		}
		if o.err == nil || !strings.Contains(failures(o), "made to fail") || !strings.Contains(o.err.Error(), "registry prod") {
			t.Errorf("call %d of prod: %v", call, o.err)
		}
		there := prod.tags()
		for _, x := range o.result.Registries {
			for _, y := range x.Repositories {
				if _, still := there[string(y.Repository)]; x.Target.Name == "prod" && y.Status == deploy.StatusDone && still {
					t.Errorf("call %d: %s is said to be gone, and is there", call, y.Repository)
				}
				if y.Status != deploy.StatusDone && y.Error == "" {
					t.Errorf("call %d: no error says why %s is %s", call, y.Repository, y.Status)
				}
			}
		}
		at[0].arm(0)
		deployTo(t, file, destroy).want(t)
		if have := prod.tags(); len(have) != 2 || have["theirs"] == nil || have["nobodys"] == nil {
			t.Errorf("after call %d and another destroy there are %v", call, have)
		}
		return true
	})
	if calls < 20 {
		t.Errorf("only %d calls were made", calls)
	}
}

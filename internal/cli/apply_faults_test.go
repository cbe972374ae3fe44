package cli_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"

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

// create makes a repository with both policies, as somebody else would.
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
func twoAccounts(t *testing.T) (s *shell, at [2]*flaky, places [2]place, registries string) {
	t.Helper()
	s = newShell(t)
	awsEnv(t, kontortest.Credentials{})
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
	return s, at, places, registries
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
// call. It returns how many calls there are.
func eachCall(f *flaky, scene func(), run func(call int) bool) int {
	defer f.rest()
	for call := 1; ; call++ {
		for _, f.after = range []bool{false, true} {
			f.rest()
			scene()
			f.arm(call)
			if !run(call) {
				return call - 1
			}
			if !f.after && !f.changed() {
				break
			}
		}
	}
}

// TestEveryCallOfApplyFails lets each call of apply --prune to one of two
// accounts fail in turn, from the first question who the caller is: the other
// account is done all the same, no repository that stays is ever without its
// policies, and the command once more leads to the end.
func TestEveryCallOfApplyFails(t *testing.T) {
	s, at, places, registries := twoAccounts(t)
	prod, europe := places[0], places[1]
	s.write("before.yaml", registries+faultsBefore)
	s.write("kontor.yaml", registries+faultsFile)
	s.want(s.run("apply", "-y", "-f", "before.yaml"), 0)
	europe.create("adopted", nil)
	at[0].watch = func() { prod.whole("while a call fails", "adopted", "updated", "theirs") }
	scene := func() {
		prod.empty()
		s.want(s.run("apply", "-y", "-f", "before.yaml", "--target", "prod"), 0)
		prod.create("adopted", nil)
		prod.create("theirs", map[string]string{"kontor:stack": "website", "kontor:delete-protection": "off"})
		if _, ok := europe.tags()["created"]; ok {
			_, err := europe.api.DeleteRepository(t.Context(), &ecr.DeleteRepositoryInput{RepositoryName: aws.String("created")})
			europe.must(err)
		}
	}
	calls := eachCall(at[0], scene, func(call int) bool {
		r := s.run("apply", "-y", "--prune", "--parallelism", "1")
		if call > at[0].calls() {
			s.want(r, 0, "Applied to prod: 4 repositories done.")
			return false
		}
		s.want(r, 1, "made to fail", "europe: created: created\n", "Applied to europe: ", "kontor: registry prod")
		if strings.Contains(r.errors, "registry europe") {
			t.Errorf("call %d of prod: stderr\n%s", call, r.errors)
		}
		changed := at[0].changed()
		at[0].arm(0)
		s.want(s.run("apply", "-y", "--prune", "--parallelism", "1"), 0)
		if changed {
			s.want(s.run("plan", "--prune", "--exit-code"), 0)
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

// TestEveryCallOfDestroyFails is the same of destroy: a repository that cannot
// go keeps its policies, what others own stays, what is said to be gone is gone,
// and destroy once more ends it.
func TestEveryCallOfDestroyFails(t *testing.T) {
	s, at, places, registries := twoAccounts(t)
	prod, europe := places[0], places[1]
	s.write("kontor.yaml", registries+"defaults: {delete_protection: false}\n"+faultsFile)
	prod.create("theirs", map[string]string{"kontor:stack": "website", "kontor:delete-protection": "off"})
	prod.create("nobodys", nil)
	at[0].watch = func() { prod.whole("while a call fails", "adopted", "updated", "created", "theirs", "nobodys") }
	calls := eachCall(at[0], func() { s.want(s.run("apply", "-y"), 0) }, func(call int) bool {
		r := s.run("destroy", "-y", "--parallelism", "1", "--json")
		var form struct {
			Results []struct {
				Target       struct{ Name string }
				Repositories []struct{ Repository, Status, Error string }
			}
		}
		if err := json.Unmarshal([]byte(r.out), &form); err != nil {
			t.Fatalf("call %d: %v\n%s", call, err, r.out)
		}
		if len(europe.tags()) > 0 {
			t.Errorf("call %d of prod: europe still has %v", call, europe.tags())
		}
		if call > at[0].calls() {
			s.want(r, 0)
			return false
		}
		s.want(r, 1, "made to fail", "kontor: registry prod")
		there := prod.tags()
		for _, x := range form.Results {
			for _, y := range x.Repositories {
				if _, still := there[y.Repository]; x.Target.Name == "prod" && y.Status == "done" && still {
					t.Errorf("call %d: %s is said to be gone, and is there", call, y.Repository)
				}
				if y.Status != "done" && y.Error == "" {
					t.Errorf("call %d: nobody says why %s is %s", call, y.Repository, y.Status)
				}
			}
		}
		at[0].arm(0)
		s.want(s.run("destroy", "-y", "--parallelism", "1"), 0)
		if have := prod.tags(); len(have) != 2 || have["theirs"] == nil || have["nobodys"] == nil {
			t.Errorf("after call %d and another destroy there are %v", call, have)
		}
		return true
	})
	if calls < 20 {
		t.Errorf("only %d calls were made", calls)
	}
}

// TestDestroyAsks: on a terminal destroy and apply --prune ask, and no is the
// answer of everything but y and yes.
func TestDestroyAsks(t *testing.T) {
	reg := kontortest.Start(t)
	p := place{t, awstest.ECR(reg)}
	s := newShell(t)
	awsEnv(t, reg.Admin)
	file := remoteFile(reg) + "  old: {delete_protection: false}\n"
	s.write("kontor.yaml", file)
	s.want(s.run("apply", "-y"), 0)
	s.write("kontor.yaml", remoteFile(reg))
	s.write("free.yaml", "defaults: {delete_protection: false}\n"+remoteFile(reg))
	s.want(s.run("apply", "-y", "-f", "free.yaml"), 0)
	s.want(s.run("destroy", "-f", "free.yaml"), 2, "stdin is not a terminal, so there is nobody to ask")
	s.want(s.run("apply", "--prune"), 2, "stdin is not a terminal, so there is nobody to ask")
	s.terminal = true
	for _, s.stdin = range []string{"", "n\n", "\n", "destroy\n", "yess\n"} {
		s.want(s.run("destroy", "-f", "free.yaml"), 1, "DELETE 3 repositories of registry prod (account 000000000000, region us-east-1)? [y/N] ", "kontor: nothing was changed\n")
		s.want(s.run("apply", "--prune", "-f", "free.yaml"), 1, "DELETE 1 repository of registry prod", "nothing was changed")
	}
	if n := len(p.tags()); n != 3 {
		t.Errorf("%d repositories are left, want 3", n)
	}
	s.stdin = "yes\n"
	s.want(s.run("apply", "--prune", "-f", "free.yaml"), 0, "old: deleted")
	s.stdin = "Y\n"
	s.want(s.run("destroy", "-f", "free.yaml"), 0, "api: deleted", "website: deleted")
	if n := len(p.tags()); n != 0 {
		t.Errorf("%d repositories are left, want none", n)
	}
}

package deploy_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/kontor-registry/kontor/internal/deploy"
	"github.com/kontor-registry/kontor/internal/deploy/plan"
	"github.com/kontor-registry/kontor/internal/deploy/state"
	kecr "github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/race"
	"github.com/kontor-registry/kontor/kontortest"
)

const stack = "platform"

// Documents that the cases share.
const (
	policyA = `{"Version":"2012-10-17","Statement":[{"Sid":"Pull","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::333333333333:root"},"Action":["ecr:BatchGetImage","ecr:GetDownloadUrlForLayer"]}]}`
	policyB = `{"Version":"2012-10-17","Statement":[{"Sid":"Pull","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::444444444444:root"},"Action":["ecr:BatchGetImage","ecr:GetDownloadUrlForLayer"]}]}`
	rulesA  = `{"rules":[{"rulePriority":1,"selection":{"tagStatus":"untagged","countType":"sinceImagePushed","countUnit":"days","countNumber":1},"action":{"type":"expire"}}]}`
	rulesB  = `{"rules":[{"rulePriority":1,"selection":{"tagStatus":"untagged","countType":"sinceImagePushed","countUnit":"days","countNumber":7},"action":{"type":"expire"}}]}`
)

func repo(name, policy, lifecycle string) state.Repository {
	return state.Repository{
		Name: kecr.RepositoryName(name), Mutability: kecr.Mutability{Mode: kecr.Immutable},
		Tags: map[string]string{"team": "a"}, Policy: policy, Lifecycle: lifecycle,
	}
}

func wanted(rs ...state.Repository) state.Desired {
	return state.Desired{Stack: stack, Repositories: rs}
}

// target is reg as a target of a file.
func target(reg *kontortest.Registry) state.Target {
	return state.Target{
		Name: "test", Endpoint: reg.URL, Local: true,
		Registry: kecr.RegistryID{Account: kecr.AccountID(reg.Account), Region: kecr.Region(reg.Region)},
	}
}

func connectAs(t *testing.T, reg *kontortest.Registry, c kontortest.Credentials, client aws.HTTPClient) *deploy.Conn {
	t.Helper()
	conn, err := deploy.Connect(t.Context(), deploy.ConnectConfig{
		Target: target(reg), AccessKeyID: c.AccessKeyID, SecretAccessKey: c.SecretAccessKey, HTTPClient: client,
	})
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

func connect(t *testing.T, reg *kontortest.Registry) *deploy.Conn {
	t.Helper()
	return connectAs(t, reg, reg.Admin, nil)
}

func observe(t *testing.T, conn *deploy.Conn, d state.Desired) state.Observed {
	t.Helper()
	o, err := deploy.Observe(t.Context(), conn.API, conn.Target, deploy.ScopeOf(d))
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// diff plans d on conn.
func diff(t *testing.T, conn *deploy.Conn, d state.Desired) plan.Plan {
	t.Helper()
	return plan.Diff(d, observe(t, conn, d))
}

func apply(t *testing.T, conn *deploy.Conn, p plan.Plan) deploy.Result {
	t.Helper()
	r, err := deploy.Apply(t.Context(), conn.API, p, deploy.ApplyConfig{})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// deployAll plans and applies d and fails unless all is done.
func deployAll(t *testing.T, conn *deploy.Conn, d state.Desired) {
	t.Helper()
	if r := apply(t, conn, diff(t, conn, d)); !r.OK() {
		t.Fatalf("not everything was done: %+v", r.Repositories)
	}
}

// pending are the operations of p that do something.
func pending(p plan.Plan) map[string]plan.Op {
	out := map[string]plan.Op{}
	for _, c := range p.Pending() {
		out[string(c.Repository)] = c.Op
	}
	return out
}

// check fails unless conn has what d wants, with the stack's tag.
func check(t *testing.T, conn *deploy.Conn, d state.Desired) {
	t.Helper()
	o := observe(t, conn, d)
	for _, want := range d.Repositories {
		got, ok := o.Repositories[want.Name]
		if !ok {
			t.Errorf("%s does not exist", want.Name)
			continue
		}
		if got.Mutability.Mode != want.Mutability.Mode || !cmp.Equal(got.Mutability.Filters, want.Mutability.Filters, cmpopts.EquateEmpty()) {
			t.Errorf("%s has mutability %v, want %v", want.Name, got.Mutability, want.Mutability)
		}
		if !plan.EqualPolicy(got.Policy, want.Policy) {
			t.Errorf("%s has policy %s, want %s", want.Name, got.Policy, want.Policy)
		}
		if !plan.EqualLifecycle(got.Lifecycle, want.Lifecycle) {
			t.Errorf("%s has lifecycle policy %s, want %s", want.Name, got.Lifecycle, want.Lifecycle)
		}
		for k, v := range want.Tags {
			if got.Tags[k] != v {
				t.Errorf("%s has tag %s=%q, want %q", want.Name, k, got.Tags[k], v)
			}
		}
		if got.Tags[state.TagStack] != d.Stack {
			t.Errorf("%s belongs to stack %q, want %q", want.Name, got.Tags[state.TagStack], d.Stack)
		}
	}
	if p := diff(t, conn, d); len(p.Pending()) > 0 {
		t.Errorf("a second plan has changes: %v", pending(p))
	}
}

// must is for calls that set a scene up.
func must[T any](t *testing.T) func(T, error) {
	return func(_ T, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
}

// create makes a repository that is not ours.
func create(t *testing.T, conn *deploy.Conn, name, policy, lifecycle string, tags ...types.Tag) {
	t.Helper()
	must[*ecr.CreateRepositoryOutput](t)(conn.API.CreateRepository(t.Context(), &ecr.CreateRepositoryInput{RepositoryName: &name, Tags: tags}))
	if policy != "" {
		setPolicy(t, conn, name, policy)
	}
	if lifecycle != "" {
		must[*ecr.PutLifecyclePolicyOutput](t)(conn.API.PutLifecyclePolicy(t.Context(), &ecr.PutLifecyclePolicyInput{RepositoryName: &name, LifecyclePolicyText: &lifecycle}))
	}
}

func setPolicy(t *testing.T, conn *deploy.Conn, name, policy string) {
	t.Helper()
	must[*ecr.SetRepositoryPolicyOutput](t)(conn.API.SetRepositoryPolicy(t.Context(), &ecr.SetRepositoryPolicyInput{RepositoryName: &name, PolicyText: &policy}))
}

func tag(key, value string) types.Tag { return types.Tag{Key: &key, Value: &value} }

func TestApply(t *testing.T) {
	conn := connect(t, kontortest.Start(t))
	create(t, conn, "legacy", policyB, rulesB, tag("env", "x"))
	create(t, conn, "unrelated", policyB, rulesB)
	filtered := repo("filtered", "", "")
	filtered.Mutability = kecr.Mutability{Mode: kecr.ImmutableWithExclusion, Filters: []string{"main", "pr-*"}}
	d := wanted(repo("api", policyA, rulesA), filtered, repo("legacy", policyA, rulesA), repo("plain", "", ""))

	p := diff(t, conn, d)
	if diff := cmp.Diff(map[string]plan.Op{"api": plan.OpCreate, "filtered": plan.OpCreate, "legacy": plan.OpAdopt, "plain": plan.OpCreate}, pending(p)); diff != "" {
		t.Fatalf("plan (-want +got):\n%s", diff)
	}
	var seen []string
	r, err := deploy.Apply(t.Context(), conn.API, p, deploy.ApplyConfig{Progress: func(r deploy.RepositoryResult) { seen = append(seen, string(r.Repository)) }})
	if err != nil || !r.OK() {
		t.Fatalf("apply: %v, %+v", err, r.Repositories)
	}
	if diff := cmp.Diff([]string{"api", "filtered", "legacy", "plain"}, seen); diff != "" {
		t.Errorf("progress in another order (-want +got):\n%s", diff)
	}
	check(t, conn, d)

	// The same plan once more finds everything done.
	for _, x := range apply(t, conn, p).Repositories {
		if x.Status != deploy.StatusDone || len(x.Done) > 0 {
			t.Errorf("carrying out the plan again: %+v", x)
		}
	}

	d = wanted(repo("api", policyB, ""), repo("filtered", policyA, rulesB), repo("legacy", "", rulesA), repo("plain", "", ""))
	d.Repositories[3].Mutability.Mode = kecr.Mutable
	d.Repositories[3].Tags["team"] = "b"
	if diff := cmp.Diff(map[string]plan.Op{"api": plan.OpUpdate, "filtered": plan.OpUpdate, "legacy": plan.OpUpdate, "plain": plan.OpUpdate}, pending(diff(t, conn, d))); diff != "" {
		t.Fatalf("plan (-want +got):\n%s", diff)
	}
	deployAll(t, conn, d)
	check(t, conn, d)

	o := observe(t, conn, wanted(repo("unrelated", "", ""), repo("legacy", "", "")))
	if got := o.Repositories["legacy"].Tags["env"]; got != "x" {
		t.Errorf("legacy lost a tag that is not in the file: %v", o.Repositories["legacy"].Tags)
	}
	if u := o.Repositories["unrelated"]; !plan.EqualPolicy(u.Policy, policyB) || len(u.Tags) > 0 {
		t.Errorf("a repository outside the file changed: %+v", u)
	}
}

func TestMovedRepositoriesAreLeftAlone(t *testing.T) {
	conn := connect(t, kontortest.Start(t))
	ctx := t.Context()
	before := []state.Repository{repo("deleted", policyA, ""), repo("mutability", policyA, ""), repo("other", policyA, ""), repo("policy", policyA, ""), repo("rules", policyA, rulesA), repo("taken", policyA, "")}
	deployAll(t, conn, wanted(before...))

	after := []state.Repository{repo("appeared", policyB, rulesB)}
	for _, r := range before {
		after = append(after, repo(string(r.Name), policyB, rulesB))
	}
	p := diff(t, conn, wanted(after...))
	// "appeared" is someone else's, "other" changes in a way that no one planned.
	create(t, conn, "appeared", "", "")
	must[*ecr.DeleteRepositoryOutput](t)(conn.API.(*ecr.Client).DeleteRepository(ctx, &ecr.DeleteRepositoryInput{RepositoryName: aws.String("deleted")}))
	must[*ecr.PutImageTagMutabilityOutput](t)(conn.API.PutImageTagMutability(ctx, &ecr.PutImageTagMutabilityInput{RepositoryName: aws.String("mutability"), ImageTagMutability: types.ImageTagMutabilityMutable}))
	setPolicy(t, conn, "policy", strings.ReplaceAll(policyA, "333333333333", "555555555555"))
	must[*ecr.DeleteLifecyclePolicyOutput](t)(conn.API.DeleteLifecyclePolicy(ctx, &ecr.DeleteLifecyclePolicyInput{RepositoryName: aws.String("rules")}))
	must[*ecr.TagResourceOutput](t)(conn.API.TagResource(ctx, &ecr.TagResourceInput{
		ResourceArn: aws.String(conn.Target.Registry.RepositoryARN("taken")), Tags: []types.Tag{tag(state.TagStack, "website")},
	}))
	moved := observe(t, conn, wanted(after...))

	r := apply(t, conn, p)
	for _, x := range r.Repositories {
		want := deploy.StatusMoved
		if x.Repository == "other" {
			want = deploy.StatusDone
		}
		if x.Status != want {
			t.Errorf("%s came out as %s (%s), want %s", x.Repository, x.Status, x.Error, want)
		}
		if want == deploy.StatusMoved && (len(x.Done) > 0 || !strings.Contains(x.Error, "since the plan was made")) {
			t.Errorf("%s: %+v", x.Repository, x)
		}
	}
	now := observe(t, conn, wanted(after...))
	delete(moved.Repositories, "other")
	delete(now.Repositories, "other")
	if diff := cmp.Diff(moved.Repositories, now.Repositories); diff != "" {
		t.Errorf("moved repositories changed (-before +after):\n%s", diff)
	}
	check(t, conn, wanted(repo("other", policyB, rulesB)))
}

func TestAnotherStacksRepositoryIsRefused(t *testing.T) {
	conn := connect(t, kontortest.Start(t))
	create(t, conn, "theirs", policyA, "", tag(state.TagStack, "website"))
	d := wanted(repo("mine", policyB, ""), repo("theirs", policyB, ""))
	before := observe(t, conn, d)
	if _, err := deploy.Apply(t.Context(), conn.API, diff(t, conn, d), deploy.ApplyConfig{}); err == nil || !strings.Contains(err.Error(), "website") {
		t.Errorf("error %v, want one that names the other stack", err)
	}
	if diff := cmp.Diff(before, observe(t, conn, d)); diff != "" {
		t.Errorf("a refused plan changed something (-before +after):\n%s", diff)
	}
}

func TestLeftOverRepositoryIsReported(t *testing.T) {
	conn := connect(t, kontortest.Start(t))
	deployAll(t, conn, wanted(repo("kept", "", ""), repo("left", "", "")))
	p := diff(t, conn, wanted(repo("kept", "", "")))
	if len(p.Pending()) > 0 || len(p.Findings) != 1 || p.Findings[0].Code != plan.CodeLeftFile || p.Findings[0].Repository != "left" {
		t.Errorf("plan: changes %v, findings %+v", pending(p), p.Findings)
	}
}

// small makes pages of two repositories.
type small struct{ deploy.API }

func (s small) DescribeRepositories(ctx context.Context, in *ecr.DescribeRepositoriesInput, o ...func(*ecr.Options)) (*ecr.DescribeRepositoriesOutput, error) {
	if in.MaxResults != nil {
		in.MaxResults = aws.Int32(2)
	}
	return s.API.DescribeRepositories(ctx, in, o...)
}

func TestObserve(t *testing.T) {
	conn := connect(t, kontortest.Start(t))
	for i := range 5 {
		create(t, conn, fmt.Sprintf("loose-%d", i), policyA, "")
	}
	deployAll(t, conn, wanted(repo("ours-1", policyA, rulesA), repo("ours-2", "", "")))
	tests := []struct {
		name  string
		scope deploy.Scope
		want  []kecr.RepositoryName
	}{
		{"all, over several pages", deploy.Scope{All: true}, []kecr.RepositoryName{"loose-0", "loose-1", "loose-2", "loose-3", "loose-4", "ours-1", "ours-2"}},
		{"names, those that exist", deploy.Scope{Names: []kecr.RepositoryName{"loose-3", "none"}}, []kecr.RepositoryName{"loose-3"}},
		{"names and a stack", deploy.Scope{Names: []kecr.RepositoryName{"loose-3"}, Stack: stack}, []kecr.RepositoryName{"loose-3", "ours-1", "ours-2"}},
		{"nothing", deploy.Scope{}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o, err := deploy.Observe(t.Context(), small{conn.API}, conn.Target, tt.scope)
			if err != nil {
				t.Fatal(err)
			}
			got := map[kecr.RepositoryName]bool{}
			for n, r := range o.Repositories {
				got[n] = true
				if strings.HasPrefix(string(n), "loose") && !plan.EqualPolicy(r.Policy, policyA) {
					t.Errorf("%s was read with policy %q", n, r.Policy)
				}
			}
			want := map[kecr.RepositoryName]bool{}
			for _, n := range tt.want {
				want[n] = true
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("observed (-want +got):\n%s", diff)
			}
		})
	}
}

func TestStoppedApply(t *testing.T) {
	conn := connect(t, kontortest.Start(t))
	d := wanted(repo("aa", policyA, ""), repo("bb", policyA, ""))
	p := diff(t, conn, d)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r, err := deploy.Apply(ctx, conn.API, p, deploy.ApplyConfig{})
	if !errors.Is(err, context.Canceled) || r.Count(deploy.StatusSkipped) != 2 {
		t.Errorf("error %v, result %+v", err, r.Repositories)
	}
	deployAll(t, conn, d)
	check(t, conn, d)
}

func TestStoppedApplyFinishesWhatItBegan(t *testing.T) {
	reg := kontortest.Start(t)
	ctx, cancel := context.WithCancel(t.Context())
	f := &faults{spoil: func(r *http.Request) (*http.Response, error) {
		cancel()
		return http.DefaultClient.Do(r)
	}}
	conn := connectAs(t, reg, reg.Admin, f)
	d := wanted(repo("api", policyA, rulesA))
	p := diff(t, conn, d)
	f.next("CreateRepository")
	r, err := deploy.Apply(ctx, conn.API, p, deploy.ApplyConfig{})
	if !errors.Is(err, context.Canceled) || !r.OK() {
		t.Errorf("error %v, result %+v", err, r.Repositories)
	}
	check(t, conn, d)
}

// faults is an HTTP client that spoils calls of one operation, once.
type faults struct {
	mu    sync.Mutex
	calls []string // guarded by mu; operations called, in order
	op    string   // guarded by mu; the one to spoil next
	spoil func(*http.Request) (*http.Response, error)
}

func (f *faults) Do(r *http.Request) (*http.Response, error) {
	_, op, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	f.mu.Lock()
	f.calls = append(f.calls, op)
	now := op != "" && op == f.op
	if now {
		f.op = ""
	}
	f.mu.Unlock()
	if now {
		return f.spoil(r)
	}
	return http.DefaultClient.Do(r)
}

// next spoils the next call of op, and forgets the calls so far.
func (f *faults) next(op string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.op, f.calls = op, nil
}

// took reports the calls since next, and whether one was spoilt.
func (f *faults) took() (calls []string, spoilt bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	spoilt = f.op == ""
	f.op = ""
	return f.calls, spoilt
}

// answer is an error response of the ECR API.
func answer(r *http.Request, code string) *http.Response {
	body := fmt.Sprintf(`{"__type":%q,"message":"injected"}`, code)
	return &http.Response{
		StatusCode: http.StatusBadRequest, Request: r, ContentLength: int64(len(body)),
		Header: http.Header{"Content-Type": {"application/x-amz-json-1.1"}}, Body: readCloser{strings.NewReader(body)},
	}
}

type readCloser struct{ *strings.Reader }

func (readCloser) Close() error { return nil }

// refused answers without doing; lost does and loses the answer.
func refused(r *http.Request) (*http.Response, error) { return answer(r, "ServerException"), nil }

func lost(r *http.Request) (*http.Response, error) {
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	if err := resp.Body.Close(); err != nil {
		return nil, err
	}
	return answer(r, "AccessDeniedException"), nil
}

func throttled(r *http.Request) (*http.Response, error) { return answer(r, "ThrottlingException"), nil }

// TestEveryCallMayFail spoils each call of an apply in turn and expects that
// the result is honest, that a repository which had a policy and keeps one
// always has one, and that the next apply reaches the end.
func TestEveryCallMayFail(t *testing.T) {
	reg := kontortest.Start(t)
	kinds := []struct {
		name  string
		spoil func(*http.Request) (*http.Response, error)
		// repaired: the SDK tries again on its own.
		repaired bool
	}{
		{"throttled", throttled, true},
		{"refused", refused, false},
		{"lost", lost, false},
	}
	if race.Enabled {
		kinds = kinds[1:2]
	}
	changed := repo("", policyB, rulesB)
	changed.Mutability.Mode = kecr.Mutable
	changed.Tags = map[string]string{"team": "b"}
	roles := []struct {
		name string
		have func(*testing.T, *deploy.Conn, string)
		want state.Repository
	}{
		{"create", func(*testing.T, *deploy.Conn, string) {}, repo("", policyB, rulesB)},
		{"adopt", func(t *testing.T, c *deploy.Conn, n string) { create(t, c, n, policyA, rulesA) }, repo("", policyB, rulesB)},
		{"update", func(t *testing.T, c *deploy.Conn, n string) { deployAll(t, c, wanted(repo(n, policyA, rulesA))) }, changed},
		{"drop", func(t *testing.T, c *deploy.Conn, n string) { deployAll(t, c, wanted(repo(n, policyA, rulesA))) }, repo("", "", "")},
	}
	for _, kind := range kinds {
		for _, role := range roles {
			t.Run(role.name+"-"+kind.name, func(t *testing.T) {
				t.Parallel()
				// spoilOne spoils a call of op, of an apply of a repository that is
				// of this op alone, and returns the calls.
				spoilOne := func(t *testing.T, op string) (calls []string) {
					f := &faults{spoil: kind.spoil}
					conn, spoiled := connect(t, reg), connectAs(t, reg, reg.Admin, f)
					name := strings.ToLower(role.name + "-" + kind.name + "-" + op)
					want := role.want
					want.Name = kecr.RepositoryName(name)
					d := wanted(want)
					role.have(t, conn, name)
					p := diff(t, conn, d)
					f.next(op)
					r := apply(t, spoiled, p)
					calls, spoilt := f.took()
					if op != "none" && !spoilt {
						t.Fatalf("%s was not called; the calls were %v", op, calls)
					}
					if want := op == "none" || kind.repaired; r.OK() != want {
						t.Errorf("all done is %v, want %v: %+v", r.OK(), want, r.Repositories)
					}
					for _, x := range r.Repositories {
						if x.Status != deploy.StatusDone && (x.Error == "" || len(x.Done) > 0 && len(x.Left) == 0) {
							t.Errorf("%+v", x)
						}
					}
					if got := observe(t, conn, d).Repositories[want.Name]; got.Policy == "" && (role.name == "adopt" || role.name == "update") {
						t.Error("it was left without a policy")
					}
					// The same plan continues where it stopped.
					if r := apply(t, conn, p); !r.OK() {
						t.Errorf("carrying out the same plan again: %+v", r.Repositories)
					}
					check(t, conn, d)
					return calls
				}

				// The first round spoils nothing and tells which calls there are. A
				// client that was throttled is slow for seconds: all wait at once,
				// and what comes after uses another client.
				ops := spoilOne(t, "none")
				var g sync.WaitGroup
				for _, op := range ops {
					g.Go(func() {
						t.Run(op, func(t *testing.T) { spoilOne(t, op) })
					})
				}
				g.Wait()
				if len(ops) < 3 {
					t.Errorf("only these calls were made: %v", ops)
				}
			})
		}
	}
}

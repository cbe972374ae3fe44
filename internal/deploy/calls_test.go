package deploy_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kontor-registry/kontor/internal/deploy"
	"github.com/kontor-registry/kontor/internal/deploy/plan"
	"github.com/kontor-registry/kontor/internal/deploy/state"
	kecr "github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/kontortest"
)

// counted is an HTTP client that counts calls, by operation, and those that are
// on their way at once.
type counted struct {
	// each is called during a call, nil for nothing.
	each func(op string)
	// first throttles each call once, before it takes effect.
	first bool
	// refuse has answers of status 400 by operation.
	refuse map[string]string

	mu    sync.Mutex
	calls map[string]int  // guarded by mu
	seen  map[string]bool // guarded by mu; bodies of calls throttled already
	now   int             // guarded by mu
	most  int             // guarded by mu; the most at once
}

func (c *counted) Do(r *http.Request) (*http.Response, error) {
	_, op, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	if op == "" {
		return http.DefaultClient.Do(r)
	}
	c.mu.Lock()
	key := op
	if r.GetBody != nil {
		key += r.Header.Get("Amz-Sdk-Invocation-Id")
	}
	throttle := c.first && !c.seen[key]
	c.seen[key] = true
	if !throttle {
		c.calls[op]++
	}
	c.now++
	c.most = max(c.most, c.now)
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		c.now--
		c.mu.Unlock()
	}()
	if c.each != nil {
		c.each(op)
	}
	if throttle {
		return throttled(r)
	}
	if answer := c.refuse[op]; answer != "" {
		return &http.Response{
			StatusCode: http.StatusBadRequest, Request: r, Body: io.NopCloser(strings.NewReader(answer)),
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
	c.calls, c.seen, c.most = map[string]int{}, map[string]bool{}, 0
	return out
}

// TestCalls: what a plan reads, and what an apply of each kind of change reads
// and changes, to the call. A repository that is neither the file's nor the
// stack's costs nothing, unless something may be deleted: then the tags of every
// one are read.
func TestCalls(t *testing.T) {
	reg := kontortest.Start(t)
	c := &counted{}
	c.take()
	conn := connectAs(t, reg, reg.Admin, c)
	for i := range 3 {
		create(t, conn, fmt.Sprintf("others-%d", i), policyA, rulesA)
	}
	create(t, conn, "adopted", policyA, rulesA)
	free := repo("left", policyA, rulesA)
	free.Unprotected = true
	deployAll(t, conn, wanted(repo("same", policyA, rulesA), repo("updated", policyA, rulesA), repo("rules", policyA, rulesA), free))

	d := wanted(repo("same", policyA, rulesA), repo("updated", policyB, rulesA), repo("rules", policyA, ""), repo("adopted", policyB, rulesB), repo("new", policyA, ""))
	c.take()
	o := observe(t, conn, d)
	want := map[string]int{"DescribeRepositories": 2, "ListTagsForResource": 8, "GetRepositoryPolicy": 5, "GetLifecyclePolicy": 5} // the list, and the new one
	if diff := cmp.Diff(want, c.take()); diff != "" {
		t.Errorf("a plan's calls (-want +got):\n%s", diff)
	}
	if r := apply(t, conn, plan.DiffWith(d, o, plan.Options{End: plan.LeftFile})); !r.OK() {
		t.Fatalf("%+v", r)
	}
	want = map[string]int{
		// each of the four that are there is read again before it is changed
		"DescribeRepositories": 4, "ListTagsForResource": 4, "GetRepositoryPolicy": 4, "GetLifecyclePolicy": 4,
		"CreateRepository": 1, "DeleteRepository": 1, "TagResource": 1, "PutImageTagMutability": 1,
		"SetRepositoryPolicy": 3, "PutLifecyclePolicy": 1, "DeleteLifecyclePolicy": 1,
	}
	if diff := cmp.Diff(want, c.take()); diff != "" {
		t.Errorf("an apply's calls (-want +got):\n%s", diff)
	}
	// the five of the file, by their names
	var progress [][2]int
	scope := deploy.ScopeOf(d)
	scope.Progress = func(read, known int) { progress = append(progress, [2]int{read, known}) }
	scope.Tagged = conn.Tagged
	if _, err := deploy.Observe(t.Context(), conn.API, conn.Target, scope); err != nil {
		t.Fatal(err)
	}
	if len(progress) != 5 || progress[0][0] != 1 || progress[4] != [2]int{5, 5} {
		t.Errorf("progress of reading 5 repositories: %v", progress)
	}
	want = map[string]int{"GetResources": 1, "DescribeRepositories": 5, "ListTagsForResource": 5, "GetRepositoryPolicy": 5, "GetLifecyclePolicy": 5}
	if diff := cmp.Diff(want, c.take()); diff != "" {
		t.Errorf("the calls of a plan that deletes nothing (-want +got):\n%s", diff)
	}
	// more names than are read without a list, most of them new
	for i := range 12 {
		scope.Names = append(scope.Names, kecr.RepositoryName(fmt.Sprintf("none-%d", i)))
	}
	if _, err := deploy.Observe(t.Context(), conn.API, conn.Target, scope); err != nil {
		t.Fatal(err)
	}
	want["DescribeRepositories"] = 1 + 12
	if diff := cmp.Diff(want, c.take()); diff != "" {
		t.Errorf("the calls of a plan of many (-want +got):\n%s", diff)
	}

	none := state.Desired{Repositories: []state.Repository{repo("same", policyA, rulesA)}}
	observe(t, conn, none)
	want = map[string]int{"DescribeRepositories": 1, "ListTagsForResource": 1, "GetRepositoryPolicy": 1, "GetLifecyclePolicy": 1}
	if diff := cmp.Diff(want, c.take()); diff != "" {
		t.Errorf("a plan's calls without a stack (-want +got):\n%s", diff)
	}
}

// TestParallelism: as many repositories are read and changed at a time as is
// said, no more and no fewer. Calls wait for each other, so that fewer at a
// time would never end.
func TestParallelism(t *testing.T) {
	const at = 3
	reg := kontortest.Start(t)
	var (
		mu    sync.Mutex
		wait  = make(chan struct{})
		there int
		met   = map[string]bool{}
	)
	together := func(op string) {
		if op == "DescribeRepositories" {
			return // the listing is one call at a time
		}
		mu.Lock()
		if met[op] {
			mu.Unlock()
			return
		}
		there++
		mine := wait
		if there == at {
			met[op], there, wait = true, 0, make(chan struct{})
			close(mine)
		}
		mu.Unlock()
		select {
		case <-mine:
		case <-time.After(time.Minute):
			t.Errorf("%s: there are never %d calls at a time", op, at)
		}
	}
	c := &counted{each: together}
	c.take()
	conn := connectAs(t, reg, reg.Admin, c)
	var d state.Desired
	d.Stack = stack
	for i := range 4 * at {
		d.Repositories = append(d.Repositories, repo(fmt.Sprintf("r-%02d", i), "", ""))
	}
	o, err := deploy.Observe(t.Context(), conn.API, conn.Target, deploy.ScopeOf(d))
	if err != nil {
		t.Fatal(err)
	}
	c.take()
	r, err := deploy.Apply(t.Context(), conn.API, plan.Diff(d, o), deploy.ApplyConfig{Parallel: at})
	if err != nil || !r.OK() || c.most != at || !met["CreateRepository"] {
		t.Errorf("apply: %v, %d calls at once, want %d", err, c.most, at)
	}
	c.take()
	scope := deploy.ScopeOf(d)
	scope.Parallel = at
	c.each = nil
	if _, err = deploy.Observe(t.Context(), conn.API, conn.Target, scope); err != nil || c.most > at+1 { // and the listing
		t.Errorf("observe: %v, %d calls at once, want %d at most", err, c.most, at+1)
	}
}

// TestThrottledThroughout: a registry that throttles each call once is deployed
// to all the same, and each call is applied once.
func TestThrottledThroughout(t *testing.T) {
	t.Parallel() // it waits as ECR's throttling makes it
	reg := kontortest.Start(t)
	c := &counted{first: true}
	c.take()
	conn := connectAs(t, reg, reg.Admin, c)
	deployAll(t, conn, wanted(repo("api", policyA, rulesA)))
	want := map[string]int{"DescribeRepositories": 2, "CreateRepository": 1, "SetRepositoryPolicy": 1, "PutLifecyclePolicy": 1}
	if diff := cmp.Diff(want, c.take()); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
}

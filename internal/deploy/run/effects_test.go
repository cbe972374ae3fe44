package run_test

import (
	"flag"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kontor-registry/kontor/internal/deploy/plan"
	"github.com/kontor-registry/kontor/internal/deploy/run"
)

// many is a hundred times how many repositories change. 10,000 take a minute or two.
var many = flag.Int("many", 500, "how many repositories TestCallsOfManyRepositories has; a multiple of 100")

// reading is what a front end is told of reading registries.
type reading struct {
	mu   sync.Mutex
	told []string // guarded by mu
}

func (r *reading) Read(registry string, read, known int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.told = append(r.told, fmt.Sprintf("%s %d/%d", registry, read, known))
}

func (r *reading) Close() {}

// TestCallsOfManyRepositories: effects cost the calls of the repositories that
// change in a way that has some, whatever the others are. Images are asked for where
// rules or tag mutability change, and who there is once, where policies change.
func TestCallsOfManyRepositories(t *testing.T) {
	b := newBench(t)
	n := *many
	file := func(changed bool) string {
		var text strings.Builder
		text.WriteString("stack: shop\necr_repositories:\n")
		for i := range n {
			settings := "{}"
			if changed && i%100 == 7 {
				settings = []string{
					`{expiration_rules: [{tag_pattern: "pr-*", days: 7}]}`, `{is_immutable: false}`, `{additional_push_account_ids: ["222222222222"]}`, `{scan_on_push: true}`,
				}[i/100%4]
			}
			fmt.Fprintf(&text, "  app-%05d: %s\n", i, settings)
		}
		return text.String()
	}
	b.apply(file(false))
	b.http.take()
	if _, p := b.plan(file(false), plan.Options{}); p.Err() != nil || p.Set.Pending() > 0 {
		t.Fatalf("%d changes, %v", p.Set.Pending(), p.Err())
	}
	want := b.http.take() // of a plan without changes
	if n := want["ListTagsForResource"]; n != *many || want["DescribeImages"]+want["ListLeases"]+want["GetRegistryPolicy"] > 0 {
		t.Errorf("a plan without changes calls %v", want)
	}
	c := b.config(b.file(file(true)))
	var shown []*reading
	c.Reading = func(registries []string) run.Reading {
		if len(registries) != 1 || registries[0] != "local" {
			t.Errorf("reading %v", registries)
		}
		r := &reading{}
		shown = append(shown, r)
		return r
	}
	r, err := run.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	p, err := r.Plan(t.Context(), plan.Options{})
	if err != nil || p.Err() != nil || p.Set.Pending() != n/100 {
		t.Fatalf("%d changes, %v, %v", p.Set.Pending(), err, p.Err())
	}
	kinds := map[int]int{}
	for i := range n / 100 {
		kinds[i%4]++
	}
	images := kinds[0] + kinds[1]
	for op, n := range map[string]int{
		"DescribeImages": images, "ListIndexManifests": images, "ListLeases": 1,
		"GetRegistryPolicy": 1, "GetAccountAuthorizationDetails": 1, "GetPolicy": 1, "GetPolicyVersion": 1,
	} {
		want[op] += n
	}
	if diff := cmp.Diff(want, b.http.take()); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
	for _, c := range p.Set.Plans[0].Pending() {
		of := "none"
		if c.Effects != nil {
			of = fmt.Sprint(c.Effects.Images != nil, c.Effects.Access != nil)
		}
		var i int
		if _, err := fmt.Sscanf(string(c.Repository), "app-%05d", &i); err != nil {
			t.Fatal(err)
		}
		if want := []string{"true false", "true false", "false true", "none"}[i/100%4]; of != want {
			t.Errorf("%s has effects %s, want %s", c.Repository, of, want)
		}
	}
	if len(shown) != 2 || shown[1].told[len(shown[1].told)-1] != fmt.Sprintf("local %d/%d", images, images) {
		t.Errorf("%d readings are shown, the last to %v", len(shown), shown[len(shown)-1].told)
	}
}

package main

import (
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestCallsOfADeployment is the measurement in short: a plan reads of each
// repository its tags and documents, once, and what it has of the listing not
// again; an apply makes, next to its plan, the calls of what changes.
func TestCallsOfADeployment(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "kontor")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "../../cmd/kontor").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	o := options{binary: binary, registries: 4, repositories: 200, added: 20, rate: -1}
	phases, err := measure(t.Context(), o, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	reads := func(n int) map[string]int {
		return map[string]int{"DescribeRepositories": 4, "ListTagsForResource": n, "GetRepositoryPolicy": n, "GetLifecyclePolicy": n}
	}
	apply := reads(200)
	apply["DescribeRepositories"] += 20 // by name, before a repository counts as new
	apply["GetRegistryPolicy"] = 4      // what the changes mean for people depends on it, once for each registry
	for _, op := range []string{"CreateRepository", "SetRepositoryPolicy", "PutLifecyclePolicy"} {
		apply[op] = 20
	}
	want := []map[string]int{reads(200), apply, reads(220)}
	if len(phases) != len(want) {
		t.Fatalf("%d phases, want %d", len(phases), len(want))
	}
	for i, p := range phases {
		if diff := cmp.Diff(want[i], p.answered); diff != "" {
			t.Errorf("calls of the %s (-want +got):\n%s", p.name, diff)
		}
		if len(p.throttled) > 0 {
			t.Errorf("%s: throttled without a rate: %v", p.name, p.throttled)
		}
	}
}

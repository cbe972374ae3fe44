package main

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/kontor-registry/kontor/internal/deploy/plan"
	"github.com/kontor-registry/kontor/internal/deploy/spec"
	"github.com/kontor-registry/kontor/internal/deploy/state"
	"github.com/kontor-registry/kontor/internal/ecr"
)

// perRepository is how many bytes a repository of a plan may keep: its file,
// what its registry has, and its plan. 10,000 of them are then 78 MiB, which
// leaves the rest of 200 for the program, its connections and what is
// collected only later. It is some 5,000 today.
const perRepository = 8 << 10

// TestMemoryOfAPlan is the measurement of memory in short: what is kept of each
// repository, all of which are to change, with the plans of four registries.
func TestMemoryOfAPlan(t *testing.T) {
	const (
		registries   = 4
		repositories = 2000
	)
	names := make([]string, registries)
	targets := make([]any, registries)
	for i := range names {
		names[i] = string(rune('a'+i)) + "a"
		targets[i] = map[string]any{"name": names[i], "account": "111111111111", "region": "us-east-" + string(rune('1'+i))}
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "file.json")
	if err := writeFile(file, names, 0, repositories); err != nil {
		t.Fatal(err)
	}
	where := filepath.Join(dir, "registries.json")
	if err := writeJSON(where, map[string]any{"registries": targets}); err != nil {
		t.Fatal(err)
	}
	before := live()
	desired, observed, plans := plansOf(t, where, file)
	kept := int64(live()-before) / repositories
	t.Logf("%d bytes a repository", kept)
	if kept > perRepository {
		t.Errorf("a plan keeps %d bytes a repository, %d at most", kept, perRepository)
	}
	pending := 0
	for _, p := range plans {
		pending += len(p.Pending())
	}
	if pending != repositories || len(observed) != registries {
		t.Errorf("%d changes of %d repositories", pending, repositories)
	}
	runtime.KeepAlive(desired)
}

// live is how many bytes are in use.
func live() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// plansOf plans files for registries that have all of their repositories, with
// other policies.
func plansOf(t *testing.T, files ...string) (state.Desired, []state.Observed, []plan.Plan) {
	t.Helper()
	var sources []spec.Source
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		sources = append(sources, spec.Source{Name: name, Data: b})
	}
	f, _, err := spec.Load(sources...)
	if err != nil {
		t.Fatal(err)
	}
	d := f.Desired(ecr.RegistryID{})
	var (
		all   []state.Observed
		plans []plan.Plan
	)
	for _, to := range d.Targets {
		o := state.Observed{Target: to, Repositories: map[ecr.RepositoryName]state.Repository{}}
		for _, r := range d.For(to).Repositories {
			// What a registry answers is no one else's memory.
			r.Policy = string(append([]byte(r.Policy[:len(r.Policy)-1]), ' ', '}'))
			r.Lifecycle = ""
			r.Tags = map[string]string{state.TagStack: d.Stack}
			o.Repositories[r.Name] = r
		}
		all, plans = append(all, o), append(plans, plan.Diff(d, o))
	}
	return d, all, plans
}

package main

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
)

// TestSplit: whatever makes a package one for the race detector is seen, in its
// own files and tests, and in what these import.
func TestSplit(t *testing.T) {
	p, err := split(t.Context(), "testdata/split")
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"split/once", "split/pure", "split/usesmutex", "split/usespure"}; !slices.Equal(p.quiet, want) {
		t.Errorf("without the detector %q, want %q", p.quiet, want)
	}
	want := map[string]string{
		"starts":         "starts a goroutine (starts.go:3)",
		"usesstarts":     "imports split/starts, which starts a goroutine (starts.go:3)",
		"usesusesstarts": "imports split/starts, which starts a goroutine (starts.go:3)",
		"channel":        "uses a channel (channel.go:3)",
		"receives":       "uses a channel (receives.go:3)",
		"mutex":          "uses sync.Mutex (mutex.go:6)",
		"counts":         "imports sync/atomic",
		"later":          "uses AfterFunc (later.go:5)",
		"client":         "imports net/http",
		"parallel":       "uses Parallel (parallel_test.go:5)",
		"outside":        "starts a goroutine (outside_test.go:5)",
		"teststarts":     "imports split/starts, which starts a goroutine (starts.go:3)",
	}
	for pkg, why := range want {
		t.Run(pkg, func(t *testing.T) {
			if got := p.racing["split/"+pkg]; got != why {
				t.Errorf("%q, want %q", got, why)
			}
		})
	}
	if len(p.racing) != len(want) {
		t.Errorf("%d packages with the detector, want %d: %v", len(p.racing), len(want), p.racing)
	}
}

// project is split once: its sources are many.
var project = sync.OnceValues(func() (packages, error) { return split(context.Background(), "../..") })

// TestSplitOfTheProject: engines are without goroutines, and stores are not.
func TestSplitOfTheProject(t *testing.T) {
	p, err := project()
	if err != nil {
		t.Fatal(err)
	}
	for _, pkg := range []string{"lifecycle", "policy", "internal/deploy/plan"} {
		t.Run(pkg, func(t *testing.T) {
			if !slices.Contains(p.quiet, module+"/"+pkg) {
				t.Errorf("%s is tested with the detector: %s", pkg, p.racing[module+"/"+pkg])
			}
		})
	}
	for _, pkg := range []string{"internal/registry", "internal/server", "internal/store/meta/postgres", "cmd/kontor"} {
		t.Run(pkg, func(t *testing.T) {
			if p.racing[module+"/"+pkg] == "" {
				t.Errorf("%s is tested without the detector: %s", pkg, strings.Join(p.quiet, ", "))
			}
		})
	}
}

// TestTestsThatDoLess: tests that draw cases, or look whether there is a race
// detector, are found by what they call; others are not.
func TestTestsThatDoLess(t *testing.T) {
	p, err := project()
	if err != nil {
		t.Fatal(err)
	}
	for pkg, name := range map[string]string{
		"internal/registry":        "TestOtherAccountsCannotTellWhatExists", // draws itself
		"internal/store/blob/disk": "TestContract",                          // runs another package's tests, which draw
		"internal/deploy/promote":  "TestKilledAtEveryRequest",              // looks at race.Enabled
	} {
		t.Run(pkg, func(t *testing.T) {
			if found := p.less[module+"/"+pkg]; !slices.Contains(found, name) {
				t.Errorf("%q, and not %s", found, name)
			}
		})
	}
	if found := p.less[module+"/internal/registry"]; slices.Contains(found, "TestDelete") {
		t.Errorf("of the registry %q", found)
	}
	if found := p.less[module+"/policy"]; found != nil {
		t.Errorf("tested without the detector anyway: %q of policy", found)
	}
}

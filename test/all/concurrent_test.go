package main

import (
	"slices"
	"strings"
	"testing"
)

// TestSplit: whatever makes a package one for the race detector is seen, in its
// own files and tests, and in what these import.
func TestSplit(t *testing.T) {
	plain, racing, err := split(t.Context(), "testdata/split")
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"split/pure", "split/usesmutex", "split/usespure"}; !slices.Equal(plain, want) {
		t.Errorf("without the detector %q, want %q", plain, want)
	}
	want := map[string]string{
		"starts":         "starts a goroutine (starts.go:3)",
		"usesstarts":     "imports split/starts, which starts a goroutine (starts.go:3)",
		"usesusesstarts": "imports split/starts, which starts a goroutine (starts.go:3)",
		"channel":        "uses a channel (channel.go:3)",
		"receives":       "uses a channel (receives.go:3)",
		"mutex":          "imports sync",
		"later":          "uses AfterFunc (later.go:5)",
		"client":         "imports net/http",
		"parallel":       "uses Parallel (parallel_test.go:5)",
		"outside":        "starts a goroutine (outside_test.go:5)",
		"teststarts":     "imports split/starts, which starts a goroutine (starts.go:3)",
	}
	for pkg, why := range want {
		if got := racing["split/"+pkg]; got != why {
			t.Errorf("%s: %q, want %q", pkg, got, why)
		}
	}
	if len(racing) != len(want) {
		t.Errorf("%d packages with the detector, want %d: %v", len(racing), len(want), racing)
	}
}

// TestSplitOfTheProject: engines are without goroutines, and stores are not.
func TestSplitOfTheProject(t *testing.T) {
	plain, racing, err := split(t.Context(), "../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, pkg := range []string{"lifecycle", "policy", "internal/deploy/plan"} {
		if !slices.Contains(plain, module+"/"+pkg) {
			t.Errorf("%s is tested with the detector: %s", pkg, racing[module+"/"+pkg])
		}
	}
	for _, pkg := range []string{"internal/registry", "internal/server", "internal/store/meta/postgres", "cmd/kontor"} {
		if racing[module+"/"+pkg] == "" {
			t.Errorf("%s is tested without the detector: %s", pkg, strings.Join(plain, ", "))
		}
	}
}

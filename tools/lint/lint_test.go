package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestFaults has go vet run the linter over a module with a fault for each
// check. What a line is to be reported for stands in a comment of it:
//
//	code // want "beginning of the message" "of another"
func TestFaults(t *testing.T) {
	const dir = "testdata/faults"
	cmd := exec.CommandContext(t.Context(), "go", "vet", "-vettool="+linterBinary(t), "./...")
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err == nil {
		t.Error("go vet finds nothing")
	}
	got := map[string][]string{} // messages by place, "faults.go:1"
	for line := range strings.Lines(string(out)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		m := regexp.MustCompile(`^(\S+\.go:\d+):\d+: (.*)\n$`).FindStringSubmatch(line)
		if m == nil {
			t.Fatalf("go vet: %v\n%s", err, out)
		}
		got[m[1]] = append(got[m[1]], m[2])
	}
	found := map[string]bool{} // the checks
	for place, wants := range expected(t, dir) {
		for _, want := range wants {
			i := slices.IndexFunc(got[place], func(message string) bool { return strings.HasPrefix(message, want) })
			if i < 0 {
				t.Errorf("%s: no %q, only %q", place, want, got[place])
				continue
			}
			got[place] = slices.Delete(got[place], i, i+1)
			name, _, _ := strings.Cut(want, ":")
			found[name] = true
		}
	}
	for place, messages := range got {
		t.Run(place, func(t *testing.T) {
			for _, message := range messages {
				t.Errorf("unexpected: %s", message)
			}
		})
	}
	for _, c := range checks() {
		if !found[c.name] {
			t.Errorf("there is no fault for %s", c.name)
			found[c.name] = true
		}
	}
}

// linterBinary is what LINT_BIN names, or else built.
func linterBinary(t *testing.T) string {
	t.Helper()
	if name := os.Getenv("LINT_BIN"); name != "" {
		return name
	}
	name := filepath.Join(t.TempDir(), "lint")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", name, ".").CombinedOutput(); err != nil {
		t.Fatalf("building the linter: %v\n%s", err, out)
	}
	return name
}

// expected are the wanted messages by place.
func expected(t *testing.T, dir string) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	names, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil || len(names) == 0 {
		t.Fatalf("no files in %s: %v", dir, err)
	}
	for _, name := range names {
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(f)
		for n := 1; lines.Scan(); n++ {
			_, wants, ok := strings.Cut(lines.Text(), " want ")
			for ok && strings.HasPrefix(wants, `"`) {
				quoted, err := strconv.QuotedPrefix(wants)
				if err != nil {
					t.Fatalf("%s:%d: %v: %s", name, n, err, wants)
				}
				want, err := strconv.Unquote(quoted)
				if err != nil {
					t.Fatal(err)
				}
				place := fmt.Sprintf("%s:%d", filepath.Base(name), n)
				all[place] = append(all[place], want)
				wants = strings.TrimSpace(wants[len(quoted):])
			}
		}
		if err := lines.Err(); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

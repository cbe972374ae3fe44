//go:build unix

// Package docs runs the commands of the manual: README.md, CONTRIBUTING.md,
// everything below docs/, and pages of contrib. The blocks of a page run in order, in one POSIX
// shell, with their own home and a freshly built kontor on PATH; what a
// page shows as output must be printed. See page.steps for the info strings.
package docs

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// root is the checkout, seen from here.
const root = "../.."

// pages reads every Markdown file of the project, but test data.
func pages(t *testing.T) []page {
	t.Helper()
	var all []page
	err := fs.WalkDir(os.DirFS(root), ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (slices.Contains([]string{".git", "node_modules", "testdata", "dist"}, d.Name())):
			return fs.SkipDir
		case d.IsDir() || filepath.Ext(name) != ".md":
			return nil
		}
		b, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			return err
		}
		p, err := parsePage(name, string(b))
		all = append(all, p)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// isManual tells whether a page's commands are for its readers. Decisions and
// change notes quote code as they like.
func isManual(name string) bool {
	return name == "README.md" || name == "CONTRIBUTING.md" ||
		strings.HasPrefix(name, "docs/") && !strings.HasPrefix(name, "docs/design/") ||
		slices.Contains([]string{"contrib/helm/kontor/README.md", "contrib/kubernetes/README.md", "contrib/compose/README.md"}, name)
}

func TestCommandsOfThePages(t *testing.T) {
	m := newMachine(t)
	m.addTools(t)
	checkout, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range pages(t) {
		if !isManual(p.name) {
			continue
		}
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			// Pages next to go.mod are read in the checkout, others anywhere.
			dir := t.TempDir()
			if !strings.Contains(p.name, "/") {
				dir = checkout
			}
			if err := m.run(t.Context(), p, dir, t.TempDir()); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestNotRun lists what no test runs.
func TestNotRun(t *testing.T) {
	for _, p := range pages(t) {
		if !isManual(p.name) {
			continue
		}
		steps, err := p.steps()
		if err != nil {
			t.Error(err)
		}
		for _, s := range steps {
			if s.kind == notRun && !s.elsewhere() {
				first, _, _ := strings.Cut(s.text, "\n")
				t.Logf("%s:%d: not run: %s: %s", p.name, s.line, s.reason, first)
			}
		}
	}
}

// TestFirstScreen: a fresh machine needs two commands, and README.md begins
// with them and with no others.
func TestFirstScreen(t *testing.T) {
	for _, p := range pages(t) {
		if p.name != "README.md" {
			continue
		}
		first, _, _ := strings.Cut(p.prose, "\n## ")
		end := strings.Count(first, "\n") + 1
		if end > 40 {
			t.Errorf("the first part of README.md has %d lines, more than a screen", end)
		}
		var commands []string
		for _, b := range p.blocks {
			for _, l := range strings.Split(b.text, "\n") {
				command, _, _ := strings.Cut(l, "#")
				if command = strings.TrimSpace(command); b.line <= end && command != "" {
					commands = append(commands, command)
				}
			}
		}
		if want := []string{"go run ./cmd/kontor up", "go run ./test/all"}; !slices.Equal(commands, want) {
			t.Errorf("README.md begins with the commands %q, want %q", commands, want)
		}
		return
	}
	t.Error("there is no README.md")
}

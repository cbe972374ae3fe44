package spec_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/kontor-registry/kontor/internal/deploy/spec"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/lifecycle"
)

// tablesOf are the rows of the tables of a page, by the heads of the tables.
func tablesOf(t *testing.T, name string) map[string][][]string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	out, head := map[string][][]string{}, ""
	for _, line := range strings.Split(string(text), "\n") {
		if !strings.HasPrefix(line, "|") {
			head = ""
			continue
		}
		var cells []string
		for _, c := range strings.Split(strings.Trim(line, "|"), "|") {
			cells = append(cells, strings.Trim(strings.TrimSpace(c), "`"))
		}
		switch {
		case head == "":
			head = strings.Join(cells, ", ")
		case strings.HasPrefix(cells[0], "---"):
		default:
			out[head] = append(out[head], cells)
		}
	}
	return out
}

// loadJSON loads a file of one repository, app, with these settings.
func loadJSON(t *testing.T, settings map[string]any) *spec.File {
	t.Helper()
	text, err := json.Marshal(map[string]any{"ecr_repositories": map[string]any{"app": settings}})
	if err != nil {
		t.Fatal(err)
	}
	f, _, err := spec.Load(spec.Source{Name: "k.json", Data: text})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// fate is what becomes of an image under a lifecycle policy.
func fate(t *testing.T, f *spec.File, tags []string, days float64) lifecycle.Fate {
	t.Helper()
	p, err := lifecycle.Parse([]byte(f.Desired(local).Repositories[0].Lifecycle))
	if err != nil {
		t.Fatal(err)
	}
	return lifecycle.Test{Tags: tags, AgeDays: days}.Run(p, time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)).Got
}

// What docs/tag-patterns.md says a pattern matches, it matches in rules and in
// exceptions from mutability.
func TestPatternsOfTheManual(t *testing.T) {
	rows := tablesOf(t, docs+"tag-patterns.md")["pattern, tag, matches"]
	if len(rows) < 20 {
		t.Fatalf("%d rows", len(rows))
	}
	for _, row := range rows {
		pattern, tag, want := row[0], row[1], row[2] == "yes"
		f := loadJSON(t, map[string]any{
			"expiration_rules": []any{map[string]any{"tag_pattern": pattern, "days": 1}}, "mutable_tags": []string{pattern},
		})
		if got := fate(t, f, []string{tag}, 5) == lifecycle.Expired; got != want {
			t.Errorf("an expiration rule for %s takes %s: %t", pattern, tag, got)
		}
		if got := !f.Desired(local).Repositories[0].Mutability.IsImmutable(ecr.Tag(tag)); got != want {
			t.Errorf("mutable_tags %s takes %s: %t", pattern, tag, got)
		}
	}
}

// The table of images is about the file above it.
func TestRulesOfTheManual(t *testing.T) {
	text, err := os.ReadFile(docs + "tag-patterns.md")
	if err != nil {
		t.Fatal(err)
	}
	_, block, _ := strings.Cut(string(text), "```yaml\n")
	block, _, _ = strings.Cut(block, "```")
	f, _, err := spec.Load(yamlSource("manual.yaml", block))
	if err != nil {
		t.Fatal(err)
	}
	rows := tablesOf(t, docs+"tag-patterns.md")["tags of the image, days since its push, it is"]
	if len(rows) < 10 {
		t.Fatalf("%d rows", len(rows))
	}
	for _, row := range rows {
		var days float64
		if err := json.Unmarshal([]byte(row[1]), &days); err != nil {
			t.Fatal(err)
		}
		if got := fate(t, f, strings.Fields(row[0]), days); string(got) != row[2] {
			t.Errorf("%q after %g days: %s, want %s", row[0], days, got, row[2])
		}
	}
}

func TestMovableTagsOfTheManual(t *testing.T) {
	m := loadJSON(t, map[string]any{"mutable_tags": []string{"latest", "dev-*"}}).Desired(local).Repositories[0].Mutability
	rows := tablesOf(t, docs+"tag-patterns.md")["tag, can be moved"]
	if len(rows) < 4 {
		t.Fatalf("%d rows", len(rows))
	}
	for _, row := range rows {
		if got := !m.IsImmutable(ecr.Tag(row[0])); got != (row[1] == "yes") {
			t.Errorf("%s can be moved: %t", row[0], got)
		}
	}
}

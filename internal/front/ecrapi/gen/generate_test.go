package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func readAll(t *testing.T) model {
	t.Helper()
	m, err := readModel(filepath.Join("..", importedFile), filepath.Join("..", backfillFile))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// The generated files are what the model says, byte for byte.
func TestGeneratedFilesAreCurrent(t *testing.T) {
	files, err := generate(readAll(t))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range files {
		got, err := os.ReadFile(filepath.Join("..", name))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), string(got)); diff != "" {
			t.Errorf("%s is not what the model says; run go generate (-want +got):\n%s", name, diff)
		}
	}
	kept, err := filepath.Glob(filepath.Join("..", "*_gen*.go"))
	if err != nil {
		t.Fatal(err)
	}
	if len(kept) != len(files) {
		t.Errorf("%d generated files, want %d: %v", len(kept), len(files), kept)
	}
}

// The model has the API's 62 operations, and is kept as the importer writes it.
func TestModelFile(t *testing.T) {
	if n := len(readAll(t).Operations); n != 62 {
		t.Errorf("%d operations, want 62", n)
	}
	path := filepath.Join("..", importedFile)
	m, err := readModel(path)
	if err != nil {
		t.Fatal(err)
	}
	want, err := m.bytes()
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

func TestImport(t *testing.T) {
	const published = `{"version": "2.0", "metadata": {"protocol": "json"},
		"operations": {"Get": {"name": "Get", "http": {"method": "POST"}, "documentation": "<p>Prose.</p>",
			"input": {"shape": "GetRequest"}, "output": {"shape": "GetResponse"}, "errors": [{"shape": "Gone"}]}},
		"shapes": {
			"GetRequest": {"type": "structure", "required": ["names"], "members": {"names": {"shape": "Names", "documentation": "Prose."}}},
			"GetResponse": {"type": "structure", "members": {}},
			"Gone": {"type": "structure", "exception": true, "members": {"message": {"shape": "Name"}}},
			"Names": {"type": "list", "member": {"shape": "Name"}, "min": 1, "max": 9},
			"Name": {"type": "string", "pattern": "<a>"}}}`
	path := filepath.Join(t.TempDir(), "service-2.json")
	if err := os.WriteFile(path, []byte(published), 0o600); err != nil {
		t.Fatal(err)
	}
	m, err := importModel(path)
	if err != nil {
		t.Fatal(err)
	}
	got, err := m.bytes()
	if err != nil {
		t.Fatal(err)
	}
	const want = `{
"operations": {
"Get": {"input":"GetRequest","output":"GetResponse","errors":["Gone"]}
},
"shapes": {
"GetRequest": {"type":"structure","required":["names"],"members":{"names":"Names"}},
"GetResponse": {"type":"structure"},
"Gone": {"type":"structure","exception":true,"members":{"message":"Name"}},
"Name": {"type":"string","pattern":"<a>"},
"Names": {"type":"list","member":"Name","min":1,"max":9}
}
}
`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestModelMistakes(t *testing.T) {
	for _, c := range []struct{ name, model, want string }{
		{"unknown shape", `{"operations": {"Get": {"input": "A", "output": "A", "errors": []}}, "shapes": {}}`, `unknown shape "A"`},
		{"unknown member shape", `{"shapes": {"A": {"type": "structure", "members": {"b": "B"}}}}`, `unknown shape "B"`},
		{"required but no member", `{"shapes": {"A": {"type": "structure", "required": ["b"]}}}`, "is no member"},
		{"unknown key", `{"shapes": {"A": {"type": "string", "regex": "a"}}}`, "unknown field"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "model.json")
			if err := os.WriteFile(path, []byte(c.model), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := readModel(path); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an error with %q", err, c.want)
			}
		})
	}
	twice := filepath.Join("..", importedFile)
	if _, err := readModel(twice, twice); err == nil || !strings.Contains(err.Error(), "twice") {
		t.Errorf("the same file twice: %v", err)
	}
}

// The order that ECR prints, in the one text of this kind that is known:
// "Member must satisfy enum value set: [IMMUTABLE, MUTABLE,
// MUTABLE_WITH_EXCLUSION, IMMUTABLE_WITH_EXCLUSION]".
func TestEnumOrder(t *testing.T) {
	got := enumOrder([]string{"MUTABLE", "IMMUTABLE", "IMMUTABLE_WITH_EXCLUSION", "MUTABLE_WITH_EXCLUSION"})
	want := []string{"IMMUTABLE", "MUTABLE", "MUTABLE_WITH_EXCLUSION", "IMMUTABLE_WITH_EXCLUSION"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

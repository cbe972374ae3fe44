package spec_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/kontor-registry/kontor/internal/deploy/lang"
	"github.com/kontor-registry/kontor/internal/deploy/spec"
	"github.com/kontor-registry/kontor/internal/deploy/spec/fields"
)

const docs = "../../../docs/"

// compiled is the schema, which must be one of JSON Schema 2020-12.
func compiled(t *testing.T) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(string(fields.Schema())))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	if err := c.AddResource(fields.SchemaID, doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile(fields.SchemaID)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// content is the source as JSON; ok is false when it cannot be parsed.
func content(t *testing.T, s spec.Source) (v any, ok bool) {
	t.Helper()
	text, err := spec.ContentJSON(s)
	if err != nil {
		return nil, false
	}
	if v, err = jsonschema.UnmarshalJSON(strings.NewReader(string(text))); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return v, true
}

// TestPublishedSchema holds docs/kontor.schema.json against the table.
func TestPublishedSchema(t *testing.T) { golden(t, docs+"kontor.schema.json", string(fields.Schema())) }

// What Load takes, the schema takes: the examples, and all good golden files
// but those with variables of others.
func TestSchemaTakesGoodFiles(t *testing.T) {
	s := compiled(t)
	var names []string
	for _, pattern := range []string{examples + "*", "testdata/*"} {
		for _, name := range glob(t, pattern) {
			ext := filepath.Ext(name)
			if slices.Contains(spec.Endings(), ext) && !strings.HasPrefix(filepath.Base(name), "bad-") && !strings.Contains(name, ".tfvars") && !strings.Contains(name, "terragrunt") {
				names = append(names, name)
			}
		}
	}
	if len(names) < 15 {
		t.Fatalf("%d files", len(names))
	}
	for _, name := range names {
		v, ok := content(t, source(t, name))
		if !ok {
			t.Errorf("%s: cannot be parsed", name)
			continue
		}
		if err := s.Validate(v); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, f := range fields.All() {
		if f.Example == "" {
			continue
		}
		if v, _ := content(t, yamlSource("k.yaml", f.Example)); s.Validate(v) != nil {
			t.Errorf("%s: %v", f.ID(), s.Validate(v))
		}
	}
}

// beyondSchema are the bad files whose mistakes are not a matter of form.
var beyondSchema = map[string]string{
	"bad-accounts-many.yaml": "the length of what comes of it",
	"bad-keep-limits.yaml":   "the number of rules",
	"bad-missing2.yaml":      "another file may have ecr_repositories",
	"bad-documents2.yaml":    "what is in the text of a policy",
	"bad-within-texts.yaml":  "likewise",
	"bad-within-texts.hcl":   "likewise",
	"bad-within-texts.json":  "likewise",
	"bad-actions.yaml":       "which actions ECR has",
}

// What the schema refuses, Load refuses, and it refuses the bad golden files.
func TestSchemaRefusesBadFiles(t *testing.T) {
	s := compiled(t)
	for _, name := range glob(t, "testdata/bad-*") {
		base := filepath.Base(name)
		if !slices.Contains(spec.Endings(), filepath.Ext(name)) {
			continue
		}
		v, ok := content(t, source(t, name))
		if !ok {
			continue // it cannot be parsed
		}
		err := s.Validate(v)
		if _, beyond := beyondSchema[base]; beyond != (err == nil) {
			t.Errorf("%s: %v", base, err)
		}
	}
}

// The schema can fail, one mistake at a time.
func TestSchemaRefuses(t *testing.T) {
	s := compiled(t)
	for _, text := range []string{
		`{"ecr_repository": {}}`,
		`{"ecr_repositories": {"A": {}}}`,
		`{"ecr_repositories": {"aa": {"is_immutable": "yes"}}}`,
		`{"ecr_repositories": {"aa": {"additional_pull_account_ids": [111111111111]}}}`,
		`{"ecr_repositories": {"aa": {"additional_pull_account_ids": ["11111111111"]}}}`,
		`{"ecr_repositories": {"aa": {"expiration_rules": [{"tag_pattern": "a"}]}}}`,
		`{"ecr_repositories": {"aa": {"expiration_rules": [{"tag_pattern": "a", "days": 1, "keep_last": 1}]}}}`,
		`{"ecr_repositories": {"aa": {"expiration_rules": [{"tag_pattern": "*****", "days": 1}]}}}`,
		`{"ecr_repositories": {"aa": {"expire_untagged_after_days": 0}}}`,
		`{"ecr_repositories": {"aa": {"mutable_tags": ["a", "b", "c", "d", "e", "f"]}}}`,
		`{"ecr_repositories": {"aa": {"pull_principals": [{"service": "a.amazonaws.com"}]}}}`,
		`{"ecr_repositories": {"aa": {"encryption": {"kms_key": "x"}}}}`,
		`{"ecr_repositories": {"aa": {"overrides": {"us": {"registries": ["us"]}}}}}`,
		`{"registries": [{"name": "us", "region": "us-east-1"}]}`,
		`{"plan": {"max_expire": "10"}}`,
	} {
		var v any
		if err := json.Unmarshal([]byte(text), &v); err != nil {
			t.Fatal(err)
		}
		if s.Validate(v) == nil {
			t.Errorf("accepted: %s", text)
		}
		if _, _, err := spec.Load(spec.Source{Name: "k.json", Data: []byte(text)}); err == nil {
			t.Errorf("loaded: %s", text)
		}
	}
}

// TestFieldPages holds docs/fields against the table. A page is about one name
// at the top of the file or in a repository.
func TestFieldPages(t *testing.T) {
	pages := fieldPages()
	for name, text := range pages {
		golden(t, docs+"fields/"+name, text)
	}
	entries, err := os.ReadDir(docs + "fields")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if _, ok := pages[e.Name()]; !ok {
			t.Errorf("docs/fields/%s is about no field", e.Name())
		}
	}
}

// Every field says what it is for, and has an example that shows it.
func TestFieldsAreExplained(t *testing.T) {
	var example string
	seen := map[string]bool{}
	for _, f := range fields.All() {
		if seen[f.ID()] {
			t.Errorf("%s is there twice", f.ID())
		}
		seen[f.ID()] = true
		if f.Example != "" {
			example = f.Example
			file, _, err := spec.Load(yamlSource("example.yaml", f.Example))
			if err != nil {
				t.Errorf("%s: %v", f.ID(), err)
				continue
			}
			checkDocuments(t, file.Desired(local))
			if out, err := lang.Format(yamlSource("example.yaml", f.Example)); err != nil || string(out) != f.Example {
				t.Errorf("%s: the example is not formatted: %v", f.ID(), err)
			}
		}
		if !strings.Contains(example, f.Name+":") {
			t.Errorf("%s: no example shows it", f.ID())
		}
		if f.Type == "" || f.Summary == "" || f.Required == (f.Default != "") || f.Where() == "" {
			t.Errorf("%s: %+v", f.ID(), f)
		}
		for _, s := range append([]string{f.Default, f.Becomes, f.Limit}, f.Details...) {
			if strings.Contains(s, "\n") || strings.Contains(s, "|") {
				t.Errorf("%s: not one paragraph for a table: %q", f.ID(), s)
			}
		}
	}
	top := 0
	for _, f := range fields.All() {
		if f.In != "" && f.In != fields.Repository {
			continue
		}
		top++
		// What each page has.
		if f.Example == "" || f.Default == "" && !f.Required || f.Becomes == "" || f.Limit == "" {
			t.Errorf("%s: an example, the default, what it becomes and ECR's limit are to be said, if only that there is none: %+v", f.ID(), f)
		}
	}
	if top != 14+24 {
		t.Errorf("%d fields", top)
	}
}

func TestFindFields(t *testing.T) {
	for name, want := range map[string][]string{
		"is_immutable":          {"is_immutable"},
		"expiration_rules":      {"expiration_rules"},
		"expiration_rules.days": {"expiration_rules.days"},
		"days":                  {"expiration_rules.days"},
		"registries":            {"registries", "repository.registries"},
		"registries.account":    {"registries.account"},
		"registries[0].account": {"registries.account"},
		"account":               {"registries.account", "clusters.account"},
		"repository.registries": {"repository.registries"},
		"ecr_repositories.api.expiration_rules[0].days":      {"expiration_rules.days"},
		`ecr_repositories["team/a.b"].tags`:                  {"tags"},
		"defaults.keep[1]":                                   {"keep"},
		"ecr_repositories.api.overrides.us.keep":             {"keep"},
		"ecr_repositories.api.pull_principals[0].source_arn": {"principal.source_arn"},
		"ecr_repositories":                                   {"ecr_repositories"},
		"lifecycle_tests[3].image.newer":                     {"lifecycle_tests.image.newer"},
		"nonsense":                                           nil,
	} {
		found, _ := fields.Find(name)
		var got []string
		for _, f := range found {
			got = append(got, f.ID())
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
	if _, near := fields.Find("is_imutable"); near != "is_immutable" {
		t.Errorf("near is_imutable: %q", near)
	}
}

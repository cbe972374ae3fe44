package lifecycle_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The published vectors have the published form.
func TestVectorsHaveTheirSchema(t *testing.T) {
	files, err := filepath.Glob(vectorDir + "/*.json")
	if err != nil || len(files) < 4 {
		t.Fatal(files, err)
	}
	root := readJSON(t, vectorDir+"/lifecycle.schema.json").(map[string]any)
	for _, file := range files {
		if strings.HasSuffix(file, ".schema.json") {
			continue
		}
		for _, problem := range (schema{root}).check(root, readJSON(t, file), filepath.Base(file)) {
			t.Error(problem)
		}
	}
}

func TestSchemaCheckFindsErrors(t *testing.T) {
	root := readJSON(t, vectorDir+"/lifecycle.schema.json").(map[string]any)
	var bad any
	text := `{"about":"","more":1,"vectors":[{"name":"a b","source":"x","now":"2026-03-01","images":[{"name":"A","imageDigest":"x","imageTags":"a"}],
		"policy":{"rules":[{"rulePriority":0.5,"selection":{"tagStatus":"some","countType":"sinceImagePushed","countNumber":0},"action":{}}]},"expect":{"A":{"action":1}}}]}`
	if err := json.Unmarshal([]byte(text), &bad); err != nil {
		t.Fatal(err)
	}
	if got := (schema{root}).check(root, bad, "x"); len(got) != 12 {
		t.Errorf("%d problems:\n%s", len(got), strings.Join(got, "\n"))
	}
}

func readJSON(t *testing.T, file string) any {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return v
}

// schema checks values by the part of JSON Schema that ours uses; any other
// keyword is a problem too.
type schema struct{ root map[string]any }

func (s schema) check(rule map[string]any, v any, at string) (problems []string) {
	fail := func(format string, args ...any) {
		problems = append(problems, at+": "+fmt.Sprintf(format, args...))
	}
	for _, keyword := range slices.Sorted(maps.Keys(rule)) {
		want := rule[keyword]
		switch keyword {
		case "$schema", "$defs", "title", "description", "additionalProperties":
		case "$ref":
			name := strings.TrimPrefix(want.(string), "#/$defs/")
			problems = append(problems, s.check(s.root["$defs"].(map[string]any)[name].(map[string]any), v, at)...)
		case "type":
			if !hasType(v, want.(string)) {
				fail("%v is no %s", v, want)
			}
		case "enum":
			if !slices.Contains(want.([]any), v) {
				fail("%v is none of %v", v, want)
			}
		case "pattern":
			if text, ok := v.(string); ok && !regexp.MustCompile(want.(string)).MatchString(text) {
				fail("%q does not match %s", text, want)
			}
		case "minLength":
			if text, ok := v.(string); ok && len([]rune(text)) < int(want.(float64)) {
				fail("%q is too short", text)
			}
		case "minimum":
			if n, ok := v.(float64); ok && n < want.(float64) {
				fail("%v is less than %v", n, want)
			}
		case "items":
			items, _ := v.([]any)
			for i, item := range items {
				problems = append(problems, s.check(want.(map[string]any), item, fmt.Sprintf("%s[%d]", at, i))...)
			}
		case "required":
			if object, ok := v.(map[string]any); ok {
				for _, name := range want.([]any) {
					if _, given := object[name.(string)]; !given {
						fail("%s is missing", name)
					}
				}
			}
		case "properties":
		default:
			fail("unknown keyword %s", keyword)
		}
	}
	return append(problems, s.members(rule, v, at)...)
}

func (s schema) members(rule map[string]any, v any, at string) (problems []string) {
	object, _ := v.(map[string]any)
	known, _ := rule["properties"].(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(object)) {
		if sub, ok := known[name].(map[string]any); ok {
			problems = append(problems, s.check(sub, object[name], at+"."+name)...)
			continue
		}
		switch more := rule["additionalProperties"].(type) {
		case bool:
			if !more {
				problems = append(problems, at+": unknown member "+name)
			}
		case map[string]any:
			problems = append(problems, s.check(more, object[name], at+"."+name)...)
		}
	}
	return problems
}

func hasType(v any, name string) bool {
	switch v := v.(type) {
	case string:
		return name == "string"
	case float64:
		return name == "number" || name == "integer" && v == math.Trunc(v)
	case []any:
		return name == "array"
	case map[string]any:
		return name == "object"
	}
	return false
}

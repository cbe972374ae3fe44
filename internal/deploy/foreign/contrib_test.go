package foreign_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/kontor-registry/kontor/internal/deploy/foreign"
	"github.com/kontor-registry/kontor/internal/deploy/lang"
	"github.com/kontor-registry/kontor/internal/deploy/plan"
	"github.com/kontor-registry/kontor/internal/deploy/spec"
	"github.com/kontor-registry/kontor/internal/deploy/state"
	"github.com/kontor-registry/kontor/internal/ecr"
)

// The module of contrib/terraform makes of random inputs what Kontor makes of them.
func TestContribModule(t *testing.T) {
	names, err := filepath.Glob("../../../contrib/terraform/*.tf")
	if err != nil || len(names) == 0 {
		t.Fatalf("%d files, %v", len(names), err)
	}
	var module []lang.Source
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		module = append(module, lang.Source{Name: name, Data: text})
	}
	account := rapid.SampledFrom([]string{"222222222222", "333333333333", "444444444444", "000000000001"})
	draw := func(t *rapid.T) map[string]any {
		fields := map[string]any{}
		maybe := func(name string, v func() any) {
			if rapid.Bool().Draw(t, name) {
				fields[name] = v()
			}
		}
		maybe("is_immutable", func() any { return rapid.Bool().Draw(t, "immutable") })
		maybe("expire_all_images", func() any { return rapid.Bool().Draw(t, "all") })
		maybe("expiration_rules", func() any {
			rules := []any{}
			for _, p := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"pr-*", "main-*", "v*", "*-rc", "a*b*c", "x"}), 0, 4, rapid.ID).Draw(t, "patterns") {
				rules = append(rules, map[string]any{"tag_pattern": p, "days": rapid.IntRange(1, 400).Draw(t, "days")})
			}
			return rules
		})
		for _, name := range []string{"additional_pull_account_ids", "additional_push_account_ids"} {
			maybe(name, func() any { return rapid.SliceOfNDistinct(account, 0, 3, rapid.ID).Draw(t, "accounts") })
		}
		maybe("lifecycle_policy_json", func() any {
			return rapid.SampledFrom([]any{nil, `{"rules":[{"rulePriority":1,"selection":{"tagStatus":"any","countType":"imageCountMoreThan","countNumber":3},"action":{"type":"expire"}}]}`}).Draw(t, "document")
		})
		return fields
	}
	rapid.Check(t, func(t *rapid.T) {
		repositories := map[string]any{}
		for _, name := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"api", "team/web", "x1"}), 1, 3, rapid.ID).Draw(t, "names") {
			repositories[name] = draw(t)
		}
		in := ecr.RegistryID{Account: "111111111111", Region: rapid.SampledFrom([]ecr.Region{"us-east-1", "cn-north-1", "us-gov-west-1"}).Draw(t, "region")}
		inputs, err := json.Marshal(map[string]any{"ecr_repositories": repositories})
		if err != nil {
			t.Fatal(err)
		}
		file, _, err := spec.Load(spec.Source{Name: "kontor.json", Data: inputs})
		if err != nil {
			t.Fatal(err)
		}
		variables, err := json.Marshal(map[string]any{"ecr_repositories": repositories, "tags": map[string]string{"team": "web"}})
		if err != nil {
			t.Fatal(err)
		}
		found, err := foreign.Read(append(module[:len(module):len(module)], lang.Source{Name: "inputs.tfvars.json", Data: variables}), foreign.Options{Registry: in})
		if err != nil || len(found.Findings) > 0 {
			t.Fatalf("%v, %v", err, found.Findings)
		}
		byName := map[ecr.RepositoryName]state.Repository{}
		for _, r := range found.Repositories {
			byName[r.Name] = r.Repository
		}
		for _, want := range file.Desired(in).Repositories {
			got, ok := byName[want.Name]
			if !ok || got.Mutability.Mode != want.Mutability.Mode || got.Tags["team"] != "web" {
				t.Errorf("%s: %+v", want.Name, got)
			}
			if !plan.EqualLifecycle(want.Lifecycle, got.Lifecycle) {
				t.Error(cmp.Diff(want.Lifecycle, got.Lifecycle))
			}
			if !plan.EqualPolicy(want.Policy, got.Policy) {
				t.Error(cmp.Diff(want.Policy, got.Policy))
			}
			delete(byName, want.Name)
		}
		if len(byName) > 0 {
			t.Errorf("more than the file has: %v", byName)
		}
	})
}

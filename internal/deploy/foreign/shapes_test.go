package foreign_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/kontor-registry/kontor/internal/deploy/exporter"
	"github.com/kontor-registry/kontor/internal/deploy/foreign"
	"github.com/kontor-registry/kontor/internal/deploy/lang"
	"github.com/kontor-registry/kontor/internal/deploy/plan"
	"github.com/kontor-registry/kontor/internal/deploy/state"
	"github.com/kontor-registry/kontor/internal/ecr"
)

var registry = ecr.RegistryID{Account: "111111111111", Region: "us-east-1"}

// shapes are the configurations that people have, which package importer keeps.
func shapes(t *testing.T) []state.Repository {
	t.Helper()
	text, err := os.ReadFile("../importer/testdata/shapes.json")
	if err != nil {
		t.Fatal(err)
	}
	var list []struct {
		Mutability ecr.TagMutability
		Exclusions []string
		Scan       bool
		Lifecycle  json.RawMessage
		Policy     json.RawMessage
		Refused    bool
	}
	if err := json.Unmarshal(text, &list); err != nil {
		t.Fatal(err)
	}
	var out []state.Repository
	for i, s := range list {
		if s.Refused {
			continue
		}
		scan := s.Scan
		r := state.Repository{
			Name: ecr.RepositoryName(fmt.Sprintf("shape-%02d", i)), Tags: map[string]string{"team": "web"}, Policy: string(s.Policy), Lifecycle: string(s.Lifecycle),
			ScanOnPush: &scan, Encryption: &ecr.Encryption{Type: "AES256"}, Mutability: ecr.Mutability{Mode: s.Mutability, Filters: s.Exclusions},
		}
		if r.Mutability.Mode == "" {
			r.Mutability.Mode = ecr.Mutable
		}
		out = append(out, r)
	}
	return out
}

// wantSame compares repositories, their policies by meaning.
func wantSame(t *testing.T, want, got []state.Repository) {
	t.Helper()
	opts := cmp.Options{
		cmpopts.IgnoreFields(state.Repository{}, "Origins"), cmpopts.SortSlices(strings.Compare),
		cmp.FilterPath(func(p cmp.Path) bool { return p.Last().String() == ".Policy" }, cmp.Comparer(plan.EqualPolicy)),
		cmp.FilterPath(func(p cmp.Path) bool { return p.Last().String() == ".Lifecycle" }, cmp.Comparer(plan.EqualLifecycle)),
	}
	if d := cmp.Diff(want, got, opts); d != "" {
		t.Error(d)
	}
}

// The configurations that people have, in the form of each tool, make the file that
// they make when they are read from a registry: the settings are the same.
func TestShapesInTheFormsOfTools(t *testing.T) {
	list := shapes(t)
	for name, form := range map[string]func(t *testing.T, list []state.Repository) []lang.Source{
		"Terraform code": terraformCode, "Terraform state": terraformState, "terraform show -json": terraformShow, "plan of terraform": terraformPlan,
		"template in JSON": templateJSON, "template in YAML": templateYAML,
	} {
		t.Run(name, func(t *testing.T) {
			sources := form(t, list)
			found, err := foreign.Read(sources, foreign.Options{Registry: registry})
			if err != nil {
				t.Fatal(err)
			}
			if len(found.Findings) > 0 {
				t.Errorf("findings: %v", found.Findings)
			}
			var got []state.Repository
			for _, r := range found.Repositories {
				if r.Origins.Repository.File != sources[0].Name || r.Origins.Repository.Line == 0 {
					t.Errorf("%s: at %s", r.Name, r.Origins.Repository)
				}
				got = append(got, r.Repository)
			}
			wantSame(t, list, got)
		})
	}
}

func exported(t *testing.T, list []state.Repository, form func([]exporter.Registry) ([]exporter.File, error), ending string) []lang.Source {
	t.Helper()
	files, err := form([]exporter.Registry{{Target: state.Target{Name: "prod", Registry: registry}, Repositories: list}})
	if err != nil {
		t.Fatal(err)
	}
	var out []lang.Source
	for _, f := range files {
		if strings.HasSuffix(f.Name, ending) {
			out = append(out, lang.Source{Name: f.Name, Data: f.Data})
		}
	}
	return out
}

func terraformCode(t *testing.T, list []state.Repository) []lang.Source {
	return exported(t, list, exporter.Terraform, "prod.tf")
}

func templateJSON(t *testing.T, list []state.Repository) []lang.Source {
	return exported(t, list, exporter.CloudFormation, ".template.json")
}

func templateYAML(t *testing.T, list []state.Repository) []lang.Source {
	text, err := yaml.JSONToYAML(templateJSON(t, list)[0].Data)
	if err != nil {
		t.Fatal(err)
	}
	// As people write them.
	text = bytes.ReplaceAll(text, []byte("arn:aws:iam::111111111111:root"), []byte("!Sub arn:${AWS::Partition}:iam::${AWS::AccountId}:root"))
	return []lang.Source{{Name: "template.yaml", Data: text}}
}

// resources are the repositories as resources of the AWS provider.
func resources(list []state.Repository) []map[string]any {
	var out []map[string]any
	add := func(kind, name string, values map[string]any) {
		out = append(out, map[string]any{"type": kind, "name": strings.ReplaceAll(name, "-", "_"), "values": values})
	}
	for _, r := range list {
		var filters []any
		for _, f := range r.Mutability.Filters {
			filters = append(filters, map[string]any{"filter": f, "filter_type": "WILDCARD"})
		}
		name := string(r.Name)
		add("aws_ecr_repository", name, map[string]any{
			"id": name, "name": name, "arn": registry.RepositoryARN(r.Name), "registry_id": registry.Account, "force_delete": nil,
			"image_tag_mutability": r.Mutability.Mode, "image_tag_mutability_exclusion_filter": filters, "tags": nil, "tags_all": r.Tags,
			"image_scanning_configuration": []any{map[string]any{"scan_on_push": *r.ScanOnPush}},
			"encryption_configuration":     []any{map[string]any{"encryption_type": r.Encryption.Type, "kms_key": ""}}, "timeouts": nil,
		})
		if r.Lifecycle != "" {
			add("aws_ecr_lifecycle_policy", name, map[string]any{"id": name, "repository": name, "registry_id": registry.Account, "policy": r.Lifecycle})
		}
		if r.Policy != "" {
			add("aws_ecr_repository_policy", name, map[string]any{"id": name, "repository": name, "registry_id": registry.Account, "policy": r.Policy})
		}
	}
	return out
}

func encode(t *testing.T, name string, v any) []lang.Source {
	t.Helper()
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return []lang.Source{{Name: name, Data: text}}
}

func terraformState(t *testing.T, list []state.Repository) []lang.Source {
	var all []any
	for _, x := range resources(list) {
		all = append(all, map[string]any{
			"mode": "managed", "type": x["type"], "name": x["name"], "provider": `provider["registry.terraform.io/hashicorp/aws"]`, "module": "module.images",
			"instances": []any{map[string]any{"schema_version": 0, "attributes": x["values"], "sensitive_attributes": []any{}}},
		})
	}
	all = append(all, map[string]any{"mode": "data", "type": "aws_ecr_repository", "name": "x", "instances": []any{map[string]any{"attributes": map[string]any{"name": "other"}}}})
	return encode(t, "terraform.tfstate", map[string]any{"version": 4, "terraform_version": "1.12.6", "serial": 3, "lineage": "x", "outputs": map[string]any{}, "resources": all})
}

// module is what terraform show prints of a module in which all is.
func module(list []state.Repository, without ...string) map[string]any {
	var all []any
	for _, x := range resources(list) {
		values := x["values"].(map[string]any)
		for _, name := range without {
			delete(values, name)
		}
		all = append(all, map[string]any{
			"address": fmt.Sprintf("module.images[\"a.b\"].%s.%s", x["type"], x["name"]), "mode": "managed", "type": x["type"], "name": x["name"],
			"provider_name": "registry.terraform.io/hashicorp/aws", "schema_version": 0, "values": values,
		})
	}
	return map[string]any{"root_module": map[string]any{"child_modules": []any{map[string]any{"address": "module.images[\"a.b\"]", "resources": all}}}}
}

func terraformShow(t *testing.T, list []state.Repository) []lang.Source {
	return encode(t, "show.json", map[string]any{"format_version": "1.0", "terraform_version": "1.12.6", "values": module(list)})
}

func terraformPlan(t *testing.T, list []state.Repository) []lang.Source {
	var changes []any
	for _, x := range resources(list) {
		changes = append(changes, map[string]any{
			"address": fmt.Sprintf("module.images[\"a.b\"].%s.%s", x["type"], x["name"]),
			"change": map[string]any{"actions": []any{"create"}, "before": nil, "after_unknown": map[string]any{
				"id": true, "arn": true, "registry_id": true, "repository_url": true, "image_scanning_configuration": []any{map[string]any{}},
				"encryption_configuration": []any{map[string]any{"kms_key": true}},
			}},
		})
	}
	return encode(t, "plan.json", map[string]any{
		"format_version": "1.2", "terraform_version": "1.12.6", "planned_values": module(list, "arn", "registry_id"), "resource_changes": changes,
	})
}

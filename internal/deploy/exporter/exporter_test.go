package exporter_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function/stdlib"
	"pgregory.net/rapid"

	"github.com/zclconf/go-cty/cty/function"

	"github.com/kontor-registry/kontor/internal/deploy/exporter"
	"github.com/kontor-registry/kontor/internal/deploy/plan"
	"github.com/kontor-registry/kontor/internal/deploy/spec"
	"github.com/kontor-registry/kontor/internal/deploy/state"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/lifecycle"
	"github.com/kontor-registry/kontor/policy"
)

var update = flag.Bool("update", false, "write the golden files from what the code does now")

// registries are those of testdata/kontor.yaml, as the file wants them.
func registries(t *testing.T) []exporter.Registry {
	t.Helper()
	text, err := os.ReadFile("testdata/kontor.yaml")
	if err != nil {
		t.Fatal(err)
	}
	f, _, err := spec.Load(spec.Source{Name: "kontor.yaml", Data: text})
	if err != nil {
		t.Fatal(err)
	}
	d := f.Desired(ecr.LocalRegistry())
	var out []exporter.Registry
	for _, target := range d.Targets {
		of := d.For(target)
		out = append(out, exporter.Registry{Target: target, Repositories: of.Repositories, Templates: of.Wanted.Templates, Upstreams: of.Wanted.Upstreams, Replication: of.Wanted.Replication})
	}
	return out
}

var forms = map[string]func([]exporter.Registry) ([]exporter.File, error){
	"terraform": exporter.Terraform, "cloudformation": exporter.CloudFormation, "awscli": exporter.AWSCLI,
}

func TestGolden(t *testing.T) {
	for name, write := range forms {
		t.Run(name, func(t *testing.T) {
			list := registries(t)
			files, err := write(list)
			if err != nil {
				t.Fatal(err)
			}
			var b strings.Builder
			seen := map[string]bool{}
			for _, f := range files {
				b.WriteString("-- " + f.Name + " --\n" + string(f.Data))
				if seen[f.Name] || !strings.HasSuffix(string(f.Data), "\n") || f.Executable != (f.Name == "apply.sh") {
					t.Errorf("%s: %+v", f.Name, f)
				}
				seen[f.Name] = true
			}
			golden(t, filepath.Join("testdata", name+".golden"), b.String())

			// in any order of the repositories
			for i := range list {
				slices.Reverse(list[i].Repositories)
			}
			again, err := write(list)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(files, again); d != "" {
				t.Error(d)
			}
		})
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("%s (-want +got; go test -update writes it):\n%s", name, d)
	}
}

// block is a block of a Terraform resource, or the resource itself.
type block struct {
	Attributes map[string]struct {
		Type     string
		Required bool
	}
	Blocks map[string]block
}

// Terraform's files are HCL in its own format, and each resource has what the
// provider's schema allows, with an import block.
func TestTerraformFitsTheProvider(t *testing.T) {
	var schema struct{ Resources map[string]block }
	readJSON(t, "testdata/terraform-schema.json", &schema)
	files, err := exporter.Terraform(registries(t))
	if err != nil {
		t.Fatal(err)
	}
	resources, imports := map[string]bool{}, map[string]bool{}
	for _, f := range files {
		if formatted := hclwrite.Format(f.Data); !bytes.Equal(formatted, f.Data) {
			t.Errorf("%s is not formatted: %s", f.Name, cmp.Diff(string(formatted), string(f.Data)))
		}
		for _, b := range parse(t, f).Blocks {
			switch b.Type {
			case "resource":
				kind, ok := schema.Resources[b.Labels[0]]
				if !ok {
					t.Errorf("%v", b.Labels)
				}
				resources[strings.Join(b.Labels, ".")] = true
				fits(t, strings.Join(b.Labels, "."), b.Body, kind, "provider", "lifecycle")
			case "import":
				imports[text(f, b.Body.Attributes["to"].Expr)] = true
			}
		}
	}
	if d := cmp.Diff(resources, imports); d != "" || len(resources) == 0 {
		t.Errorf("resources and imports: %s", d)
	}
}

func parse(t *testing.T, f exporter.File) *hclsyntax.Body {
	t.Helper()
	parsed, diags := hclsyntax.ParseConfig(f.Data, f.Name, hcl.InitialPos)
	if diags.HasErrors() {
		t.Fatalf("%v\n%s", diags, f.Data)
	}
	return parsed.Body.(*hclsyntax.Body)
}

func text(f exporter.File, e hclsyntax.Expression) string {
	return string(e.Range().SliceBytes(f.Data))
}

func fits(t *testing.T, at string, body *hclsyntax.Body, want block, meta ...string) {
	t.Helper()
	for name, a := range body.Attributes {
		if _, ok := want.Attributes[name]; !ok && !slices.Contains(meta, name) {
			t.Errorf("%s has no attribute %s", at, name)
		}
		if v, diags := a.Expr.Value(nil); !diags.HasErrors() {
			kind := map[string]bool{"string": v.Type() == cty.String, "bool": v.Type() == cty.Bool, "map(string)": v.Type().IsObjectType(), "list(string)": v.Type().IsTupleType()}
			if !kind[want.Attributes[name].Type] {
				t.Errorf("%s.%s is a %s", at, name, v.Type().FriendlyName())
			}
		}
	}
	for name, a := range want.Attributes {
		if a.Required && body.Attributes[name] == nil {
			t.Errorf("%s needs %s", at, name)
		}
	}
	for _, b := range body.Blocks {
		if inner, ok := want.Blocks[b.Type]; ok {
			fits(t, at+"."+b.Type, b.Body, inner)
		} else if !slices.Contains(meta, b.Type) {
			t.Errorf("%s has no block %s", at, b.Type)
		}
	}
}

// Whatever a policy has in its texts, Terraform sends that.
func TestTerraformSendsThePolicies(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		words := rapid.StringOf(rapid.SampledFrom([]rune(`a${}%"\'<>&é` + "\n\t")))
		p := lifecycle.Policy{Rules: []lifecycle.Rule{
			{Priority: 9, Description: words.Draw(t, "description"), Selection: lifecycle.Selection{TagStatus: lifecycle.Any, CountType: lifecycle.ImageCountMoreThan, CountNumber: rapid.IntRange(1, 999_999).Draw(t, "count")}, Action: lifecycle.Action{Type: lifecycle.Expire}},
			{Priority: 2, Description: words.Draw(t, "description"), Selection: lifecycle.Selection{TagStatus: lifecycle.Tagged, TagPatterns: []string{"a*", "b"}, CountType: lifecycle.ImageCountMoreThan, CountNumber: 3}, Action: lifecycle.Action{Type: lifecycle.Expire}},
		}}
		d := policy.Document{Version: policy.Version2012, Statements: []policy.Statement{{
			Effect: policy.Allow, Principal: policy.Principals{Everyone: true}, Action: []string{"ecr:BatchGetImage"},
			Condition: []policy.Condition{{Operator: "StringEquals", Key: "aws:PrincipalTag/team", Values: []string{words.Draw(t, "value"), "${aws:ResourceTag/team}"}}},
		}}}
		files, err := exporter.Terraform([]exporter.Registry{{Target: state.Target{Name: "prod", Registry: ecr.RegistryID{Account: "111111111111", Region: "us-east-1"}},
			Repositories: []state.Repository{{Name: "app", Mutability: ecr.Mutability{Mode: ecr.Immutable}, Lifecycle: p.String(), Policy: d.String(), Tags: map[string]string{"k": words.Draw(t, "tag")}}}}})
		if err != nil {
			t.Fatal(err)
		}
		parsed, diags := hclsyntax.ParseConfig(files[1].Data, "prod.tf", hcl.InitialPos)
		if diags.HasErrors() {
			t.Fatalf("%v\n%s", diags, files[1].Data)
		}
		functions := &hcl.EvalContext{Functions: map[string]function.Function{"jsonencode": stdlib.JSONEncodeFunc}}
		sent := map[string]string{}
		for _, b := range parsed.Body.(*hclsyntax.Body).Blocks {
			if a := b.Body.Attributes["policy"]; a != nil {
				v, diags := a.Expr.Value(functions)
				if diags.HasErrors() {
					t.Fatal(diags)
				}
				sent[b.Labels[0]] = v.AsString()
			}
		}
		if !plan.EqualLifecycle(sent["aws_ecr_lifecycle_policy"], p.String()) {
			t.Errorf("%s\n%s", sent["aws_ecr_lifecycle_policy"], p)
		}
		if !plan.EqualPolicy(sent["aws_ecr_repository_policy"], d.String()) {
			t.Errorf("%s\n%s", sent["aws_ecr_repository_policy"], d)
		}
	})
}

// CloudFormation's templates have what the schema of the resource allows, always
// with the encryption, and the file of resources to import has each of them.
func TestCloudFormationFitsTheSchema(t *testing.T) {
	var schema struct {
		Resources map[string]struct {
			Identifier string
			Properties map[string]json.RawMessage
		}
	}
	readJSON(t, "testdata/cloudformation-schema.json", &schema)
	files, err := exporter.CloudFormation(registries(t))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(files); i += 2 {
		var template struct {
			Resources map[string]struct {
				Type, DeletionPolicy string
				Properties           map[string]any
			}
		}
		var imports []struct {
			ResourceType       string
			LogicalResourceID  string `json:"LogicalResourceId"`
			ResourceIdentifier map[string]string
		}
		decode(t, files[i].Data, &template)
		decode(t, files[i+1].Data, &imports)
		if len(imports) != len(template.Resources) || len(imports) == 0 {
			t.Errorf("%s: %d imports, %d resources", files[i].Name, len(imports), len(template.Resources))
		}
		for _, m := range imports {
			r, key := template.Resources[m.LogicalResourceID], schema.Resources[m.ResourceType].Identifier
			_, computed := r.Properties[key]
			computed = !computed && r.Type == "AWS::ECR::ReplicationConfiguration" // CloudFormation knows the account
			if id := m.ResourceIdentifier[key]; id == "" || r.Type != m.ResourceType || r.Properties[key] != id && !computed {
				t.Errorf("%+v", m)
			}
		}
		for id, r := range template.Resources {
			if r.DeletionPolicy != "Retain" || (strings.HasPrefix(r.Type, "AWS::ECR::Repository") && r.Properties["EncryptionConfiguration"] == nil) || strings.Trim(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789") != "" {
				t.Errorf("%s: %+v", id, r)
			}
			for name, v := range r.Properties {
				var p struct{ Type any }
				if schema.Resources[r.Type].Properties[name] == nil {
					t.Errorf("%s has no property %s", r.Type, name)
					continue
				}
				decode(t, schema.Resources[r.Type].Properties[name], &p)
				typed(t, id+"."+name, p.Type, v)
			}
		}
	}
}

// typed holds a value to a type of the schema.
func typed(t *testing.T, at string, kind, v any) {
	t.Helper()
	switch kind := kind.(type) {
	case string:
		ok := false
		switch x := v.(type) {
		case string:
			ok = kind == "string"
		case bool:
			ok = kind == "boolean"
		case map[string]any:
			ok = kind == "json" || kind == "tag" && len(x) == 2 && x["Key"] != nil && x["Value"] != nil
		}
		if !ok {
			t.Errorf("%s: %v is not a %s", at, v, kind)
		}
	case map[string]any:
		if union, ok := kind["union"].([]any); ok {
			typed(t, at, union[0], v)
			return
		}
		if item, ok := kind["list"]; ok {
			list, ok := v.([]any)
			if !ok {
				t.Errorf("%s: %v is not a list", at, v)
			}
			for _, x := range list {
				typed(t, at, item, x)
			}
			return
		}
		for _, object := range kind { // one, by its name
			properties := object.(map[string]any)
			got, _ := v.(map[string]any)
			for name, p := range properties {
				p := p.(map[string]any)
				if x, ok := got[name]; ok {
					typed(t, at+"."+name, p["type"], x)
				} else if p["required"] == true {
					t.Errorf("%s needs %s", at, name)
				}
			}
			for name := range got {
				if properties[name] == nil {
					t.Errorf("%s has no %s", at, name)
				}
			}
		}
	}
}

func readJSON(t *testing.T, name string, v any) {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	decode(t, text, v)
}

func decode(t *testing.T, text []byte, v any) {
	t.Helper()
	if err := json.Unmarshal(text, v); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
}

// Unreadable policies are errors, and never left out.
func TestPoliciesThatCannotBeRead(t *testing.T) {
	for name, write := range forms {
		for _, r := range []state.Repository{{Name: "app", Policy: "{"}, {Name: "app", Lifecycle: "[]"}} {
			if _, err := write([]exporter.Registry{{Target: state.Target{Name: "prod"}, Repositories: []state.Repository{r}}}); err == nil || !strings.Contains(err.Error(), "repository app") {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

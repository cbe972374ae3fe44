package foreign_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kontor-registry/kontor/internal/deploy/foreign"
	"github.com/kontor-registry/kontor/internal/deploy/lang"
	"github.com/kontor-registry/kontor/internal/ecr"
)

var update = flag.Bool("update", false, "write the golden files from what the code does now")

func read(t *testing.T, o foreign.Options, sources ...lang.Source) foreign.Found {
	t.Helper()
	found, err := foreign.Read(sources, o)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// printed is what was found, for people.
func printed(found foreign.Found) string {
	var b strings.Builder
	for _, r := range found.Repositories {
		fmt.Fprintf(&b, "%s %s %s", r.Origins.Repository, r.Name, r.Mutability.Mode)
		if len(r.Mutability.Filters) > 0 {
			fmt.Fprintf(&b, " except %s", strings.Join(r.Mutability.Filters, " "))
		}
		if r.Account != "" || r.Region != "" {
			fmt.Fprintf(&b, " in %s/%s", r.Account, r.Region)
		}
		if r.Module != "" {
			fmt.Fprintf(&b, " from %s", r.Module)
		}
		if r.ScanOnPush != nil {
			fmt.Fprintf(&b, " scan=%t", *r.ScanOnPush)
		}
		if r.Encryption != nil {
			fmt.Fprintf(&b, " %s %s", r.Encryption.Type, r.Encryption.KMSKey)
		}
		b.WriteString("\n")
		if len(r.Tags) > 0 {
			text, _ := json.Marshal(r.Tags)
			fmt.Fprintf(&b, "  tags %s\n", text)
		}
		for _, text := range []string{r.Lifecycle, r.Policy} {
			if text != "" {
				fmt.Fprintf(&b, "  %s\n", text)
			}
		}
	}
	for _, r := range found.Replications {
		fmt.Fprintf(&b, "%s replication of %s/%s\n", r.At, r.Account, r.Region)
		for _, rule := range r.Rules {
			fmt.Fprintf(&b, "  %v to %v\n", rule.Prefixes, rule.To)
		}
	}
	for _, f := range found.Findings {
		fmt.Fprintf(&b, "! %s\n", f)
	}
	return b.String()
}

// Code and templates, as they are in testdata, with the registry and without.
func TestRead(t *testing.T) {
	for name, files := range map[string][]string{
		"code": {"code.tf"}, "modules": {"modules.tf"}, "variables": {"variables.tf", "variables.tfvars"}, "template": {"template.yaml"}, "cdk": {"cdk.template.json"},
		"state": {"aliases.tfstate"}, "plan": {"plan.json"},
	} {
		for _, known := range []bool{false, true} {
			if name := fmt.Sprintf("%s registry=%t", name, known); true {
				t.Run(name, func(t *testing.T) {
					var sources []lang.Source
					for _, f := range files {
						text, err := os.ReadFile("testdata/" + f)
						if err != nil {
							t.Fatal(err)
						}
						sources = append(sources, lang.Source{Name: f, Data: text})
					}
					o := foreign.Options{}
					golden := "testdata/" + strings.Fields(name)[0] + ".golden"
					if known {
						o.Registry = registry
						golden = strings.TrimSuffix(golden, ".golden") + ".registry.golden"
					}
					got := printed(read(t, o, sources...))
					if *update {
						if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
							t.Fatal(err)
						}
						return
					}
					want, err := os.ReadFile(golden)
					if err != nil {
						t.Fatal(err)
					}
					if d := cmp.Diff(string(want), got); d != "" {
						t.Errorf("%s (-want +got; go test -update writes it):\n%s", golden, d)
					}
				})
			}
		}
	}
}

// What code does not say is a finding at its place, and what depends on it is left
// out: nothing is guessed.
func TestFindings(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"variable of a name":    {`resource "aws_ecr_repository" "a" { name = "x-${var.env}" }`, `1:49: aws_ecr_repository.a: name: var.env has no value in the files: pass a .tfvars file that sets it; the repository is left out`},
		"default of a variable": {"variable \"m\" {\n  default = \"MUTABLE\"\n}\nresource \"aws_ecr_repository\" \"a\" {\n  name                 = \"aa\"\n  image_tag_mutability = var.m\n}", `6:26: aws_ecr_repository.a: image_tag_mutability: var.m has no value`},
		"policy":                {"resource \"aws_ecr_repository\" \"a\" {\n  name = \"aa\"\n}\nresource \"aws_ecr_repository_policy\" \"a\" {\n  repository = aws_ecr_repository.a.name\n  policy     = file(\"p.json\")\n}", `6:16: aws_ecr_repository_policy.a: a function is not evaluated: file; repository aa is left out`},
		"another resource":      {"resource \"aws_ecr_repository\" \"a\" {\n  name = \"aa\"\n  encryption_configuration {\n    encryption_type = \"KMS\"\n    kms_key = aws_kms_key.k.arn\n  }\n}", `5:15: aws_ecr_repository.a: encryption_configuration: aws_kms_key.k.arn is not known before Terraform runs; it is not in the file`},
		"for_each":              {"resource \"aws_ecr_repository\" \"a\" {\n  for_each = toset(var.names)\n  name = each.key\n}", `2:20: aws_ecr_repository.a: var.names has no value`},
		"of another repository": {`resource "aws_ecr_lifecycle_policy" "a" {` + "\n  repository = \"elsewhere\"\n  policy = \"{}\"\n}", `1:1: aws_ecr_lifecycle_policy.a: repository elsewhere is not in these files, so this is not read`},
		"of an unknown one":     {`resource "aws_ecr_lifecycle_policy" "a" {` + "\n  repository = module.ecr.name\n  policy = \"{}\"\n}", `2:16: aws_ecr_lifecycle_policy.a: module.ecr.name is not known before Terraform runs; it is not read: check`},
		"settings of registry":  {`resource "aws_ecr_registry_policy" "a" {}`, `1:1: aws_ecr_registry_policy.a: settings of registries are not read`},
		"unknown module":        {`module "x" { source = "./modules/ecr" }`, `1:1: module.x: this module is not known, so its repositories are not read`},
		"circle":                {"locals {\n  a = local.b\n  b = local.a\n}\nresource \"aws_ecr_repository\" \"a\" { name = local.a }", `3:7: aws_ecr_repository.a: name: local.a refers to itself`},
		"a name that is none":   {`resource "aws_ecr_repository" "a" { name = "UPPER" }`, `1:1: aws_ecr_repository.a: "UPPER" is not a name`},
		"public":                {`module "x" {` + "\n  source = \"terraform-aws-modules/ecr/aws\"\n  repository_name = \"aa\"\n  repository_type = \"public\"\n}", `1:1: module.x: public repositories are not read`},
		"label context":         {`module "x" {` + "\n  source = \"cloudposse/ecr/aws\"\n  context = module.this.context\n}", `3:13: module.x: context: module.this.context is not known before Terraform runs; its repositories are left out`},
		"document of documents": {"resource \"aws_ecr_repository\" \"a\" {\n  name = \"aa\"\n}\ndata \"aws_iam_policy_document\" \"d\" {\n  source_policy_documents = []\n}\nresource \"aws_ecr_repository_policy\" \"a\" {\n  repository = aws_ecr_repository.a.id\n  policy = data.aws_iam_policy_document.d.json\n}", `5:3: aws_ecr_repository_policy.a: source_policy_documents is not evaluated; repository aa is left out`},
	} {
		t.Run(name, func(t *testing.T) {
			found := read(t, foreign.Options{}, lang.Source{Name: "a.tf", Data: []byte(c.text)})
			if len(found.Findings) == 0 || !strings.HasPrefix(found.Findings[0].String(), "a.tf:"+c.want) {
				t.Errorf("%v", found.Findings)
			}
			if kept := name == "another resource"; (len(found.Repositories) == 1) != kept {
				t.Errorf("repositories: %+v", found.Repositories)
			}
		})
	}
}

// Files that cannot be read are errors at their places.
func TestReadErrors(t *testing.T) {
	const repository = `resource "aws_ecr_repository" "a" { name = "aa" }`
	for name, c := range map[string]struct {
		files []lang.Source
		want  string
	}{
		"broken code":     {[]lang.Source{{Name: "a.tf", Data: []byte("resource {\n")}}, "a.tf:1:10: "},
		"broken JSON":     {[]lang.Source{{Name: "x.tfstate", Data: []byte("{\n  \"a\": }")}}, "x.tfstate:2:8: "},
		"code in JSON":    {[]lang.Source{{Name: "a.tf.json", Data: []byte("{}")}}, "a.tf.json:1:1: Terraform code in JSON is not read"},
		"old state":       {[]lang.Source{{Name: "x.tfstate", Data: []byte(`{"version": 3, "terraform_version": "0.11", "modules": []}`)}}, "x.tfstate:1:13: a Terraform state of version 3 is not read"},
		"something else":  {[]lang.Source{{Name: "k.yaml", Data: []byte("ecr_repositories: {}\n")}}, "k.yaml:1:1: this file is not read: want"},
		"inputs":          {[]lang.Source{{Name: "terragrunt.hcl", Data: []byte("inputs = {}\n")}}, "terragrunt.hcl:1:1: this file is not read: want"},
		"empty show":      {[]lang.Source{{Name: "stdin", Data: []byte(`{"format_version": "1.0"}`)}}, "stdin:1:1: there are no resources"},
		"twice":           {[]lang.Source{{Name: "a.tf", Data: []byte(repository)}, {Name: "b.tf", Data: []byte(strings.Replace(repository, `"a"`, `"b"`, 1))}}, "b.tf:1:1: repository aa is declared twice, first at a.tf:1:1"},
		"nested too deep": {[]lang.Source{{Name: "a.tf", Data: []byte("locals { a = " + strings.Repeat("[", 10_000))}}, "a.tf:1:"},
		"long operators":  {[]lang.Source{{Name: "a.tf", Data: []byte("locals {\n  a = " + strings.Repeat("!", 3_000) + "true\n}")}}, "a.tf:2:"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := foreign.Read(c.files, foreign.Options{})
			if err == nil || !strings.HasPrefix(err.Error(), c.want) {
				t.Errorf("%v", err)
			}
		})
	}
}

// A repository that is in two registries is two.
func TestSameNameInTwoRegistries(t *testing.T) {
	text, err := os.ReadFile("testdata/aliases.tfstate")
	if err != nil {
		t.Fatal(err)
	}
	found := read(t, foreign.Options{}, lang.Source{Name: "aliases.tfstate", Data: text})
	var got []string
	for _, r := range found.Repositories {
		got = append(got, fmt.Sprintf("%s %s %t", r.Region, r.Name, strings.Contains(r.Lifecycle, `"countNumber":7`)))
	}
	slices.Sort(got)
	if d := cmp.Diff([]string{"eu-west-1 api true", "us-east-1 api false"}, got); d != "" {
		t.Error(d)
	}
}

// Hostile files are errors or findings, and never a panic.
func FuzzRead(f *testing.F) {
	for _, name := range []string{"code.tf", "modules.tf", "template.yaml", "cdk.template.json", "aliases.tfstate", "plan.json", "variables.tfvars"} {
		text, err := os.ReadFile("testdata/" + name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(name, text)
	}
	f.Fuzz(func(t *testing.T, name string, text []byte) {
		found, err := foreign.Read([]lang.Source{{Name: name, Data: text}}, foreign.Options{Registry: registry})
		if err != nil {
			return
		}
		for _, r := range found.Repositories {
			if _, err := ecr.ParseRepositoryName(string(r.Name)); err != nil {
				t.Error(err)
			}
		}
	})
}

package spec_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/kontor-registry/kontor/internal/race"

	"github.com/google/go-cmp/cmp"

	"github.com/kontor-registry/kontor/internal/deploy/lang"
	"github.com/kontor-registry/kontor/internal/deploy/spec"
	"github.com/kontor-registry/kontor/internal/deploy/state"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/lifecycle"
	"github.com/kontor-registry/kontor/policy"
)

const examples = "../../../examples/"

func TestExamples(t *testing.T) {
	for _, name := range glob(t, examples+"*.yaml", examples+"*.json", examples+"*.hcl", examples+"*.tfvars") {
		t.Run(name, func(t *testing.T) {
			f, _, err := spec.Load(source(t, name))
			if err != nil {
				t.Fatal(err)
			}
			checkDocuments(t, f.Desired(local))
		})
	}
}

// The examples are formatted.
func TestExamplesAreFormatted(t *testing.T) {
	for _, name := range glob(t, examples+"*.yaml", examples+"*.json", examples+"*.hcl", examples+"*.tfvars") {
		s := source(t, name)
		got, err := lang.Format(s)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(string(s.Data), string(got)); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}

// TestManual loads each YAML block of the pages about the file.
func TestManual(t *testing.T) {
	var blocks []string
	for _, name := range append([]string{"../file.md", "../tag-patterns.md"}, namesOfPages()...) {
		text, err := os.ReadFile(docs + "fields/" + name)
		if err != nil {
			t.Fatal(err)
		}
		blocks = append(blocks, strings.Split(string(text), "```yaml\n")[1:]...)
	}
	if len(blocks) < 30 {
		t.Fatalf("%d blocks", len(blocks))
	}
	for _, b := range blocks {
		b, _, _ = strings.Cut(b, "```")
		f, _, err := spec.Load(yamlSource("manual.yaml", b))
		if err != nil {
			t.Errorf("%v\n%s", err, b)
			continue
		}
		checkDocuments(t, f.Desired(local))
	}
}

// TestExample holds the built-in example against the file that people read.
func TestExample(t *testing.T) {
	want, err := os.ReadFile(examples + "hello.yaml")
	if err != nil {
		t.Fatal(err)
	}
	got := spec.Example()
	if !bytes.Equal(got.Data, want) {
		t.Errorf("internal/deploy/spec/example.yaml and examples/hello.yaml differ:\n%s", cmp.Diff(string(want), string(got.Data)))
	}
	f, notices, err := spec.Load(got)
	if err != nil || len(notices) > 0 {
		t.Fatal(notices, err)
	}
	d := f.Desired(local)
	if len(d.Repositories) == 0 || !d.Targets[0].Local || d.Targets[0].Registry != local {
		t.Errorf("%+v", d)
	}
}

// checkDocuments asks the engines whether they accept every document of d.
func checkDocuments(t interface{ Errorf(string, ...any) }, d state.Desired) {
	for _, target := range d.Targets {
		for _, r := range d.For(target).Repositories {
			var l lifecycle.Policy // "" is none
			if r.Lifecycle != "" {
				var err error
				if l, err = lifecycle.Parse([]byte(r.Lifecycle)); err != nil {
					t.Errorf("%s: lifecycle policy %s: %v", r.Name, r.Lifecycle, err)
				}
			}
			if len(l.Rules) != len(r.Origins.Rules) {
				t.Errorf("%s: %d rules, %d origins", r.Name, len(l.Rules), len(r.Origins.Rules))
			}
			for _, rule := range l.Rules {
				if r.Origins.Rules[rule.Priority].Field == "" {
					t.Errorf("%s: rule %d has no origin", r.Name, rule.Priority)
				}
			}
			if r.Policy == "" {
				continue
			}
			p, err := policy.ParseFor([]byte(r.Policy), policy.Repository)
			if err != nil {
				t.Errorf("%s: repository policy %s: %v", r.Name, r.Policy, err)
			}
			for _, s := range p.Statements {
				if r.Origins.Statements[s.Sid].Field == "" {
					t.Errorf("%s: statement %s has no origin", r.Name, s.Sid)
				}
			}
		}
	}
}

func yamlSource(name, text string) spec.Source { return spec.Source{Name: name, Data: []byte(text)} }

// What the file reference says: several files are merged, a name given twice is an error.
func TestSeveralFiles(t *testing.T) {
	a := yamlSource("a.yaml", "stack: s\nregistries: [{name: us, account: \"111111111111\", region: us-east-1}]\necr_repositories: {zz: {}}\n")
	b := spec.Source{Name: "b.json", Data: []byte(`{"registries": [{"name": "eu", "account": "111111111111", "region": "eu-west-1"}],
		"defaults": {"is_immutable": false}, "ecr_repositories": {"aa": {}}}`)}
	f, _, err := spec.Load(a, b)
	if err != nil {
		t.Fatal(err)
	}
	d := f.Desired(local)
	var got []string
	for _, target := range d.Targets {
		got = append(got, target.Name)
	}
	for _, r := range d.Repositories {
		got = append(got, string(r.Name)+" "+string(r.Mutability.Mode)+" "+r.Origins.Repository.String())
	}
	if d := cmp.Diff([]string{"us", "eu", "aa MUTABLE b.json:2:61", "zz MUTABLE a.yaml:3:20"}, got); d != "" {
		t.Error(d)
	}

	_, _, err = spec.Load(
		yamlSource("a.yaml", "stack: s\ndefaults: {}\nregistries: [{name: us, account: \"111111111111\", region: us-east-1}]\necr_repositories: {zz: {}}\n"),
		yamlSource("b.yaml", "stack: s\ndefaults: {}\nregistries: [{name: us, account: \"222222222222\", region: us-east-1}]\necr_repositories: {zz: {}}\n"))
	want := `b.yaml:1:1: stack: given twice, first at a.yaml:1:1
b.yaml:2:1: defaults: given twice, first at a.yaml:2:1
b.yaml:3:21: registries[0].name: registry "us" is given twice, first at a.yaml:3:21
b.yaml:4:20: ecr_repositories.zz: given twice, first at a.yaml:4:20`
	if d := cmp.Diff(want, fmt.Sprint(err)); d != "" {
		t.Error(d)
	}
}

// What stands in one file may name what stands in another, whatever their
// languages; what is given twice names both places.
func TestFilesOfSeveralLanguages(t *testing.T) {
	registries := spec.Source{Name: "a.hcl", Data: []byte(`registries = [{ name = "us", account = "111111111111", region = "us-east-1" }]
plan = { max_expire = 5 }
clusters = [{ name = "apps", account = "222222222222", region = "us-east-1", repositories = ["bb"] }]
`)}
	repositories := yamlSource("b.yaml", "ecr_repositories: {aa: {registries: [us]}, bb: {overrides: {us: {is_immutable: false}}}}\n")
	tests := spec.Source{Name: "c.json", Data: []byte(`{"access_tests": [{"principal": "222222222222", "repository": "bb", "allow": ["pull"]}]}`)}
	for _, order := range [][]spec.Source{{registries, repositories, tests}, {tests, repositories, registries}} {
		f, _, err := spec.Load(order...)
		if err != nil {
			t.Fatal(err)
		}
		d := f.Desired(local)
		if len(d.ByTarget["us"]) != 2 || d.ByTarget["us"][1].Mutability.Mode != ecr.Mutable || len(d.AccessTests) != 1 || d.MaxExpire.Count != 5 {
			t.Errorf("%+v", d)
		}
		if p := d.ByTarget["us"][1].Policy; !strings.Contains(p, "arn:aws:iam::222222222222:root") || d.ByTarget["us"][0].Policy != "" {
			t.Errorf("the cluster's grant: %s", p)
		}
	}
	_, _, err := spec.Load(registries, repositories, spec.Source{Name: "c.tfvars", Data: append([]byte("\n"), registries.Data...)},
		spec.Source{Name: "d.json", Data: []byte(`{"ecr_repositories": {"bb": {}}}`)})
	want := `c.tfvars:2:24: registries[0].name: registry "us" is given twice, first at a.hcl:1:24
c.tfvars:3:1: plan: given twice, first at a.hcl:2:1
c.tfvars:4:13: clusters[0]: cluster apps of account 222222222222 in region us-east-1 is given twice, first at a.hcl:3:13
d.json:1:23: ecr_repositories.bb: given twice, first at b.yaml:1:44`
	if d := cmp.Diff(want, fmt.Sprint(err)); d != "" {
		t.Error(d)
	}
}

// Principals of any partition may pull from the local registry, whose own is
// known only when it runs; so may clusters.
func TestLocalRegistryTakesAnyPartition(t *testing.T) {
	f, _, err := spec.Load(yamlSource("k.yaml", `clusters: [{name: apps, account: "222222222222", region: cn-north-1}]
ecr_repositories: {app: {pull_principals: ["arn:aws-cn:iam::333333333333:role/x"], encryption: {type: KMS, kms_key: "arn:aws-cn:kms:cn-north-1:111111111111:key/1"}}}
`))
	if err != nil {
		t.Fatal(err)
	}
	d := f.Desired(ecr.RegistryID{Account: "111111111111", Region: "cn-north-1"})
	for _, want := range []string{"arn:aws-cn:iam::222222222222:root", "arn:aws-cn:iam::333333333333:role/x"} {
		if !strings.Contains(d.Repositories[0].Policy, want) {
			t.Errorf("no %s in %s", want, d.Repositories[0].Policy)
		}
	}
}

// Lifecycle tests are tried on the policy of each registry that differs.
func TestLifecycleTestsOfOverrides(t *testing.T) {
	f, _, err := spec.Load(yamlSource("k.yaml", `registries:
  - {name: us, account: "111111111111", region: us-east-1}
  - {name: eu, account: "111111111111", region: eu-west-1}
  - {name: eu3, account: "111111111111", region: eu-west-3}
ecr_repositories: {app: {expire_all_images: true, overrides: {eu: {keep: ["v*"]}, us: {tags: {a: b}}}}}
lifecycle_tests: [{image: {tags: [v1], age_days: 20}, expect: kept}]
`))
	if err != nil {
		t.Fatal(err)
	}
	var got []lifecycle.Fate
	for _, r := range f.RunLifecycleTests(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)) {
		got = append(got, r.Result.Got)
	}
	if d := cmp.Diff([]lifecycle.Fate{lifecycle.Expired, lifecycle.Kept}, got); d != "" {
		t.Error(d)
	}
}

// Errors are values that callers can take apart.
func TestErrorsAreValues(t *testing.T) {
	_, _, err := spec.Load(yamlSource("k.yaml", "ecr_repositories:\n  app: {is_immutable: 1, expire_all_images: 2}\n"))
	var all spec.Errors
	var first *spec.Error
	if !errors.As(err, &all) || len(all) != 2 || !errors.As(err, &first) {
		t.Fatalf("%T %v", err, err)
	}
	want := spec.Error{Position: state.Position{File: "k.yaml", Line: 2, Column: 23}, Field: "ecr_repositories.app.is_immutable",
		Message: "want true or false, not the number 1"}
	if d := cmp.Diff(want, *first); d != "" {
		t.Error(d)
	}
}

// Notices come with errors too.
func TestNoticesWithErrors(t *testing.T) {
	_, notices, err := spec.Load(yamlSource("k.yaml", `stack: 5
ecr_repositories:
  app: {expire_all_images: true, expiration_rules: [{tag_pattern: "v*", days: 15}]}
`))
	if err == nil || len(notices) != 1 || notices[0].Code != spec.CodeOutlivesExpireAll {
		t.Error(notices, err)
	}
}

// Without registries the documents are those of the local registry's
// partition.
func TestLocalPartition(t *testing.T) {
	f, _, err := spec.Load(yamlSource("k.yaml", `ecr_repositories: {app: {additional_pull_account_ids: ["222222222222"]}}`))
	if err != nil {
		t.Fatal(err)
	}
	for region, want := range map[ecr.Region]string{"us-east-1": "arn:aws:iam:", "cn-north-1": "arn:aws-cn:iam:", "us-gov-west-1": "arn:aws-us-gov:iam:"} {
		d := f.Desired(ecr.RegistryID{Account: "111111111111", Region: region})
		for _, rs := range [][]state.Repository{d.Repositories, d.For(d.Targets[0]).Repositories} {
			if !strings.Contains(rs[0].Policy, want) {
				t.Errorf("%s: %s", region, rs[0].Policy)
			}
		}
	}
}

// Desired gives new memory: a caller may change it.
func TestDesiredIsFresh(t *testing.T) {
	f, _, err := spec.Load(yamlSource("k.yaml", `ecr_repositories: {app: {tags: {a: b}}}`))
	if err != nil {
		t.Fatal(err)
	}
	first := f.Desired(local)
	want := show(f.Desired(local), nil)
	first.Repositories[0].Tags["a"] = "changed"
	first.Repositories[0].Origins.Rules[1] = state.Origin{}
	first.Targets[0].Name = "changed"
	if d := cmp.Diff(want, show(f.Desired(local), nil)); d != "" {
		t.Error(d)
	}
}

// Input that is far too much is refused in time linear in it, without a panic
// or a full stack.
func TestBounds(t *testing.T) {
	laughs := "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
	for i := 1; i < 12; i++ {
		laughs += fmt.Sprintf("a%d: &a%d [%s]\n", i, i, strings.Repeat(fmt.Sprintf("*a%d, ", i-1), 10))
	}
	var keys, commas strings.Builder
	for i := range 50_010 {
		fmt.Fprintf(&keys, "k%d:\n", i)
		fmt.Fprintf(&commas, "k%d: 1, ", i)
	}
	cases := []struct{ name, file, text, want string }{
		{"size", "k.json", strings.Repeat(" ", 16<<20+1), "1:1: the file has 16777217 bytes; at most 16777216 are read"},
		{"size of YAML", "k.yaml", strings.Repeat("#\n", 2<<20+1), "1:1: the file has 4194306 bytes; of YAML at most 4194304 are read"},
		{"documents", "k.yaml", strings.Repeat("---\n", 1<<20), "101:1: a second YAML document"},
		{"items", "k.yaml", strings.Repeat("-\n", 1<<20), "100001:1: more than 100000 list items"},
		{"items of a flow", "k.yaml", "{" + strings.Repeat("k, ", 1<<18), "more than 100000 list items"},
		{"empty items", "k.yaml", strings.Repeat("-\n", 10_000), "not a list"},
		{"lists", "k.yaml", strings.Repeat("[", 1<<18), "1:101: nested deeper than 100 levels"},
		{"mappings", "k.yaml", strings.Repeat("{a: ", 1<<18), "1:401: nested deeper than 100 levels"},
		{"dashes", "k.yaml", strings.Repeat("- ", 1<<18), "1:201: nested deeper than 100 levels"},
		{"question marks", "k.yaml", strings.Repeat("? ", 1<<18), "1:201: nested deeper than 100 levels"},
		{"tags", "k.yaml", strings.Repeat("!a\n", 1<<18), "101:1: nested deeper than 100 levels"},
		{"anchors", "k.yaml", strings.Repeat("&1 ", 1<<18), ""},
		{"indents", "k.yaml", staircase(1500), "nested deeper than 100 levels"},
		{"JSON lists", "k.json", strings.Repeat("[", 1<<18), "1:101: nested deeper than 100 levels"},
		{"aliases", "k.yaml", laughs, "values, counting each alias"},
		{"keys of a block", "k.yaml", keys.String(), "50001:7: more than 50000 keys"},
		{"keys of a flow", "k.yaml", "{" + commas.String() + "}", "more than 50000 keys"},
	}
	if race.Enabled {
		cases = cases[:3] // reading is the work of one goroutine
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, _, err := spec.Load(yamlSource(c.file, c.text))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("want %q, have %.300s", c.want, fmt.Sprint(err))
			}
		})
	}
}

func staircase(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(strings.Repeat(" ", i) + "a:\n")
	}
	return b.String()
}

// However many mistakes there are, the list of them stays readable.
func TestManyErrors(t *testing.T) {
	var b strings.Builder
	b.WriteString("ecr_repositories:\n")
	for i := range 500 {
		fmt.Fprintf(&b, "  r%d: {nothing: 1}\n", i)
	}
	_, _, err := spec.Load(yamlSource("k.yaml", b.String()))
	var all spec.Errors
	if !errors.As(err, &all) || len(all) != 101 || all[100].Error() != "k.yaml:102:10: and 400 more errors" {
		t.Errorf("%d errors, the last %v", len(all), all[len(all)-1])
	}
}

// Files in other languages are called what they are.
func TestOtherLanguages(t *testing.T) {
	for name, want := range map[string]string{
		"infra/main.tf":    "infra/main.tf:1:1: Terraform code is not read; put ecr_repositories into a .tfvars file",
		"main.tf.json":     "main.tf.json:1:1: Terraform code is not read; put ecr_repositories into a .tfvars file",
		"kontor.toml":      "kontor.toml:1:1: TOML is not read; write the file as YAML, JSON or HCL",
		"terragrunt.hcl":   "terragrunt.hcl:1:1: this is a Terragrunt configuration without inputs; Kontor reads inputs = { ecr_repositories = { ... } }",
		`a\terragrunt.hcl`: `a\terragrunt.hcl:1:1: this is a Terragrunt configuration without inputs; Kontor reads inputs = { ecr_repositories = { ... } }`,
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := spec.Load(spec.Source{Name: name, Data: []byte("terraform {\n  source = local.x\n}\n")})
			if err == nil || err.Error() != want {
				t.Errorf("%v, want %s", err, want)
			}
		})
	}
}

package cli_test

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
)

// A folder stands for the files in it that have an ending of ours.
func TestFolder(t *testing.T) {
	s := newShell(t)
	for _, dir := range []string{"d/sub", "d/dir.yaml", "empty"} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	s.write("d/b.yaml", "ecr_repositories: {bb: {}}")
	s.write("d/a.json", `{"stack": "folder", "ecr_repositories": {"aa": {}}}`)
	s.write("d/c.HCL", "ecr_repositories = { cc = {} }")
	s.write("d/d.tfvars", "ecr_repositories = { dd = {} }\nregion = 5\n")
	s.write("d/.hidden.yaml", "nonsense: 1")
	s.write("d/README.md", "nonsense")
	s.write("d/e.yaml~", "nonsense: 1")
	s.write("d/sub/x.yaml", "nonsense: 1")
	s.want(s.run("validate", "-f", "d"), 0, "stack folder, 4 repositories", "d/d.tfvars:2:1: KON1008: region")
	s.env["KONTOR_FILE"] = "d"
	s.want(s.run("validate"), 0, "4 repositories")
	// in the order of their names
	s.write("d/f.yaml", "stack: again\necr_repositories: {aa: {}}")
	r := s.want(s.run("validate"), 1)
	want := "d/f.yaml:1:1: stack: given twice, first at d/a.json:1:2\nd/f.yaml:2:20: ecr_repositories.aa: given twice, first at d/a.json:1:42\n"
	if !strings.HasSuffix(r.errors, want) {
		t.Errorf("%q, want %q", r.errors, want)
	}
	s.want(s.run("validate", "-f", "empty"), 1, "kontor: the folder empty has no file whose name ends in .yaml, .yml, .json, .hcl or .tfvars")
}

func TestFmt(t *testing.T) {
	s := newShell(t)
	s.write("kontor.yaml", "stack:   a # why\necr_repositories:\n    app:  {}\n")
	s.write("good.json", "{\n  \"ecr_repositories\": {}\n}\n")
	s.write("bad.yaml", "a: [\n")
	s.write("k.hcl", "stack=\"a\"\n")
	r := s.want(s.run("fmt", "--check"), 1, "kontor: 1 file is not formatted: run kontor fmt")
	if r.out != "kontor.yaml\n" {
		t.Errorf("stdout %q", r.out)
	}
	s.want(s.run("fmt", "--check", "kontor.yaml", "-f", "k.hcl"), 1, "kontor: 2 files are not formatted")
	s.want(s.run("fmt", "--check", "good.json"), 0)
	// one file that cannot be parsed does not keep the others back
	r = s.want(s.run("fmt", "bad.yaml", "kontor.yaml", "k.hcl", "good.json"), 1, "bad.yaml:1:4: ")
	if r.out != "kontor.yaml\nk.hcl\n" {
		t.Errorf("stdout %q", r.out)
	}
	for name, want := range map[string]string{
		"kontor.yaml": "stack: a # why\necr_repositories:\n  app: {}\n",
		"k.hcl":       "stack = \"a\"\n",
		"bad.yaml":    "a: [\n",
	} {
		if got, err := os.ReadFile(name); err != nil || string(got) != want {
			t.Errorf("%s: %q %v", name, got, err)
		}
		if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v %v", name, info.Mode(), err)
		}
	}
	if r := s.want(s.run("fmt", "kontor.yaml", "k.hcl"), 0); r.out != "" {
		t.Errorf("formatted again: %q", r.out)
	}
	entries, err := os.ReadDir(".")
	if err != nil || len(entries) != 4 {
		t.Errorf("files left behind: %v %v", entries, err)
	}
}

func TestFmtStdin(t *testing.T) {
	s := newShell(t)
	s.stdin = "a:   5\n"
	if r := s.want(s.run("fmt", "-"), 0); r.out != "a: 5\n" {
		t.Errorf("%q", r.out)
	}
	s.want(s.run("fmt", "--check", "-"), 1, "1 file is not formatted")
	s.stdin = "a = 5\n"
	if r := s.want(s.run("fmt", "--language", "hcl", "-"), 0); r.out != "a = 5\n" {
		t.Errorf("%q", r.out)
	}
	s.want(s.run("fmt", "--check", "--language", "hcl", "-"), 0)
	s.stdin = "a: ["
	s.want(s.run("fmt", "-"), 1, "stdin.yaml:1:4: ")
	s.want(s.run("fmt", "-", "x.yaml"), 2, "- (stdin) cannot be combined with files")
	s.want(s.run("fmt", "--language", "toml", "-"), 2, "--language toml: want yaml, json or hcl")
}

func TestSchemaCommand(t *testing.T) {
	s := newShell(t)
	var schema struct {
		ID string `json:"$id"`
	}
	if err := json.Unmarshal([]byte(s.want(s.run("schema"), 0).out), &schema); err != nil || schema.ID == "" {
		t.Error(schema, err)
	}
}

func TestExplain(t *testing.T) {
	s := newShell(t)
	s.want(s.run("explain", "days"), 0, "expiration_rules.days\n", "  type:      whole number, 1 or more\n", "  becomes:   countNumber of sinceImagePushed\n")
	s.want(s.run("explain", "is_immutable"), 0, "  default:   true\n", "  Example:\n\n    ecr_repositories:\n      test:\n        is_immutable: false\n")
	s.want(s.run("explain", "registries"), 0, "registries\n", "repository.registries\n")
	s.want(s.run("explain", "ecr_repositories.api.keep[0]"), 0, "keep\n", "ECR limit:")
	s.want(s.run("explain"), 0, "promotions.tags ", "is_immutable ")
	s.want(s.run("explain", "is_imutable"), 2, `there is no field "is_imutable", did you mean is_immutable?`)
	s.want(s.run("explain", "zzzzzzzzzzzzz"), 2, `there is no field "zzzzzzzzzzzzz": list all fields with kontor explain`)
	for line := range strings.Lines(s.want(s.run("explain", "expiration_rules"), 0).out) {
		if len(line) > 81 {
			t.Errorf("a long line: %s", line)
		}
	}
	var got struct {
		Fields []struct{ Field, Type string }
	}
	if err := json.Unmarshal([]byte(s.want(s.run("explain", "keep", "--json"), 0).out), &got); err != nil || len(got.Fields) != 1 || got.Fields[0].Field != "keep" {
		t.Errorf("%+v %v", got, err)
	}
	names := strings.Fields(s.want(s.run("__complete", "explain", ""), 0).out)
	if !slices.Contains(names, "lifecycle_policy_json") || !slices.Contains(names, "registries.account") {
		t.Errorf("completion: %v", names)
	}
}

const twoRegistries = `registries:
  - {name: us, account: "111111111111", region: us-east-2}
  - {name: eu, account: "111111111111", region: eu-west-1}
ecr_repositories:
  website: {scan_on_push: true, encryption: {type: KMS, kms_key: alias/x}}
`

// Where registries differ, each is shown; as JSON one has to be named.
func TestRenderByRegistry(t *testing.T) {
	s := newShell(t)
	s.write("kontor.yaml", twoRegistries)
	r := s.want(s.run("render"), 0, "scan on push", "KMS alias/x")
	if strings.Contains(r.out, "registry us") {
		t.Errorf("registries that are alike:\n%s", r.out)
	}
	s.want(s.run("render", "--json"), 0, `"scan_on_push": true`, `"kms_key": "alias/x"`)
	s.write("kontor.yaml", twoRegistries+"  tools: {registries: [eu]}\n  other: {overrides: {us: {is_immutable: false}}}\n")
	r = s.want(s.run("render"), 0, "registry us, account 111111111111 in us-east-2\n\nother\n", "registry eu, account 111111111111 in eu-west-1\n")
	if strings.Count(r.out, "\ntools\n") != 1 || strings.Count(r.out, "MUTABLE") != 5 || strings.Count(r.out, "IMMUTABLE") != 4 {
		t.Error(r.out)
	}
	s.want(s.run("render", "--json"), 2, "give --target with one of us, eu")
	r = s.want(s.run("render", "--json", "--target", "us"), 0, `"repository": "other"`)
	if strings.Contains(r.out, "tools") {
		t.Error(r.out)
	}
	s.want(s.run("render", "--target", "cn"), 2, `there is no registry "cn" in the file: it has us, eu`)
}

// A file that says that images without tags stay gets no warning that they do.
func TestLintOfNever(t *testing.T) {
	s := newShell(t)
	s.write("kontor.yaml", `ecr_repositories: {app: {expire_untagged_after_days: never, keep: ["v*"]}}`)
	if r := s.run("lifecycle", "lint"); strings.Contains(r.out, "KON3008") || r.code != 0 {
		t.Errorf("%d %s", r.code, r.out)
	}
	s.write("kontor.yaml", `ecr_repositories: {app: {lifecycle_policy_json: {rules: [{rulePriority: 1, selection: {tagStatus: tagged, tagPatternList: ["a*"], countType: sinceImagePushed, countUnit: days, countNumber: 9}, action: {type: expire}}]}}}`)
	s.want(s.run("lifecycle", "lint"), 1, "KON3008")
}

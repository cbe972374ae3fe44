package cli_test

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/kontor-registry/kontor/internal/cli/clitest"
)

// A folder represents the files in it that have an ending of ours.
func TestFolder(t *testing.T) {
	s := clitest.New(t)
	for _, dir := range []string{"d/sub", "d/dir.yaml", "empty"} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	s.Write("d/b.yaml", "ecr_repositories: {bb: {}}")
	s.Write("d/a.json", `{"stack": "folder", "ecr_repositories": {"aa": {}}}`)
	s.Write("d/c.HCL", "ecr_repositories = { cc = {} }")
	s.Write("d/d.tfvars", "ecr_repositories = { dd = {} }\nregion = 5\n")
	s.Write("d/.hidden.yaml", "nonsense: 1")
	s.Write("d/README.md", "nonsense")
	s.Write("d/e.yaml~", "nonsense: 1")
	s.Write("d/sub/x.yaml", "nonsense: 1")
	s.Want(s.Run("validate", "-f", "d"), 0, "stack folder, 4 repositories", "d/d.tfvars:2:1: KON1008: region")
	s.Env["KONTOR_FILE"] = "d"
	s.Want(s.Run("validate"), 0, "4 repositories")
	// in the order of their names
	s.Write("d/f.yaml", "stack: again\necr_repositories: {aa: {}}")
	r := s.Want(s.Run("validate"), 1)
	want := "d/f.yaml:1:1: stack: given twice, first at d/a.json:1:2\nd/f.yaml:2:20: ecr_repositories.aa: given twice, first at d/a.json:1:42\n"
	if !strings.HasSuffix(r.Errors, want) {
		t.Errorf("%q, want %q", r.Errors, want)
	}
	s.Want(s.Run("validate", "-f", "empty"), 1, "kontor: the folder empty has no file whose name ends in .yaml, .yml, .json, .hcl or .tfvars")
}

func TestFmt(t *testing.T) {
	s := clitest.New(t)
	s.Write("kontor.yaml", "stack:   a # why\necr_repositories:\n    app:  {}\n")
	s.Write("good.json", "{\n  \"ecr_repositories\": {}\n}\n")
	s.Write("bad.yaml", "a: [\n")
	s.Write("k.hcl", "stack=\"a\"\n")
	r := s.Want(s.Run("fmt", "--check"), 1, "kontor: 1 file is not formatted: run kontor fmt")
	if r.Out != "kontor.yaml\n" {
		t.Errorf("stdout %q", r.Out)
	}
	s.Want(s.Run("fmt", "--check", "kontor.yaml", "-f", "k.hcl"), 1, "kontor: 2 files are not formatted")
	s.Want(s.Run("fmt", "--check", "good.json"), 0)
	// one file that cannot be parsed does not keep the others back
	r = s.Want(s.Run("fmt", "bad.yaml", "kontor.yaml", "k.hcl", "good.json"), 1, "bad.yaml:1:4: ")
	if r.Out != "kontor.yaml\nk.hcl\n" {
		t.Errorf("stdout %q", r.Out)
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
	if r := s.Want(s.Run("fmt", "kontor.yaml", "k.hcl"), 0); r.Out != "" {
		t.Errorf("formatted again: %q", r.Out)
	}
	entries, err := os.ReadDir(".")
	if err != nil || len(entries) != 4 {
		t.Errorf("files left behind: %v %v", entries, err)
	}
}

func TestFmtStdin(t *testing.T) {
	s := clitest.New(t)
	s.Stdin = "a:   5\n"
	if r := s.Want(s.Run("fmt", "-"), 0); r.Out != "a: 5\n" {
		t.Errorf("%q", r.Out)
	}
	s.Want(s.Run("fmt", "--check", "-"), 1, "1 file is not formatted")
	s.Stdin = "a = 5\n"
	if r := s.Want(s.Run("fmt", "--language", "hcl", "-"), 0); r.Out != "a = 5\n" {
		t.Errorf("%q", r.Out)
	}
	s.Want(s.Run("fmt", "--check", "--language", "hcl", "-"), 0)
	s.Stdin = "a: ["
	s.Want(s.Run("fmt", "-"), 1, "stdin.yaml:1:4: ")
	s.Want(s.Run("fmt", "-", "x.yaml"), 2, "- (stdin) cannot be combined with files")
	s.Want(s.Run("fmt", "--language", "toml", "-"), 2, "--language toml: want yaml, json or hcl")
}

func TestSchemaCommand(t *testing.T) {
	s := clitest.New(t)
	var schema struct {
		ID string `json:"$id"`
	}
	if err := json.Unmarshal([]byte(s.Want(s.Run("schema"), 0).Out), &schema); err != nil || schema.ID == "" {
		t.Error(schema, err)
	}
}

func TestExplain(t *testing.T) {
	s := clitest.New(t)
	s.Want(s.Run("explain", "days"), 0, "expiration_rules.days\n", "  type:      whole number, 1 or more\n", "  becomes:   countNumber of sinceImagePushed\n")
	s.Want(s.Run("explain", "is_immutable"), 0, "  default:   true\n", "  Example:\n\n    ecr_repositories:\n      test:\n        is_immutable: false\n")
	s.Want(s.Run("explain", "registries"), 0, "registries\n", "repository.registries\n")
	s.Want(s.Run("explain", "ecr_repositories.api.keep[0]"), 0, "keep\n", "ECR limit:")
	s.Want(s.Run("explain"), 0, "promotions.tags ", "is_immutable ")
	s.Want(s.Run("explain", "is_imutable"), 2, `there is no field "is_imutable", did you mean is_immutable?`)
	s.Want(s.Run("explain", "zzzzzzzzzzzzz"), 2, `there is no field "zzzzzzzzzzzzz": list all fields with kontor explain`)
	for line := range strings.Lines(s.Want(s.Run("explain", "expiration_rules"), 0).Out) {
		if len(line) > 81 {
			t.Errorf("a long line: %s", line)
		}
	}
	var got struct {
		Fields []struct{ Field, Type string }
	}
	if err := json.Unmarshal([]byte(s.Want(s.Run("explain", "keep", "--json"), 0).Out), &got); err != nil || len(got.Fields) != 1 || got.Fields[0].Field != "keep" {
		t.Errorf("%+v %v", got, err)
	}
	names := strings.Fields(s.Want(s.Run("__complete", "explain", ""), 0).Out)
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
	s := clitest.New(t)
	s.Write("kontor.yaml", twoRegistries)
	r := s.Want(s.Run("render"), 0, "scan on push", "KMS alias/x")
	if strings.Contains(r.Out, "registry us") {
		t.Errorf("registries that are alike:\n%s", r.Out)
	}
	s.Want(s.Run("render", "--json"), 0, `"scan_on_push": true`, `"kms_key": "alias/x"`)
	s.Write("kontor.yaml", twoRegistries+"  tools: {registries: [eu]}\n  other: {overrides: {us: {is_immutable: false}}}\n")
	r = s.Want(s.Run("render"), 0, "registry us, account 111111111111 in us-east-2\n\nother\n", "registry eu, account 111111111111 in eu-west-1\n")
	if strings.Count(r.Out, "\ntools\n") != 1 || strings.Count(r.Out, "MUTABLE") != 5 || strings.Count(r.Out, "IMMUTABLE") != 4 {
		t.Error(r.Out)
	}
	s.Want(s.Run("render", "--json"), 2, "give --target with one of us, eu")
	r = s.Want(s.Run("render", "--json", "--target", "us"), 0, `"repository": "other"`)
	if strings.Contains(r.Out, "tools") {
		t.Error(r.Out)
	}
	s.Want(s.Run("render", "--target", "cn"), 2, `there is no registry "cn" in the file: it has us, eu`)
}

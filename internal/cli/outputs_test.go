package cli_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kontor-registry/kontor/internal/cli/clitest"
	"github.com/kontor-registry/kontor/internal/report/rollout"
)

const outputsFile = `registries:
- {name: prod, account: "111111111111", region: us-east-2}
- {name: cn-north, account: "222222222222", region: cn-north-1}
- {name: desk, account: "333333333333", region: us-east-1, endpoint: "http://[::1]:5050"}
ecr_repositories:
  team/api.v2: {}
  a_b: {}
`

// outputsOf are what the file's outputs must say, read from --json: the form
// that needs no reading of variables.
func outputsOf(t *testing.T, s *clitest.Shell) []rollout.RegistryOutput {
	t.Helper()
	var form struct{ Registries []rollout.RegistryOutput }
	if err := json.Unmarshal([]byte(s.Want(s.Run("outputs", "--json"), 0).Out), &form); err != nil {
		t.Fatal(err)
	}
	return form.Registries
}

// variables are the variables that dotenv has, by their documented names.
func variables(all []rollout.RegistryOutput, prefix string, key func(string) string) map[string]string {
	out := map[string]string{}
	for _, r := range all {
		p := prefix + key(r.Name) + "_"
		out[p+key("registry")], out[p+key("account")], out[p+key("region")] = r.Host, string(r.Account), string(r.Region)
		for _, x := range r.Repositories {
			out[p+key("uri_"+string(x.Name))], out[p+key("arn_"+string(x.Name))] = x.URI, x.ARN
		}
	}
	return out
}

var inKeys = strings.NewReplacer("-", "_", ".", "_", "/", "_")

// TestOutputsAreReadByTheirReaders reads the outputs of three registries as the
// tools do that they are for.
func TestOutputsAreReadByTheirReaders(t *testing.T) {
	s := clitest.New(t)
	s.Write("kontor.yaml", outputsFile)
	all := outputsOf(t, s)
	if len(all) != 3 || all[1].Host != "222222222222.dkr.ecr.cn-north-1.amazonaws.com.cn" ||
		all[1].Repositories[1].ARN != "arn:aws-cn:ecr:cn-north-1:222222222222:repository/team/api.v2" ||
		all[2].Repositories[0].URI != "[::1]:5050/a_b" {
		t.Fatalf("%+v", all)
	}
	dotenv := s.Want(s.Run("outputs", "--format", "dotenv"), 0).Out
	want := variables(all, "KONTOR_", func(x string) string { return strings.ToUpper(inKeys.Replace(x)) })

	// docker --env-file: a line is KEY=VALUE as it stands.
	got := map[string]string{}
	for line := range strings.Lines(dotenv) {
		k, v, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		if _, twice := got[k]; !ok || twice {
			t.Errorf("line %q", line)
		}
		got[k] = v
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("dotenv (-want +got):\n%s", diff)
	}

	// A shell, whose folder has files that brackets could mean.
	s.Write("images.env", dotenv)
	for _, name := range []string{":5050", "1:5050"} {
		if err := os.WriteFile("KONTOR_DESK_REGISTRY="+name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for k, v := range want {
		cmd := exec.CommandContext(t.Context(), "sh", "-euc", `. ./images.env; eval "printf %s \"\$$1\""`, "sh", k)
		if out, err := cmd.CombinedOutput(); err != nil || string(out) != v {
			t.Errorf("in a shell %s is %q, want %q (%v)", k, out, v, err)
		}
	}

	// GitHub Actions, "Workflow commands": name=value, or name<<DELIMITER and
	// lines up to it.
	github := s.Want(s.Run("outputs", "--format", "github"), 0).Out
	got = map[string]string{}
	for line := range strings.Lines(github) {
		k, v, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		if _, twice := got[k]; !ok || twice || strings.Contains(k, "<<") {
			t.Errorf("line %q", line)
		}
		got[k] = v
	}
	var form struct{ Registries []rollout.RegistryOutput }
	if err := json.Unmarshal([]byte(got["json"]), &form); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff(all, form.Registries); diff != "" {
		t.Errorf("the output json (-want +got):\n%s", diff)
	}
	delete(got, "json")
	if diff := cmp.Diff(variables(all, "", inKeys.Replace), got); diff != "" {
		t.Errorf("github (-want +got):\n%s", diff)
	}

	// People: every URI and ARN, under its registry.
	text := s.Want(s.Run("outputs"), 0).Out
	for _, r := range all {
		for _, x := range r.Repositories {
			if !strings.Contains(text, "  "+x.URI+" ") || !strings.Contains(text, " "+x.ARN+"\n") {
				t.Errorf("no %s, %s in\n%s", x.URI, x.ARN, text)
			}
		}
	}
}

// TestOutputsOfGitHubAreAppended: a step's file may have outputs already.
func TestOutputsOfGitHubAreAppended(t *testing.T) {
	s := clitest.New(t)
	s.Write("kontor.yaml", outputsFile)
	s.Write("out", "mine=1\n")
	s.Env["GITHUB_OUTPUT"] = "out"
	if r := s.Want(s.Run("outputs", "--format", "github", "--target", "prod"), 0); r.Out != "" {
		t.Errorf("stdout %q", r.Out)
	}
	b, err := os.ReadFile("out")
	if err != nil || !bytes.HasPrefix(b, []byte("mine=1\nregistry=111111111111.dkr.ecr.us-east-2.amazonaws.com\n")) {
		t.Errorf("%v\n%s", err, b)
	}
}

// TestOutputsAreNoCode: what a shell would run is no value.
func TestOutputsAreNoCode(t *testing.T) {
	s := clitest.New(t)
	s.Write("kontor.yaml", "registries: [{name: prod, account: \"111111111111\", region: us-east-2, endpoint: 'http://$(id)'}]\necr_repositories: {api: {}}\n")
	r := s.Run("outputs", "--format", "dotenv")
	if r.Code != 1 || r.Out != "" || r.Errors == "" {
		t.Errorf("%+v", r)
	}
	s.Write("kontor.yaml", "registries: [{name: prod, account: \"111111111111\", region: us-east-2}]\necr_repositories: {a-b: {}, a.b: {}}\n")
	s.Want(s.Run("outputs", "--format", "dotenv"), 1, "repository a-b and repository a.b both become the variable KONTOR_URI_A_B: use --json")
	s.Want(s.Run("outputs", "--format", "github"), 1, "both become the variable uri_a_b")
}

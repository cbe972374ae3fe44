package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/cli"
	"github.com/kontor-registry/kontor/internal/cli/clitest"
	"github.com/kontor-registry/kontor/internal/cli/command"
	"github.com/kontor-registry/kontor/internal/deploy"
	"github.com/kontor-registry/kontor/internal/deploy/plan"
	"github.com/kontor-registry/kontor/internal/report/rollout"
	"github.com/kontor-registry/kontor/kontortest"
)

func TestUsageErrors(t *testing.T) {
	s := clitest.New(t)
	s.Write("kontor.yaml", clitest.LocalFile)
	tests := []struct {
		args   string
		errors string
	}{
		{"pln", "kontor: unknown command \"pln\", did you mean plan?\nsee kontor -h\n"},
		{"plan --nope", "kontor: unknown flag: --nope\nsee kontor plan -h\n"},
		{"plan extra", "kontor: kontor plan takes no arguments: leave out \"extra\"\nsee kontor plan -h\n"},
		{"plan kontor.yaml", "kontor: kontor plan takes no arguments: to name a file, use kontor plan -f kontor.yaml\nsee kontor plan -h\n"},
		{"completion tcsh", "kontor: unknown command \"tcsh\" for \"kontor completion\", did you mean bash or fish or zsh?\nsee kontor completion -h\n"},
		{"mirrors x --data D", "kontor: unknown command \"x\" for \"kontor mirrors\"\nsee kontor mirrors -h\n"},
		{"mirrors dokcer --data=D -q", "kontor: unknown command \"dokcer\" for \"kontor mirrors\", did you mean docker?\nsee kontor mirrors -h\n"},
		{"admin user x --name a", "kontor: unknown command \"x\" for \"kontor admin user\"\nsee kontor admin user -h\n"},
		{"pln --data D", "kontor: unknown command \"pln\", did you mean plan?\nsee kontor -h\n"},
		{"mirrors --data D", "kontor: unknown flag: --data\nsee kontor mirrors -h\n"},
		{"promote app:v1 --nope", "kontor: unknown flag: --nope\nsee kontor promote -h\n"},
		{"access chekc", "kontor: unknown command \"chekc\" for \"kontor access\", did you mean check?\nsee kontor access -h\n"},
		{"lifecycle explain", "kontor: kontor lifecycle explain takes 1 argument, and got 0: kontor lifecycle explain REPOSITORY:TAG|REPOSITORY@DIGEST [flags]\nsee kontor lifecycle explain -h\n"},
		{"explain a b", "kontor: kontor explain takes at most 1 argument, and got 2: kontor explain [FIELD] [flags]\nsee kontor explain -h\n"},
		{"apply", "kontor: cannot prompt, because stdin is not a terminal: pass --yes\nsee kontor apply -h\n"},
		{"apply --json", "kontor: cannot prompt with --json: pass --yes\nsee kontor apply -h\n"},
		{"outputs --format xml", "kontor: unknown format \"xml\": want text, json, dotenv, env or github\nsee kontor outputs -h\n"},
		{"outputs --format env --json", "kontor: --json and --format env cannot be combined\nsee kontor outputs -h\n"},
		{"plan --target prod", "kontor: there is no registry \"prod\" in the file: it has local\nsee kontor plan -h\n"},
	}
	for _, tt := range tests {
		t.Run(tt.args, func(t *testing.T) {
			r := s.Run(strings.Fields(tt.args)...)
			if diff := cmp.Diff(clitest.Result{Code: 2, Errors: tt.errors}, r); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestFileErrorsAreOneALine(t *testing.T) {
	s := clitest.New(t)
	s.Write("bad.yaml", "ecr_repositories:\n  api: {foo: 1}\n  B: {}\n")
	for _, command := range []string{"validate", "render", "plan", "outputs"} {
		r := s.Want(s.Run(command, "-f", "bad.yaml"), 1)
		lines := strings.Split(strings.TrimSpace(r.Errors), "\n")
		if len(lines) != 2 || !strings.HasPrefix(lines[0], "bad.yaml:2:9: ") || !strings.HasPrefix(lines[1], "bad.yaml:3:3: ") || r.Out != "" {
			t.Errorf("%s: stdout %q, stderr\n%s", command, r.Out, r.Errors)
		}
	}
}

func TestWhichFileIsRead(t *testing.T) {
	s := clitest.New(t)
	s.Want(s.Run("validate"), 1, "there is no kontor.yaml, kontor.yml, kontor.json, kontor.hcl or kontor.tfvars in this folder: pass -f FILE")
	s.Want(s.Run("validate", "-f", "none.yaml"), 1, "kontor: none.yaml does not exist\n")
	s.Write("kontor.json", `{"stack": "from-json", "ecr_repositories": {}}`)
	s.Want(s.Run("validate"), 0, "stack from-json, 0 repositories")
	s.Write("kontor.yaml", clitest.LocalFile)
	s.Want(s.Run("validate"), 1, "there are kontor.yaml and kontor.json in this folder: choose with -f FILE")
	s.Env["KONTOR_FILE"] = "kontor.yaml"
	s.Want(s.Run("validate"), 0, "stack platform, 2 repositories")
	s.Want(s.Run("validate", "-f", "kontor.json"), 0, "stack from-json")
	s.Write("more.yaml", "ecr_repositories: {third: {}}")
	s.Want(s.Run("validate", "-f", "kontor.yaml", "-f", "more.yaml", "--json"), 0, `"repositories": 3`)
}

func TestRender(t *testing.T) {
	s := clitest.New(t)
	s.Write("kontor.yaml", clitest.LocalFile)
	s.Want(s.Run("render"), 0, "tag mutability", "IMMUTABLE", "KontorPull")
	r := s.Want(s.Run("render", "--json"), 0)
	var got struct {
		Repositories []struct {
			Repository string
			Lifecycle  struct{ Rules []any }
			Policy     any
		}
	}
	if err := json.Unmarshal([]byte(r.Out), &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Repositories) != 2 || len(got.Repositories[1].Lifecycle.Rules) != 1 || got.Repositories[1].Policy != nil {
		t.Errorf("render --json: %+v", got)
	}
}

func TestVersion(t *testing.T) {
	s := clitest.New(t)
	s.Want(s.Run("version"), 0, "kontor ", "go1.")
	var v map[string]any
	if err := json.Unmarshal([]byte(s.Want(s.Run("version", "--json"), 0).Out), &v); err != nil || v["version"] == "" {
		t.Errorf("version --json: %v, %v", v, err)
	}
}

func TestPlanAndApply(t *testing.T) {
	reg := kontortest.Start(t)
	s := clitest.New(t)
	clitest.AWSEnv(t, reg.Admin)
	s.Write("kontor.yaml", clitest.RemoteFile(reg))

	s.Want(s.Run("plan"), 0, "+ api: create", "Plan: 2 to create")
	s.Want(s.Run("plan", "--exit-code"), 3, "+ website: create")
	s.Want(s.Run("plan", "--documents"), 0, `+      "Sid": "KontorPull",`)
	var p plan.Set
	if err := json.Unmarshal([]byte(s.Want(s.Run("plan", "--json", "--exit-code"), 3).Out), &p); err != nil || p.Version != plan.SetVersion || p.Pending() != 2 {
		t.Errorf("plan --json: %v, %+v", err, p)
	}

	s.Terminal = true
	s.Stdin = "n\n"
	s.Want(s.Run("apply"), 1, "Change 2 repositories of registry prod (account 000000000000, region us-east-1)? [y/N] ", "kontor: nothing was changed\n")
	s.Stdin = ""
	s.Want(s.Run("apply"), 1, "nothing was changed")
	s.Want(s.Run("plan", "--exit-code"), 3)
	s.Stdin = "y\n"
	s.Want(s.Run("apply"), 0, "api: created", "website: created", "Applied: 2 repositories done.")

	s.Want(s.Run("plan", "--exit-code"), 0, "Plan: nothing to do, 2 repositories are as the file says.")
	s.Terminal, s.Stdin = false, ""
	var applied struct {
		Plan    plan.Set
		Results []deploy.Result
	}
	s.Write("kontor.yaml", clitest.RemoteFile(reg)+"  third: {is_immutable: false}\n")
	if err := json.Unmarshal([]byte(s.Want(s.Run("apply", "--yes", "--json"), 0).Out), &applied); err != nil || applied.Plan.Pending() != 1 || len(applied.Results) != 1 || applied.Results[0].Count(deploy.StatusDone) != 1 {
		t.Errorf("apply --json: %v, %+v", err, applied)
	}
	s.Want(s.Run("apply", "-y"), 0, "nothing to do")

	// Another stack's file names the same repositories.
	s.Write("other.yaml", strings.Replace(clitest.RemoteFile(reg), "stack: platform", "stack: website", 1))
	s.Want(s.Run("plan", "-f", "other.yaml", "--exit-code"), 1, "error KON2002", "the plan cannot be applied: it has 2 errors")
	s.Want(s.Run("apply", "-y", "-f", "other.yaml"), 1, "the plan cannot be applied")
	s.Want(s.Run("plan", "--exit-code"), 0)

	// A repository that left the file stays, and is reported.
	s.Write("kontor.yaml", clitest.RemoteFile(reg))
	s.Want(s.Run("apply", "-y"), 0, "warning KON2001: repository third", "nothing to do")
}

func TestApplyWithoutRights(t *testing.T) {
	reg := kontortest.Start(t)
	s := clitest.New(t)
	clitest.AWSEnv(t, reg.Pusher)
	s.Write("kontor.yaml", clitest.RemoteFile(reg))
	r := s.Want(s.Run("apply", "-y"), 1, "api: failed", "the caller needs ecr:CreateRepository", "2 failed", "kontor: 2 repositories are not as the file says: a further try does not help before what the errors name is changed")
	if strings.Count(r.Errors, "\n") != 1 {
		t.Errorf("stderr:\n%s", r.Errors)
	}
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	s.Want(s.Run("plan"), 1, "kontor: registry prod: no AWS credentials")
}

func TestSeveralRegistries(t *testing.T) {
	reg := kontortest.Start(t)
	s := clitest.New(t)
	clitest.AWSEnv(t, reg.Admin)
	two := func(region, dev string) {
		s.Write("kontor.yaml", strings.Replace(clitest.RemoteFile(reg), "registries:\n", "registries:\n- {name: dev, account: \"111111111111\", region: "+region+dev+"}\n", 1))
	}
	// One that cannot be reached does not hide the other.
	two(reg.Region, ", endpoint: \""+reg.URL+"\"")
	s.Want(s.Run("plan"), 1, "Registry prod", "Plan: 2 to create", "could not be read: registry dev is in account 111111111111, but the credentials belong to",
		"All registries: 2 changes, 1 could not be read.")
	s.Want(s.Run("plan", "-o", "next.plan"), 1, "next.plan was not written")
	if _, err := os.Stat("next.plan"); err == nil {
		t.Error("next.plan was written")
	}
	two("eu-west-1", "")
	s.Want(s.Run("plan", "--target", "nope"), 2, `there is no registry "nope" in the file: it has dev, prod`)
	s.Want(s.Run("plan", "--target", "prod"), 0, "Registry prod")
	s.Env["KONTOR_TARGET"] = "prod"
	s.Want(s.Run("plan"), 0, "Registry prod")
	s.Want(s.Run("__complete", "plan", "--target", ""), 0, "dev\nprod\n")

	s.Env["KONTOR_TARGET"] = ""
	s.Want(s.Run("outputs"), 0, "111111111111.dkr.ecr.eu-west-1.amazonaws.com/api", reg.Host+"/website")
	s.Want(s.Run("outputs", "--format", "env"), 2, "choose one with --target")
	r := s.Want(s.Run("outputs", "--format", "env", "--target", "dev"), 0)
	want := `KONTOR_REGISTRY=111111111111.dkr.ecr.eu-west-1.amazonaws.com
KONTOR_ACCOUNT=111111111111
KONTOR_REGION=eu-west-1
KONTOR_URI_API=111111111111.dkr.ecr.eu-west-1.amazonaws.com/api
KONTOR_ARN_API=arn:aws:ecr:eu-west-1:111111111111:repository/api
KONTOR_URI_WEBSITE=111111111111.dkr.ecr.eu-west-1.amazonaws.com/website
KONTOR_ARN_WEBSITE=arn:aws:ecr:eu-west-1:111111111111:repository/website
`
	if diff := cmp.Diff(want, r.Out); diff != "" {
		t.Errorf("outputs --format env (-want +got):\n%s", diff)
	}
	var o struct{ Registries []rollout.RegistryOutput }
	if err := json.Unmarshal([]byte(s.Want(s.Run("outputs", "--json"), 0).Out), &o); err != nil || len(o.Registries) != 2 {
		t.Errorf("outputs --json: %v, %+v", err, o)
	}
}

// TestWithoutRegistriesNothingGoesToAWS has the environment point to a
// stranger, and counts what reaches it.
func TestWithoutRegistriesNothingGoesToAWS(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("a request went to $AWS_ENDPOINT_URL: %s %s", r.Method, r.Header.Get("X-Amz-Target"))
	})}
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(l) }()
	t.Cleanup(func() {
		if err := srv.Close(); err != nil {
			t.Error(err)
		}
		if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	s := clitest.New(t)
	clitest.AWSEnv(t, kontortest.Credentials{AccessKeyID: "AKIAIOSFODNN7EXAMPLE", SecretAccessKey: "secret"})
	t.Setenv("AWS_ENDPOINT_URL", "http://"+l.Addr().String())
	s.Env["KONTOR_DATA"] = t.TempDir()
	s.Write("kontor.yaml", clitest.LocalFile)
	s.Want(s.Run("plan", "--exit-code"), 3, "Registry local", "2 to create")
	s.Want(s.Run("apply", "--yes"), 0, "2 repositories done")
	s.Want(s.Run("plan", "--exit-code"), 0, "nothing to do")
	s.Want(s.Run("outputs"), 0, "localhost:5050/api", "arn:aws:ecr:us-east-1:000000000000:repository/website")
}

func TestEveryCommandHelps(t *testing.T) {
	s := clitest.New(t)
	s.Want(s.Run(), 0, "Usage:", "plan", "Exit codes:")
	var walk func(*cobra.Command)
	walk = func(c *cobra.Command) {
		for _, sub := range c.Commands() {
			if sub.Name() != "help" && sub.Name() != "completion" {
				walk(sub)
			}
		}
		args := append(strings.Fields(c.CommandPath())[1:], "-h")
		r := s.Run(args...)
		i, j := strings.Index(r.Out, "\nExit codes:\n"), strings.Index(r.Out, "\nExample:\n")
		if r.Code != 0 || i < 0 || j < i || c.Short == "" {
			t.Errorf("kontor %v: exit code %d, help does not end with exit codes and an example:\n%s", args, r.Code, r.Out)
		}
	}
	walk(cli.New(&command.Env{}))
	for _, sh := range []string{"bash", "zsh", "fish", "powershell"} {
		s.Want(s.Run("completion", sh), 0, "kontor")
	}
	s.Want(s.Run("__complete", "plan", "-f", ""), 0, "yaml\nyml\njson\n")
}

func TestDataFolder(t *testing.T) {
	s := clitest.New(t)
	s.Write("kontor.yaml", clitest.LocalFile)
	home := s.Env["HOME"]
	for _, tt := range []struct {
		name string
		env  map[string]string
		want string
	}{
		{"KONTOR_DATA", map[string]string{"KONTOR_DATA": home + "/a", "XDG_STATE_HOME": home + "/b"}, home + "/a"},
		{"XDG_STATE_HOME", map[string]string{"XDG_STATE_HOME": home + "/b"}, home + "/b/kontor"},
		{"a relative XDG_STATE_HOME is ignored", map[string]string{"XDG_STATE_HOME": "b", "HOME": home}, home + "/.local/state/kontor"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s.Env = maps.Clone(tt.env)
			s.T = t
			s.Want(s.Run("outputs"), 0)
			entries, err := os.ReadDir(tt.want)
			if err != nil || len(entries) == 0 {
				t.Errorf("nothing in %s: %v (%v)", tt.want, err, slices.Collect(maps.Values(tt.env)))
			}
		})
	}
	s.Env, s.T = map[string]string{}, t
	s.Want(s.Run("outputs"), 2, "neither HOME nor XDG_STATE_HOME is set: pass --data DIR")
}

// TestInterrupted: an interrupt is said once, however many registries it is
// about, and what else is wrong is said, too.
func TestInterrupted(t *testing.T) {
	reg := kontortest.Start(t)
	s := clitest.New(t)
	clitest.AWSEnv(t, reg.Admin)
	s.Write("kontor.yaml", strings.Replace(clitest.RemoteFile(reg), "registries:\n", "registries:\n- {name: dev, account: \""+reg.Account+"\", region: eu-west-1, endpoint: \""+reg.URL+"\"}\n", 1))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, args := range [][]string{{"plan"}, {"apply", "-y"}, {"destroy", "-y"}} {
		var out, errs bytes.Buffer
		e := &command.Env{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs, Getenv: func(string) string { return "" }}
		if code := cli.Run(ctx, e, args); code != 1 || errs.String() != "kontor: interrupted\n" {
			t.Errorf("%v: exit code %d, stderr\n%s", args, code, errs.String())
		}
	}
}

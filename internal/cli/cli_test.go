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
	"github.com/kontor-registry/kontor/internal/deploy"
	"github.com/kontor-registry/kontor/internal/deploy/plan"
	"github.com/kontor-registry/kontor/internal/report/rollout"
	"github.com/kontor-registry/kontor/kontortest"
)

// shell runs kontor in an empty folder and an environment of its own.
type shell struct {
	t        *testing.T
	env      map[string]string
	stdin    string
	terminal bool // stdin is one
}

// result is what a run left behind.
type result struct {
	code        int
	out, errors string
}

func newShell(t *testing.T) *shell {
	t.Helper()
	t.Chdir(t.TempDir())
	return &shell{t: t, env: map[string]string{"HOME": t.TempDir()}}
}

func (s *shell) run(args ...string) result {
	s.t.Helper()
	var out, errs bytes.Buffer
	stdin := strings.NewReader(s.stdin)
	e := &cli.Env{
		Stdin: stdin, Stdout: &out, Stderr: &errs,
		Getenv:     func(k string) string { return s.env[k] },
		IsTerminal: func(stream any) bool { return s.terminal && stream == any(stdin) },
	}
	code := e.Run(s.t.Context(), args)
	return result{code, out.String(), errs.String()}
}

// want fails unless r has the exit code and all of the words in either stream.
func (s *shell) want(r result, code int, words ...string) result {
	s.t.Helper()
	if r.code != code {
		s.t.Fatalf("exit code %d, want %d\n%s%s", r.code, code, r.out, r.errors)
	}
	for _, w := range words {
		if !strings.Contains(r.out, w) && !strings.Contains(r.errors, w) {
			s.t.Errorf("no %q in\n%s%s", w, r.out, r.errors)
		}
	}
	return r
}

func (s *shell) write(name, text string) {
	s.t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

const localFile = `stack: platform
ecr_repositories:
  api:
    additional_pull_account_ids: ["333333333333"]
  website: {}
`

// remoteFile names reg as a registry that is not the local one.
func remoteFile(reg *kontortest.Registry) string {
	return "registries:\n- {name: prod, account: \"" + reg.Account + "\", region: " + reg.Region + ", endpoint: \"" + reg.URL + "\"}\n" + localFile
}

// awsEnv lets the AWS SDK, which reads the process's environment, find c.
func awsEnv(t *testing.T, c kontortest.Credentials) {
	t.Helper()
	for _, e := range os.Environ() {
		if name, _, _ := strings.Cut(e, "="); strings.HasPrefix(name, "AWS_") {
			t.Setenv(name, "")
		}
	}
	t.Setenv("HOME", t.TempDir())
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	t.Setenv("AWS_ACCESS_KEY_ID", c.AccessKeyID)
	t.Setenv("AWS_SECRET_ACCESS_KEY", c.SecretAccessKey)
}

func TestUsageErrors(t *testing.T) {
	s := newShell(t)
	s.write("kontor.yaml", localFile)
	tests := []struct {
		args   string
		errors string
	}{
		{"pln", "kontor: unknown command \"pln\", did you mean plan?\nsee kontor -h\n"},
		{"plan --nope", "kontor: unknown flag: --nope\nsee kontor plan -h\n"},
		{"plan extra", "kontor: kontor plan takes no arguments: leave out \"extra\"\nsee kontor plan -h\n"},
		{"plan kontor.yaml", "kontor: kontor plan takes no arguments: to name a file, use kontor plan -f kontor.yaml\nsee kontor plan -h\n"},
		{"completion tcsh", "kontor: unknown command \"tcsh\" for \"kontor completion\", did you mean bash or fish or zsh?\nsee kontor completion -h\n"},
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
			r := s.run(strings.Fields(tt.args)...)
			if diff := cmp.Diff(result{2, "", tt.errors}, r, cmp.AllowUnexported(result{})); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestFileErrorsAreOneALine(t *testing.T) {
	s := newShell(t)
	s.write("bad.yaml", "ecr_repositories:\n  api: {foo: 1}\n  B: {}\n")
	for _, command := range []string{"validate", "render", "plan", "outputs"} {
		r := s.want(s.run(command, "-f", "bad.yaml"), 1)
		lines := strings.Split(strings.TrimSpace(r.errors), "\n")
		if len(lines) != 2 || !strings.HasPrefix(lines[0], "bad.yaml:2:9: ") || !strings.HasPrefix(lines[1], "bad.yaml:3:3: ") || r.out != "" {
			t.Errorf("%s: stdout %q, stderr\n%s", command, r.out, r.errors)
		}
	}
}

func TestWhichFileIsRead(t *testing.T) {
	s := newShell(t)
	s.want(s.run("validate"), 1, "there is no kontor.yaml, kontor.yml, kontor.json, kontor.hcl or kontor.tfvars in this folder: pass -f FILE")
	s.want(s.run("validate", "-f", "none.yaml"), 1, "kontor: none.yaml does not exist\n")
	s.write("kontor.json", `{"stack": "from-json", "ecr_repositories": {}}`)
	s.want(s.run("validate"), 0, "stack from-json, 0 repositories")
	s.write("kontor.yaml", localFile)
	s.want(s.run("validate"), 1, "there are kontor.yaml and kontor.json in this folder: choose with -f FILE")
	s.env["KONTOR_FILE"] = "kontor.yaml"
	s.want(s.run("validate"), 0, "stack platform, 2 repositories")
	s.want(s.run("validate", "-f", "kontor.json"), 0, "stack from-json")
	s.write("more.yaml", "ecr_repositories: {third: {}}")
	s.want(s.run("validate", "-f", "kontor.yaml", "-f", "more.yaml", "--json"), 0, `"repositories": 3`)
}

func TestRender(t *testing.T) {
	s := newShell(t)
	s.write("kontor.yaml", localFile)
	s.want(s.run("render"), 0, "tag mutability", "IMMUTABLE", "KontorPull")
	r := s.want(s.run("render", "--json"), 0)
	var got struct {
		Repositories []struct {
			Repository string
			Lifecycle  struct{ Rules []any }
			Policy     any
		}
	}
	if err := json.Unmarshal([]byte(r.out), &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Repositories) != 2 || len(got.Repositories[1].Lifecycle.Rules) != 1 || got.Repositories[1].Policy != nil {
		t.Errorf("render --json: %+v", got)
	}
}

func TestVersion(t *testing.T) {
	s := newShell(t)
	s.want(s.run("version"), 0, "kontor ", "go1.")
	var v map[string]any
	if err := json.Unmarshal([]byte(s.want(s.run("version", "--json"), 0).out), &v); err != nil || v["version"] == "" {
		t.Errorf("version --json: %v, %v", v, err)
	}
}

func TestPlanAndApply(t *testing.T) {
	reg := kontortest.Start(t)
	s := newShell(t)
	awsEnv(t, reg.Admin)
	s.write("kontor.yaml", remoteFile(reg))

	s.want(s.run("plan"), 0, "+ api: create", "Plan: 2 to create")
	s.want(s.run("plan", "--exit-code"), 3, "+ website: create")
	s.want(s.run("plan", "--documents"), 0, `+      "Sid": "KontorPull",`)
	var p plan.Set
	if err := json.Unmarshal([]byte(s.want(s.run("plan", "--json", "--exit-code"), 3).out), &p); err != nil || p.Version != plan.SetVersion || p.Pending() != 2 {
		t.Errorf("plan --json: %v, %+v", err, p)
	}

	s.terminal = true
	s.stdin = "n\n"
	s.want(s.run("apply"), 1, "Change 2 repositories of registry prod (account 000000000000, region us-east-1)? [y/N] ", "kontor: nothing was changed\n")
	s.stdin = ""
	s.want(s.run("apply"), 1, "nothing was changed")
	s.want(s.run("plan", "--exit-code"), 3)
	s.stdin = "y\n"
	s.want(s.run("apply"), 0, "api: created", "website: created", "Applied: 2 repositories done.")

	s.want(s.run("plan", "--exit-code"), 0, "Plan: nothing to do, 2 repositories are as the file says.")
	s.terminal, s.stdin = false, ""
	var applied struct {
		Plan    plan.Set
		Results []deploy.Result
	}
	s.write("kontor.yaml", remoteFile(reg)+"  third: {is_immutable: false}\n")
	if err := json.Unmarshal([]byte(s.want(s.run("apply", "--yes", "--json"), 0).out), &applied); err != nil || applied.Plan.Pending() != 1 || len(applied.Results) != 1 || applied.Results[0].Count(deploy.StatusDone) != 1 {
		t.Errorf("apply --json: %v, %+v", err, applied)
	}
	s.want(s.run("apply", "-y"), 0, "nothing to do")

	// Another stack's file names the same repositories.
	s.write("other.yaml", strings.Replace(remoteFile(reg), "stack: platform", "stack: website", 1))
	s.want(s.run("plan", "-f", "other.yaml", "--exit-code"), 1, "error KON2002", "the plan cannot be applied: it has 2 errors")
	s.want(s.run("apply", "-y", "-f", "other.yaml"), 1, "the plan cannot be applied")
	s.want(s.run("plan", "--exit-code"), 0)

	// A repository that left the file stays, and is reported.
	s.write("kontor.yaml", remoteFile(reg))
	s.want(s.run("apply", "-y"), 0, "warning KON2001: repository third", "nothing to do")
}

func TestApplyWithoutRights(t *testing.T) {
	reg := kontortest.Start(t)
	s := newShell(t)
	awsEnv(t, reg.Pusher)
	s.write("kontor.yaml", remoteFile(reg))
	r := s.want(s.run("apply", "-y"), 1, "api: failed", "the caller needs ecr:CreateRepository", "2 failed", "kontor: 2 repositories are not as the file says: a further try does not help before what the errors name is changed")
	if strings.Count(r.errors, "\n") != 1 {
		t.Errorf("stderr:\n%s", r.errors)
	}
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	s.want(s.run("plan"), 1, "kontor: registry prod: no AWS credentials")
}

func TestSeveralRegistries(t *testing.T) {
	reg := kontortest.Start(t)
	s := newShell(t)
	awsEnv(t, reg.Admin)
	two := func(region, dev string) {
		s.write("kontor.yaml", strings.Replace(remoteFile(reg), "registries:\n", "registries:\n- {name: dev, account: \"111111111111\", region: "+region+dev+"}\n", 1))
	}
	// One that cannot be reached does not hide the other.
	two(reg.Region, ", endpoint: \""+reg.URL+"\"")
	s.want(s.run("plan"), 1, "Registry prod", "Plan: 2 to create", "could not be read: registry dev is in account 111111111111, but the credentials belong to",
		"All registries: 2 changes, 1 could not be read.")
	s.want(s.run("plan", "-o", "next.plan"), 1, "next.plan was not written")
	if _, err := os.Stat("next.plan"); err == nil {
		t.Error("next.plan was written")
	}
	two("eu-west-1", "")
	s.want(s.run("plan", "--target", "nope"), 2, `there is no registry "nope" in the file: it has dev, prod`)
	s.want(s.run("plan", "--target", "prod"), 0, "Registry prod")
	s.env["KONTOR_TARGET"] = "prod"
	s.want(s.run("plan"), 0, "Registry prod")
	s.want(s.run("__complete", "plan", "--target", ""), 0, "dev\nprod\n")

	s.env["KONTOR_TARGET"] = ""
	s.want(s.run("outputs"), 0, "111111111111.dkr.ecr.eu-west-1.amazonaws.com/api", reg.Host+"/website")
	s.want(s.run("outputs", "--format", "env"), 2, "choose one with --target")
	r := s.want(s.run("outputs", "--format", "env", "--target", "dev"), 0)
	want := `KONTOR_REGISTRY=111111111111.dkr.ecr.eu-west-1.amazonaws.com
KONTOR_ACCOUNT=111111111111
KONTOR_REGION=eu-west-1
KONTOR_URI_API=111111111111.dkr.ecr.eu-west-1.amazonaws.com/api
KONTOR_ARN_API=arn:aws:ecr:eu-west-1:111111111111:repository/api
KONTOR_URI_WEBSITE=111111111111.dkr.ecr.eu-west-1.amazonaws.com/website
KONTOR_ARN_WEBSITE=arn:aws:ecr:eu-west-1:111111111111:repository/website
`
	if diff := cmp.Diff(want, r.out); diff != "" {
		t.Errorf("outputs --format env (-want +got):\n%s", diff)
	}
	var o struct{ Registries []rollout.RegistryOutput }
	if err := json.Unmarshal([]byte(s.want(s.run("outputs", "--json"), 0).out), &o); err != nil || len(o.Registries) != 2 {
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
	s := newShell(t)
	awsEnv(t, kontortest.Credentials{AccessKeyID: "AKIAIOSFODNN7EXAMPLE", SecretAccessKey: "secret"})
	t.Setenv("AWS_ENDPOINT_URL", "http://"+l.Addr().String())
	s.env["KONTOR_DATA"] = t.TempDir()
	s.write("kontor.yaml", localFile)
	s.want(s.run("plan", "--exit-code"), 3, "Registry local", "2 to create")
	s.want(s.run("apply", "--yes"), 0, "2 repositories done")
	s.want(s.run("plan", "--exit-code"), 0, "nothing to do")
	s.want(s.run("outputs"), 0, "localhost:5050/api", "arn:aws:ecr:us-east-1:000000000000:repository/website")
}

func TestEveryCommandHelps(t *testing.T) {
	s := newShell(t)
	s.want(s.run(), 0, "Usage:", "plan", "Exit codes:")
	var walk func(*cobra.Command)
	walk = func(c *cobra.Command) {
		for _, sub := range c.Commands() {
			if sub.Name() != "help" && sub.Name() != "completion" {
				walk(sub)
			}
		}
		args := append(strings.Fields(c.CommandPath())[1:], "-h")
		r := s.run(args...)
		i, j := strings.Index(r.out, "\nExit codes:\n"), strings.Index(r.out, "\nExample:\n")
		if r.code != 0 || i < 0 || j < i || c.Short == "" {
			t.Errorf("kontor %v: exit code %d, help does not end with exit codes and an example:\n%s", args, r.code, r.out)
		}
	}
	walk(cli.New(&cli.Env{}))
	for _, sh := range []string{"bash", "zsh", "fish", "powershell"} {
		s.want(s.run("completion", sh), 0, "kontor")
	}
	s.want(s.run("__complete", "plan", "-f", ""), 0, "yaml\nyml\njson\n")
}

func TestDataFolder(t *testing.T) {
	s := newShell(t)
	s.write("kontor.yaml", localFile)
	home := s.env["HOME"]
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
			s.env = maps.Clone(tt.env)
			s.t = t
			s.want(s.run("outputs"), 0)
			entries, err := os.ReadDir(tt.want)
			if err != nil || len(entries) == 0 {
				t.Errorf("nothing in %s: %v (%v)", tt.want, err, slices.Collect(maps.Values(tt.env)))
			}
		})
	}
	s.env, s.t = map[string]string{}, t
	s.want(s.run("outputs"), 2, "neither HOME nor XDG_STATE_HOME is set: pass --data DIR")
}

// TestInterrupted: an interrupt is said once, however many registries it is
// about, and what else is wrong is said, too.
func TestInterrupted(t *testing.T) {
	reg := kontortest.Start(t)
	s := newShell(t)
	awsEnv(t, reg.Admin)
	s.write("kontor.yaml", strings.Replace(remoteFile(reg), "registries:\n", "registries:\n- {name: dev, account: \""+reg.Account+"\", region: eu-west-1, endpoint: \""+reg.URL+"\"}\n", 1))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, args := range [][]string{{"plan"}, {"apply", "-y"}, {"destroy", "-y"}} {
		var out, errs bytes.Buffer
		e := &cli.Env{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs, Getenv: func(string) string { return "" }}
		if code := e.Run(ctx, args); code != 1 || errs.String() != "kontor: interrupted\n" {
			t.Errorf("%v: exit code %d, stderr\n%s", args, code, errs.String())
		}
	}
}

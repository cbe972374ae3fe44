package opentofu

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// Programs under test, and the stand-in for the AWS provider.
var (
	kontorBin = os.Getenv("KONTOR_BIN")
	tofuBin   = os.Getenv("TOFU_BIN")
	provider  = os.Getenv("PROVIDER_BIN")
)

func TestMain(m *testing.M) {
	if kontorBin == "" || tofuBin == "" || provider == "" {
		fmt.Fprintln(os.Stderr, "KONTOR_BIN, TOFU_BIN and PROVIDER_BIN are not set: run `go run ./test/all -only opentofu` in the root of the project")
		os.Exit(1)
	}
	os.Exit(m.Run())
}

const accounts = `registries:
  - {name: staging, account: "111111111111", region: us-east-1}
  - {name: prod, account: "222222222222", region: eu-central-1}
ecr_repositories: {}
`

// file has every kind of setting that a repository can have.
const file = `stack: platform
registries:
  - {name: staging, account: "111111111111", region: us-east-1, profile: staging, endpoint: "http://%s"}
  - {name: prod, account: "222222222222", region: eu-central-1, profile: prod, endpoint: "http://%s"}
defaults:
  tags: {team: platform, "a b": "x=y", ü: ""}
ecr_repositories:
  website: {}
  team/api:
    additional_pull_account_ids: ["333333333333"]
    additional_push_account_ids: ["444444444444"]
    keep_last_images: 20
    expire_untagged_after_days: 3
  team.api: {is_immutable: false, immutable_tags: ["v*", "release-*"]}
  cache: {is_immutable: false, expire_all_images: true}
  0day: {mutable_tags: [latest], scan_on_push: true}
  raw:
    lifecycle_policy_json: '{"rules":[{"rulePriority":7,"description":"$${x} %%%%{y} \"q\"","selection":{"tagStatus":"tagged","tagPatternList":["pr-*"],"countType":"sinceImagePushed","countUnit":"days","countNumber":2},"action":{"type":"expire"}}]}'
    repository_policy_json: '{"Version":"2012-10-17","Statement":[{"Sid":"A","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::555555555555:root"},"Action":["ecr:BatchGetImage","ecr:GetDownloadUrlForLayer"],"Condition":{"StringLike":{"aws:PrincipalArn":"arn:aws:iam::*:role/$${aws:username}-*"}}}]}'
`

// TestExport: OpenTofu finds nothing to format in what was exported, and its first plan
// imports everything and changes nothing; what changes afterwards, it sees. The state
// that it writes is read back by `kontor import`, and means the same as the file.
func TestExport(t *testing.T) {
	w := start(t)
	w.ok(kontorBin, "export", "terraform", "-f", "kontor.yaml", "-o", "tf")
	w.tofu("fmt", "-check", "-diff")
	w.tofu("validate")
	resources := strings.Count(w.read("tf/staging.tf")+w.read("tf/prod.tf"), "\nresource \"")
	if resources < 20 {
		t.Fatalf("%d resources were exported", resources)
	}
	if got, want := w.tofu("plan", "-lock=false"), fmt.Sprintf("Plan: %d to import, 0 to add, 0 to change, 0 to destroy.", resources); !strings.Contains(got, want) {
		t.Fatalf("the first plan lacks %q:\n%s", want, got)
	}
	w.tofu("apply", "-auto-approve", "-lock=false")
	if got := w.tofu("plan", "-lock=false"); !strings.Contains(got, "No changes.") {
		t.Errorf("the second plan:\n%s", got)
	}

	w.ok(kontorBin, "import", "tf/terraform.tfstate", "-o", "back.yaml")
	// The state is of the real tool, and not of our own writing.
	back := w.read("back.yaml")
	for _, setting := range []string{"website:", "team/api:", "team.api:", "keep_last_images: 20", "expire_untagged_after_days: 3", "expire_all_images: true",
		"mutable_tags:", "scan_on_push: true", `additional_push_account_ids: ["444444444444"]`, "release-*", "pr-*"} {
		t.Run(setting, func(t *testing.T) {
			if !strings.Contains(back, setting) {
				t.Errorf("what was read of the state lacks %s:\n%s", setting, back)
			}
		})
	}

	w.write("kontor.yaml", strings.Replace(w.read("kontor.yaml"), "scan_on_push: true", "scan_on_push: false", 1))
	w.ok(kontorBin, "apply", "--yes")
	if got := w.tofu("plan", "-lock=false"); !strings.Contains(got, "Plan: 0 to add, 2 to change, 0 to destroy.") {
		t.Errorf("after a change by another, the plan is\n%s", got)
	}
}

// TestModule: the module is formatted, and valid for the provider.
func TestModule(t *testing.T) {
	w := &world{t: t, home: t.TempDir()}
	w.settings()
	module, err := filepath.Abs("../../contrib/terraform")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(filepath.Join(w.home, "tf"), os.DirFS(module)); err != nil {
		t.Fatal(err)
	}
	w.tofu("fmt", "-check", "-diff")
	w.tofu("validate")
}

// world is two accounts of one server, and a folder.
type world struct {
	t    *testing.T
	home string
}

// settings has OpenTofu take the stand-in for the AWS provider.
func (w *world) settings() {
	w.t.Helper()
	w.write("tofu.rc", fmt.Sprintf("provider_installation {\n  dev_overrides { \"hashicorp/aws\" = %q }\n  direct {}\n}\n", filepath.Dir(provider)))
}

func start(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, home: t.TempDir()}
	w.settings()
	w.write("accounts.yaml", accounts)
	cmd := exec.Command(kontorBin, "up", "--data", "data", "--listen", "localhost:0", "-f", "accounts.yaml")
	cmd.Dir, cmd.Env = w.home, w.environ()
	var out safeBuffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		if err := cmd.Process.Signal(os.Interrupt); err != nil {
			t.Error(err)
		}
		if err := <-ended; err != nil {
			t.Errorf("kontor up ended with %v\n%s", err, out.String())
		}
	})
	for deadline := time.Now().Add(time.Minute); !strings.Contains(out.String(), "Press Ctrl-C"); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("kontor up is not ready\n%s", out.String())
		}
	}
	var config string
	hosts := map[string]string{}
	for _, target := range []string{"staging", "prod"} {
		var env map[string]string
		if err := json.Unmarshal([]byte(w.ok(kontorBin, "env", "--data", "data", "--target", target, "--format", "json")), &env); err != nil {
			t.Fatal(err)
		}
		hosts[target] = env["KONTOR_REGISTRY"]
		config += fmt.Sprintf("[profile %s]\naws_access_key_id = %s\naws_secret_access_key = %s\n", target, env["AWS_ACCESS_KEY_ID"], env["AWS_SECRET_ACCESS_KEY"])
	}
	w.write("aws.config", config)
	w.write("kontor.yaml", fmt.Sprintf(file, hosts["staging"], hosts["prod"]))
	w.ok(kontorBin, "apply", "--yes")
	return w
}

func (w *world) environ() []string {
	schema, err := filepath.Abs("../../internal/deploy/exporter/testdata/terraform-schema.json")
	if err != nil {
		w.t.Fatal(err)
	}
	return []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + w.home, "TMPDIR=" + os.TempDir(), "PROVIDER_SCHEMA=" + schema,
		"TF_CLI_CONFIG_FILE=" + filepath.Join(w.home, "tofu.rc"), "CHECKPOINT_DISABLE=1", "NO_COLOR=1",
		"AWS_CONFIG_FILE=" + filepath.Join(w.home, "aws.config"), "AWS_EC2_METADATA_DISABLED=true",
	}
}

func (w *world) write(name, text string) {
	w.t.Helper()
	if err := os.WriteFile(filepath.Join(w.home, name), []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) read(name string) string {
	w.t.Helper()
	b, err := os.ReadFile(filepath.Join(w.home, name))
	if err != nil {
		w.t.Fatal(err)
	}
	return string(b)
}

// tofu runs OpenTofu in the folder tf.
func (w *world) tofu(args ...string) string {
	w.t.Helper()
	flags := []string{"-no-color"}
	if args[0] == "plan" || args[0] == "apply" {
		flags = append(flags, "-input=false")
	}
	return w.ok(tofuBin, append(append([]string{"-chdir=tf", args[0]}, flags...), args[1:]...)...)
}

func (w *world) ok(program string, args ...string) string {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir, cmd.Env = w.home, w.environ()
	out, err := cmd.CombinedOutput()
	if err != nil {
		w.t.Fatalf("%s %s: %v\n%s", filepath.Base(program), strings.Join(args, " "), err, out)
	}
	return string(out)
}

// safeBuffer is written by a process while it is read.
type safeBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer // guarded by mu
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

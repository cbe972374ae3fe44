package clients

import (
	"os/exec"
	"path/filepath"
	"testing"
)

// exported has every setting that the AWS CLI sets.
const exported = `stack: cli
ecr_repositories:
  team/all:
    mutable_tags: [latest, "dev-*"]
    scan_on_push: true
    expiration_rules: [{tag_pattern: "pr-*", days: 7}, {tag_pattern: "v*", keep_last: 5}]
    keep_last_images: 100
    additional_pull_account_ids: ["333333333333"]
    additional_push_account_ids: ["444444444444"]
    tags: {team: "web: a/b"}
  team/none:
    is_immutable: false
    expire_untagged_after_days: never
`

// The script that kontor export awscli writes, run by the AWS CLI, makes what the
// file wants: nothing is left for a plan, the first time and after changes by hand.
func TestExportedScript(t *testing.T) {
	t.Parallel()
	k := up(t)
	k.write(exported)
	dir := filepath.Join(k.home, "export")
	k.ok(kontorBin, "export", "awscli", "--offline", "-f", k.file, "-o", dir)
	planned := func(when string) {
		t.Helper()
		if out, errs, err := k.run(kontorBin, "plan", "-f", k.file, "--data", k.data, "--exit-code"); err != nil {
			t.Errorf("%s: the plan is not empty: %v\n%s%s", when, err, out, errs)
		}
	}
	apply := func() {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), filepath.Join(dir, "apply.sh")) // which calls the AWS CLI many times
		cmd.Env = k.environ()
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("apply.sh: %v\n%s", err, out)
		}
	}
	if _, _, err := k.run(kontorBin, "plan", "-f", k.file, "--data", k.data, "--exit-code"); err == nil {
		t.Error("the plan is empty before the script has run")
	}
	apply()
	planned("after the first run")

	k.aws(nil, "ecr", "put-image-tag-mutability", "--repository-name", "team/all", "--image-tag-mutability", "MUTABLE")
	k.aws(nil, "ecr", "delete-repository-policy", "--repository-name", "team/all")
	k.aws(nil, "ecr", "put-lifecycle-policy", "--repository-name", "team/none", "--lifecycle-policy-text", cliLifecycle)
	apply()
	planned("after changes by hand and another run")
}

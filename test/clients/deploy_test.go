package clients

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
)

func abs(t *testing.T, name string) string {
	t.Helper()
	p, err := filepath.Abs(name)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestDeployChangeDeploy changes the deployed file and deploys it again, and
// looks with the AWS CLI at what came of it.
func TestDeployChangeDeploy(t *testing.T) {
	t.Parallel()
	k := up(t)
	deployer := func(args ...string) []string {
		return append(args, "-f", k.file, "--data", k.data)
	}
	k.ok(kontorBin, deployer("plan", "--exit-code")...) // up has deployed it

	k.push("website", "v1")
	k.write(strings.NewReplacer("website: {}", "website: {is_immutable: false}", `days: 7`, `days: 9`).Replace(file) + "  another: {}\n")
	if _, _, err := k.run(kontorBin, deployer("plan", "--exit-code")...); err == nil || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("plan --exit-code of a changed file: %v", err)
	}
	k.ok(kontorBin, deployer("apply", "-y")...)
	k.ok(kontorBin, deployer("plan", "--exit-code")...)

	var described struct {
		Repositories []struct{ RepositoryName, ImageTagMutability string }
	}
	k.aws(&described, "ecr", "describe-repositories", "--repository-names", "website", "another")
	if r := described.Repositories; len(r) != 2 || r[0].ImageTagMutability != "MUTABLE" || r[1].ImageTagMutability != "IMMUTABLE" {
		t.Errorf("after the change: %+v", r)
	}
	var policy struct{ LifecyclePolicyText string }
	k.aws(&policy, "ecr", "get-lifecycle-policy", "--repository-name", "scraper")
	if !strings.Contains(policy.LifecyclePolicyText, `"countNumber":9`) {
		t.Errorf("the changed rule did not arrive: %s", policy.LifecyclePolicyText)
	}
	// The image is still there, and its tag can now move.
	k.ok(skopeoBin, "copy", "--dest-tls-verify=false", "oci:"+k.otherImage(), "docker://"+k.host+"/website:v1")

	var outputs struct {
		Registries []struct {
			Repositories []struct{ URI string }
		}
	}
	if err := json.Unmarshal(k.ok(kontorBin, deployer("outputs", "--json")...), &outputs); err != nil {
		t.Fatal(err)
	}
	if len(outputs.Registries) != 1 || len(outputs.Registries[0].Repositories) != 5 ||
		outputs.Registries[0].Repositories[0].URI != k.host+"/another" {
		t.Errorf("outputs: %+v", outputs)
	}
}

// TestDriftByHand changes deployed repositories with the AWS CLI in every way
// that it can: plan --refresh-only names each, apply repairs what is the
// file's, and leaves alone what is not.
func TestDriftByHand(t *testing.T) {
	t.Parallel()
	k := up(t)
	deployer := func(args ...string) []string {
		return append(args, "-f", k.file, "--data", k.data)
	}
	k.ok(kontorBin, deployer("plan", "--refresh-only", "--exit-code")...)
	const policy = `{"Version":"2012-10-17","Statement":[{"Sid":"ByHand","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::999999999999:root"},"Action":"ecr:*"}]}`

	k.aws(nil, "ecr", "put-image-tag-mutability", "--repository-name", "website", "--image-tag-mutability", "MUTABLE")
	k.aws(nil, "ecr", "delete-lifecycle-policy", "--repository-name", "scraper")
	k.aws(nil, "ecr", "set-repository-policy", "--repository-name", "shared", "--policy-text", policy)
	k.aws(nil, "ecr", "put-lifecycle-policy", "--repository-name", "test", "--lifecycle-policy-text", cliLifecycle)
	k.aws(nil, "ecr", "tag-resource", "--resource-arn", "arn:aws:ecr:us-east-1:000000000000:repository/test", "--tags", "Key=cost,Value=7")

	out, _, err := k.run(kontorBin, deployer("plan", "--refresh-only", "--exit-code")...)
	if err == nil || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("plan --refresh-only --exit-code after changes by hand: %v", err)
	}
	for _, want := range []string{
		"tag mutability: MUTABLE -> IMMUTABLE", "ByHand", "999999999999",
		"Drift: 4 repositories differ from the file; apply changes that back.",
	} {
		t.Run(want, func(t *testing.T) {
			if !strings.Contains(string(out), want) {
				t.Errorf("the drift does not say %q:\n%s", want, out)
			}
		})
	}
	k.ok(kontorBin, deployer("apply", "-y")...)
	k.ok(kontorBin, deployer("plan", "--refresh-only", "--exit-code")...)

	var repaired struct{ PolicyText string }
	k.aws(&repaired, "ecr", "get-repository-policy", "--repository-name", "shared")
	if strings.Contains(repaired.PolicyText, "ByHand") {
		t.Errorf("the policy by hand is still there: %s", repaired.PolicyText)
	}
	var tags struct{ Tags []struct{ Key, Value string } }
	k.aws(&tags, "ecr", "list-tags-for-resource", "--resource-arn", "arn:aws:ecr:us-east-1:000000000000:repository/test")
	kept := false
	for _, x := range tags.Tags {
		kept = kept || x.Key == "cost" && x.Value == "7"
	}
	if !kept {
		t.Errorf("a tag that is not the file's is gone: %+v", tags.Tags)
	}
}

// moduleInput is the input of a Terraform module, as it is.
const moduleInput = `environment = "production"
ecr_repositories = {
  website = {}
  scraper = {
    expiration_rules = [
      { tag_pattern = "pr-*", days = 7 },
    ]
  }
  api = {
    is_immutable                = false
    additional_pull_account_ids = ["033333333333"]
  }
}
`

// TestModuleInput deploys a module's .tfvars unchanged.
func TestModuleInput(t *testing.T) {
	t.Parallel()
	k := upWith(t, ecrMode, "ecr_repositories: {}\n")
	k.file = filepath.Join(filepath.Dir(k.file), "terraform.tfvars")
	k.write(moduleInput)
	deployer := func(args ...string) []string {
		return append(args, "-f", k.file, "--data", k.data)
	}
	k.ok(kontorBin, deployer("apply", "-y")...)
	k.ok(kontorBin, deployer("plan", "--exit-code")...)
	var policy struct{ PolicyText string }
	k.aws(&policy, "ecr", "get-repository-policy", "--repository-name", "api")
	if !strings.Contains(policy.PolicyText, "arn:aws:iam::033333333333:root") {
		t.Errorf("the grant did not arrive: %s", policy.PolicyText)
	}
	var described struct {
		Repositories []struct{ RepositoryName, ImageTagMutability string }
	}
	k.aws(&described, "ecr", "describe-repositories", "--repository-names", "api", "website")
	if r := described.Repositories; len(r) != 2 || r[0].ImageTagMutability != "MUTABLE" || r[1].ImageTagMutability != "IMMUTABLE" {
		t.Errorf("%+v", r)
	}
}

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

package clients

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kontor-registry/kontor/internal/ecr"
)

const cliLifecycle = `{"rules":[{"rulePriority":1,"description":"keep little","selection":{"tagStatus":"untagged","countType":"sinceImagePushed","countUnit":"days","countNumber":1},"action":{"type":"expire"}}]}`

// What is about repositories is the same in both modes: it runs in one.
func TestAWSCLI(t *testing.T) {
	t.Parallel()
	k := up(t)

	var who struct{ Account, Arn string }
	k.aws(&who, "sts", "get-caller-identity")
	if who.Account != "000000000000" || !strings.HasSuffix(who.Arn, ":user/administrator") {
		t.Errorf("get-caller-identity says %+v", who)
	}

	var created struct {
		Repository struct{ RepositoryUri, RepositoryArn, ImageTagMutability string }
	}
	k.aws(&created, "ecr", "create-repository", "--repository-name", "team/cli", "--tags", "Key=team,Value=a")
	if got := created.Repository; got.RepositoryUri != k.host+"/team/cli" || got.ImageTagMutability != "MUTABLE" ||
		got.RepositoryArn != "arn:aws:ecr:us-east-1:000000000000:repository/team/cli" {
		t.Errorf("create-repository says %+v", got)
	}
	k.fails([]string{"RepositoryAlreadyExistsException", "The repository with name 'team/cli' already exists in the registry with id '000000000000'"},
		awsBin, k.awsArgs([]string{"ecr", "create-repository", "--repository-name", "team/cli"})...)
	k.fails([]string{"RepositoryNotFoundException", "The repository with name 'nothing' does not exist in the registry with id '000000000000'"},
		awsBin, k.awsArgs([]string{"ecr", "describe-images", "--repository-name", "nothing"})...)

	k.aws(nil, "ecr", "put-image-tag-mutability", "--repository-name", "team/cli", "--image-tag-mutability", "IMMUTABLE")
	k.aws(nil, "ecr", "put-lifecycle-policy", "--repository-name", "team/cli", "--lifecycle-policy-text", cliLifecycle)
	var lifecycle struct{ LifecyclePolicyText string }
	k.aws(&lifecycle, "ecr", "get-lifecycle-policy", "--repository-name", "team/cli")
	if lifecycle.LifecyclePolicyText != cliLifecycle {
		t.Errorf("get-lifecycle-policy says %s", lifecycle.LifecyclePolicyText)
	}
	k.fails([]string{"InvalidParameterException", "Lifecycle policy validation failure: "},
		awsBin, k.awsArgs([]string{"ecr", "put-lifecycle-policy", "--repository-name", "team/cli", "--lifecycle-policy-text",
			strings.Replace(cliLifecycle, `"untagged"`, `"sometimes"`, 1)})...)

	policy := filepath.Join(k.home, "policy.json")
	if err := os.WriteFile(policy, []byte(`{"Version":"2012-10-17","Statement":[{"Sid":"pull","Effect":"Allow","Principal":{"AWS":"333333333333"},"Action":["ecr:BatchGetImage","ecr:GetDownloadUrlForLayer"]}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	k.aws(nil, "ecr", "set-repository-policy", "--repository-name", "team/cli", "--policy-text", "file://"+policy)
	var got struct{ PolicyText string }
	k.aws(&got, "ecr", "get-repository-policy", "--repository-name", "team/cli")
	if !strings.Contains(got.PolicyText, "\"Version\" : \"2012-10-17\"") {
		t.Errorf("get-repository-policy says %s", got.PolicyText)
	}
	k.aws(nil, "ecr", "delete-repository-policy", "--repository-name", "team/cli")
	k.fails([]string{"RepositoryPolicyNotFoundException"},
		awsBin, k.awsArgs([]string{"ecr", "get-repository-policy", "--repository-name", "team/cli"})...)

	k.aws(nil, "ecr", "tag-resource", "--resource-arn", created.Repository.RepositoryArn, "--tags", "Key=cost,Value=7")
	k.aws(nil, "ecr", "untag-resource", "--resource-arn", created.Repository.RepositoryArn, "--tag-keys", "team")
	var tags struct{ Tags []struct{ Key, Value string } }
	k.aws(&tags, "ecr", "list-tags-for-resource", "--resource-arn", created.Repository.RepositoryArn)
	if len(tags.Tags) != 1 || tags.Tags[0].Key != "cost" {
		t.Errorf("list-tags-for-resource says %+v", tags)
	}

	k.aws(nil, "ecr", "delete-repository", "--repository-name", "team/cli")
	var listed struct {
		Repositories []struct{ RepositoryName string }
	}
	k.aws(&listed, "ecr", "describe-repositories", "--page-size", "2") // the CLI pages
	var names []string
	for _, r := range listed.Repositories {
		names = append(names, r.RepositoryName)
	}
	if diff := cmp.Diff([]string{"scraper", "shared", "test", "website"}, names); diff != "" {
		t.Error(diff)
	}

	// A password for docker, the way every guide says.
	password := strings.TrimSpace(string(k.ok(awsBin, k.awsArgs([]string{"ecr", "get-login-password"})...)))
	k.ok(skopeoBin, "login", "--tls-verify=false", "--authfile", filepath.Join(k.home, "other.json"), "-u", "AWS", "-p", password, k.host)
	k.fails(nil, skopeoBin, "login", "--tls-verify=false", "--authfile", filepath.Join(k.home, "other.json"), "-u", "AWS", "-p", password+"x", k.host)

	// Rules of replication read back as they were put.
	type configuration struct{ ReplicationConfiguration struct{ Rules []any } }
	var put, described configuration
	k.aws(&put, "ecr", "put-replication-configuration", "--replication-configuration", "rules=[{destinations=[{region=eu-west-1,registryId=000000000000}]}]")
	k.aws(&described, "ecr", "describe-registry")
	if d := cmp.Diff(put, described); d != "" || len(put.ReplicationConfiguration.Rules) != 1 {
		t.Errorf("%d rules were put (-put +described):\n%s", len(put.ReplicationConfiguration.Rules), d)
	}
	k.aws(&described, "ecr", "put-replication-configuration", "--replication-configuration", "rules=[]")
	if described.ReplicationConfiguration.Rules == nil || len(described.ReplicationConfiguration.Rules) > 0 {
		t.Error("put-replication-configuration without rules does not answer none")
	}
}

// TestAWSCLIRetag follows the documented recipe: the manifest of one tag, put
// again under another.
func TestAWSCLIRetag(t *testing.T) { inBothModes(t, awsCLIRetag) }

func awsCLIRetag(t *testing.T, k *kontor) {
	k.push("website", "v1")
	var got struct {
		Images   []struct{ ImageManifest, ImageManifestMediaType string }
		Failures []struct{ FailureCode string }
	}
	k.aws(&got, "ecr", "batch-get-image", "--repository-name", "website", "--image-ids", "imageTag=v1", "imageTag=none")
	if len(got.Images) != 1 || len(got.Failures) != 1 || got.Failures[0].FailureCode != "ImageNotFound" {
		t.Fatalf("batch-get-image says %+v", got)
	}
	manifest := filepath.Join(k.home, "manifest.json")
	if err := os.WriteFile(manifest, []byte(got.Images[0].ImageManifest), 0o600); err != nil {
		t.Fatal(err)
	}
	put := []string{"ecr", "put-image", "--repository-name", "website", "--image-tag", "v2", "--image-manifest", "file://" + manifest,
		"--image-manifest-media-type", got.Images[0].ImageManifestMediaType}
	k.aws(nil, put...)
	code, text := k.mode.putAgain("website", "v2", string(ecr.DigestOf([]byte(got.Images[0].ImageManifest))))
	k.fails([]string{code, text}, awsBin, k.awsArgs(put)...)

	type detail struct {
		ImageDetails []struct {
			ImageDigest, ImagePushedAt string
			ImageTags                  []string
		}
	}
	var d detail
	k.aws(&d, "ecr", "describe-images", "--repository-name", "website", "--image-ids", "imageTag=v2")
	if len(d.ImageDetails) != 1 || !cmp.Equal(d.ImageDetails[0].ImageTags, []string{"v1", "v2"}) {
		t.Errorf("describe-images says %+v", d)
	}
	// Deleting a tag keeps the image while it has another; the last takes it.
	k.aws(nil, "ecr", "batch-delete-image", "--repository-name", "website", "--image-ids", "imageTag=v1")
	k.aws(nil, "ecr", "batch-delete-image", "--repository-name", "website", "--image-ids", "imageTag=v2")
	k.fails([]string{"ImageNotFoundException", "imageTag:'v2'"},
		awsBin, k.awsArgs([]string{"ecr", "describe-images", "--repository-name", "website", "--image-ids", "imageTag=v2"})...)
}

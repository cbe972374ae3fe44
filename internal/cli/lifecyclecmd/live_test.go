package lifecyclecmd_test

import (
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/kontor-registry/kontor/internal/cli/clitest"
	"github.com/kontor-registry/kontor/internal/testkit/push"
	"github.com/kontor-registry/kontor/kontortest"
	"github.com/kontor-registry/kontor/kontortest/awstest"
)

// TestLifecycleLive looks at a registry, and then at its snapshot.
func TestLifecycleLive(t *testing.T) {
	reg := kontortest.Start(t)
	s := clitest.New(t)
	clitest.AWSEnv(t, reg.Admin)
	s.Write("kontor.yaml", clitest.RemoteFile(reg))
	s.Want(s.Run("apply", "-y"), 0)
	p := push.To(t, awstest.ECR(reg), "api")
	names := map[string]string{}
	names[p.Image("amd64", "")], names[p.Image("arm64", "")] = "amd64", "arm64"
	index := p.Index("v1", keys(names)...)
	names[index] = "index"
	names[p.Image("signature", index)] = "signature"
	names[p.Image("old", "")] = "old"
	names[p.Image("release", "", "release-1", "latest")] = "release"

	later := []string{"--at", time.Now().Add(72 * time.Hour).UTC().Format(time.RFC3339)}
	kept := map[string]string{"amd64": "keep", "arm64": "keep", "index": "keep", "signature": "keep", "old": "keep", "release": "keep"}
	gone := map[string]string{
		"amd64": "keep 1 guarded by index index", "arm64": "keep 1 guarded by index index", "signature": "keep 1 guarded by subject index",
		"old": "expire 1", "index": "keep", "release": "keep",
	}
	check := func(want map[string]string, args ...string) clitest.Result {
		t.Helper()
		r := s.Want(s.Run(append([]string{"lifecycle", "preview", "--json"}, args...)...), 0)
		if diff := cmp.Diff(want, decode[previewed](t, r.Out).fates(names)); diff != "" {
			t.Errorf("%v (-want +got):\n%s", args, diff)
		}
		return r
	}
	check(kept, "api")
	check(gone, append(later, "api")...)
	s.Want(s.Run(append([]string{"lifecycle", "preview", "api"}, later...)...), 0, "rule 1: untagged images expire 1 day after their push  (kontor.yaml:5:3: ecr_repositories.api)\n", "by the file\n")
	unknown := check(map[string]string{
		"amd64": "expire 1 maybe", "arm64": "expire 1 maybe", "old": "expire 1 maybe", "index": "keep", "release": "keep", "signature": "keep 1 guarded by subject index",
	}, append(later, "api", "--no-manifests")...)
	if unknown.Errors != "" {
		t.Errorf("stderr: %s", unknown.Errors)
	}

	s.Want(s.Run(append([]string{"lifecycle", "explain", "api@" + push.DigestOf("x")}, later...)...), 1, "no image in api has")
	s.Want(s.Run(append([]string{"lifecycle", "explain", "api:latest"}, later...)...), 0, "(latest, release-1)", "It is kept: no rule selects it.")
	s.Want(s.Run(append([]string{"lifecycle", "explain", "api@" + index}, later...)...), 0, "(v1)")
	s.Want(s.Run("lifecycle", "forecast", "api", "--days", "3"), 0, "rule 1 expires 1 image")

	s.Want(s.Run("lifecycle", "snapshot", "api", "-o", "snap"), 0, "Wrote 6 images and 1 manifest of api to snap.\n")
	s.Want(s.Run("lifecycle", "snapshot", "api", "-o", "snap"), 1, "snap is not empty")
	s.Want(s.Run("lifecycle", "snapshot", "api", "-o", "snap2", "--json"), 0, `"manifests": 1`)
	reg.Stop()
	check(kept, "--images", "snap")
	check(gone, append(later, "--images", "snap")...)
	// the pages of the AWS CLI next to the manifests that someone saved
	check(gone, append(later, "--images", "snap/images.json", "--manifests", "snap/manifests", "--policy", "snap/policy.json", "--assume", "kontor")...)
	s.Want(s.Run("lifecycle", "preview", "api"), 1, "nothing listens at")
	if err := os.Remove("kontor.yaml"); err != nil {
		t.Fatal(err)
	}
}

// TestLifecycleWithoutFile looks at the local registry.
func TestLifecycleWithoutFile(t *testing.T) {
	s := clitest.New(t)
	s.Env["KONTOR_DATA"] = t.TempDir()
	s.Write("kontor.yaml", clitest.LocalFile)
	s.Want(s.Run("apply", "-y"), 0)
	s.Want(s.Run("__complete", "lifecycle", "preview", ""), 0, "api\nwebsite\n")
	if err := os.Remove("kontor.yaml"); err != nil {
		t.Fatal(err)
	}
	s.Want(s.Run("lifecycle", "preview", "api"), 0, "Lifecycle preview of api at", "by the repository's own policy", "0 images: ")
	s.Want(s.Run("lifecycle", "preview", "none"), 1, "kontor: the images of repository none: RepositoryNotFoundException")
}

func keys(m map[string]string) []string {
	var out []string
	for k := range m {
		out = append(out, k)
	}
	return out
}

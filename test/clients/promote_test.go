package clients

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// An image that was promoted to another account is what every client pulls, byte
// for byte, and it runs; the SBOM that refers to it came along.
func TestPromotedImage(t *testing.T) {
	for _, m := range modes {
		t.Run(m.compat, func(t *testing.T) {
			t.Parallel()
			promoted(t, m)
		})
	}
}

func promoted(t *testing.T, m mode) {
	k := upWith(t, m, `
registries:
  - {name: staging, account: "111111111111", region: us-east-1}
  - {name: prod,    account: "222222222222", region: eu-west-1}
ecr_repositories:
  website: {}
`)
	index, sbom := layout(t)
	// Of both accounts: the tools find the passwords of both.
	hosts := map[string]string{}
	for _, target := range []string{"staging", "prod"} {
		var env map[string]string
		if err := json.Unmarshal(k.ok(kontorBin, "env", "--data", k.data, "--target", target, "--format", "json"), &env); err != nil {
			t.Fatal(err)
		}
		hosts[target] = env["KONTOR_REGISTRY"]
		k.ok(kontorBin, "login", "--data", k.data, "--target", target)
		if target == "prod" {
			k.env, k.host = env, env["KONTOR_REGISTRY"]
		}
	}
	from, to := hosts["staging"]+"/website:v1", hosts["prod"]+"/website:v1"
	k.ok(orasBin, "cp", "--no-tty", "--recursive", "--from-oci-layout", imageDir+"@"+index.Digest, from)
	if got := string(k.ok(kontorBin, "promote", "--data", k.data, from, to)); !strings.Contains(got, "promoted "+index.Digest) {
		t.Fatalf("promote says %s", got)
	}

	back := func() string { return filepath.Join(t.TempDir(), "back") }
	t.Run("skopeo", func(t *testing.T) {
		dir := back()
		k.ok(skopeoBin, "copy", "--all", "--preserve-digests", "--src-tls-verify=false", "docker://"+to, "oci:"+dir+":v1")
		same(t, dir)
	})
	t.Run("crane", func(t *testing.T) {
		dir := back()
		k.ok(craneBin, "pull", "--insecure", "--format=oci", to, dir)
		same(t, dir)
	})
	t.Run("regctl", func(t *testing.T) {
		if got := strings.TrimSpace(string(k.ok(regctlBin, "--host", "reg="+k.host+",tls=disabled", "image", "digest", to))); got != index.Digest {
			t.Errorf("the image is %s", got)
		}
		dir := back()
		k.ok(regctlBin, "--host", "reg="+k.host+",tls=disabled", "image", "copy", to, "ocidir://"+dir+":v1")
		same(t, dir)
	})
	t.Run("oras", func(t *testing.T) {
		dir := back()
		k.ok(orasBin, "cp", "--no-tty", "--recursive", "--to-oci-layout", to, dir+":v1")
		if got := blobOf(t, dir, sbom.Digest); !bytes.Equal(got, blobOf(t, imageDir, sbom.Digest)) {
			t.Errorf("the SBOM is %s", got)
		}
		if got := string(k.ok(orasBin, "discover", "--format", "json", to)); !strings.Contains(got, sbom.Digest) || !strings.Contains(got, "application/vnd.kontor.promotion.v1+json") {
			t.Errorf("what refers to the image is %s", got)
		}
	})
	t.Run("buildah", func(t *testing.T) {
		id := strings.TrimSpace(string(k.ok(buildahBin, "--root", filepath.Join(k.home, "root"), "--runroot", filepath.Join(k.home, "runroot"), "--storage-driver", "vfs", "pull", "--quiet", "--tls-verify=false", to)))
		if _, config := platform(t, index.Digest, runtime.GOARCH); strings.TrimPrefix(config, "sha256:") != strings.TrimPrefix(id, "sha256:") {
			t.Errorf("the image is %s, and not %s", id, config)
		}
	})
	t.Run("podman", func(t *testing.T) {
		k.ok(podmanBin, k.podman("pull", "--quiet", "--tls-verify=false", to)...)
		got := string(k.ok(podmanBin, k.podman("image", "inspect", "--format", "{{.Digest}}", to)...))
		if strings.TrimSpace(got) != index.Digest {
			t.Errorf("the image is %s", got)
		}
	})
	t.Run("docker", func(t *testing.T) {
		d := k.docker()
		_, config := platform(t, index.Digest, runtime.GOARCH)
		d.pulls(to, config)
		if got := d.run("image", "inspect", "--format", "{{index .RepoDigests 0}}", to); got != hosts["prod"]+"/website@"+index.Digest {
			t.Errorf("the image is %s", got)
		}
	})
	t.Run("containerd", func(t *testing.T) {
		c := k.containerd()
		password := strings.TrimSpace(string(k.ok(kontorBin, "login", "--data", k.data, "--target", "prod", "--print-password")))
		c.images("pull", "--snapshotter", "native", "--plain-http", "--user", "AWS:"+password, "--all-platforms", to)
		same(t, c.blobs)
		root := filepath.Join(t.TempDir(), "root")
		if err := os.Mkdir(root, 0o700); err != nil {
			t.Fatal(err)
		}
		c.images("mount", "--snapshotter", "native", to, root)
		defer c.images("unmount", "--rm", "--snapshotter", "native", root)
		k.ok(filepath.Join(root, "kontor"), "version") // it runs
	})
	t.Run("AWS CLI", func(t *testing.T) {
		var out struct {
			ImageDetails []struct{ ImageDigest string }
		}
		k.aws(&out, "ecr", "describe-images", "--repository-name", "website", "--image-ids", "imageTag=v1")
		if len(out.ImageDetails) != 1 || out.ImageDetails[0].ImageDigest != index.Digest {
			t.Errorf("%+v", out)
		}
	})
}

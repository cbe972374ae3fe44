package clients

import (
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kontor-registry/kontor/test/dockerd"
)

const upstreamFile = `
stack: clients
ecr_repositories:
  library/website: {}
  website: {}
`

// administratorPassword may import images, and make repositories, too.
func (k *kontor) administratorPassword() string {
	k.t.Helper()
	return strings.TrimSpace(string(k.ok(awsBin, "--endpoint-url", k.env["AWS_ENDPOINT_URL"], "ecr", "get-login-password")))
}

// cache is a registry that caches what origin has: as what it is below origin/, and
// in place of Docker Hub below ROOT.
func cache(t *testing.T, origin *kontor) *kontor {
	t.Helper()
	k := upWith(t, ociMode, "stack: cache\necr_repositories: {}\n",
		"--upstream", origin.host+"=private,http", "--upstream", "docker.io=private,http,at="+strings.Replace(origin.host, "localhost", "127.0.0.1", 1))
	file := filepath.Join(k.home, "password")
	if err := os.WriteFile(file, []byte(origin.pusherPassword()), 0o600); err != nil {
		t.Fatal(err)
	}
	k.ok(kontorBin, "upstreams", "login", "origin", "--data", k.data, "--username", "AWS", "--password-file", file)
	k.ok(kontorBin, "upstreams", "create", "origin", origin.host, "--data", k.data, "--credential", "origin")
	k.ok(kontorBin, "upstreams", "create", "ROOT", "docker.io", "--data", k.data, "--credential", "origin")
	for _, prefix := range []string{"origin", "ROOT"} {
		k.ok(kontorBin, "upstreams", "validate", prefix, "--data", k.data)
	}
	return k
}

// containerd pulls the images of another registry through the cache, by their own
// names, with the files that kontor mirrors writes.
func TestContainerdMirrors(t *testing.T) {
	origin := upWith(t, ecrMode, upstreamFile)
	origin.push("website", "v1")
	k := cache(t, origin)
	index, _ := layout(t)
	for name, args := range map[string][]string{"hosts.toml of the registry": nil, "_default": {"--default"}} {
		t.Run(name, func(t *testing.T) {
			k.t = t
			dir := filepath.Join(t.TempDir(), "certs.d")
			k.ok(kontorBin, append([]string{"mirrors", "containerd", "--data", k.data, "--dir", dir}, args...)...)
			c := k.containerd()
			// The password is the cache's: origin does not take it.
			c.images("pull", "--snapshotter", "native", "--hosts-dir", dir, "--user", "AWS:"+k.administratorPassword(), "--all-platforms", origin.host+"/website:v1")
			same(t, c.blobs)
			if got := string(c.images("ls", "name=="+origin.host+"/website:v1")); !strings.Contains(got, index.Digest) {
				t.Errorf("ctr images ls does not say %s:\n%s", index.Digest, got)
			}
		})
	}
}

// The docker daemon pulls Docker Hub's images through the cache.
func TestDockerMirror(t *testing.T) {
	origin := upWith(t, ecrMode, upstreamFile)
	origin.push("library/website", "v1")
	k := cache(t, origin)
	config := k.ok(kontorBin, "mirrors", "docker", "--data", k.data)
	d, err := dockerd.StartWith(k.environ(), string(config))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Stop(); err != nil {
			t.Error(err)
		}
	})
	k.env["DOCKER_HOST"] = d.Host()
	// As docker login keeps what it logs in to Docker Hub with.
	auth := base64.StdEncoding.EncodeToString([]byte("AWS:" + k.administratorPassword()))
	logins, err := json.Marshal(map[string]any{"auths": map[string]any{"https://index.docker.io/v1/": map[string]string{"auth": auth}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(k.home, ".docker", "config.json"), logins, 0o600); err != nil {
		t.Fatal(err)
	}
	k.ok(dockerd.Docker, "pull", "website:v1")
	if got := string(k.ok(dockerd.Docker, "image", "ls", "--format", "{{.Repository}}:{{.Tag}}")); !strings.Contains(got, "website:v1") {
		t.Errorf("docker image ls: %s", got)
	}
	if got := string(k.get("/v2/library/website/tags/list", k.pusherPassword())); !strings.Contains(got, `"v1"`) {
		t.Errorf("the cache has %s", got)
	}
}

// skopeo, which reads the file that kontor mirrors writes for podman, pulls through the
// cache.
func TestSkopeoMirror(t *testing.T) {
	origin := upWith(t, ecrMode, upstreamFile)
	origin.push("website", "v1")
	k := cache(t, origin)
	conf := filepath.Join(k.home, "registries.conf")
	if err := os.WriteFile(conf, k.ok(kontorBin, "mirrors", "podman", "--data", k.data), 0o600); err != nil {
		t.Fatal(err)
	}
	auth := base64.StdEncoding.EncodeToString([]byte("AWS:" + k.administratorPassword()))
	logins, err := json.Marshal(map[string]any{"auths": map[string]any{k.host: map[string]string{"auth": auth}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(k.home, ".docker", "config.json"), logins, 0o600); err != nil {
		t.Fatal(err)
	}
	index, _ := layout(t)
	back := filepath.Join(t.TempDir(), "back")
	k.ok(skopeoBin, "--registries-conf", conf, "copy", "--all", "--preserve-digests", "docker://"+origin.host+"/website:v1", "oci:"+back+":v1")
	same(t, back)
	got := string(k.ok(kontorBin, "upstreams", "refresh", "origin/website:v1", "--data", k.data))
	if !strings.Contains(got, "is the same at "+origin.host) {
		t.Errorf("refresh says %s of %s", got, index.Digest)
	}
}

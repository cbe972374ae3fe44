package clients

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kontor-registry/kontor/internal/ecr"
)

// podman is podman's arguments for a store of the test's own, in a container
// that may neither make cgroups nor mount overlays.
func (k *kontor) podman(args ...string) []string {
	return append([]string{"--root", filepath.Join(k.home, "podman"), "--runroot", filepath.Join(k.home, "podman-run"), "--tmpdir", filepath.Join(k.home, "podman-tmp"),
		"--storage-driver=vfs", "--cgroup-manager=cgroupfs", "--events-backend=file"}, args...)
}

func TestPodman(t *testing.T) { inBothModes(t, podman) }

func podman(t *testing.T, k *kontor) {
	const insecure = "--tls-verify=false"
	run := func(args ...string) string {
		t.Helper()
		return strings.TrimSpace(string(k.ok(podmanBin, k.podman(args...)...)))
	}
	fails := func(text string, args ...string) {
		t.Helper()
		k.fails([]string{text}, podmanBin, k.podman(args...)...)
	}
	build := func(image, content string) {
		t.Helper()
		k.fileOf("hello.txt", []byte(content))
		k.fileOf("Containerfile", []byte("FROM scratch\nCOPY hello.txt /\n"))
		run("build", "--isolation=chroot", "--quiet", "--tag", image, k.home)
	}
	image := k.host + "/website:built"

	// A separate login, as `podman login` stores it.
	login := func(password string) []string {
		return []string{"login", insecure, "--authfile", filepath.Join(k.home, "auth.json"), "-u", "AWS", "-p", password, k.host}
	}
	fails("invalid username/password", login(k.pusherPassword()+"x")...)
	run(login(k.pusherPassword())...)

	// Built, tagged, pushed, pulled by tag and by digest.
	build("localhost/hello", "hello\n")
	run("tag", "localhost/hello", image)
	run("push", insecure, "--authfile", filepath.Join(k.home, "auth.json"), "--digestfile", filepath.Join(k.home, "digest"), image)
	digest := string(k.read("digest"))
	manifest := k.get("/v2/website/manifests/built", k.pusherPassword())
	if string(ecr.DigestOf(manifest)) != digest {
		t.Errorf("podman pushed %s; the registry has %s", digest, manifest)
	}
	id := run("image", "inspect", "--format", "{{.Id}}", image)
	run("rmi", "--force", id)
	for _, ref := range []string{image, k.host + "/website@" + digest} {
		if got := run("pull", "--quiet", insecure, ref); got != id {
			t.Errorf("podman pull of %s brought %s, not %s", ref, got, id)
		}
	}

	// The release's image, one platform of it and all, as a list of podman's
	// own.
	k.push("website", "v1")
	index, _ := layout(t)
	release := k.host + "/website:v1"
	for _, arch := range []string{"amd64", "arm64"} {
		pulled := run("pull", "--quiet", insecure, "--arch", arch, release)
		if _, config := platform(t, index.Digest, arch); config != "sha256:"+pulled {
			t.Errorf("podman pull of %s brought %s, not %s", arch, pulled, config)
		}
	}
	run("manifest", "create", "list")
	run("manifest", "add", insecure, "--all", "list", "docker://"+release)
	list := []string{"manifest", "push", insecure, "--all", "list", "docker://" + k.host + "/website:list"}
	run(list...)
	if diff := cmp.Diff(children(t, blobOf(t, imageDir, index.Digest)), children(t, k.get("/v2/website/manifests/list", k.pusherPassword()))); diff != "" {
		t.Errorf("the list that podman pushed: %s", diff)
	}

	lines := func(s string) (fields [][]string) {
		for _, line := range strings.Split(s, "\n") {
			fields = append(fields, strings.Fields(line))
		}
		return fields
	}
	website := k.host + "/website"
	if diff := cmp.Diff([][]string{{"NAME", "TAG"}, {website, "built"}, {website, "list"}, {website, "v1"}}, lines(run("search", insecure, "--list-tags", website))); diff != "" {
		t.Errorf("podman search --list-tags: %s", diff)
	}
	if diff := cmp.Diff([][]string{{"NAME", "DESCRIPTION"}, {website}}, lines(run("search", insecure, k.host+"/web"))); diff != "" {
		t.Errorf("podman search: %s", diff)
	}

	// The tag exists: no other image goes there, nor the same where the mode
	// has it so.
	k.again("website", "built", podmanBin, k.podman("push", insecure, image)...)
	k.again("website", "list", podmanBin, k.podman(list...)...)
	build("localhost/other", "hello again\n")
	fails(tagExists("website", "built"), "push", insecure, "localhost/other", image)
	if got := k.get("/v2/website/manifests/built", k.pusherPassword()); !bytes.Equal(got, manifest) {
		t.Errorf("after refused pushes the tag is at %s", got)
	}
	// Where tags are mutable it does; and in Docker's own format.
	run("push", insecure, image, k.host+"/test:built")
	run("push", insecure, "--format", "v2s2", "localhost/other", k.host+"/test:built")
	var m struct{ MediaType string }
	if err := json.Unmarshal(k.get("/v2/test/manifests/built", k.pusherPassword()), &m); err != nil || m.MediaType != "application/vnd.docker.distribution.manifest.v2+json" {
		t.Errorf("podman push --format v2s2 made a %s: %v", m.MediaType, err)
	}

	// What is wrong is refused: unknown repository and tag, https, a login that
	// is none. Without one podman would find docker's.
	const nowhere = "name unknown: The repository with name 'nowhere' does not exist in the registry with id '000000000000'"
	fails(nowhere, "push", insecure, "localhost/other", k.host+"/nowhere:v1")
	fails(nowhere, "pull", insecure, k.host+"/nowhere:v1")
	fails("manifest unknown: Requested image not found", "pull", insecure, k.host+"/website:v9")
	fails("http: server gave HTTP response to HTTPS client", "pull", image)
	run("logout", "--authfile", filepath.Join(k.home, "auth.json"), k.host)
	if got := k.read("auth.json"); bytes.Contains(got, []byte(k.host)) {
		t.Errorf("after podman logout there is %s", got)
	}
	fails("unauthorized: authentication required", "pull", insecure, "--creds", "AWS:"+k.pusherPassword()+"x", image)
}

// children are the digests that an index lists.
func children(t *testing.T, index []byte) []string {
	t.Helper()
	var m struct{ Manifests []descriptor }
	if err := json.Unmarshal(index, &m); err != nil {
		t.Fatal(err)
	}
	var digests []string
	for _, d := range m.Manifests {
		digests = append(digests, d.Digest)
	}
	return digests
}

// platform is the layers of the image of index for an architecture, and the
// digest of its config.
func platform(t *testing.T, index, arch string) (layers []descriptor, config string) {
	t.Helper()
	var m struct {
		Manifests []struct {
			Digest   string
			Platform struct{ Architecture string }
		}
	}
	if err := json.Unmarshal(blobOf(t, imageDir, index), &m); err != nil {
		t.Fatal(err)
	}
	for _, d := range m.Manifests {
		if d.Platform.Architecture != arch {
			continue
		}
		var child struct {
			Config descriptor
			Layers []descriptor
		}
		if err := json.Unmarshal(blobOf(t, imageDir, d.Digest), &child); err != nil {
			t.Fatal(err)
		}
		return child.Layers, child.Config.Digest
	}
	t.Fatalf("the release has no image for %s", arch)
	return nil, ""
}

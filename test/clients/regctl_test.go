package clients

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// regctl is regctl with arguments that send it to the registry by plain HTTP.
// It reads docker's logins.
func (k *kontor) regctl(args ...string) []string {
	return append([]string{regctlBin, "--host", "reg=" + k.host + ",tls=disabled"}, args...)
}

// regctlAsAdmin is regctl as someone who may delete.
func (k *kontor) regctlAsAdmin(args ...string) []string {
	k.t.Helper()
	return append([]string{regctlBin, "--host", "reg=" + k.host + ",tls=disabled,user=AWS,pass=" + k.adminPassword()}, args...)
}

func TestRegctl(t *testing.T) { inBothModes(t, regctl) }

func regctl(t *testing.T, k *kontor) {
	run := func(args ...string) []byte {
		t.Helper()
		args = k.regctl(args...)
		return k.ok(args[0], args[1:]...)
	}
	fails := func(texts []string, args ...string) {
		t.Helper()
		args = k.regctl(args...)
		k.fails(texts, args[0], args[1:]...)
	}
	line := func(b []byte) string { return strings.TrimSpace(string(b)) }
	image, referrer := layout(t)
	release := "ocidir://" + imageDir + ":" + image.Annotations[refName]
	v1 := k.host + "/website:v1"

	// The index with all its platforms, and back.
	run("image", "copy", release, v1)
	run("image", "copy", v1, "ocidir://"+filepath.Join(k.home, "back")+":v1")
	same(t, filepath.Join(k.home, "back"))
	index := blobOf(t, imageDir, image.Digest)
	if got := run("manifest", "get", "--format", "raw-body", v1); !bytes.Equal(got, index) {
		t.Errorf("regctl manifest get brought %s", got)
	}
	for _, args := range [][]string{{"manifest", "head", v1}, {"image", "digest", v1}} {
		if got := line(run(args...)); got != image.Digest {
			t.Errorf("regctl %s says %s, not %s", strings.Join(args, " "), got, image.Digest)
		}
	}
	var platforms struct {
		Manifests []struct {
			Digest   string
			Platform struct{ Architecture string }
		}
	}
	if err := json.Unmarshal(index, &platforms); err != nil {
		t.Fatal(err)
	}
	for _, p := range platforms.Manifests {
		if got := line(run("image", "digest", "--platform", "linux/"+p.Platform.Architecture, v1)); got != p.Digest {
			t.Errorf("regctl image digest of %s says %s, not %s", p.Platform.Architecture, got, p.Digest)
		}
	}
	var child struct{ Layers []descriptor }
	if err := json.Unmarshal(blobOf(t, imageDir, platforms.Manifests[0].Digest), &child); err != nil {
		t.Fatal(err)
	}
	for _, d := range child.Layers {
		if got := run("blob", "get", k.host+"/website", d.Digest); !bytes.Equal(got, blobOf(t, imageDir, d.Digest)) {
			t.Errorf("regctl blob get brought %d bytes that are not %s", len(got), d.Digest)
		}
	}

	// What refers to it: the release's SBOM, and an artifact of regctl's own.
	k.pushArtifact("website", referrer.Digest, blobOf(t, imageDir, referrer.Digest))
	k.fileOf("signature", []byte("signed"))
	own := line(run("artifact", "put", "--artifact-type", "application/vnd.example.signature", "--annotation", "org.example.by=a",
		"--subject", v1, "--file", filepath.Join(k.home, "signature"), "--file-media-type", "text/plain", "--format", "{{ .Manifest.GetDescriptor.Digest }}"))
	referrers := func(of string, args ...string) []string {
		t.Helper()
		var list struct{ Descriptors []descriptor }
		b := run(append([]string{"artifact", "list", "--format", "{{ json . }}", of}, args...)...)
		if err := json.Unmarshal(b, &list); err != nil {
			t.Fatalf("%v\n%s", err, b)
		}
		var digests []string
		for _, d := range list.Descriptors {
			digests = append(digests, d.Digest)
		}
		return digests
	}
	both := []string{referrer.Digest, own}
	if own < referrer.Digest {
		both = []string{own, referrer.Digest}
	}
	if diff := cmp.Diff(both, referrers(v1)); diff != "" {
		t.Errorf("regctl artifact list: %s", diff)
	}
	if diff := cmp.Diff([]string{referrer.Digest}, referrers(v1, "--filter-artifact-type", referrer.ArtifactType)); diff != "" {
		t.Errorf("regctl artifact list by type: %s", diff)
	}
	if got := run("artifact", "get", "--subject", v1, "--filter-artifact-type", "application/vnd.example.signature"); string(got) != "signed" {
		t.Errorf("regctl artifact get brought %q", got)
	}
	// They go along to another repository.
	run("image", "copy", "--referrers", v1, k.host+"/scraper:v1")
	if diff := cmp.Diff(both, referrers(k.host+"/scraper:v1")); diff != "" {
		t.Errorf("referrers of the copy: %s", diff)
	}

	// An index made here, of one platform of the other.
	run("index", "create", k.host+"/website:arm", "--ref", v1, "--platform", "linux/arm64", "--annotation", "org.example.kind=one")
	var made struct {
		Annotations map[string]string
		Manifests   []descriptor
	}
	if err := json.Unmarshal(run("manifest", "get", "--format", "raw-body", k.host+"/website:arm"), &made); err != nil {
		t.Fatal(err)
	}
	if len(made.Manifests) != 1 || made.Manifests[0].Digest != line(run("image", "digest", "--platform", "linux/arm64", v1)) || made.Annotations["org.example.kind"] != "one" {
		t.Errorf("the index that regctl made: %+v", made)
	}

	if got := string(run("tag", "ls", k.host+"/website")); got != "arm\nv1\n" {
		t.Errorf("regctl tag ls says %q", got)
	}
	if got := string(run("repo", "ls", k.host)); got != "scraper\nshared\ntest\nwebsite\n" {
		t.Errorf("regctl repo ls says %q", got)
	}

	// The tag exists. regctl looks at it before it pushes, so that the same
	// image is nothing to do in both modes.
	exists := []string{"TAG_INVALID", tagExists("website", "v1")}
	fails(exists, "image", "copy", "ocidir://"+k.otherImage(), v1)
	fails(exists, "image", "copy", k.host+"/website:arm", v1)
	run("image", "copy", release, v1)

	// What is wrong is refused: unknown repository and tag, https, no login.
	fails([]string{"NAME_UNKNOWN", "The repository with name 'nowhere' does not exist in the registry with id '000000000000'"}, "image", "copy", release, k.host+"/nowhere:v1")
	fails([]string{"MANIFEST_UNKNOWN", "Requested image not found"}, "manifest", "get", k.host+"/website:v9")
	k.fails([]string{"http: server gave HTTP response to HTTPS client"}, regctlBin, "tag", "ls", k.host+"/website")
	k.fails([]string{"unauthorized"}, regctlBin, "--host", "reg="+k.host+",tls=disabled,user=AWS,pass="+k.pusherPassword()+"x", "tag", "ls", k.host+"/website")

	// Deleting takes more than the user that login stores may. regctl without
	// the right tries to push an empty image over the tag, and that the tag
	// does not take either.
	fails([]string{tagExists("website", "arm")}, "tag", "rm", k.host+"/website:arm")
	digest := line(run("image", "digest", k.host+"/website:arm"))
	fails([]string{"DENIED", "not authorized to perform: ecr:BatchDeleteImage"}, "manifest", "delete", k.host+"/website@"+digest)
	remove := k.regctlAsAdmin("tag", "rm", k.host+"/website:arm")
	k.ok(remove[0], remove[1:]...)
	if got := string(run("tag", "ls", k.host+"/website")); got != "v1\n" {
		t.Errorf("after regctl tag rm there is %q", got)
	}
}

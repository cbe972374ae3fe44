package clients

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kontor-registry/kontor/internal/ecr"
)

// descriptor is the part of an OCI descriptor that the tests look at.
type descriptor struct {
	MediaType    string `json:"mediaType"`
	Digest       string `json:"digest"`
	Size         int64  `json:"size"`
	ArtifactType string `json:"artifactType"`
	Annotations  map[string]string
}

const refName = "org.opencontainers.image.ref.name"

// layout is what index.json of the release's image layout lists: the image
// index, and the artifact (an SBOM) that refers to it.
func layout(t *testing.T) (image, referrer descriptor) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(imageDir, "index.json"))
	if err != nil {
		t.Fatal(err)
	}
	var index struct{ Manifests []descriptor }
	if err := json.Unmarshal(b, &index); err != nil {
		t.Fatal(err)
	}
	for _, d := range index.Manifests {
		if strings.HasSuffix(d.MediaType, "image.index.v1+json") {
			image = d
		} else if d.ArtifactType != "" {
			referrer = d
		}
	}
	if image.Digest == "" || referrer.Digest == "" {
		t.Fatalf("the layout lists no image index or no artifact: %s", b)
	}
	return image, referrer
}

// blobOf reads content of an image layout.
func blobOf(t *testing.T, dir, digest string) []byte {
	t.Helper()
	alg, hex, _ := strings.Cut(digest, ":")
	b, err := os.ReadFile(filepath.Join(dir, "blobs", alg, hex))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// push pushes the release's image, all platforms, with skopeo.
func (k *kontor) push(repository, tag string) {
	k.t.Helper()
	image, _ := layout(k.t)
	k.ok(skopeoBin, "copy", "--all", "--preserve-digests", "--dest-tls-verify=false",
		"oci:"+imageDir+":"+image.Annotations[refName], "docker://"+k.host+"/"+repository+":"+tag)
}

func TestSkopeo(t *testing.T) { inBothModes(t, skopeo) }

func skopeo(t *testing.T, k *kontor) {
	image, _ := layout(t)
	k.push("website", "v1")
	at := "docker://" + k.host + "/website"

	// By tag and by digest, the index comes back byte for byte.
	want := blobOf(t, imageDir, image.Digest)
	for _, ref := range []string{":v1", "@" + image.Digest} {
		if got := k.ok(skopeoBin, "inspect", "--raw", "--tls-verify=false", at+ref); !bytes.Equal(got, want) {
			t.Errorf("%s is not the index that was pushed:\n%s", ref, got)
		}
	}
	// And so does everything in it.
	back := filepath.Join(t.TempDir(), "back")
	k.ok(skopeoBin, "copy", "--all", "--preserve-digests", "--src-tls-verify=false", at+":v1", "oci:"+back+":v1")
	same(t, back)

	var tags struct{ Tags []string }
	if err := json.Unmarshal(k.ok(skopeoBin, "list-tags", "--tls-verify=false", at), &tags); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"v1"}, tags.Tags); diff != "" {
		t.Error(diff)
	}

	// The tag exists: no other image goes there, nor the same where the mode
	// has it so.
	k.fails([]string{tagExists("website", "v1")}, skopeoBin, "copy", "--all", "--dest-tls-verify=false", "oci:"+k.otherImage(), at+":v1")
	k.again("website", "v1", skopeoBin, "copy", "--all", "--dest-tls-verify=false", "oci:"+imageDir+":"+image.Annotations[refName], at+":v1")
	// Where tags are mutable, it does.
	k.push("test", "v1")
	k.ok(skopeoBin, "copy", "--all", "--preserve-digests", "--dest-tls-verify=false", "oci:"+k.otherImage(), "docker://"+k.host+"/test:v1")

	// What is wrong is refused: unknown repository, unknown tag, no login.
	k.fails([]string{"The repository with name 'nowhere' does not exist in the registry with id '000000000000'"},
		skopeoBin, "copy", "--dest-tls-verify=false", "oci:"+k.otherImage(), "docker://"+k.host+"/nowhere:v1")
	k.fails([]string{"Requested image not found"}, skopeoBin, "inspect", "--tls-verify=false", at+":v9")
	k.fails(nil, skopeoBin, "inspect", "--no-creds", "--tls-verify=false", at+":v1")

	k.ok(skopeoBin, "delete", "--tls-verify=false", "--creds", "AWS:"+k.adminPassword(), at+":v1")
	k.fails([]string{"Requested image not found"}, skopeoBin, "inspect", "--tls-verify=false", at+":v1")
	// The user that login stores may push and pull, and nothing else.
	k.push("website", "v2")
	k.fails([]string{"not authorized to perform: ecr:BatchDeleteImage"}, skopeoBin, "delete", "--tls-verify=false", at+":v2")
}

// same compares every blob of an image layout with the release's.
func same(t *testing.T, dir string) {
	t.Helper()
	n := 0
	err := filepath.WalkDir(filepath.Join(dir, "blobs"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		got, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		n++
		if digest := "sha256:" + d.Name(); string(ecr.DigestOf(got)) != digest || !bytes.Equal(got, blobOf(t, imageDir, digest)) {
			t.Errorf("%s came back changed", digest)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if n < 6 { // an index, and for two platforms a manifest, a config and a layer at least; the layers differ
		t.Errorf("only %d blobs came back", n)
	}
}

// adminPassword is a docker password of the administrator.
func (k *kontor) adminPassword() string {
	return strings.TrimSpace(string(k.ok(awsBin, k.awsArgs([]string{"ecr", "get-login-password"})...)))
}

// otherImage makes a small image, not the release's, as "DIR:NAME".
func (k *kontor) otherImage() string {
	k.t.Helper()
	dir := filepath.Join(k.home, "other")
	if _, err := os.Stat(dir); err == nil {
		return dir + ":other"
	}
	blob := func(mediaType string, b []byte) map[string]any {
		d := string(ecr.DigestOf(b))
		path := filepath.Join(dir, "blobs", "sha256", strings.TrimPrefix(d, "sha256:"))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			k.t.Fatal(err)
		}
		if err := os.WriteFile(path, b, 0o600); err != nil {
			k.t.Fatal(err)
		}
		return map[string]any{"mediaType": mediaType, "digest": d, "size": len(b)}
	}
	encode := func(v any) []byte {
		b, err := json.Marshal(v)
		if err != nil {
			k.t.Fatal(err)
		}
		return b
	}
	layer := blob("application/vnd.oci.image.layer.v1.tar", make([]byte, 1024)) // an empty tar
	config := blob("application/vnd.oci.image.config.v1+json", encode(map[string]any{
		"architecture": "amd64", "os": "linux", "rootfs": map[string]any{"type": "layers", "diff_ids": []any{layer["digest"]}},
	}))
	manifest := blob("application/vnd.oci.image.manifest.v1+json", encode(map[string]any{
		"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": config, "layers": []any{layer},
	}))
	manifest["annotations"] = map[string]any{refName: "other"}
	for name, v := range map[string]any{
		"oci-layout": map[string]any{"imageLayoutVersion": "1.0.0"},
		"index.json": map[string]any{"schemaVersion": 2, "manifests": []any{manifest}},
	} {
		if err := os.WriteFile(filepath.Join(dir, name), encode(v), 0o600); err != nil {
			k.t.Fatal(err)
		}
	}
	return dir + ":other"
}

func TestBuildah(t *testing.T) { inBothModes(t, buildah) }

func buildah(t *testing.T, k *kontor) {
	if err := os.WriteFile(filepath.Join(k.home, "hello.txt"), []byte("hello\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(k.home, "Containerfile"), []byte("FROM scratch\nCOPY hello.txt /\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	store := []string{"--root", filepath.Join(k.home, "root"), "--runroot", filepath.Join(k.home, "runroot"), "--storage-driver", "vfs"}
	buildah := func(args ...string) []string { return append(append([]string{}, store...), args...) }
	image := k.host + "/website:built"
	k.ok(buildahBin, buildah("bud", "-f", "Containerfile", "-t", image, ".")...)
	k.ok(buildahBin, buildah("push", "--tls-verify=false", image)...)
	k.ok(buildahBin, buildah("rmi", image)...)
	k.ok(buildahBin, buildah("pull", "--tls-verify=false", image)...)
	k.again("website", "built", buildahBin, buildah("push", "--tls-verify=false", image)...)
	if err := os.WriteFile(filepath.Join(k.home, "hello.txt"), []byte("hello again\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	k.ok(buildahBin, buildah("bud", "-f", "Containerfile", "-t", image, ".")...)
	k.fails([]string{tagExists("website", "built")}, buildahBin, buildah("push", "--tls-verify=false", image)...)
}

func TestCrane(t *testing.T) { inBothModes(t, crane) }

func crane(t *testing.T, k *kontor) {
	image, referrer := layout(t)
	ref := k.host + "/website"
	// Everything that the layout lists: the index and its SBOM. By digest
	// first, as nothing that refers may come before what it refers to.
	k.push("website", "v1")
	sbom := blobOf(t, imageDir, referrer.Digest)
	k.pushArtifact("website", referrer.Digest, sbom)

	if got := strings.TrimSpace(string(k.ok(craneBin, "digest", "--insecure", ref+":v1"))); got != image.Digest {
		t.Errorf("crane digest says %s, not %s", got, image.Digest)
	}
	if got := k.ok(craneBin, "manifest", "--insecure", ref+"@"+referrer.Digest); !bytes.Equal(bytes.TrimRight(got, "\n"), bytes.TrimRight(sbom, "\n")) {
		t.Errorf("the SBOM's manifest came back changed:\n%s", got)
	}
	if got := k.ok(craneBin, "ls", "--insecure", ref); string(got) != "v1\n" {
		t.Errorf("crane ls says %q", got)
	}
	// The referrers of the index, as the registry lists them.
	var list struct{ Manifests []descriptor }
	if err := json.Unmarshal(k.get("/v2/website/referrers/"+image.Digest, k.pusherPassword()), &list); err != nil {
		t.Fatal(err)
	}
	if len(list.Manifests) != 1 || list.Manifests[0].Digest != referrer.Digest || list.Manifests[0].ArtifactType != referrer.ArtifactType ||
		list.Manifests[0].Size != int64(len(sbom)) {
		t.Errorf("referrers: %+v", list)
	}
	// A copy within the registry, to another repository.
	k.ok(craneBin, "copy", "--insecure", ref+":v1", k.host+"/scraper:v1")
	k.ok(craneBin, "validate", "--insecure", "--remote", k.host+"/scraper:v1")
	k.ok(craneBin, "tag", "--insecure", ref+":v1", "v2")
	k.again("website", "v2", craneBin, "tag", "--insecure", ref+":v1", "v2")
	k.fails([]string{"TAG_INVALID", tagExists("website", "v2")}, craneBin, "tag", "--insecure", ref+"@"+referrer.Digest, "v2")
	k.fails([]string{"DENIED", "ecr:BatchDeleteImage"}, craneBin, "delete", "--insecure", ref+"@"+image.Digest)
}

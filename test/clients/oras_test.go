package clients

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kontor-registry/kontor/internal/ecr"
)

// oras goes to localhost by plain HTTP on its own, and reads docker's logins.
func TestOras(t *testing.T) { inBothModes(t, oras) }

func oras(t *testing.T, k *kontor) {
	const artifactType, sbomType = "application/vnd.example.thing", "application/vnd.example.sbom+json"
	k.fileOf("readme.txt", []byte("read me\n"))
	k.fileOf("data.bin", bytes.Repeat([]byte("0123456789abcdef"), 1<<16))
	k.fileOf("sbom.json", []byte(`{"packages":[]}`))
	a1 := k.host + "/website:a1"

	// Files as an artifact with a type and annotations, and back.
	k.ok(orasBin, "push", "--no-tty", "--artifact-type", artifactType, "--annotation", "org.example.team=a", "--export-manifest", "pushed.json",
		a1, "readme.txt:text/plain", "data.bin")
	k.ok(orasBin, "pull", "--no-tty", "--output", "back", a1)
	for _, name := range []string{"readme.txt", "data.bin"} {
		t.Run(name, func(t *testing.T) {
			if want, got := k.read(name), k.read(filepath.Join("back", name)); !bytes.Equal(got, want) {
				t.Errorf("%s came back changed", name)
			}
		})
	}
	manifest := k.ok(orasBin, "manifest", "fetch", a1)
	if want := k.read("pushed.json"); !bytes.Equal(manifest, want) {
		t.Errorf("the manifest came back changed:\n%s\n%s", want, manifest)
	}
	var m struct {
		ArtifactType string
		Annotations  map[string]string
		Layers       []descriptor
	}
	if err := json.Unmarshal(manifest, &m); err != nil {
		t.Fatal(err)
	}
	if m.ArtifactType != artifactType || m.Annotations["org.example.team"] != "a" || len(m.Layers) != 2 {
		t.Errorf("the manifest is %s", manifest)
	}
	digest := string(ecr.DigestOf(manifest))
	if got := strings.TrimSpace(string(k.ok(orasBin, "resolve", a1))); got != digest {
		t.Errorf("oras resolve says %s, not %s", got, digest)
	}

	// Blobs on their own.
	k.ok(orasBin, "blob", "fetch", "--no-tty", "--output", "blob.out", k.host+"/website@"+m.Layers[1].Digest)
	if !bytes.Equal(k.read("blob.out"), k.read("data.bin")) {
		t.Error("oras blob fetch brought something else")
	}
	k.ok(orasBin, "blob", "push", "--no-tty", k.host+"/website", "sbom.json")
	if got := k.ok(orasBin, "blob", "fetch", "--no-tty", "--output", "-", k.host+"/website@"+string(ecr.DigestOf(k.read("sbom.json")))); !bytes.Equal(got, k.read("sbom.json")) {
		t.Errorf("the blob that oras pushed is %q", got)
	}

	// What refers to it.
	k.ok(orasBin, "attach", "--no-tty", "--artifact-type", sbomType, "--annotation", "org.example.tool=none", a1, "sbom.json:application/json")
	type node struct {
		Digest       string
		ArtifactType string
		Annotations  map[string]string
	}
	discover := func(image string, args ...string) []node {
		t.Helper()
		var got struct{ Referrers []node }
		b := k.ok(orasBin, append([]string{"discover", "--format", "json", image}, args...)...)
		if err := json.Unmarshal(b, &got); err != nil {
			t.Fatalf("%v\n%s", err, b)
		}
		return got.Referrers
	}
	found := discover(a1, "--artifact-type", sbomType)
	if len(found) != 1 || found[0].ArtifactType != sbomType || found[0].Annotations["org.example.tool"] != "none" {
		t.Errorf("oras discover says %+v", found)
	}
	if got := discover(a1, "--artifact-type", "application/vnd.example.other"); len(got) != 0 {
		t.Errorf("oras discover of another type says %+v", got)
	}

	// To another repository, with what refers to it.
	k.ok(orasBin, "cp", "--no-tty", "--recursive", a1, k.host+"/scraper:a1")
	if got := k.ok(orasBin, "manifest", "fetch", k.host+"/scraper:a1"); !bytes.Equal(got, manifest) {
		t.Errorf("the copy is %s", got)
	}
	if diff := cmp.Diff(found, discover(k.host+"/scraper:a1")); diff != "" {
		t.Errorf("what refers to the copy: %s", diff)
	}
	// And the release's image with its SBOM, out of a layout and into another.
	image, referrer := layout(t)
	k.ok(orasBin, "cp", "--no-tty", "--recursive", "--from-oci-layout", imageDir+":"+image.Annotations[refName], k.host+"/website:v1")
	if got := discover(k.host + "/website:v1"); len(got) != 1 || got[0].Digest != referrer.Digest || got[0].ArtifactType != referrer.ArtifactType {
		t.Errorf("what refers to the release's image: %+v", got)
	}
	k.ok(orasBin, "cp", "--no-tty", "--recursive", "--to-oci-layout", k.host+"/website:v1", "layout:v1")
	same(t, filepath.Join(k.home, "layout"))
	if _, err := os.Stat(filepath.Join(k.home, "layout", "blobs", "sha256", strings.TrimPrefix(referrer.Digest, "sha256:"))); err != nil {
		t.Errorf("the SBOM did not come back: %v", err)
	}

	if got := string(k.ok(orasBin, "repo", "tags", k.host+"/website")); got != "a1\nv1\n" {
		t.Errorf("oras repo tags says %q", got)
	}
	if got := string(k.ok(orasBin, "repo", "ls", k.host)); got != "scraper\nshared\ntest\nwebsite\n" {
		t.Errorf("oras repo ls says %q", got)
	}

	// The tag exists. oras writes the time into a manifest that it makes, so
	// the same files are another image.
	exists := []string{"tag invalid", tagExists("website", "a1")}
	k.fails(exists, orasBin, "push", "--no-tty", "--artifact-type", artifactType, "--annotation", "org.example.team=b", a1, "readme.txt:text/plain", "data.bin")
	k.fails(exists, orasBin, "tag", k.host+"/website:v1", "a1")
	k.again("website", "a1", orasBin, "tag", a1, "a1")
	if got := strings.TrimSpace(string(k.ok(orasBin, "resolve", a1))); got != digest {
		t.Errorf("after refused pushes the tag is at %s", got)
	}

	// What is wrong is refused: unknown repository and tag, no login, a wrong
	// one, a blob of an image to delete.
	k.fails([]string{"name unknown: The repository with name 'nowhere' does not exist in the registry with id '000000000000'"},
		orasBin, "push", "--no-tty", k.host+"/nowhere:a1", "readme.txt")
	k.fails([]string{k.host + "/website:a9: not found"}, orasBin, "pull", "--no-tty", k.host+"/website:a9")
	k.fails([]string{"basic credential not found"}, orasBin, "pull", "--no-tty", "--registry-config", "none.json", a1)
	k.fails([]string{"401: Unauthorized"}, orasBin, "login", "--registry-config", "none.json", "-u", "AWS", "-p", k.pusherPassword()+"x", k.host)
	k.ok(orasBin, "login", "--registry-config", "own.json", "-u", "AWS", "-p", k.pusherPassword(), k.host)
	k.ok(orasBin, "resolve", "--registry-config", "own.json", a1)

	// Deleting takes more than the user that login stores may.
	remove := []string{"manifest", "delete", "--force", k.host + "/scraper:a1"}
	k.fails([]string{"denied: ", "not authorized to perform: ecr:BatchDeleteImage on resource: arn:aws:ecr:us-east-1:000000000000:repository/scraper"}, orasBin, remove...)
	k.ok(orasBin, append(remove, "-u", "AWS", "-p", k.adminPassword())...)
	k.fails([]string{"not found"}, orasBin, "resolve", k.host+"/scraper:a1")
	k.ok(orasBin, "resolve", a1) // the other repository's is untouched
}

// read reads a file of the home.
func (k *kontor) read(name string) []byte {
	k.t.Helper()
	b, err := os.ReadFile(filepath.Join(k.home, name))
	if err != nil {
		k.t.Fatal(err)
	}
	return b
}

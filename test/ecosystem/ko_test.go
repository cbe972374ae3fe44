package ecosystem

import (
	"encoding/json"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// ko builds a program upon a base image of the registry, and pushes it with its
// SBOM, which is found under a tag. The same program again is the same image.
func TestKo(t *testing.T) {
	cache, err := exec.CommandContext(t.Context(), "go", "env", "GOCACHE").Output()
	if err != nil {
		t.Fatal(err)
	}
	w := start(t)
	w.deploy("ecr_repositories:\n  base: {}\n  apps/hello: {}\n")
	layer, err := random.Layer(5000, "application/vnd.oci.image.layer.v1.tar+gzip")
	if err != nil {
		t.Fatal(err)
	}
	base, err := mutate.AppendLayers(mutate.ConfigMediaType(mutate.MediaType(empty.Image, "application/vnd.oci.image.manifest.v1+json"), "application/vnd.oci.image.config.v1+json"), layer)
	if err != nil {
		t.Fatal(err)
	}
	base, err = mutate.ConfigFile(base, &v1.ConfigFile{OS: "linux", Architecture: "amd64", RootFS: v1.RootFS{Type: "layers", DiffIDs: []v1.Hash{must(layer.DiffID())}}})
	if err != nil {
		t.Fatal(err)
	}
	ref, err := name.ParseReference(w.staging + "/base:1")
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(ref, base, remote.WithAuth(w.login())); err != nil {
		t.Fatal(err)
	}

	w.write("go.mod", "module example.com/hello\n\ngo 1.24\n")
	w.write("main.go", "package main\n\nfunc main() { println(\"hello\") }\n")
	w.env = []string{"GOCACHE=" + strings.TrimSpace(string(cache)), "KO_DOCKER_REPO=" + w.staging + "/apps", "KO_DEFAULTBASEIMAGE=" + w.staging + "/base:1"}
	build := []string{"build", "--base-import-paths", "--platform=linux/amd64", "--tags=v1", "--insecure-registry", "--image-refs=refs", "."}
	w.ok(koBin, build...)
	image := strings.TrimSpace(string(w.read("refs")))
	w.ok(koBin, build...)
	if again := strings.TrimSpace(string(w.read("refs"))); again != image || !strings.HasPrefix(image, w.staging+"/apps/hello:v1@sha256:") {
		t.Errorf("built %q, then %q", image, again)
	}

	_, digest, _ := strings.Cut(image, "@")
	tag, err := name.NewTag(w.staging + "/apps/hello:" + strings.ReplaceAll(digest, ":", "-") + ".sbom")
	if err != nil {
		t.Fatal(err)
	}
	sbom, err := remote.Image(tag, remote.WithAuth(w.login()))
	if err != nil {
		t.Fatal(err)
	}
	layers, err := sbom.Layers()
	if err != nil || len(layers) != 1 {
		t.Fatalf("the SBOM has the layers %v, %v", layers, err)
	}
	body, err := layers[0].Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	var document struct {
		Version string `json:"spdxVersion"`
	}
	if err := json.NewDecoder(body).Decode(&document); err != nil || !strings.HasPrefix(document.Version, "SPDX-") {
		t.Errorf("the SBOM says it is of version %q, %v", document.Version, err)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

package ecosystem

import (
	"slices"
	"testing"

	"github.com/fluxcd/pkg/oci"
	"github.com/google/go-containerregistry/pkg/crane"
)

// The client of flux pushes a folder of manifests, tags it, lists it, and pulls it
// unchanged, as `flux push artifact` and the source controller do. The command itself
// cannot be built from its module: it embeds manifests that the module lacks.
func TestFlux(t *testing.T) {
	w := start(t)
	w.deploy("ecr_repositories:\n  manifests: {is_immutable: false}\n")
	w.mkdir("deploy")
	w.write("deploy/config.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: website}\n")
	client := oci.NewClient(append(oci.DefaultOptions(), crane.WithAuth(w.login()), crane.Insecure))

	url := w.staging + "/manifests:v1"
	digest, err := client.Push(t.Context(), url, w.path("deploy"), oci.WithPushMetadata(oci.Metadata{Source: "https://example.com/repository", Revision: "main@sha1:0000"}))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Tag(t.Context(), url, "latest"); err != nil {
		t.Fatal(err)
	}
	list, err := client.List(t.Context(), w.staging+"/manifests", oci.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var urls []string
	for _, m := range list {
		if m.Revision != "main@sha1:0000" {
			t.Errorf("%s has the revision %q", m.URL, m.Revision)
		}
		urls = append(urls, m.URL)
	}
	if slices.Sort(urls); !slices.Equal(urls, []string{w.staging + "/manifests:latest", url}) {
		t.Errorf("listed %v", urls)
	}

	w.mkdir("pulled")
	pulled, err := client.Pull(t.Context(), w.staging+"/manifests:latest", w.path("pulled"))
	if err != nil {
		t.Fatal(err)
	}
	if pulled.Digest != digest {
		t.Errorf("pulled %s, pushed %s", pulled.Digest, digest)
	}
	if got, want := w.read("pulled/config.yaml"), w.read("deploy/config.yaml"); string(got) != string(want) {
		t.Errorf("pulled %q, pushed %q", got, want)
	}
	if err := client.Diff(t.Context(), url, w.path("deploy"), nil); err != nil {
		t.Errorf("the folder differs from what was pushed: %v", err)
	}
}

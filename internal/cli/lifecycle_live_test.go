package cli_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/google/go-cmp/cmp"

	"github.com/kontor-registry/kontor/kontortest"
	"github.com/kontor-registry/kontor/kontortest/awstest"
)

// pusher pushes small images to a repository through the API.
type pusher struct {
	t    *testing.T
	api  *ecr.Client
	repo string
}

// blob uploads content and returns its descriptor without a media type.
func (p pusher) blob(content string) string {
	p.t.Helper()
	up, err := p.api.InitiateLayerUpload(p.t.Context(), &ecr.InitiateLayerUploadInput{RepositoryName: &p.repo})
	if err != nil {
		p.t.Fatal(err)
	}
	_, err = p.api.UploadLayerPart(p.t.Context(), &ecr.UploadLayerPartInput{
		RepositoryName: &p.repo, UploadId: up.UploadId, PartFirstByte: aws.Int64(0), PartLastByte: aws.Int64(int64(len(content) - 1)), LayerPartBlob: []byte(content),
	})
	if err != nil {
		p.t.Fatal(err)
	}
	if _, err = p.api.CompleteLayerUpload(p.t.Context(), &ecr.CompleteLayerUploadInput{RepositoryName: &p.repo, UploadId: up.UploadId, LayerDigests: []string{digestOf(content)}}); err != nil && !strings.Contains(err.Error(), "LayerAlreadyExists") {
		p.t.Fatal(err)
	}
	return fmt.Sprintf(`"digest": %q, "size": %d`, digestOf(content), len(content))
}

// put pushes a manifest and returns its digest.
func (p pusher) put(manifest string, tags ...string) string {
	p.t.Helper()
	if len(tags) == 0 {
		tags = []string{""}
	}
	for _, tag := range tags {
		in := &ecr.PutImageInput{RepositoryName: &p.repo, ImageManifest: &manifest, ImageDigest: aws.String(digestOf(manifest))}
		if tag != "" {
			in.ImageTag = &tag
		}
		if _, err := p.api.PutImage(p.t.Context(), in); err != nil {
			p.t.Fatal(err)
		}
	}
	return digestOf(manifest)
}

const (
	ociManifest = "application/vnd.oci.image.manifest.v1+json"
	ociIndex    = "application/vnd.oci.image.index.v1+json"
)

// image pushes an image with one layer of that content. subject is the digest
// it refers to, or "".
func (p pusher) image(content, subject string, tags ...string) string {
	p.t.Helper()
	if subject != "" {
		subject = fmt.Sprintf(`, "subject": {"mediaType": %q, "digest": %q, "size": 1}`, ociManifest, subject)
	}
	return p.put(fmt.Sprintf(`{"schemaVersion": 2, "mediaType": %q, "config": {"mediaType": "application/vnd.oci.image.config.v1+json", %s}, "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", %s}]%s}`,
		ociManifest, p.blob("{}"), p.blob(content), subject), tags...)
}

// index pushes an index of children.
func (p pusher) index(tag string, children ...string) string {
	p.t.Helper()
	var list []string
	for _, c := range children {
		list = append(list, fmt.Sprintf(`{"mediaType": %q, "digest": %q, "size": 1}`, ociManifest, c))
	}
	return p.put(fmt.Sprintf(`{"schemaVersion": 2, "mediaType": %q, "manifests": [%s]}`, ociIndex, strings.Join(list, ", ")), tag)
}

// TestLifecycleLive looks at a registry, and then at its snapshot.
func TestLifecycleLive(t *testing.T) {
	reg := kontortest.Start(t)
	s := newShell(t)
	awsEnv(t, reg.Admin)
	s.write("kontor.yaml", remoteFile(reg))
	s.want(s.run("apply", "-y"), 0)
	p := pusher{t, awstest.ECR(reg), "api"}
	names := map[string]string{}
	names[p.image("amd64", "")], names[p.image("arm64", "")] = "amd64", "arm64"
	index := p.index("v1", keys(names)...)
	names[index] = "index"
	names[p.image("signature", index)] = "signature"
	names[p.image("old", "")] = "old"
	names[p.image("release", "", "release-1", "latest")] = "release"

	later := []string{"--at", time.Now().Add(72 * time.Hour).UTC().Format(time.RFC3339)}
	kept := map[string]string{"amd64": "keep", "arm64": "keep", "index": "keep", "signature": "keep", "old": "keep", "release": "keep"}
	gone := map[string]string{
		"amd64": "keep 1 guarded by index index", "arm64": "keep 1 guarded by index index", "signature": "keep 1 guarded by subject index",
		"old": "expire 1", "index": "keep", "release": "keep",
	}
	check := func(want map[string]string, args ...string) result {
		t.Helper()
		r := s.want(s.run(append([]string{"lifecycle", "preview", "--json"}, args...)...), 0)
		if diff := cmp.Diff(want, decode[previewed](t, r.out).fates(names)); diff != "" {
			t.Errorf("%v (-want +got):\n%s", args, diff)
		}
		return r
	}
	check(kept, "api")
	check(gone, append(later, "api")...)
	s.want(s.run(append([]string{"lifecycle", "preview", "api"}, later...)...), 0, "rule 1: untagged images expire 1 day after their push  (kontor.yaml:5:3: ecr_repositories.api)\n", "by the file\n")
	unknown := check(map[string]string{
		"amd64": "expire 1 maybe", "arm64": "expire 1 maybe", "old": "expire 1 maybe", "index": "keep", "release": "keep", "signature": "keep 1 guarded by subject index",
	}, append(later, "api", "--no-manifests")...)
	if unknown.errors != "" {
		t.Errorf("stderr: %s", unknown.errors)
	}

	s.want(s.run(append([]string{"lifecycle", "explain", "api@" + digestOf("x")}, later...)...), 1, "no image in api has")
	s.want(s.run(append([]string{"lifecycle", "explain", "api:latest"}, later...)...), 0, "(latest, release-1)", "It is kept: no rule selects it.")
	s.want(s.run(append([]string{"lifecycle", "explain", "api@" + index}, later...)...), 0, "(v1)")
	s.want(s.run("lifecycle", "forecast", "api", "--days", "3"), 0, "rule 1 expires 1 image")

	s.want(s.run("lifecycle", "snapshot", "api", "-o", "snap"), 0, "Wrote 6 images and 1 manifest of api to snap.\n")
	s.want(s.run("lifecycle", "snapshot", "api", "-o", "snap"), 1, "snap is not empty")
	s.want(s.run("lifecycle", "snapshot", "api", "-o", "snap2", "--json"), 0, `"manifests": 1`)
	reg.Stop()
	check(kept, "--images", "snap")
	check(gone, append(later, "--images", "snap")...)
	// the pages of the AWS CLI beside the manifests that somebody saved
	check(gone, append(later, "--images", "snap/images.json", "--manifests", "snap/manifests", "--policy", "snap/policy.json", "--assume", "kontor")...)
	s.want(s.run("lifecycle", "preview", "api"), 1, "nothing listens at")
	if err := os.Remove("kontor.yaml"); err != nil {
		t.Fatal(err)
	}
}

// TestLifecycleWithoutFile looks at the local registry.
func TestLifecycleWithoutFile(t *testing.T) {
	s := newShell(t)
	s.env["KONTOR_DATA"] = t.TempDir()
	s.write("kontor.yaml", localFile)
	s.want(s.run("apply", "-y"), 0)
	s.want(s.run("__complete", "lifecycle", "preview", ""), 0, "api\nwebsite\n")
	if err := os.Remove("kontor.yaml"); err != nil {
		t.Fatal(err)
	}
	s.want(s.run("lifecycle", "preview", "api"), 0, "Lifecycle preview of api at", "by the repository's own policy", "0 images: ")
	s.want(s.run("lifecycle", "preview", "none"), 1, "kontor: the images of repository none: RepositoryNotFoundException")
}

func keys(m map[string]string) []string {
	var out []string
	for k := range m {
		out = append(out, k)
	}
	return out
}

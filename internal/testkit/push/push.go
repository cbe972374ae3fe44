// Package push pushes small images to a registry through the ECR API, for tests.
package push

import (
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"

	kontor "github.com/kontor-registry/kontor/internal/ecr"
)

// Repository is one that images are pushed to.
type Repository struct {
	t    *testing.T
	API  *ecr.Client
	repo string
}

// To pushes to the repository of that name.
func To(t *testing.T, api *ecr.Client, repo string) Repository { return Repository{t, api, repo} }

// blob uploads content and returns its descriptor without a media type.
func (p Repository) blob(content string) string {
	p.t.Helper()
	up, err := p.API.InitiateLayerUpload(p.t.Context(), &ecr.InitiateLayerUploadInput{RepositoryName: &p.repo})
	if err != nil {
		p.t.Fatal(err)
	}
	_, err = p.API.UploadLayerPart(p.t.Context(), &ecr.UploadLayerPartInput{
		RepositoryName: &p.repo, UploadId: up.UploadId, PartFirstByte: aws.Int64(0), PartLastByte: aws.Int64(int64(len(content) - 1)), LayerPartBlob: []byte(content),
	})
	if err != nil {
		p.t.Fatal(err)
	}
	if _, err = p.API.CompleteLayerUpload(p.t.Context(), &ecr.CompleteLayerUploadInput{RepositoryName: &p.repo, UploadId: up.UploadId, LayerDigests: []string{DigestOf(content)}}); err != nil && !strings.Contains(err.Error(), "LayerAlreadyExists") {
		p.t.Fatal(err)
	}
	return fmt.Sprintf(`"digest": %q, "size": %d`, DigestOf(content), len(content))
}

// put pushes a manifest and returns its digest.
func (p Repository) put(manifest string, tags ...string) string {
	p.t.Helper()
	if len(tags) == 0 {
		tags = []string{""}
	}
	for _, tag := range tags {
		in := &ecr.PutImageInput{RepositoryName: &p.repo, ImageManifest: &manifest}
		if tag != "" {
			in.ImageTag = &tag
		}
		if _, err := p.API.PutImage(p.t.Context(), in); err != nil {
			p.t.Fatal(err)
		}
	}
	return DigestOf(manifest)
}

const (
	ociManifest = "application/vnd.oci.image.manifest.v1+json"
	ociIndex    = "application/vnd.oci.image.index.v1+json"
)

// Image pushes an image with one layer of that content. subject is the digest
// it refers to, or "".
func (p Repository) Image(content, subject string, tags ...string) string {
	p.t.Helper()
	if subject != "" {
		subject = fmt.Sprintf(`, "subject": {"mediaType": %q, "digest": %q, "size": 1}`, ociManifest, subject)
	}
	return p.put(fmt.Sprintf(`{"schemaVersion": 2, "mediaType": %q, "config": {"mediaType": "application/vnd.oci.image.config.v1+json", %s}, "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", %s}]%s}`,
		ociManifest, p.blob("{}"), p.blob(content), subject), tags...)
}

// Index pushes an index of children.
func (p Repository) Index(tag string, children ...string) string {
	p.t.Helper()
	var list []string
	for _, c := range children {
		list = append(list, fmt.Sprintf(`{"mediaType": %q, "digest": %q, "size": 1}`, ociManifest, c))
	}
	return p.put(fmt.Sprintf(`{"schemaVersion": 2, "mediaType": %q, "manifests": [%s]}`, ociIndex, strings.Join(list, ", ")), tag)
}

// DigestOf is the digest of text.
func DigestOf(text string) string { return string(kontor.DigestOf([]byte(text))) }

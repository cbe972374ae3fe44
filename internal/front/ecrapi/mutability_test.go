package ecrapi

import (
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/registry"
	"github.com/kontor-registry/kontor/internal/testkit"
)

// ECR user guide, "Image tag mutability", and API reference, PutImage: the four
// modes with their filters by PutImage, for another image and for the same.
func TestMutabilityByPutImage(t *testing.T) {
	for _, tc := range []struct {
		mode  string // members of the request
		fixed map[string]bool
	}{
		{`"imageTagMutability": "MUTABLE"`, map[string]bool{"v1": false, "latest": false}},
		{`"imageTagMutability": "IMMUTABLE"`, map[string]bool{"v1": true, "latest": true}},
		{`"imageTagMutability": "IMMUTABLE_WITH_EXCLUSION", "imageTagMutabilityExclusionFilters": [{"filterType": "WILDCARD", "filter": "latest"}, {"filterType": "WILDCARD", "filter": "dev-*"}]`,
			map[string]bool{"v1": true, "latest": false, "dev-1": false, "latest2": true, "mydev-1": true}},
		{`"imageTagMutability": "MUTABLE_WITH_EXCLUSION", "imageTagMutabilityExclusionFilters": [{"filterType": "WILDCARD", "filter": "v*"}]`,
			map[string]bool{"v1": true, "latest": false, "dev-v1": false}},
	} {
		t.Run(tc.mode, func(t *testing.T) {
			s := newServer(t)
			// Made so, and made so later, which is for later pushes.
			ok[CreateRepositoryResponse](t, s, "CreateRepository", `{"repositoryName": "made", `+tc.mode+`}`)
			ok[CreateRepositoryResponse](t, s, "CreateRepository", `{"repositoryName": "changed"}`)
			ok[PutImageTagMutabilityResponse](t, s, "PutImageTagMutability", `{"repositoryName": "changed", `+tc.mode+`}`)
			for _, repo := range []string{"made", "changed"} {
				t.Run(repo, func(t *testing.T) {
					one, first := s.image(t, repo, "one", "")
					two, second := s.image(t, repo, "two", "")
					for _, tag := range slices.Sorted(maps.Keys(tc.fixed)) {
						put := func(manifest, digest, want string) {
							t.Helper()
							if want == "" {
								want = fmt.Sprintf(`{"image": {"registryId": "000000000000", "repositoryName": %q, "imageId": {"imageDigest": %q, "imageTag": %q},
							"imageManifest": %s, "imageManifestMediaType": %q}}`, repo, digest, tag, quoted(t, manifest), imageType)
							}
							s.steps(t, step{"PutImage", fmt.Sprintf(`{"repositoryName": %q, "imageTag": %q, "imageDigest": %q, "imageManifest": %s}`, repo, tag, digest, quoted(t, manifest)), want})
						}
						put(one, first, "")
						moved, again := "", fmt.Sprintf("ImageAlreadyExistsException: Image with digest '%s' and tag '%s' already exists in the repository with name '%s' in registry with id '000000000000'", first, tag, repo)
						if tc.fixed[tag] {
							moved = fmt.Sprintf("ImageTagAlreadyExistsException: The image tag '%s' already exists in the '%s' repository and cannot be overwritten because the tag is immutable.", tag, repo)
							again = moved
						}
						put(one, first, again)
						put(two, second, moved)
						out := ok[DescribeImagesResponse](t, s, "DescribeImages", fmt.Sprintf(`{"repositoryName": %q, "imageIds": [{"imageTag": %q}]}`, repo, tag))
						if want := map[bool]string{true: first, false: second}[tc.fixed[tag]]; *out.ImageDetails[0].ImageDigest != want {
							t.Errorf("%s, %s: the tag is at %s, want %s", tc.mode, tag, *out.ImageDetails[0].ImageDigest, want)
						}
						// Immutable tags can be deleted.
						s.steps(t, step{"BatchDeleteImage", fmt.Sprintf(`{"repositoryName": %q, "imageIds": [{"imageTag": %q}]}`, repo, tag),
							fmt.Sprintf(`{"imageIds": [{"imageDigest": %q, "imageTag": %q}], "failures": []}`, *out.ImageDetails[0].ImageDigest, tag)})
					}
				})
			}
		})
	}
}

func sha512Of(s string) string {
	sum := sha512.Sum512([]byte(s))
	return "sha512:" + hex.EncodeToString(sum[:])
}

// The same content under its sha512: a separate image, which is found,
// listed and pulled by it, also as a subject. ECR has no such images.
func TestPutImageBySHA512(t *testing.T) {
	s := newServer(t, func(s *testkit.Settings) { s.Compat = registry.CompatOCI })
	ok[CreateRepositoryResponse](t, s, "CreateRepository", `{"repositoryName": "app"}`)
	manifest, short := s.image(t, "app", "one", "")
	long := sha512Of(manifest)
	put := func(manifest, digest, tag string) PutImageResponse {
		t.Helper()
		return ok[PutImageResponse](t, s, "PutImage", fmt.Sprintf(`{"repositoryName": "app", "imageTag": %q, "imageDigest": %q, "imageManifest": %s}`, tag, digest, quoted(t, manifest)))
	}
	if out := put(manifest, long, "long"); *out.Image.ImageId.ImageDigest != long {
		t.Errorf("%+v", out.Image.ImageId)
	}
	put(manifest, short, "short")
	for tag, digest := range map[string]string{"long": long, "short": short} {
		t.Run(tag, func(t *testing.T) {
			for _, id := range []string{fmt.Sprintf(`{"imageTag": %q}`, tag), fmt.Sprintf(`{"imageDigest": %q}`, digest)} {
				got := ok[BatchGetImageResponse](t, s, "BatchGetImage", `{"repositoryName": "app", "imageIds": [`+id+`]}`)
				if len(got.Images) != 1 || *got.Images[0].ImageId.ImageDigest != digest || *got.Images[0].ImageManifest != manifest {
					t.Errorf("%s: %+v", id, got)
				}
			}
		})
	}
	referrer, _ := s.image(t, "app", "two", fmt.Sprintf(`,"artifactType":"a/b","subject":{"mediaType":%q,"digest":%q,"size":%d}`, imageType, long, len(manifest)))
	put(referrer, sha512Of(referrer), "referrer")
	list := ok[ListImageReferrersResponse](t, s, "ListImageReferrers", fmt.Sprintf(`{"repositoryName": "app", "subjectId": {"imageDigest": %q}}`, long))
	if len(list.Referrers) != 1 || *list.Referrers[0].Digest != sha512Of(referrer) {
		t.Errorf("%+v", list.Referrers)
	}
	s.steps(t, step{"PutImage", fmt.Sprintf(`{"repositoryName": "app", "imageDigest": %q, "imageManifest": %s}`, sha512Of("other"), quoted(t, manifest)),
		"ImageDigestDoesNotMatchException: The image with digest '" + sha512Of("other") + "' in repository 'app' and registry ID '000000000000' does not match the image digest that Amazon ECR has calculated."})
	// A layer by its sha512, from parts.
	u := ok[InitiateLayerUploadResponse](t, s, "InitiateLayerUpload", `{"repositoryName": "app"}`)
	ok[UploadLayerPartResponse](t, s, "UploadLayerPart", part("app", *u.UploadId, 0, "a layer"))
	done := ok[CompleteLayerUploadResponse](t, s, "CompleteLayerUpload", fmt.Sprintf(`{"repositoryName": "app", "uploadId": %q, "layerDigests": [%q, %q]}`,
		*u.UploadId, ecr.DigestOf([]byte("none of it")), sha512Of("a layer")))
	if *done.LayerDigest != sha512Of("a layer") || !strings.HasPrefix(*done.LayerDigest, "sha512:") {
		t.Errorf("%s", *done.LayerDigest)
	}
}

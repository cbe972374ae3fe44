package ecrapi

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kontor-registry/kontor/internal/ecr"
)

// Every error text of Amazon ECR that is known and that this API can raise,
// word for word. Programs match on them.
func TestErrorTexts(t *testing.T) {
	s := newServer(t)
	ok[CreateRepositoryResponse](t, s, "CreateRepository", `{"repositoryName": "app"}`)
	ok[CreateRepositoryResponse](t, s, "CreateRepository", `{"repositoryName": "fixed", "imageTagMutability": "IMMUTABLE"}`)
	put := func(repo, manifest, more string) string {
		return fmt.Sprintf(`{"repositoryName": %q, "imageManifest": %s%s}`, repo, quoted(t, manifest), more)
	}
	manifest, digest := s.image(t, "app", "x", "")
	ok[PutImageResponse](t, s, "PutImage", put("app", manifest, `, "imageTag": "v1"`))
	fixed, fixedDigest := s.image(t, "fixed", "x", "")
	ok[PutImageResponse](t, s, "PutImage", put("fixed", fixed, `, "imageTag": "v1"`))
	ok[PutRegistryScanningConfigurationResponse](t, s, "PutRegistryScanningConfiguration", `{"scanType": "ENHANCED"}`)
	missing := string(ecr.DigestOf([]byte("missing")))
	layer := string(ecr.DigestOf([]byte("x")))
	upload := func(parts ...string) string {
		u := ok[InitiateLayerUploadResponse](t, s, "InitiateLayerUpload", `{"repositoryName": "app"}`)
		at := 0
		for _, p := range parts {
			ok[UploadLayerPartResponse](t, s, "UploadLayerPart", part("app", *u.UploadId, at, p))
			at += len(p)
		}
		return *u.UploadId
	}
	complete := func(id string) string {
		return fmt.Sprintf(`{"repositoryName": "app", "uploadId": %q, "layerDigests": [%q]}`, id, missing)
	}
	empty, begun, small := upload(), upload("12345"), upload("1", "2")
	ids := strings.TrimSuffix(strings.Repeat(`{"imageTag": "v1"},`, 101), ",")
	layers := strings.TrimSuffix(strings.Repeat(fmt.Sprintf(`{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":%q,"size":1},`, layer), 4201), ",")
	image := func(layers string) string {
		return fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":%q,"size":1},"layers":[%s]}`, imageType, layer, layers)
	}
	index := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"manifests":[{"mediaType":%q,"digest":%q,"size":1}]}`, indexType, imageType, missing)

	const (
		name    = `Invalid parameter at 'repositoryName' failed to satisfy constraint: 'must `
		body    = `Invalid parameter at 'ImageManifest' failed to satisfy constraint: '`
		noImage = `The image with imageId {imageDigest:'%s', imageTag:'%s'} does not exist within the repository with name 'app' in the registry with id '000000000000'`
	)
	for _, tc := range []struct{ operation, body, kind, text string }{
		// Invalid parameters: the two families of texts seen of ECR.
		{"CreateRepository", `{"repositoryName": "A"}`, "InvalidParameterException", name + "have length greater than or equal to 2'"},
		{"CreateRepository", `{"repositoryName": "a//b"}`, "InvalidParameterException",
			name + `satisfy regular expression '[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*''`},
		{"CreateRepository", `{}`, "InvalidParameterException", name + "not be null'"},
		{"CreateRepository", `{"repositoryName": "` + strings.Repeat("a", 257) + `"}`, "InvalidParameterException", name + "have length less than or equal to 256'"},
		{"PutImageTagMutability", `{"repositoryName": "app"}`, "InvalidParameterException",
			"Invalid parameter at 'imageTagMutability' failed to satisfy constraint: 'Member must not be null'"},
		{"CreateRepository", `{"repositoryName": "tagged", "tags": [{"Key": "a", "Value": "b"}, {"Value": "c"}]}`, "InvalidParameterException",
			"Invalid parameter at 'tags.2.member.key' failed to satisfy constraint: 'Member must not be null'"},
		{"PutImageTagMutability", `{"repositoryName": "app", "imageTagMutability": "FIXED"}`, "InvalidParameterException",
			"Invalid parameter at 'imageTagMutability' failed to satisfy constraint: 'Member must satisfy enum value set: [IMMUTABLE, MUTABLE, MUTABLE_WITH_EXCLUSION, IMMUTABLE_WITH_EXCLUSION]'"},
		{"BatchGetImage", `{"repositoryName": "app", "imageIds": [` + ids + `]}`, "InvalidParameterException",
			"Invalid parameter at 'imageIds' failed to satisfy constraint: 'Member must have length less than or equal to 100'"},
		{"ListImages", `{"repositoryName": "app", "maxResults": 1001}`, "InvalidParameterException",
			"Invalid parameter at 'maxResults' failed to satisfy constraint: 'Member must have value less than or equal to 1000'"},
		{"PutImage", put("app", manifest, `, "imageTag": "a b"`), "InvalidParameterException",
			"Invalid parameter at 'imageTag' failed to satisfy constraint: 'must satisfy regular expression '[a-zA-Z0-9-_.]+''"},
		{"PutImage", put("app", "{", ""), "InvalidParameterException", body + "Invalid JSON syntax'"},
		{"PutImage", put("app", image(layers), ""), "InvalidParameterException", body + "Limit on number of layers per image exceeded'"},
		{"PutImage", put("app", image(""), ""), "InvalidParameterException", body + "Image has to have at least 1 layer'"},
		{"SetRepositoryPolicy", `{"repositoryName": "app", "policyText": "{}"}`, "InvalidParameterException",
			"Invalid parameter at 'PolicyText' failed to satisfy constraint: 'Invalid repository policy provided'"},
		{"PutRegistryPolicy", `{"policyText": "{}"}`, "InvalidParameterException",
			"Invalid parameter at 'PolicyText' failed to satisfy constraint: 'Invalid registry policy provided'"},
		{"PutLifecyclePolicy", `{"repositoryName": "app", "lifecyclePolicyText": "` + strings.Repeat("x", 100) + `"}`, "InvalidParameterException",
			"Invalid parameter at 'LifecyclePolicyText' failed to satisfy constraint: 'Lifecycle policy validation failure: Could not map policyString into LifecyclePolicy.'"},
		{"ListTagsForResource", `{"resourceArn": "arn:aws:s3:::bucket"}`, "InvalidParameterException",
			"Invalid parameter at 'resourceArn' failed to satisfy constraint: 'Invalid ARN'"},
		{"PutImageTagMutability", `{"repositoryName": "app", "imageTagMutability": "IMMUTABLE_WITH_EXCLUSION"}`, "InvalidParameterException",
			"Invalid parameter at 'imageTagMutabilityExclusionFilters' failed to satisfy constraint: 'ImageTagMutabilityExclusionFilters can't be null when imageTagMutability is set as IMMUTABLE_WITH_EXCLUSION'"},

		// Named errors, as seen of ECR.
		{"ListImages", `{"repositoryName": "nowhere"}`, "RepositoryNotFoundException",
			"The repository with name 'nowhere' does not exist in the registry with id '000000000000'"},
		{"CreateRepository", `{"repositoryName": "app"}`, "RepositoryAlreadyExistsException",
			"The repository with name 'app' already exists in the registry with id '000000000000'"},
		{"DeleteRepository", `{"repositoryName": "app"}`, "RepositoryNotEmptyException",
			"The repository with name 'app' in registry with id '000000000000' cannot be deleted because it still contains images"},
		{"DescribeImages", `{"repositoryName": "app", "imageIds": [{"imageTag": "v2"}]}`, "ImageNotFoundException",
			fmt.Sprintf(noImage, "null", "v2")},
		{"DescribeImages", `{"repositoryName": "app", "imageIds": [{"imageDigest": "` + missing + `"}]}`, "ImageNotFoundException",
			fmt.Sprintf(noImage, missing, "null")},
		{"PutImage", put("app", manifest, `, "imageTag": "v1"`), "ImageAlreadyExistsException",
			"Image with digest '" + digest + "' and tag 'v1' already exists in the repository with name 'app' in registry with id '000000000000'"},
		{"PutImage", put("fixed", fixed, `, "imageTag": "v1"`), "ImageTagAlreadyExistsException",
			"The image tag 'v1' already exists in the 'fixed' repository and cannot be overwritten because the tag is immutable."},
		{"PutImage", put("app", manifest, `, "imageTag": "v2", "imageDigest": "`+missing+`"`), "ImageDigestDoesNotMatchException",
			"The image with digest '" + missing + "' in repository 'app' and registry ID '000000000000' does not match the image digest that Amazon ECR has calculated."},
		{"PutImage", put("app", strings.ReplaceAll(manifest, layer, missing), ""), "LayersNotFoundException",
			"Layers with digests '[" + missing + "]' required for pushing image into repository with name 'app' in the registry with id '000000000000' do not exist"},
		{"PutImage", put("app", index, ""), "ReferencedImagesNotFoundException",
			"Images with digests '[" + missing + "]' required for pushing image into repository with name 'app' in the registry with id '000000000000' do not exist"},
		{"CompleteLayerUpload", complete(empty), "EmptyUploadException",
			"The upload with id '" + empty + "' in the repository with name 'app' in registry with id '000000000000' cannot be completed because it does not have any parts."},
		{"UploadLayerPart", part("app", begun, 3, "x"), "InvalidLayerPartException", "First byte of the layer part is 3 instead of 5"},
		{"CompleteLayerUpload", complete(begun), "InvalidLayerException", "None of the provided layer digests match the calculated layer digest"},
		{"CompleteLayerUpload", complete(small), "LayerPartTooSmallException", "All layer parts except the last part should be at least 5MB"},
		{"GetLifecyclePolicy", `{"repositoryName": "app"}`, "LifecyclePolicyNotFoundException",
			"Lifecycle policy does not exist for the repository with name 'app' in the registry with id '000000000000'"},
		{"GetRepositoryPolicy", `{"repositoryName": "app"}`, "RepositoryPolicyNotFoundException",
			"Repository policy does not exist for the repository with name 'app' in the registry with id '000000000000'"},
		{"GetRegistryPolicy", `{}`, "RegistryPolicyNotFoundException", "Registry policy does not exist in the registry with id '000000000000'"},
		{"StartImageScan", `{"repositoryName": "scanned", "imageId": {"imageTag": "v1"}}`, "RepositoryNotFoundException",
			"The repository with name 'scanned' does not exist in the registry with id '000000000000'"},
		{"StartImageScan", `{"repositoryName": "app", "imageId": {"imageTag": "v2"}}`, "ImageNotFoundException", fmt.Sprintf(noImage, "null", "v2")},
		{"StartImageScan", `{"repositoryName": "app", "imageId": {"imageTag": "v1"}}`, "ValidationException", "This feature is disabled"},
		{"DescribeImageScanFindings", `{"repositoryName": "app", "imageId": {"imageTag": "v1"}}`, "ScanNotFoundException",
			"Image scan does not exist for the image with '{imageDigest:'null', imageTag:'v1'}' in the repository with name 'app' in the registry with id '000000000000'"},
		{"DescribeImageScanFindings", `{"repositoryName": "app", "imageId": {"imageTag": "v2"}}`, "ImageNotFoundException",
			fmt.Sprintf(noImage, "null", "v2")},
		{"PutImage", put("app", manifest, ""), "ImageAlreadyExistsException",
			"Image with digest '" + digest + "' and tag 'null' already exists in the repository with name 'app' in registry with id '000000000000'"},
		{"GetDownloadUrlForLayer", `{"repositoryName": "app", "layerDigest": "` + missing + `"}`, "LayersNotFoundException",
			"The layer with digest '" + missing + "' does not exist within the repository with name 'app' in the registry with id '000000000000'"},
		{"DescribeRepositories", `{"repositoryNames": ["app", "nowhere"]}`, "RepositoryNotFoundException",
			"The repository with name 'nowhere' does not exist in the registry with id '000000000000'"},
		{"DeleteRegistryPolicy", `{}`, "RegistryPolicyNotFoundException", "Registry policy does not exist in the registry with id '000000000000'"},
		{"PutImageTagMutability", `{"repositoryName": "app", "imageTagMutability": "MUTABLE_WITH_EXCLUSION"}`, "InvalidParameterException",
			"Invalid parameter at 'imageTagMutabilityExclusionFilters' failed to satisfy constraint: 'ImageTagMutabilityExclusionFilters can't be null when imageTagMutability is set as MUTABLE_WITH_EXCLUSION'"},
		{"TagResource", `{"resourceArn": "arn:aws:ecr:us-east-1:000000000000:repository/app", "tags": [{"Key": "", "Value": "a"}]}`,
			"InvalidTagParameterException", "Tag parameters are invalid"},
	} {
		t.Run(fmt.Sprintf("%s %.80s", tc.operation, tc.body), func(t *testing.T) {
			w := s.do(tc.operation, tc.body)
			var got errorBody
			if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
				t.Fatal(err)
			}
			if got.Message == nil || w.Code != http.StatusBadRequest || got.Type != tc.kind || *got.Message != tc.text {
				t.Errorf("%s %.80s:\n got %d %s\nwant 400 %s: %s", tc.operation, tc.body, w.Code, w.Body, tc.kind, tc.text)
			}
		})
	}
	if fixedDigest != digest {
		t.Errorf("the same manifest has the digests %s and %s", digest, fixedDigest)
	}
}

// The members that InvalidLayerPartException has in addition to its message.
func TestInvalidLayerPartSaysHowToGoOn(t *testing.T) {
	s := newServer(t)
	ok[CreateRepositoryResponse](t, s, "CreateRepository", `{"repositoryName": "app"}`)
	u := *ok[InitiateLayerUploadResponse](t, s, "InitiateLayerUpload", `{"repositoryName": "app"}`).UploadId
	checkPart(t, s, u, `"message": "First byte of the layer part is 9 instead of 0"`)
	ok[UploadLayerPartResponse](t, s, "UploadLayerPart", part("app", u, 0, "12345"))
	checkPart(t, s, u, `"message": "First byte of the layer part is 9 instead of 5", "lastValidByteReceived": 4`)
	w := s.do("UploadLayerPart", fmt.Sprintf(`{"repositoryName": "app", "uploadId": %q, "partFirstByte": 5, "partLastByte": 9, "layerPartBlob": %q}`,
		u, base64.StdEncoding.EncodeToString([]byte("67"))))
	if !strings.Contains(w.Body.String(), "The layer part has 2 bytes instead of the 5 from byte 5 to byte 9") {
		t.Errorf("a short part: %s", w.Body)
	}
}

func checkPart(t *testing.T, s *server, upload, want string) {
	t.Helper()
	w := s.do("UploadLayerPart", part("app", upload, 9, "x"))
	want = fmt.Sprintf(`{"__type": "InvalidLayerPartException", "registryId": "000000000000", "repositoryName": "app", "uploadId": %q, %s}`, upload, want)
	if d := cmp.Diff(semantic(t, []byte(want)), semantic(t, w.Body.Bytes())); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

// Failures of single images: ECR API reference, ImageFailure.
func TestFailureTexts(t *testing.T) {
	s := newServer(t)
	ok[CreateRepositoryResponse](t, s, "CreateRepository", `{"repositoryName": "app"}`)
	put := func(manifest, tag string) {
		ok[PutImageResponse](t, s, "PutImage", fmt.Sprintf(`{"repositoryName": "app", "imageManifest": %s, "imageTag": %q}`, quoted(t, manifest), tag))
	}
	child, digest := s.image(t, "app", "x", "")
	put(child, "v1")
	index := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"manifests":[{"mediaType":%q,"digest":%q,"size":%d}]}`, indexType, imageType, digest, len(child))
	put(index, "all")
	missing := string(ecr.DigestOf([]byte("missing")))
	for _, operation := range []string{"BatchGetImage", "BatchDeleteImage"} {
		s.steps(t, step{operation, `{"repositoryName": "app", "imageIds": [{}, {"imageDigest": "x"}, {"imageTag": "a b"}, {"imageTag": "v9"}, {"imageDigest": "` + missing + `", "imageTag": "v1"}]}`,
			strings.Replace(`{"IMAGES": [], "failures": [
				{"imageId": {}, "failureCode": "MissingDigestAndTag", "failureReason": "Invalid request parameters: both tag and digest cannot be null"},
				{"imageId": {"imageDigest": "x"}, "failureCode": "InvalidImageDigest",
					"failureReason": "Invalid request parameters: image digest should satisfy the regex '[a-zA-Z0-9-_+.]+:[a-fA-F0-9]+'"},
				{"imageId": {"imageTag": "a b"}, "failureCode": "InvalidImageTag",
					"failureReason": "Invalid request parameters: image tag should satisfy the regex '[a-zA-Z0-9-_.]+'"},
				{"imageId": {"imageTag": "v9"}, "failureCode": "ImageNotFound", "failureReason": "Requested image not found"},
				{"imageId": {"imageDigest": "`+missing+`", "imageTag": "v1"}, "failureCode": "ImageTagDoesNotMatchDigest",
					"failureReason": "Requested image tag does not match the digest"}
			]}`, "IMAGES", map[string]string{"BatchGetImage": "images", "BatchDeleteImage": "imageIds"}[operation], 1)})
	}
	s.steps(t, step{"BatchDeleteImage", `{"repositoryName": "app", "imageIds": [{"imageTag": "v1"}]}`, `{"imageIds": [], "failures": [
		{"imageId": {"imageTag": "v1"}, "failureCode": "ImageReferencedByManifestList",
			"failureReason": "Requested image referenced by manifest list: [` + string(ecr.DigestOf([]byte(index))) + `]"}]}`})
}

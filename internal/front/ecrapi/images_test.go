package ecrapi

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kontor-registry/kontor/internal/ecr"
)

const unknownDigest = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

func TestImages(t *testing.T) {
	s := newServer(t)
	ok[CreateRepositoryResponse](t, s, "CreateRepository", `{"repositoryName": "app"}`)
	const in = `"registryId": "000000000000", "repositoryName": "app"`
	manifest, digest := s.image(t, "app", "one", "")
	text := quoted(t, manifest)
	imageWith := func(id string) string {
		return `{` + in + `, "imageId": ` + id + `, "imageManifest": ` + text + `, "imageManifestMediaType": "` + imageType + `"}`
	}
	details := func(tags string) string {
		return `{` + in + `, "imageDigest": "` + digest + `"` + tags + `, "imageSizeInBytes": %d, "imagePushedAt": ` + created + `,
			"imageManifestMediaType": "` + imageType + `", "artifactMediaType": "application/vnd.oci.image.config.v1+json", "imageStatus": "ACTIVE"}`
	}
	size := len("one") + len(`{"architecture":"amd64","os":"linux","content":"one"}`)
	tagged := fmt.Sprintf(details(`, "imageTags": ["v1", "v2"]`), size)
	s.steps(t,
		step{"ListImages", `{"repositoryName": "app"}`, `{"imageIds": []}`},
		step{"DescribeImages", `{"repositoryName": "app"}`, `{"imageDetails": []}`},
		step{"PutImage", `{"repositoryName": "app", "imageTag": "v1", "imageManifest": ` + text + `}`,
			`{"image": ` + imageWith(`{"imageDigest": "`+digest+`", "imageTag": "v1"}`) + `}`},
		step{"PutImage", `{"repositoryName": "app", "imageTag": "v1", "imageManifest": ` + text + `}`,
			"ImageAlreadyExistsException: Image with digest '" + digest + "' and tag 'v1' already exists in the repository with name 'app' in registry with id '000000000000'"},
		step{"PutImage", `{"repositoryName": "app", "imageTag": "v2", "imageDigest": "` + digest + `", "imageManifest": ` + text + `}`,
			`{"image": ` + imageWith(`{"imageDigest": "`+digest+`", "imageTag": "v2"}`) + `}`},
		step{"PutImage", `{"repositoryName": "app", "imageTag": "-", "imageManifest": ` + text + `}`,
			"InvalidParameterException: Invalid parameter at 'imageTag' failed to satisfy constraint: 'must satisfy regular expression '[a-zA-Z0-9-_.]+''"},
		step{"PutImage", `{"repositoryName": "app", "imageDigest": "` + unknownDigest + `", "imageManifest": ` + text + `}`,
			"ImageDigestDoesNotMatchException: The image with digest '" + unknownDigest + "' in repository 'app' and registry ID '000000000000' does not match the image digest that Amazon ECR has calculated."},
		step{"ListImages", `{"repositoryName": "app"}`, `{"imageIds": [{"imageDigest": "` + digest + `", "imageTag": "v1"}, {"imageDigest": "` + digest + `", "imageTag": "v2"}]}`},
		step{"DescribeImages", `{"repositoryName": "app"}`, `{"imageDetails": [` + tagged + `]}`},
		step{"DescribeImages", `{"repositoryName": "app", "imageIds": [{"imageTag": "v2"}]}`, `{"imageDetails": [` + tagged + `]}`},
		step{"DescribeImages", `{"repositoryName": "app", "imageIds": [{"imageTag": "v3"}]}`,
			"ImageNotFoundException: The image with imageId {imageDigest:'null', imageTag:'v3'} does not exist within the repository with name 'app' in the registry with id '000000000000'"},
		step{"DescribeImages", `{"repositoryName": "app", "imageIds": [{"imageTag": "v2"}], "maxResults": 1}`,
			"InvalidParameterException: Invalid parameter at 'maxResults' failed to satisfy constraint: 'must not be used together with imageIds'"},
		step{"BatchGetImage", `{"repositoryName": "app", "imageIds": [{"imageTag": "v1"}, {"imageDigest": "` + digest + `"}, {"imageTag": "v3"}, {}, {"imageDigest": "sha256"}],
				"acceptedMediaTypes": ["application/vnd.docker.distribution.manifest.v2+json"]}`,
			`{"images": [` + imageWith(`{"imageDigest": "`+digest+`", "imageTag": "v1"}`) + `, ` + imageWith(`{"imageDigest": "`+digest+`"}`) + `],
				"failures": [
				{"imageId": {"imageTag": "v3"}, "failureCode": "ImageNotFound", "failureReason": "Requested image not found"},
				{"imageId": {}, "failureCode": "MissingDigestAndTag", "failureReason": "Invalid request parameters: both tag and digest cannot be null"},
				{"imageId": {"imageDigest": "sha256"}, "failureCode": "InvalidImageDigest", "failureReason": "Invalid request parameters: image digest should satisfy the regex '[a-zA-Z0-9-_+.]+:[a-fA-F0-9]+'"}]}`},
		step{"DeleteRepository", `{"repositoryName": "app"}`,
			"RepositoryNotEmptyException: The repository with name 'app' in registry with id '000000000000' cannot be deleted because it still contains images"},
		step{"BatchDeleteImage", `{"repositoryName": "app", "imageIds": [{"imageTag": "v1"}, {"imageTag": "v3"}]}`,
			`{"imageIds": [{"imageDigest": "` + digest + `", "imageTag": "v1"}],
				"failures": [{"imageId": {"imageTag": "v3"}, "failureCode": "ImageNotFound", "failureReason": "Requested image not found"}]}`},
		step{"BatchDeleteImage", `{"repositoryName": "app", "imageIds": [{"imageDigest": "` + digest + `"}]}`,
			`{"imageIds": [{"imageDigest": "` + digest + `", "imageTag": "v2"}], "failures": []}`},
		step{"ListImages", `{"repositoryName": "app"}`, `{"imageIds": []}`},
	)
}

func TestImmutableTag(t *testing.T) {
	s := newServer(t)
	ok[CreateRepositoryResponse](t, s, "CreateRepository", `{"repositoryName": "app", "imageTagMutability": "IMMUTABLE"}`)
	one, digest := s.image(t, "app", "one", "")
	two, _ := s.image(t, "app", "two", "")
	put := func(manifest string) string {
		return `{"repositoryName": "app", "imageTag": "v1", "imageManifest": ` + quoted(t, manifest) + `}`
	}
	ok[PutImageResponse](t, s, "PutImage", put(one))
	const refused = "ImageTagAlreadyExistsException: The image tag 'v1' already exists in the 'app' repository and cannot be overwritten because the tag is immutable."
	s.steps(t,
		step{"PutImage", put(two), refused},
		step{"PutImage", put(one), refused},
		step{"ListImages", `{"repositoryName": "app"}`, `{"imageIds": [{"imageDigest": "` + digest + `", "imageTag": "v1"}]}`},
	)
}

// Filters and pages of the two listings, over images with none, one and two
// tags.
func TestImageListings(t *testing.T) {
	s := newServer(t)
	ok[CreateRepositoryResponse](t, s, "CreateRepository", `{"repositoryName": "app"}`)
	tagged, untagged := map[string]bool{}, map[string]bool{}
	var pairs []string
	for i := range 6 {
		manifest, digest := s.image(t, "app", fmt.Sprint("content ", i), "")
		request := `{"repositoryName": "app", "imageManifest": ` + quoted(t, manifest)
		if i%3 == 0 {
			ok[PutImageResponse](t, s, "PutImage", request+`}`)
			untagged[digest] = true
			pairs = append(pairs, digest+" ")
			continue
		}
		tagged[digest] = true
		for j := range i % 3 {
			tag := fmt.Sprintf("tag-%d-%d", i, j)
			ok[PutImageResponse](t, s, "PutImage", request+`, "imageTag": "`+tag+`"}`)
			pairs = append(pairs, digest+" "+tag)
		}
	}
	slices.Sort(pairs)

	list := func(t *testing.T, filter string, size int) []string {
		t.Helper()

		var all []string
		token := ""
		for pages := 0; ; pages++ {
			out := ok[ListImagesResponse](t, s, "ListImages", fmt.Sprintf(`{"repositoryName": "app", "maxResults": %d%s%s}`, size, filter, token))
			for _, id := range out.ImageIds {
				all = append(all, *id.ImageDigest+" "+value(id.ImageTag))
			}
			if len(out.ImageIds) > size || pages > 20 {
				t.Fatalf("%d entries on page %d", len(out.ImageIds), pages)
			}
			if out.NextToken == nil {
				return all
			}
			token = fmt.Sprintf(`, "nextToken": %q`, *out.NextToken)
		}
	}
	describe := func(t *testing.T, filter string, size int) map[string]bool {
		t.Helper()

		all := map[string]bool{}
		token := ""
		for pages := 0; ; pages++ {
			out := ok[DescribeImagesResponse](t, s, "DescribeImages", fmt.Sprintf(`{"repositoryName": "app", "maxResults": %d%s%s}`, size, filter, token))
			for _, d := range out.ImageDetails {
				if all[*d.ImageDigest] {
					t.Errorf("%s twice", *d.ImageDigest)
				}
				all[*d.ImageDigest] = true
			}
			if len(out.ImageDetails) > size || pages > 20 {
				t.Fatalf("%d entries on page %d", len(out.ImageDetails), pages)
			}
			if out.NextToken == nil {
				return all
			}
			token = fmt.Sprintf(`, "nextToken": %q`, *out.NextToken)
		}
	}
	isTagged := func(pair string) bool { return !strings.HasSuffix(pair, " ") }
	only := func(keep func(string) bool) []string {
		var kept []string
		for _, p := range pairs {
			if keep(p) {
				kept = append(kept, p)
			}
		}
		return kept
	}
	everything := map[string]bool{}
	for d := range tagged {
		everything[d] = true
	}
	for d := range untagged {
		everything[d] = true
	}
	for _, c := range []struct {
		filter string
		pairs  []string
		images map[string]bool
	}{
		{"", pairs, everything},
		{`, "filter": {}`, pairs, everything},
		{`, "filter": {"tagStatus": "ANY"}`, pairs, everything},
		{`, "filter": {"tagStatus": "TAGGED"}`, only(isTagged), tagged},
		{`, "filter": {"tagStatus": "UNTAGGED"}`, only(func(p string) bool { return !isTagged(p) }), untagged},
		{`, "filter": {"imageStatus": "ACTIVE", "tagStatus": "TAGGED"}`, only(isTagged), tagged},
		{`, "filter": {"imageStatus": "ANY"}`, pairs, everything},
		{`, "filter": {"imageStatus": "ARCHIVED"}`, nil, map[string]bool{}},
		{`, "filter": {"imageStatus": "ACTIVATING"}`, nil, map[string]bool{}},
	} {
		t.Run("filter "+c.filter, func(t *testing.T) {
			for _, size := range []int{1, 2, 1000} {
				if diff := cmp.Diff(c.pairs, list(t, c.filter, size)); diff != "" {
					t.Errorf("ListImages%s by %d (-want +got):\n%s", c.filter, size, diff)
				}
				if diff := cmp.Diff(c.images, describe(t, c.filter, size)); diff != "" {
					t.Errorf("DescribeImages%s by %d (-want +got):\n%s", c.filter, size, diff)
				}
			}
		})
	}
	ok[CreateRepositoryResponse](t, s, "CreateRepository", `{"repositoryName": "other"}`)
	for _, operation := range []string{"ListImages", "DescribeImages"} {
		out := ok[struct{ NextToken string }](t, s, operation, `{"repositoryName": "app", "maxResults": 1}`)
		s.foreignToken(t, operation, `{"repositoryName": "other", `, out.NextToken)
		s.foreignToken(t, operation, `{"repositoryName": "app", "filter": {"tagStatus": "TAGGED"}, `, out.NextToken)
	}
	s.steps(t, step{"ListImages", `{"repositoryName": "gone", "filter": {"imageStatus": "ARCHIVED"}}`,
		"RepositoryNotFoundException: The repository with name 'gone' does not exist in the registry with id '000000000000'"})
}

// foreignToken checks that an operation refuses a token of other parameters.
func (s *server) foreignToken(t *testing.T, operation, request, token string) {
	t.Helper()
	if token == "" {
		t.Fatal("no token to check with")
	}
	s.steps(t, step{operation, request + fmt.Sprintf(`"nextToken": %q}`, token),
		"InvalidParameterException: Invalid parameter at 'nextToken' failed to satisfy constraint: 'must be a token that this operation returned for the same parameters'"})
}

// An index keeps its images; a subject has its referrers.
func TestIndexAndReferrers(t *testing.T) {
	s := newServer(t)
	ok[CreateRepositoryResponse](t, s, "CreateRepository", `{"repositoryName": "app"}`)
	put := func(manifest, tag string) {
		t.Helper()
		ok[PutImageResponse](t, s, "PutImage", `{"repositoryName": "app", "imageManifest": `+quoted(t, manifest)+tag+`}`)
	}
	child, childDigest := s.image(t, "app", "child", "")
	index := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"manifests":[{"mediaType":%q,"digest":%q,"size":%d}]}`, indexType, imageType, childDigest, len(child))
	indexDigest := string(ecr.DigestOf([]byte(index)))
	s.steps(t, step{"PutImage", `{"repositoryName": "app", "imageManifest": ` + quoted(t, index) + `}`,
		"ReferencedImagesNotFoundException: Images with digests '[" + childDigest + "]' required for pushing image into repository with name 'app' in the registry with id '000000000000' do not exist"})
	put(child, "")
	put(index, `, "imageTag": "multi"`)
	s.steps(t, step{"BatchDeleteImage", `{"repositoryName": "app", "imageIds": [{"imageDigest": "` + childDigest + `"}]}`,
		`{"imageIds": [], "failures": [{"imageId": {"imageDigest": "` + childDigest + `"}, "failureCode": "ImageReferencedByManifestList",
			"failureReason": "Requested image referenced by manifest list: [` + indexDigest + `]"}]}`})

	kinds := map[string]string{}
	for _, kind := range []string{"a/sbom", "a/sbom", "a/signature", "a/other"} {
		m, digest := s.image(t, "app", fmt.Sprint(kind, len(kinds)), fmt.Sprintf(`,"artifactType":%q,"annotations":{"kind":%[1]q},"subject":{"mediaType":%q,"digest":%q,"size":%d}`,
			kind, indexType, indexDigest, len(index)))
		put(m, "")
		kinds[digest] = kind
	}
	for _, c := range []struct {
		filter string
		want   []string
	}{
		{"", []string{"a/sbom", "a/signature", "a/other"}},
		{`, "filter": {"artifactTypes": []}`, []string{"a/sbom", "a/signature", "a/other"}},
		{`, "filter": {"artifactTypes": ["a/sbom"], "artifactStatus": "ACTIVE"}`, []string{"a/sbom"}},
		{`, "filter": {"artifactTypes": ["a/sbom", "a/other"]}`, []string{"a/sbom", "a/other"}},
		{`, "filter": {"artifactTypes": ["a/none", "b/none"]}`, nil},
		{`, "filter": {"artifactStatus": "ARCHIVED"}`, nil},
	} {
		t.Run("filter "+c.filter, func(t *testing.T) {
			for _, size := range []int{1, 2, 50} {
				want, got := map[string]string{}, map[string]string{}
				for d, kind := range kinds {
					if slices.Contains(c.want, kind) {
						want[d] = kind
					}
				}
				token := ""
				for pages := 0; ; pages++ {
					out := ok[ListImageReferrersResponse](t, s, "ListImageReferrers",
						fmt.Sprintf(`{"repositoryName": "app", "subjectId": {"imageDigest": %q}, "maxResults": %d%s%s}`, indexDigest, size, c.filter, token))
					for _, r := range out.Referrers {
						got[*r.Digest] = *r.ArtifactType
						if *r.MediaType != imageType || *r.ArtifactStatus != "ACTIVE" || *r.Size == 0 || r.Annotations["kind"] != *r.ArtifactType {
							t.Errorf("%+v", r)
						}
					}
					if len(out.Referrers) > size || pages > 10 {
						t.Fatalf("%d entries on page %d", len(out.Referrers), pages)
					}
					if out.NextToken == nil {
						break
					}
					token = fmt.Sprintf(`, "nextToken": %q`, *out.NextToken)
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("%s by %d (-want +got):\n%s", c.filter, size, diff)
				}
			}
		})
	}
	subject := `{"repositoryName": "app", "subjectId": {"imageDigest": "` + indexDigest + `"}, `
	out := ok[struct{ NextToken string }](t, s, "ListImageReferrers", subject+`"maxResults": 1}`)
	s.foreignToken(t, "ListImageReferrers", subject+`"filter": {"artifactTypes": ["a/sbom"]}, `, out.NextToken)
	s.foreignToken(t, "ListImageReferrers", strings.Replace(subject, indexDigest, childDigest, 1), out.NextToken)
	s.steps(t, step{"ListImageReferrers", `{"repositoryName": "app", "subjectId": {"imageDigest": "latest"}}`,
		"InvalidParameterException: Invalid parameter at 'subjectId.imageDigest' failed to satisfy constraint: 'Member must satisfy regular expression '[a-zA-Z0-9-_+.]+:[a-fA-F0-9]+''"})
}

func TestLayers(t *testing.T) {
	s := newServer(t)
	ok[CreateRepositoryResponse](t, s, "CreateRepository", `{"repositoryName": "app"}`)
	const in = `"registryId": "000000000000", "repositoryName": "app"`
	digest := s.push(t, "app", "a layer")
	s.steps(t,
		step{"BatchCheckLayerAvailability", `{"repositoryName": "app", "layerDigests": ["` + unknownDigest + `", "` + digest + `", "` + digest + `", "latest", ""]}`,
			`{"layers": [{"layerDigest": "` + unknownDigest + `", "layerAvailability": "UNAVAILABLE"}, {"layerDigest": "` + digest + `", "layerAvailability": "AVAILABLE", "layerSize": 7}],
			"failures": [{"layerDigest": "latest", "failureCode": "InvalidLayerDigest", "failureReason": "Invalid request parameters: layer digest should satisfy the regex '[a-zA-Z0-9-_+.]+:[a-fA-F0-9]+'"},
				{"failureCode": "MissingLayerDigest", "failureReason": "Invalid request parameters: layer digest cannot be null"}]}`},
		step{"InitiateLayerUpload", `{"repositoryName": "gone"}`,
			"RepositoryNotFoundException: The repository with name 'gone' does not exist in the registry with id '000000000000'"},
		step{"UploadLayerPart", part("app", "00000000-0000-4000-8000-000000000000", 0, "x"),
			"UploadNotFoundException: The upload with id '00000000-0000-4000-8000-000000000000' does not exist in the repository with name 'app' in the registry with id '000000000000'"},
	)
	start := func() string {
		u := ok[InitiateLayerUploadResponse](t, s, "InitiateLayerUpload", `{"repositoryName": "app"}`)
		if *u.PartSize != 10485760 {
			t.Errorf("part size %d", *u.PartSize)
		}
		return *u.UploadId
	}
	complete := func(id, digest string) string {
		return fmt.Sprintf(`{"repositoryName": "app", "uploadId": %q, "layerDigests": [%q]}`, id, digest)
	}

	id := start()
	s.steps(t,
		step{"UploadLayerPart", part("app", id, 0, "first"), `{` + in + `, "uploadId": "` + id + `", "lastByteReceived": 4}`},
		step{"CompleteLayerUpload", complete(id, unknownDigest), "InvalidLayerException: None of the provided layer digests match the calculated layer digest"},
		step{"UploadLayerPart", part("app", id, 5, "x"),
			"UploadNotFoundException: The upload with id '" + id + "' does not exist in the repository with name 'app' in the registry with id '000000000000'"},
	)

	id = start()
	s.steps(t, step{"CompleteLayerUpload", complete(id, unknownDigest),
		"EmptyUploadException: The upload with id '" + id + "' in the repository with name 'app' in registry with id '000000000000' cannot be completed because it does not have any parts."})

	id = start()
	s.steps(t,
		step{"UploadLayerPart", part("app", id, 0, "small"), `{` + in + `, "uploadId": "` + id + `", "lastByteReceived": 4}`},
		step{"UploadLayerPart", part("app", id, 5, "last"), `{` + in + `, "uploadId": "` + id + `", "lastByteReceived": 8}`},
		step{"CompleteLayerUpload", complete(id, string(ecr.DigestOf([]byte("smalllast")))), "LayerPartTooSmallException: All layer parts except the last part should be at least 5MB"},
	)

	// A layer that the repository has ends the upload as well, and stays.
	id = start()
	s.steps(t,
		step{"UploadLayerPart", part("app", id, 0, "a layer"), `{` + in + `, "uploadId": "` + id + `", "lastByteReceived": 6}`},
		step{"CompleteLayerUpload", complete(id, digest),
			"LayerAlreadyExistsException: The layer with digest '" + digest + "' already exists in the repository with name 'app' in registry with id '000000000000'"},
		step{"CompleteLayerUpload", complete(id, digest),
			"UploadNotFoundException: The upload with id '" + id + "' does not exist in the repository with name 'app' in the registry with id '000000000000'"},
		step{"BatchCheckLayerAvailability", `{"repositoryName": "app", "layerDigests": ["` + digest + `"]}`,
			`{"layers": [{"layerDigest": "` + digest + `", "layerAvailability": "AVAILABLE", "layerSize": 7}], "failures": []}`},
	)
	// So does one that was uploaded elsewhere in the meantime.
	first, second := start(), start()
	late := string(ecr.DigestOf([]byte("a late layer")))
	for _, id := range []string{first, second} {
		ok[UploadLayerPartResponse](t, s, "UploadLayerPart", part("app", id, 0, "a late layer"))
	}
	ok[CompleteLayerUploadResponse](t, s, "CompleteLayerUpload", complete(second, late))
	s.steps(t, step{"CompleteLayerUpload", complete(first, late),
		"LayerAlreadyExistsException: The layer with digest '" + late + "' already exists in the repository with name 'app' in registry with id '000000000000'"})
	// Another repository does not have it yet, although the content is known.
	ok[CreateRepositoryResponse](t, s, "CreateRepository", `{"repositoryName": "other"}`)
	u := *ok[InitiateLayerUploadResponse](t, s, "InitiateLayerUpload", `{"repositoryName": "other"}`).UploadId
	ok[UploadLayerPartResponse](t, s, "UploadLayerPart", part("other", u, 0, "a layer"))
	ok[CompleteLayerUploadResponse](t, s, "CompleteLayerUpload", fmt.Sprintf(`{"repositoryName": "other", "uploadId": %q, "layerDigests": [%q]}`, u, digest))

	id = start()
	s.steps(t, step{"CompleteLayerUpload", complete(id, "sha256:abc"),
		"InvalidParameterException: Invalid parameter at 'layerDigests' failed to satisfy constraint: 'Member must satisfy regular expression '[a-zA-Z0-9-_+.]+:[a-fA-F0-9]+''"})
	refused := func(body, want string) {
		t.Helper()
		w := s.do("UploadLayerPart", body)
		if diff := cmp.Diff(semantic(t, []byte(want)), semantic(t, w.Body.Bytes())); diff != "" || w.Code != http.StatusBadRequest {
			t.Errorf("%d (-want +got):\n%s", w.Code, diff)
		}
	}
	refused(part("app", id, 7, "x"), `{"__type": "InvalidLayerPartException", "message": "First byte of the layer part is 7 instead of 0", `+in+`, "uploadId": "`+id+`"}`)
	ok[UploadLayerPartResponse](t, s, "UploadLayerPart", part("app", id, 0, "first"))
	refused(part("app", id, 0, "first"), `{"__type": "InvalidLayerPartException", "message": "First byte of the layer part is 0 instead of 5", `+in+`, "uploadId": "`+id+`", "lastValidByteReceived": 4}`)
	refused(strings.Replace(part("app", id, 5, "xy"), `"partLastByte": 6`, `"partLastByte": 9`, 1),
		`{"__type": "InvalidLayerPartException", "message": "The layer part has 2 bytes instead of the 5 from byte 5 to byte 9", `+in+`, "uploadId": "`+id+`", "lastValidByteReceived": 4}`)
}

// What the client is sent is the manifest, byte for byte, whatever is in it.
func TestManifestBytes(t *testing.T) {
	s := newServer(t)
	ok[CreateRepositoryResponse](t, s, "CreateRepository", `{"repositoryName": "app"}`)
	manifest, digest := s.image(t, "app", "one", `,"annotations":{"a":"<&>\u2028 \"é\\","b":""} `)
	ok[PutImageResponse](t, s, "PutImage", `{"repositoryName": "app", "imageManifest": `+quoted(t, manifest)+`, "imageDigest": "`+digest+`"}`)
	w := s.do("BatchGetImage", `{"repositoryName": "app", "imageIds": [{"imageDigest": "`+digest+`"}]}`)
	var out BatchGetImageResponse
	if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil {
		t.Fatal(err)
	}
	if got := *out.Images[0].ImageManifest; got != manifest {
		t.Errorf("got %s\nwant %s", got, manifest)
	}
}

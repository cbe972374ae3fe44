package ecrapi

import (
	"fmt"
	"strings"
	"testing"
)

const (
	archiveRules = `{"rules":[{"rulePriority":1,"selection":{"tagStatus":"untagged","countType":"imageCountMoreThan","countNumber":1},"action":{"type":"expire"}},` +
		`{"rulePriority":2,"selection":{"tagStatus":"any","countType":"imageCountMoreThan","countNumber":1},"action":{"type":"transition","targetStorageClass":"archive"}}]}`
	expireRules = `{"rules":[{"rulePriority":7,"selection":{"tagStatus":"any","countType":"imageCountMoreThan","countNumber":2},"action":{"type":"expire"}}]} `
)

// API reference, StartLifecyclePolicyPreview and GetLifecyclePolicyPreview: the
// text comes back as submitted, results are before guards.
func TestLifecyclePolicyPreview(t *testing.T) {
	s := newServer(t)
	const (
		ids      = `"registryId": "000000000000", "repositoryName": "app"`
		noRules  = "LifecyclePolicyNotFoundException: Lifecycle policy does not exist for the repository with name 'app' in the registry with id '000000000000'"
		notFound = "LifecyclePolicyPreviewNotFoundException: Lifecycle policy preview does not exist for the repository with name 'app' in the registry with id '000000000000'"
		noRepo   = "RepositoryNotFoundException: The repository with name 'gone' does not exist in the registry with id '000000000000'"
	)
	ok[CreateRepositoryResponse](t, s, "CreateRepository", `{"repositoryName": "app"}`)
	s.steps(t,
		step{"StartLifecyclePolicyPreview", `{"repositoryName": "app"}`, noRules},
		step{"GetLifecyclePolicyPreview", `{"repositoryName": "app"}`, notFound},
		step{"StartLifecyclePolicyPreview", `{"repositoryName": "gone"}`, noRepo},
		step{"GetLifecyclePolicyPreview", `{"repositoryName": "gone"}`, noRepo},
		step{"StartLifecyclePolicyPreview", `{"repositoryName": "app", "lifecyclePolicyText": ` + quoted(t, expireRules) + `}`,
			`{` + ids + `, "lifecyclePolicyText": ` + quoted(t, expireRules) + `, "status": "IN_PROGRESS"}`},
		step{"GetLifecyclePolicyPreview", `{"repositoryName": "app"}`,
			`{` + ids + `, "lifecyclePolicyText": ` + quoted(t, expireRules) + `, "status": "COMPLETE", "previewResults": [], "summary": {"expiringImageTotalCount": 0}}`},
		step{"GetLifecyclePolicyPreview", `{"repositoryName": "app", "imageIds": [{"imageTag": "x"}], "maxResults": 1}`,
			"InvalidParameterException: Invalid parameter at 'maxResults' failed to satisfy constraint: 'must not be used together with imageIds'"},
	)

	// Five images of one time: the greater digest counts as the younger.
	var digests []string
	for i := range 5 {
		manifest, digest := s.image(t, "app", fmt.Sprint("image ", i), "")
		tag := ""
		if i < 3 {
			tag = fmt.Sprintf(`, "imageTag": "v%d"`, i)
		}
		ok[PutImageResponse](t, s, "PutImage", `{"repositoryName": "app", "imageManifest": `+quoted(t, manifest)+tag+`}`)
		digests = append(digests, digest)
	}
	ok[PutLifecyclePolicyResponse](t, s, "PutLifecyclePolicy", `{"repositoryName": "app", "lifecyclePolicyText": `+quoted(t, archiveRules)+`}`)
	started := ok[StartLifecyclePolicyPreviewResponse](t, s, "StartLifecyclePolicyPreview", `{"repositoryName": "app"}`)
	get := func(more string) GetLifecyclePolicyPreviewResponse {
		t.Helper()
		return ok[GetLifecyclePolicyPreviewResponse](t, s, "GetLifecyclePolicyPreview", `{"repositoryName": "app"`+more+`}`)
	}
	all := get("")
	if *all.Status != "COMPLETE" || *all.LifecyclePolicyText != *started.LifecyclePolicyText || *all.Summary.ExpiringImageTotalCount != 1 {
		t.Errorf("%+v, %+v", all, all.Summary)
	}
	archive := 0
	for _, r := range all.PreviewResults {
		switch untagged := len(r.ImageTags) == 0; {
		case *r.Action.Type == "EXPIRE":
			if !untagged || *r.AppliedRulePriority != 1 || r.Action.TargetStorageClass != nil {
				t.Errorf("%+v", r)
			}
		case *r.Action.Type == "TRANSITION":
			if archive++; untagged || *r.AppliedRulePriority != 2 || *r.Action.TargetStorageClass != "ARCHIVE" {
				t.Errorf("%+v", r)
			}
		}
		if *r.StorageClass != "STANDARD" || r.ImagePushedAt == nil {
			t.Errorf("%+v", r)
		}
	}
	if c := all.Summary.TransitioningImageTotalCounts; archive == 0 || len(c) != 1 || int(*c[0].ImageTotalCount) != archive || *c[0].TargetStorageClass != "ARCHIVE" {
		t.Errorf("%d go to the archive, the summary has %+v", archive, c)
	}
	if got := get(`, "filter": {"tagStatus": "UNTAGGED"}`); len(got.PreviewResults) != 1 || *got.Summary.TransitioningImageTotalCounts[0].ImageTotalCount != int32(archive) {
		t.Errorf("untagged: %+v", got)
	}
	if got := get(`, "filter": {"tagStatus": "TAGGED"}`); len(got.PreviewResults) != archive {
		t.Errorf("tagged: %+v", got)
	}
	first := all.PreviewResults[0]
	if got := get(fmt.Sprintf(`, "imageIds": [{"imageDigest": %q}, {"imageTag": "none"}]`, *first.ImageDigest)); len(got.PreviewResults) != 1 || *got.PreviewResults[0].ImageDigest != *first.ImageDigest {
		t.Errorf("one image: %+v", got)
	}

	// Pages, until another preview takes the place of this one.
	var paged []string
	token := ""
	for {
		page := get(`, "maxResults": 1` + token)
		paged = append(paged, *page.PreviewResults[0].ImageDigest)
		if page.NextToken == nil {
			break
		}
		token = fmt.Sprintf(`, "nextToken": %q`, *page.NextToken)
	}
	var want []string
	for _, r := range all.PreviewResults {
		want = append(want, *r.ImageDigest)
	}
	if strings.Join(paged, " ") != strings.Join(want, " ") {
		t.Errorf("pages: %v, want %v", paged, want)
	}
	s.steps(t, step{"GetLifecyclePolicyPreview", `{"repositoryName": "app", "filter": {"tagStatus": "ANY"}` + token + `}`,
		"InvalidParameterException: Invalid parameter at 'nextToken' failed to satisfy constraint: 'must be a token that this operation returned for the same parameters'"})
	if len(digests) != 5 {
		t.Error(digests)
	}
}

func TestUpdateImageStorageClass(t *testing.T) {
	s := newServer(t)
	const ids = `"registryId": "000000000000", "repositoryName": "app"`
	ok[CreateRepositoryResponse](t, s, "CreateRepository", `{"repositoryName": "app"}`)
	manifest, digest := s.image(t, "app", "image", "")
	put := `{"repositoryName": "app", "imageTag": "v1", "imageManifest": ` + quoted(t, manifest) + `}`
	ok[PutImageResponse](t, s, "PutImage", put)
	id := fmt.Sprintf(`"imageId": {"imageDigest": %q, "imageTag": "v1"}`, digest)
	set := func(class string) string {
		return `{"repositoryName": "app", "imageId": {"imageTag": "v1"}, "targetStorageClass": "` + class + `"}`
	}
	list := func(status, want string) step {
		filter := ""
		if status != "" {
			filter = `, "filter": {"imageStatus": "` + status + `"}`
		}
		return step{"ListImages", `{"repositoryName": "app"` + filter + `}`, `{"imageIds": [` + want + `]}`}
	}
	one := fmt.Sprintf(`{"imageDigest": %q, "imageTag": "v1"}`, digest)
	s.steps(t,
		step{"UpdateImageStorageClass", set("ARCHIVE"), `{` + ids + `, ` + id + `, "imageStatus": "ARCHIVED"}`},
		step{"UpdateImageStorageClass", set("ARCHIVE"), "ImageStorageClassUpdateNotSupportedException: The storage class of the image with imageId " +
			"{imageDigest:'null', imageTag:'v1'} within the repository with name 'app' in the registry with id '000000000000' cannot be updated: it is ARCHIVED, not ACTIVE"},
		step{"BatchGetImage", `{"repositoryName": "app", "imageIds": [{"imageTag": "v1"}]}`,
			`{"images": [], "failures": [{"imageId": {"imageTag": "v1"}, "failureCode": "ImageNotFound", "failureReason": "Requested image not found"}]}`},
		list("", ""), list("ACTIVE", ""), list("ARCHIVED", one), list("ANY", one), list("ACTIVATING", ""),
		step{"DescribeImages", `{"repositoryName": "app"}`, `{"imageDetails": []}`},
	)
	archived := ok[DescribeImagesResponse](t, s, "DescribeImages", `{"repositoryName": "app", "filter": {"imageStatus": "ARCHIVED"}}`).ImageDetails
	if len(archived) != 1 || *archived[0].ImageStatus != "ARCHIVED" || archived[0].LastArchivedAt == nil || archived[0].LastActivatedAt != nil {
		t.Errorf("archived: %+v", archived)
	}
	s.steps(t,
		step{"UpdateImageStorageClass", set("STANDARD"), `{` + ids + `, ` + id + `, "imageStatus": "ACTIVATING"}`},
		list("", one), list("ARCHIVED", ""),
		step{"UpdateImageStorageClass", `{"repositoryName": "app", "imageId": {"imageTag": "none"}, "targetStorageClass": "ARCHIVE"}`,
			"ImageNotFoundException: The image with imageId {imageDigest:'null', imageTag:'none'} does not exist within the repository with name 'app' in the registry with id '000000000000'"},
	)
	active := ok[DescribeImagesResponse](t, s, "DescribeImages", `{"repositoryName": "app"}`).ImageDetails
	if len(active) != 1 || *active[0].ImageStatus != "ACTIVE" || active[0].LastActivatedAt == nil {
		t.Errorf("restored: %+v", active)
	}
}

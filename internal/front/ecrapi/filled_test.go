package ecrapi

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/testkit"
	"github.com/kontor-registry/kontor/internal/upstream"
)

// neverFilled are the members of responses that this server leaves out, by
// what it would have to do, or to know, to fill them.
var neverFilled = map[string][]string{
	"a scan that has just been asked for needs no description": {
		"StartImageScan.imageScanStatus.description",
	},
	"nothing is scanned by Amazon Inspector": {
		"DescribeImageScanFindings.imageScanFindings.enhancedFindings",
	},
	"a layer's media type is that of the manifests that refer to it, of which there may be none": {
		"BatchCheckLayerAvailability.layers.mediaType",
	},
	"a backfill as a whole does not fail": {
		"ListReplicationBackfills.backfills.failureCode", "DescribeReplicationBackfillResults.failureCode",
	},
	"a registry elsewhere refuses an image of an index, which the tests of package replication show": {
		"DescribeReplicationBackfillResults.results.subImageFailureCodes",
	},
	"it dials an upstream, which the tests of package upstream do": {
		"ValidatePullThroughCacheRule",
	},
	"nothing is signed": {
		"GetSigningConfiguration", "PutSigningConfiguration", "DeleteSigningConfiguration", "DescribeImageSigningStatus.signingStatuses",
	},
}

// leaves are the members of a shape that have values and no further members,
// by path.
func (m modelFile) leaves(name, path string, into map[string]bool) {
	s := m.Shapes[name]
	switch s.Type {
	case "structure":
		for member, shape := range s.Members {
			m.leaves(shape, path+"."+member, into)
		}
	case "list":
		m.leaves(s.Member, path, into)
	default:
		into[path] = true
	}
}

// note marks what of a response is filled.
func note(v any, path string, into map[string]bool, leaves map[string]bool) {
	switch v := v.(type) {
	case map[string]any:
		if leaves[path] {
			into[path] = len(v) > 0
			return
		}
		for member, value := range v {
			note(value, path+"."+member, into, leaves)
		}
	case []any:
		for _, value := range v {
			note(value, path, into, leaves)
		}
	case nil:
	default:
		into[path] = true
	}
}

// Each member that the responses of the operations that are served may have is
// filled where there is something to fill it with, and only those listed never.
func TestResponsesAreFilled(t *testing.T) {
	m, s := readModel(t), newServer(t, func(s *testkit.Settings) { s.Scanner = reporting{} })
	leaves, filled := map[string]bool{}, map[string]bool{}
	for operation := range served {
		m.leaves(m.Operations[operation].Output, operation, leaves)
	}
	do := func(operation, body string, args ...any) map[string]any {
		t.Helper()
		w := s.do(operation, fmt.Sprintf(body, args...))
		if w.Code != http.StatusOK {
			t.Fatalf("%s: %d %s", operation, w.Code, w.Body)
		}
		var out map[string]any
		if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil {
			t.Fatal(err)
		}
		note(out, operation, filled, leaves)
		return out
	}
	const (
		filters   = `"imageTagMutability": "IMMUTABLE_WITH_EXCLUSION", "imageTagMutabilityExclusionFilters": [{"filterType": "WILDCARD", "filter": "dev-*"}]`
		rule      = `{"rules":[{"rulePriority":1,"selection":{"tagStatus":"any","countType":"imageCountMoreThan","countNumber":1},"action":{"type":"expire"}}]}`
		archive   = `{"rules":[{"rulePriority":1,"selection":{"tagStatus":"any","countType":"imageCountMoreThan","countNumber":1},"action":{"type":"transition","targetStorageClass":"archive"}}]}`
		statement = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"111111111111"},"Action":"ecr:BatchGetImage"}]}`
		governing = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"111111111111"},"Action":"ecr:CreateRepository","Resource":"*"}]}`
		resource  = `"resourceArn": "arn:aws:ecr:us-east-1:000000000000:repository/app"`
		scan      = `{"scanType": "BASIC", "rules": [{"scanFrequency": "SCAN_ON_PUSH", "repositoryFilters": [{"filterType": "WILDCARD", "filter": "a*"}]}]}`
	)
	do("GetAuthorizationToken", `{}`)
	do("CreateRepository", `{"repositoryName": "app", "encryptionConfiguration": {"encryptionType": "KMS"}, %s, "tags": [{"Key": "a", "Value": "b"}]}`, filters)
	do("CreateRepository", `{"repositoryName": "gone", "encryptionConfiguration": {"encryptionType": "KMS", "kmsKey": "alias/a"}, %s}`, filters)
	do("PutImageTagMutability", `{"repositoryName": "app", %s}`, filters)
	do("PutImageScanningConfiguration", `{"repositoryName": "app", "imageScanningConfiguration": {"scanOnPush": true}}`)
	do("DescribeRepositories", `{"maxResults": 1}`)
	do("DeleteRepository", `{"repositoryName": "gone"}`)
	do("DescribeRegistry", `{}`)
	do("PutAccountSetting", `{"name": "BLOB_MOUNTING", "value": "ENABLED"}`)
	do("GetAccountSetting", `{"name": "BLOB_MOUNTING"}`)
	for _, operation := range []string{"PutRegistryPolicy", "GetRegistryPolicy", "DeleteRegistryPolicy"} {
		do(operation, `{"policyText": %q}`, governing)
	}
	do("PutRegistryScanningConfiguration", scan)
	do("GetRegistryScanningConfiguration", `{}`)
	do("BatchGetRepositoryScanningConfiguration", `{"repositoryNames": ["app", "nowhere"]}`)
	for _, operation := range []string{"SetRepositoryPolicy", "GetRepositoryPolicy", "DeleteRepositoryPolicy"} {
		do(operation, `{"repositoryName": "app", "policyText": %q}`, statement)
	}
	do("TagResource", `{%s, "tags": [{"Key": "a", "Value": "b"}]}`, resource)
	do("ListTagsForResource", `{%s}`, resource)
	do("UntagResource", `{%s, "tagKeys": ["a"]}`, resource)

	manifest, digest := s.image(t, "app", "one", "")
	layer := string(ecr.DigestOf([]byte("one")))
	upload := do("InitiateLayerUpload", `{"repositoryName": "app"}`)["uploadId"].(string)
	do("UploadLayerPart", "%s", part("app", upload, 0, "another layer"))
	do("CompleteLayerUpload", `{"repositoryName": "app", "uploadId": %q, "layerDigests": [%q]}`, upload, ecr.DigestOf([]byte("another layer")))
	do("BatchCheckLayerAvailability", `{"repositoryName": "app", "layerDigests": [%q, "none"]}`, layer)
	put := func(manifest, tag string) {
		t.Helper()
		do("PutImage", `{"repositoryName": "app", "imageTag": %q, "imageManifest": %s}`, tag, quoted(t, manifest))
	}
	put(manifest, "v1")
	subject := fmt.Sprintf(`,"artifactType":"a/b","annotations":{"a":"b"},"subject":{"mediaType":%q,"digest":%q,"size":%d}`, imageType, digest, len(manifest))
	for _, content := range []string{"two", "three"} {
		referrer, _ := s.image(t, "app", content, subject)
		put(referrer, content)
	}
	do("CreateRepository", `{"repositoryName": "manual"}`)
	scanned, _ := s.image(t, "manual", "scanned", "")
	do("PutImage", `{"repositoryName": "manual", "imageTag": "v1", "imageManifest": %s}`, quoted(t, scanned))
	do("StartImageScan", `{"repositoryName": "manual", "imageId": {"imageTag": "v1"}}`)
	if _, err := s.h.cfg.Scanning.RunSlot(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	do("DescribeImageScanFindings", `{"repositoryName": "manual", "imageId": {"imageTag": "v1"}, "maxResults": 1}`)
	do("GetDownloadUrlForLayer", `{"repositoryName": "app", "layerDigest": %q}`, layer)
	do("BatchGetImage", `{"repositoryName": "app", "imageIds": [{"imageTag": "v1"}, {"imageTag": "none", "imageDigest": "sha256"}]}`)
	if err := s.h.cfg.Retention.FlushPulls(t.Context()); err != nil {
		t.Fatal(err)
	}
	do("ListImages", `{"repositoryName": "app", "maxResults": 1}`)
	do("ListImageReferrers", `{"repositoryName": "app", "subjectId": {"imageDigest": %q}, "maxResults": 1}`, digest)

	for _, policy := range []string{rule, archive} {
		for _, operation := range []string{"PutLifecyclePolicy", "GetLifecyclePolicy", "StartLifecyclePolicyPreview"} {
			do(operation, `{"repositoryName": "app", "lifecyclePolicyText": %q}`, policy)
		}
		do("GetLifecyclePolicyPreview", `{"repositoryName": "app", "maxResults": 1}`)
	}
	do("DeleteLifecyclePolicy", `{"repositoryName": "app"}`)
	for _, id := range []string{`{"imageTag": "v1"}`, fmt.Sprintf(`{"imageDigest": %q}`, digest)} {
		do("DescribeImageReplicationStatus", `{"repositoryName": "app", "imageId": %s}`, id)
		do("DescribeImageSigningStatus", `{"repositoryName": "app", "imageId": %s}`, id)
	}
	secret, err := s.h.cfg.Upstreams.As(s.p).PutSecret(t.Context(), home, "hub", upstream.Login{Username: "u", AccessToken: "t"})
	if err != nil {
		t.Fatal(err)
	}
	for _, prefix := range []string{"hub", "hub2"} {
		do("CreatePullThroughCacheRule", `{"ecrRepositoryPrefix": %q, "upstreamRegistryUrl": "registry-1.docker.io", "credentialArn": %q, "customRoleArn": "arn:aws:iam::000000000000:role/a"}`, prefix, secret.ARN)
	}
	do("UpdatePullThroughCacheRule", `{"ecrRepositoryPrefix": "hub", "credentialArn": %q}`, secret.ARN)
	do("DescribePullThroughCacheRules", `{"maxResults": 1}`)
	do("DeletePullThroughCacheRule", `{"ecrRepositoryPrefix": "hub"}`)
	const away, rest = `{"region": "eu-west-1", "registryId": "000000000000"}`, `{"region": "eu-north-1", "registryId": "999999999999"}`
	do("PutReplicationConfiguration", `{"replicationConfiguration": {"rules": [{"destinations": [%s, %s], "repositoryFilters": [{"filter": "app", "filterType": "PREFIX_MATCH"}]}]}}`, away, rest)
	do("DescribeRegistry", `{}`)
	put(manifest, "replicated")
	do("StartReplicationBackfill", `{"destination": %s}`, away)
	do("StartReplicationBackfill", `{"destination": %s}`, rest)
	for running := true; running; { // what refers to an image waits for it
		if err := s.stores.Replication.Advance(t.Context()); err != nil {
			t.Fatal(err)
		}
		running = slices.ContainsFunc(ok[ListReplicationBackfillsResponse](t, s, "ListReplicationBackfills", `{}`).Backfills, func(b ReplicationBackfillSummary) bool { return b.EndedAt == nil })
	}
	do("DescribeImageReplicationStatus", `{"repositoryName": "app", "imageId": {"imageTag": "replicated"}}`)
	list := ok[ListReplicationBackfillsResponse](t, s, "ListReplicationBackfills", `{}`)
	for _, b := range list.Backfills {
		do("DescribeReplicationBackfillResults", `{"replicationBackfillId": %q, "maxResults": 1}`, *b.ReplicationBackfillId)
	}
	do("ListReplicationBackfills", `{"maxResults": 1}`)
	do("StartReplicationBackfill", `{"destination": %s}`, away)
	do("StopReplicationBackfill", `{"replicationBackfillId": %q}`, *ok[ListReplicationBackfillsResponse](t, s, "ListReplicationBackfills", `{}`).Backfills[0].ReplicationBackfillId)
	for _, prefix := range []string{"team", "ROOT"} {
		do("CreateRepositoryCreationTemplate", `{"prefix": "%s", "description": "d", "appliedFor": ["CREATE_ON_PUSH"], "customRoleArn": "arn:aws:iam::000000000000:role/r",
			"encryptionConfiguration": {"encryptionType": "KMS", "kmsKey": "arn:aws:kms:us-east-1:000000000000:key/00000000-0000-0000-0000-000000000000"},
			"imageTagMutability": "IMMUTABLE_WITH_EXCLUSION", "imageTagMutabilityExclusionFilters": [{"filter": "latest", "filterType": "WILDCARD"}],
			"repositoryPolicy": %q, "lifecyclePolicy": %q, "resourceTags": [{"Key": "a", "Value": "b"}]}`, prefix, testkit.RepositoryPolicy, rule)
		do("UpdateRepositoryCreationTemplate", `{"prefix": "%s"}`, prefix)
	}
	do("DescribeRepositoryCreationTemplates", `{"maxResults": 1}`)
	do("DeleteRepositoryCreationTemplate", `{"prefix": "team"}`)
	for _, name := range []string{"a", "b"} {
		do("RegisterPullTimeUpdateExclusion", `{"principalArn": "arn:aws:iam::000000000000:user/%s"}`, name)
	}
	do("ListPullTimeUpdateExclusions", `{"maxResults": 1}`)
	do("DeregisterPullTimeUpdateExclusion", `{"principalArn": "arn:aws:iam::000000000000:user/a"}`)
	do("UpdateImageStorageClass", `{"repositoryName": "app", "imageId": {"imageTag": "v1"}, "targetStorageClass": "ARCHIVE"}`)
	do("DescribeImages", `{"repositoryName": "app", "imageIds": [{"imageTag": "v1"}]}`)
	do("DescribeImages", `{"repositoryName": "app", "maxResults": 1}`)
	put(manifest, "v2") // which brings it back
	do("DescribeImages", `{"repositoryName": "app", "imageIds": [{"imageTag": "v2"}]}`)
	do("DescribeImages", `{"repositoryName": "app", "imageIds": [{"imageTag": "two"}]}`)
	do("BatchDeleteImage", `{"repositoryName": "app", "imageIds": [{"imageTag": "v1"}, {"imageTag": "none", "imageDigest": "sha256"}]}`)

	var missing, listed []string
	for leaf := range leaves {
		if !filled[leaf] {
			missing = append(missing, leaf)
		}
	}
	for _, list := range neverFilled {
		for _, place := range list {
			within := map[string]bool{}
			for leaf := range leaves {
				if leaf == place || len(leaf) > len(place) && leaf[:len(place)+1] == place+"." {
					within[leaf] = true
				}
			}
			if len(within) == 0 {
				t.Errorf("%s is no member of a response", place)
			}
			listed = slices.AppendSeq(listed, maps.Keys(within))
		}
	}
	slices.Sort(missing)
	slices.Sort(listed)
	if diff := cmp.Diff(listed, missing); diff != "" {
		t.Errorf("members left out (-listed +missing):\n%s", diff)
	}
}

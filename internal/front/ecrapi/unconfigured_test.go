package ecrapi

import "testing"

// What is not configured is answered as ECR does in a new account, and what would
// configure it is refused.
func TestUnconfiguredFeatures(t *testing.T) {
	s := newServer(t)
	ok[CreateRepositoryResponse](t, s, "CreateRepository", `{"repositoryName": "app"}`)
	manifest, _ := s.image(t, "app", "a layer", "")
	ok[PutImageResponse](t, s, "PutImage", `{"repositoryName": "app", "imageTag": "v1", "imageManifest": `+quoted(t, manifest)+`}`)
	const (
		app      = `"repositoryName": "app", "imageId": {"imageTag": "v1"}`
		nowhere  = `"repositoryName": "nowhere", "imageId": {"imageTag": "v1"}`
		absent   = `"repositoryName": "app", "imageId": {"imageTag": "v2"}`
		registry = `"registryId": "000000000000"`
		signing  = "SigningConfigurationNotFoundException: Signing configuration does not exist in the registry with id '000000000000'"
		noRepo   = "RepositoryNotFoundException: The repository with name 'nowhere' does not exist in the registry with id '000000000000'"
		noImage  = "ImageNotFoundException: The image with imageId {imageDigest:'null', imageTag:'v2'} does not exist within the repository with name 'app' in the registry with id '000000000000'"
		refused  = " is not implemented by this registry"
	)
	for _, st := range []step{
		{"GetSigningConfiguration", `{}`, signing},
		{"DeleteSigningConfiguration", `{}`, signing},
		{"PutSigningConfiguration", `{"signingConfiguration": {"rules": []}}`, `{"signingConfiguration": {"rules": []}}`},
		{"PutSigningConfiguration", `{"signingConfiguration": {"rules": [{"signingProfileArn": "arn:aws:signer:us-east-1:000000000000:/signing-profiles/release"}]}}`,
			"ValidationException: PutSigningConfiguration" + refused},
		{"DescribeImageSigningStatus", `{` + app + `}`, `{` + registry + `, ` + app + `, "signingStatuses": []}`},
		{"DescribeImageSigningStatus", `{` + nowhere + `}`, noRepo},
		{"DescribeImageSigningStatus", `{` + absent + `}`, noImage},
	} {
		t.Run(st.operation, func(t *testing.T) { s.steps(t, st) })
	}
}

func TestPullTimeExclusions(t *testing.T) {
	s := newServer(t)
	const (
		scanner = "arn:aws:iam::000000000000:role/scanner"
		user    = "arn:aws:iam::000000000000:user/mirror"
	)
	s.steps(t,
		step{"ListPullTimeUpdateExclusions", `{}`, `{"pullTimeUpdateExclusions": []}`},
		step{"RegisterPullTimeUpdateExclusion", `{"principalArn": "` + user + `"}`, `{"principalArn": "` + user + `", "createdAt": ` + created + `}`},
		step{"RegisterPullTimeUpdateExclusion", `{"principalArn": "` + scanner + `"}`, `{"principalArn": "` + scanner + `", "createdAt": ` + created + `}`},
		step{"RegisterPullTimeUpdateExclusion", `{"principalArn": "` + scanner + `"}`,
			"ExclusionAlreadyExistsException: The pull time update exclusion for '" + scanner + "' already exists in the registry with id '000000000000'"},
		step{"ListPullTimeUpdateExclusions", `{}`, `{"pullTimeUpdateExclusions": ["` + scanner + `", "` + user + `"]}`},
	)
	first := ok[ListPullTimeUpdateExclusionsResponse](t, s, "ListPullTimeUpdateExclusions", `{"maxResults": 1}`)
	if len(first.PullTimeUpdateExclusions) != 1 || first.NextToken == nil {
		t.Fatalf("the first page is %+v", first)
	}
	s.steps(t,
		step{"ListPullTimeUpdateExclusions", `{"maxResults": 1, "nextToken": "` + *first.NextToken + `"}`, `{"pullTimeUpdateExclusions": ["` + user + `"]}`},
		step{"DeregisterPullTimeUpdateExclusion", `{"principalArn": "` + scanner + `"}`, `{"principalArn": "` + scanner + `"}`},
		step{"DeregisterPullTimeUpdateExclusion", `{"principalArn": "` + scanner + `"}`,
			"ExclusionNotFoundException: The pull time update exclusion for '" + scanner + "' does not exist in the registry with id '000000000000'"},
		step{"ListPullTimeUpdateExclusions", `{}`, `{"pullTimeUpdateExclusions": ["` + user + `"]}`},
	)
}

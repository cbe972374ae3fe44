package ecrapi

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/ecr"
)

func repositoryJSON(name, more string) string {
	return fmt.Sprintf(`{"repositoryArn": "arn:aws:ecr:us-east-1:000000000000:repository/%[1]s", "registryId": "000000000000",
		"repositoryName": "%[1]s", "repositoryUri": "localhost:5050/%[1]s", "createdAt": %[2]s%[3]s}`, name, created, more)
}

const defaultSettings = `, "imageTagMutability": "MUTABLE", "imageScanningConfiguration": {"scanOnPush": false},
	"encryptionConfiguration": {"encryptionType": "AES256"}`

func TestRepositories(t *testing.T) {
	const notThere = "RepositoryNotFoundException: The repository with name 'gone' does not exist in the registry with id '000000000000'"
	app := repositoryJSON("team/app", defaultSettings)
	web := repositoryJSON("web", `, "imageTagMutability": "IMMUTABLE_WITH_EXCLUSION",
		"imageTagMutabilityExclusionFilters": [{"filter": "dev-*", "filterType": "WILDCARD"}, {"filter": "latest", "filterType": "WILDCARD"}],
		"imageScanningConfiguration": {"scanOnPush": true}, "encryptionConfiguration": {"encryptionType": "AES256"}`)
	changed := repositoryJSON("team/app", `, "imageTagMutability": "IMMUTABLE", "imageScanningConfiguration": {"scanOnPush": true},
		"encryptionConfiguration": {"encryptionType": "AES256"}`)
	newServer(t).steps(t,
		step{"DescribeRepositories", `{}`, `{"repositories": []}`},
		step{"CreateRepository", `{"repositoryName": "team/app"}`, `{"repository": ` + app + `}`},
		step{"CreateRepository", `{"repositoryName": "team/app"}`,
			"RepositoryAlreadyExistsException: The repository with name 'team/app' already exists in the registry with id '000000000000'"},
		step{"CreateRepository", `{"repositoryName": "web", "imageTagMutability": "IMMUTABLE_WITH_EXCLUSION",
			"imageTagMutabilityExclusionFilters": [{"filter": "dev-*", "filterType": "WILDCARD"}, {"filter": "latest", "filterType": "WILDCARD"}],
			"imageScanningConfiguration": {"scanOnPush": true}, "tags": [{"Key": "a", "Value": ""}]}`, `{"repository": ` + web + `}`},
		step{"CreateRepository", `{"repositoryName": "third", "imageTagMutability": "IMMUTABLE_WITH_EXCLUSION"}`,
			"InvalidParameterException: Invalid parameter at 'imageTagMutabilityExclusionFilters' failed to satisfy constraint: 'ImageTagMutabilityExclusionFilters can't be null when imageTagMutability is set as IMMUTABLE_WITH_EXCLUSION'"},
		step{"CreateRepository", `{"repositoryName": "third", "tags": [{"Key": "a", "Value": "b"}, {"Key": "a", "Value": "c"}]}`,
			"InvalidTagParameterException: Tag parameters are invalid"},
		step{"CreateRepository", `{"repositoryName": "Third"}`,
			"InvalidParameterException: Invalid parameter at 'repositoryName' failed to satisfy constraint: 'must satisfy regular expression '" + ecr.RepositoryNamePattern + "''"},
		step{"DescribeRepositories", `{}`, `{"repositories": [` + app + `, ` + web + `]}`},
		step{"DescribeRepositories", `{"repositoryNames": ["web", "team/app"]}`, `{"repositories": [` + web + `, ` + app + `]}`},
		step{"DescribeRepositories", `{"registryId": "000000000000", "repositoryNames": ["web"]}`, `{"repositories": [` + web + `]}`},
		step{"DescribeRepositories", `{"repositoryNames": ["web", "gone"]}`, notThere},
		step{"DescribeRepositories", `{"repositoryNames": ["web"], "maxResults": 1}`,
			"InvalidParameterException: Invalid parameter at 'maxResults' failed to satisfy constraint: 'must not be used together with repositoryNames'"},
		step{"DescribeRepositories", `{"repositoryNames": ["web"], "nextToken": "AQ"}`,
			"InvalidParameterException: Invalid parameter at 'nextToken' failed to satisfy constraint: 'must not be used together with repositoryNames'"},
		step{"PutImageTagMutability", `{"repositoryName": "team/app", "imageTagMutability": "IMMUTABLE"}`,
			`{"registryId": "000000000000", "repositoryName": "team/app", "imageTagMutability": "IMMUTABLE"}`},
		step{"PutImageScanningConfiguration", `{"repositoryName": "team/app", "imageScanningConfiguration": {"scanOnPush": true}}`,
			`{"registryId": "000000000000", "repositoryName": "team/app", "imageScanningConfiguration": {"scanOnPush": true}}`},
		step{"DescribeRepositories", `{"repositoryNames": ["team/app"]}`, `{"repositories": [` + changed + `]}`},
		step{"PutImageScanningConfiguration", `{"repositoryName": "team/app", "imageScanningConfiguration": {}}`,
			`{"registryId": "000000000000", "repositoryName": "team/app", "imageScanningConfiguration": {"scanOnPush": false}}`},
		step{"PutImageTagMutability", `{"repositoryName": "gone", "imageTagMutability": "IMMUTABLE"}`, notThere},
		step{"DeleteRepository", `{"repositoryName": "web"}`, `{"repository": ` + web + `}`},
		step{"DeleteRepository", `{"repositoryName": "gone", "force": true}`, notThere},
		step{"DescribeRepositories", `{"RepositoryNames": ["gone"]}`, // a member of another name
			`{"repositories": [` + strings.Replace(changed, `"scanOnPush": true`, `"scanOnPush": false`, 1) + `]}`},
	)
}

// A page ends where it says and goes on after its last name, whatever is
// created or deleted meanwhile.
func TestRepositoryPages(t *testing.T) {
	s := newServer(t)
	for i := range 5 {
		ok[CreateRepositoryResponse](t, s, "CreateRepository", fmt.Sprintf(`{"repositoryName": "repo-%d"}`, i))
	}
	names := func(out DescribeRepositoriesResponse) string {
		var all []string
		for _, r := range out.Repositories {
			all = append(all, *r.RepositoryName)
		}
		return strings.Join(all, " ")
	}
	first := ok[DescribeRepositoriesResponse](t, s, "DescribeRepositories", `{"maxResults": 2}`)
	if got := names(first); got != "repo-0 repo-1" || first.NextToken == nil {
		t.Fatalf("first page: %s, token %v", got, first.NextToken)
	}
	ok[DeleteRepositoryResponse](t, s, "DeleteRepository", `{"repositoryName": "repo-0"}`)
	ok[DeleteRepositoryResponse](t, s, "DeleteRepository", `{"repositoryName": "repo-1"}`)
	second := ok[DescribeRepositoriesResponse](t, s, "DescribeRepositories", fmt.Sprintf(`{"maxResults": 3, "nextToken": %q}`, *first.NextToken))
	if got := names(second); got != "repo-2 repo-3 repo-4" || second.NextToken != nil {
		t.Errorf("second page: %s, token %v", got, second.NextToken)
	}
	s.steps(t, step{"ListImages", fmt.Sprintf(`{"repositoryName": "repo-2", "nextToken": %q}`, *first.NextToken),
		"InvalidParameterException: Invalid parameter at 'nextToken' failed to satisfy constraint: 'must be a token that this operation returned for the same parameters'"})
}

func TestResourceTags(t *testing.T) {
	s := newServer(t)
	const arn = `"resourceArn": "arn:aws:ecr:us-east-1:000000000000:repository/app"`
	const notThere = "RepositoryNotFoundException: The repository with name 'gone' does not exist in the registry with id '000000000000'"
	ok[CreateRepositoryResponse](t, s, "CreateRepository", `{"repositoryName": "app", "tags": [{"Key": "kontor:stack", "Value": "platform"}]}`)
	s.steps(t,
		step{"TagResource", `{` + arn + `, "tags": [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": ""}]}`, `{}`},
		step{"ListTagsForResource", `{` + arn + `}`, `{"tags": [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": ""}, {"Key": "kontor:stack", "Value": "platform"}]}`},
		step{"UntagResource", `{` + arn + `, "tagKeys": ["a", "kontor:stack", "not there"]}`, `{}`},
		step{"ListTagsForResource", `{` + arn + `}`, `{"tags": [{"Key": "b", "Value": ""}]}`},
		step{"UntagResource", `{` + arn + `, "tagKeys": ["b"]}`, `{}`},
		step{"ListTagsForResource", `{` + arn + `}`, `{"tags": []}`},
		step{"TagResource", `{` + arn + `, "tags": [{"Key": "", "Value": "1"}]}`, "InvalidTagParameterException: Tag parameters are invalid"},
		step{"TagResource", `{` + arn + `, "tags": [{"key": "a", "value": "1"}]}`,
			"InvalidParameterException: Invalid parameter at 'tags.1.member.key' failed to satisfy constraint: 'Member must not be null'"},
		step{"ListTagsForResource", `{"resourceArn": "app"}`, "InvalidParameterException: Invalid parameter at 'resourceArn' failed to satisfy constraint: 'Invalid ARN'"},
		step{"ListTagsForResource", `{"resourceArn": "arn:aws:ecr:eu-west-1:000000000000:repository/app"}`,
			"InvalidParameterException: Invalid parameter at 'resourceArn' failed to satisfy constraint: 'Invalid ARN'"},
		step{"ListTagsForResource", `{"resourceArn": "arn:aws:ecr:us-east-1:000000000000:repository/gone"}`, notThere},
	)
}

func TestPolicies(t *testing.T) {
	s := newServer(t)
	const ids = `"registryId": "000000000000", "repositoryName": "app"`
	ok[CreateRepositoryResponse](t, s, "CreateRepository", `{"repositoryName": "app"}`)
	const policy = `{"Version":"2012-10-17","Statement":[{"Sid":"Pull","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111111111111:root"},"Action":["ecr:BatchGetImage"]}]}`
	const rules = `{"rules":[{"rulePriority":1,"description":"untagged","selection":{"tagStatus":"untagged","countType":"sinceImagePushed","countUnit":"days","countNumber":1},"action":{"type":"expire"}}]}`
	const noPolicy = "RepositoryPolicyNotFoundException: Repository policy does not exist for the repository with name 'app' in the registry with id '000000000000'"
	const noRules = "LifecyclePolicyNotFoundException: Lifecycle policy does not exist for the repository with name 'app' in the registry with id '000000000000'"
	s.steps(t,
		step{"GetRepositoryPolicy", `{"repositoryName": "app"}`, noPolicy},
		step{"DeleteRepositoryPolicy", `{"repositoryName": "app"}`, noPolicy},
		step{"SetRepositoryPolicy", `{"repositoryName": "app", "policyText": "{}"}`,
			"InvalidParameterException: Invalid parameter at 'PolicyText' failed to satisfy constraint: 'Invalid repository policy provided'"},
		step{"GetLifecyclePolicy", `{"repositoryName": "app"}`, noRules},
		step{"DeleteLifecyclePolicy", `{"repositoryName": "app"}`, noRules},
		step{"PutLifecyclePolicy", `{"repositoryName": "app", "lifecyclePolicyText": "{\"rules\": []}"}`,
			"InvalidParameterException: Invalid parameter at 'lifecyclePolicyText' failed to satisfy constraint: 'Member must have length greater than or equal to 100'"},
		step{"PutLifecyclePolicy", `{"repositoryName": "app", "lifecyclePolicyText": ` + quoted(t, rules) + `}`, `{` + ids + `, "lifecyclePolicyText": ` + quoted(t, rules) + `}`},
		step{"GetLifecyclePolicy", `{"repositoryName": "app"}`, `{` + ids + `, "lifecyclePolicyText": ` + quoted(t, rules) + `, "lastEvaluatedAt": 0}`},
		step{"DeleteLifecyclePolicy", `{"repositoryName": "app"}`, `{` + ids + `, "lifecyclePolicyText": ` + quoted(t, rules) + `, "lastEvaluatedAt": 0}`},
		step{"GetLifecyclePolicy", `{"repositoryName": "app"}`, noRules},
	)
	set := ok[SetRepositoryPolicyResponse](t, s, "SetRepositoryPolicy", `{"repositoryName": "app", "policyText": `+quoted(t, policy)+`}`)
	if *set.RegistryId != "000000000000" || *set.RepositoryName != "app" || !strings.Contains(*set.PolicyText, "111111111111") {
		t.Errorf("%+v", set)
	}
	s.steps(t,
		step{"GetRepositoryPolicy", `{"repositoryName": "app"}`, `{` + ids + `, "policyText": ` + quoted(t, *set.PolicyText) + `}`},
		step{"DeleteRepositoryPolicy", `{"repositoryName": "app"}`, `{` + ids + `, "policyText": ` + quoted(t, *set.PolicyText) + `}`},
		step{"GetRepositoryPolicy", `{"repositoryName": "app"}`, noPolicy},
	)
}

func TestAuthorizationToken(t *testing.T) {
	s := newServer(t)
	for _, body := range []string{`{}`, `{"registryIds": ["000000000000"]}`} {
		t.Run(body, func(t *testing.T) {
			out := ok[GetAuthorizationTokenResponse](t, s, "GetAuthorizationToken", body)
			if len(out.AuthorizationData) != 1 {
				t.Fatalf("%d tokens", len(out.AuthorizationData))
			}
			d := out.AuthorizationData[0]
			b, err := base64.StdEncoding.DecodeString(*d.AuthorizationToken)
			if err != nil || !strings.HasPrefix(string(b), "AWS:") || len(b) < 20 {
				t.Errorf("token %q, %v", b, err)
			}
			if *d.ProxyEndpoint != "http://localhost:5050" {
				t.Errorf("endpoint %s", *d.ProxyEndpoint)
			}
			if hours := d.ExpiresAt.Time().Unix() - 1563223656; hours != 12*60*60 {
				t.Errorf("expires after %d s", hours)
			}
		})
	}
	s.steps(t, step{"GetAuthorizationToken", `{"registryIds": ["111111111111"]}`,
		"InvalidParameterException: Invalid parameter at 'registryIds' failed to satisfy constraint: '111111111111 is no registry of this server in us-east-1'"})
	// Each registry of the server has its own address; the token is good for all.
	s.at.Serves = func(ecr.RegistryID) bool { return true }
	s.at.Address = func(in ecr.RegistryID) Address {
		return Address{"http", string(in.Account) + ".dkr.ecr." + string(in.Region) + ".amazonaws.com:5050"}
	}
	data := ok[GetAuthorizationTokenResponse](t, s, "GetAuthorizationToken", `{"registryIds": ["111111111111", "000000000000"]}`).AuthorizationData
	if len(data) != 2 || *data[0].ProxyEndpoint != "https://111111111111.dkr.ecr.us-east-1.amazonaws.com:5050" ||
		*data[1].ProxyEndpoint != "https://000000000000.dkr.ecr.us-east-1.amazonaws.com:5050" || *data[0].AuthorizationToken != *data[1].AuthorizationToken {
		t.Errorf("%+v", data)
	}
}

// registryId goes to the registry, which decides; its default is the account
// of the caller, not that of the endpoint.
func TestOtherAccounts(t *testing.T) {
	s := newServer(t)
	const denied = "AccessDeniedException: User: %s is not authorized to perform: ecr:DescribeRepositories on resource: %s because no resource-based policy allows the ecr:DescribeRepositories action"
	ok[CreateRepositoryResponse](t, s, "CreateRepository", `{"repositoryName": "app"}`)
	s.steps(t, step{"DescribeRepositories", `{"registryId": "111111111111", "repositoryNames": ["app"]}`,
		fmt.Sprintf(denied, s.p.ARN, "arn:aws:ecr:us-east-1:111111111111:repository/app")})
	s.p = access.Principal{Account: "111111111111", ARN: "arn:aws:iam::111111111111:user/x", Policies: []string{access.PolicyAdministrator}}
	s.steps(t,
		step{"DescribeRepositories", `{"repositoryNames": ["app"]}`,
			"RepositoryNotFoundException: The repository with name 'app' does not exist in the registry with id '111111111111'"},
		step{"DescribeRepositories", `{"registryId": "000000000000", "repositoryNames": ["app"]}`,
			fmt.Sprintf(denied, s.p.ARN, "arn:aws:ecr:us-east-1:000000000000:repository/app")},
	)
}

package ecrapi

import (
	"fmt"
	"testing"
)

func TestCreationTemplates(t *testing.T) {
	s := newServer(t)
	const (
		registry = `"registryId": "000000000000"`
		times    = `"createdAt": ` + created + `, "updatedAt": ` + created
		least    = `"appliedFor": ["CREATE_ON_PUSH"], "encryptionConfiguration": {"encryptionType": "AES256"}, "imageTagMutability": "MUTABLE", "resourceTags": [], ` + times
		policy   = `"repositoryPolicy": "{\n  \"Version\" : \"2012-10-17\",\n  \"Statement\" : [ {\n    \"Effect\" : \"Allow\",\n    \"Principal\" : {\n      \"AWS\" : \"arn:aws:iam::111111111111:root\"\n    },\n    \"Action\" : \"ecr:BatchGetImage\"\n  } ]\n}"`
		rules    = `"lifecyclePolicy": "{\"rules\":[{\"rulePriority\":1,\"selection\":{\"tagStatus\":\"untagged\",\"countType\":\"sinceImagePushed\",\"countUnit\":\"days\",\"countNumber\":1},\"action\":{\"type\":\"expire\"}}]}"`
		all      = `"appliedFor": ["REPLICATION", "PULL_THROUGH_CACHE"], "description": "d", "customRoleArn": "arn:aws:iam::000000000000:role/r",
			"encryptionConfiguration": {"encryptionType": "KMS"}, "imageTagMutability": "MUTABLE_WITH_EXCLUSION",
			"imageTagMutabilityExclusionFilters": [{"filter": "v*", "filterType": "WILDCARD"}], ` + rules + `, "resourceTags": [{"Key": "a", "Value": "b"}], ` + times
		none       = "TemplateNotFoundException: The repository creation template with prefix 'none' does not exist in the registry with id '000000000000'"
		constraint = "InvalidParameterException: Invalid parameter at '%s' failed to satisfy constraint: '%s'"
	)
	template := func(prefix, members string) string {
		return fmt.Sprintf(`{`+registry+`, "repositoryCreationTemplate": {"prefix": %q, `+members+`}}`, prefix)
	}
	s.steps(t,
		step{"DescribeRepositoryCreationTemplates", `{}`, `{` + registry + `, "repositoryCreationTemplates": []}`},
		step{"CreateRepositoryCreationTemplate", `{"prefix": "team/", "appliedFor": ["CREATE_ON_PUSH"]}`, template("team/", least)},
		step{"CreateRepositoryCreationTemplate", `{"prefix": "team", "appliedFor": ["CREATE_ON_PUSH"]}`,
			"TemplateAlreadyExistsException: The repository creation template with prefix 'team' already exists in the registry with id '000000000000'"},
		step{"CreateRepositoryCreationTemplate", `{"prefix": "ROOT", ` + all[:len(all)-len(times)-2] + `, "repositoryPolicy": "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Principal\":{\"AWS\":\"111111111111\"},\"Action\":\"ecr:BatchGetImage\"}]}"}`,
			template("ROOT", all+", "+policy)},
		step{"DescribeRepositoryCreationTemplates", `{"prefixes": ["none", "team"]}`, `{` + registry + `, "repositoryCreationTemplates": [{"prefix": "team/", ` + least + `}]}`},
		step{"DescribeRepositoryCreationTemplates", `{}`, `{` + registry + `, "repositoryCreationTemplates": [{"prefix": "ROOT", ` + all + ", " + policy + `}, {"prefix": "team/", ` + least + `}]}`},
		step{"DescribeRepositoryCreationTemplates", `{"nextToken": "x"}`, fmt.Sprintf(constraint, "nextToken", "must be a token that this operation returned for the same parameters")},

		// What is not named stays; what is empty is cleared.
		step{"UpdateRepositoryCreationTemplate", `{"prefix": "ROOT"}`, template("ROOT", all+", "+policy)},
		step{"UpdateRepositoryCreationTemplate", `{"prefix": "ROOT", "repositoryPolicy": ""}`, template("ROOT", all)},
		step{"UpdateRepositoryCreationTemplate", `{"prefix": "ROOT", "lifecyclePolicy": "", "customRoleArn": "", "description": "", "resourceTags": [], "appliedFor": ["CREATE_ON_PUSH"],
			"imageTagMutability": "MUTABLE", "encryptionConfiguration": {"encryptionType": "AES256", "kmsKey": ""}}`, template("ROOT", least)},
		step{"UpdateRepositoryCreationTemplate", `{"prefix": "none"}`, none},
		step{"DeleteRepositoryCreationTemplate", `{"prefix": "none"}`, none},
		step{"DeleteRepositoryCreationTemplate", `{"prefix": "team"}`, template("team/", least)},
		step{"DescribeRepositoryCreationTemplates", `{"prefixes": ["team/"]}`, `{` + registry + `, "repositoryCreationTemplates": []}`},
	)
	for _, tt := range []struct{ members, path, constraint string }{
		{`"imageTagMutability": "IMMUTABLE", "imageTagMutabilityExclusionFilters": [{"filter": "v*", "filterType": "WILDCARD"}]`,
			"imageTagMutabilityExclusionFilters", "ImageTagMutabilityExclusionFilters can't be set when imageTagMutability is set as IMMUTABLE"},
		{`"encryptionConfiguration": {"encryptionType": "AES256", "kmsKey": "arn:aws:kms:us-east-1:000000000000:key/00000000-0000-0000-0000-000000000000"}`,
			"encryptionConfiguration", "encryption type AES256 takes no kmsKey; use KMS"},
		{`"repositoryPolicy": "{}"`, "PolicyText", "Invalid repository policy provided"},
		{`"repositoryPolicy": "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Principal\":{\"AWS\":\"arn:aws:iam::000000000000:user/none\"},\"Action\":\"ecr:BatchGetImage\"}]}"`,
			"PolicyText", "Principal not found"},
		{`"customRoleArn": "arn:aws:iam::111111111111:role/r"`, "customRoleArn",
			`"arn:aws:iam::111111111111:role/r" must be the ARN of a role in account 000000000000, such as arn:aws:iam::000000000000:role/ecr-templates`},
	} {
		t.Run(tt.path, func(t *testing.T) {
			want := fmt.Sprintf(constraint, tt.path, tt.constraint)
			s.steps(t, step{"CreateRepositoryCreationTemplate", `{"prefix": "new", "appliedFor": ["CREATE_ON_PUSH"], ` + tt.members + `}`, want},
				step{"UpdateRepositoryCreationTemplate", `{"prefix": "ROOT", ` + tt.members + `}`, want})
		})
	}
}

func TestLimitOfCreationTemplates(t *testing.T) {
	s := newServer(t)
	for i := range 100 {
		ok[CreateRepositoryCreationTemplateResponse](t, s, "CreateRepositoryCreationTemplate", fmt.Sprintf(`{"prefix": "p%d", "appliedFor": ["CREATE_ON_PUSH"]}`, i))
	}
	s.steps(t,
		step{"CreateRepositoryCreationTemplate", `{"prefix": "more", "appliedFor": ["CREATE_ON_PUSH"]}`,
			"LimitExceededException: The maximum number of repository creation templates in the registry with id '000000000000' is 100"},
		step{"CreateRepositoryCreationTemplate", `{"prefix": "p1", "appliedFor": ["CREATE_ON_PUSH"]}`,
			"TemplateAlreadyExistsException: The repository creation template with prefix 'p1' already exists in the registry with id '000000000000'"},
	)
}

package policy

import (
	"slices"

	"github.com/kontor-registry/kontor/internal/ecr"
)

// ManagedPolicy is a policy that AWS provides.
type ManagedPolicy struct {
	Name string
	// Path is "/", or "/aws-service-role/" for policies that only a service's own
	// role can have.
	Path string
	// Document is the caller's own.
	Document Document
}

// ARN is the policy's, in the partition, such as "aws".
func (m ManagedPolicy) ARN(partition string) string {
	return ecr.IAMARN(partition, "aws", "policy"+m.Path+m.Name)
}

// ManagedPolicies returns AWS's policies for Amazon ECR, and
// AdministratorAccess, by name (Amazon ECR user guide, "AWS managed policies
// for Amazon Elastic Container Registry").
func ManagedPolicies() []ManagedPolicy {
	pull := []string{"ecr:GetAuthorizationToken", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer", "ecr:BatchImportUpstreamImage"}
	read := []string{"ecr:GetAuthorizationToken", "ecr:BatchCheckLayerAvailability", "ecr:GetDownloadUrlForLayer",
		"ecr:GetRepositoryPolicy", "ecr:DescribeRepositories", "ecr:ListImages", "ecr:DescribeImages", "ecr:BatchGetImage",
		"ecr:GetLifecyclePolicy", "ecr:GetLifecyclePolicyPreview", "ecr:ListTagsForResource", "ecr:DescribeImageScanFindings"}
	push := []string{"ecr:InitiateLayerUpload", "ecr:UploadLayerPart", "ecr:CompleteLayerUpload", "ecr:PutImage"}
	cache := slices.Concat([]string{"ecr:GetAuthorizationToken", "ecr:BatchCheckLayerAvailability"}, push,
		[]string{"ecr:BatchGetImage", "ecr:BatchImportUpstreamImage", "ecr:GetDownloadUrlForLayer", "ecr:GetImageCopyStatus"})
	const service = "/aws-service-role/"
	return []ManagedPolicy{
		managed("AWSECRPullThroughCache_ServiceRolePolicy", service, allowing(cache...),
			Statement{Effect: Allow, Action: []string{"secretsmanager:GetSecretValue"},
				Resource:  []string{"arn:aws:secretsmanager:*:*:secret:ecr-pullthroughcache/*"},
				Condition: []Condition{{"StringEquals", "aws:ResourceAccount", []string{"${aws:PrincipalAccount}"}}}}),
		managed("AdministratorAccess", "/", allowing("*")),
		managed("AmazonEC2ContainerRegistryFullAccess", "/", allowing("ecr:*", "cloudtrail:LookupEvents"),
			Statement{Effect: Allow, Action: []string{"iam:CreateServiceLinkedRole"}, Resource: []string{"*"},
				Condition: []Condition{{"StringEquals", "iam:AWSServiceName", []string{"replication.ecr.amazonaws.com"}}}}),
		managed("AmazonEC2ContainerRegistryPowerUser", "/", allowing(slices.Concat(read, push)...)),
		managed("AmazonEC2ContainerRegistryPullOnly", "/", allowing(pull...)),
		managed("AmazonEC2ContainerRegistryReadOnly", "/", allowing(read...)),
		managed("ECRReplicationServiceRolePolicy", service, allowing("ecr:CreateRepository", "ecr:ReplicateImage")),
		managed("ECRTemplateServiceRolePolicy", service, allowing("ecr:CreateRepository")),
	}
}

func managed(name, path string, statements ...Statement) ManagedPolicy {
	return ManagedPolicy{name, path, Document{Version: Version2012, Statements: statements}}
}

func allowing(actions ...string) Statement {
	return Statement{Effect: Allow, Action: slices.Clone(actions), Resource: []string{"*"}}
}

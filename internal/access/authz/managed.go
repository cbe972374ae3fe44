package authz

import "github.com/kontor-registry/kontor/internal/access"

// powerUser is AmazonEC2ContainerRegistryPowerUser, version 3 (December 2019):
// the actions of AmazonEC2ContainerRegistryReadOnly and those of a push. All
// on resource "*".
var powerUser = map[access.Action]bool{
	"ecr:GetAuthorizationToken":       true,
	"ecr:BatchCheckLayerAvailability": true,
	"ecr:GetDownloadUrlForLayer":      true,
	"ecr:GetRepositoryPolicy":         true,
	"ecr:DescribeRepositories":        true,
	"ecr:ListImages":                  true,
	"ecr:DescribeImages":              true,
	"ecr:BatchGetImage":               true,
	"ecr:GetLifecyclePolicy":          true,
	"ecr:GetLifecyclePolicyPreview":   true,
	"ecr:ListTagsForResource":         true,
	"ecr:DescribeImageScanFindings":   true,
	"ecr:InitiateLayerUpload":         true,
	"ecr:UploadLayerPart":             true,
	"ecr:CompleteLayerUpload":         true,
	"ecr:PutImage":                    true,
}

// managedAllows reports whether the managed policy of that name allows a. A
// name that is not known allows nothing.
func managedAllows(name string, a access.Action) bool {
	switch name {
	case access.PolicyAdministrator:
		return true
	case access.PolicyPushPull:
		return powerUser[a]
	}
	return false
}

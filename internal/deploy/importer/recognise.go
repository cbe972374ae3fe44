package importer

import (
	"slices"

	"github.com/kontor-registry/kontor/lifecycle"
	"github.com/kontor-registry/kontor/policy"
)

// sids are the statements by which a tool's policies are known.
var sids = []struct {
	tool string
	sids []string
}{
	{"terraform-aws-modules/ecr", []string{"PrivateReadOnly", "PrivateLambdaReadOnly"}},
	{"cloudposse/ecr", []string{"ReadonlyAccess", "FullAccess", "PushAccess", "LambdaAccess", "OrganizationsReadonlyAccess", "OrganizationsFullAccess", "OrganizationsPushAccess"}},
	{"the Lambda console", []string{"LambdaECRImageRetrievalPolicy", "LambdaECRImageCrossAccountRetrievalPolicy"}},
}

// accessSource names the tool whose shape a repository policy has.
func accessSource(d policy.Document) []string {
	for _, known := range sids {
		if slices.ContainsFunc(d.Statements, func(s policy.Statement) bool { return slices.Contains(known.sids, s.Sid) }) {
			return []string{"Access: the shape of " + known.tool + "."}
		}
	}
	return nil
}

// lifecycleSource names the tool whose shape a lifecycle policy has: cloudposse/ecr
// counts both untagged images and all of them.
func lifecycleSource(p lifecycle.Policy) []string {
	counts := func(s lifecycle.TagStatus) bool {
		return slices.ContainsFunc(p.Rules, func(r lifecycle.Rule) bool {
			return r.Selection.TagStatus == s && r.Selection.CountType == lifecycle.ImageCountMoreThan
		})
	}
	if counts(lifecycle.Untagged) && counts(lifecycle.Any) {
		return []string{"Expiration: the shape of cloudposse/ecr."}
	}
	return nil
}

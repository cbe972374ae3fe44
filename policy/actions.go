package policy

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/kontor-registry/kontor/internal/spelling"
)

// Action is an action of Amazon ECR.
type Action struct {
	Name string // such as "ecr:PutImage"
	// Repository says that the action is on a repository, whose ARN is the
	// resource. The resource of the others is "*", and a repository policy cannot
	// name them.
	Repository bool
	// RegistryV1 says that a registry policy governs the action also where the
	// account setting REGISTRY_POLICY_SCOPE is V1.
	RegistryV1 bool
}

// Actions returns all actions of Amazon ECR by name (Service Authorization
// Reference, "Actions, resources, and condition keys for Amazon Elastic
// Container Registry"; Amazon ECR user guide, "Private registry permissions").
func Actions() []Action { return slices.Clone(ecrActions()) }

// LookupAction returns the action called name, such as "ecr:PutImage", in any
// letter case.
func LookupAction(name string) (Action, bool) {
	for _, a := range ecrActions() {
		if strings.EqualFold(a.Name, name) {
			return a, true
		}
	}
	return Action{}, false
}

// UnknownAction is the error for a name that is not an action of Amazon ECR.
type UnknownAction struct {
	Name string // as given
	// Meant is the action that it was probably meant to be, "" when none is near.
	Meant string
}

// Error says what there is instead.
func (e *UnknownAction) Error() string {
	text := fmt.Sprintf("Amazon ECR has no action %q", e.Name)
	if e.Meant != "" {
		text += "; did you mean " + e.Meant + "?"
	}
	return text
}

// CheckAction returns an *UnknownAction unless there is an action called name,
// in any letter case.
func CheckAction(name string) error {
	if _, ok := LookupAction(name); ok {
		return nil
	}
	var names []string
	for _, a := range ecrActions() {
		names = append(names, strings.ToLower(a.Name))
	}
	meant, _ := LookupAction(spelling.Nearest(strings.ToLower(name), names))
	return &UnknownAction{Name: name, Meant: meant.Name}
}

// matchingActions are those of ECR that a pattern, such as "ecr:Put*", names.
func matchingActions(text string) []Action {
	p := compilePattern(text, true, false)
	var out []Action
	for _, a := range ecrActions() {
		if p.matches(nil, a.Name, true) == yes {
			out = append(out, a)
		}
	}
	return out
}

var ecrActions = sync.OnceValue(func() []Action {
	var out []Action
	for _, name := range strings.Fields(repositoryActions) {
		out = append(out, Action{Name: "ecr:" + name, Repository: true, RegistryV1: slices.Contains(registryV1, name)})
	}
	for _, name := range strings.Fields(registryActions) {
		out = append(out, Action{Name: "ecr:" + name})
	}
	slices.SortFunc(out, func(a, b Action) int { return strings.Compare(a.Name, b.Name) })
	return out
})

var registryV1 = []string{"BatchImportUpstreamImage", "CreateRepository", "ReplicateImage"}

const (
	repositoryActions = `
		BatchCheckLayerAvailability BatchDeleteImage BatchGetImage BatchGetRepositoryScanningConfiguration
		BatchImportUpstreamImage CompleteLayerUpload CreateRepository DeleteLifecyclePolicy DeleteRepository
		DeleteRepositoryPolicy DescribeImageReplicationStatus DescribeImageScanFindings DescribeImageSigningStatus
		DescribeImages DescribeRepositories GetDownloadUrlForLayer GetImageCopyStatus GetLifecyclePolicy
		GetLifecyclePolicyPreview GetRepositoryPolicy InitiateLayerUpload ListImageReferrers ListImages
		ListTagsForResource PutImage PutImageScanningConfiguration PutImageTagMutability PutLifecyclePolicy
		ReplicateImage SetRepositoryPolicy StartImageScan StartLifecyclePolicyPreview TagResource UntagResource
		UpdateImageStorageClass UploadLayerPart`
	registryActions = `
		CreatePullThroughCacheRule CreateRepositoryCreationTemplate DeletePullThroughCacheRule DeleteRegistryPolicy
		DeleteRepositoryCreationTemplate DeleteSigningConfiguration DeregisterPullTimeUpdateExclusion
		DescribePullThroughCacheRules DescribeRegistry DescribeReplicationBackfillResults
		DescribeRepositoryCreationTemplates GetAccountSetting GetAuthorizationToken GetRegistryPolicy
		GetRegistryScanningConfiguration GetSigningConfiguration ListPullTimeUpdateExclusions ListReplicationBackfills
		PutAccountSetting PutRegistryPolicy PutRegistryScanningConfiguration PutReplicationConfiguration
		PutSigningConfiguration RegisterPullTimeUpdateExclusion StartReplicationBackfill StopReplicationBackfill
		UpdatePullThroughCacheRule UpdateRepositoryCreationTemplate ValidatePullThroughCacheRule`
)

// Package deploy reads and changes the repositories of one registry through
// the ECR API: Connect reaches it, Observe reads it, Apply applies a plan.
//
// What it guarantees:
//   - nothing is changed before the caller's account was compared with the
//     target's;
//   - Apply makes exactly the changes in the plan; each repository is read again
//     before it is changed, and one that changed since the plan is left as it is;
//   - a repository that stays is never without its policy: documents are
//     replaced in one call, never deleted and set, and a repository to be deleted
//     is checked first and deleted in one call;
//   - every step can be repeated: a plan that was applied in part can be
//     applied again, and a new plan finds what is left to do.
//
// It leaves out deciding what should change: that is package plan. The calls
// are those of the ECR API, version 2015-09-21.
package deploy

import (
	"context"
	"errors"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/aws/smithy-go"

	"github.com/kontor-registry/kontor/internal/deploy/images"
	"github.com/kontor-registry/kontor/internal/deploy/plan"
	"github.com/kontor-registry/kontor/internal/deploy/state"
	kecr "github.com/kontor-registry/kontor/internal/ecr"
)

// API is the part of ECR's API that deploying uses; *ecr.Client has it. It
// must be safe for concurrent use.
type API interface {
	ecr.DescribeRepositoriesAPIClient
	images.API
	ListTagsForResource(context.Context, *ecr.ListTagsForResourceInput, ...func(*ecr.Options)) (*ecr.ListTagsForResourceOutput, error)
	GetRepositoryPolicy(context.Context, *ecr.GetRepositoryPolicyInput, ...func(*ecr.Options)) (*ecr.GetRepositoryPolicyOutput, error)
	GetLifecyclePolicy(context.Context, *ecr.GetLifecyclePolicyInput, ...func(*ecr.Options)) (*ecr.GetLifecyclePolicyOutput, error)

	CreateRepository(context.Context, *ecr.CreateRepositoryInput, ...func(*ecr.Options)) (*ecr.CreateRepositoryOutput, error)
	TagResource(context.Context, *ecr.TagResourceInput, ...func(*ecr.Options)) (*ecr.TagResourceOutput, error)
	UntagResource(context.Context, *ecr.UntagResourceInput, ...func(*ecr.Options)) (*ecr.UntagResourceOutput, error)
	PutImageScanningConfiguration(context.Context, *ecr.PutImageScanningConfigurationInput, ...func(*ecr.Options)) (*ecr.PutImageScanningConfigurationOutput, error)
	PutImageTagMutability(context.Context, *ecr.PutImageTagMutabilityInput, ...func(*ecr.Options)) (*ecr.PutImageTagMutabilityOutput, error)
	SetRepositoryPolicy(context.Context, *ecr.SetRepositoryPolicyInput, ...func(*ecr.Options)) (*ecr.SetRepositoryPolicyOutput, error)
	DeleteRepositoryPolicy(context.Context, *ecr.DeleteRepositoryPolicyInput, ...func(*ecr.Options)) (*ecr.DeleteRepositoryPolicyOutput, error)
	PutLifecyclePolicy(context.Context, *ecr.PutLifecyclePolicyInput, ...func(*ecr.Options)) (*ecr.PutLifecyclePolicyOutput, error)
	DeleteLifecyclePolicy(context.Context, *ecr.DeleteLifecyclePolicyInput, ...func(*ecr.Options)) (*ecr.DeleteLifecyclePolicyOutput, error)
	DeleteRepository(context.Context, *ecr.DeleteRepositoryInput, ...func(*ecr.Options)) (*ecr.DeleteRepositoryOutput, error)

	SettingsAPI
	EvidenceAPI
}

var _ API = (*ecr.Client)(nil)

// repository is one repository of a registry, as the calls name it.
type repository struct {
	api      API
	registry kecr.RegistryID
	name     kecr.RepositoryName
}

func (r repository) account() *string { return aws.String(string(r.registry.Account)) }
func (r repository) named() *string   { return aws.String(string(r.name)) }
func (r repository) arn() *string     { return aws.String(r.registry.RepositoryARN(r.name)) }

// describe reads the repository's own settings. ok is false when it does not
// exist.
func (r repository) describe(ctx context.Context) (d types.Repository, ok bool, err error) {
	out, err := r.api.DescribeRepositories(ctx, &ecr.DescribeRepositoriesInput{
		RegistryId: r.account(), RepositoryNames: []string{string(r.name)},
	})
	switch {
	case isCode(err, kecr.CodeRepositoryNotFound):
		return types.Repository{}, false, nil
	case err != nil:
		return types.Repository{}, false, r.explain(err, "repository "+string(r.name))
	case len(out.Repositories) != 1:
		return types.Repository{}, false, nil
	}
	return out.Repositories[0], true, nil
}

// tags reads all resource tags.
func (r repository) tags(ctx context.Context) (map[string]string, error) {
	out, err := r.api.ListTagsForResource(ctx, &ecr.ListTagsForResourceInput{ResourceArn: r.arn()})
	if err != nil {
		return nil, r.explain(err, "the tags of repository "+string(r.name))
	}
	tags := make(map[string]string, len(out.Tags))
	for _, t := range out.Tags {
		tags[aws.ToString(t.Key)] = aws.ToString(t.Value)
	}
	return tags, nil
}

// documents reads both policies; "" for none.
func (r repository) documents(ctx context.Context) (policy, lifecycle string, err error) {
	p, err := r.api.GetRepositoryPolicy(ctx, &ecr.GetRepositoryPolicyInput{RegistryId: r.account(), RepositoryName: r.named()})
	switch {
	case err == nil:
		policy = aws.ToString(p.PolicyText)
	case !isCode(err, kecr.CodeRepositoryPolicyNotFound):
		return "", "", r.explain(err, "the policy of repository "+string(r.name))
	}
	lifecycle, err = r.lifecycle(ctx)
	return policy, lifecycle, err
}

// lifecycle reads the lifecycle policy; "" for none.
func (r repository) lifecycle(ctx context.Context) (string, error) {
	l, err := r.api.GetLifecyclePolicy(ctx, &ecr.GetLifecyclePolicyInput{RegistryId: r.account(), RepositoryName: r.named()})
	switch {
	case err == nil:
		return aws.ToString(l.LifecyclePolicyText), nil
	case isCode(err, kecr.CodeLifecyclePolicyNotFound):
		return "", nil
	}
	return "", r.explain(err, "the lifecycle policy of repository "+string(r.name))
}

// read reads everything. ok is false when the repository does not exist.
func (r repository) read(ctx context.Context) (s state.Repository, ok bool, err error) {
	d, ok, err := r.describe(ctx)
	if err != nil || !ok {
		return state.Repository{}, false, err
	}
	tags, err := r.tags(ctx)
	if err != nil {
		return state.Repository{}, false, err
	}
	policy, lifecycle, err := r.documents(ctx)
	if err != nil {
		return state.Repository{}, false, err
	}
	return repositoryOf(d, tags, policy, lifecycle), true, nil
}

func repositoryOf(d types.Repository, tags map[string]string, policy, lifecycle string) state.Repository {
	out := state.Repository{
		Name: kecr.RepositoryName(aws.ToString(d.RepositoryName)), Mutability: mutabilityOf(d),
		Tags: tags, Policy: policy, Lifecycle: lifecycle,
	}
	if s := d.ImageScanningConfiguration; s != nil {
		out.ScanOnPush = aws.Bool(s.ScanOnPush)
	}
	if e := d.EncryptionConfiguration; e != nil {
		out.Encryption = &kecr.Encryption{Type: string(e.EncryptionType), KMSKey: aws.ToString(e.KmsKey)}
	}
	return out
}

// images counts what the repository holds.
func (r repository) images(ctx context.Context) (plan.Images, error) {
	var out plan.Images
	pages := ecr.NewDescribeImagesPaginator(r.api, &ecr.DescribeImagesInput{
		RegistryId: r.account(), RepositoryName: r.named(), MaxResults: aws.Int32(1000),
		Filter: &types.DescribeImagesFilter{ImageStatus: types.ImageStatusFilterAny}, // archived ones go, too
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return plan.Images{}, r.explain(err, "the images of repository "+string(r.name))
		}
		for _, i := range page.ImageDetails {
			out.Count++
			out.SizeBytes += aws.ToInt64(i.ImageSizeInBytes)
		}
	}
	return out, nil
}

// explain names the repository as what a missing permission is about.
func (r repository) explain(err error, object string) error {
	return explainOn(err, object, *r.arn())
}

func mutabilityOf(d types.Repository) kecr.Mutability {
	m := kecr.Mutability{Mode: kecr.TagMutability(d.ImageTagMutability)}
	for _, f := range d.ImageTagMutabilityExclusionFilters {
		m.Filters = append(m.Filters, aws.ToString(f.Filter))
	}
	return m
}

// filtersOf is the API's form of m's filters; nil for none.
func filtersOf(m plan.Mutability) []types.ImageTagMutabilityExclusionFilter {
	var out []types.ImageTagMutabilityExclusionFilter
	for _, f := range m.Filters {
		out = append(out, types.ImageTagMutabilityExclusionFilter{
			Filter: aws.String(f), FilterType: types.ImageTagMutabilityExclusionFilterTypeWildcard,
		})
	}
	return out
}

// isCode reports whether err is the API's error code.
func isCode(err error, code kecr.Code) bool {
	var api smithy.APIError
	return errors.As(err, &api) && api.ErrorCode() == string(code)
}

package principals

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/smithy-go"
	"golang.org/x/sync/errgroup"

	"github.com/kontor-registry/kontor/internal/access/proof"
	kecr "github.com/kontor-registry/kontor/internal/ecr"
)

// Registry is the part of ECR's API that Grants reads; *ecr.Client has it.
type Registry interface {
	ecr.DescribeRepositoriesAPIClient
	GetRepositoryPolicy(context.Context, *ecr.GetRepositoryPolicyInput, ...func(*ecr.Options)) (*ecr.GetRepositoryPolicyOutput, error)
	ListTagsForResource(context.Context, *ecr.ListTagsForResourceInput, ...func(*ecr.Options)) (*ecr.ListTagsForResourceOutput, error)
	GetRegistryPolicy(context.Context, *ecr.GetRegistryPolicyInput, ...func(*ecr.Options)) (*ecr.GetRegistryPolicyOutput, error)
	GetAccountSetting(context.Context, *ecr.GetAccountSettingInput, ...func(*ecr.Options)) (*ecr.GetAccountSettingOutput, error)
}

var _ Registry = (*ecr.Client)(nil)

// parallel bounds the calls at a time.
const parallel = 8

// Granted is a registry's side.
type Granted struct {
	Repositories []proof.Repository // in byte order of their names
	Registry     proof.Registry
	// Notes say what could not be seen.
	Notes []string
}

// Grants reads the policies of the registry and of its repositories: of all,
// or of those named that there are.
func Grants(ctx context.Context, api Registry, in kecr.RegistryID, names ...kecr.RepositoryName) (Granted, error) {
	var out Granted
	var err error
	if out.Registry, out.Notes, err = registryOf(ctx, api, in); err != nil {
		return out, err
	}
	if len(names) == 0 {
		pages := ecr.NewDescribeRepositoriesPaginator(api, &ecr.DescribeRepositoriesInput{RegistryId: aws.String(string(in.Account))})
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			if err != nil {
				return out, fmt.Errorf("listing the repositories of %s: %w", in, err)
			}
			for _, r := range page.Repositories {
				names = append(names, kecr.RepositoryName(aws.ToString(r.RepositoryName)))
			}
		}
	}
	found := make([]*proof.Repository, len(names))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	for i, name := range names {
		g.Go(func() (err error) {
			found[i], err = grantsOf(gctx, api, in, name)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return out, err
	}
	for _, r := range found {
		if r != nil {
			out.Repositories = append(out.Repositories, *r)
		}
	}
	return out, nil
}

// registryOf reads the registry policy and, where there is one, what it governs.
// notes say what could not be seen.
func registryOf(ctx context.Context, api Registry, in kecr.RegistryID) (r proof.Registry, notes []string, err error) {
	got, err := api.GetRegistryPolicy(ctx, &ecr.GetRegistryPolicyInput{})
	switch why, denied := notSeen(err, "ecr:GetRegistryPolicy"); {
	case denied:
		r.Unseen = why
		return r, []string{fmt.Sprintf("the registry policy of %s was not seen: %s", in, why)}, nil
	case code(err) == string(kecr.CodeRegistryPolicyNotFound):
		return r, nil, nil
	case err != nil:
		return r, nil, fmt.Errorf("reading the registry policy of %s: %w", in, err)
	}
	r.Policy = aws.ToString(got.PolicyText)
	setting, err := api.GetAccountSetting(ctx, &ecr.GetAccountSettingInput{Name: aws.String(proof.KeyScope)})
	why, denied := notSeen(err, "ecr:GetAccountSetting")
	switch {
	case err == nil:
		r.Scope = proof.Scope(aws.ToString(setting.Value))
		return r, nil, nil
	case !denied && code(err) == "":
		return r, nil, fmt.Errorf("reading the account setting %s of %s: %w", proof.KeyScope, in, err)
	case !denied: // not every endpoint has the operation
		why = err.Error()
	}
	r.Scope = proof.ScopeUnseen
	return r, []string{fmt.Sprintf("the account setting %s of %s was not seen: %s", proof.KeyScope, in, why)}, nil
}

// grantsOf is nil for a repository that is not there.
func grantsOf(ctx context.Context, api Registry, in kecr.RegistryID, name kecr.RepositoryName) (*proof.Repository, error) {
	r := &proof.Repository{In: in, Name: name, Tags: map[string]string{}}
	p, err := api.GetRepositoryPolicy(ctx, &ecr.GetRepositoryPolicyInput{RegistryId: aws.String(string(in.Account)), RepositoryName: aws.String(string(name))})
	switch {
	case err == nil:
		r.Policy = aws.ToString(p.PolicyText)
	case code(err) == string(kecr.CodeRepositoryNotFound):
		return nil, nil
	case code(err) != string(kecr.CodeRepositoryPolicyNotFound):
		return nil, fmt.Errorf("reading the policy of repository %q: %w", name, err)
	}
	tags, err := api.ListTagsForResource(ctx, &ecr.ListTagsForResourceInput{ResourceArn: aws.String(in.RepositoryARN(name))})
	if err != nil {
		return nil, fmt.Errorf("reading the tags of repository %q: %w", name, err)
	}
	for _, t := range tags.Tags {
		r.Tags[aws.ToString(t.Key)] = aws.ToString(t.Value)
	}
	return r, nil
}

// code is the API's error code, "" for other errors.
func code(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return ""
}

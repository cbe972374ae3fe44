package principals

import (
	"context"
	"errors"
	"fmt"
	"slices"

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

// RegistryOf reads the policy of a registry and, where there is one, what it
// governs. note says what could not be seen, and why; "" when all was.
func RegistryOf(ctx context.Context, api Registry, in kecr.RegistryID) (r proof.Registry, note string, err error) {
	got, err := api.GetRegistryPolicy(ctx, &ecr.GetRegistryPolicyInput{})
	switch why, denied := notSeen(err, "ecr:GetRegistryPolicy"); {
	case denied:
		r.Unseen = why
		return r, fmt.Sprintf("the registry policy of %s was not seen: %s", in, why), nil
	case code(err) == string(kecr.CodeRegistryPolicyNotFound):
		return r, "", nil
	case err != nil:
		return r, "", fmt.Errorf("reading the registry policy of %s: %w", in, err)
	}
	r.Policy = aws.ToString(got.PolicyText)
	setting, err := api.GetAccountSetting(ctx, &ecr.GetAccountSettingInput{Name: aws.String(proof.KeyScope)})
	why, denied := notSeen(err, "ecr:GetAccountSetting")
	switch {
	case err == nil:
		r.Scope = proof.Scope(aws.ToString(setting.Value))
		return r, "", nil
	case !denied && code(err) == "":
		return r, "", fmt.Errorf("reading the account setting %s of %s: %w", proof.KeyScope, in, err)
	case !denied: // not every endpoint has the operation
		why = err.Error()
	}
	r.Scope = proof.ScopeUnseen
	return r, fmt.Sprintf("the account setting %s of %s was not seen: %s", proof.KeyScope, in, why), nil
}

// Names lists the repositories of a registry, and adds those of known, which the
// list may leave out. note says what could not be listed; "" when all was.
func Names(ctx context.Context, api Registry, in kecr.RegistryID, known []kecr.RepositoryName) (names []kecr.RepositoryName, note string, err error) {
	pages := ecr.NewDescribeRepositoriesPaginator(api, &ecr.DescribeRepositoriesInput{RegistryId: aws.String(string(in.Account)), MaxResults: aws.Int32(1000)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if why, denied := notSeen(err, "ecr:DescribeRepositories on all of them"); denied && len(known) > 0 {
			note = fmt.Sprintf("repositories of %s that the file does not name were not seen: %s", in, why)
			break
		}
		if err != nil {
			return nil, "", fmt.Errorf("listing the repositories of %s: %w", in, err)
		}
		for _, r := range page.Repositories {
			names = append(names, kecr.RepositoryName(aws.ToString(r.RepositoryName)))
		}
	}
	names = append(names, known...)
	slices.Sort(names)
	return slices.Compact(names), note, nil
}

// Grants reads the policies and tags of those repositories of the names that
// there are, and returns them in the order of the names. notes name those that
// could not be seen, and why; where none could be, that is an error.
func Grants(ctx context.Context, api Registry, in kecr.RegistryID, names []kecr.RepositoryName) (list []proof.Repository, notes []string, err error) {
	found := make([]*proof.Repository, len(names))
	unseen := make([]error, len(names))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	for i, name := range names {
		g.Go(func() (err error) {
			found[i], err = grantsOf(gctx, api, in, name)
			if _, denied := notSeen(err, ""); denied {
				unseen[i], err = err, nil
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, nil, err
	}
	for i, r := range found {
		if r != nil {
			list = append(list, *r)
		}
		if unseen[i] != nil {
			why := unseen[i].Error()
			var answer smithy.APIError
			if errors.As(unseen[i], &answer) {
				why = answer.ErrorMessage()
			}
			notes = append(notes, fmt.Sprintf("repository %q was not seen: %s", names[i], why))
		}
	}
	if len(notes) > 0 && len(notes) == len(names) {
		return nil, nil, unseen[0]
	}
	return list, notes, nil
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

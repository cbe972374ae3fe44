package deploy

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"

	"github.com/kontor-registry/kontor/internal/deploy/state"
	kecr "github.com/kontor-registry/kontor/internal/ecr"
)

// Repositories are the names of all repositories of the registry.
func (c *Conn) Repositories(ctx context.Context) ([]kecr.RepositoryName, error) {
	var names []kecr.RepositoryName
	pages := ecr.NewDescribeRepositoriesPaginator(c.API, &ecr.DescribeRepositoriesInput{
		RegistryId: aws.String(string(c.Target.Registry.Account)), MaxResults: aws.Int32(1000),
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, explainOn(err, "the repositories of "+c.Target.Registry.String(), c.Target.Registry.RepositoryARN("*"))
		}
		for _, r := range page.Repositories {
			names = append(names, kecr.RepositoryName(aws.ToString(r.RepositoryName)))
		}
	}
	return names, nil
}

// Settings are a repository's own settings, without its tags and documents. ok is
// false when it does not exist.
func (c *Conn) Settings(ctx context.Context, name kecr.RepositoryName) (s state.Repository, ok bool, err error) {
	d, ok, err := repository{c.API, c.Target.Registry, name}.describe(ctx)
	if err != nil || !ok {
		return state.Repository{}, false, err
	}
	return repositoryOf(d, nil, "", ""), true, nil
}

package deploy

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	tagging "github.com/aws/aws-sdk-go-v2/service/resourcegroupstaggingapi"
	"github.com/aws/aws-sdk-go-v2/service/resourcegroupstaggingapi/types"

	"github.com/kontor-registry/kontor/internal/deploy/state"
	kecr "github.com/kontor-registry/kontor/internal/ecr"
)

// Tagged returns, in byte order, the repositories of the registry that the index
// of resource tags has under a stack: with one call for a hundred of them,
// whatever else the registry holds. The index may lag some seconds behind the
// tags. Source: AWS Resource Groups Tagging API, GetResources.
func (c *Conn) Tagged(ctx context.Context, stack string) ([]kecr.RepositoryName, error) {
	var names []kecr.RepositoryName
	in := c.Target.Registry
	pages := tagging.NewGetResourcesPaginator(c.tags, &tagging.GetResourcesInput{
		ResourceTypeFilters: []string{"ecr:repository"},
		TagFilters:          []types.TagFilter{{Key: aws.String(state.TagStack), Values: []string{stack}}},
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, explain(err, fmt.Sprintf("the tagged resources of %s", in))
		}
		for _, r := range page.ResourceTagMappingList {
			if name, ok := strings.CutPrefix(aws.ToString(r.ResourceARN), in.RepositoryARN("")); ok && name != "" {
				names = append(names, kecr.RepositoryName(name))
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

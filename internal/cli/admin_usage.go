package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/render"
	"github.com/kontor-registry/kontor/internal/report"
	"github.com/kontor-registry/kontor/internal/wire/admin"
)

func adminUsageCommand(e *Env) *cobra.Command {
	var name string
	return adminCall(e, &cobra.Command{
		Use:   "usage [REPOSITORY] [flags]",
		Short: "Show the space that images use, and what each lifecycle rule would free",
		Long: `Show how many bytes the layers of one repository or of all repositories use, by
tag, and how many each lifecycle rule would free now. A layer that several images
share counts once, and images in use (kontor lease) are kept. Images in the
recycle bin are not counted; they use space until they expire there.`,
		Example: `  kontor admin usage
  kontor admin usage team/app --json | jq .repositories[].ownLayerBytes`,
		Args: between(0, 1), PreRunE: repositoryInto(&name),
		ValidArgsFunction: completeRepository(e, &fileOptions{}),
	}, func(ctx context.Context, c *adminClient, _ []string) (shown, error) {
		names, err := c.repositories(ctx, name)
		usage := report.Usage{Repositories: []admin.DescribeUsageResponse{}}
		for _, n := range names {
			var out admin.DescribeUsageResponse
			if err := c.Call(ctx, "DescribeUsage", admin.DescribeUsageRequest{RepositoryName: n}, &out); err != nil {
				return shown{}, err
			}
			usage.Repositories = append(usage.Repositories, out)
		}
		return show(usage, render.Usage), err
	})
}

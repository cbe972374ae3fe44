package admincmd

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/cli/command"
	"github.com/kontor-registry/kontor/internal/render"
	"github.com/kontor-registry/kontor/internal/report"
	"github.com/kontor-registry/kontor/internal/wire/admin"
)

func usageCommand(e *command.Env) *cobra.Command {
	var name string
	return command.AdminCall(e, &cobra.Command{
		Use:   "usage [REPOSITORY] [flags]",
		Short: "Show the space that images use, and what each lifecycle rule would free",
		Long: `Show how many bytes the layers of one repository or of all repositories use, by
tag, and how many each lifecycle rule would free now. A layer that several images
share counts once, and images in use (kontor lease) are kept. Images in the
recycle bin are not counted; they use space until they expire there.`,
		Example: `  kontor admin usage
  kontor admin usage team/app --json | jq .repositories[].ownLayerBytes`,
		Args: command.Between(0, 1), PreRunE: command.RepositoryInto(&name),
		ValidArgsFunction: command.CompleteRepository(e, &command.FileOptions{}),
	}, func(ctx context.Context, c *command.AdminClient, _ []string) (command.Shown, error) {
		names, err := repositories(ctx, c, name)
		usage := report.Usage{Repositories: []admin.DescribeUsageResponse{}}
		for _, n := range names {
			var out admin.DescribeUsageResponse
			if err := c.Call(ctx, "DescribeUsage", admin.DescribeUsageRequest{RepositoryName: n}, &out); err != nil {
				return command.Shown{}, err
			}
			usage.Repositories = append(usage.Repositories, out)
		}
		return command.Show(usage, render.Usage), err
	})
}

package cli

import (
	"context"
	"io"

	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/render"
	"github.com/kontor-registry/kontor/internal/wire/admin"
)

func adminUsageCommand(e *Env) *cobra.Command {
	var name string
	return adminCall(e, &cobra.Command{
		Use:   "usage [REPOSITORY] [flags]",
		Short: "Say what images take, and what each lifecycle rule would free",
		Long: `Say how many bytes the layers of a repository take, or those of all, by tag, and
what each lifecycle rule would free now. A layer counts once however many images
have it, and images in use (kontor lease) stay. What lies in the recycle bin is
not counted; it takes its space until it has expired there.`,
		Example: `  kontor admin usage
  kontor admin usage team/app --json | jq .repositories[].ownLayerBytes`,
		Args: between(0, 1), PreRunE: repositoryInto(&name),
		ValidArgsFunction: completeRepository(e, &fileOptions{}),
	}, func(ctx context.Context, c *adminClient, _ []string) (shown, error) {
		names, err := c.repositories(ctx, name)
		list := []admin.DescribeUsageResponse{}
		for _, n := range names {
			var out admin.DescribeUsageResponse
			if err := c.Call(ctx, "DescribeUsage", admin.DescribeUsageRequest{RepositoryName: n}, &out); err != nil {
				return shown{}, err
			}
			list = append(list, out)
		}
		return shown{json: map[string]any{"repositories": list}, text: func(w io.Writer, o render.Options) error { return render.Usage(w, list, o) }}, err
	})
}

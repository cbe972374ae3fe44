package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/render"
	"github.com/kontor-registry/kontor/internal/wire/admin"
)

func adminUsageCommand(e *Env) *cobra.Command {
	var (
		o      adminOptions
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "usage [REPOSITORY] [flags]",
		Short: "Say what images take, and what each lifecycle rule would free",
		Long: `Say how many bytes the layers of a repository take, or those of all, by tag, and
what each lifecycle rule would free now. A layer counts once however many images
have it, and images in use (kontor lease) stay. What lies in the recycle bin is
not counted; it takes its space until it has expired there.`,
		Example: `  kontor admin usage
  kontor admin usage team/app --json | jq .repositories[].ownLayerBytes`,
		Args: between(0, 1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			name, err := repositoryArgument(args)
			if err != nil {
				return err
			}
			c, err := openAdmin(cmd.Context(), e, o)
			if err != nil {
				return err
			}
			defer closing(&err, c.close)
			names, err := c.repositories(cmd.Context(), name)
			if err != nil {
				return err
			}
			list := []admin.DescribeUsageResponse{}
			for _, n := range names {
				var out admin.DescribeUsageResponse
				if err := c.Call(cmd.Context(), "DescribeUsage", admin.DescribeUsageRequest{RepositoryName: n}, &out); err != nil {
					return err
				}
				list = append(list, out)
			}
			if asJSON {
				return render.JSON(e.Stdout, struct {
					Repositories []admin.DescribeUsageResponse `json:"repositories"`
				}{list})
			}
			return render.Usage(e.Stdout, list, e.options(e.Stdout))
		},
	}
	o.flags(e, cmd)
	jsonFlag(cmd, &asJSON)
	cmd.ValidArgsFunction = completeRepository(e, &fileOptions{})
	return cmd
}

// repositories is the one repository, or when it is "" all.
func (c *adminClient) repositories(ctx context.Context, one string) ([]string, error) {
	if one != "" {
		return []string{one}, nil
	}
	return c.Repositories(ctx)
}

func adminGCCommand(e *Env) *cobra.Command {
	var (
		o           adminOptions
		now, asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "gc --now [flags]",
		Short: "Collect now what nobody needs any more",
		Long: `Remove what has expired in the recycle bin, and layers that no image has referred
to for a day, with their files. The server does this by itself every hour, beside
pushes and pulls; this is for not waiting.

It takes nothing that an image refers to, that the bin can restore, or that a
push under way was told is there. --now has no other meaning than to say so.`,
		Example: `  kontor admin gc --now`,
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if !now {
				return usagef("say --now: the server collects by itself every hour")
			}
			c, err := openAdmin(cmd.Context(), e, o)
			if err != nil {
				return err
			}
			defer closing(&err, c.close)
			var out admin.CollectGarbageResponse
			if err := c.Call(cmd.Context(), "CollectGarbage", admin.CollectGarbageRequest{}, &out); err != nil {
				return err
			}
			if asJSON {
				return render.JSON(e.Stdout, out)
			}
			return render.Collected(e.Stdout, out, e.options(e.Stdout))
		},
	}
	o.flags(e, cmd)
	cmd.Flags().BoolVar(&now, "now", false, "do not wait for the hour (required)")
	jsonFlag(cmd, &asJSON)
	return cmd
}

package cli

import (
	"context"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/render"
	"github.com/kontor-registry/kontor/internal/report"
	"github.com/kontor-registry/kontor/internal/wire/admin"
)

func (e *Env) adminUsageCommand() *cobra.Command {
	var (
		o      adminOptions
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "usage [REPOSITORY] [flags]",
		Short: "Show the space that images use, and what each lifecycle rule would free",
		Long: `Show how many bytes the layers of a repository use, or those of all, by tag, and
what each lifecycle rule would free now. A layer counts once, however many images
have it, and images in use (kontor lease) are kept. Images in the recycle bin are
not counted; they use space until they expire there.`,
		Example: `  kontor admin usage
  kontor admin usage team/app --json | jq .repositories[].ownLayerBytes`,
		Args: between(0, 1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			name, err := repositoryArgument(args)
			if err != nil {
				return err
			}
			c, err := e.admin(cmd.Context(), o)
			if err != nil {
				return err
			}
			defer closing(&err, c.close)
			names, err := c.repositories(cmd.Context(), name)
			if err != nil {
				return err
			}
			usage := report.Usage{Repositories: []admin.DescribeUsageResponse{}}
			for _, n := range names {
				var out admin.DescribeUsageResponse
				if err := c.call(cmd.Context(), "DescribeUsage", admin.DescribeUsageRequest{RepositoryName: n}, &out); err != nil {
					return err
				}
				usage.Repositories = append(usage.Repositories, out)
			}
			if asJSON {
				return render.JSON(e.Stdout, usage)
			}
			return render.Usage(e.Stdout, usage, e.options(e.Stdout))
		},
	}
	o.flags(e, cmd)
	jsonFlag(cmd, &asJSON)
	cmd.ValidArgsFunction = e.completeRepository(&fileOptions{})
	return cmd
}

// repositories is the one repository, or when it is "" the names of all that
// the registry has, in byte order.
func (c *adminClient) repositories(ctx context.Context, one string) ([]string, error) {
	if one != "" {
		return []string{one}, nil
	}
	client := ecr.New(ecr.Options{Region: c.region, BaseEndpoint: aws.String(c.endpoint), Credentials: c.credentials, HTTPClient: c.http})
	var names []string
	for pages := ecr.NewDescribeRepositoriesPaginator(client, &ecr.DescribeRepositoriesInput{MaxResults: aws.Int32(admin.MaxPage)}); pages.HasMorePages(); {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, r := range page.Repositories {
			names = append(names, aws.ToString(r.RepositoryName))
		}
	}
	slices.Sort(names)
	return names, nil
}

func (e *Env) adminGCCommand() *cobra.Command {
	var (
		o           adminOptions
		now, asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "gc --now [flags]",
		Short: "Collect garbage now",
		Long: `Delete images that have expired in the recycle bin, and layers that no image has
referred to for a day, with their files. The server does this every hour while it
serves pushes and pulls; this command does it now.

It keeps every layer that an image refers to, that an image in the bin needs, or
that a push in progress relies on. --now confirms that you do not want to wait.`,
		Example: `  kontor admin gc --now`,
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if !now {
				return usagef("give --now, or wait: the server collects garbage every hour")
			}
			c, err := e.admin(cmd.Context(), o)
			if err != nil {
				return err
			}
			defer closing(&err, c.close)
			var out admin.CollectGarbageResponse
			if err := c.call(cmd.Context(), "CollectGarbage", admin.CollectGarbageRequest{}, &out); err != nil {
				return err
			}
			if asJSON {
				return render.JSON(e.Stdout, out)
			}
			return render.Collected(e.Stdout, out, e.options(e.Stdout))
		},
	}
	o.flags(e, cmd)
	cmd.Flags().BoolVar(&now, "now", false, "collect now (required)")
	jsonFlag(cmd, &asJSON)
	return cmd
}

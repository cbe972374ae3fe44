package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/render"
)

func leaseListCommand(e *Env) *cobra.Command {
	var name string
	return adminCall(e, &cobra.Command{
		Use:   "list [REPOSITORY] [flags]",
		Short: "List the images in use and the collectors that reported them",
		Long: `List the leases of one repository or of all repositories, and the collectors that
reported them, including those that have stopped reporting.`,
		Example: `  kontor lease list
  kontor lease list team/app --json > leases.json`,
		Args: between(0, 1), PreRunE: repositoryInto(&name),
		ValidArgsFunction: completeRepository(e, &fileOptions{}),
	}, func(ctx context.Context, c *adminClient, _ []string) (shown, error) {
		all, err := c.Leases(ctx, name)
		return show(all, render.Leases), err
	})
}

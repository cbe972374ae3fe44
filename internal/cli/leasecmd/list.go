package leasecmd

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/cli/command"
	"github.com/kontor-registry/kontor/internal/render"
)

func listCommand(e *command.Env) *cobra.Command {
	var name string
	return command.AdminCall(e, &cobra.Command{
		Use:   "list [REPOSITORY] [flags]",
		Short: "List the images in use and the collectors that reported them",
		Long: `List the leases of one repository or of all repositories, and the collectors that
reported them, including those that have stopped reporting.`,
		Example: `  kontor lease list
  kontor lease list team/app --json > leases.json`,
		Args: command.Between(0, 1), PreRunE: command.RepositoryInto(&name),
		ValidArgsFunction: command.CompleteRepository(e, &command.FileOptions{}),
	}, func(ctx context.Context, c *command.AdminClient, _ []string) (command.Shown, error) {
		all, err := c.Leases(ctx, name)
		return command.Show(all, render.Leases), err
	})
}

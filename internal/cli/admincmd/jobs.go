package admincmd

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/cli/command"
	"github.com/kontor-registry/kontor/internal/render"
	"github.com/kontor-registry/kontor/internal/wire/admin"
)

func jobsCommand(e *command.Env) *cobra.Command {
	return command.AdminCall(e, &cobra.Command{
		Use:   "jobs [flags]",
		Short: "Show the background jobs of the server",
		Long: `Show the background jobs of the server, such as collection and lifecycle runs: which
one is running and in which process, how much it has removed so far, and how the last
run ended. Several servers on one database do each job once, and all show the same.`,
		Example: `  kontor admin jobs
  kontor admin jobs --json | jq '.jobs[] | select(.last.error)'`,
		Args: command.NoArgs,
	}, func(ctx context.Context, c *command.AdminClient, _ []string) (command.Shown, error) {
		var out admin.ListJobsResponse
		err := c.Call(ctx, "ListJobs", admin.ListJobsRequest{}, &out)
		return command.Show(out, render.Jobs), err
	})
}

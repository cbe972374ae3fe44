package admincmd

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/cli/command"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/render"
	"github.com/kontor-registry/kontor/internal/report"
	"github.com/kontor-registry/kontor/internal/wire/admin"
)

func lifecycleCommand(e *command.Env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "lifecycle COMMAND",
		Short: "Run lifecycle policies",
		Example: `  kontor admin lifecycle run --dry-run
  kontor admin lifecycle run team/app`,
		Args: cobra.ArbitraryArgs,
		RunE: command.RunGroup,
	}
	cmd.AddCommand(lifecycleRunCommand(e))
	return cmd
}

func lifecycleRunCommand(e *command.Env) *cobra.Command {
	var (
		in   admin.RunLifecycleRequest
		name string
	)
	cmd := command.AdminCall(e, &cobra.Command{
		Use:   "run [REPOSITORY] [flags]",
		Short: "Run lifecycle policies now",
		Long: `Run the lifecycle policy of one repository or of all repositories now, as the
server does every hour. Print which images expired, by which rule, and why other
images were kept although a rule selects them. Expired images can be restored
while they are in the recycle bin (kontor admin bin).

A run that would expire more images than the server allows changes nothing and
exits with 1; --force expires them. kontor lifecycle preview shows the outcome
before a run, also for another policy.`,
		Example: `  kontor admin lifecycle run --dry-run
  kontor admin lifecycle run team/app --json | jq '.runs[].outcomes[] | select(.action == "expire")'`,
		Args: command.Between(0, 1), PreRunE: command.RepositoryInto(&name),
		ValidArgsFunction: command.CompleteRepository(e, &command.FileOptions{}),
	}, func(ctx context.Context, c *command.AdminClient, _ []string) (command.Shown, error) {
		names, err := repositories(ctx, c, name)
		done := report.LifecycleRuns{Runs: []admin.RunLifecycleResponse{}}
		for _, in.RepositoryName = range names {
			var out admin.RunLifecycleResponse
			err := c.Call(ctx, "RunLifecycle", in, &out)
			if name == "" && ecr.CodeOf(err) == ecr.CodeLifecyclePolicyNotFound {
				continue
			}
			if err != nil {
				return command.Shown{}, err
			}
			done.Runs = append(done.Runs, out)
		}
		out := command.Show(done, render.LifecycleRuns)
		if done.Stopped() {
			out.Code = command.ExitFailed
		}
		return out, err
	})
	f := cmd.Flags()
	f.BoolVar(&in.DryRun, "dry-run", false, "only print what would expire (default false)")
	f.BoolVar(&in.Force, "force", false, "expire more images than the server allows (default false)")
	return cmd
}

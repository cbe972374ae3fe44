package cli

import (
	"context"
	"io"

	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/render"
	"github.com/kontor-registry/kontor/internal/wire/admin"
)

func adminLifecycleCommand(e *Env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "lifecycle COMMAND",
		Short: "Carry lifecycle policies out",
		Example: `  kontor admin lifecycle run --dry-run
  kontor admin lifecycle run team/app`,
		Args: cobra.ArbitraryArgs,
		RunE: runGroup,
	}
	cmd.AddCommand(adminLifecycleRunCommand(e))
	return cmd
}

func adminLifecycleRunCommand(e *Env) *cobra.Command {
	var (
		in   admin.RunLifecycleRequest
		name string
	)
	cmd := adminCall(e, &cobra.Command{
		Use:   "run [REPOSITORY] [flags]",
		Short: "Run lifecycle policies now",
		Long: `Carry out the lifecycle policy of a repository now, or those of all, as the server
does by itself every hour. Prints which images went, by which rule, and why others
stay on which a rule acts. What went can be restored for a while (kontor admin
bin).

A run that would expire more than the server allows stops, and exits with 1;
--force lets it go on. kontor lifecycle preview says the same beforehand, also of
other policies.`,
		Example: `  kontor admin lifecycle run --dry-run
  kontor admin lifecycle run team/app --json | jq '.runs[].outcomes[] | select(.action == "expire")'`,
		Args: between(0, 1), PreRunE: repositoryInto(&name),
		ValidArgsFunction: completeRepository(e, &fileOptions{}),
	}, func(ctx context.Context, c *adminClient, _ []string) (shown, error) {
		names, err := c.repositories(ctx, name)
		runs, code := []admin.RunLifecycleResponse{}, 0
		for _, in.RepositoryName = range names {
			var out admin.RunLifecycleResponse
			err := c.Call(ctx, "RunLifecycle", in, &out)
			if name == "" && ecr.CodeOf(err) == ecr.CodeLifecyclePolicyNotFound {
				continue
			}
			if err != nil {
				return shown{}, err
			}
			if runs = append(runs, out); out.Stopped {
				code = exitFailed
			}
		}
		return shown{json: map[string]any{"runs": runs}, text: func(w io.Writer, o render.Options) error { return render.LifecycleRuns(w, runs, o) }, code: code}, err
	})
	f := cmd.Flags()
	f.BoolVar(&in.DryRun, "dry-run", false, "only print what would go (default false)")
	f.BoolVar(&in.Force, "force", false, "expire however many images it takes (default false)")
	return cmd
}

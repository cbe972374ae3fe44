package accesscmd

import (
	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/cli/command"
	"github.com/kontor-registry/kontor/internal/deploy"
	"github.com/kontor-registry/kontor/internal/deploy/run"
	"github.com/kontor-registry/kontor/internal/render"
)

func testCommand(e *command.Env) *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use:   "test [flags]",
		Short: "Run the file's access_tests",
		Long: `Run the file's access_tests against the repositories as the file would create
them, and the users and roles as they are. kontor plan runs them too.

A test that expects access passes if the policies that could be read allow it. A
test that expects a denial passes only if the denial is certain. The principal
must exist if its account could be read.`,
		Example: `  kontor access test -f kontor.yaml`,
		Args:    command.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			r, err := command.OpenFile(cmd.Context(), e, o.TargetsOptions, run.Config{})
			if err != nil {
				return err
			}
			defer command.Closing(&err, r.Close)
			results, err := r.AccessTests(cmd.Context())
			if err != nil {
				return err
			}
			if o.asJSON {
				err = render.JSON(e.Stdout, results)
			} else {
				err = render.AccessTests(e.Stdout, results, e.Options(e.Stdout))
			}
			if err == nil && len(results.Failed()) > 0 {
				return command.Exit(command.ExitFailed)
			}
			return err
		},
	}
	o.TargetsOptions.Flags(e, cmd)
	o.Parallel = deploy.Parallel
	command.JSONFlag(cmd, &o.asJSON)
	return cmd
}

package cli

import (
	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/deploy"
	"github.com/kontor-registry/kontor/internal/deploy/run"
	"github.com/kontor-registry/kontor/internal/render"
)

func accessTestCommand(e *Env) *cobra.Command {
	var o accessOptions
	cmd := &cobra.Command{
		Use:   "test [flags]",
		Short: "Run the file's access_tests",
		Long: `Run the file's access_tests against the repositories as the file would create
them, and the users and roles as they are. kontor plan runs them too.

A test that expects access passes if the policies that could be read allow it. A
test that expects a denial passes only if the denial is certain. The principal
must exist if its account could be read.`,
		Example: `  kontor access test -f kontor.yaml`,
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			r, err := openFile(cmd.Context(), e, o.targetsOptions, run.Config{})
			if err != nil {
				return err
			}
			defer closing(&err, r.Close)
			results, err := r.AccessTests(cmd.Context())
			if err != nil {
				return err
			}
			if o.asJSON {
				err = render.JSON(e.Stdout, results)
			} else {
				err = render.AccessTests(e.Stdout, results, e.options(e.Stdout))
			}
			if err == nil && len(results.Failed()) > 0 {
				return &exitError{exitFailed}
			}
			return err
		},
	}
	o.targetsOptions.flags(e, cmd)
	o.parallel = deploy.Parallel
	jsonFlag(cmd, &o.asJSON)
	return cmd
}

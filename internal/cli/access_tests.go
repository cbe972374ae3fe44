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
		Long: `Run the file's access_tests against the repositories as the file would make them
and the users and roles as they are. Plan runs them, too.

What a test allows must be allowed as far as policies could be read. What it
denies must be denied for certain, and its principal must exist where its account
was read.`,
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

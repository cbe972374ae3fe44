package lifecyclecmd

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/cli/command"
	"github.com/kontor-registry/kontor/internal/render"
	"github.com/kontor-registry/kontor/internal/report/rollout"
)

func testCommand(e *command.Env) *cobra.Command {
	var (
		o      command.FileOptions
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "test [flags]",
		Short: "Run the file's lifecycle_tests",
		Long: `Run the file's lifecycle_tests on the policies that the file sets. A test states
what should happen to an image, which does not have to exist, in one repository or
in every repository. No registry is contacted.

  lifecycle_tests:
    - {image: {tags: [release-1], age_days: 300}, expect: kept}

kontor plan runs them too, and fails if a test fails.`,
		Example: "  kontor lifecycle test -f kontor.yaml",
		Args:    command.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			f, err := command.LoadFile(e, o, e.Stderr)
			if err != nil {
				return err
			}
			results := rollout.NewLifecycleTests(f.RunLifecycleTests(e.Now()))
			if asJSON {
				err = render.JSON(e.Stdout, results)
			} else {
				err = render.LifecycleTests(e.Stdout, results, e.Options(e.Stdout))
			}
			return errors.Join(err, results.Err())
		},
	}
	o.Flags(cmd)
	command.JSONFlag(cmd, &asJSON)
	return cmd
}

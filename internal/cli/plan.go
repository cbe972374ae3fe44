package cli

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/deploy/plan"
	"github.com/kontor-registry/kontor/internal/render"
)

func (e *Env) planCommand() *cobra.Command {
	var (
		o         targetOptions
		asJSON    bool
		exitCode  bool
		documents bool
	)
	cmd := &cobra.Command{
		Use:   "plan [flags]",
		Short: "Show what apply would change",
		Long: `Compare the file with a registry and show what apply would change. Nothing is
changed.

A file with registries: is compared with one of them; a file without is compared
with the local registry of --data, and nothing ever goes to AWS.

The file's lifecycle_tests are run; plan fails when one does not hold.`,
		Example: `  kontor plan -f kontor.yaml
  kontor plan --target prod --exit-code --json > plan.json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			s, err := e.open(cmd.Context(), o)
			if err != nil {
				return err
			}
			defer closing(&err, s.close)
			p, err := s.plan(cmd.Context())
			if err != nil {
				return err
			}
			failed := failedTests(s.file.RunLifecycleTests(e.Now()))
			if asJSON {
				err = render.JSON(e.Stdout, p)
			} else {
				opts := e.options(e.Stdout)
				opts.Documents = documents
				err = render.Plan(e.Stdout, p, opts)
			}
			switch {
			case err != nil:
				return err
			case len(p.Errors()) > 0 || failed != nil:
				if len(p.Errors()) > 0 {
					failed = errors.Join(failed, planRefused(p))
				}
				return failed
			case exitCode && len(p.Pending()) > 0:
				return &exitError{exitPending}
			}
			return nil
		},
	}
	o.flags(e, cmd)
	jsonFlag(cmd, &asJSON)
	cmd.Flags().BoolVar(&exitCode, "exit-code", false, "exit with 3 when there are changes (default false)")
	cmd.Flags().BoolVar(&documents, "documents", false, "show how the policy documents' texts differ (default false)")
	return cmd
}

// planRefused is the error for a plan that may not be carried out. The plan
// has been printed.
func planRefused(p plan.Plan) error {
	errs := p.Errors()
	if len(errs) == 1 {
		return fmt.Errorf("the plan cannot be applied: %s", errs[0].Message)
	}
	return fmt.Errorf("the plan cannot be applied: it has %d errors", len(errs))
}

// closing calls f at the end of a function and keeps its error, unless there
// is one already.
func closing(err *error, f func() error) {
	if cerr := f(); *err == nil {
		*err = cerr
	}
}

package cli

import (
	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/deploy/plan"
)

func destroyCommand(e *Env) *cobra.Command {
	var (
		o   applyOptions
		end endOptions
	)
	cmd := &cobra.Command{
		Use:   "destroy [flags]",
		Short: "Delete the repositories of the file's stack",
		Long: `Show which repositories belong to the file's stack, ask, and delete them, whether
the file still names them or not.

The file must name its stack. Only repositories that carry its tag are deleted.
Nothing is deleted of a registry where one of them is protected, which all are
but those applied with delete_protection: false, or holds images, unless
--delete-images says that these may go. Nothing at all is deleted when an image in
use would go: one that --leases names, or that the registry knows of.`,
		Example: `  kontor destroy --target staging
  kontor destroy --target staging --delete-images --yes`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.check(e); err != nil {
				return err
			}
			return applyPlan(cmd.Context(), e, o, plan.Options{End: plan.Everything, DeleteImages: end.deleteImages})
		},
	}
	o.flags(e, cmd)
	end.imagesFlag(cmd)
	return cmd
}

package cli

import (
	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/cli/command"
	"github.com/kontor-registry/kontor/internal/deploy/plan"
)

func destroyCommand(e *command.Env) *cobra.Command {
	var (
		o   applyOptions
		end endOptions
	)
	cmd := &cobra.Command{
		Use:   "destroy [flags]",
		Short: "Delete the repositories of the file's stack",
		Long: `Show which repositories belong to the file's stack, ask for confirmation, and
delete them, including those that are no longer in the file.

The file must name its stack. Only repositories with the tag of the stack are
deleted. Repositories are protected unless they were applied with
delete_protection: false. If one of them is protected, or holds images and
--delete-images is not given, nothing in its registry is deleted. Nothing at all
is deleted if an image in use would be deleted: one that --leases names or that
has a lease in the registry.

Repository creation templates with the mark of the stack are deleted, too, and so
are the pull-through cache rules that the file names under upstreams: rules have
no owner, so they are deleted no matter who created them or which other files
name them. Repositories and images that came by them stay.`,
		Example: `  kontor destroy --target staging
  kontor destroy --target staging --delete-images --yes`,
		Args: command.NoArgs,
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

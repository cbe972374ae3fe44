package admincmd

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/cli/command"
	"github.com/kontor-registry/kontor/internal/render"
	"github.com/kontor-registry/kontor/internal/wire/admin"
)

func restoreCommand(e *command.Env) *cobra.Command {
	var in admin.ImageRequest
	return command.AdminCall(e, &cobra.Command{
		Use:   "restore REPOSITORY@DIGEST [flags]",
		Short: "Restore a deleted image from the recycle bin",
		Long: `Restore a deleted image to the repository that has the name now. Its tags are
restored too, except those that another image has taken since, and so are the
images that it lists, and the signatures and attestations that were deleted with
it.

For lifecycle rules, the age of the image counts from the restore.`,
		Example: `  kontor admin bin team/app
  kontor admin restore team/app@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef`,
		Args: command.Between(1, 1),
		PreRunE: func(_ *cobra.Command, args []string) (err error) {
			in.RepositoryName, in.ImageDigest, err = splitDigest(args[0])
			return err
		},
	}, func(ctx context.Context, c *command.AdminClient, _ []string) (command.Shown, error) {
		var out admin.RestoreImageResponse
		err := c.Call(ctx, "RestoreImage", in, &out)
		return command.Show(out, render.Restored), err
	})
}

package admincmd

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/cli/command"
	"github.com/kontor-registry/kontor/internal/render"
	"github.com/kontor-registry/kontor/internal/wire/admin"
)

func purgeCommand(e *command.Env) *cobra.Command {
	var (
		in  admin.PurgeImageRequest
		yes bool
	)
	cmd := command.AdminCall(e, &cobra.Command{
		Use:   "purge REPOSITORY@DIGEST --reason TEXT [flags]",
		Short: "Delete an image immediately and permanently",
		Long: `Delete an image from its repository and from the recycle bin, immediately and
permanently, with every layer that no other image uses: for leaked secrets and
requests to erase data. The journal records the deletion and its reason, but not
the manifest.

Layers that other images use are kept; to delete them, purge those images too.`,
		Example: `  kontor admin purge team/app@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef \
    --reason "a key in its second layer"`,
		Args: command.Between(1, 1),
		PreRunE: func(cmd *cobra.Command, args []string) (err error) {
			if in.RepositoryName, in.ImageDigest, err = splitDigest(args[0]); err != nil {
				return err
			}
			if in.Reason == "" {
				return command.Usagef("--reason is required: pass the reason that the journal records")
			}
			return e.MayAsk(yes, wantsJSON(cmd))
		},
	}, func(ctx context.Context, c *command.AdminClient, args []string) (command.Shown, error) {
		if !yes {
			if ok, err := e.Ask(ctx, fmt.Sprintf("Delete %s permanently?", args[0])); err != nil || !ok {
				return command.Shown{}, errors.Join(err, errors.New("nothing was deleted"))
			}
		}
		var out admin.PurgeImageResponse
		err := c.Call(ctx, "PurgeImage", in, &out)
		return command.Show(out, render.Purged), err
	})
	cmd.Flags().StringVar(&in.Reason, "reason", "", "record `TEXT` as the reason (required)")
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "skip the confirmation prompt (default false)")
	return cmd
}

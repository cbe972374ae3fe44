package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/render"
	"github.com/kontor-registry/kontor/internal/wire/admin"
)

func adminPurgeCommand(e *Env) *cobra.Command {
	var (
		in  admin.PurgeImageRequest
		yes bool
	)
	cmd := adminCall(e, &cobra.Command{
		Use:   "purge REPOSITORY@DIGEST --reason TEXT [flags]",
		Short: "Remove an image at once and for good",
		Long: `Remove an image from its repository and from the recycle bin, at once and for
good, with every layer that no other image uses: for secrets that leaked, and
where erasure is asked for. The journal keeps that it happened and the reason,
and no longer the manifest.

Layers that other images use stay; remove those images, too.`,
		Example: `  kontor admin purge team/app@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef \
    --reason "a key in its second layer"`,
		Args: between(1, 1),
		PreRunE: func(cmd *cobra.Command, args []string) (err error) {
			if in.RepositoryName, in.ImageDigest, err = splitDigest(args[0]); err != nil {
				return err
			}
			if in.Reason == "" {
				return usagef("say why with --reason: the journal keeps it")
			}
			return e.mayAsk(yes, wantsJSON(cmd))
		},
	}, func(ctx context.Context, c *adminClient, args []string) (shown, error) {
		if !yes {
			if ok, err := e.ask(ctx, fmt.Sprintf("Remove %s for good?", args[0])); err != nil || !ok {
				return shown{}, errors.Join(err, errors.New("nothing was removed"))
			}
		}
		var out admin.PurgeImageResponse
		err := c.Call(ctx, "PurgeImage", in, &out)
		return show(out, render.Purged), err
	})
	cmd.Flags().StringVar(&in.Reason, "reason", "", "put `TEXT` on record (required)")
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "remove without asking (default false)")
	return cmd
}

package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/render"
	"github.com/kontor-registry/kontor/internal/wire/admin"
)

func adminGCCommand(e *Env) *cobra.Command {
	var now bool
	cmd := adminCall(e, &cobra.Command{
		Use:   "gc --now [flags]",
		Short: "Collect now what nobody needs any more",
		Long: `Remove what has expired in the recycle bin, and layers that no image has referred
to for a day, with their files. The server does this by itself every hour, beside
pushes and pulls; this is for not waiting.

It takes nothing that an image refers to, that the bin can restore, or that a
push under way was told is there. --now has no other meaning than to say so.`,
		Example: `  kontor admin gc --now`,
		Args:    noArgs,
		PreRunE: func(*cobra.Command, []string) error {
			if !now {
				return usagef("say --now: the server collects by itself every hour")
			}
			return nil
		},
	}, func(ctx context.Context, c *adminClient, _ []string) (shown, error) {
		var out admin.CollectGarbageResponse
		err := c.Call(ctx, "CollectGarbage", admin.CollectGarbageRequest{}, &out)
		return show(out, render.Collected), err
	})
	cmd.Flags().BoolVar(&now, "now", false, "do not wait for the hour (required)")
	return cmd
}

package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/render"
	"github.com/kontor-registry/kontor/internal/wire/admin"
)

func adminGCCommand(e *Env) *cobra.Command {
	return adminCall(e, &cobra.Command{
		Use:   "gc [flags]",
		Short: "Collect now what nobody needs any more",
		Long: `Remove what has expired in the recycle bin, and layers that no image has referred
to for a day, with their files. The server does this by itself every hour, beside
pushes and pulls; this is for not waiting.

It takes nothing that an image refers to, that the bin can restore, or that a
push under way was told is there.`,
		Example: `  kontor admin gc`,
		Args:    noArgs,
	}, func(ctx context.Context, c *adminClient, _ []string) (shown, error) {
		var out admin.CollectGarbageResponse
		err := c.Call(ctx, "CollectGarbage", admin.CollectGarbageRequest{}, &out)
		return show(out, render.Collected), err
	})
}

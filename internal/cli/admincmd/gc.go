package admincmd

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/cli/command"
	"github.com/kontor-registry/kontor/internal/render"
	"github.com/kontor-registry/kontor/internal/wire/admin"
)

func gcCommand(e *command.Env) *cobra.Command {
	return command.AdminCall(e, &cobra.Command{
		Use:   "gc [flags]",
		Short: "Collect garbage now",
		Long: `Delete images that have expired in the recycle bin, and layers that no image has
referred to for a day, with their files. The server does this every hour while it
serves pushes and pulls. This command does it now.

Every layer is kept that an image refers to, that an image in the bin needs, or
that a push in progress relies on.`,
		Example: `  kontor admin gc`,
		Args:    command.NoArgs,
	}, func(ctx context.Context, c *command.AdminClient, _ []string) (command.Shown, error) {
		var out admin.CollectGarbageResponse
		err := c.Call(ctx, "CollectGarbage", admin.CollectGarbageRequest{}, &out)
		return command.Show(out, render.Collected), err
	})
}

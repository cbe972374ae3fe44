package leasecmd

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/cli/command"
	"github.com/kontor-registry/kontor/internal/render"
	"github.com/kontor-registry/kontor/internal/wire/admin"
)

func forgetCommand(e *command.Env) *cobra.Command {
	return command.AdminCall(e, &cobra.Command{
		Use:   "forget COLLECTOR [flags]",
		Short: "Remove a collector and its leases",
		Long: `Remove a collector with all its leases, such as a cluster that no longer exists,
or a name given by mistake. Images that only this collector held expire when a
lifecycle rule selects them.`,
		Example: `  kontor lease forget old-cluster`,
		Args:    command.Between(1, 1),
	}, func(ctx context.Context, c *command.AdminClient, args []string) (command.Shown, error) {
		var out admin.ForgetLeasesResponse
		err := c.Call(ctx, "ForgetLeases", admin.ForgetLeasesRequest{Collector: args[0]}, &out)
		return command.Show(out, render.Forgotten), err
	})
}

package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/render"
	"github.com/kontor-registry/kontor/internal/wire/admin"
)

func leaseForgetCommand(e *Env) *cobra.Command {
	return adminCall(e, &cobra.Command{
		Use:   "forget COLLECTOR [flags]",
		Short: "Forget a collector that will not report again, with its leases",
		Long: `Remove a collector with all its leases: a cluster that is gone, or a name that
was a mistake. What only it held goes when a lifecycle rule says so.`,
		Example: `  kontor lease forget old-cluster`,
		Args:    between(1, 1),
	}, func(ctx context.Context, c *adminClient, args []string) (shown, error) {
		var out admin.ForgetLeasesResponse
		err := c.Call(ctx, "ForgetLeases", admin.ForgetLeasesRequest{Collector: args[0]}, &out)
		return show(out, render.Forgotten), err
	})
}

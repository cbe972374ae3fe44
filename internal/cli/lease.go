package cli

import (
	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/render"
	"github.com/kontor-registry/kontor/internal/wire/admin"
)

func leaseCommand(e *Env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "lease COMMAND",
		Short: "Record images in use, so that nothing expires them",
		Long: `Record which images are in use. A leased image does not expire whatever the
lifecycle rules say, nor does its index, what it lists, or what refers to it.

Each collector, such as a cluster, reports all it knows, and reports again
before its time is over. One that falls silent keeps its leases.`,
		Example: `  kubectl get pods,deployments,statefulsets,daemonsets,cronjobs,replicasets -A -o json |
    kontor lease from kubernetes - --collector apps
  kontor lease list`,
		Args: cobra.ArbitraryArgs,
		RunE: runGroup,
	}
	cmd.AddCommand(leaseFromCommand(e), leaseListCommand(e), leaseForgetCommand(e), leaseApplyCommand(e))
	return cmd
}

func leaseListCommand(e *Env) *cobra.Command {
	var (
		o      adminOptions
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "list [REPOSITORY] [flags]",
		Short: "List the images in use, and who says so",
		Long: `List the leases of a repository or of all, and the collectors that reported
them, with those that have fallen silent.`,
		Example: `  kontor lease list
  kontor lease list team/app --json > leases.json`,
		Args: between(0, 1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			name, err := repositoryArgument(args)
			if err != nil {
				return err
			}
			c, err := openAdmin(cmd.Context(), e, o)
			if err != nil {
				return err
			}
			defer closing(&err, c.close)
			all, err := c.Leases(cmd.Context(), name)
			switch {
			case err != nil:
				return err
			case asJSON:
				return render.JSON(e.Stdout, all)
			}
			return render.Leases(e.Stdout, all, e.options(e.Stdout))
		},
	}
	o.flags(e, cmd)
	jsonFlag(cmd, &asJSON)
	cmd.ValidArgsFunction = completeRepository(e, &fileOptions{})
	return cmd
}

func leaseForgetCommand(e *Env) *cobra.Command {
	var (
		o      adminOptions
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "forget COLLECTOR [flags]",
		Short: "Forget a collector that will not report again, with its leases",
		Long: `Remove a collector with all its leases: a cluster that is gone, or a name that
was a mistake. What only it held goes when a lifecycle rule says so.`,
		Example: `  kontor lease forget old-cluster`,
		Args:    between(1, 1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			c, err := openAdmin(cmd.Context(), e, o)
			if err != nil {
				return err
			}
			defer closing(&err, c.close)
			var out admin.ForgetLeasesResponse
			if err := c.Call(cmd.Context(), "ForgetLeases", admin.ForgetLeasesRequest{Collector: args[0]}, &out); err != nil {
				return err
			}
			if asJSON {
				return render.JSON(e.Stdout, out)
			}
			return render.Forgotten(e.Stdout, out, e.options(e.Stdout))
		},
	}
	o.flags(e, cmd)
	jsonFlag(cmd, &asJSON)
	cmd.ValidArgsFunction = cobra.NoFileCompletions
	return cmd
}

package cli

import (
	"github.com/spf13/cobra"
)

func leaseCommand(e *Env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "lease COMMAND",
		Short: "Record images in use, so that they do not expire",
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

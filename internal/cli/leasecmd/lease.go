// Package leasecmd is kontor lease, which records the images in use.
package leasecmd

import (
	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/cli/command"
)

// Command is kontor lease.
func Command(e *command.Env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "lease COMMAND",
		Short: "Record images in use, so that they do not expire",
		Long: `Record which images are in use. Lifecycle rules never expire an image with a
lease, nor the indexes that list it, the images that it lists, or the artifacts
that refer to it.

Each collector, such as a cluster, reports all images that it uses, and reports
again before its time is up. A collector that stops reporting keeps its leases.`,
		Example: `  kubectl get pods,deployments,statefulsets,daemonsets,cronjobs,replicasets -A -o json |
    kontor lease from kubernetes - --collector apps
  kontor lease list`,
		Args: cobra.ArbitraryArgs,
		RunE: command.RunGroup,
	}
	cmd.AddCommand(fromCommand(e), listCommand(e), forgetCommand(e), applyCommand(e))
	return cmd
}

package cli

import (
	"github.com/spf13/cobra"
)

func adminCommand(e *Env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "admin",
		Short: "Administer a registry and its data folder",
		Long: `Administer a registry: the local one in the data folder, which is started for the
command if it is not running, or another one with --endpoint.`,
		Example: `  kontor admin check
  kontor admin check --data ./registry --json`,
		Args: cobra.ArbitraryArgs,
		RunE: runGroup,
	}
	cmd.AddCommand(adminCheckCommand(e))
	cmd.AddCommand(adminJournalCommand(e), adminBinCommand(e), adminRestoreCommand(e), adminPurgeCommand(e), adminUsageCommand(e), adminGCCommand(e),
		adminLifecycleCommand(e), adminClockCommand(e))
	cmd.AddCommand(adminAuditCommand(e))
	cmd.AddCommand(adminUserCommand(e), adminRoleCommand(e))
	return cmd
}

package cli

import (
	"github.com/spf13/cobra"
)

func adminCommand(e *Env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "admin",
		Short: "Administer a registry and its data folder",
		Long: `Commands for those who run a registry: the one of the data folder, which is
started for the command when it is not running, or with --endpoint, any other.`,
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

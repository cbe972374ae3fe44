// Package admincmd is kontor admin, which keeps a registry of Kontor in order.
package admincmd

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/cli/command"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/render"
)

// Command is kontor admin.
func Command(e *command.Env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "admin",
		Short: "Administer a registry and its data folder",
		Long: `Administer a registry: the local one in the data folder, which is started for the
command if it is not running, or another one with --endpoint.`,
		Example: `  kontor admin check
  kontor admin check --data ./registry --json`,
		Args: cobra.ArbitraryArgs,
		RunE: command.RunGroup,
	}
	cmd.AddCommand(checkCommand(e), repairCommand(e))
	cmd.AddCommand(journalCommand(e), binCommand(e), restoreCommand(e), purgeCommand(e), usageCommand(e), gcCommand(e), jobsCommand(e),
		lifecycleCommand(e), clockCommand(e))
	cmd.AddCommand(eventsCommand(e), activityCommand(e), auditCommand(e), replicationCommand(e), storageCommand(e), migrateCommand(e), backupCommand(e), schemaCommand(e))
	cmd.AddCommand(scannerCommand(e), userCommand(e), roleCommand(e), masterKeyCommand(e), signingProfileCommand(e))
	return cmd
}

// said is shown for a command that has nothing to show but that it is done.
func said(done any, format string, args ...any) command.Shown {
	return command.Shown{JSON: done, Text: func(w io.Writer, _ render.Options) error {
		_, err := fmt.Fprintf(w, format+"\n", args...)
		return err
	}}
}

// wantsJSON reports whether --json was given.
func wantsJSON(cmd *cobra.Command) bool {
	on, err := cmd.Flags().GetBool("json")
	return err == nil && on
}

// repositories is the one repository, or when it is "" all.
func repositories(ctx context.Context, c *command.AdminClient, one string) ([]string, error) {
	if one != "" {
		return []string{one}, nil
	}
	return c.Repositories(ctx)
}

// splitDigest takes REPOSITORY@DIGEST apart.
func splitDigest(ref string) (repository, digest string, err error) {
	repository, digest, ok := strings.Cut(ref, "@")
	if _, err := ecr.ParseRepositoryName(repository); !ok || err != nil {
		return "", "", command.Usagef("%q: want REPOSITORY@DIGEST", ref)
	}
	if _, err := ecr.ParseDigest(digest); err != nil {
		return "", "", command.Usagef("%q: want a whole digest, sha256: and 64 digits", digest)
	}
	return repository, digest, nil
}

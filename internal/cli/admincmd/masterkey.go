package admincmd

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/access/identity"
	"github.com/kontor-registry/kontor/internal/cli/command"
)

func masterKeyCommand(e *command.Env) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "master-key",
		Short:   "Write a master key for kontor serve",
		Example: "  kontor admin master-key new master.key",
		Args:    cobra.ArbitraryArgs,
		RunE:    command.RunGroup,
	}
	cmd.AddCommand(&cobra.Command{
		Use:   "new FILE",
		Short: "Write a new random master key",
		Long: `Write a new master key: 32 random bytes, readable by the file's owner only. It
encrypts the secrets in the database of kontor serve (master_key_file). All replicas
of a registry use the same one, and without it the secrets are lost: keep a copy.
A file that exists is not replaced.`,
		Example: "  kontor admin master-key new master.key",
		Args:    command.Between(1, 1),
		RunE: func(_ *cobra.Command, args []string) error {
			_, err := identity.CreateMasterKey(args[0])
			if errors.Is(err, fs.ErrExist) {
				return fmt.Errorf("%s exists and is not replaced: secrets may be encrypted with it", args[0])
			}
			if err == nil {
				_, err = fmt.Fprintf(e.Stdout, "%s is written. Keep a copy: without it, the secrets in the database cannot be read.\n", args[0])
			}
			return err
		},
	})
	return cmd
}

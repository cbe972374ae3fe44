package leasecmd

import (
	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/cli/command"
	"github.com/kontor-registry/kontor/internal/leases"
	"github.com/kontor-registry/kontor/internal/report"
)

func fromFileCommand(e *command.Env) *cobra.Command {
	var o reportOptions
	cmd := &cobra.Command{
		Use:   "file FILE|- [flags]",
		Short: "Record the images in a list as in use",
		Long: `Record the images in a list: one reference per line, HOST/REPOSITORY:TAG or
HOST/REPOSITORY@DIGEST. The rest of the line says who uses the image. Empty lines
and comments that start with # are ignored. FILE - is stdin.`,
		Example: `  kontor lease from file images.txt --collector hosts --ttl 7d
  docker ps --format '{{.Image}}' | kontor lease from file - --collector laptop`,
		Args: command.Between(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ttl, err := o.check()
			if err != nil {
				return err
			}
			text, err := command.ReadInput(e, args[0])
			if err != nil {
				return err
			}
			uses, err := leases.List(command.InputName(args[0]), text)
			if err != nil {
				return err
			}
			return record(cmd.Context(), e, o, ttl, uses, report.CollectedLeases{})
		},
	}
	o.flags(e, cmd)
	return cmd
}

package cli

import (
	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/leases"
	"github.com/kontor-registry/kontor/internal/report"
)

func leaseFromFileCommand(e *Env) *cobra.Command {
	var o leaseOptions
	cmd := &cobra.Command{
		Use:   "file FILE|- [flags]",
		Short: "Record what a plain list says is in use",
		Long: `Record the images of a list: one reference a line, HOST/REPOSITORY:TAG or
HOST/REPOSITORY@DIGEST; what follows it on the line says who uses it. Empty lines
and what follows a # are left out. FILE - is stdin.`,
		Example: `  kontor lease from file images.txt --collector hosts --ttl 7d
  docker ps --format '{{.Image}}' | kontor lease from file - --collector laptop`,
		Args: between(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ttl, err := o.check()
			if err != nil {
				return err
			}
			text, err := readInput(e, args[0])
			if err != nil {
				return err
			}
			uses, err := leases.List(inputName(args[0]), text)
			if err != nil {
				return err
			}
			return leaseReport(cmd.Context(), e, o, ttl, uses, report.CollectedLeases{})
		},
	}
	o.flags(e, cmd)
	return cmd
}

package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/render"
)

func validateCommand(e *Env) *cobra.Command {
	var (
		o      fileOptions
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "validate [flags]",
		Short: "Check a file without contacting a registry",
		Long: `Check a file and the policies that it produces, without contacting a registry.
Each error is one line, FILE:LINE:COLUMN: message.`,
		Example: "  kontor validate -f kontor.yaml",
		Args:    noArgs,
		RunE: func(*cobra.Command, []string) error {
			f, err := loadFile(e, o, e.Stderr)
			if err != nil {
				return err
			}
			d := f.Desired(ecr.LocalRegistry())
			if asJSON {
				return render.JSON(e.Stdout, struct {
					Valid        bool   `json:"valid"`
					Stack        string `json:"stack"`
					Repositories int    `json:"repositories"`
				}{true, d.Stack, len(d.Repositories)})
			}
			_, err = fmt.Fprintf(e.Stdout, "The file is valid: stack %s, %s.\n", d.Stack, plural(len(d.Repositories), "repository", "repositories"))
			return err
		},
	}
	o.flags(cmd)
	jsonFlag(cmd, &asJSON)
	return cmd
}

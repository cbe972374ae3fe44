package cli

import (
	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/render"
)

func (e *Env) renderCommand() *cobra.Command {
	var (
		o      fileOptions
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "render [flags]",
		Short: "Show the ECR settings that a file comes to",
		Long: `Show, for each repository of the file, the tag mutability, resource tags,
repository policy and lifecycle policy that apply would set. No registry is
reached.`,
		Example: `  kontor render -f kontor.yaml
  kontor render --json | jq '.repositories[].lifecycle'`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			f, err := e.loadFile(o, e.Stderr)
			if err != nil {
				return err
			}
			d := f.Desired(anyRegistry)
			if asJSON {
				return render.SettingsJSON(e.Stdout, d)
			}
			return render.Settings(e.Stdout, d, e.options(e.Stdout))
		},
	}
	o.flags(cmd)
	jsonFlag(cmd, &asJSON)
	return cmd
}

package cli

import (
	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/cli/command"
	"github.com/kontor-registry/kontor/internal/deploy/spec/fields"
)

func schemaCommand(e *command.Env) *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of the file",
		Long: `Print the JSON Schema (2020-12) of the file, for editors and other tools. It knows
fields, types and forms; kontor validate checks more.`,
		Example: `  kontor schema > kontor.schema.json`,
		Args:    command.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := e.Stdout.Write(fields.Schema())
			return err
		},
	}
}

package admincmd

import (
	"context"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/cli/command"
	"github.com/kontor-registry/kontor/internal/host/serve"
	"github.com/kontor-registry/kontor/internal/render"
	"github.com/kontor-registry/kontor/internal/store/meta/sqlstore"
)

func schemaCommand(e *command.Env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "schema COMMAND",
		Short: "Show and update the schema of the database",
		Long: `Show which schema the database has, or update it before servers of a new version are
started. A server updates the schema itself when it starts. Servers of the version before
go on meanwhile, and can be started again, unless status says otherwise.`,
		Example: `  kontor admin schema status --config serve.yaml
  kontor admin schema up --config serve.yaml`,
		Args: cobra.ArbitraryArgs,
		RunE: command.RunGroup,
	}
	cmd.AddCommand(schemaSub(e, false), schemaSub(e, true))
	return cmd
}

func schemaSub(e *command.Env, up bool) *cobra.Command {
	var (
		data, config string
		asJSON       bool
	)
	cmd := &cobra.Command{
		Use:   "status [flags]",
		Short: "Show the schema of the database",
		Long: `Show which version of the schema the database has, which one this program knows, and
which one a program has to know at least. The command exits with 1 if this program cannot
use the database. It changes nothing.`,
		Example: "  kontor admin schema status --config serve.yaml --json",
		Args:    command.NoArgs,
	}
	if up {
		cmd.Use, cmd.Short = "up [flags]", "Update the schema of the database"
		cmd.Long = `Update the schema of the database to the version that this program knows, while servers
run. What has to wait for long transactions gives way to others, and is tried again.`
		cmd.Example = "  kontor admin schema up --config serve.yaml"
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		s, err := runSchema(cmd.Context(), e, data, config, up)
		if err != nil {
			return err
		}
		if asJSON {
			err = render.JSON(e.Stdout, s)
		} else {
			err = render.Schema(e.Stdout, s, e.Options(e.Stdout))
		}
		if err == nil && !s.Usable() {
			err = command.Exit(command.ExitFailed)
		}
		return err
	}
	command.DataFlag(e, cmd, &data)
	cmd.Flags().StringVar(&config, "config", "", "the database is that of the kontor serve whose configuration is in `FILE` (default that in --data)")
	command.Must(cmd.MarkFlagFilename("config", "yaml", "yml", "json"))
	command.JSONFlag(cmd, &asJSON)
	return cmd
}

func runSchema(ctx context.Context, e *command.Env, data, config string, up bool) (s sqlstore.Schema, err error) {
	if config != "" && data != "" {
		return s, command.Usagef("--config and --data cannot be combined")
	}
	if config != "" {
		c, err := e.ServeConfig(config)
		if err != nil {
			return s, err
		}
		return c.Schema(ctx, up)
	}
	if data, err = e.DataDir(data); err != nil {
		return s, err
	}
	return serve.SchemaOf(ctx, filepath.Join(data, "kontor.db"), up)
}

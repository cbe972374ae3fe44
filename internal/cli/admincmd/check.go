package admincmd

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/cli/command"
	"github.com/kontor-registry/kontor/internal/datadir"
	"github.com/kontor-registry/kontor/internal/render"
	"github.com/kontor-registry/kontor/internal/store/check"
)

func checkCommand(e *command.Env) *cobra.Command {
	var (
		data, config string
		asJSON       bool
	)
	cmd := &cobra.Command{
		Use:   "check [flags]",
		Short: "Check all stored data and report damage",
		Long: `Read every blob and manifest in the data folder, compare them with their digests
and sizes, and check that everything that images and tags refer to exists. Report
each object that is damaged or missing. The command exits with 1 if there are any.

With --config, the data is that of a kontor serve with this configuration.

The command changes nothing. A server may use the data at the same time.`,
		Example: `  kontor admin check
  kontor admin check --config serve.yaml
  kontor admin check --data ./registry --json | jq -r '.damaged[].digest'`,
		Args: command.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runCheck(e, cmd, data, config, asJSON) },
	}
	command.DataFlag(e, cmd, &data)
	cmd.Flags().StringVar(&config, "config", "", "read the data of the kontor serve whose configuration is in `FILE` (default that in --data)")
	command.Must(cmd.MarkFlagFilename("config", "yaml", "yml", "json"))
	command.JSONFlag(cmd, &asJSON)
	return cmd
}

func runCheck(e *command.Env, cmd *cobra.Command, data, config string, asJSON bool) (err error) {
	read := readFolder
	switch {
	case config != "" && data != "":
		return command.Usagef("--config and --data cannot be combined")
	case config != "":
		data, read = config, readConfig
	}
	report, err := read(cmd.Context(), e, data)
	if err != nil {
		return err
	}
	if asJSON {
		err = render.JSON(e.Stdout, report)
	} else {
		err = render.Check(e.Stdout, report, e.Options(e.Stdout))
	}
	if err == nil && len(report.Damaged) > 0 {
		err = command.Exit(command.ExitFailed)
	}
	return err
}

// readFolder checks a data folder.
func readFolder(ctx context.Context, e *command.Env, data string) (r check.Report, err error) {
	path, err := e.DataDir(data)
	if err != nil {
		return r, err
	}
	dir, err := datadir.OpenReader(ctx, path)
	if err != nil {
		return r, err
	}
	defer command.Closing(&err, dir.Close)
	r, err = check.Run(ctx, check.Config{Meta: dir.Meta, Blobs: dir.Blobs})
	return r, dir.Explain(err)
}

// readConfig checks the data of a configuration.
func readConfig(ctx context.Context, e *command.Env, name string) (r check.Report, err error) {
	c, err := e.ServeConfig(name)
	if err != nil {
		return r, err
	}
	data, err := c.OpenReader(ctx)
	if err != nil {
		return r, err
	}
	defer command.Closing(&err, data.Close)
	return check.Run(ctx, check.Config{Meta: data.Meta, Blobs: data.Blobs})
}

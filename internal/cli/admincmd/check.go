package admincmd

import (
	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/cli/command"
	"github.com/kontor-registry/kontor/internal/datadir"
	"github.com/kontor-registry/kontor/internal/render"
	"github.com/kontor-registry/kontor/internal/store/check"
)

func checkCommand(e *command.Env) *cobra.Command {
	var (
		data   string
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "check [flags]",
		Short: "Check all stored data and report damage",
		Long: `Read every blob and manifest in the data folder, compare them with their digests
and sizes, and check that everything that images and tags refer to exists. Report
each object that is damaged or missing. The command exits with 1 if there are any.

The command changes nothing. A server may use the folder at the same time.`,
		Example: `  kontor admin check
  kontor admin check --data ./registry --json | jq -r '.damaged[].digest'`,
		Args: command.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runCheck(e, cmd, data, asJSON) },
	}
	command.DataFlag(e, cmd, &data)
	command.JSONFlag(cmd, &asJSON)
	return cmd
}

func runCheck(e *command.Env, cmd *cobra.Command, data string, asJSON bool) (err error) {
	path, err := e.DataDir(data)
	if err != nil {
		return err
	}
	dir, err := datadir.OpenReader(cmd.Context(), path)
	if err != nil {
		return err
	}
	defer command.Closing(&err, dir.Close)
	report, err := check.Run(cmd.Context(), check.Config{Meta: dir.Meta, Blobs: dir.Blobs})
	if err != nil {
		return dir.Explain(err)
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

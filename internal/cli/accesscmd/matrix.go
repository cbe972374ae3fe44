package accesscmd

import (
	"io"

	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/cli/command"
	"github.com/kontor-registry/kontor/internal/render"
	"github.com/kontor-registry/kontor/internal/render/page"
	"github.com/kontor-registry/kontor/internal/report"
)

func matrixCommand(e *command.Env) *cobra.Command {
	var (
		o    options
		file string
	)
	cmd := &cobra.Command{
		Use:   "matrix [flags]",
		Short: "Show who may pull, push, delete and administer what",
		Long: `Show for each principal and repository whether the principal may pull, push,
delete images and administer. --html writes the table as an HTML page without
scripts.`,
		Example: `  kontor access matrix
  kontor access matrix --planned -f kontor.yaml --html access.html`,
		Args: command.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ev, err := evidence(cmd.Context(), e, o, "")
			if err != nil {
				return err
			}
			m := report.NewMatrix(ev.Prover.Matrix(), ev.Notes)
			switch {
			case file != "":
				return command.WritePicture(file, func(w io.Writer) error { return page.MatrixHTML(w, m) })
			case o.asJSON:
				return render.JSON(e.Stdout, m)
			}
			return render.Matrix(e.Stdout, m, e.Options(e.Stdout))
		},
	}
	o.flags(e, cmd)
	cmd.Flags().StringVar(&file, "html", "", "write an HTML page to `FILE` instead (default none)")
	command.Must(cmd.MarkFlagFilename("html", "html"))
	return cmd
}

package cli

import (
	"io"

	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/render"
)

func accessMatrixCommand(e *Env) *cobra.Command {
	var (
		o    accessOptions
		page string
	)
	cmd := &cobra.Command{
		Use:   "matrix [flags]",
		Short: "Show who may pull, push, delete and administer what",
		Long: `Show for every principal and repository who may pull, push, delete images, and
administer. With --html it is a page to look at, without scripts.`,
		Example: `  kontor access matrix
  kontor access matrix --planned -f kontor.yaml --html access.html`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ev, err := evidence(cmd.Context(), e, o, "")
			if err != nil {
				return err
			}
			m := ev.Prover.Matrix()
			switch {
			case page != "":
				return writePicture(page, func(w io.Writer) error { return render.MatrixHTML(w, m, ev.Notes) })
			case o.asJSON:
				return render.MatrixJSON(e.Stdout, m, ev.Notes)
			}
			return render.Matrix(e.Stdout, m, ev.Notes, e.options(e.Stdout))
		},
	}
	o.flags(e, cmd)
	cmd.Flags().StringVar(&page, "html", "", "write a page to `FILE` instead (default none)")
	must(cmd.MarkFlagFilename("html", "html"))
	return cmd
}

package lifecyclecmd

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/cli/command"
	"github.com/kontor-registry/kontor/internal/render"
	"github.com/kontor-registry/kontor/internal/report"
)

func previewCommand(e *command.Env) *cobra.Command {
	var (
		o      options
		asJSON bool
		list   bool
	)
	cmd := &cobra.Command{
		Use:   "preview [REPOSITORY] [flags]",
		Short: "Show which images a policy would expire now",
		Long: `Show which images the next run of a lifecycle policy would expire or archive, by
rule: how many, their size, the oldest and the newest. --list lists every image
and what happens to it; --json prints everything as data.

The parts of a multi-platform image, its signatures and other artifacts are kept
as long as the image. The manifests of indexes show which images belong together.
With files and without --manifests this is not known, and the preview says so.
Without --filter imageStatus=ANY, aws ecr describe-images leaves out archived
images.`,
		Example: `  kontor lifecycle preview team/app
  aws ecr describe-images --repository-name team/app --filter imageStatus=ANY |
    kontor lifecycle preview --policy policy.json --images - --list`,
		Args: command.Between(0, 1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			l, err := lookAt(cmd.Context(), e, o, argument(args), anyManifests(0))
			if err != nil {
				return err
			}
			defer command.Closing(&err, l.close)
			p := report.NewPreview(l.Lifecycle)
			opts := e.Options(e.Stdout)
			opts.List = list
			if asJSON {
				err = render.JSON(e.Stdout, p)
			} else {
				err = render.Preview(e.Stdout, p, opts)
			}
			return errors.Join(err, l.leasedGo(0))
		},
	}
	o.flags(e, cmd)
	listFlag(cmd, &list)
	command.JSONFlag(cmd, &asJSON)
	return cmd
}

func listFlag(cmd *cobra.Command, list *bool) {
	cmd.Flags().BoolVar(list, "list", false, "list the images, one per line (default false)")
}

// argument is the only argument, "" when there is none.
func argument(args []string) string {
	if len(args) == 0 {
		return ""
	}
	return args[0]
}

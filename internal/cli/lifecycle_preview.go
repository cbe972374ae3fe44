package cli

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/render"
	"github.com/kontor-registry/kontor/internal/report"
)

func (e *Env) previewCommand() *cobra.Command {
	var (
		o      lifecycleOptions
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "preview [REPOSITORY] [flags]",
		Short: "Show which images a policy would remove now",
		Long: `Show which images the next run of a lifecycle policy would remove or archive, by
rule: how many, their size, the oldest and the newest. With --json, what happens
to every image.

Parts of an image for several platforms, and signatures and other artifacts of
an image, stay while it stays. Which belong together is in the manifests; from
files without --manifests it is not known, and said to be so.`,
		Example: `  kontor lifecycle preview team/app
  aws ecr describe-images --repository-name team/app > images.json
  kontor lifecycle preview --policy policy.json --images images.json --json`,
		Args: between(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			l, err := e.lookAt(cmd.Context(), o, argument(args))
			if err != nil {
				return err
			}
			p := report.NewPreview(l.Lifecycle)
			if asJSON {
				err = render.JSON(e.Stdout, p)
			} else {
				err = render.Preview(e.Stdout, p, e.options(e.Stdout))
			}
			return errors.Join(err, l.leasedGo(0))
		},
	}
	o.flags(e, cmd)
	jsonFlag(cmd, &asJSON)
	return cmd
}

// argument is the only argument, "" when there is none.
func argument(args []string) string {
	if len(args) == 0 {
		return ""
	}
	return args[0]
}

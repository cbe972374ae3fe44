package lifecyclecmd

import (
	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/cli/command"
	"github.com/kontor-registry/kontor/internal/deploy/images"
	"github.com/kontor-registry/kontor/internal/render"
	"github.com/kontor-registry/kontor/internal/report"
)

func diffCommand(e *command.Env) *cobra.Command {
	var (
		o      options
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "diff OLD NEW --images FILE [flags]",
		Short: "Show which images another policy would expire or keep",
		Long: `Compare what two lifecycle policies do to the same images: those that only the
new one would expire, those that only the old one would, and those with other
changes. OLD and NEW are files with a policy as JSON; one of them, or --images,
may be - for stdin.`,
		Example: `  kontor lifecycle diff old.json new.json --images images.json
  kontor lifecycle diff snapshot/policy.json new.json --images snapshot`,
		Args: command.Between(2, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if o.images == "" {
				return command.Usagef("--images is required: pass the output of aws ecr describe-images, or the folder of a snapshot")
			}
			o.policy = args[0]
			if args[0] == "-" && args[1] == "-" || o.images == "-" && args[1] == "-" {
				return command.Usagef("only one of OLD, NEW and --images can be stdin")
			}
			l, err := lookAt(cmd.Context(), e, o, "", anyManifests(0))
			if err != nil {
				return err
			}
			text, err := images.ReadFile(args[1], e.Stdin)
			if err != nil {
				return err
			}
			name := images.Name(args[1])
			after, err := parsePolicy(name, string(text), l.AWS)
			if err != nil {
				return err
			}
			d := report.NewLifecycleDiff(l.Lifecycle, after, name)
			if asJSON {
				return render.JSON(e.Stdout, d)
			}
			return render.LifecycleDiff(e.Stdout, d, e.Options(e.Stdout))
		},
	}
	o.offlineFlags(cmd)
	command.JSONFlag(cmd, &asJSON)
	return cmd
}

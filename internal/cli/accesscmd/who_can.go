package accesscmd

import (
	"slices"

	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/access/proof"
	"github.com/kontor-registry/kontor/internal/cli/command"
	"github.com/kontor-registry/kontor/internal/deploy/run"
	"github.com/kontor-registry/kontor/internal/render"
	"github.com/kontor-registry/kontor/internal/report"
)

func whoCanCommand(e *command.Env) *cobra.Command {
	var o options
	var image imageFlags
	cmd := &cobra.Command{
		Use:   "who-can RIGHT REPOSITORY [flags]",
		Short: "List who has a permission in a repository, and which statements grant it",
		Long: `List each user, role and account that has RIGHT in REPOSITORY, and the statements
that grant it. The list shows whether access is unconditional, depends on
conditions, or is uncertain because a policy could not be read. Machine tokens of a
user are listed with what their scope leaves of it.

RIGHT is pull, push, delete, admin or an action such as ecr:PutImage.`,
		Example: `  kontor access who-can pull team/api
  kontor access who-can admin team/api --json | jq -r '.answers[].principal'`,
		Args: command.Between(2, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			actions, err := proof.ParseRight(args[0])
			if err != nil {
				return command.Usagef("%v", err)
			}
			var r report.WhoCan
			_, err = evidenceWith(cmd.Context(), e, o, func(in *run.Run, ev run.Evidence) error {
				repo, err := one(ev, args[1])
				if err != nil {
					return err
				}
				ev.Prover = image.of(ev.Prover)
				list, err := ev.Prover.WhoCan(actions, repo.In, repo.Name)
				if err != nil {
					return err
				}
				r = report.NewWhoCan(args[0], list, ev.Notes)
				for i := range r.Answers {
					note, err := tokens(cmd.Context(), in, ev, &r.Answers[i], actions, repo)
					if err != nil {
						return err
					}
					if note != "" && !slices.Contains(r.Notes, note) {
						r.Notes = append(r.Notes, note)
					}
				}
				return nil
			}, args[1])
			if err != nil {
				return err
			}
			if o.asJSON {
				return render.JSON(e.Stdout, r)
			}
			return render.WhoCan(e.Stdout, r, e.Options(e.Stdout))
		},
	}
	o.flags(e, cmd)
	image.flags(e, &o, cmd)
	cmd.ValidArgsFunction = complete(e, &o, 0)
	return cmd
}

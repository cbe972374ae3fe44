package accesscmd

import (
	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/access/proof"
	"github.com/kontor-registry/kontor/internal/cli/command"
	"github.com/kontor-registry/kontor/internal/render"
	"github.com/kontor-registry/kontor/internal/report"
)

func checkCommand(e *command.Env) *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use:   "check PRINCIPAL RIGHT REPOSITORY [flags]",
		Short: "Check whether a principal has a permission in a repository, and why",
		Long: `Check for each action of RIGHT whether PRINCIPAL may do it in REPOSITORY, which
statements decide it, and the smallest change in each account that would allow it.

PRINCIPAL is the ARN of a user, a role or a role session, an account id, or the
name of a service. A role means all of its sessions, and an account id means all
users and roles of the account. RIGHT is pull, push, delete, admin or an action
such as ecr:PutImage. The exit code is 0 only if all actions are allowed.`,
		Example: `  kontor access check arn:aws:iam::222222222222:role/ci pull team/api
  kontor access check 222222222222 ecr:PutImage team/api --planned -f kontor.yaml`,
		Args: command.Between(3, 3),
		RunE: func(cmd *cobra.Command, args []string) error {
			who, right := args[0], args[1]
			actions, err := proof.ParseRight(right)
			if err != nil {
				return command.Usagef("%v", err)
			}
			if err := proof.CheckPrincipal(who); err != nil {
				return command.Usagef("%v", err)
			}
			ev, err := evidence(cmd.Context(), e, o, args[2], who)
			if err != nil {
				return err
			}
			repo, err := one(ev, args[2])
			if err != nil {
				return err
			}
			answer, err := ev.Prover.Check(who, actions, repo.In, repo.Name)
			if err != nil {
				return err
			}
			r := report.NewAccess(right, answer, grantField(who, right), ev.Notes)
			if o.asJSON {
				err = render.JSON(e.Stdout, r)
			} else {
				err = render.Access(e.Stdout, r, e.Options(e.Stdout))
			}
			if err == nil && answer.Outcome != proof.Allowed {
				return command.Exit(command.ExitFailed)
			}
			return err
		},
	}
	o.flags(e, cmd)
	cmd.ValidArgsFunction = complete(e, &o, 1)
	return cmd
}

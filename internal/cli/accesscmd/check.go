package accesscmd

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/access/proof"
	"github.com/kontor-registry/kontor/internal/cli/command"
	"github.com/kontor-registry/kontor/internal/deploy/run"
	"github.com/kontor-registry/kontor/internal/render"
	"github.com/kontor-registry/kontor/internal/report"
)

func checkCommand(e *command.Env) *cobra.Command {
	var o options
	var token string
	var image imageFlags
	cmd := &cobra.Command{
		Use:   "check PRINCIPAL RIGHT REPOSITORY [flags]",
		Short: "Check whether a principal has a permission in a repository, and why",
		Long: `Check for each action of RIGHT whether PRINCIPAL may do it in REPOSITORY, which
statements decide it, and the smallest change in each account that would allow it.

PRINCIPAL is the ARN of a user, a role or a role session, an account id, or the
name of a service. A role means all of its sessions, and an account id means all
users and roles of the account. RIGHT is pull, push, delete, admin or an action
such as ecr:PutImage. The exit code is 0 only if all actions are allowed.

Machine tokens of a user are listed with what their scope leaves of the right. With
--token, the answer is about the holder of that token of PRINCIPAL.`,
		Example: `  kontor access check arn:aws:iam::222222222222:role/ci pull team/api
  kontor access check arn:aws:iam::000000000000:user/pusher push team/api --token flux
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
			var r report.Access
			_, err = evidenceWith(cmd.Context(), e, o, func(in *run.Run, ev run.Evidence) error {
				repo, err := one(ev, args[2])
				if err != nil {
					return err
				}
				ev.Prover = image.of(ev.Prover)
				if token != "" {
					r, err = checkToken(cmd.Context(), in, ev, who, token, right, repo)
					return err
				}
				answer, err := ev.Prover.Check(who, actions, repo.In, repo.Name)
				if err != nil {
					return err
				}
				r = report.NewAccess(right, answer, grantField(who, right), ev.Notes)
				note, err := tokens(cmd.Context(), in, ev, &r, actions, repo)
				if note != "" {
					r.Notes = append(r.Notes, note)
				}
				return err
			}, args[2], who)
			if err != nil {
				return err
			}
			if o.asJSON {
				err = render.JSON(e.Stdout, r)
			} else {
				err = render.Access(e.Stdout, r, e.Options(e.Stdout))
			}
			if err == nil && r.Outcome != proof.Allowed {
				return command.Exit(command.ExitFailed)
			}
			return err
		},
	}
	o.flags(e, cmd)
	image.flags(e, &o, cmd)
	cmd.Flags().StringVar(&token, "token", "", "check the machine token `NAME` of PRINCIPAL (default none)")
	cmd.ValidArgsFunction = complete(e, &o, 1)
	return cmd
}

// checkToken is the answer about the holder of a token of the user who, by its name or id.
func checkToken(ctx context.Context, in *run.Run, ev run.Evidence, who, name, right string, repo proof.Repository) (report.Access, error) {
	actions, err := proof.ParseRight(right)
	if err != nil {
		return report.Access{}, err
	}
	list, unseen, err := in.Tokens(ctx, repo.In, who)
	if err != nil {
		return report.Access{}, err
	}
	if unseen != "" {
		return report.Access{}, errors.New(unseen)
	}
	i := slices.IndexFunc(list, func(t proof.Token) bool { return t.Name == name || t.ID == name })
	if i < 0 {
		return report.Access{}, fmt.Errorf("%s has no machine token %s in registry %s: list them with kontor access token list --user NAME", who, name, repo.In)
	}
	answer, err := ev.Prover.CheckToken(who, list[i], actions, repo.In, repo.Name)
	if err != nil {
		return report.Access{}, err
	}
	r := report.NewAccess(right, answer, grantField(who, right), ev.Notes)
	t := report.NewAccessToken(list[i], answer)
	r.Token = &t
	return r, nil
}

package cli

import (
	"io"

	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/access/proof"
	"github.com/kontor-registry/kontor/internal/render"
	"github.com/kontor-registry/kontor/internal/render/page"
	"github.com/kontor-registry/kontor/internal/report"
)

func (e *Env) accessCheckCommand() *cobra.Command {
	var o accessOptions
	cmd := &cobra.Command{
		Use:   "check PRINCIPAL RIGHT REPOSITORY [flags]",
		Short: "Check whether a principal may do something in a repository, and why",
		Long: `Check for each action of RIGHT whether PRINCIPAL may do it in REPOSITORY, which
statements decide it, and the smallest change in each account that would allow it.

PRINCIPAL is the ARN of a user, a role or a role session, an account id, or the
name of a service. RIGHT is pull, push, delete, admin or an action such as
ecr:PutImage. The exit code is 0 only when all actions are allowed.`,
		Example: `  kontor access check arn:aws:iam::222222222222:role/ci pull team/api
  kontor access check 222222222222 ecr:PutImage team/api --planned -f kontor.yaml`,
		Args: between(3, 3),
		RunE: func(cmd *cobra.Command, args []string) error {
			who, right := args[0], args[1]
			actions, err := proof.ParseRight(right)
			if err != nil {
				return usagef("%v", err)
			}
			if err := proof.CheckPrincipal(who); err != nil {
				return usagef("%v", err)
			}
			ev, err := e.accessEvidence(cmd.Context(), o, args[2], who)
			if err != nil {
				return err
			}
			repo, err := ev.one(args[2])
			if err != nil {
				return err
			}
			answer, err := ev.prover.Check(who, actions, repo.In, repo.Name)
			if err != nil {
				return err
			}
			r := report.NewAccess(right, answer, grantField(who, right), ev.notes)
			if o.asJSON {
				err = render.JSON(e.Stdout, r)
			} else {
				err = render.Access(e.Stdout, r, e.options(e.Stdout))
			}
			if err == nil && answer.Outcome != proof.Allowed {
				return &exitError{exitFailed}
			}
			return err
		},
	}
	o.flags(e, cmd)
	cmd.ValidArgsFunction = e.completeAccess(&o, 1)
	return cmd
}

func (e *Env) accessWhoCanCommand() *cobra.Command {
	var o accessOptions
	cmd := &cobra.Command{
		Use:   "who-can RIGHT REPOSITORY [flags]",
		Short: "List who may do something in a repository, and by which statements",
		Long: `List every user, role and account that may do RIGHT in REPOSITORY, always, under
conditions, or if its own account allows it, with the statements that decide it.

RIGHT is pull, push, delete, admin or an action such as ecr:PutImage.`,
		Example: `  kontor access who-can pull team/api
  kontor access who-can admin team/api --json | jq -r '.answers[].principal'`,
		Args: between(2, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			actions, err := proof.ParseRight(args[0])
			if err != nil {
				return usagef("%v", err)
			}
			ev, err := e.accessEvidence(cmd.Context(), o, args[1])
			if err != nil {
				return err
			}
			repo, err := ev.one(args[1])
			if err != nil {
				return err
			}
			list, err := ev.prover.WhoCan(actions, repo.In, repo.Name)
			if err != nil {
				return err
			}
			r := report.NewWhoCan(args[0], list, ev.notes)
			if o.asJSON {
				return render.JSON(e.Stdout, r)
			}
			return render.WhoCan(e.Stdout, r, e.options(e.Stdout))
		},
	}
	o.flags(e, cmd)
	cmd.ValidArgsFunction = e.completeAccess(&o, 0)
	return cmd
}

func (e *Env) accessMatrixCommand() *cobra.Command {
	var (
		o    accessOptions
		file string
	)
	cmd := &cobra.Command{
		Use:   "matrix [flags]",
		Short: "Show who may pull, push, delete and administer what",
		Long: `Show for every principal and repository who may pull, push, delete images, and
administer. --html writes a page without scripts.`,
		Example: `  kontor access matrix
  kontor access matrix --planned -f kontor.yaml --html access.html`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ev, err := e.accessEvidence(cmd.Context(), o, "")
			if err != nil {
				return err
			}
			m := report.NewMatrix(ev.prover.Matrix(), ev.notes)
			switch {
			case file != "":
				return writePicture(file, func(w io.Writer) error { return page.MatrixHTML(w, m) })
			case o.asJSON:
				return render.JSON(e.Stdout, m)
			}
			return render.Matrix(e.Stdout, m, e.options(e.Stdout))
		},
	}
	o.flags(e, cmd)
	cmd.Flags().StringVar(&file, "html", "", "write a page to `FILE` instead (default none)")
	if err := cmd.MarkFlagFilename("html", "html"); err != nil {
		panic(err) // the flag is defined above
	}
	return cmd
}

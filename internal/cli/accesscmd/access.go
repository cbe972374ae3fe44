// Package accesscmd is kontor access, which shows who may do what in a registry.
package accesscmd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/access/proof"
	"github.com/kontor-registry/kontor/internal/cli/command"
	"github.com/kontor-registry/kontor/internal/deploy"
	"github.com/kontor-registry/kontor/internal/deploy/run"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/report"
	"github.com/kontor-registry/kontor/policy"
)

// Command is kontor access.
func Command(e *command.Env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "access",
		Short: "Show who may pull, push, delete and administer what, and why",
		Long: `Show who can access repositories, which policy statements decide it, and what
would have to change. Policies on both sides count: those of the repository and
its registry, and those of the user or role in its own account.

The commands read the registries of the file or, without a file, the local
registry; or the one at --endpoint. With --planned, they use the repositories as the file would create
them. If an account cannot be read, the result says so and makes no assumption
about its policies.`,
		Example: `  kontor access check arn:aws:iam::222222222222:role/ci push team/api
  kontor access who-can pull team/api
  kontor access matrix --html access.html`,
		Args: cobra.ArbitraryArgs,
		RunE: command.RunGroup,
	}
	cmd.AddCommand(checkCommand(e), whoCanCommand(e), matrixCommand(e), testCommand(e), tokenCommand(e))
	return cmd
}

// options are the flags of the access commands.
type options struct {
	command.TargetsOptions
	planned bool
	asJSON  bool
}

func (o *options) flags(e *command.Env, cmd *cobra.Command) {
	o.TargetsOptions.Flags(e, cmd)
	o.EndpointOptions.Flags(cmd)
	o.Parallel = deploy.Parallel
	cmd.Flags().BoolVar(&o.planned, "planned", false, "use the repositories as the file would create them (default false: as they are)")
	command.JSONFlag(cmd, &o.asJSON)
}

// imageFlags are what is known of the image that a question is about.
type imageFlags struct {
	signedBy []string
	unsigned bool
	severity string
}

func (i *imageFlags) flags(e *command.Env, o *options, cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&i.signedBy, "signed-by", nil, "ask about an image that the signer `NAME` signed; may be given several times (default any image)")
	cmd.Flags().BoolVar(&i.unsigned, "unsigned", false, "ask about an image that no signer signed (default false: any image)")
	cmd.MarkFlagsMutuallyExclusive("signed-by", "unsigned")
	command.Must(cmd.RegisterFlagCompletionFunc("signed-by", command.CompleteSigners(e, &o.FileOptions)))
	words := []string{string(ecr.Unscanned), string(ecr.SeverityNone), string(ecr.Unscannable)}
	for _, s := range ecr.Severities() {
		words = append(words, string(s))
	}
	slices.Sort(words)
	cmd.Flags().StringVar(&i.severity, "max-severity", "", "ask about an image whose kontor:MaxSeverity is `SEVERITY`: "+strings.Join(words, ", ")+" (default any image)")
	command.CompleteWords(cmd, "max-severity", words...)
	command.Checked(cmd, func() error {
		if i.severity != "" && !slices.Contains(words, i.severity) {
			return command.Usagef("--max-severity: %q is none of %s", i.severity, strings.Join(words, ", "))
		}
		return nil
	})
}

// of is p for such an image.
func (i *imageFlags) of(p *proof.Prover) *proof.Prover {
	if i.unsigned || len(i.signedBy) > 0 {
		p = p.SignedBy(i.signedBy...)
	}
	if i.severity != "" {
		p = p.MaxSeverity(ecr.Severity(i.severity))
	}
	return p
}

// evidence reads both sides: of the registries of the file, or without one of
// the local registry. repository is read alone where it is given; asked are the
// principals that a question names.
func evidence(ctx context.Context, e *command.Env, o options, repository string, asked ...string) (run.Evidence, error) {
	return evidenceWith(ctx, e, o, func(*run.Run, run.Evidence) error { return nil }, repository, asked...)
}

// evidenceWith is evidence, and calls use with it as long as the registries can be
// reached.
func evidenceWith(ctx context.Context, e *command.Env, o options, use func(*run.Run, run.Evidence) error, repository string, asked ...string) (ev run.Evidence, err error) {
	cfg := run.Config{Parallel: o.Parallel}
	if err := o.EndpointOptions.Check(); err != nil {
		return ev, err
	}
	var r *run.Run
	switch {
	case o.Endpoint != "" && o.planned:
		err = command.Usagef("--planned needs a file, and cannot be combined with --endpoint")
	case o.Endpoint != "":
		r, err = command.OpenEndpoint(ctx, e, o.TargetsOptions, cfg)
	case len(command.FileNames(e, o.FileOptions)) > 0:
		r, err = command.OpenFile(ctx, e, o.TargetsOptions, cfg)
	case o.planned:
		err = errors.New("--planned needs a file: pass -f FILE")
	case len(o.Targets) > 0:
		err = command.Usagef("--target needs a file with registries: pass -f FILE")
	default:
		r, err = command.OpenRun(ctx, e, cfg, o.Data)
	}
	if err != nil {
		return ev, err
	}
	defer command.Closing(&err, r.Close)
	if ev, err = r.Evidence(ctx, run.AccessConfig{Planned: o.planned, Repository: ecr.RepositoryName(repository), Asked: asked}); err != nil {
		return ev, err
	}
	return ev, use(r, ev)
}

// tokens adds to the answer about a user what the user's machine tokens may, and returns
// a note about what could not be seen or is off, "" for nothing.
func tokens(ctx context.Context, r *run.Run, ev run.Evidence, a *report.Access, actions []access.Action, repo proof.Repository) (note string, err error) {
	list, unseen, err := r.Tokens(ctx, repo.In, a.Principal)
	if err != nil {
		return "", err
	}
	for _, t := range list {
		answer, err := ev.Prover.CheckToken(a.Principal, t, actions, repo.In, repo.Name)
		if err != nil {
			return "", err
		}
		a.Tokens = append(a.Tokens, report.NewAccessToken(t, answer))
		if t.Off {
			unseen = report.TokensOff
		}
	}
	return unseen, nil
}

// one is the only repository of that name.
func one(ev run.Evidence, name string) (proof.Repository, error) {
	var found []proof.Repository
	for _, r := range ev.Repositories {
		if string(r.Name) == name {
			found = append(found, r)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return proof.Repository{}, fmt.Errorf("there is no repository %q: list them with `kontor access matrix`, or pass --planned for one that the file would create", name)
	}
	return proof.Repository{}, command.Usagef("repository %q is in %d registries: choose one with --target", name, len(found))
}

// complete offers rights as the argument number right, and repositories
// of the file as the next.
func complete(e *command.Env, o *options, right int) cobra.CompletionFunc {
	repositories := command.CompleteRepositories(e, &o.FileOptions)
	return func(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
		switch len(args) {
		case right:
			var words []string
			for _, r := range proof.Rights() {
				words = append(words, string(r))
			}
			return words, cobra.ShellCompDirectiveNoFileComp
		case right + 1:
			return repositories(cmd, nil, word)
		}
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
}

// grantField is the field of a repository that grants who the right; "" for
// none.
func grantField(who, right string) string {
	switch right := proof.Right(strings.ToLower(right)); {
	case right != proof.Pull && right != proof.Push:
		return ""
	case policy.AccountOf(who) != "":
		return fmt.Sprintf("additional_%s_account_ids: [%q]", right, policy.AccountOf(who))
	case strings.HasPrefix(who, "arn:"):
		return fmt.Sprintf("%s_principals: [%q]", right, who)
	}
	return ""
}

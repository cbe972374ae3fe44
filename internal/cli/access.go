package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/access/proof"
	"github.com/kontor-registry/kontor/internal/deploy"
	"github.com/kontor-registry/kontor/internal/deploy/principals"
	"github.com/kontor-registry/kontor/internal/deploy/spec"
	"github.com/kontor-registry/kontor/internal/deploy/state"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/policy"
)

func (e *Env) accessCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "access",
		Short: "Show who may pull, push, delete and administer what, and why",
		Long: `Show who may do what with repositories, which statements of which policies decide
it, and what would have to change. The policies of both sides count: those of the
repository and its registry, and those of the user or role in its own account.

The registries are those of the file; without a file, the local one. With
--planned, the repositories are as the file would make them, before apply. An
account that cannot be read is reported as such; nothing about it is guessed.`,
		Example: `  kontor access check arn:aws:iam::222222222222:role/ci push team/api
  kontor access who-can pull team/api
  kontor access matrix --html access.html`,
		Args: cobra.ArbitraryArgs,
		RunE: runGroup,
	}
	cmd.AddCommand(e.accessCheckCommand(), e.accessWhoCanCommand(), e.accessMatrixCommand(), e.accessTestCommand())
	return cmd
}

// accessOptions are the flags of the access commands.
type accessOptions struct {
	targetsOptions
	planned bool
	asJSON  bool
}

func (o *accessOptions) flags(e *Env, cmd *cobra.Command) {
	o.targetsOptions.flags(e, cmd)
	o.parallel = deploy.Parallel
	cmd.Flags().BoolVar(&o.planned, "planned", false, "use the repositories as the file would make them (default false: as they are)")
	jsonFlag(cmd, &o.asJSON)
}

// evidence is what both sides say, and what of it could not be seen.
type evidence struct {
	prover       *proof.Prover
	repositories []proof.Repository
	notes        []string
}

// accessEvidence reads both sides. repository is read alone where it is given;
// asked are the principals that a question names.
func (e *Env) accessEvidence(ctx context.Context, o accessOptions, repository string, asked ...string) (ev evidence, err error) {
	d, err := e.accessSites(ctx, o)
	if err != nil {
		return ev, err
	}
	defer closing(&err, d.close)
	return e.gather(ctx, d, o, repository, asked)
}

// accessSites reaches the registries of the file; without one, the local one.
func (e *Env) accessSites(ctx context.Context, o accessOptions) (*deployment, error) {
	if len(e.fileNames(o.fileOptions)) > 0 {
		return e.openAll(ctx, o.targetsOptions)
	}
	if o.planned {
		return nil, errors.New("--planned needs a file: give -f FILE")
	}
	if len(o.targets) > 0 {
		return nil, usagef("--target needs a file with registries: give -f FILE")
	}
	f, _, err := spec.Load(spec.Source{Name: "no file", Data: []byte("ecr_repositories: {}\n")})
	if err != nil {
		return nil, err
	}
	s := &site{target: state.Target{Name: spec.LocalName, Local: true}, close: func() error { return nil }}
	if err := e.openLocal(ctx, s, f, o.data); err != nil {
		return nil, err
	}
	return &deployment{file: f, sites: []*site{s}, parallel: o.parallel}, nil
}

// gather reads the registries of d and the accounts behind them. asked are the
// principals that a question names.
func (e *Env) gather(ctx context.Context, d *deployment, o accessOptions, repository string, asked []string) (ev evidence, err error) {
	if err := d.failed(); err != nil {
		return ev, err
	}
	world := proof.World{RegistryPolicies: map[ecr.RegistryID]string{}}
	read := map[ecr.AccountID]bool{}
	people := func(account ecr.AccountID, api principals.API) error {
		if read[account] {
			return nil
		}
		read[account] = true
		list, unseen, err := principals.Read(ctx, api)
		if err != nil {
			return fmt.Errorf("account %s: %w", account, err)
		}
		if unseen != "" {
			ev.notes = append(ev.notes, fmt.Sprintf("the users and roles of account %s could not be read: %s", account, unseen))
		} else {
			world.Seen = append(world.Seen, string(account))
		}
		world.Principals = append(world.Principals, list...)
		return nil
	}
	local := false
	var names []ecr.RepositoryName
	if repository != "" {
		names = []ecr.RepositoryName{ecr.RepositoryName(repository)}
	}
	for _, s := range d.sites {
		in := s.conn.Target.Registry
		granted, err := principals.Grants(ctx, s.conn.Grants, in, names...)
		if err != nil {
			return ev, d.named(s, err)
		}
		ev.notes = append(ev.notes, granted.Notes...)
		world.RegistryPolicies[in] = granted.RegistryPolicy
		if o.planned {
			granted.Repositories = planned(granted.Repositories, s, repository)
		}
		world.Repositories = append(world.Repositories, granted.Repositories...)
		if err := people(in.Account, s.conn.Principals); err != nil {
			return ev, d.named(s, err)
		}
		local = local || s.target.Local
	}
	if local {
		if err := e.localPeople(ctx, o.data, &world, read, asked); err != nil {
			return ev, err
		}
	}
	ev.repositories = world.Repositories
	ev.prover, err = proof.New(world)
	return ev, err
}

// planned are the repositories as the file would make them.
func planned(have []proof.Repository, s *site, only string) []proof.Repository {
	for _, want := range s.desired.For(s.target).Repositories {
		if only != "" && string(want.Name) != only {
			continue
		}
		i := slices.IndexFunc(have, func(r proof.Repository) bool { return r.Name == want.Name })
		if i < 0 {
			i = len(have)
			have = append(have, proof.Repository{In: s.conn.Target.Registry, Name: want.Name, Tags: map[string]string{}})
		}
		have[i].Policy = want.Policy
		for k, v := range want.Tags {
			have[i].Tags[k] = v
		}
	}
	slices.SortFunc(have, func(a, b proof.Repository) int { return strings.Compare(string(a.Name), string(b.Name)) })
	return have
}

// one is the only repository of that name.
func (ev evidence) one(name string) (proof.Repository, error) {
	var found []proof.Repository
	for _, r := range ev.repositories {
		if string(r.Name) == name {
			found = append(found, r)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return proof.Repository{}, fmt.Errorf("there is no repository %q: `kontor access matrix` lists them; for one that the file would create, give --planned", name)
	}
	return proof.Repository{}, usagef("repository %q is in %d registries: give --target", name, len(found))
}

// completeAccess offers rights as the argument number right, and repositories
// of the file as the next.
func (e *Env) completeAccess(o *accessOptions, right int) cobra.CompletionFunc {
	repositories := e.completeRepositories(&o.fileOptions)
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

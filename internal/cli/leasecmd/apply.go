package leasecmd

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/cli/command"
	"github.com/kontor-registry/kontor/internal/deploy"
	"github.com/kontor-registry/kontor/internal/deploy/leasetags"
	"github.com/kontor-registry/kontor/internal/deploy/run"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/leases"
	"github.com/kontor-registry/kontor/internal/render"
	"github.com/kontor-registry/kontor/internal/report/rollout"
)

// applyOptions are the flags of `kontor lease apply`.
type applyOptions struct {
	command.TargetOptions
	command.UsedOptions
	yes, dryRun, asJSON bool
}

func applyCommand(e *command.Env) *cobra.Command {
	var o applyOptions
	cmd := &cobra.Command{
		Use:   "apply [REPOSITORY...] --leases FILE [flags]",
		Short: "Protect images in use on Amazon ECR with tags and a lifecycle rule",
		Long: `Protect images in use from expiry through the ECR API alone. Each image gets its
own tag, ` + leasetags.TagPrefix + `..., and the lifecycle policy gets a rule with precedence over all
others that keeps such tags. When an image is no longer in use, its tag is
removed. If that was its last tag, the image itself stays unless a rule expires
it.

--leases must name all images in use: the output of kubectl get -o json or kontor
lease list --json, or a plain list. It may be given several times.

Without REPOSITORY, the command changes the repositories in the file and those
that the leases name. Set keep: ["` + leasetags.Pattern + `"] in the file, so that kontor
apply does not remove the rule.`,
		Example: `  kubectl get pods,deployments,statefulsets,daemonsets,cronjobs,replicasets -A -o json > cluster.json
  kontor lease apply --target prod --leases cluster.json --dry-run
  kontor lease apply --target prod --leases cluster.json -y`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			for _, a := range args {
				if _, err := command.RepositoryArgument([]string{a}); err != nil {
					return err
				}
			}
			if len(o.Leases) == 0 {
				return command.Usagef("--leases is required: pass a file with the images in use")
			}
			if !o.dryRun {
				if err := e.MayAsk(o.yes, o.asJSON); err != nil {
					return err
				}
			}
			return apply(cmd.Context(), e, o, args)
		},
	}
	o.TargetOptions.Flags(e, cmd)
	f := cmd.Flags()
	o.UsedOptions.Flags(cmd)
	f.BoolVar(&o.dryRun, "dry-run", false, "only print what would change (default false)")
	f.BoolVarP(&o.yes, "yes", "y", false, "skip the confirmation prompt (default false)")
	command.JSONFlag(cmd, &o.asJSON)
	cmd.ValidArgsFunction = command.CompleteRepository(e, &o.FileOptions)
	return cmd
}

func apply(ctx context.Context, e *command.Env, o applyOptions, names []string) (err error) {
	files, err := command.ReadInUse(e, o.Leases)
	if err != nil {
		return err
	}
	r, in, _, err := command.OpenOne(ctx, e, o.TargetOptions, run.Config{InUse: files, Hosts: o.Hosts})
	if err != nil {
		return err
	}
	defer command.Closing(&err, r.Close)
	inUse, err := in.InUse()
	if err != nil {
		return err
	}
	var repos []ecr.RepositoryName
	for _, n := range names {
		repos = append(repos, ecr.RepositoryName(n))
	}
	if len(names) == 0 {
		repos = leasetags.Repositories(inUse)
		for _, r := range in.Desired().Repositories {
			repos = append(repos, r.Name)
		}
	}
	slices.Sort(repos)
	changes, err := planChanges(ctx, e, in, slices.Compact(repos), inUse)
	if err != nil {
		return err
	}
	pending := slices.ContainsFunc(changes, func(c leasetags.Change) bool { return !c.Empty() })
	if !o.asJSON {
		if err := render.LeaseChanges(e.Stdout, rollout.LeaseChanges{Repositories: changes}, e.Options(e.Stdout)); err != nil {
			return err
		}
	}
	if pending && !o.dryRun {
		if !o.yes {
			if ok, err := e.Ask(ctx, "Change "+in.Conn.Target.Name+"?"); err != nil || !ok {
				return errors.Join(err, command.ErrNothing)
			}
		}
		for _, c := range changes {
			err = errors.Join(err, leasetags.Apply(ctx, in.Conn.Tagging, c))
		}
		if err != nil {
			return err
		}
	}
	if o.asJSON {
		return render.JSON(e.Stdout, rollout.LeaseChanges{Repositories: changes, Applied: pending && !o.dryRun})
	}
	return nil
}

// planChanges looks at each repository. One that does not exist is told of;
// its leases keep nothing.
func planChanges(ctx context.Context, e *command.Env, in *run.Registry, repos []ecr.RepositoryName, inUse []leases.Lease) ([]leasetags.Change, error) {
	changes := []leasetags.Change{}
	for _, name := range repos {
		s, err := in.Images(ctx, name, true)
		e.Notices(in.Notices())
		if err != nil {
			var refused *deploy.Error
			if errors.As(err, &refused) && refused.Code == string(ecr.CodeRepositoryNotFound) {
				e.Notice("there is no repository %s: leases of its images have no effect", name)
				continue
			}
			return nil, err
		}
		c, err := leasetags.Plan(s, inUse, e.Now().UTC())
		if err != nil {
			return nil, fmt.Errorf("repository %s: %w", name, err)
		}
		changes = append(changes, c)
	}
	return changes, nil
}

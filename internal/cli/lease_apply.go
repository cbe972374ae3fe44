package cli

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"

	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/deploy"
	keeping "github.com/kontor-registry/kontor/internal/deploy/leases"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/leases"
	"github.com/kontor-registry/kontor/internal/render"
	"github.com/kontor-registry/kontor/internal/report/rollout"
)

// leaseApplyOptions are the flags of `kontor lease apply`.
type leaseApplyOptions struct {
	targetOptions
	leases, hosts       []string
	yes, dryRun, asJSON bool
}

func (e *Env) leaseApplyCommand() *cobra.Command {
	var o leaseApplyOptions
	cmd := &cobra.Command{
		Use:   "apply [REPOSITORY...] --leases FILE [flags]",
		Short: "Keep images in use alive on Amazon ECR, by tags and a rule",
		Long: `Keep images in use alive where only the ECR API is there to do it. Each gets a tag
of its own, ` + keeping.TagPrefix + `..., and the lifecycle policy a rule above all
others that keeps such tags. Tags of images that are no longer in use go; an
image of which that was the last tag goes with it only if a rule takes it.

--leases names what is in use, all of it: what kubectl get -o json or kontor
lease list --json prints, or a plain list. It may be given several times.

The repositories are those named, or else those of the file and those that the
leases name. Say keep: ["` + keeping.Pattern + `"] in the file, so that kontor apply
leaves the rule alone.`,
		Example: `  kubectl get pods,deployments,statefulsets,daemonsets,cronjobs,replicasets -A -o json > cluster.json
  kontor lease apply --target prod --leases cluster.json --dry-run
  kontor lease apply --target prod --leases cluster.json -y`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			for _, a := range args {
				if _, err := repositoryArgument([]string{a}); err != nil {
					return err
				}
			}
			if len(o.leases) == 0 {
				return usagef("say what is in use with --leases FILE")
			}
			if !o.dryRun {
				if err := e.mayAsk(o.yes, o.asJSON); err != nil {
					return err
				}
			}
			return e.leaseApply(cmd.Context(), o, args)
		},
	}
	o.targetOptions.flags(e, cmd)
	f := cmd.Flags()
	leasesFlag(cmd, &o.leases)
	hostFlag(cmd, &o.hosts)
	f.BoolVar(&o.dryRun, "dry-run", false, "only print what would change (default false)")
	f.BoolVarP(&o.yes, "yes", "y", false, "change without asking (default false)")
	jsonFlag(cmd, &o.asJSON)
	cmd.ValidArgsFunction = e.completeRepository(&o.fileOptions)
	return cmd
}

func leasesFlag(cmd *cobra.Command, p *[]string) {
	cmd.Flags().StringArrayVar(p, "leases", nil,
		"the images in `FILE` are in use: from kubectl get -o json, kontor lease list --json, or a plain list; may be given several times (default none)")
}

// registryHosts are the names of the registry of a connection.
func registryHosts(conn *deploy.Conn, more []string) []string {
	hosts := append(leases.Hosts(conn.Target.Registry), more...)
	if at, err := url.Parse(conn.Target.Endpoint); err == nil && at.Host != "" {
		hosts = append(hosts, at.Host)
	}
	return hosts
}

func (e *Env) leaseApply(ctx context.Context, o leaseApplyOptions, names []string) (err error) {
	conn, file, end, err := e.reach(ctx, o.targetOptions)
	if err != nil {
		return err
	}
	defer closing(&err, end)
	api, ok := conn.API.(keeping.API)
	if !ok {
		return fmt.Errorf("registry %s cannot be given tags", conn.Target.Name)
	}
	inUse, err := e.readLeases(o.leases, registryHosts(conn, o.hosts))
	if err != nil {
		return err
	}
	var repos []ecr.RepositoryName
	for _, n := range names {
		repos = append(repos, ecr.RepositoryName(n))
	}
	if len(names) == 0 {
		repos = keeping.Repositories(inUse)
		if file != nil {
			for _, r := range file.Desired(conn.Target.Registry).Repositories {
				repos = append(repos, r.Name)
			}
		}
	}
	slices.Sort(repos)
	changes, err := e.leaseChanges(ctx, conn, slices.Compact(repos), inUse)
	if err != nil {
		return err
	}
	pending := slices.ContainsFunc(changes, func(c keeping.Change) bool { return !c.Empty() })
	if !o.asJSON {
		if err := render.LeaseChanges(e.Stdout, rollout.LeaseChanges{Repositories: changes}, e.options(e.Stdout)); err != nil {
			return err
		}
	}
	if pending && !o.dryRun {
		if !o.yes {
			if ok, err := e.ask(ctx, "Change "+conn.Target.Name+"?"); err != nil || !ok {
				return errors.Join(err, errors.New("nothing was changed"))
			}
		}
		for _, c := range changes {
			err = errors.Join(err, keeping.Apply(ctx, api, c))
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

// leaseChanges looks at each repository. One that does not exist is told of;
// its leases keep nothing.
func (e *Env) leaseChanges(ctx context.Context, conn *deploy.Conn, repos []ecr.RepositoryName, inUse []leases.Lease) ([]keeping.Change, error) {
	changes := []keeping.Change{}
	for _, name := range repos {
		s, err := conn.Images(ctx, name, true, e.Now())
		if err != nil {
			var refused *deploy.Error
			if errors.As(err, &refused) && refused.Code == string(ecr.CodeRepositoryNotFound) {
				e.notice("there is no repository %s: what the leases say of it keeps nothing", name)
				continue
			}
			return nil, err
		}
		c, err := keeping.Plan(s, inUse, e.Now().UTC())
		if err != nil {
			return nil, fmt.Errorf("repository %s: %w", name, err)
		}
		changes = append(changes, c)
	}
	return changes, nil
}

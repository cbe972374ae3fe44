package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/cli/command"
	"github.com/kontor-registry/kontor/internal/deploy/plan"
	"github.com/kontor-registry/kontor/internal/deploy/run"
	"github.com/kontor-registry/kontor/internal/deploy/spec"
	"github.com/kontor-registry/kontor/internal/render"
)

// applyOptions are the flags of commands that change registries.
type applyOptions struct {
	command.TargetsOptions
	command.UsedOptions
	asJSON, yes bool
}

func (o *applyOptions) flags(e *command.Env, cmd *cobra.Command) {
	o.TargetsOptions.Flags(e, cmd)
	o.ParallelFlag(cmd)
	command.JSONFlag(cmd, &o.asJSON)
	cmd.Flags().BoolVarP(&o.yes, "yes", "y", false, "skip the confirmation prompt (default false)")
	o.UsedOptions.Flags(cmd)
}

func (o *applyOptions) check(e *command.Env) error {
	if err := e.MayAsk(o.yes, o.asJSON); err != nil {
		return err
	}
	return o.TargetsOptions.Check()
}

func applyCommand(e *command.Env) *cobra.Command {
	var (
		o   applyOptions
		end endOptions
	)
	cmd := &cobra.Command{
		Use:   "apply [PLAN] [flags]",
		Short: "Apply the file: create and change repositories",
		Long: `Compare the file with its registries, show what will change, ask for confirmation,
and apply the changes.

Each repository is read again before it is changed. If it has changed since the
plan, it is left as it is. If one repository or registry fails, the others are
still applied; run apply again for the rest. Nothing is changed if one of the
file's lifecycle_tests or access_tests fails, or if a change would expire or
delete an image in use: one that --leases names or that has a lease in the
registry (kontor lease).

With PLAN, a file that kontor plan --output wrote, exactly that plan is applied.
If the file or a registry has changed since, nothing is applied.

Repositories that are not in the file are never changed, except that --prune
deletes those of the file's stack; the file must name the stack. Protected
repositories are not deleted, and repositories with images only with
--delete-images. --prune also deletes the stack's repository creation templates
that are no longer in the file. A pull-through cache rule is deleted only where
the file says removed: true, no matter who created it: rules have no owner.

A file with registries: is applied to all of them, or to those given with
--target. A file without registries: is applied to the local registry of --data,
and never to AWS.`,
		Example: `  kontor apply -f kontor.yaml
  kontor apply --target prod --yes --json
  kontor apply --prune
  kontor plan -o next.plan && kontor apply next.plan`,
		Args: command.Between(0, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := errors.Join(o.check(e), end.check()); err != nil {
				return err
			}
			if len(args) > 0 {
				if end.prune {
					return command.Usagef("a plan file already says what is deleted: leave out --prune, or pass it to kontor plan")
				}
				return applyFile(cmd.Context(), e, args[0], o)
			}
			return applyPlan(cmd.Context(), e, o, end.options())
		},
	}
	o.flags(e, cmd)
	end.flags(cmd)
	return cmd
}

// applyFile applies the plan of a file, or nothing.
func applyFile(ctx context.Context, e *command.Env, name string, o applyOptions) (err error) {
	set, err := readPlan(name)
	if err != nil {
		if _, there := os.Stat(name); there == nil && slices.Contains(spec.Endings(), filepath.Ext(name)) {
			return fmt.Errorf("%w; to apply a file of repositories, use -f", err)
		}
		return err
	}
	if len(o.Files) == 0 && e.Getenv(command.EnvFile) == "" {
		o.Files = set.Files
	}
	if len(o.Targets) > 0 || e.Getenv(command.EnvTarget) != "" {
		return command.Usagef("a plan file is applied as a whole: leave out --target and %s, or pass them to kontor plan", command.EnvTarget)
	}
	for _, p := range set.Plans {
		o.Targets = append(o.Targets, p.Target.Name)
	}
	if len(o.Targets) == 0 {
		return fmt.Errorf("%s does not contain a plan", name)
	}
	r, err := command.OpenUsed(ctx, e, o.TargetsOptions, o.UsedOptions)
	if err != nil {
		return err
	}
	defer command.Closing(&err, r.Close)
	p, err := r.Adopt(ctx, set)
	var stale *run.StaleError
	switch {
	case errors.As(err, &stale):
		return errors.Join(err, fmt.Errorf("%s is out of date and nothing was changed: run kontor plan again", name))
	case err != nil:
		return errors.Join(err, command.ErrNothing)
	}
	return apply(ctx, e, r, p, o)
}

// applyPlan plans and applies.
func applyPlan(ctx context.Context, e *command.Env, o applyOptions, options plan.Options) (err error) {
	r, err := command.OpenUsed(ctx, e, o.TargetsOptions, o.UsedOptions)
	if err != nil {
		return err
	}
	defer command.Closing(&err, r.Close)
	p, err := r.Plan(ctx, options)
	if err != nil {
		return err
	}
	return apply(ctx, e, r, p, o)
}

// apply shows what is planned, asks, and applies it.
func apply(ctx context.Context, e *command.Env, r *run.Run, p run.Planned, o applyOptions) error {
	if err := ctx.Err(); err != nil {
		return errors.Join(err, command.ErrNothing)
	}
	e.Notices(p.Notices)
	opts, several := e.Options(e.Stdout), len(r.Registries) > 1
	if !o.asJSON {
		if err := render.Plans(e.Stdout, p.Set, opts); err != nil {
			return err
		}
	}
	if len(p.Refusals) > 0 {
		err := errors.Join(p.Err(), command.ErrNothing)
		if o.asJSON {
			err = errors.Join(err, render.JSON(e.Stdout, p.NoResult()))
		}
		return err
	}
	plans, nodes := p.Todo()
	if len(plans)+len(nodes) > 0 && !o.yes {
		if ok, err := e.Ask(ctx, render.Question(plans, nodes)); err != nil || !ok {
			return errors.Join(p.Err(), err, command.ErrNothing)
		}
	}
	out := e.Stdout
	if o.asJSON {
		out = io.Discard
	}
	reporter := render.NewReporter(out, plans, several, opts, !o.asJSON && e.MovesCursor(e.Stdout))
	stopping := context.AfterFunc(ctx, func() {
		e.Notice("stopping: finishing the repositories in progress; interrupt again to stop at once")
	})
	result, failed := r.Apply(ctx, reporter.Report)
	stopping()
	failed = errors.Join(failed, reporter.Close())
	if o.asJSON {
		return errors.Join(failed, render.JSON(e.Stdout, result))
	}
	for _, x := range result.Registries {
		failed = errors.Join(failed, render.ResultOf(e.Stdout, x, several, opts))
	}
	for _, x := range result.Clusters {
		failed = errors.Join(failed, render.ClusterResult(e.Stdout, x, opts))
	}
	return failed
}

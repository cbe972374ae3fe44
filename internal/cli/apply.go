package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/deploy"
	"github.com/kontor-registry/kontor/internal/deploy/clusters"
	"github.com/kontor-registry/kontor/internal/deploy/plan"
	"github.com/kontor-registry/kontor/internal/deploy/spec"
	"github.com/kontor-registry/kontor/internal/render"
)

// applyForm is the published JSON of apply and destroy: the plans, and what
// became of them.
type applyForm struct {
	Plan    plan.Set        `json:"plan"`
	Results []deploy.Result `json:"results"`
	// Clusters are the node roles that changed, or should have.
	Clusters []clusters.Result `json:"clusters,omitempty"`
}

// applyOptions are the flags of commands that change registries.
type applyOptions struct {
	targetsOptions
	asJSON bool
	yes    bool
	// inUse are files of images in use, hosts more names of the registries in
	// them.
	inUse, hosts []string
}

func (o *applyOptions) flags(e *Env, cmd *cobra.Command) {
	o.targetsOptions.flags(e, cmd)
	o.parallelFlag(cmd)
	jsonFlag(cmd, &o.asJSON)
	cmd.Flags().BoolVarP(&o.yes, "yes", "y", false, "change without asking (default false)")
	leasesFlag(cmd, &o.inUse)
	hostFlag(cmd, &o.hosts)
}

func (o *applyOptions) check(e *Env) error {
	switch {
	case !o.yes && o.asJSON:
		return usagef("--json does not ask: give --yes to change without asking")
	case !o.yes && !e.IsTerminal(e.Stdin):
		return usagef("stdin is not a terminal, so there is nobody to ask: give --yes to change without asking")
	}
	return o.targetsOptions.check()
}

func (e *Env) applyCommand() *cobra.Command {
	var (
		o   applyOptions
		end endOptions
	)
	cmd := &cobra.Command{
		Use:   "apply [PLAN] [flags]",
		Short: "Make registries' repositories as the file says",
		Long: `Compare the file with its registries, show what will change, ask, and change it.

Each repository is read again before it is changed, and left alone when it is
not as the plan saw it. When one repository or registry fails, the others go on;
running apply again does what is left. Nothing is changed when one of the file's
lifecycle_tests or access_tests does not hold, or when a change would expire or
delete an image in use: one that --leases names, or that the registry knows of
(kontor lease).

With PLAN, a file that kontor plan --output wrote, exactly that plan is carried
out, or nothing when the file or a registry has moved since.

Repositories that are not in the file are never changed, unless --prune says to
delete those of the file's stack, which the file must name. Protected
repositories are not deleted, and those with images only with --delete-images.

A file with registries: is applied to all of them, or those of --target; a file
without is applied to the local registry of --data, and nothing ever goes to
AWS.`,
		Example: `  kontor apply -f kontor.yaml
  kontor apply --target prod --yes --json
  kontor apply --prune
  kontor plan -o next.plan && kontor apply next.plan`,
		Args: between(0, 1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if err := errors.Join(o.check(e), end.check()); err != nil {
				return err
			}
			if len(args) > 0 {
				if end.prune {
					return usagef("what is deleted says the plan: leave out --prune, or give it to kontor plan")
				}
				return e.applyFile(cmd.Context(), args[0], o)
			}
			d, err := e.openAll(cmd.Context(), o.targetsOptions)
			if err != nil {
				return err
			}
			defer closing(&err, d.close)
			if end.prune {
				if err := d.mayEnd("--prune"); err != nil {
					return err
				}
			}
			d.plan(cmd.Context(), end.options())
			e.effects(cmd.Context(), d)
			return e.apply(cmd.Context(), d, o)
		},
	}
	o.flags(e, cmd)
	end.flags(cmd)
	return cmd
}

// applyFile carries out the plan of a file, or nothing.
func (e *Env) applyFile(ctx context.Context, name string, o applyOptions) (err error) {
	set, err := readPlan(name)
	if err != nil {
		if _, there := os.Stat(name); there == nil && slices.Contains(spec.Endings(), filepath.Ext(name)) {
			return fmt.Errorf("%w; a file of repositories is given with -f", err)
		}
		return err
	}
	if len(o.files) == 0 && e.Getenv(envFile) == "" {
		o.files = set.Files
	}
	if len(o.targets) > 0 || e.Getenv(envTarget) != "" {
		return usagef("a plan is carried out whole: leave out --target and %s, or give it to kontor plan", envTarget)
	}
	for _, p := range set.Plans {
		o.targets = append(o.targets, p.Target.Name)
	}
	if len(o.targets) == 0 {
		return fmt.Errorf("%s holds no plan", name)
	}
	d, err := e.openAll(ctx, o.targetsOptions)
	if err != nil {
		return err
	}
	defer closing(&err, d.close)
	d.observe(ctx)
	if err := d.failed(); err != nil {
		return errors.Join(err, errors.New("nothing was changed"))
	}
	for _, s := range d.sites {
		for _, p := range set.Plans {
			if p.Target.Name != s.target.Name {
				continue
			}
			s.plan = p
			if p.End != plan.Nothing {
				err = errors.Join(err, d.mayEnd("the plan"))
			}
			for _, why := range p.Stale(s.desired, s.observed) {
				err = errors.Join(err, d.named(s, errors.New(why)))
			}
		}
	}
	err = errors.Join(err, d.adoptClusters(ctx, set))
	if err != nil {
		return errors.Join(err, fmt.Errorf("%s is out of date and nothing was changed: plan again", name))
	}
	return e.apply(ctx, d, o)
}

// apply shows the plans of d, asks, and carries them out.
func (e *Env) apply(ctx context.Context, d *deployment, o applyOptions) error {
	if err := ctx.Err(); err != nil {
		return errors.Join(err, errors.New("nothing was changed"))
	}
	checked := e.checks(ctx, d, o.targetsOptions, o.inUse, o.hosts)
	set := d.set()
	opts := e.options(e.Stdout)
	if !o.asJSON {
		if err := render.Plans(e.Stdout, set, opts); err != nil {
			return err
		}
	}
	if err := checked; err != nil {
		err = errors.Join(d.failed(), d.refused(), err, errors.New("nothing was changed"))
		if o.asJSON {
			return errors.Join(err, render.JSON(e.Stdout, applyForm{set, []deploy.Result{}, nil}))
		}
		return err
	}
	var todo []*site
	for _, s := range d.sites {
		if s.err == nil && len(s.plan.Errors()) == 0 && len(s.plan.Pending()) > 0 {
			todo = append(todo, s)
		}
	}
	failed := errors.Join(d.failed(), d.refused())
	nodes := d.clustersPending()
	if len(todo)+len(nodes) > 0 && !o.yes {
		if ok, err := e.ask(ctx, question(todo, nodes)); err != nil || !ok {
			return errors.Join(failed, err, errors.New("nothing was changed"))
		}
	}
	results, err := e.carryOut(ctx, d, todo, o)
	failed = errors.Join(failed, err)
	roles, err := e.carryOutClusters(ctx, d, failed == nil)
	failed = errors.Join(failed, err)
	if o.asJSON {
		return errors.Join(failed, render.JSON(e.Stdout, applyForm{set, results, roles}))
	}
	for _, r := range results {
		failed = errors.Join(failed, render.ResultOf(e.Stdout, r, len(d.sites) > 1, opts))
	}
	for _, r := range roles {
		failed = errors.Join(failed, render.ClusterResult(e.Stdout, r, opts))
	}
	return failed
}

// carryOut applies the plans of some of d's sites, several at a time, and says
// what became of them in the same order.
func (e *Env) carryOut(ctx context.Context, d *deployment, todo []*site, o applyOptions) ([]deploy.Result, error) {
	results := make([]deploy.Result, len(todo))
	errs := make([]error, len(todo))
	at := deployment{sites: todo}
	plans := make([]plan.Plan, len(todo))
	index := make(map[*site]int, len(todo))
	for i, s := range todo {
		index[s], plans[i] = i, s.plan
	}
	out := e.Stdout
	if o.asJSON {
		out = io.Discard
	}
	reporter := render.NewReporter(out, plans, len(d.sites) > 1, e.options(e.Stdout), !o.asJSON && e.movesCursor(e.Stdout))
	stopping := context.AfterFunc(ctx, func() {
		// nowhere to report that it cannot be said
		_, _ = fmt.Fprintln(e.Stderr, "kontor: stopping: repositories that were begun are finished; interrupt again to stop at once")
	})
	defer stopping()
	at.each(func(s *site) {
		i := index[s]
		r, err := deploy.ApplyWith(ctx, s.conn.API, s.plan, deploy.ApplyConfig{
			Parallel: o.parallel,
			Progress: func(r deploy.RepositoryResult) { reporter.Report(s.target.Name, r) },
		})
		if ctx.Err() != nil {
			err = nil // said below, with what is left
		}
		if err == nil && !r.OK() {
			err = notDone(s.plan, r, ctx.Err() != nil)
		}
		results[i] = r
		if err != nil {
			errs[i] = d.named(s, err)
		}
	})
	return results, errors.Join(append(errs, reporter.Close())...)
}

// notDone says how much of a plan is left, and what to do.
func notDone(p plan.Plan, r deploy.Result, stopped bool) error {
	left := plural(len(r.Repositories)-r.Count(deploy.StatusDone), "repository is", "repositories are")
	what, again := "not as the file says", "run apply again"
	if p.End == plan.Everything {
		what, again = "not deleted", "run destroy again"
	}
	if stopped {
		return fmt.Errorf("stopped: %s %s: %s", left, what, again)
	}
	return fmt.Errorf("%s %s: %s", left, what, again)
}

// question says how much will change where.
func question(todo []*site, nodes []*clusterSite) string {
	if len(nodes) == 0 {
		return sentence(repositoryQuestion(todo))
	}
	if len(todo) == 0 {
		return sentence(clusterQuestion(nodes))
	}
	return sentence(repositoryQuestion(todo) + ", and " + clusterQuestion(nodes))
}

func sentence(words string) string { return strings.ToUpper(words[:1]) + words[1:] + "?" }

func repositoryQuestion(todo []*site) string {
	changes, deletes, images := 0, 0, 0
	for _, s := range todo {
		for _, c := range s.plan.Pending() {
			if c.Op != plan.OpDelete {
				changes++
				continue
			}
			deletes++
			if c.Images != nil {
				images += c.Images.Count
			}
		}
	}
	var words []string
	if changes > 0 {
		words = append(words, "change "+plural(changes, "repository", "repositories"))
	}
	if deletes > 0 {
		words = append(words, "DELETE "+plural(deletes, "repository", "repositories"))
		if images > 0 {
			words[len(words)-1] += " with " + plural(images, "image", "images")
		}
	}
	where := plural(len(todo), "registry", "registries")
	if len(todo) == 1 {
		t := todo[0].plan.Target
		where = fmt.Sprintf("registry %s (account %s, region %s)", t.Name, t.Account, t.Region)
	}
	return strings.Join(words, " and ") + " of " + where
}

// ask puts a question to the terminal. Only y and yes are a yes.
func (e *Env) ask(ctx context.Context, question string) (bool, error) {
	if _, err := fmt.Fprintf(e.Stderr, "%s [y/N] ", question); err != nil {
		return false, err
	}
	type answer struct {
		line string
		err  error
	}
	// A read of a terminal cannot be interrupted; when ctx ends first, the
	// goroutine ends with the process.
	got := make(chan answer, 1)
	go func() {
		line, err := bufio.NewReader(e.Stdin).ReadString('\n')
		got <- answer{line, err}
	}()
	select {
	case <-ctx.Done():
		_, err := fmt.Fprintln(e.Stderr)
		return false, err
	case a := <-got:
		if a.err != nil && !errors.Is(a.err, io.EOF) {
			return false, a.err
		}
		switch strings.ToLower(strings.TrimSpace(a.line)) {
		case "y", "yes":
			return true, nil
		}
		return false, nil
	}
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

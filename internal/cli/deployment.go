package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"slices"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/deploy"
	"github.com/kontor-registry/kontor/internal/deploy/plan"
	"github.com/kontor-registry/kontor/internal/deploy/spec"
	"github.com/kontor-registry/kontor/internal/deploy/state"
	"github.com/kontor-registry/kontor/internal/render"
)

// targetsOptions are the flags of commands that reach several registries.
type targetsOptions struct {
	fileOptions
	data     string
	targets  []string
	parallel int
}

func (o *targetsOptions) flags(e *Env, cmd *cobra.Command) {
	o.fileOptions.flags(cmd)
	e.dataFlag(cmd, &o.data)
	cmd.Flags().StringArrayVar(&o.targets, "target", nil,
		fmt.Sprintf("use the entry `NAME` of the file's registries; may be given several times (default all; env %s)", envTarget))
	if err := cmd.RegisterFlagCompletionFunc("target", e.completeTargets(&o.fileOptions)); err != nil {
		panic(err) // the flag is defined above
	}
}

func (o *targetsOptions) parallelFlag(cmd *cobra.Command) {
	cmd.Flags().IntVar(&o.parallel, "parallelism", deploy.Parallel, "read and change `N` repositories of a registry at a time")
}

func (o *targetsOptions) check() error {
	if o.parallel < 1 || o.parallel > maxParallel {
		return usagef("--parallelism %d: want 1 to %d", o.parallel, maxParallel)
	}
	return nil
}

// maxParallel bounds --parallelism: beyond it ECR only throttles.
const maxParallel = 256

// completeTargets offers the registries of the file, and nothing when it
// cannot be read.
func (e *Env) completeTargets(o *fileOptions) cobra.CompletionFunc {
	return func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		var names []string
		if f, err := e.loadFile(*o, nil); err == nil {
			for _, t := range f.Frame(anyRegistry).Targets {
				names = append(names, t.Name)
			}
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}

// completeRepositories offers the repositories of the file that are not among
// the arguments yet.
func (e *Env) completeRepositories(o *fileOptions) cobra.CompletionFunc {
	return func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		var names []string
		if f, err := e.loadFile(*o, nil); err == nil {
			for _, r := range f.Desired(anyRegistry).Repositories {
				if !slices.Contains(args, string(r.Name)) {
					names = append(names, string(r.Name))
				}
			}
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}

// chosen are the targets that names, or else the environment, say: all without
// either. They keep the order of the file.
func (e *Env) chosen(all []state.Target, names []string) ([]state.Target, error) {
	if v := e.Getenv(envTarget); len(names) == 0 && v != "" {
		names = []string{v}
	}
	if len(names) == 0 {
		return all, nil
	}
	for _, n := range names {
		if _, err := e.pickTarget(all, n); err != nil {
			return nil, err
		}
	}
	return slices.DeleteFunc(slices.Clone(all), func(t state.Target) bool { return !slices.Contains(names, t.Name) }), nil
}

// deployment is a file and the registries that it is deployed to.
type deployment struct {
	file     *spec.File
	names    []string // of the files
	stack    string
	parallel int
	sites    []*site // in the order of the file
	clusters []*clusterSite
	terminal io.Writer // shows how far reading has come; nil for nowhere
}

// site is one registry of a deployment.
type site struct {
	target  state.Target
	desired state.Desired
	conn    *deploy.Conn
	close   func() error
	// observed and plan are set by the methods below; err is why they are not,
	// and no business of the other sites.
	observed state.Observed
	plan     plan.Plan
	err      error
}

// deployMemory is how many bytes Go's runtime takes before it collects what is
// not used any more rather than take more. A plan of 10,000 repositories uses
// less at once; a larger one takes what it needs.
const deployMemory = 136 << 20

// openAll reads the file and reaches the registries that o chooses. A file
// without registries goes to the local registry and nowhere else. A registry
// that cannot be reached is no error here: its site says why.
func (e *Env) openAll(ctx context.Context, o targetsOptions) (*deployment, error) {
	if e.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(deployMemory)
	}
	f, err := e.loadFile(o.fileOptions, e.Stderr)
	if err != nil {
		return nil, err
	}
	desired := f.Desired(anyRegistry)
	targets, err := e.chosen(desired.Targets, o.targets)
	if err != nil {
		return nil, err
	}
	d := &deployment{file: f, names: e.fileNames(o.fileOptions), stack: desired.Stack, parallel: o.parallel}
	if e.movesCursor(e.Stderr) {
		d.terminal = e.Stderr
	}
	for _, t := range targets {
		s := &site{target: t, desired: desired, close: func() error { return nil }}
		if t.Local {
			if err := e.openLocal(ctx, s, f, o.data); err != nil {
				return nil, err
			}
		}
		d.sites = append(d.sites, s)
	}
	d.each(func(s *site) {
		if s.conn == nil {
			s.conn, s.err = deploy.Connect(ctx, deploy.ConnectConfig{Target: s.target})
		}
	})
	if err := ctx.Err(); err != nil {
		return nil, errors.Join(err, d.close())
	}
	return d, nil
}

// fileNames are the names under which the files can be read again.
func (e *Env) fileNames(o fileOptions) []string {
	switch v := e.Getenv(envFile); {
	case len(o.files) > 0:
		return o.files
	case v != "":
		return []string{v}
	}
	return defaultFiles()
}

// openLocal reaches the registry of the data folder.
func (e *Env) openLocal(ctx context.Context, s *site, f *spec.File, data string) error {
	dir, err := e.dataDir(data)
	if err != nil {
		return err
	}
	local, closeServer, err := e.localRegistry(ctx, dir)
	if err != nil {
		return err
	}
	if closeServer != nil {
		s.close = closeServer
	}
	// The policies name the registry's account and partition.
	s.desired = f.Desired(local.Registry)
	s.target.Registry, s.target.Endpoint = local.Registry, local.Endpoint
	s.conn, err = deploy.Connect(ctx, deploy.ConnectConfig{
		Target: s.target, AccessKeyID: local.AccessKeyID, SecretAccessKey: local.SecretAccessKey, HTTPClient: local.HTTPClient,
	})
	if err != nil {
		return errors.Join(err, s.close())
	}
	return nil
}

// movesCursor reports whether a stream is a terminal that bars can be drawn on.
func (e *Env) movesCursor(stream any) bool { return e.IsTerminal(stream) && e.Getenv("TERM") != "dumb" }

// sitesAtOnce bounds how many registries are read, or changed, at a time.
const sitesAtOnce = 8

// each calls f for the sites that have no error yet, several at a time, and
// returns when all are done.
func (d *deployment) each(f func(*site)) {
	var wg sync.WaitGroup
	slots := make(chan struct{}, sitesAtOnce)
	for _, s := range d.sites {
		if s.err != nil {
			continue
		}
		wg.Add(1)
		go func() {
			defer wg.Done()
			slots <- struct{}{}
			defer func() { <-slots }()
			f(s)
		}()
	}
	wg.Wait()
}

func (d *deployment) close() error {
	var err error
	for _, s := range d.sites {
		err = errors.Join(err, s.close())
	}
	return err
}

// observe reads what each site has of the file's and the stack's.
func (d *deployment) observe(ctx context.Context) {
	var names []string
	for _, s := range d.sites {
		if s.err == nil {
			names = append(names, s.target.Name)
		}
	}
	reading := render.NewReading(d.terminal, names)
	defer reading.Close()
	d.each(func(s *site) {
		scope := deploy.ScopeOf(s.desired.For(s.target))
		scope.Parallel = d.parallel
		scope.Progress = func(read, known int) { reading.Read(s.target.Name, read, known) }
		s.observed, s.err = deploy.Observe(ctx, s.conn.API, s.conn.Target, scope)
	})
}

// plan compares each site with the file. The images of what would be deleted
// are counted.
func (d *deployment) plan(ctx context.Context, o plan.Options) plan.Set {
	d.observe(ctx)
	d.each(func(s *site) {
		o := o
		if names := plan.Ending(s.desired, s.observed, o.End); len(names) > 0 {
			if o.Images, s.err = deploy.ImagesOf(ctx, s.conn.API, s.conn.Target, names); s.err != nil {
				return
			}
		}
		s.plan = plan.DiffWith(s.desired, s.observed, o)
	})
	d.planClusters(ctx, o)
	return d.set()
}

// set are the plans of all sites.
func (d *deployment) set() plan.Set {
	out := plan.Set{Version: plan.SetVersion, Stack: d.stack, Files: d.names, Plans: []plan.Plan{}}
	for _, s := range d.sites {
		if s.err != nil {
			out.Failures = append(out.Failures, plan.Failure{Target: plan.TargetOf(s.target), Error: s.err.Error()})
			continue
		}
		out.Plans = append(out.Plans, s.plan)
	}
	d.clustersOf(&out)
	return out
}

// failed is why sites could not be reached or read; nil when all could.
func (d *deployment) failed() error {
	var err error
	for _, s := range d.sites {
		if s.err != nil {
			err = errors.Join(err, d.named(s, s.err))
		}
	}
	return errors.Join(err, d.clustersFailed())
}

// named says which of several registries err is about, unless it does itself.
func (d *deployment) named(s *site, err error) error {
	prefix := fmt.Sprintf("registry %s: ", s.target.Name)
	if len(d.sites) == 1 || strings.HasPrefix(err.Error(), prefix) || strings.HasPrefix(err.Error(), strings.TrimSuffix(prefix, ": ")+" ") {
		return err
	}
	return fmt.Errorf("%s%w", prefix, err)
}

// refused is the error for the plans that may not be carried out; nil for
// none. They have been printed.
func (d *deployment) refused() error {
	var err error
	for _, s := range d.sites {
		if s.err == nil && len(s.plan.Errors()) > 0 {
			err = errors.Join(err, d.named(s, planRefused(s.plan)))
		}
	}
	return errors.Join(err, d.clustersRefused())
}

// mayEnd refuses to delete what a file owns only by the default name.
func (d *deployment) mayEnd(word string) error {
	if _, explicit := d.file.Stack(); !explicit {
		return fmt.Errorf("%s deletes what belongs to the file's stack, and the file names none: give stack:, apply, and try again", word)
	}
	return nil
}

package cli

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/deploy"
	"github.com/kontor-registry/kontor/internal/deploy/run"
	"github.com/kontor-registry/kontor/internal/deploy/spec"
	"github.com/kontor-registry/kontor/internal/deploy/state"
	"github.com/kontor-registry/kontor/internal/host"
	"github.com/kontor-registry/kontor/internal/host/up"
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
	dataFlag(e, cmd, &o.data)
	cmd.Flags().StringArrayVar(&o.targets, "target", nil,
		fmt.Sprintf("use the entry `NAME` of the file's registries; may be given several times (default all; env %s)", envTarget))
	must(cmd.RegisterFlagCompletionFunc("target", completeTargets(e, &o.fileOptions)))
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

// openRun reaches the registries that cfg chooses of its file, or the local one
// without a file. data is the folder of the local registry, as --data says.
func openRun(ctx context.Context, e *Env, cfg run.Config, data string) (*run.Run, error) {
	if v := e.Getenv(envTarget); cfg.File != nil && len(cfg.Targets) == 0 && v != "" {
		cfg.Targets = []string{v}
	}
	cfg.Now = e.Now
	cfg.Local = func(ctx context.Context, _ state.Target) (run.Local, error) { return openLocal(ctx, e, data) }
	if e.movesCursor(e.Stderr) {
		cfg.Reading = func(names []string) run.Reading { return render.NewReading(e.Stderr, names) }
	}
	return run.Open(ctx, cfg)
}

// deployMemory is how many bytes Go's runtime takes before it collects what is
// not used any more rather than take more. A plan of 10,000 repositories uses
// less at once; a larger one takes what it needs.
const deployMemory = 136 << 20

// openFile reads the file of o and reaches its registries that o chooses.
func openFile(ctx context.Context, e *Env, o targetsOptions, cfg run.Config) (*run.Run, error) {
	if e.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(deployMemory)
	}
	f, err := loadFile(e, o.fileOptions, e.Stderr)
	if err != nil {
		return nil, err
	}
	cfg.File, cfg.Files, cfg.Targets, cfg.Parallel = f, fileNames(e, o.fileOptions), o.targets, o.parallel
	return openRun(ctx, e, cfg, o.data)
}

// openUsed is openFile for what must know which images are in use.
func openUsed(ctx context.Context, e *Env, o targetsOptions, used usedOptions) (*run.Run, error) {
	files, err := readInUse(e, used.leases)
	if err != nil {
		return nil, err
	}
	return openFile(ctx, e, o, run.Config{InUse: files, Hosts: used.hosts})
}

// openOne reaches the one registry that o chooses, by the file where there is
// one, and else the local one; then the file is nil.
func openOne(ctx context.Context, e *Env, o targetOptions, cfg run.Config) (r *run.Run, in *run.Registry, f *spec.File, err error) {
	if len(fileNames(e, o.fileOptions)) > 0 {
		if f, err = loadFile(e, o.fileOptions, e.Stderr); err != nil {
			return nil, nil, nil, err
		}
		cfg.File, cfg.One = f, true
		if o.target != "" {
			cfg.Targets = []string{o.target}
		}
	}
	if r, err = openRun(ctx, e, cfg, o.data); err != nil {
		return nil, nil, nil, err
	}
	in = r.Registries[0]
	if in.Err != nil {
		return nil, nil, nil, errors.Join(in.Err, r.Close())
	}
	return r, in, f, nil
}

// openLocal reaches the registry of the data folder.
func openLocal(ctx context.Context, e *Env, data string) (run.Local, error) {
	dir, err := e.dataDir(data)
	if err != nil {
		return run.Local{}, err
	}
	conn, end, err := host.Reach(ctx, dir)
	if err != nil {
		return run.Local{}, err
	}
	return up.Local(conn, dir, end), nil
}

// movesCursor reports whether a stream is a terminal that bars can be drawn on.
func (e *Env) movesCursor(stream any) bool { return e.IsTerminal(stream) && e.Getenv("TERM") != "dumb" }

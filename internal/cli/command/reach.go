package command

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

// TargetsOptions are the flags of commands that reach several registries.
type TargetsOptions struct {
	FileOptions
	// EndpointOptions are for commands that define their flags.
	EndpointOptions
	Data     string
	Targets  []string
	Parallel int
}

// Flags defines the flags of o.
func (o *TargetsOptions) Flags(e *Env, cmd *cobra.Command) {
	o.FileOptions.Flags(cmd)
	DataFlag(e, cmd, &o.Data)
	cmd.Flags().StringArrayVar(&o.Targets, "target", nil,
		fmt.Sprintf("use the entry `NAME` of the file's registries; may be given several times (default all; env %s)", EnvTarget))
	Must(cmd.RegisterFlagCompletionFunc("target", CompleteTargets(e, &o.FileOptions)))
}

// ParallelFlag defines --parallelism.
func (o *TargetsOptions) ParallelFlag(cmd *cobra.Command) {
	cmd.Flags().IntVar(&o.Parallel, "parallelism", deploy.Parallel, "read and change `N` repositories of a registry at a time")
}

// Check finds values that cannot be.
func (o *TargetsOptions) Check() error {
	if o.Parallel < 1 || o.Parallel > maxParallel {
		return Usagef("--parallelism %d: want 1 to %d", o.Parallel, maxParallel)
	}
	return nil
}

// maxParallel bounds --parallelism: beyond it ECR only throttles.
const maxParallel = 256

// OpenRun reaches the registries that cfg chooses of its file, or the local one
// without a file. data is the folder of the local registry, as --data says.
func OpenRun(ctx context.Context, e *Env, cfg run.Config, data string) (*run.Run, error) {
	if v := e.Getenv(EnvTarget); cfg.File != nil && len(cfg.Targets) == 0 && v != "" {
		cfg.Targets = []string{v}
	}
	cfg.Now = e.Now
	cfg.Local = func(ctx context.Context, _ state.Target) (run.Local, error) { return OpenLocal(ctx, e, data) }
	if e.MovesCursor(e.Stderr) {
		cfg.Reading = func(names []string) run.Reading { return render.NewReading(e.Stderr, names) }
	}
	return run.Open(ctx, cfg)
}

// deployMemory is how many bytes Go's runtime takes before it collects what is
// no longer used rather than take more. A plan of 10,000 repositories uses
// less at once; a larger one takes what it needs.
const deployMemory = 136 << 20

// OpenFile reads the file of o and reaches its registries that o chooses.
func OpenFile(ctx context.Context, e *Env, o TargetsOptions, cfg run.Config) (*run.Run, error) {
	if e.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(deployMemory)
	}
	f, err := LoadFile(e, o.FileOptions, e.Stderr)
	if err != nil {
		return nil, err
	}
	cfg.File, cfg.Files, cfg.Targets, cfg.Parallel = f, FileNames(e, o.FileOptions), o.Targets, o.Parallel
	return OpenRun(ctx, e, cfg, o.Data)
}

// OpenUsed is OpenFile for what must know which images are in use.
func OpenUsed(ctx context.Context, e *Env, o TargetsOptions, used UsedOptions) (*run.Run, error) {
	files, err := ReadInUse(e, used.Leases)
	if err != nil {
		return nil, err
	}
	return OpenFile(ctx, e, o, run.Config{InUse: files, Hosts: used.Hosts})
}

// OpenEndpoint reaches the registry at the endpoint of o.
func OpenEndpoint(ctx context.Context, e *Env, o TargetsOptions, cfg run.Config) (r *run.Run, err error) {
	if err := o.EndpointOptions.Check(append(append([]string{o.Data}, o.Targets...), o.Files...)...); err != nil {
		return nil, err
	}
	if cfg.File, err = o.file(ctx); err != nil {
		return nil, err
	}
	return OpenRun(ctx, e, cfg, "")
}

// OpenOne reaches the one registry that o chooses, by the file where there is
// one, and else the local one or that at the endpoint; then the file is nil.
func OpenOne(ctx context.Context, e *Env, o TargetOptions, cfg run.Config) (r *run.Run, in *run.Registry, f *spec.File, err error) {
	if err := o.EndpointOptions.Check(append([]string{o.Data, o.Target}, o.Files...)...); err != nil {
		return nil, nil, nil, err
	}
	if o.Endpoint != "" {
		if cfg.File, err = o.file(ctx); err != nil {
			return nil, nil, nil, err
		}
	} else if len(FileNames(e, o.FileOptions)) > 0 {
		if f, err = LoadFile(e, o.FileOptions, e.Stderr); err != nil {
			return nil, nil, nil, err
		}
		cfg.File, cfg.One = f, true
		if o.Target != "" {
			cfg.Targets = []string{o.Target}
		}
	}
	if r, err = OpenRun(ctx, e, cfg, o.Data); err != nil {
		return nil, nil, nil, err
	}
	in = r.Registries[0]
	if in.Err != nil {
		return nil, nil, nil, errors.Join(in.Err, r.Close())
	}
	return r, in, f, nil
}

// OpenLocal reaches the registry of the data folder.
func OpenLocal(ctx context.Context, e *Env, data string) (run.Local, error) {
	dir, err := e.DataDir(data)
	if err != nil {
		return run.Local{}, err
	}
	conn, end, err := host.Reach(ctx, dir)
	if err != nil {
		return run.Local{}, err
	}
	return up.Local(conn, dir, end), nil
}

// MovesCursor reports whether a stream is a terminal that bars can be drawn on.
func (e *Env) MovesCursor(stream any) bool { return e.IsTerminal(stream) && e.Getenv("TERM") != "dumb" }

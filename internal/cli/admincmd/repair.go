package admincmd

import (
	"context"
	"net"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/cli/command"
	"github.com/kontor-registry/kontor/internal/datadir"
	"github.com/kontor-registry/kontor/internal/dockerauth"
	"github.com/kontor-registry/kontor/internal/host"
	"github.com/kontor-registry/kontor/internal/remote"
	"github.com/kontor-registry/kontor/internal/render"
	"github.com/kontor-registry/kontor/internal/store/check"
	"github.com/kontor-registry/kontor/internal/store/repair"
)

// repairOptions are the flags of `kontor admin repair`.
type repairOptions struct {
	data, config, from        string
	plainHTTP, dryRun, asJSON bool
}

func repairCommand(e *command.Env) *cobra.Command {
	var o repairOptions
	cmd := &cobra.Command{
		Use:   "repair --from REGISTRY [flags]",
		Short: "Replace damaged and missing blobs by those of another registry",
		Long: `Check all stored data as kontor admin check does, and fetch each blob that is damaged
or missing from another registry: by its digest, from the repositories of the same
names. The content is compared with the digest before it takes the place of the
damaged blob. Log in to the other registry first, as docker does.

The server of a data folder must be stopped. With --config, the data is that of a
kontor serve with this configuration: with PostgreSQL and S3 its servers may run.

Damaged manifests and missing tags are reported only: they are in the database, which
is restored from a backup, or pushed again. The command exits with 1 if anything is
still damaged.`,
		Example: `  kontor admin repair --from registry.example.com --dry-run
  kontor admin repair --from registry.example.com --config serve.yaml --json`,
		Args: command.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runRepair(cmd.Context(), e, o) },
	}
	command.DataFlag(e, cmd, &o.data)
	f := cmd.Flags()
	f.StringVar(&o.from, "from", "", "fetch blobs from the registry at `HOST` (required)")
	f.StringVar(&o.config, "config", "", "repair the data of the kontor serve whose configuration is in `FILE` (default that in --data)")
	command.Must(cmd.MarkFlagFilename("config", "yaml", "yml", "json"))
	f.BoolVar(&o.plainHTTP, "plain-http", false, "speak HTTP without TLS to the registry, as is done with this machine (default false)")
	f.BoolVar(&o.dryRun, "dry-run", false, "say what would be repaired, and change nothing (default false)")
	command.JSONFlag(cmd, &o.asJSON)
	return cmd
}

func runRepair(ctx context.Context, e *command.Env, o repairOptions) error {
	switch {
	case o.from == "":
		return command.Usagef("give --from HOST: the registry to fetch blobs from")
	case o.config != "" && o.data != "":
		return command.Usagef("--config and --data cannot be combined")
	}
	from, err := repairSource(e, o)
	if err != nil {
		return err
	}
	report, err := repairStores(ctx, e, o, func(ctx context.Context, at repair.Config) (r render.Repaired, err error) {
		at.From, at.DryRun = from, o.dryRun
		found, err := check.Run(ctx, check.Config{Meta: at.Meta, Blobs: at.Blobs})
		if err != nil {
			return r, err
		}
		r = render.Repaired{DryRun: o.dryRun, Before: found, After: found}
		r.Outcomes, err = repair.Blobs(ctx, at, found.Damaged)
		if err == nil && !o.dryRun && len(r.Outcomes) > 0 {
			r.After, err = check.Run(ctx, check.Config{Meta: at.Meta, Blobs: at.Blobs})
		}
		return r, err
	})
	if err != nil {
		return err
	}
	if o.asJSON {
		err = render.JSON(e.Stdout, report)
	} else {
		err = render.Repair(e.Stdout, report, e.Options(e.Stdout))
	}
	if err == nil && len(report.After.Damaged) > 0 {
		err = command.Exit(command.ExitFailed)
	}
	return err
}

// repairSource is the registry to ask.
func repairSource(e *command.Env, o repairOptions) (*remote.Registry, error) {
	logins, err := dockerauth.Default(e.Getenv)
	if err != nil {
		return nil, err
	}
	name, _, err := net.SplitHostPort(o.from)
	if err != nil {
		name = o.from
	}
	from, err := remote.New(remote.Config{
		Host: o.from, PlainHTTP: o.plainHTTP || host.IsLoopback(strings.Trim(name, "[]")), Credentials: remote.Docker(logins), Now: e.Now,
		Waiting: func(w remote.Wait) {
			if w.For >= 2*time.Second {
				e.Notice("waiting for %s: %v", w.For.Round(time.Second), w.Err)
			}
		},
	})
	if err != nil {
		return nil, command.Usagef("--from: %v", err)
	}
	return from, nil
}

// repairStores opens the data, to change it, and calls do.
func repairStores(ctx context.Context, e *command.Env, o repairOptions, do func(context.Context, repair.Config) (render.Repaired, error)) (r render.Repaired, err error) {
	if o.config != "" {
		c, err := e.ServeConfig(o.config)
		if err != nil {
			return r, err
		}
		data, err := c.Open(ctx)
		if err != nil {
			return r, err
		}
		defer command.Closing(&err, data.Close)
		return do(ctx, repair.Config{Meta: data.Meta, Blobs: data.Blobs})
	}
	path, err := e.DataDir(o.data)
	if err != nil {
		return r, err
	}
	there, err := datadir.OpenReader(ctx, path) // which makes no folder
	if err != nil {
		return r, err
	}
	if err := there.Close(); err != nil {
		return r, err
	}
	dir, err := datadir.Open(ctx, path)
	if err != nil {
		return r, err
	}
	defer command.Closing(&err, dir.Close)
	return do(ctx, repair.Config{Meta: dir.Meta, Blobs: dir.Blobs})
}

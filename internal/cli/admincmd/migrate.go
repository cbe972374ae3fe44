package admincmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/cli/command"
	"github.com/kontor-registry/kontor/internal/deploy/lang"
	"github.com/kontor-registry/kontor/internal/host/serve"
	"github.com/kontor-registry/kontor/internal/render"
	"github.com/kontor-registry/kontor/internal/store/move"
)

// migration is what the flags of kontor admin migrate say.
type migration struct {
	from, to              string
	check, finish, cancel bool
	leaveDamaged, stopped bool
	workers               int
	asJSON                bool
}

func migrateCommand(e *command.Env) *cobra.Command {
	var m migration
	cmd := &cobra.Command{
		Use:   "migrate --from FILE --to FILE [flags]",
		Short: "Move a registry to another database or blob store",
		Long: `Move the data of kontor serve from one configuration to another: from SQLite to
PostgreSQL or back, from a folder to S3 or back, or both. The two files are
configurations of kontor serve, of which the environment changes nothing. Both need
the same master key.

Without --finish, the command copies blobs while the servers run, and changes nothing
for them. Run it as often as you like. With --finish, it copies what is new and then
stops writes to the old database: servers answer pushes and other changes with 503, and
pulls go on. It copies the last blobs and all rows, compares both ends, and ends. Then
start servers with the new configuration, send clients there, and stop the old servers.
The old database refuses writes from then on.

Each blob is read at its destination and compared with its digest, each table is
compared row by row. A run that was killed can be run again: blobs that are there are
read again, not copied again.

When the blobs move and the database stays, stop the servers before --finish. Uploads
under way when the blob store changes are begun again by their clients.`,
		Example: `  kontor admin migrate --from old.yaml --to new.yaml --check
  kontor admin migrate --from old.yaml --to new.yaml
  kontor admin migrate --from old.yaml --to new.yaml --finish --json`,
		Args: command.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return m.run(cmd.Context(), e) },
	}
	f := cmd.Flags()
	f.StringVar(&m.from, "from", "", "the configuration `FILE` of the servers that run (required)")
	f.StringVar(&m.to, "to", "", "the configuration `FILE` of those to come (required)")
	f.BoolVar(&m.check, "check", false, "only check that the move is possible, and show its size (default false)")
	f.BoolVar(&m.finish, "finish", false, "stop writes to the old database and move for good (default false)")
	f.BoolVar(&m.cancel, "cancel", false, "let the old database take writes again, after --finish; not when servers with the new configuration were started (default false)")
	f.BoolVar(&m.leaveDamaged, "leave-damaged", false, "move without blobs that are damaged or missing already (default false)")
	f.BoolVar(&m.stopped, "servers-stopped", false, "say that no server runs, where the database stays and this cannot be seen (default false)")
	f.IntVar(&m.workers, "workers", 8, "copy `N` blobs at a time")
	command.Must(cmd.MarkFlagFilename("from", "yaml", "yml", "json"))
	command.Must(cmd.MarkFlagFilename("to", "yaml", "yml", "json"))
	command.JSONFlag(cmd, &m.asJSON)
	return cmd
}

func (m *migration) run(ctx context.Context, e *command.Env) (err error) {
	given := 0
	for _, on := range []bool{m.check, m.finish, m.cancel} {
		if on {
			given++
		}
	}
	switch {
	case m.from == "" || m.to == "":
		return command.Usagef("give --from and --to")
	case given > 1:
		return command.Usagef("give one of --check, --finish and --cancel")
	case m.workers < 1 || m.workers > 256:
		return command.Usagef("--workers %d: want 1 to 256", m.workers)
	}
	from, err := serveConfig("--from", m.from)
	if err != nil {
		return err
	}
	to, err := serveConfig("--to", m.to)
	if err != nil {
		return err
	}
	ends, err := serve.OpenMove(ctx, from, to)
	if err != nil {
		return err
	}
	defer command.Closing(&err, ends.Close)
	ends.Workers, ends.LeaveDamaged, ends.Now = m.workers, m.leaveDamaged, time.Now
	progress := &progressLines{w: e.Stderr}
	ends.Progress = progress.tell
	switch {
	case m.check:
		return m.showPlan(ctx, e, ends.Config)
	case m.cancel:
		return m.takeBack(ctx, e, ends.Config)
	case m.finish && ends.SameDatabase:
		sure, err := ends.Stop(ctx)
		if err != nil {
			return err
		}
		if !sure && !m.stopped {
			return errors.New("the database stays, and servers with the old configuration would write blobs to the old blob store: stop all of them, and pass --servers-stopped")
		}
	}
	run := move.Copy
	if m.finish {
		run = move.Finish
	}
	return m.show(ctx, e, ends.Config, run)
}

func (m *migration) show(ctx context.Context, e *command.Env, cfg move.Config, run func(context.Context, move.Config) (move.Report, error)) error {
	r, err := run(ctx, cfg)
	if errors.Is(err, move.ErrFinished) {
		r.Finished = true
		_, err := fmt.Fprintln(e.Stderr, "The registry was moved there already: start servers with the new configuration.")
		if err == nil && m.asJSON {
			err = render.JSON(e.Stdout, r)
		}
		return err
	}
	if err != nil && !errors.Is(err, move.ErrDamaged) {
		return m.stays(ctx, cfg, err)
	}
	shown := err
	if m.asJSON {
		err = render.JSON(e.Stdout, r)
	} else {
		err = render.Move(e.Stdout, r, e.Options(e.Stdout))
	}
	if err == nil && shown != nil {
		return m.stays(ctx, cfg, fmt.Errorf("%w: restore them, or move without them with --leave-damaged", shown))
	}
	if err == nil && len(r.Damaged) > 0 && !m.leaveDamaged {
		err = command.Exit(command.ExitFailed)
	}
	return err
}

// stays adds to an error what has become of the old database.
func (m *migration) stays(ctx context.Context, cfg move.Config, err error) error {
	if fenced, ferr := cfg.From.Rows.Fenced(context.WithoutCancel(ctx)); ferr == nil && fenced {
		return fmt.Errorf("%w; the old database refuses writes: run the command again with --finish, or with --cancel to go back", err)
	}
	return err
}

func (m *migration) showPlan(ctx context.Context, e *command.Env, cfg move.Config) error {
	p, err := move.Check(ctx, cfg)
	if err != nil {
		return err
	}
	if m.asJSON {
		return render.JSON(e.Stdout, p)
	}
	return render.MovePlan(e.Stdout, p, e.Options(e.Stdout))
}

func (m *migration) takeBack(ctx context.Context, e *command.Env, cfg move.Config) error {
	if err := move.Cancel(ctx, cfg.From.Rows); err != nil {
		return err
	}
	if m.asJSON {
		return render.JSON(e.Stdout, struct {
			Cancelled bool `json:"cancelled"`
		}{true})
	}
	_, err := fmt.Fprintln(e.Stdout, "The old database takes writes. Do not start servers with the new configuration.")
	return err
}

// serveConfig reads a configuration that the environment does not change: it would
// change both.
func serveConfig(flag, name string) (*serve.Config, error) {
	b, err := os.ReadFile(filepath.Clean(name))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", flag, err)
	}
	return serve.Load(&lang.Source{Name: name, Data: b}, func(string) string { return "" })
}

// progressLines writes a line for each new part of a move, and every two seconds.
type progressLines struct {
	w     io.Writer
	mu    sync.Mutex
	phase move.Phase // guarded by mu
	last  time.Time  // guarded by mu
}

func (l *progressLines) tell(p move.Progress) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if p.Phase == l.phase && time.Since(l.last) < 2*time.Second {
		return
	}
	l.phase, l.last = p.Phase, time.Now()
	_, _ = fmt.Fprintln(l.w, render.MoveProgress(p)) // the move does not depend on it
}

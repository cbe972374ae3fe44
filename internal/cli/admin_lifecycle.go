package cli

import (
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/render"
	"github.com/kontor-registry/kontor/internal/report"
	"github.com/kontor-registry/kontor/internal/wire/admin"
)

func (e *Env) adminLifecycleCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "lifecycle COMMAND",
		Short: "Run lifecycle policies",
		Example: `  kontor admin lifecycle run --dry-run
  kontor admin lifecycle run team/app`,
		Args: cobra.ArbitraryArgs,
		RunE: runGroup,
	}
	cmd.AddCommand(e.adminLifecycleRunCommand())
	return cmd
}

func (e *Env) adminLifecycleRunCommand() *cobra.Command {
	var (
		o      adminOptions
		in     admin.RunLifecycleRequest
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "run [REPOSITORY] [flags]",
		Short: "Run lifecycle policies now",
		Long: `Run the lifecycle policy of a repository now, or those of all, as the server does
every hour. Print which images expired, by which rule, and why others were kept
although a rule would act on them. Expired images can be restored for a time
(kontor admin bin).

A run that would expire more images than the server allows changes nothing and
exits with 1; --force expires them. kontor lifecycle preview shows the same
before a run, also for another policy.`,
		Example: `  kontor admin lifecycle run --dry-run
  kontor admin lifecycle run team/app --json | jq '.runs[].outcomes[] | select(.action == "expire")'`,
		Args: between(0, 1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			name, err := repositoryArgument(args)
			if err != nil {
				return err
			}
			c, err := e.admin(cmd.Context(), o)
			if err != nil {
				return err
			}
			defer closing(&err, c.close)
			names, err := c.repositories(cmd.Context(), name)
			if err != nil {
				return err
			}
			done := report.LifecycleRuns{Runs: []admin.RunLifecycleResponse{}}
			for _, n := range names {
				in.RepositoryName = n
				var out admin.RunLifecycleResponse
				err := c.call(cmd.Context(), "RunLifecycle", in, &out)
				if name == "" && ecr.CodeOf(err) == ecr.CodeLifecyclePolicyNotFound {
					continue
				}
				if err != nil {
					return err
				}
				done.Runs = append(done.Runs, out)
			}
			if asJSON {
				err = render.JSON(e.Stdout, done)
			} else {
				err = render.LifecycleRuns(e.Stdout, done, e.options(e.Stdout))
			}
			if err == nil && done.Stopped() {
				err = &exitError{exitFailed}
			}
			return err
		},
	}
	o.flags(e, cmd)
	f := cmd.Flags()
	f.BoolVar(&in.DryRun, "dry-run", false, "only print what would expire (default false)")
	f.BoolVar(&in.Force, "force", false, "expire more images than the server allows (default false)")
	jsonFlag(cmd, &asJSON)
	cmd.ValidArgsFunction = e.completeRepository(&fileOptions{})
	return cmd
}

func (e *Env) adminClockCommand() *cobra.Command {
	var (
		o      adminOptions
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "clock [+TIME] [flags]",
		Short: "Move the image clock of a registry for tests",
		Long: `Print the image clock, or move it forward. Push times and the ages that lifecycle
policies count come from it; logins and signatures do not. It moves only on a
server that was started with --test-clock: kontor up --test-clock.`,
		Example: `  kontor admin clock +15d
  kontor admin clock +36h
  kontor admin clock`,
		Args: between(0, 1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			var in admin.MoveClockRequest
			if len(args) > 0 {
				text, ok := strings.CutPrefix(args[0], "+")
				d, err := parseDuration(text)
				if !ok || err != nil {
					return usagef("%q: want how far to move it forward, such as +15d or +36h", args[0])
				}
				in.MoveSeconds = int64(d / time.Second)
			}
			c, err := e.admin(cmd.Context(), o)
			if err != nil {
				return err
			}
			defer closing(&err, c.close)
			var out admin.MoveClockResponse
			if err := c.call(cmd.Context(), "MoveClock", in, &out); err != nil {
				return err
			}
			if asJSON {
				return render.JSON(e.Stdout, out)
			}
			return render.Clock(e.Stdout, out.Now, e.options(e.Stdout))
		},
	}
	o.flags(e, cmd)
	jsonFlag(cmd, &asJSON)
	cmd.ValidArgsFunction = cobra.NoFileCompletions
	return cmd
}

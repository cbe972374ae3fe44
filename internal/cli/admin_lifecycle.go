package cli

import (
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/render"
	"github.com/kontor-registry/kontor/internal/wire/admin"
)

func adminLifecycleCommand(e *Env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "lifecycle COMMAND",
		Short: "Carry lifecycle policies out",
		Example: `  kontor admin lifecycle run --dry-run
  kontor admin lifecycle run team/app`,
		Args: cobra.ArbitraryArgs,
		RunE: runGroup,
	}
	cmd.AddCommand(adminLifecycleRunCommand(e))
	return cmd
}

func adminLifecycleRunCommand(e *Env) *cobra.Command {
	var (
		o      adminOptions
		in     admin.RunLifecycleRequest
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "run [REPOSITORY] [flags]",
		Short: "Run lifecycle policies now",
		Long: `Carry out the lifecycle policy of a repository now, or those of all, as the server
does by itself every hour. Prints which images went, by which rule, and why others
stay on which a rule acts. What went can be restored for a while (kontor admin
bin).

A run that would expire more than the server allows stops, and exits with 1;
--force lets it go on. kontor lifecycle preview says the same beforehand, also of
other policies.`,
		Example: `  kontor admin lifecycle run --dry-run
  kontor admin lifecycle run team/app --json | jq '.runs[].outcomes[] | select(.action == "expire")'`,
		Args: between(0, 1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			name, err := repositoryArgument(args)
			if err != nil {
				return err
			}
			c, err := openAdmin(cmd.Context(), e, o)
			if err != nil {
				return err
			}
			defer closing(&err, c.close)
			names, err := c.repositories(cmd.Context(), name)
			if err != nil {
				return err
			}
			runs, stopped := []admin.RunLifecycleResponse{}, false
			for _, n := range names {
				in.RepositoryName = n
				var out admin.RunLifecycleResponse
				err := c.Call(cmd.Context(), "RunLifecycle", in, &out)
				if name == "" && ecr.CodeOf(err) == ecr.CodeLifecyclePolicyNotFound {
					continue
				}
				if err != nil {
					return err
				}
				runs = append(runs, out)
				stopped = stopped || out.Stopped
			}
			if asJSON {
				err = render.JSON(e.Stdout, struct {
					Runs []admin.RunLifecycleResponse `json:"runs"`
				}{runs})
			} else {
				err = render.LifecycleRuns(e.Stdout, runs, e.options(e.Stdout))
			}
			if err == nil && stopped {
				err = &exitError{exitFailed}
			}
			return err
		},
	}
	o.flags(e, cmd)
	f := cmd.Flags()
	f.BoolVar(&in.DryRun, "dry-run", false, "only print what would go (default false)")
	f.BoolVar(&in.Force, "force", false, "expire however many images it takes (default false)")
	jsonFlag(cmd, &asJSON)
	cmd.ValidArgsFunction = completeRepository(e, &fileOptions{})
	return cmd
}

func adminClockCommand(e *Env) *cobra.Command {
	var (
		o      adminOptions
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "clock [+TIME] [flags]",
		Short: "Move the image clock of a registry for tests",
		Long: `Print the image clock, or move it on: push times and the ages that lifecycle
policies count come from it, logins and signatures do not. Only on a server that
was started with --test-clock: kontor up --test-clock.`,
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
					return usagef("%q: want how far to move it on, such as +15d or +36h", args[0])
				}
				in.MoveSeconds = int64(d / time.Second)
			}
			c, err := openAdmin(cmd.Context(), e, o)
			if err != nil {
				return err
			}
			defer closing(&err, c.close)
			var out admin.MoveClockResponse
			if err := c.Call(cmd.Context(), "MoveClock", in, &out); err != nil {
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

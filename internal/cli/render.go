package cli

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/cli/command"
	"github.com/kontor-registry/kontor/internal/deploy/run"
	"github.com/kontor-registry/kontor/internal/deploy/state"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/render"
	"github.com/kontor-registry/kontor/internal/report/rollout"
)

func renderCommand(e *command.Env) *cobra.Command {
	var (
		o      command.FileOptions
		target string
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "render [flags]",
		Short: "Show the ECR settings that a file produces",
		Long: `Show, for each repository of the file, the tag mutability, resource tags,
repository policy and lifecycle policy that apply would set, and whether it sets
scanning and encryption. No registry is contacted. If the registries of the file
differ in settings or repositories, each of them is shown.`,
		Example: `  kontor render -f kontor.yaml
  kontor render --json | jq '.repositories[].lifecycle'`,
		Args: command.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			f, err := command.LoadFile(e, o, e.Stderr)
			if err != nil {
				return err
			}
			d := f.Desired(ecr.LocalRegistry())
			if target != "" || !alike(d) && asJSON {
				t, err := run.ChooseOne(d.Targets, e.Setting(target, command.EnvTarget, ""))
				if err != nil {
					return err
				}
				d = d.For(t)
			}
			switch {
			case asJSON:
				return render.JSON(e.Stdout, rollout.NewSettings(d))
			case !alike(d):
				return render.SettingsByTarget(e.Stdout, d, e.Options(e.Stdout))
			}
			return render.Settings(e.Stdout, rollout.NewSettings(d), e.Options(e.Stdout))
		},
	}
	o.Flags(cmd)
	command.TargetFlag(e, cmd, &target, &o, "show the entry `NAME` of the file's registries (default all)")
	command.JSONFlag(cmd, &asJSON)
	return cmd
}

// alike reports whether all targets of d get the same repositories, with the
// same settings.
func alike(d state.Desired) bool {
	if len(d.Targets) < 2 {
		return true
	}
	form := func(t state.Target) string {
		var b strings.Builder
		_ = render.JSON(&b, rollout.NewSettings(d.For(t))) // a Builder takes everything, and policies have been checked
		return b.String()
	}
	first := form(d.Targets[0])
	return !slices.ContainsFunc(d.Targets[1:], func(t state.Target) bool { return form(t) != first })
}

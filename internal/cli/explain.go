package cli

import (
	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/cli/command"
	"github.com/kontor-registry/kontor/internal/deploy/spec/fields"
	"github.com/kontor-registry/kontor/internal/render"
	"github.com/kontor-registry/kontor/internal/report/rollout"
)

func explainFieldCommand(e *command.Env) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "explain [FIELD] [flags]",
		Short: "Explain a field of the file",
		Long: `Describe a field of the file: its purpose, type and default, the ECR setting that
it controls, the limits of ECR, and an example. Without FIELD, list all fields.

FIELD is a name (is_immutable), a path of names (registries.account), or the path
in an error (ecr_repositories.api.expiration_rules[0].days).`,
		Example: `  kontor explain expiration_rules
  kontor explain registries.role_arn`,
		Args: command.Between(0, 1),
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return fields.IDs(), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(_ *cobra.Command, args []string) error {
			found := fields.All()
			if len(args) == 1 {
				var near string
				if found, near = fields.Find(args[0]); len(found) == 0 {
					if near != "" {
						return command.Usagef("there is no field %q, did you mean %s?", args[0], near)
					}
					return command.Usagef("there is no field %q: list all fields with kontor explain", args[0])
				}
			}
			switch {
			case asJSON:
				return render.JSON(e.Stdout, rollout.NewFields(found))
			case len(args) == 0:
				return render.FieldList(e.Stdout, found, e.Options(e.Stdout))
			}
			return render.Fields(e.Stdout, found, e.Options(e.Stdout))
		},
	}
	command.JSONFlag(cmd, &asJSON)
	return cmd
}

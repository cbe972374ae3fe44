package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/cli/command"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/render"
	"github.com/kontor-registry/kontor/internal/report/words"
)

func validateCommand(e *command.Env) *cobra.Command {
	var (
		o      command.FileOptions
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "validate [flags]",
		Short: "Check a file without contacting a registry",
		Long: `Check a file and the policies that it produces, without contacting a registry.
Each error is one line, FILE:LINE:COLUMN: message.`,
		Example: "  kontor validate -f kontor.yaml",
		Args:    command.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			f, err := command.LoadFile(e, o, e.Stderr)
			if err != nil {
				return err
			}
			d := f.Desired(ecr.LocalRegistry())
			if asJSON {
				return render.JSON(e.Stdout, struct {
					Valid        bool   `json:"valid"`
					Stack        string `json:"stack"`
					Repositories int    `json:"repositories"`
					Templates    int    `json:"templates"`
					Upstreams    int    `json:"upstreams"`
					Signers      int    `json:"signers"`
					Receivers    int    `json:"event_receivers"`
					Replication  int    `json:"replication_rules"`
					Promotions   int    `json:"promotions"`
				}{
					true, d.Stack, len(d.Repositories), len(d.Wanted.Templates), len(d.Wanted.Upstreams), len(d.Wanted.Signers), len(d.Wanted.Receivers),
					d.Wanted.ReplicationRules, len(d.Promotions),
				})
			}
			has := words.Count(len(d.Repositories), "repository", "repositories")
			for _, part := range []struct {
				n         int
				one, many string
			}{
				{len(d.Wanted.Templates), "template", "templates"},
				{len(d.Wanted.Upstreams), "upstream", "upstreams"},
				{len(d.Wanted.Signers), "signer", "signers"},
				{len(d.Wanted.Receivers), "event receiver", "event receivers"},
				{d.Wanted.ReplicationRules, "replication rule", "replication rules"},
				{len(d.Promotions), "promotion", "promotions"},
			} {
				if part.n > 0 {
					has += ", " + words.Count(part.n, part.one, part.many)
				}
			}
			_, err = fmt.Fprintf(e.Stdout, "The file is valid: stack %s, %s.\n", d.Stack, has)
			return err
		},
	}
	o.Flags(cmd)
	command.JSONFlag(cmd, &asJSON)
	return cmd
}

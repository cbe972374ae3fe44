package logincmd

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/access/identity"
	"github.com/kontor-registry/kontor/internal/cli/command"
	"github.com/kontor-registry/kontor/internal/host"
	"github.com/kontor-registry/kontor/internal/render"
)

// Env is kontor env.
func Env(e *command.Env) *cobra.Command {
	var (
		o            command.LocalOptions
		format, user string
	)
	cmd := &cobra.Command{
		Use:   "env [flags]",
		Short: "Print variables for the AWS CLI and SDKs to reach the local registry",
		Long: `Print the credentials and the endpoint of the local registry as environment
variables:
AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION, AWS_DEFAULT_REGION,
AWS_ENDPOINT_URL (at this machine's address), KONTOR_REGISTRY (what image references
begin with, such as localhost:5050), KONTOR_ACCOUNT, and after up --tls AWS_CA_BUNDLE.

Pass the endpoint to the AWS CLI explicitly, because versions before 2.13 ignore
AWS_ENDPOINT_URL and would call AWS:

  aws --endpoint-url "$AWS_ENDPOINT_URL" ecr describe-repositories`,
		Example: `  eval "$(kontor env)"
  kontor env --format fish | source
  kontor env --format powershell | Invoke-Expression`,
		Args: command.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			write, ok := envFormats[format]
			if !ok {
				return command.Usagef("--format %s: want sh, fish, powershell or json", format)
			}
			dir, err := e.DataDir(o.Data)
			if err != nil {
				return err
			}
			c, running, err := host.Read(cmd.Context(), dir, o.Target, user)
			if err != nil {
				return err
			}
			if !running {
				if _, err := fmt.Fprintf(e.Stderr, "kontor: no server runs on %s now; start it with `kontor up --data %s`\n", dir, dir); err != nil {
					return err
				}
			}
			vars := [][2]string{
				{"AWS_ACCESS_KEY_ID", c.AccessKeyID},
				{"AWS_SECRET_ACCESS_KEY", c.SecretAccessKey},
				{"AWS_REGION", string(c.Registry.Region)},
				{"AWS_DEFAULT_REGION", string(c.Registry.Region)},
				{"AWS_ENDPOINT_URL", c.Endpoint},
				{"KONTOR_REGISTRY", c.Host},
				{"KONTOR_ACCOUNT", string(c.Registry.Account)},
			}
			if c.Authority != "" {
				vars = append(vars, [2]string{"AWS_CA_BUNDLE", c.Authority})
			}
			return write(e.Stdout, vars)
		},
	}
	o.Flags(e, cmd)
	cmd.Flags().StringVar(&format, "format", "sh", "write for `SHELL`: sh, fish or powershell; or json")
	cmd.Flags().StringVar(&user, "user", identity.Administrator, "act as `USER`: "+identity.Administrator+", "+identity.Pusher+" who can push and pull only, or another of the account")
	command.CompleteWords(cmd, "format", "sh", "fish", "powershell", "json")
	command.CompleteWords(cmd, "user", identity.Administrator, identity.Pusher)
	return cmd
}

// envFormats write variables in the languages of shells.
var envFormats = map[string]func(io.Writer, [][2]string) error{
	// POSIX shell, 2.2.2: nothing is special between single quotes.
	"sh": envLines("unset %s\n", "export %s='%s'\n", `'`, `'\''`),
	// fish, "Quotes": between single quotes, \' and \\ are.
	"fish": envLines("set -e %s\n", "set -gx %s '%s'\n", `'`, `\'`, `\`, `\\`),
	// PowerShell, about_Quoting_Rules: a quote is written twice; typographic
	// ones are quotes too.
	"powershell": envLines("Remove-Item Env:%s -ErrorAction Ignore\n", "$Env:%s = '%s'\n", "'", "''", "\u2018", "\u2018\u2018", "\u2019", "\u2019\u2019",
		"\u201a", "\u201a\u201a", "\u201b", "\u201b\u201b"),
	"json": func(w io.Writer, vars [][2]string) error {
		m := make(map[string]string, len(vars))
		for _, v := range vars {
			m[v[0]] = v[1]
		}
		return render.JSON(w, m)
	},
}

// leftovers are variables of another login that would win over ours, or spoil
// them: session credentials have a token that does not go with our key.
var leftovers = []string{"AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_DEFAULT_PROFILE"}

// envLines unsets the leftovers, and writes a line for each variable, its
// value with each first of escapes replaced by the second.
func envLines(unset, line string, escapes ...string) func(io.Writer, [][2]string) error {
	escape := strings.NewReplacer(escapes...)
	return func(w io.Writer, vars [][2]string) error {
		for _, name := range leftovers {
			if _, err := fmt.Fprintf(w, unset, name); err != nil {
				return err
			}
		}
		for _, v := range vars {
			if _, err := fmt.Fprintf(w, line, v[0], escape.Replace(v[1])); err != nil {
				return err
			}
		}
		return nil
	}
}

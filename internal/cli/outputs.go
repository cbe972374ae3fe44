package cli

import (
	"context"
	"net/url"

	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/deploy/state"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/render"
)

func (e *Env) outputsCommand() *cobra.Command {
	var (
		o      targetOptions
		asJSON bool
		format string
	)
	cmd := &cobra.Command{
		Use:   "outputs [flags]",
		Short: "Print registry hosts, repository URIs and ARNs",
		Long: `Print the host of each registry of the file, and the URI and ARN of each
repository. On AWS they follow from the file, and nothing is reached; without
registries: the local registry of --data tells its host.

The env format has lines KEY=value: KONTOR_REGISTRY, KONTOR_ACCOUNT,
KONTOR_REGION, and for each repository KONTOR_URI_NAME and KONTOR_ARN_NAME.`,
		Example: `  kontor outputs --json | jq -r '.registries[].repositories[].uri'
  kontor outputs --format env > images.env`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if asJSON {
				if cmd.Flags().Changed("format") && format != "json" {
					return usagef("--json and --format %s contradict each other", format)
				}
				format = "json"
			}
			switch format {
			case "text", "json", "env":
			default:
				return usagef("unknown format %q: it is text, json or env", format)
			}
			all, err := e.outputs(cmd.Context(), o, format == "env")
			if err != nil {
				return err
			}
			switch format {
			case "json":
				return render.OutputsJSON(e.Stdout, all)
			case "env":
				return render.OutputsEnv(e.Stdout, all[0])
			}
			return render.OutputsText(e.Stdout, all, e.options(e.Stdout))
		},
	}
	o.flags(e, cmd)
	jsonFlag(cmd, &asJSON)
	cmd.Flags().StringVar(&format, "format", "text", "write `FORMAT`: text, json or env")
	if err := cmd.RegisterFlagCompletionFunc("format", cobra.FixedCompletions([]string{"text", "json", "env"}, cobra.ShellCompDirectiveNoFileComp)); err != nil {
		panic(err) // the flag is defined in the line above
	}
	return cmd
}

// outputs collects the targets that o chooses: all, unless one is named or
// one is wanted.
func (e *Env) outputs(ctx context.Context, o targetOptions, one bool) (all []render.Outputs, err error) {
	f, err := e.loadFile(o.fileOptions, e.Stderr)
	if err != nil {
		return nil, err
	}
	d := f.Desired(anyRegistry)
	targets := d.Targets
	if one || o.target != "" || e.Getenv(envTarget) != "" {
		t, err := e.pickTarget(targets, o.target)
		if err != nil {
			return nil, err
		}
		targets = []state.Target{t}
	}
	var names []ecr.RepositoryName
	for _, r := range d.Repositories {
		names = append(names, r.Name)
	}
	for _, t := range targets {
		id, host := t.Registry, t.Registry.Host()
		if u, err := url.Parse(t.Endpoint); err == nil && u.Host != "" {
			// A server in place of AWS has one port for both.
			host = u.Host
		}
		if t.Local {
			id, host, err = e.localHost(ctx, o.data)
			if err != nil {
				return nil, err
			}
		}
		all = append(all, render.NewOutputs(t.Name, id, host, names))
	}
	return all, nil
}

// localHost asks the local registry for its id and host.
func (e *Env) localHost(ctx context.Context, data string) (_ ecr.RegistryID, _ string, err error) {
	dir, err := e.dataDir(data)
	if err != nil {
		return ecr.RegistryID{}, "", err
	}
	conn, closeServer, err := e.localRegistry(ctx, dir)
	if err != nil {
		return ecr.RegistryID{}, "", err
	}
	if closeServer != nil {
		defer closing(&err, closeServer)
	}
	return conn.Registry, conn.Host, nil
}

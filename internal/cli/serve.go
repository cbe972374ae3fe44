package cli

import (
	"context"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/cli/command"
	"github.com/kontor-registry/kontor/internal/host/serve"
)

// serveOptions are the flags of `kontor serve`.
type serveOptions struct {
	config        string
	check, schema bool
}

func serveCommand(e *command.Env) *cobra.Command {
	var o serveOptions
	cmd := &cobra.Command{
		Use:   "serve [flags]",
		Short: "Run the registry as a service, as a configuration file says",
		Long: `Run the registry as a service: registries by host name or port, metadata in SQLite
or PostgreSQL, blobs in a folder or in S3. A YAML file says which; an environment variable
for each of its fields takes precedence, such as KONTOR_DATABASE_URL_FILE for
database.url_file. docs/serve.md has all of them.

It deploys no file of repositories: use kontor apply with the server's URL as
endpoint. It never makes a master key: kontor admin master-key new writes one.

On SIGTERM it serves on for the time of drain, with /readyz answering 503, then
accepts no connections and lets running requests finish for the time of grace. A
second signal ends it at once.`,
		Example: `  kontor serve --config serve.yaml --check
  kontor serve --config serve.yaml`,
		Args: command.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runServe(cmd.Context(), e, o) },
	}
	f := cmd.Flags()
	f.StringVar(&o.config, "config", "", fmt.Sprintf("read the configuration from `FILE` (default the environment alone; env %s)", command.EnvConfig))
	command.Must(cmd.MarkFlagFilename("config", "yaml", "yml", "json"))
	f.BoolVar(&o.check, "check", false, "check the configuration and the files that it names, say what would be served, and exit (default false)")
	f.BoolVar(&o.schema, "schema", false, "print the JSON Schema of the configuration and exit (default false)")
	return cmd
}

func runServe(ctx context.Context, e *command.Env, o serveOptions) (err error) {
	if o.schema {
		_, err := e.Stdout.Write(serve.Schema())
		return err
	}
	c, err := e.ServeConfig(o.config)
	if err != nil {
		return err
	}
	if o.check {
		traces, err := c.Traces(e.Getenv)
		if err != nil {
			return err
		}
		return sayLines(e, slices.Concat(c.Lines(), traces, []serve.Line{{What: "check", Value: "the configuration is right"}}))
	}
	figures, err := listenMetrics(ctx, c.Settings.MetricsListen, true)
	if err != nil {
		return err
	}
	options := serve.Options{Getenv: e.Getenv}
	if figures != nil {
		defer command.Closing(&err, figures.Close)
		options.Wrap, options.Observer = figures.Timed, figures
	}
	name := c.Settings.Log
	switch name {
	case "":
		name = "-"
	case "none":
		name = ""
	}
	log, closeLog, err := openLog(e, name)
	if err != nil {
		return err
	}
	defer command.Closing(&err, closeLog)
	options.Log = log
	s, err := serve.Start(ctx, c, options)
	if err != nil {
		return err
	}
	defer command.Closing(&err, s.Close)
	e.Notices(s.Notices)
	lines := c.Lines()
	lines[0].Value = s.Registries[0].Endpoint
	if err := sayLines(e, lines); err != nil {
		return err
	}
	if _, err := fmt.Fprintln(e.Stdout, "\nkontor is ready. Press Ctrl-C to stop."); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		_, err := fmt.Fprintln(e.Stdout, "\nStopping.")
		return err
	case <-s.Ended():
		return fmt.Errorf("the registry stopped: %w", s.Err())
	}
}

func sayLines(e *command.Env, lines []serve.Line) error {
	for _, l := range lines {
		if _, err := fmt.Fprintf(e.Stdout, "%-9s %s\n", l.What, l.Value); err != nil {
			return err
		}
	}
	return nil
}

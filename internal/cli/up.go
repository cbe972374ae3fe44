package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/cli/command"
	"github.com/kontor-registry/kontor/internal/deploy/spec"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/host"
	"github.com/kontor-registry/kontor/internal/host/up"
	"github.com/kontor-registry/kontor/internal/registry"
	"github.com/kontor-registry/kontor/internal/render"
	"github.com/kontor-registry/kontor/internal/server"
)

// upOptions are the flags of `kontor up`.
type upOptions struct {
	command.FileOptions
	data, listen, account, region, compat string
	machines                              string
	registryGiven                         bool // --account or --region was
	logFile                               string
	insecureHTTP                          bool
	externalURLs, trustedProxies          []string
	limits                                []string
	audit                                 string
	tls                                   bool
	tlsCert, tlsKey                       string
	collection                            collectionFlags
	identities                            string
	metricsListen, uploadAge              string
	console, consoleListen                string
	upstreams, eventHosts                 []string
}

func upCommand(e *command.Env) *cobra.Command {
	var o upOptions
	cmd := &cobra.Command{
		Use:   "up [flags]",
		Short: "Run a local registry and deploy the file to it",
		Long: `Run an ECR-compatible registry on this machine, create the repositories in the
file, print how to log in and push, and serve until interrupted. Running it again
with the same data folder keeps all data.

Without -f, it deploys kontor.yaml (or .json, .hcl) of the current folder, or a
small built-in example if there is none. It never talks to AWS: each entry of
registries: becomes a local registry of that account and region on its own port,
counting up from the port of --listen.

The file is deployed with the checks of kontor apply. If one of its
lifecycle_tests or access_tests fails, or a change would expire an image in use or
more images than plan.max_expire allows, up changes nothing and exits. Access
tests for users and roles that this registry does not have are not run; up lists
them.`,
		Example: `  kontor up
  kontor up -f kontor.yaml --data ./registry --listen localhost:5060`,
		Args: command.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.registryGiven = cmd.Flags().Changed("account") || cmd.Flags().Changed("region")
			return runUp(cmd.Context(), e, o)
		},
	}
	o.FileOptions.Flags(cmd)
	command.DataFlag(e, cmd, &o.data)
	f := cmd.Flags()
	f.StringVar(&o.listen, "listen", "", fmt.Sprintf("serve on `HOST:PORT`; port 0 picks a free port (default %s; env %s)", host.DefaultListen, envListen))
	f.StringVar(&o.account, "account", string(ecr.LocalRegistry().Account), "use account `ID` for the registry, unless the file has registries")
	f.StringVar(&o.region, "region", string(ecr.LocalRegistry().Region), "use region `NAME` for the registry, unless the file has registries")
	f.StringVar(&o.compat, "compat", "", fmt.Sprintf("follow `WHAT` where the two differ: ecr (what works here works on ECR) or oci (the OCI specification) (default %s; env %s)", registry.CompatECR, envCompat))
	f.StringVar(&o.machines, "machine-credentials", "", fmt.Sprintf("accept machine tokens of users, and tokens of identity providers, as docker passwords: `SWITCH` is on or off (default on with --compat oci, off with --compat ecr; env %s)", envMachine))
	f.StringVar(&o.logFile, "log", "", fmt.Sprintf("write a line per request, as JSON, to `FILE`, or - for stderr (default none; env %s)", envLog))
	f.BoolVar(&o.insecureHTTP, "insecure-http", false, "serve plain HTTP to other machines, which sends passwords unencrypted (default false)")
	f.StringArrayVar(&o.externalURLs, "external-url", nil, fmt.Sprintf("use `URL` as the address at which clients reach the registry, or NAME=URL for the registry NAME of the file; without NAME the other registries follow its port; may be given several times (default the host that a request was sent to; env %s, separated by commas)", envExternalURL))
	f.StringArrayVar(&o.trustedProxies, "trusted-proxy", nil, fmt.Sprintf("trust X-Forwarded-For, X-Forwarded-Host and X-Forwarded-Proto of the proxy at `ADDRESS`, or of a network such as 10.0.0.0/8; may be given several times (default none; env %s, separated by commas)", envTrustedProxy))
	limitFlag(cmd, &o.limits)
	auditFlag(cmd, &o.audit)
	f.BoolVar(&o.tls, "tls", false, "serve https with a certificate of a local authority, created in the data folder; prints how to trust it (default false)")
	f.StringVar(&o.tlsCert, "tls-cert", "", fmt.Sprintf("serve https with the certificate chain in `FILE` (PEM), reloaded when it changes (default none; env %s)", envTLSCert))
	f.StringVar(&o.tlsKey, "tls-key", "", fmt.Sprintf("read the certificate's private key from `FILE` (PEM) (default none; env %s)", envTLSKey))
	f.StringVar(&o.identities, "identities", "", fmt.Sprintf("create the users, roles and policies that `FILE` declares (YAML or JSON; default none; env %s)", envIdentities))
	f.StringVar(&o.metricsListen, "metrics-listen", "", fmt.Sprintf("serve metrics for Prometheus at http://`HOST:PORT`/metrics, without a login (default none; env %s)", envMetricsListen))
	f.StringVar(&o.uploadAge, "upload-age", "", fmt.Sprintf("remove uploads that had no writes for `TIME` (default 24h; env %s)", envUploadAge))
	f.StringArrayVar(&o.upstreams, "upstream", nil, fmt.Sprintf("with --compat oci, let pull-through cache rules name the registry `HOST`, in addition to those that AWS lists; HOST=private allows it addresses of private networks and of this machine, and HOST=private,http plain HTTP; at=HOST:PORT dials something else in its place; may be given several times (default none; env %s, separated by spaces)", envUpstream))
	f.StringArrayVar(&o.eventHosts, "event-host", nil, fmt.Sprintf("let receivers of events be on `HOST`, with its port if that is not the usual one; HOST=http allows plain HTTP; may be given several times (default none; env %s, separated by commas)", envEventHost))
	f.StringVar(&o.console, "console", "", fmt.Sprintf("serve the web console at /console/; `SWITCH` is on or off (default on; env %s)", envConsole))
	f.StringVar(&o.consoleListen, "console-listen", "", fmt.Sprintf("serve the web console on `HOST:PORT` and not where the registry is; the consoles of more registries follow its port (default where the registry is; env %s)", envConsoleListen))
	o.collection.flags(cmd)
	command.CompleteWords(cmd, "machine-credentials", server.On, server.Off)
	command.CompleteWords(cmd, "console", "on", "off")
	command.CompleteWords(cmd, "compat", string(registry.CompatECR), string(registry.CompatOCI))
	return cmd
}

func runUp(ctx context.Context, e *command.Env, o upOptions) (err error) {
	began := e.Now()
	c := up.Config{Getenv: e.Getenv, Now: e.Now}
	if err := serverConfig(e, &c.Host, o); err != nil {
		return err
	}
	if c.Registry, err = parseRegistry(o.account, o.region); err != nil {
		return err
	}
	file, source, err := upFile(e, o.FileOptions)
	if err != nil {
		return err
	}
	if !file.Frame(c.Registry).Targets[0].Local && o.registryGiven {
		return command.Usagef("--account and --region are for a file without registries: leave them out, because %s sets both", source)
	}
	c.File = file
	if c.Identities, err = readIdentities(e, o.identities); err != nil {
		return err
	}
	figures, err := listenMetrics(ctx, e.Setting(o.metricsListen, envMetricsListen, ""), o.insecureHTTP)
	if err != nil {
		return err
	}
	if figures != nil {
		defer command.Closing(&err, figures.Close)
		c.Host.Wrap, c.Host.Server.Observer = figures.Timed, figures
	}
	log, closeLog, err := openLog(e, e.Setting(o.logFile, envLog, ""))
	if err != nil {
		return err
	}
	defer command.Closing(&err, closeLog)
	c.Host.Server.Log = log

	u, err := up.Start(ctx, c)
	if err != nil {
		return err
	}
	defer command.Closing(&err, u.Close)
	e.Notices(u.Notices)
	ready := render.Ready{NoConsole: c.Host.Server.NoConsole, TLS: c.Host.TLS.On(), Authority: u.Authority(), DataDir: c.Host.Folder, Source: source, Default: o.data == "" && e.Getenv(command.EnvData) == ""}
	for i, r := range u.Registries {
		ready.Registries = append(ready.Registries, render.ReadyRegistry{
			Name: r.Name, ID: r.ID(), Host: r.Host, External: r.External, Repositories: u.Deployed[i].Repositories, Plan: u.Deployed[i].Plan,
		})
	}
	ready.Took = e.Now().Sub(began).Round(time.Millisecond)
	if err := render.Up(e.Stdout, ready, e.Options(e.Stdout)); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		_, err := fmt.Fprintln(e.Stdout, "\nStopping. The data stays in", c.Host.Folder)
		return err
	case <-u.Ended():
		return fmt.Errorf("the registry stopped; run with --log - to see why: %w", u.Err())
	}
}

// upFile reads the file to deploy, and says in words where it came from.
func upFile(e *command.Env, o command.FileOptions) (*spec.File, string, error) {
	if len(command.FileNames(e, o)) == 0 {
		f, _, err := spec.Load(spec.Example())
		return f, "the built-in example, as there is no " + spec.Names()[0] + " in this folder", err
	}
	sources, err := command.ReadSources(e, o)
	if err != nil {
		return nil, "", err
	}
	f, err := command.LoadFile(e, o, e.Stderr)
	return f, sources[0].Name, err
}

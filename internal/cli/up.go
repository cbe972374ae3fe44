package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/datadir"
	"github.com/kontor-registry/kontor/internal/deploy"
	"github.com/kontor-registry/kontor/internal/deploy/plan"
	"github.com/kontor-registry/kontor/internal/deploy/spec"
	"github.com/kontor-registry/kontor/internal/deploy/state"
	"github.com/kontor-registry/kontor/internal/registry"
	"github.com/kontor-registry/kontor/internal/render"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// defaultListen is where the local registry is reached unless told otherwise.
const defaultListen = "localhost:5050"

// upOptions are the flags of `kontor up`.
type upOptions struct {
	fileOptions
	data, listen, account, region, compat string
	registryGiven                         bool // --account or --region was
	logFile                               string
	insecureHTTP                          bool
	limits                                []string
	audit                                 string
	tls                                   bool
	tlsCert, tlsKey                       string
	collection                            collectionFlags
	identities                            string
	metricsListen, uploadAge              string
}

func (e *Env) upCommand() *cobra.Command {
	var o upOptions
	cmd := &cobra.Command{
		Use:   "up [flags]",
		Short: "Run the local registry, deploy the file to it, and stay up",
		Long: `Run an ECR-compatible registry on this machine, make its repositories as the
file says, print how to log in and push, and serve until interrupted. Run it
again on the same data folder and everything is still there.

Without -f it deploys kontor.yaml (or .json, .hcl) of this folder, or else a small
built-in example. It never talks to AWS: each entry of registries: becomes a
local registry of that account and region on a port of its own, counting up
from the one of --listen.`,
		Example: `  kontor up
  kontor up -f kontor.yaml --data ./registry --listen localhost:5060`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.registryGiven = cmd.Flags().Changed("account") || cmd.Flags().Changed("region")
			return e.up(cmd.Context(), o)
		},
	}
	o.fileOptions.flags(cmd)
	e.dataFlag(cmd, &o.data)
	f := cmd.Flags()
	f.StringVar(&o.listen, "listen", "", fmt.Sprintf("serve on `HOST:PORT`; port 0 takes a free one (default %s; env %s)", defaultListen, envListen))
	f.StringVar(&o.account, "account", string(anyRegistry.Account), "be the registry of account `ID`, unless the file has registries")
	f.StringVar(&o.region, "region", string(anyRegistry.Region), "be the registry of region `NAME`, unless the file has registries")
	f.StringVar(&o.compat, "compat", "", fmt.Sprintf("behave as `WHAT` where they differ: ecr (what works here works on ECR) or oci (the OCI specification) (default %s; env %s)", registry.CompatECR, envCompat))
	f.StringVar(&o.logFile, "log", "", fmt.Sprintf("write a line per request, as JSON, to `FILE`, or - for stderr (default none; env %s)", envLog))
	f.BoolVar(&o.insecureHTTP, "insecure-http", false, "serve plain HTTP beyond this machine; passwords are readable on the way (default false)")
	limitFlag(cmd, &o.limits)
	auditFlag(cmd, &o.audit)
	f.BoolVar(&o.tls, "tls", false, "serve https with a certificate of a local authority, made in the data folder; prints how to trust it (default false)")
	f.StringVar(&o.tlsCert, "tls-cert", "", fmt.Sprintf("serve https with the certificate chain in `FILE` (PEM), loaded again when it changes (default none; env %s)", envTLSCert))
	f.StringVar(&o.tlsKey, "tls-key", "", fmt.Sprintf("the certificate's private key is in `FILE` (PEM) (default none; env %s)", envTLSKey))
	f.StringVar(&o.identities, "identities", "", fmt.Sprintf("make users, roles and policies as `FILE` says (YAML or JSON; default none; env %s)", envIdentities))
	f.StringVar(&o.metricsListen, "metrics-listen", "", fmt.Sprintf("serve figures for Prometheus at http://`HOST:PORT`/metrics, without a login (default none; env %s)", envMetricsListen))
	f.StringVar(&o.uploadAge, "upload-age", "", fmt.Sprintf("remove uploads that nobody wrote to for `TIME` (default 24h; env %s)", envUploadAge))
	o.collection.flags(cmd)
	completeWords(cmd, "compat", string(registry.CompatECR), string(registry.CompatOCI))
	return cmd
}

func (e *Env) up(ctx context.Context, o upOptions) (err error) {
	began := e.Now()
	o.listen = e.or(o.listen, envListen, defaultListen)
	o.compat = e.or(o.compat, envCompat, string(registry.CompatECR))
	o.logFile = e.or(o.logFile, envLog, "")
	host, port, err := listenAddress(o.listen)
	if err != nil {
		return err
	}
	o.tlsCert, o.tlsKey = e.or(o.tlsCert, envTLSCert, ""), e.or(o.tlsKey, envTLSKey, "")
	secure := tlsConfig{local: o.tls, cert: o.tlsCert, key: o.tlsKey}
	if err := secure.check(); err != nil {
		return err
	}
	if !isLoopback(host) && !o.insecureHTTP && !secure.on() {
		return usagef("--listen %s: other machines would send passwords over plain HTTP: give --tls or --tls-cert, listen on localhost, or say --insecure-http", o.listen)
	}
	limits, err := e.limits(o.limits)
	if err != nil {
		return err
	}
	mode, err := e.auditMode(o.audit)
	if err != nil {
		return err
	}
	collection, err := e.collection(o.collection)
	if err != nil {
		return err
	}
	compat := registry.Compat(o.compat)
	if compat != registry.CompatECR && compat != registry.CompatOCI {
		return usagef("--compat %s: want ecr or oci", o.compat)
	}
	one, err := parseRegistry(o.account, o.region)
	if err != nil {
		return err
	}
	file, source, err := e.upFile(o.fileOptions)
	if err != nil {
		return err
	}
	wanted, err := e.readIdentities(o.identities)
	if err != nil {
		return err
	}
	dataDir, err := e.dataDir(o.data)
	if err != nil {
		return err
	}
	uploadAge, err := e.uploadAge(o.uploadAge)
	if err != nil {
		return err
	}
	figures, err := listenMetrics(ctx, e.or(o.metricsListen, envMetricsListen, ""), o.insecureHTTP)
	if err != nil {
		return err
	}
	defer closing(&err, figures.close)
	log, closeLog, err := e.openLog(o.logFile)
	if err != nil {
		return err
	}
	defer closing(&err, closeLog)

	desired := file.Desired(one.ID())
	if !desired.Targets[0].Local && o.registryGiven {
		return usagef("--account and --region are for a file without registries: %s says them itself", source)
	}
	s, err := startLocal(ctx, localConfig{
		dataDir: dataDir, host: host, port: port, registries: localRegistries(desired), compat: compat, log: log, limits: limits, tls: secure, audit: mode, collection: collection,
		metrics: figures, uploadAge: uploadAge,
	})
	if err != nil {
		return err
	}
	defer closing(&err, s.close)
	if err := e.applyIdentities(ctx, s, wanted); err != nil {
		return err
	}
	if desired, err = e.fitted(ctx, s, desired, secure.on()); err != nil {
		return err
	}
	ready := render.Ready{TLS: secure.on(), Authority: s.authority(), DataDir: dataDir, Source: source, Default: o.data == "" && e.Getenv(envData) == ""}
	for i, r := range s.registries {
		p, err := s.deploy(ctx, desired, desired.Targets[i], r)
		if ctx.Err() != nil {
			return errors.New("interrupted before the registry was ready: run it again to finish")
		}
		if err != nil {
			return err
		}
		ready.Registries = append(ready.Registries, render.ReadyRegistry{
			Name: r.Name, ID: r.ID(), Host: r.Host, Repositories: desired.For(desired.Targets[i]).Repositories, Plan: p,
		})
	}
	// Commands that wait for this server find what the file says.
	if err := s.dir.Announce(s.registries); err != nil {
		return err
	}
	ready.Took = e.Now().Sub(began).Round(time.Millisecond)
	if err := render.Up(e.Stdout, ready, e.options(e.Stdout)); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		_, err := fmt.Fprintln(e.Stdout, "\nStopping. The data stays in", dataDir)
		return err
	case err := <-s.ended:
		s.ended <- nil // for close
		return fmt.Errorf("the registry stopped by itself, --log - tells more: %w", err)
	}
}

// upFile reads the file to deploy, and says in words where it came from.
func (e *Env) upFile(o fileOptions) (*spec.File, string, error) {
	given := len(o.files) > 0 || e.Getenv(envFile) != ""
	if !given {
		if len(defaultFiles()) == 0 {
			f, _, err := spec.Load(spec.Example())
			return f, "the built-in example, as there is no " + spec.Names()[0] + " in this folder", err
		}
	}
	sources, err := e.sources(o)
	if err != nil {
		return nil, "", err
	}
	f, err := e.loadFile(o, e.Stderr)
	return f, sources[0].Name, err
}

// localRegistries makes each target of the file a registry of this machine.
func localRegistries(d state.Desired) []datadir.Registry {
	var all []datadir.Registry
	for _, t := range d.Targets {
		all = append(all, datadir.Registry{Name: t.Name, Account: t.Registry.Account, Region: t.Registry.Region})
	}
	return all
}

// fitted is desired without what the server cannot have of policies that were
// written for AWS. It says what that is.
func (e *Env) fitted(ctx context.Context, s *localServer, desired state.Desired, secure bool) (state.Desired, error) {
	type reason struct{ registry, why string }
	var reasons []reason
	repositories := map[reason][]string{}
	err := s.dir.Meta.View(ctx, func(ctx context.Context, r meta.Reader) (err error) {
		desired, err = desired.WithPolicies(func(t state.Target, repository state.Repository) (string, error) {
			text, left, err := registry.Fit(ctx, r, t.Registry.Region.Partition(), secure, repository.Policy)
			for _, why := range left {
				k := reason{t.Name, why}
				if repositories[k] == nil {
					reasons = append(reasons, k)
				}
				repositories[k] = append(repositories[k], string(repository.Name))
			}
			return text, err
		})
		return err
	})
	for _, k := range reasons {
		e.notice("registry %s: left out of the policy of %s: %s", k.registry, strings.Join(repositories[k], ", "), k.why)
	}
	return desired, err
}

// deploy makes one registry's repositories as the file says.
func (s *localServer) deploy(ctx context.Context, desired state.Desired, target state.Target, r datadir.Registry) (plan.Plan, error) {
	c, err := s.admin(ctx, r)
	if err != nil {
		return plan.Plan{}, err
	}
	// Whatever the file says of roles and endpoints is about AWS.
	target = state.Target{Name: target.Name, Registry: r.ID(), Endpoint: c.Endpoint, Local: true}
	conn, err := deploy.Connect(ctx, deploy.ConnectConfig{Target: target, AccessKeyID: c.AccessKeyID, SecretAccessKey: c.SecretAccessKey, HTTPClient: c.HTTPClient})
	if err != nil {
		return plan.Plan{}, err
	}
	observed, err := deploy.Observe(ctx, conn.API, target, deploy.ScopeOf(desired))
	if err != nil {
		return plan.Plan{}, err
	}
	p := plan.Diff(desired, observed)
	for _, f := range p.Errors() {
		err = errors.Join(err, fmt.Errorf("registry %s: %s", target.Name, f.Message))
	}
	if err != nil {
		return p, err
	}
	result, err := deploy.Apply(ctx, conn.API, p, func(deploy.RepositoryResult) {})
	for _, rr := range result.Repositories {
		if rr.Error != "" {
			err = errors.Join(err, fmt.Errorf("registry %s: %s: %s", target.Name, rr.Repository, rr.Error))
		}
	}
	return p, err
}

// openLog opens what --log names.
func (e *Env) openLog(name string) (*slog.Logger, func() error, error) {
	var w io.Writer
	closeLog := func() error { return nil }
	switch name {
	case "":
		return slog.New(slog.DiscardHandler), closeLog, nil
	case "-":
		w = e.Stderr
	default:
		f, err := os.OpenFile(filepath.Clean(name), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
		if err != nil {
			return nil, nil, fmt.Errorf("--log: %w", err)
		}
		w, closeLog = f, f.Close
	}
	return slog.New(slog.NewJSONHandler(w, nil)), closeLog, nil
}

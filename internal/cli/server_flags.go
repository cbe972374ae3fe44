package cli

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/kontor-registry/kontor/internal/access/audit"
	"github.com/kontor-registry/kontor/internal/access/declared"
	"github.com/kontor-registry/kontor/internal/cli/command"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/events/delivery"
	"github.com/kontor-registry/kontor/internal/host"
	"github.com/kontor-registry/kontor/internal/jobs"
	"github.com/kontor-registry/kontor/internal/metrics"
	"github.com/kontor-registry/kontor/internal/registry"
	"github.com/kontor-registry/kontor/internal/retention"
	"github.com/kontor-registry/kontor/internal/server"
	"github.com/kontor-registry/kontor/internal/upstream"
)

// Environment variables that stand in for flags of a server.
const (
	envListen  = "KONTOR_LISTEN"
	envCompat  = "KONTOR_COMPAT"
	envMachine = "KONTOR_MACHINE_CREDENTIALS"
	envLog     = "KONTOR_LOG"
	envLimits  = "KONTOR_LIMITS"
	envTLSCert = "KONTOR_TLS_CERT"
	envTLSKey  = "KONTOR_TLS_KEY"
	envConsole = "KONTOR_CONSOLE"

	envConsoleListen = "KONTOR_CONSOLE_LISTEN"
)

// serverConfig fills in c as the flags say.
func serverConfig(e *command.Env, c *host.Config, o upOptions) (err error) {
	listen := e.Setting(o.listen, envListen, host.DefaultListen)
	if c.Host, c.Port, err = listenAddress(listen); err != nil {
		return err
	}
	c.TLS = host.TLS{Local: o.tls, Cert: e.Setting(o.tlsCert, envTLSCert, ""), Key: e.Setting(o.tlsKey, envTLSKey, "")}
	if err := c.TLS.Check(); err != nil {
		return err
	}
	if !host.IsLoopback(c.Host) && !o.insecureHTTP && !c.TLS.On() {
		return command.Usagef("--listen %s: other machines would send passwords over plain HTTP: give --tls or --tls-cert, listen on localhost, or pass --insecure-http", listen)
	}
	if c.External, err = host.ParseExternals(list(e, o.externalURLs, envExternalURL)); err != nil {
		return command.Usagef("%v", err)
	}
	if c.Server.TrustedProxies, err = host.ParseProxies(list(e, o.trustedProxies, envTrustedProxy)); err != nil {
		return command.Usagef("%v", err)
	}
	if c.Server.Upstreams, err = parseUpstreams(e, o.upstreams); err != nil {
		return err
	}
	if c.Server.Events.Hosts, err = parseEventHosts(e, o.eventHosts); err != nil {
		return err
	}
	if c.Server.Limits, err = parseLimits(e, o.limits); err != nil {
		return err
	}
	if c.Audit, err = auditMode(e, o.audit); err != nil {
		return err
	}
	if c.Server.NoConsole, err = host.ParseConsole(e.Setting(o.console, envConsole, "")); err != nil {
		return command.Usagef("--console %v", err)
	}
	c.Console = e.Setting(o.consoleListen, envConsoleListen, "")
	if err := host.CheckConsoleListen(c.Console, c.Server.NoConsole, o.insecureHTTP || c.TLS.On()); err != nil {
		return command.Usagef("--console-listen %v", err)
	}
	if err := collection(e, &c.Server, o.collection); err != nil {
		return err
	}
	c.Server.Compat = registry.Compat(e.Setting(o.compat, envCompat, string(registry.CompatECR)))
	if c.Server.Compat != registry.CompatECR && c.Server.Compat != registry.CompatOCI {
		return command.Usagef("--compat %s: want ecr or oci", c.Server.Compat)
	}
	switch c.Server.MachineCredentials = e.Setting(o.machines, envMachine, ""); c.Server.MachineCredentials {
	case "", server.On, server.Off:
	default:
		return command.Usagef("--machine-credentials %s: want on or off", c.Server.MachineCredentials)
	}
	if c.Folder, err = e.DataDir(o.data); err != nil {
		return err
	}
	if c.Server.UploadAge, err = host.ParseUploadAge(e.Setting(o.uploadAge, envUploadAge, "")); err != nil {
		return command.Usagef("--upload-age %v", err)
	}
	return nil
}

// Environment variables of addresses.
const (
	envExternalURL  = "KONTOR_EXTERNAL_URL"
	envTrustedProxy = "KONTOR_TRUSTED_PROXY"
	envUpstream     = "KONTOR_UPSTREAM"
	envEventHost    = "KONTOR_EVENT_HOST"
)

// list is what a flag that may be given several times has, else the values of
// the environment variable, separated by commas.
func list(e *command.Env, flag []string, name string) (list []string) {
	if len(flag) > 0 {
		return flag
	}
	for s := range strings.SplitSeq(e.Getenv(name), ",") {
		if s = strings.TrimSpace(s); s != "" {
			list = append(list, s)
		}
	}
	return list
}

// parseUpstreams reads --upstream.
func parseUpstreams(e *command.Env, flags []string) ([]upstream.Host, error) {
	if len(flags) == 0 {
		flags = strings.Fields(e.Getenv(envUpstream))
	}
	var hosts []upstream.Host
	for _, s := range flags {
		h, err := upstream.ParseOption(s)
		if err != nil {
			return nil, command.Usagef("--upstream %v", err)
		}
		hosts = append(hosts, h)
	}
	return hosts, nil
}

// parseEventHosts reads --event-host.
func parseEventHosts(e *command.Env, flags []string) (hosts []delivery.Host, err error) {
	for _, s := range list(e, flags, envEventHost) {
		h, err := delivery.ParseHost(s)
		if err != nil {
			return nil, command.Usagef("--event-host %v", err)
		}
		hosts = append(hosts, h)
	}
	return hosts, nil
}

// listenAddress takes --listen apart.
func listenAddress(s string) (name string, port int, err error) {
	if name, port, err = host.ParseListen(s); err != nil {
		err = command.Usagef("--listen %v", err)
	}
	return name, port, err
}

// parseRegistry checks what --account and --region say.
func parseRegistry(account, region string) (ecr.RegistryID, error) {
	a, err := ecr.ParseAccountID(account)
	if err != nil {
		return ecr.RegistryID{}, command.Usagef("--account: %v", err)
	}
	r, err := ecr.ParseRegion(region)
	if err != nil {
		return ecr.RegistryID{}, command.Usagef("--region: %v", err)
	}
	return ecr.RegistryID{Account: a, Region: r}, nil
}

// limitFlag defines --limit; see limits.
func limitFlag(cmd *cobra.Command, p *[]string) {
	cmd.Flags().StringArrayVar(p, "limit", nil,
		fmt.Sprintf("change a limit, as `NAME=VALUE`; may be given several times; docs/limits.md lists them (default none; env %s, separated by commas)", envLimits))
	var words []string
	for _, n := range server.LimitNames() {
		words = append(words, n+"=")
	}
	command.CompleteWords(cmd, "limit", words...)
}

// parseLimits are those of the environment variable, and over them those of the
// flag.
func parseLimits(e *command.Env, flags []string) (server.Limits, error) {
	var l server.Limits
	set := func(from, s string) error {
		name, value, ok := strings.Cut(s, "=")
		if !ok {
			return command.Usagef("%s %s: want NAME=VALUE, such as requests=100", from, s)
		}
		if err := l.Set(name, value); err != nil {
			return command.Usagef("%s %v", from, err)
		}
		return nil
	}
	if v := e.Getenv(envLimits); v != "" {
		for s := range strings.SplitSeq(v, ",") {
			if err := set(envLimits, strings.TrimSpace(s)); err != nil {
				return l, err
			}
		}
	}
	for _, s := range flags {
		if err := set("--limit", s); err != nil {
			return l, err
		}
	}
	return l, nil
}

const envAudit = "KONTOR_AUDIT"

// auditFlag defines --audit; see auditMode.
func auditFlag(cmd *cobra.Command, p *string) {
	cmd.Flags().StringVar(p, "audit", "", fmt.Sprintf("record `WHAT` in the data folder: changes (and denials), all (reads too) or strict "+
		"(a read that cannot be recorded is refused) (default %s; env %s)", audit.Changes, envAudit))
	command.CompleteWords(cmd, "audit", string(audit.Changes), string(audit.All), string(audit.Strict))
}

// auditMode is the flag's value, else that of the environment variable.
func auditMode(e *command.Env, flag string) (audit.Mode, error) {
	m, err := audit.ParseMode(e.Setting(flag, envAudit, ""))
	if err != nil {
		return "", command.Usagef("--audit: %v", err)
	}
	return m, nil
}

// Environment variables of collection.
const (
	envLifecycleEvery = "KONTOR_LIFECYCLE_EVERY"
	envMaxExpire      = "KONTOR_MAX_EXPIRE"
	envRecycleDays    = "KONTOR_RECYCLE_DAYS"
	envActivityDays   = "KONTOR_PULL_ACTIVITY_DAYS"
)

// collectionFlags are the flags of a server about what it removes on its own.
type collectionFlags struct {
	testClock                     bool
	every, maxExpire, recycleDays string
	activityDays                  string
}

func (o *collectionFlags) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.BoolVar(&o.testClock, "test-clock", false, "allow kontor admin clock to move the image clock; not for production (default false)")
	f.StringVar(&o.every, "lifecycle-every", "", fmt.Sprintf("run lifecycle policies every `DURATION`, such as 15m, or only on request: off (default %s; env %s)", jobs.DefaultLifecycleEvery, envLifecycleEvery))
	f.StringVar(&o.maxExpire, "max-expire", "", fmt.Sprintf("stop a lifecycle run that would expire more than `N` images of a repository, or N%% of them (default no limit; env %s)", envMaxExpire))
	f.StringVar(&o.recycleDays, "recycle-days", "", fmt.Sprintf("keep deleted images in the recycle bin for `N` days; 0 turns the bin off (default %d; env %s)", int(server.DefaultRecycleTime/(24*time.Hour)), envRecycleDays))
	f.StringVar(&o.activityDays, "pull-activity-days", "", fmt.Sprintf("keep for `N` days who pulled which image; 0 records nothing (default %d; env %s)", server.DefaultActivityDays, envActivityDays))
}

// collection fills in c as the flags say.
func collection(e *command.Env, c *server.Config, o collectionFlags) error {
	if o.testClock {
		c.TestClock = retention.NewTestClock(host.Now)
	}
	var err error
	if c.LifecycleEvery, err = host.ParseLifecycleEvery(e.Setting(o.every, envLifecycleEvery, "")); err != nil {
		return command.Usagef("--lifecycle-every %v", err)
	}
	if c.MaxExpire, err = retention.ParseMaxExpire(e.Setting(o.maxExpire, envMaxExpire, "")); err != nil {
		return command.Usagef("--max-expire %v", err)
	}
	if c.RecycleTime, err = host.ParseRecycleDays(e.Setting(o.recycleDays, envRecycleDays, "")); err != nil {
		return command.Usagef("--recycle-days %v", err)
	}
	if c.ActivityDays, err = host.ParseActivityDays(e.Setting(o.activityDays, envActivityDays, "")); err != nil {
		return command.Usagef("--pull-activity-days %v", err)
	}
	return nil
}

// envIdentities stands in for --identities.
const envIdentities = "KONTOR_IDENTITIES"

// readIdentities reads what --identities names; nothing for none.
func readIdentities(e *command.Env, name string) (declared.File, error) {
	name = e.Setting(name, envIdentities, "")
	if name == "" {
		return declared.File{}, nil
	}
	f, err := declared.Load(name)
	if err != nil {
		return declared.File{}, fmt.Errorf("--identities: %w", err)
	}
	return f, nil
}

const (
	envMetricsListen = "KONTOR_METRICS_LISTEN"
	envUploadAge     = "KONTOR_UPLOAD_AGE"
)

// listenMetrics serves figures on address, HOST:PORT; nothing, and nil, for "".
// No one need log in to read them, and they are plain HTTP: beyond this machine
// only with insecure.
func listenMetrics(ctx context.Context, address string, insecure bool) (*metrics.Listener, error) {
	if address == "" {
		return nil, nil
	}
	name, port, err := listenAddress(address)
	if err != nil {
		return nil, err
	}
	if !host.IsLoopback(name) && !insecure {
		return nil, command.Usagef("--metrics-listen %s: other machines would read the metrics over plain HTTP: listen on localhost, or pass --insecure-http", address)
	}
	ls, err := host.Listen(ctx, name, port)
	if err != nil {
		return nil, fmt.Errorf("--metrics-listen: %w", err)
	}
	return metrics.Serve(ls), nil
}

// openLog opens what --log names.
func openLog(e *command.Env, name string) (*slog.Logger, func() error, error) {
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

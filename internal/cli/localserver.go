package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"syscall"
	"time"

	"github.com/kontor-registry/kontor/internal/access/audit"
	"github.com/kontor-registry/kontor/internal/access/identity"
	"github.com/kontor-registry/kontor/internal/datadir"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/registry"
	"github.com/kontor-registry/kontor/internal/server"
)

// localServer is a registry that this process serves on a data folder.
type localServer struct {
	dir        *datadir.Dir
	server     *server.Server
	registries []datadir.Registry
	audit      *audit.Log
	stop       context.CancelFunc
	ended      chan error // receives Run's result once
}

// localConfig says what to serve.
type localConfig struct {
	dataDir string
	host    string // to listen on
	port    int    // of the first registry; the others follow. 0: any
	// registries to serve, at least one; Host and Endpoint are filled in.
	registries []datadir.Registry
	compat     registry.Compat
	log        *slog.Logger
	limits     server.Limits
	tls        tlsConfig
	audit      audit.Mode
	collection collectionConfig
	metrics    *metricsListener // nil for none
	uploadAge  time.Duration    // 0 for the default
}

// startLocal opens the folder and serves it. Every error is one line that
// says what to do.
func startLocal(ctx context.Context, c localConfig) (*localServer, error) {
	dir, err := datadir.Open(ctx, c.dataDir)
	if err != nil {
		return nil, err
	}
	s := &localServer{dir: dir, ended: make(chan error, 1)}
	var listeners []net.Listener
	fail := func(err error) (*localServer, error) {
		for _, l := range listeners {
			err = errors.Join(err, l.Close())
		}
		if s.audit != nil {
			err = errors.Join(err, s.audit.Close())
		}
		return nil, errors.Join(err, dir.Close())
	}
	var bindings []server.Binding
	if last := c.port + len(c.registries) - 1; c.port != 0 && last > maxPort {
		return fail(usagef("--listen: the %d registries of the file would need ports up to %d: give a first port of %d at most",
			len(c.registries), last, maxPort-len(c.registries)+1))
	}
	secure, err := c.tls.open(dir.Path, reachable(c.host), c.log)
	if err != nil {
		return fail(dir.Explain(err))
	}
	for i, r := range c.registries {
		port := c.port
		if port != 0 {
			port += i
		}
		ls, err := listen(ctx, c.host, port)
		if err != nil {
			return fail(err)
		}
		listeners = append(listeners, ls...)
		_, bound, err := net.SplitHostPort(ls[0].Addr().String())
		if err != nil {
			return fail(err)
		}
		r.Host = net.JoinHostPort(reachable(c.host), bound)
		r.Endpoint = "http://" + r.Host
		if secure != nil {
			secure.announce(&r, bound)
		}
		s.registries = append(s.registries, r)
		bindings = append(bindings, server.Binding{Registry: r.ID(), Host: r.Host, Listeners: ls, TLS: secure.config()})
	}
	if s.audit, err = openAudit(dir.Path, c.audit, c.log); err != nil {
		return fail(err)
	}
	now := func() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }
	store, observer := c.metrics.on(dir.Meta)
	s.server, err = server.New(ctx, server.Config{
		Observer: observer, UploadAge: c.uploadAge, Meta: store, Blobs: dir.Blobs, Key: dir.Key, Bindings: bindings, Compat: c.compat,
		ImageNow: now, AuthNow: now, Log: c.log, Limits: c.limits, Audit: s.audit,
		LifecycleEvery: c.collection.every, MaxExpire: c.collection.maxExpire, RecycleTime: c.collection.recycle,
		TestClock: c.collection.clock(now),
	})
	if err != nil {
		return fail(dir.Explain(err))
	}
	run, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.stop = stop
	go func() { s.ended <- s.server.Run(run) }()
	return s, nil
}

// close stops serving, after the requests that run, and closes the folder.
func (s *localServer) close() error {
	s.stop()
	return errors.Join(<-s.ended, s.audit.Close(), s.dir.Close())
}

// admin returns the administrator's credentials for a registry of this server.
func (s *localServer) admin(ctx context.Context, r datadir.Registry) (LocalConn, error) {
	return localConn(ctx, s.server.Identity(), r, identity.Administrator)
}

func localConn(ctx context.Context, users *identity.Service, r datadir.Registry, user string) (LocalConn, error) {
	c, err := users.Credentials(ctx, r.Account, user)
	if err != nil {
		return LocalConn{}, fmt.Errorf("credentials of %s in account %s: %w", user, r.Account, err)
	}
	client, err := localClient(r)
	if err != nil {
		return LocalConn{}, err
	}
	conn := LocalConn{
		Endpoint: r.Endpoint, Registry: r.ID(), Host: r.Host,
		AccessKeyID: c.AccessKeyID, SecretAccessKey: c.SecretAccessKey, HTTPClient: client,
	}
	if r.Local {
		conn.Authority = r.Trust
	}
	return conn, nil
}

// listen opens host:port. "localhost" means 127.0.0.1 and, where there is
// one, ::1 on the same port.
func listen(ctx context.Context, host string, port int) ([]net.Listener, error) {
	var lc net.ListenConfig
	open := func(host string, port int) (net.Listener, error) {
		return lc.Listen(ctx, "tcp", net.JoinHostPort(host, strconv.Itoa(port)))
	}
	explain := func(err error) error {
		at := net.JoinHostPort(host, strconv.Itoa(port))
		switch {
		case errors.Is(err, syscall.EADDRINUSE):
			return fmt.Errorf("%s is in use: stop what listens there, or choose another port with --listen", at)
		case errors.Is(err, syscall.EACCES):
			return fmt.Errorf("%s may not be opened by this user: choose a port above 1023 with --listen", at)
		case errors.Is(err, syscall.EADDRNOTAVAIL):
			return fmt.Errorf("%s is no address of this machine: choose another with --listen", at)
		}
		return fmt.Errorf("cannot listen on %s: %w", at, err)
	}
	if host != "localhost" {
		l, err := open(host, port)
		if err != nil {
			return nil, explain(err)
		}
		return []net.Listener{l}, nil
	}
	for try := 1; ; try++ {
		l4, err := open("127.0.0.1", port)
		if err != nil {
			return nil, explain(err)
		}
		l6, err := open("::1", l4.Addr().(*net.TCPAddr).Port)
		switch {
		case err == nil:
			return []net.Listener{l4, l6}, nil
		case !errors.Is(err, syscall.EADDRINUSE):
			return []net.Listener{l4}, nil // no IPv6 here
		}
		// Half of localhost would be somebody else's.
		if cerr := l4.Close(); port != 0 || cerr != nil || try == freePorts {
			return nil, errors.Join(explain(err), cerr)
		}
	}
}

// freePorts is how many free ports to try.
const freePorts = 10

// reachable is the name under which this machine reaches a listener on host.
func reachable(host string) string {
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		return "localhost"
	}
	return host
}

// isLoopback reports whether only this machine can reach host.
func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// parseRegistry checks what --account and --region say.
func parseRegistry(account, region string) (datadir.Registry, error) {
	a, err := ecr.ParseAccountID(account)
	if err != nil {
		return datadir.Registry{}, usagef("--account: %v", err)
	}
	r, err := ecr.ParseRegion(region)
	if err != nil {
		return datadir.Registry{}, usagef("--region: %v", err)
	}
	return datadir.Registry{Name: "local", Account: a, Region: r}, nil
}

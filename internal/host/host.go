// Package host builds a server from a data folder, or from stores that are
// given, and serves it: for `kontor up`, for a command that finds no server
// running, and for kontortest.
//
// What it guarantees: every error is one line that says what to do; what was
// opened before an error is closed again; and after Close nothing of the server
// is left. It knows nothing of files of repositories and deploys nothing.
package host

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"slices"
	"time"

	"github.com/kontor-registry/kontor/internal/access/audit"
	"github.com/kontor-registry/kontor/internal/access/iam"
	"github.com/kontor-registry/kontor/internal/access/identity"
	"github.com/kontor-registry/kontor/internal/datadir"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/registry"
	"github.com/kontor-registry/kontor/internal/retention"
	"github.com/kontor-registry/kontor/internal/server"
	"github.com/kontor-registry/kontor/internal/signing/managed"
	"github.com/kontor-registry/kontor/internal/store/blob"
	"github.com/kontor-registry/kontor/internal/store/meta"
	"github.com/kontor-registry/kontor/internal/upstream"
)

// Config says what to serve, and where.
type Config struct {
	// Folder is the data folder. It is opened for the one server on it, unless
	// Stores is set.
	Folder string
	// Stores are served in place of the folder's. They stay open after Close.
	Stores *Stores
	// Host is where to listen, Port the port of the first registry without an
	// address of its own, which the other such registries follow; 0 takes any.
	Host string
	Port int
	// Shared has all registries on Port, except those of Own: the host name that
	// requests are sent to says which one is meant, one of ECR's form, External, or
	// one of Hosts.
	Shared bool
	// Hosts are more host names of registries, by the registries' names; Own are
	// addresses, HOST:PORT, that a registry has for itself.
	Hosts map[string][]string
	Own   map[string]string
	// Console is where to listen for the web console, HOST:PORT, if not where the
	// registries are. Registries that share a port share it; others follow its port.
	Console string
	// Listener, where it is set, wraps what is listened on.
	Listener func(net.Listener) net.Listener
	// Registries are served, at least one. How they are reached is filled in.
	Registries []datadir.Registry
	TLS        TLS
	// External are how clients reach the registries, where that is not as this
	// machine does.
	External Externals
	// Audit is what is recorded, in Folder; "" is nothing.
	Audit audit.Mode
	// Wrap, where it is set, stands before the metadata store, to measure it.
	Wrap func(meta.Store) meta.Store
	// Server has everything else. Its stores, key, bindings and audit log are
	// filled in, and its clocks and log where they are not set.
	Server server.Config
}

// Stores are what a server keeps its data in.
type Stores struct {
	Meta  meta.Store
	Blobs blob.Store
	Key   identity.MasterKey
}

// ConfigError is about what was asked for, which cannot be.
type ConfigError struct{ message string }

func (e *ConfigError) Error() string { return e.message }

func wrong(format string, args ...any) error { return &ConfigError{fmt.Sprintf(format, args...)} }

// Server is a server that this process runs.
type Server struct {
	// Registries are those of Config, with how they are reached.
	Registries []datadir.Registry

	dir    *datadir.Dir // nil for given stores
	server *server.Server
	audit  *audit.Log // nil for none
	stop   context.CancelFunc
	ended  chan struct{}
	err    error // why it ended; set before ended is closed
}

// Now is the clock of a server that is given no other: in UTC, with the
// precision in which times are kept.
func Now() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }

// Start opens what c names and serves it until Close. ctx is for starting only.
func Start(ctx context.Context, c Config) (_ *Server, err error) {
	s := &Server{ended: make(chan struct{})}
	if c.Server.Log == nil {
		c.Server.Log = slog.New(slog.DiscardHandler)
	}
	if c.Folder == "" && (c.Audit != "" || c.TLS.Local) {
		return nil, wrong("the audit log and the certificates of --tls are kept in a data folder: pass --data DIR")
	}
	explain := func(err error) error { return err }
	if c.Stores == nil {
		if s.dir, err = datadir.Open(ctx, c.Folder); err != nil {
			return nil, err
		}
		c.Stores, explain = &Stores{Meta: s.dir.Meta, Blobs: s.dir.Blobs, Key: s.dir.Key}, s.dir.Explain
	}
	bindings, err := s.listen(ctx, c, explain)
	if err == nil && c.Audit != "" {
		s.audit, err = audit.Open(audit.Config{Dir: AuditDir(c.Folder), Mode: c.Audit, Now: time.Now, Log: c.Server.Log})
	}
	if err == nil {
		s.server, err = server.New(ctx, s.config(c, bindings))
		err = explain(err)
	}
	if err != nil {
		for _, b := range bindings {
			for _, l := range slices.Concat(b.Listeners, b.Console) {
				err = errors.Join(err, l.Close())
			}
		}
		return nil, errors.Join(err, s.release())
	}
	run, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.stop = stop
	go func() {
		s.err = s.server.Run(run)
		close(s.ended)
	}()
	return s, nil
}

// listen opens a port, or more, for each registry. With an error it returns
// what it has opened by then.
func (s *Server) listen(ctx context.Context, c Config, explain func(error) error) (bindings []server.Binding, err error) {
	counted := 0 // registries that share, or follow, Port
	for _, r := range c.Registries {
		if c.Own[r.Name] == "" {
			counted++
		}
	}
	if last := c.Port + counted - 1; c.Port != 0 && last > maxPort && !c.Shared {
		return nil, wrong("--listen: the %d registries of the file would need ports up to %d: choose a first port of at most %d",
			counted, last, maxPort-counted+1)
	}
	secure, err := c.TLS.open(c.Folder, reachable(c.Host), c.Server.Log)
	if err != nil {
		return nil, explain(err)
	}
	if err := c.External.check(c.Registries); err != nil {
		return nil, err
	}
	var shared string // the port, once it is open
	next := c.Port    // of the next registry that follows
	console, err := c.consoles()
	if err != nil {
		return nil, err
	}
	for i, r := range c.Registries {
		external, err := c.External.of(c.Registries, i)
		if err != nil {
			return bindings, err
		}
		at, port, own := c.Host, next, c.Own[r.Name] != ""
		switch {
		case own:
			if at, port, err = ParseListen(c.Own[r.Name]); err != nil {
				return bindings, wrong("%v", err)
			}
		case port != 0 && !c.Shared:
			next++
		}
		b := server.Binding{Registry: r.ID(), TLS: secure.config(), External: external, Hosts: c.Hosts[r.Name], ByHost: c.Shared && !own, Own: own}
		bound := shared
		if !b.ByHost || bound == "" {
			if b.Listeners, err = Listen(ctx, at, port); err != nil {
				return bindings, err
			}
			if _, bound, err = net.SplitHostPort(b.Listeners[0].Addr().String()); err == nil && b.ByHost {
				shared = bound
			}
			for i, l := range b.Listeners {
				if c.Listener != nil {
					b.Listeners[i] = c.Listener(l)
				}
			}
		}
		if err == nil && c.Console != "" && !c.Server.NoConsole {
			b.Console, b.ConsolePort, err = console.listen(ctx, c, b.ByHost)
		}
		bindings = append(bindings, b)
		if err != nil {
			return bindings, err
		}
		r.Host = net.JoinHostPort(reachable(at), bound)
		r.Endpoint = "http://" + r.Host
		if secure != nil {
			secure.announce(&r, bound)
		}
		if b.ByHost {
			r.Host = fmt.Sprintf("%s.dkr.ecr.%s.%s", r.Account, r.Region, r.Host)
			if len(b.Hosts) > 0 {
				r.Host = WithPort(b.Hosts[0], bound)
			}
		}
		bindings[i].Host = r.Host
		if external != nil {
			r.Host, r.External = external.Host, external.String()
		}
		s.Registries = append(s.Registries, r)
	}
	return bindings, nil
}

// consoles opens what the web console is served on.
type consoles struct {
	host   string
	next   int    // port of the next
	shared string // the port of registries that share theirs, once it is open
}

func (c Config) consoles() (*consoles, error) {
	if c.Console == "" {
		return &consoles{}, nil
	}
	host, port, err := ParseListen(c.Console)
	if err != nil {
		return nil, wrong("%v", err)
	}
	return &consoles{host: host, next: port}, nil
}

// listen opens the listeners of the next registry's console, none where it shares those
// that are open, and returns their port.
func (o *consoles) listen(ctx context.Context, c Config, shares bool) (ls []net.Listener, port string, err error) {
	if shares && o.shared != "" {
		return nil, o.shared, nil
	}
	if o.next > maxPort {
		return nil, "", wrong("the consoles of the registries would need ports over %d: choose a lower port for the first", maxPort)
	}
	if ls, err = Listen(ctx, o.host, o.next); err != nil {
		return nil, "", fmt.Errorf("the web console: %w", err)
	}
	if o.next != 0 {
		o.next++
	}
	_, port, err = net.SplitHostPort(ls[0].Addr().String())
	if shares {
		o.shared = port
	}
	for i, l := range ls {
		if c.Listener != nil {
			ls[i] = c.Listener(l)
		}
	}
	return ls, port, err
}

// config is c.Server with what was opened.
func (s *Server) config(c Config, bindings []server.Binding) server.Config {
	out := c.Server
	out.ConsoleApart = c.Console != "" && !c.Server.NoConsole
	out.Meta, out.Blobs, out.Key, out.Bindings, out.Audit = c.Stores.Meta, c.Stores.Blobs, c.Stores.Key, bindings, s.audit
	if c.Wrap != nil {
		out.Meta = c.Wrap(out.Meta)
	}
	if out.ImageNow == nil {
		out.ImageNow = Now
	}
	if out.AuthNow == nil {
		out.AuthNow = Now
	}
	return out
}

// AuditDir is where the audit log of a data folder is.
func AuditDir(folder string) string { return filepath.Join(folder, "audit") }

// Ended is closed when the server has ended, of its own or by Close.
func (s *Server) Ended() <-chan struct{} { return s.ended }

// Err is why the server ended of its own. It may be called once Ended is closed.
func (s *Server) Err() error { return s.err }

// Close stops serving, after the requests that run, and closes the folder. Its
// error is also why a server ended of its own.
func (s *Server) Close() error {
	s.stop()
	<-s.ended
	return errors.Join(s.err, s.release())
}

// release closes what Start opened, except the listeners.
func (s *Server) release() (err error) {
	if s.audit != nil {
		err = s.audit.Close()
	}
	if s.dir != nil {
		err = errors.Join(err, s.dir.Close())
	}
	return err
}

// Announce writes into the folder where the server is reached, for commands
// that wait for it.
func (s *Server) Announce() error { return s.dir.Announce(s.Registries) }

// Identity gives access to users and their keys.
func (s *Server) Identity() *identity.Service { return s.server.Identity() }

// IAM gives access to users, roles and policies of a region's partition.
func (s *Server) IAM(region ecr.Region) *iam.Service { return s.server.IAM(region) }

// Registry gives access to the operations.
func (s *Server) Registry() *registry.Registry { return s.server.Registry() }

// Managed gives access to the operations on managed signing, as the server's own
// principals.
func (s *Server) Managed() *managed.Service { return s.server.Managed() }

// Upstreams gives access to the operations on pull-through caches.
func (s *Server) Upstreams() *upstream.Service { return s.server.Upstreams() }

// Retention gives access to the operations about keeping and removing.
func (s *Server) Retention() *retention.Service { return s.server.Retention() }

// Conn is how to reach a registry of this server as one of its users.
func (s *Server) Conn(ctx context.Context, r datadir.Registry, user string) (Conn, error) {
	return connOf(ctx, s.server.Identity(), r, user)
}

// Authority is the file of the local authority that clients must trust, "" for
// none.
func (s *Server) Authority() string {
	if r := s.Registries[0]; r.Local {
		return r.Trust
	}
	return ""
}

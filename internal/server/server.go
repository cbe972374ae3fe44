// Package server is the registry as a process: listeners, the order of what
// happens to a request, routes and shutdown. It wires stores, identities and
// operations to the front ends; it decides nothing itself.
//
// Each listener is bound to one registry (account and region) and serves all
// of its ways in on one port: the OCI distribution API under /v2/, the AWS
// APIs on POST /.
package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/access/audit"
	"github.com/kontor-registry/kontor/internal/access/authn"
	"github.com/kontor-registry/kontor/internal/access/authz"
	"github.com/kontor-registry/kontor/internal/access/iam"
	"github.com/kontor-registry/kontor/internal/access/identity"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/events"
	"github.com/kontor-registry/kontor/internal/events/delivery"
	"github.com/kontor-registry/kontor/internal/front/adminapi"
	"github.com/kontor-registry/kontor/internal/front/console"
	"github.com/kontor-registry/kontor/internal/front/console/parts"
	"github.com/kontor-registry/kontor/internal/front/ecrapi"
	"github.com/kontor-registry/kontor/internal/front/iamapi"
	"github.com/kontor-registry/kontor/internal/front/ociapi"
	"github.com/kontor-registry/kontor/internal/front/stsapi"
	"github.com/kontor-registry/kontor/internal/front/tagapi"
	"github.com/kontor-registry/kontor/internal/gate"
	"github.com/kontor-registry/kontor/internal/inspect"
	"github.com/kontor-registry/kontor/internal/jobs"
	"github.com/kontor-registry/kontor/internal/registry"
	"github.com/kontor-registry/kontor/internal/replication"
	"github.com/kontor-registry/kontor/internal/retention"
	"github.com/kontor-registry/kontor/internal/scanning"
	"github.com/kontor-registry/kontor/internal/signing"
	"github.com/kontor-registry/kontor/internal/signing/managed"
	"github.com/kontor-registry/kontor/internal/store/blob"
	"github.com/kontor-registry/kontor/internal/store/blob/limited"
	"github.com/kontor-registry/kontor/internal/store/meta"
	"github.com/kontor-registry/kontor/internal/templates"
	"github.com/kontor-registry/kontor/internal/upstream"
	"github.com/kontor-registry/kontor/lifecycle"
)

// Config is what a server is made of. All fields but Compat, Audit, Limits,
// the times and Grace are required.
type Config struct {
	Meta     meta.Store
	Blobs    blob.Store
	Key      identity.MasterKey
	Bindings []Binding
	// Compat defaults to registry.CompatECR. Compats are those of registries that have
	// another.
	Compat  registry.Compat
	Compats map[ecr.RegistryID]registry.Compat
	// MachineCredentials, "on" or "off", says whether machine tokens of users and
	// tokens of identity providers are docker passwords. Default "on" with
	// registry.CompatOCI, and "off" with registry.CompatECR, as ECR knows neither.
	MachineCredentials string
	// ImageNow is the clock of push times and lifecycle, which tests may
	// move; AuthNow the clock of signatures and tokens, which nobody moves.
	ImageNow func() time.Time
	AuthNow  func() time.Time
	Log      *slog.Logger
	// Audit receives changes, denials and failed logins; without it nothing is
	// on record. The caller closes it after Run.
	Audit *audit.Log
	// Limits bound what clients can take; zero fields have their defaults.
	Limits Limits
	// Observer is told of requests, connections and jobs; may be nil.
	Observer Observer
	// Tracer follows requests; may be nil.
	Tracer Tracer
	// UploadAge is how long an upload may lie untouched before it is removed.
	// Default 24 hours.
	UploadAge time.Duration
	// RecycleTime is how long deleted images can be restored. Default 7 days;
	// negative is not at all.
	RecycleTime time.Duration
	// ActivityDays is for how many days it is kept who pulled what. Default 90;
	// negative is not at all.
	ActivityDays int
	// LifecycleEvery is how often lifecycle policies are carried out. Default
	// 1 hour; negative is only by hand. MaxExpire stops a run of a repository
	// that would expire more; zero is no limit.
	LifecycleEvery time.Duration
	MaxExpire      retention.MaxExpire
	// TestClock, where it is set, is the image clock, which may be moved by
	// request; ImageNow is not used then.
	TestClock *retention.TestClock
	// Organizations says which organization accounts are in; nil for none, then
	// policies on organizations match nobody.
	Organizations access.Organizations
	// NoConsole turns the web console off.
	NoConsole bool
	// ConsoleApart serves the web console on listeners of its own only.
	ConsoleApart bool
	// SignIn are the identity providers that people log in to the console with.
	SignIn []authn.Provider
	// TrustedProxies are those whose X-Forwarded-For, X-Forwarded-Host and
	// X-Forwarded-Proto say who the client is and what it sent.
	TrustedProxies []netip.Prefix
	// Upstreams are the registries that pull-through cache rules may name besides
	// those that AWS lists. UpstreamFolder is where blobs are kept while they come;
	// "" for the system's.
	Upstreams      []upstream.Host
	UpstreamFolder string
	// Events says where receivers of events may be, how many events may wait for each, and
	// how long the log of what was sent is kept; the rest of it is filled in.
	Events delivery.Config
	// EventReceivers are those of the configuration file; nil for none.
	EventReceivers []delivery.Declared
	// Replication are the registries elsewhere that replication rules may name, by the
	// account and region that they name them by.
	Replication map[ecr.RegistryID]replication.Elsewhere
	// Scanner says how images are scanned; nil for not at all.
	Scanner *ScannerConfig
	// Drain is how long requests are still taken when the server is told to stop,
	// while /readyz answers 503 already: time for a load balancer to notice.
	Drain time.Duration
	// Grace is how long requests that run when the server is told to stop may
	// go on. Default 15 seconds; negative is not at all.
	Grace time.Duration
}

// Binding ties listeners to a registry.
type Binding struct {
	Registry ecr.RegistryID
	// Host is what image references begin with, for example
	// "localhost:5050". Requests may come under other names as well.
	Host string
	// External, where it is set, is how clients reach it: a scheme and a host
	// with its port, for example of a proxy. Addresses in answers have it;
	// otherwise they have the host that the request was sent to.
	External *url.URL
	// Hosts are names that requests for it are sent to besides, with a port or
	// without, for any port. Names of ECR's form need not be listed.
	Hosts []string
	// ByHost: the server's registries share listeners. The name that a request is
	// sent to says which registry it is for; docker's requests to other names are
	// refused. The first binding has the listeners, others may have none.
	ByHost bool
	// Own: requests to the listeners are for this registry whatever their host,
	// also that of another one's External.
	Own       bool
	Listeners []net.Listener
	// Console, where Config.ConsoleApart is set, are what the web console is served on,
	// and nothing else is. ConsolePort is their port, also where another binding's
	// listeners are for this one, too.
	Console     []net.Listener
	ConsolePort string
	// TLS, where it is set, is spoken on the listeners, with HTTP/2.
	TLS *tls.Config
}

// Server serves registries. Make it with New, then call Run once.
type Server struct {
	cfg         Config
	gate        *gate.Gate
	registry    *registry.Registry
	retention   *retention.Service
	jobs        *jobs.Jobs
	upstreams   *upstream.Service
	events      *delivery.Service
	replication *replication.Service
	scanning    *scanning.Service
	signing     *signing.Service
	managed     *managed.Service
	identity    *identity.Service
	users       map[string]*identity.Service // by partition, whose name is in users' ARNs
	authn       map[string]*authn.Verifier   // by partition
	ecr         *ecrapi.Handler
	admin       *adminapi.Handler
	oci         *ociapi.Handler
	sts         *stsapi.Handler
	iam         *iamapi.Handler
	tags        *tagapi.Handler
	console     *console.Handler        // nil where it is off
	iams        map[string]*iam.Service // by partition
	issuers     *authn.Issuers
	limits      *limiter
	stopping    atomic.Bool // since Run's context is done
}

// What Config.MachineCredentials is.
const (
	On  = "on"
	Off = "off"
)

// DefaultRecycleTime is the default of Config.RecycleTime.
const DefaultRecycleTime = 7 * 24 * time.Hour

// DefaultActivityDays is the default of Config.ActivityDays.
const DefaultActivityDays = 90

// What nobody has wanted otherwise yet: how long the journal is kept, how long
// a blob stays that no image refers to, how long images take to come back from the
// archive, and how long a file stays that no row knows.
const (
	journalTime    = 400 * 24 * time.Hour
	blobGrace      = 24 * time.Hour
	activationTime = 10 * time.Second
	orphanWait     = 7 * 24 * time.Hour
)

// or is d, 0 where d is negative, and fallback where it is not given.
func or[T int | time.Duration](d, fallback T) T {
	if d == 0 {
		return fallback
	}
	return max(d, 0)
}

// Times and sizes that bound what a client can hold of the server.
const (
	defaultGrace = 15 * time.Second
	maxHeader    = 64 << 10
	// maxLogged is how much of a path or name goes into the log: more than
	// the longest repository name and digest.
	maxLogged = 512
	// maxQueryBody bounds requests of the Query protocol, whose largest
	// member is a policy document.
	maxQueryBody = 1 << 20
	// pullFlush is how old a pull time may be before it is stored.
	pullFlush = 2 * time.Second
)

// New prepares a server and makes sure that each account has its first users.
func New(ctx context.Context, cfg Config) (*Server, error) {
	cfg.Grace = or(cfg.Grace, defaultGrace)
	if cfg.TestClock != nil {
		cfg.ImageNow = cfg.TestClock.Now
	}
	s := &Server{cfg: cfg, limits: newLimiter(cfg.Limits)}
	if len(cfg.Bindings) == 0 {
		return nil, errors.New("server: no registry to serve")
	}
	s.identity = identity.New(identity.Config{Meta: cfg.Meta, Key: cfg.Key, Now: cfg.AuthNow})
	admission := gate.Config{Meta: cfg.Meta}
	if cfg.Audit != nil {
		admission.Audit = cfg.Audit
	}
	proofs := signing.Config{Blobs: cfg.Blobs, Now: cfg.AuthNow}
	if o, ok := cfg.Observer.(signing.Observer); ok {
		proofs.Observer = o
	}
	signatures := signing.NewVerifier(proofs)
	admission.ImageKeys = map[string]gate.ImageKey{authz.KeySignedBy: signatures.Key(), authz.KeyMaxSeverity: scanning.Key(signatures.Inert)}
	admission.Events = events.NewOutbox(cfg.AuthNow)
	if cfg.Tracer != nil {
		admission.Tracer = cfg.Tracer
	}
	s.gate = gate.New(admission)
	s.signing = signing.New(s.gate, signatures, cfg.ImageNow)
	s.events = s.receivers(cfg, admission.Events)
	s.users, s.authn, s.iams = map[string]*identity.Service{}, map[string]*authn.Verifier{}, map[string]*iam.Service{}
	s.issuers = authn.NewIssuers(authn.IssuersConfig{Now: cfg.AuthNow})
	for _, b := range cfg.Bindings {
		if err := s.identity.EnsureAccount(ctx, b.Registry.Account); err != nil {
			return nil, err
		}
		partition := b.Registry.Region.Partition()
		users := identity.New(identity.Config{Meta: cfg.Meta, Key: cfg.Key, Now: cfg.AuthNow, Partition: partition})
		s.users[partition], s.authn[partition] = users, authn.New(authn.Config{Keys: users, Now: cfg.AuthNow})
		s.iams[partition] = iam.New(iam.Config{Gate: s.gate, Identity: users, Now: cfg.AuthNow, Partition: partition, Issuers: s.issuers})
	}
	blobs := cfg.Blobs
	if most := s.limits.BlobBytes; most > 0 {
		blobs = limited.New(limited.Config{Blobs: blobs, MaxBytes: most})
	}
	began := time.Now() // monotonic, unlike the clocks
	passed := func() time.Duration { return time.Since(began) }
	dialect := func(c registry.Compat) lifecycle.Dialect {
		return lifecycle.Dialect{PulledExpire: c == registry.CompatOCI}
	}
	dialects := map[ecr.RegistryID]lifecycle.Dialect{}
	for in, c := range cfg.Compats {
		dialects[in] = dialect(c)
	}
	queue := replication.NewQueue()
	s.retention = retention.New(retention.Config{
		Gate: s.gate, Blobs: blobs, Now: cfg.ImageNow, TestClock: cfg.TestClock, Passed: passed, Log: cfg.Log,
		DatabaseClock: !cfg.Meta.OneProcess(),
		Dialect:       dialect(cfg.Compat),
		Dialects:      dialects,
		RecycleTime:   or(cfg.RecycleTime, DefaultRecycleTime), ActivityDays: or(cfg.ActivityDays, DefaultActivityDays), MaxExpire: cfg.MaxExpire,
		Deleted: queue.Deleted,
		Restored: func(ctx context.Context, tx *gate.Tx, at gate.Scene, m meta.Manifest, tags []ecr.Tag) error {
			return errors.Join(queue.Restored(ctx, tx, at, m, tags), s.scanning.Restored(ctx, tx, at, m, tags))
		},
	})
	s.registry = registry.New(registry.Config{
		Gate: s.gate, Blobs: blobs, Retention: s.retention, Tokens: s.identity, Now: cfg.ImageNow, Passed: passed, Log: cfg.Log,
		Organizations: cfg.Organizations != nil,
		Compat:        cfg.Compat, Compats: cfg.Compats, Roles: serviceRoles(s.iams), BlobGrace: blobGrace, ActivationTime: activationTime, OneProcess: cfg.Meta.OneProcess(),
		Pushed: func(ctx context.Context, tx *gate.Tx, at gate.Scene, p registry.Pushed) error {
			return errors.Join(queue.Pushed(ctx, tx, at, p), s.scanning.Pushed(ctx, tx, at, p), s.managed.Pushed(ctx, tx, at, p))
		},
		Arrived: func(ctx context.Context, tx *gate.Tx, at gate.Scene, p registry.Pushed) error {
			return s.scanning.Pushed(ctx, tx, at, p)
		},
		Stored: func() { queue.Stored(); s.scanning.Stored(); s.managed.Stored() },
	})
	s.scanning, s.managed = s.newScanning(), newManaged(s)
	if err := s.retention.RestoreClock(ctx); err != nil {
		return nil, err
	}
	work := jobs.Config{
		Gate: s.gate, Blobs: blobs, Registry: s.registry, Retention: s.retention, ImageNow: cfg.ImageNow, Now: cfg.AuthNow, Log: cfg.Log,
		UploadAge: cfg.UploadAge, OrphanWait: orphanWait, JournalTime: journalTime, LifecycleEvery: cfg.LifecycleEvery,
		Scans: s.scanning, Signing: s.managed,
		Replica: replica(), OneProcess: cfg.Meta.OneProcess(),
	}
	if cfg.Observer != nil {
		work.Done = cfg.Observer.Job
	}
	work.Events = s.events
	s.jobs = jobs.New(work)
	if err := s.jobs.CheckInstallation(ctx); err != nil {
		return nil, err
	}
	if err := s.events.Declare(ctx, cfg.EventReceivers); err != nil {
		return nil, fmt.Errorf("adding the event receivers of the configuration file: %w", err)
	}
	caches := upstream.Config{
		Gate: s.gate, Registry: s.registry, Key: cfg.Key, Now: cfg.ImageNow, Passed: passed, Hosts: cfg.Upstreams,
		Self: s.isSelf, ID: upstream.InstallationID(cfg.Key.DownloadKey()), Shared: !cfg.Meta.OneProcess(), MaxBlob: s.limits.BlobBytes, Folder: cfg.UpstreamFolder, Log: cfg.Log,
	}
	if o, ok := cfg.Observer.(upstream.Observer); ok {
		caches.Observer = o
	}
	s.upstreams = upstream.New(caches)
	copies := replication.Config{
		Gate: s.gate, Registry: s.registry, Retention: s.retention, Queue: queue, Now: cfg.ImageNow, Passed: passed, Serves: s.serves,
		Elsewhere: cfg.Replication, OneProcess: cfg.Meta.OneProcess(), Replicated: tellReplicated(s.serves), Log: cfg.Log,
	}
	if o, ok := cfg.Observer.(replication.Observer); ok {
		copies.Observer = o
	}
	s.replication = replication.New(copies)
	creation := templates.New(s.gate, s.registry, cfg.ImageNow)
	s.ecr = ecrapi.New(ecrapi.Config{Gate: s.gate, Registry: s.registry, Upstreams: s.upstreams, Scanning: s.scanning, Replication: s.replication, Retention: s.retention,
		Templates: creation, Signing: s.signing, Managed: s.managed, Log: cfg.Log, Now: cfg.AuthNow, DownloadKey: cfg.Key.DownloadKey()})
	look := inspect.New(inspect.Config{Gate: s.gate, Retention: s.retention, Now: cfg.ImageNow, Audit: cfg.Audit})
	s.admin = adminapi.New(adminapi.Config{Inspect: look, Retention: s.retention, Jobs: s.jobs, Upstreams: s.upstreams, Signing: s.signing, Managed: s.managed, Scanning: s.scanning, Events: s.events, Replication: s.replication, IAM: s.IAM,
		MachineTokens: s.takesMachines, Console: !cfg.NoConsole, ConsolePort: s.consolePort, Log: cfg.Log})
	s.oci = ociapi.New(ociapi.Config{Registry: s.registry, Upstreams: s.upstreams, Log: cfg.Log})
	s.sts = stsapi.New(stsapi.Config{Log: cfg.Log})
	s.iam = iamapi.New(iamapi.Config{Log: cfg.Log})
	s.tags = tagapi.New(tagapi.Config{Registry: s.registry, Log: cfg.Log})
	if !cfg.NoConsole {
		s.console = console.New(parts.Config{
			Gate: s.gate, Inspect: look, Registry: s.registry, Retention: s.retention, Jobs: s.jobs, Upstreams: s.upstreams, Templates: creation,
			Signing: s.signing, Scanning: s.scanning, Replication: s.replication, Events: s.events,
			Now: cfg.AuthNow, ImageNow: cfg.ImageNow, MachineTokens: s.takesMachines, Log: cfg.Log,
		})
	}
	return s, nil
}

// receivers makes what sends events.
func (s *Server) receivers(cfg Config, out *events.Outbox) *delivery.Service {
	d := cfg.Events
	d.Gate, d.Outbox, d.Key, d.ImageNow, d.Log = s.gate, out, cfg.Key, cfg.ImageNow, cfg.Log
	for _, b := range cfg.Bindings {
		d.Registries = append(d.Registries, b.Registry)
	}
	if o, ok := cfg.Observer.(delivery.Observer); ok {
		d.Observer = o
	}
	return delivery.New(d)
}

// serviceRoles finds roles in the partition of the registry that they are used in.
type serviceRoles map[string]*iam.Service

func (r serviceRoles) ServiceRole(ctx context.Context, in meta.IdentityReader, roleARN, service string, at ecr.RegistryID) (access.Principal, bool, error) {
	identities := r[at.Region.Partition()]
	if identities == nil {
		return access.Principal{}, false, nil
	}
	return identities.ServiceRole(ctx, in, roleARN, service, at)
}

// replica is a name of this process: that of its machine and a random part.
func replica() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return host + "-" + string(blob.NewKey()[:6])
}

// Identity gives access to the server's users and keys.
func (s *Server) Identity() *identity.Service { return s.identity }

// IAM gives access to users, roles and policies of a region's partition; nil
// for one that has no registry here.
func (s *Server) IAM(region ecr.Region) *iam.Service { return s.iams[region.Partition()] }

// Registry gives access to the operations, as s's own principals.
func (s *Server) Registry() *registry.Registry { return s.registry }

// Upstreams gives access to the operations on pull-through caches, as s's own principals.
func (s *Server) Upstreams() *upstream.Service { return s.upstreams }

// Replication gives access to the operations on replication, as s's own principals.
func (s *Server) Replication() *replication.Service { return s.replication }

// Managed gives access to the operations on managed signing, as s's own principals.
func (s *Server) Managed() *managed.Service { return s.managed }

// Retention gives access to the operations about keeping and removing, as s's own principals.
func (s *Server) Retention() *retention.Service { return s.retention }

// Run serves until ctx is done, then lets running requests finish for a
// while. It returns nil after an orderly stop.
func (s *Server) Run(ctx context.Context) error {
	told, drained := ctx, make(chan struct{})
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		defer close(drained)
		<-ctx.Done()
		s.stopping.Store(true)
		if told.Err() != nil { // and no listener has failed
			time.Sleep(s.cfg.Drain)
		}
		return nil
	})
	type entrance struct {
		Binding
		listeners []net.Listener
		console   bool
	}
	var entrances []entrance
	for _, b := range s.cfg.Bindings { // one without has another's
		entrances = append(entrances, entrance{b, b.Listeners, false}, entrance{b, b.Console, true})
	}
	for _, b := range entrances {
		if len(b.listeners) == 0 {
			continue
		}
		waiting := &unused{}
		hs := &http.Server{
			Handler:           s.handler(b.Binding, b.console),
			ReadHeaderTimeout: s.limits.HeaderTime,
			IdleTimeout:       s.limits.IdleTime,
			MaxHeaderBytes:    maxHeader,
			ConnState: func(c net.Conn, state http.ConnState) {
				s.limits.countConnection(c, state)
				s.observeConnection(state)
				waiting.note(c, state)
			},
			ConnContext: withConn,
			TLSConfig:   b.TLS,
			ErrorLog:    slog.NewLogLogger(s.cfg.Log.Handler(), slog.LevelDebug),
		}
		for _, l := range b.listeners {
			g.Go(func() error {
				serve := hs.Serve
				if b.TLS != nil {
					serve = func(l net.Listener) error { return hs.ServeTLS(l, "", "") }
				} else {
					l = framedListener{l}
				}
				if err := serve(l); !errors.Is(err, http.ErrServerClosed) {
					return fmt.Errorf("serving on %s: %w", l.Addr(), err)
				}
				return nil
			})
		}
		g.Go(func() error {
			<-drained
			stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.cfg.Grace)
			defer cancel()
			defer time.AfterFunc(unusedGrace, waiting.close).Stop()
			if err := hs.Shutdown(stop); err != nil {
				s.cfg.Log.WarnContext(stop, "requests cut off at shutdown", "host", b.Host, "error", err)
				return hs.Close()
			}
			return nil
		})
	}
	g.Go(func() error { return s.jobs.Run(ctx) })
	g.Go(func() error { return s.replication.Run(ctx) })
	// As long as there are requests.
	flush, flushed := context.WithCancel(context.WithoutCancel(ctx))
	var flusher sync.WaitGroup
	flusher.Go(func() { s.flushPulls(flush) })
	err := g.Wait()
	s.upstreams.Close()
	flushed()
	flusher.Wait()
	s.registry.StopReading()
	// Requests that ended last may have pulled.
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), defaultGrace)
	defer cancel()
	return errors.Join(err, s.retention.FlushPulls(last), s.registry.StoreUploads(last))
}

func (s *Server) flushPulls(ctx context.Context) {
	tick := time.NewTicker(pullFlush)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			s.observePending(ctx)
			s.scanning.Observe(ctx)
			s.managed.Observe(ctx)
			if err := s.retention.FlushPulls(ctx); err != nil && ctx.Err() == nil {
				s.cfg.Log.WarnContext(ctx, "pull times not stored yet", "error", err)
			}
		}
	}
}

// isSelf reports whether a host, with its port, is one of this server's own.
func (s *Server) isSelf(host string) bool {
	for _, b := range s.cfg.Bindings {
		if strings.EqualFold(b.Host, host) || b.External != nil && strings.EqualFold(b.External.Host, host) {
			return true
		}
		for _, name := range b.Hosts {
			if strings.EqualFold(name, host) {
				return true
			}
		}
	}
	return false
}

// verifier tells who signed a request for a region.
func (s *Server) verifier(region ecr.Region) *authn.Verifier { return s.authn[region.Partition()] }

// endpoint is where a request came in, for the ECR API.
func (s *Server) endpoint(r *http.Request, req *request, region ecr.Region) ecrapi.Endpoint {
	return ecrapi.Endpoint{
		Registry: ecr.RegistryID{Account: req.binding.Registry.Account, Region: region}, Serves: s.serves,
		Address: func(in ecr.RegistryID) ecrapi.Address { return s.address(r, req, in) },
	}
}

package run

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/kontor-registry/kontor/internal/deploy/promote/amazon"

	"github.com/kontor-registry/kontor/internal/access/proof"
	"github.com/kontor-registry/kontor/internal/deploy"
	"github.com/kontor-registry/kontor/internal/deploy/promote"
	"github.com/kontor-registry/kontor/internal/deploy/spec"
	"github.com/kontor-registry/kontor/internal/deploy/state"
	"github.com/kontor-registry/kontor/internal/deploy/tokens"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/remote"
)

// PromoteConfig says between which registries images are promoted, and how to
// reach them.
type PromoteConfig struct {
	// File has the registries and the routes; nil for none.
	File *spec.File
	// Local reaches the registry of this machine that serves the host, or for ""
	// the one of a file without registries; ok is false where none does.
	Local func(ctx context.Context, host string) (l Local, ok bool, err error)
	// Credentials are those for registries that are neither in the file nor on
	// this machine.
	Credentials remote.Source
	// PlainHTTP are hosts that speak HTTP without TLS, in addition to this machine's.
	PlainHTTP []string
	// Getenv tells which of AWS's endpoints to use.
	Getenv func(string) string
	Now    func() time.Time
	// Images and Blobs are how many are on their way at a time; 0 for
	// promote's defaults.
	Images, Blobs int
	// Progress is promote's; Waiting is told before a call is tried again. They
	// may be nil.
	Progress func(promote.Progress)
	Waiting  func(remote.Wait)
}

// Promoter promotes images between registries of a file, of this machine and
// any others. It reaches a registry when it is needed, and keeps it. The caller
// closes it.
type Promoter struct {
	*promote.Promoter
	cfg     PromoteConfig
	targets []state.Target
	routes  []promote.Route

	mu   sync.Mutex
	open map[string]*opened // by name; guarded by mu
}

// opened is a registry that was reached, or could not be.
type opened struct {
	once  sync.Once
	r     *promote.Registry
	err   error
	close func() error
}

// NewPromoter reaches nothing yet.
func NewPromoter(cfg PromoteConfig) *Promoter {
	p := &Promoter{cfg: cfg, open: map[string]*opened{}, targets: []state.Target{{Name: spec.LocalName, Local: true}}}
	if cfg.File != nil {
		frame := cfg.File.Frame(ecr.LocalRegistry())
		p.targets = frame.Targets
		p.routes = p.routesOf(frame.Promotions)
	}
	config := promote.Config{Open: p.registry, Now: cfg.Now, Images: cfg.Images, Blobs: cfg.Blobs, Progress: cfg.Progress}
	if cfg.File != nil {
		config.Signers = cfg.File.Trusted()
	}
	p.Promoter = promote.New(config)
	return p
}

// Close ends what was started to reach registries.
func (p *Promoter) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var err error
	for _, o := range p.open {
		if o.close != nil {
			err = errors.Join(err, o.close())
		}
	}
	return err
}

// Routes are those of the file.
func (p *Promoter) Routes() []promote.Route { return slices.Clone(p.routes) }

func (p *Promoter) routesOf(list []state.Promotion) []promote.Route {
	place := func(x state.Place) promote.Place {
		if p.target(x.Registry) == nil {
			x.Registry = p.nameOf(strings.ToLower(x.Registry))
		}
		return promote.Place{Registry: x.Registry, Prefix: x.Prefix}
	}
	var out []promote.Route
	for _, x := range list {
		r := promote.Route{
			Name: x.Name, From: place(x.From), Repositories: x.Repositories, Tags: x.Tags,
			Newest: x.Newest, Move: x.Move, Record: x.Record,
			Require: promote.Require{
				Platforms: x.Require.Platforms, Referrers: x.Require.Referrers, Signature: x.Require.Signature, SBOM: x.Require.SBOM,
				MinAge: time.Duration(x.Require.MinAgeHours) * time.Hour, Verify: x.Require.Verify,
				SignedBy: x.Require.SignedBy, Scanned: x.Require.Scanned, MaxSeverity: x.Require.MaxSeverity,
			},
		}
		for _, to := range x.To {
			r.To = append(r.To, place(to))
		}
		out = append(out, r)
	}
	return out
}

// Ask says what to promote: one image to another name, one by the file's routes,
// or all that take routes.
type Ask struct {
	// Source and Destination are names of images; without a Destination, Source
	// takes a route, and without either all that Select chooses do.
	Source, Destination string
	// Routes are names of the file's; none for those that lead to Select.To.
	Routes []string
	Select promote.Select
	// Platforms, NewIndex, Move, ReferrersAsTags and Record are those of
	// promote.Request. Routes have their own Record.
	Platforms       []string
	NewIndex        bool
	Move            bool
	ReferrersAsTags bool
	Record          bool
}

// Plan says what promoting would do. A *TargetError is about names that the file
// does not have, or a choice that it does not allow.
func (p *Promoter) Plan(ctx context.Context, a Ask) (promote.Plan, error) {
	if a.Destination != "" {
		from, to, err := p.Pair(a.Source, a.Destination)
		if err != nil {
			return promote.Plan{}, err
		}
		return p.Promoter.Plan(ctx, []promote.Request{{
			From: from, To: to, Platforms: a.Platforms, NewIndex: a.NewIndex, Move: a.Move, ReferrersAsTags: a.ReferrersAsTags, Record: a.Record,
		}})
	}
	routes, err := p.choose(a)
	if err != nil {
		return promote.Plan{}, err
	}
	for i := range routes {
		routes[i].Platforms, routes[i].NewIndex, routes[i].ReferrersAsTags = a.Platforms, a.NewIndex, a.ReferrersAsTags
		if a.Move {
			routes[i].Move = []string{"*"}
		}
	}
	if a.Source == "" {
		return p.PlanRoutes(ctx, routes, a.Select)
	}
	image, err := p.named(a.Source)
	if err != nil {
		return promote.Plan{}, err
	}
	requests, err := promote.Named(routes, image, a.Select.To)
	if err != nil {
		return promote.Plan{}, &TargetError{err.Error()}
	}
	return p.Promoter.Plan(ctx, requests)
}

// choose are the routes of the names, or all.
func (p *Promoter) choose(a Ask) ([]promote.Route, error) {
	if len(p.routes) == 0 {
		return nil, &TargetError{"the file has no promotions: add a route, or name the image to promote and where to"}
	}
	if to := a.Select.To; to != "" {
		if _, err := Choose(p.targets, []string{to}); err != nil {
			return nil, err
		}
	}
	if len(a.Routes) == 0 {
		return slices.Clone(p.routes), nil
	}
	var out []promote.Route
	for _, name := range a.Routes {
		i := slices.IndexFunc(p.routes, func(r promote.Route) bool { return r.Name == name })
		if i < 0 {
			var names []string
			for _, r := range p.routes {
				names = append(names, r.Name)
			}
			return nil, &TargetError{fmt.Sprintf("there is no route %q in promotions of the file: it has %s", name, strings.Join(names, ", "))}
		}
		out = append(out, p.routes[i])
	}
	return out, nil
}

// named reads the name of an image that takes a route: as Ref, or without a
// registry.
func (p *Promoter) named(name string) (promote.Ref, error) {
	first, _, qualified := strings.Cut(name, "/")
	if qualified && (p.target(first) != nil || isHost(first)) {
		return p.Ref(name)
	}
	return split(name)
}

// Pair reads the names of an image and of where it goes, which has the tag of
// the first unless it says another.
func (p *Promoter) Pair(source, destination string) (from, to promote.Ref, err error) {
	if from, err = p.Ref(source); err != nil {
		return from, to, err
	}
	if to, err = p.Ref(destination); err != nil {
		return from, to, err
	}
	tag := from.Tag
	if from.Digest != "" {
		from.Tag = "" // the digest says which
	}
	switch {
	case from.Tag == "" && from.Digest == "":
		return from, to, &TargetError{source + ": give the image's tag or digest, as in " + source + ":1.0"}
	case to.Digest != "":
		return from, to, &TargetError{destination + ": an image is promoted to a tag, not to a digest"}
	case to.Tag == "" && tag == "":
		return from, to, &TargetError{destination + ": give the tag to promote to: the image is named by its digest only"}
	}
	to.Tag = cmp.Or(to.Tag, tag)
	return from, to, nil
}

// Image reads the name of an image to look at, with a tag or a digest. The error
// is a *TargetError.
func (p *Promoter) Image(name string) (promote.Ref, error) {
	ref, err := p.Ref(name)
	if err == nil && ref.Tag == "" && ref.Digest == "" {
		err = &TargetError{name + ": give the image's tag or digest, as in " + name + ":1.0"}
	}
	if ref.Digest != "" {
		ref.Tag = "" // the digest says which
	}
	return ref, err
}

// Ref reads the name of an image, "REGISTRY/REPOSITORY:TAG" or
// "REGISTRY/REPOSITORY@DIGEST": REGISTRY is the name of one of the file's, or a
// host. Of a registry of the file the host stands for it. Tag and digest may
// both be missing. The error is a *TargetError.
func (p *Promoter) Ref(name string) (promote.Ref, error) {
	first, rest, ok := strings.Cut(name, "/")
	var ref promote.Ref
	switch {
	case ok && p.target(first) != nil:
		ref.Registry = first
	case ok && isHost(first):
		ref.Registry = p.nameOf(strings.ToLower(first))
	default:
		names := make([]string, len(p.targets))
		for i, t := range p.targets {
			names[i] = t.Name
		}
		return ref, &TargetError{fmt.Sprintf(
			"%s: begin with a registry: a host, as in docker.io/library/alpine:3.20, or one of the file (%s), as in %s/website:1.0", name, strings.Join(names, ", "), names[0])}
	}
	if ref.Registry == dockerHub && !strings.Contains(rest, "/") {
		rest = "library/" + rest
	}
	in, err := split(rest)
	in.Registry = ref.Registry
	return in, err
}

// dockerHub is what images of Docker Hub begin with.
const dockerHub = "docker.io"

// nameOf is the registry of a host: one of the file, or the host itself.
func (p *Promoter) nameOf(host string) string {
	at, isECR := ecr.ParseHost(host)
	for _, t := range p.targets {
		u, err := url.Parse(t.Endpoint)
		if t.Endpoint == "" && isECR && at.Registry() == t.Registry && !t.Local || t.Endpoint != "" && err == nil && u.Host == host {
			return t.Name
		}
	}
	if host == "index.docker.io" || host == "registry-1.docker.io" {
		return dockerHub
	}
	return host
}

// isHost tells hosts from repositories as docker does.
func isHost(s string) bool { return strings.ContainsAny(s, ".:") || s == "localhost" }

// split reads "REPOSITORY[:TAG][@DIGEST]".
func split(s string) (ref promote.Ref, err error) {
	rest, digest, pinned := strings.Cut(s, "@")
	if pinned {
		if ref.Digest, err = ecr.ParseDigest(digest); err != nil {
			return ref, &TargetError{fmt.Sprintf("%s: %q is not a digest: want sha256: and 64 hexadecimal digits", s, digest)}
		}
	}
	if i := strings.LastIndexByte(rest, ':'); i >= 0 {
		if ref.Tag, err = ecr.ParseTag(rest[i+1:]); err != nil {
			return ref, &TargetError{fmt.Sprintf("%s: %q is not a tag", s, rest[i+1:])}
		}
		rest = rest[:i]
	}
	ref.Repository = ecr.RepositoryName(rest)
	if rest == "" {
		return ref, &TargetError{s + ": the repository is missing"}
	}
	return ref, nil
}

func (p *Promoter) target(name string) *state.Target {
	i := slices.IndexFunc(p.targets, func(t state.Target) bool { return t.Name == name })
	if i < 0 {
		return nil
	}
	return &p.targets[i]
}

// registry is promote.Config.Open.
func (p *Promoter) registry(ctx context.Context, name string) (*promote.Registry, error) {
	p.mu.Lock()
	o, ok := p.open[name]
	if !ok {
		o = &opened{}
		p.open[name] = o
	}
	p.mu.Unlock()
	o.once.Do(func() {
		if t := p.target(name); t != nil {
			o.r, o.close, o.err = p.reach(ctx, *t)
			return
		}
		local, ok, err := p.cfg.Local(ctx, name)
		switch {
		case err != nil:
			o.err = err
		case ok:
			o.close = local.Close
			o.r, o.err = p.connect(ctx, state.Target{Name: name, Registry: local.Registry, Endpoint: local.Endpoint, Local: true}, local)
		default:
			o.r, o.err = p.elsewhere(name)
		}
	})
	return o.r, o.err
}

// reach reaches a registry of the file.
func (p *Promoter) reach(ctx context.Context, t state.Target) (r *promote.Registry, end func() error, err error) {
	var local Local
	if t.Local {
		if local, _, err = p.cfg.Local(ctx, ""); err != nil {
			return nil, nil, err
		}
		t = state.Target{Name: t.Name, Registry: local.Registry, Endpoint: local.Endpoint, Local: true}
	}
	r, err = p.connect(ctx, t, local)
	return r, local.Close, err
}

// connect reaches a registry with the ECR API.
func (p *Promoter) connect(ctx context.Context, t state.Target, local Local) (*promote.Registry, error) {
	conn, err := deploy.Connect(ctx, deploy.ConnectConfig{
		Target: t, AccessKeyID: local.AccessKeyID, SecretAccessKey: local.SecretAccessKey, HTTPClient: local.HTTPClient,
		// Who may pull need not be of the account: each repository's policy says.
		AnyAccount: true,
	})
	if err != nil {
		return nil, err
	}
	plain := strings.HasPrefix(conn.Target.Endpoint, "http://")
	host, err := p.hostOf(ctx, conn.Target)
	if err != nil {
		return nil, err
	}
	var transport http.RoundTripper
	if c, ok := local.HTTPClient.(*http.Client); ok && c != nil {
		t := remote.NewTransport()
		if own, ok := c.Transport.(*http.Transport); ok {
			t.TLSClientConfig, t.DialContext = own.TLSClientConfig.Clone(), own.DialContext
		}
		transport = t
	}
	client, err := remote.New(remote.Config{
		Host: host, Name: t.Name, PlainHTTP: plain, Registry: t.Registry, Credentials: tokens.Of(conn), Transport: transport, Now: p.cfg.Now, Waiting: p.cfg.Waiting,
	})
	if err != nil {
		return nil, err
	}
	account := amazon.Account{Conn: conn, Now: p.cfg.Now}
	if p.cfg.File != nil && p.target(t.Name) != nil {
		account.Desired = p.cfg.File.Desired(t.Registry).For(t)
	}
	r := &promote.Registry{Name: t.Name, Remote: client, ECR: true, Principal: conn.Caller, API: account, Creator: account}
	// Of another account the caller sees too little to prove anything.
	if proof.AccountOf(conn.Caller) == string(t.Registry.Account) {
		r.Rights = newRights(conn)
	}
	return r, nil
}

// hostOf is the docker host of a registry.
func (p *Promoter) hostOf(ctx context.Context, t state.Target) (string, error) {
	if u, err := url.Parse(t.Endpoint); err == nil && u.Host != "" {
		return u.Host, nil // a server in place of AWS has one port for both
	}
	endpoints, err := deploy.EndpointsOf(ctx, p.cfg.Getenv, t.Profile)
	if err != nil {
		return "", fmt.Errorf("registry %s: %w", t.Name, err)
	}
	return endpoints.Host(t.Registry), nil
}

// elsewhere is a registry that is known by its host only.
func (p *Promoter) elsewhere(host string) (*promote.Registry, error) {
	client, err := remote.New(remote.Config{
		Host: host, PlainHTTP: slices.Contains(p.cfg.PlainHTTP, host) || isLoopback(host), Credentials: p.cfg.Credentials, Now: p.cfg.Now, Waiting: p.cfg.Waiting,
	})
	if err != nil {
		return nil, &TargetError{err.Error()}
	}
	_, isECR := client.ECR()
	return &promote.Registry{Name: host, Remote: client, ECR: isECR}, nil
}

// isLoopback reports whether the host is this machine, where docker, too, speaks
// HTTP.
func isLoopback(host string) bool {
	name, _, err := net.SplitHostPort(host)
	if err != nil {
		name = host
	}
	ip := net.ParseIP(strings.Trim(name, "[]"))
	return name == "localhost" || ip != nil && ip.IsLoopback()
}

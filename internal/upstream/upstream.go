// Package upstream is the pull-through cache: repositories whose images are those of
// another registry, its upstream, and are kept here when they are pulled first.
//
// What it guarantees:
//   - content counts as stored when it is what its digest says; what an upstream
//     sends otherwise is neither stored nor, to its end, served;
//   - many pulls of the same thing at a time are one request upstream, and each gets the
//     bytes as they come; replicas share what they fetch as well, and those that do not
//     fetch wait until it is stored, but not for long;
//   - a tag is compared with its upstream when it was last compared a day ago, or
//     after Refresh. When the upstream refuses, fails or is silent, what is here is
//     served, and the answer says so;
//   - connections go to the hosts that rules name, which AWS lists or the operator,
//     and to where these redirect; never to an address that is not public, unless
//     the operator allows it for that upstream. What a client sends never says where;
//   - a client is never redirected to an upstream.
//
// It leaves out what may be done with what is cached: lifecycle policies,
// mutability and leases hold as for all images.
//
// Sources: ECR user guide, "Sync an upstream registry with an Amazon ECR private
// registry"; docs/design/0030-upstreams.md.
package upstream

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/access/identity"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/gate"
	"github.com/kontor-registry/kontor/internal/registry"
	"github.com/kontor-registry/kontor/internal/remote"
)

// Config is what a Service is made of.
type Config struct {
	Gate     *gate.Gate         // required
	Registry *registry.Registry // required
	// Key seals the credentials. Required.
	Key identity.MasterKey
	// Now is the image clock. Required.
	Now func() time.Time
	// Passed is the time that has passed since some moment, whatever the clocks are
	// set to. Required.
	Passed func() time.Duration
	// Hosts are the registries that rules may name besides those that AWS lists; in
	// CompatECR only what they say of those counts.
	Hosts []Host
	// Self reports whether a host is this server's own.
	Self func(host string) bool
	// ID is of this installation, the same for all replicas.
	ID string
	// Shared: other processes are on the database, with which fetches are shared.
	Shared bool
	// MaxBlob is the size in bytes of the largest blob that is fetched; 0 for any.
	MaxBlob int64
	// Comparing is how long an upstream may take to say what a tag stands for, where
	// there is something to serve instead. Default 10 seconds.
	Comparing time.Duration
	// Folder is where blobs are kept while they come; "" for the system's.
	Folder string
	// Observer is told what happens; may be nil.
	Observer Observer
	Log      *slog.Logger // required
}

// Observer counts. It is called by many at once, and must not wait. Names of
// upstreams are their hosts, of which rules name 50 at most for each registry.
type Observer interface {
	// Pulled is called for each manifest or blob that a cached repository answered
	// with: how, and of what is saved or fetched the size.
	Pulled(upstream string, how Outcome, size int64)
	// Quota is called with the pulls that an upstream still allows.
	Quota(upstream string, left int64)
}

// Outcome is how a pull was answered.
type Outcome string

// Outcomes. Hit: from here. Compared: from here, after the upstream said that it is
// the same. Miss: from the upstream. Stale: from here, because the upstream did not
// say. Failed: not at all.
const (
	Hit      Outcome = "hit"
	Compared Outcome = "compared"
	Miss     Outcome = "miss"
	Stale    Outcome = "stale"
	Failed   Outcome = "failed"
)

const (
	// actor is who stores what was fetched, in the audit log.
	actor = "pull through cache"
	// fresh is how long a tag is not compared again. Source: ECR user guide: at most
	// once in 24 hours.
	fresh = 24 * time.Hour
	// patience is how long a manifest may take to come; comparing is the default of
	// Config.Comparing.
	patience  = 30 * time.Second
	comparing = 10 * time.Second
	// silent is how long an upstream may say nothing.
	silent = 30 * time.Second
	// retry is the longest pause before a request is sent again.
	retry = time.Second
	// rest is how long an upstream that failed is not compared with, unless it said
	// how long.
	rest     = 15 * time.Second
	longRest = 10 * time.Minute
)

// Service is the pull-through cache of all registries of a server. It is safe for
// concurrent use. Close ends what it does in the background.
type Service struct {
	cfg    Config
	ctx    context.Context // of what runs in the background
	cancel context.CancelFunc
	work   sync.WaitGroup

	mu      sync.Mutex
	clients map[clientKey]*remote.Registry // guarded by mu
	resting map[clientKey]repose           // guarded by mu
	pending map[imageKey]*pending          // guarded by mu
	tags    map[tagKey]tagged              // of pending; guarded by mu
	held    int64                          // bytes of pending manifests; guarded by mu
	blobs   map[imageKey]*flight           // guarded by mu
	calls   map[tagKey]*call               // guarded by mu

	began   time.Time
	figures map[ecr.RegistryID]map[string]Figures // by host; guarded by mu
}

// repose is of an upstream that failed. What it said is for who asked it then.
type repose struct {
	until time.Duration // on Config.Passed
	code  ecr.Code      // Throttling or Unavailable
}

type clientKey struct {
	in   ecr.RegistryID
	host string
	arn  string // of the credential
}

type imageKey struct {
	at     ecr.Repo
	digest ecr.Digest
}

type tagKey struct {
	at        ecr.Repo
	reference string
	via       string // of calls: the caches that the request came through
}

// New returns a Service.
func New(cfg Config) *Service {
	cfg.Comparing = cmp.Or(cfg.Comparing, comparing)
	ctx, cancel := context.WithCancel(context.Background())
	return &Service{
		cfg: cfg, ctx: ctx, cancel: cancel, clients: map[clientKey]*remote.Registry{}, resting: map[clientKey]repose{},
		pending: map[imageKey]*pending{}, tags: map[tagKey]tagged{}, blobs: map[imageKey]*flight{}, calls: map[tagKey]*call{},
		began: cfg.Now(), figures: map[ecr.RegistryID]map[string]Figures{},
	}
}

// Close stops what runs in the background, and waits for it.
func (s *Service) Close() {
	s.cancel()
	s.work.Wait()
}

// InstallationID makes a Config.ID of something that all replicas know and nobody
// else: it tells nothing of it.
func InstallationID(secret []byte) string {
	sum := sha256.Sum256(append([]byte("kontor installation: "), secret...))
	return hex.EncodeToString(sum[:8])
}

// listed reports whether rules of a registry may name a host.
func (s *Service) listed(in ecr.RegistryID, host string) bool {
	_, _, aws := kindOf(host)
	return aws || s.cfg.Registry.Compat(in) == registry.CompatOCI
}

// keyOf is what upstreams know those by who ask them: how one of them is treated says
// nothing of the others.
func keyOf(in ecr.RegistryID, rule Rule) clientKey {
	return clientKey{in, rule.Host, rule.CredentialARN}
}

// client is the client of a rule's registry.
func (s *Service) client(in ecr.RegistryID, rule Rule) (*remote.Registry, error) {
	key := keyOf(in, rule)
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.clients[key]; c != nil {
		return c, nil
	}
	h, ok := s.host(in, rule.Host)
	if _, _, aws := kindOf(rule.Host); !ok && !aws {
		return nil, errors.New("the operator of this registry does not list the upstream " + rule.Host)
	}
	c, err := remote.New(remote.Config{
		Host: rule.Host, Name: rule.Host, PlainHTTP: h.PlainHTTP, Credentials: s.source(in, rule.CredentialARN),
		Transport: s.transport(in, h, rule.Host), Silence: silent, Patience: retry, UserAgent: "kontor", Now: s.cfg.Now,
	})
	if err == nil {
		s.clients[key] = c
	}
	return c, err
}

// repository is where a rule's registry has a repository of this one.
func (s *Service) repository(at ecr.Repo, rule Rule) (*remote.Repository, error) {
	r, err := s.client(at.In, rule)
	if err != nil {
		return nil, err
	}
	name, ok := rule.Upstream(at.Name)
	if !ok {
		return nil, errors.New("the upstream " + rule.Host + " can have no repository for " + string(at.Name))
	}
	return r.Repository(name)
}

// forgetLogin makes clients that use a secret log in again.
func (s *Service) forgetLogin(in ecr.RegistryID, arn string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key := range s.clients {
		if key.in == in && key.arn == arn {
			delete(s.clients, key)
		}
	}
}

// errRests is the cause of what is told while an upstream rests.
var errRests = errors.New("the upstream failed a moment ago")

// rests reports whether a rule's upstream failed lately, and how.
func (s *Service) rests(in ecr.RegistryID, rule Rule) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.resting[keyOf(in, rule)]
	left := r.until - s.cfg.Passed()
	if !ok || left <= 0 {
		return nil
	}
	what := "failed"
	if r.code == ecr.CodeThrottling {
		what = "wanted fewer requests"
	}
	return &ecr.Error{Code: r.code, Err: errRests, Message: fmt.Sprintf(
		"The upstream registry %s %s a moment ago, and is asked again in %v", rule.Host, what, left.Round(time.Second))}
}

// note takes note of how a call to a rule's upstream came out.
func (s *Service) note(in ecr.RegistryID, rule Rule, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key, code := keyOf(in, rule), ecr.CodeOf(err)
	if err != nil && errors.Is(err, context.DeadlineExceeded) {
		code = ecr.CodeUnavailable
	}
	if err == nil || code != ecr.CodeThrottling && code != ecr.CodeUnavailable {
		delete(s.resting, key)
		return
	}
	wait := rest
	var e *remote.Error
	if errors.As(err, &e) && e.Wait() > 0 {
		wait = min(e.Wait(), longRest)
	}
	s.resting[key] = repose{s.cfg.Passed() + wait, code}
}

// quota reads how many pulls are left. Source: Docker documentation, "Docker Hub
// usage and limits": "ratelimit-remaining: 99;w=21600".
func (s *Service) quota(in ecr.RegistryID, upstream string, h http.Header) {
	text, _, _ := strings.Cut(h.Get("Ratelimit-Remaining"), ";")
	if text == "" {
		return
	}
	if n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64); err == nil && n >= 0 {
		s.add(in, upstream, func(f *Figures) { f.QuotaLeft, f.Limited = n, true })
		if s.cfg.Observer != nil {
			s.cfg.Observer.Quota(upstream, n)
		}
	}
}

// oneLine is an error for a log or a header.
func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }

// Caller is the operations on rules and credentials in the name of one principal. It
// is safe for concurrent use.
type Caller struct {
	s    *Service
	gate *gate.Caller
}

// As returns the operations as p may use them.
func (s *Service) As(p access.Principal) *Caller { return &Caller{s, s.cfg.Gate.As(p)} }

// Operations lists every operation. Each stands next to its method; a test holds the
// list against the methods of Caller.
func Operations() []gate.Operation {
	return []gate.Operation{
		opCreateRule, opRules, opUpdateRule, opDeleteRule, opValidateRule,
		opPutSecret, opSecrets, opSecretARN, opDeleteSecret, opRefresh, opFigures,
	}
}

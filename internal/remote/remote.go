// Package remote is the client of registries that are not ours to run: Amazon
// ECR, another Kontor, and any other that speaks the OCI distribution API.
//
// What it guarantees:
//   - content is what its digest says, or there is an error; manifests are
//     returned and sent byte for byte;
//   - a read that is cut goes on where it was cut, and a write that failed
//     begins again in a new session; 429 and 503 are waited for as the registry
//     says, and a registry that answers 429 is asked half as often from then on;
//   - credentials are renewed before they expire, and go to the registry's own
//     host only, not to the storage that it redirects to;
//   - a call ends: what says nothing for a time is given up. There is no limit
//     on how long something may take that goes on;
//   - every error is an *Error, except the end of a context and the failure of
//     content to send. It names registry, repository, object, action and, for a
//     denial, the permission that lacks.
//
// It leaves out what a copy is made of: which manifests and blobs belong to an
// image, and in which order they go.
//
// Sources: OCI distribution specification 1.1; ECR as its users observed it.
// Authentication, with Bearer tokens and the checks of where they may be sent,
// is that of oras-go; docs/design/0025-promotion.md says why not more of it.
package remote

import (
	"cmp"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/lazyregexp"
)

// DefaultSilence is Config.Silence when it is 0.
const DefaultSilence = 2 * time.Minute

// Config says which registry to speak to, and how.
type Config struct {
	// Host and port, such as "111111111111.dkr.ecr.us-east-1.amazonaws.com",
	// "localhost:5050" or "docker.io".
	Host string
	// Name is what errors call the registry; "" for the host.
	Name string
	// PlainHTTP speaks HTTP without TLS.
	PlainHTTP bool
	// Registry is the account and region of a registry with the ECR API, whose
	// permissions then are IAM's. Zero for what the host's name says, if it is
	// one of Amazon ECR's.
	Registry ecr.RegistryID
	// Credentials may be nil: then requests are anonymous.
	Credentials Source
	// Transport makes the connections; nil for one of the registry's own. It
	// must not ask for compressed answers: NewTransport makes one.
	Transport http.RoundTripper
	// Silence is how long the registry may neither send nor take anything before
	// a call is given up; 0 for DefaultSilence.
	Silence time.Duration
	// Patience is the longest pause before a call is tried again: a registry that
	// wants a longer one is given up at once. 0 for as long as it says.
	Patience time.Duration
	// UserAgent names the program to the registry; "" for "kontor".
	UserAgent string
	// Now tells the time. Required.
	Now func() time.Time
	// Waiting is told before a call is tried again. It may be nil.
	Waiting func(Wait)
}

// Wait is a pause before a call is tried again.
type Wait struct {
	Registry string
	Err      error // why
	For      time.Duration
}

// Registry is a client of one registry. It is safe for concurrent use.
type Registry struct {
	cfg   Config
	name  string         // of the registry in errors
	host  string         // that requests go to
	ecr   ecr.RegistryID // zero for a registry without the ECR API
	login login
	paces map[Action]*pace
}

// New returns a client. Nothing is sent. Errors: a Host that is none.
func New(cfg Config) (*Registry, error) {
	if !hostPattern.MatchString(cfg.Host) {
		return nil, fmt.Errorf("registry %q: want a host and port such as registry.example:5000", cfg.Host)
	}
	if cfg.Now == nil {
		return nil, fmt.Errorf("registry %s: Config.Now is missing", cfg.Host)
	}
	r := &Registry{cfg: cfg, name: cmp.Or(cfg.Name, cfg.Host), host: cfg.Host, ecr: cfg.Registry, paces: map[Action]*pace{}}
	if r.host == "docker.io" || r.host == "index.docker.io" {
		r.host = "registry-1.docker.io"
	}
	h, amazon := ecr.ParseHost(cfg.Host)
	if amazon && r.ecr == (ecr.RegistryID{}) {
		r.ecr = h.Registry()
	}
	for a, about := range actions {
		limit := 0.0
		if amazon { // others with the ECR API have their own limits, or none
			limit = about.rate
		}
		r.paces[a] = newPace(limit)
	}
	transport := cfg.Transport
	if transport == nil {
		transport = NewTransport()
	}
	r.login = login{registry: r, http: &http.Client{
		Transport:     silence{base: transport, limit: cmp.Or(cfg.Silence, DefaultSilence)},
		CheckRedirect: checkRedirect,
	}}
	return r, nil
}

// Host names and addresses with a port, as they stand before a repository.
var hostPattern = lazyregexp.New(`^(?:[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?$`)

// maxIdle is how many connections are kept to a host: as many as a copy uses
// at a time.
const maxIdle = 64

// NewTransport returns what makes connections when Config has nothing. A caller
// may change it before it is used, for example to trust another certificate
// authority.
func NewTransport() *http.Transport {
	return &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout: 10 * time.Second,
		ForceAttemptHTTP2:   true,
		MaxIdleConns:        2 * maxIdle,
		MaxIdleConnsPerHost: maxIdle,
		IdleConnTimeout:     90 * time.Second,
		// The bytes of a manifest are what counts, not its text.
		DisableCompression: true,
		ReadBufferSize:     64 << 10,
		WriteBufferSize:    64 << 10,
	}
}

// maxRedirects is net/http's own limit.
const maxRedirects = 10

// checkRedirect follows redirects, but those of HEAD to other hosts: their
// addresses are signed for GET, and that there is one says enough.
func checkRedirect(r *http.Request, via []*http.Request) error {
	if r.Method == http.MethodHead && r.URL.Host != via[0].URL.Host {
		return http.ErrUseLastResponse
	}
	if len(via) >= maxRedirects {
		return fmt.Errorf("stopped after %d redirects", maxRedirects)
	}
	return nil
}

// Name is what the registry is called.
func (r *Registry) Name() string { return r.name }

// Host is the host of image names, Config.Host.
func (r *Registry) Host() string { return r.cfg.Host }

// ECR is the account and region of the registry, if it has the ECR API.
func (r *Registry) ECR() (id ecr.RegistryID, ok bool) {
	return r.ecr, r.ecr != (ecr.RegistryID{})
}

// Repository is a repository of a registry.
type Repository struct {
	registry *Registry
	name     ecr.RepositoryName
}

// maxRepositoryName is the longest name; OCI leaves host and name 255
// characters.
const maxRepositoryName = 255

var repositoryPattern = lazyregexp.New("^(?:" + ecr.RepositoryNamePattern + ")$")

// Repository returns the repository of that name, which need not exist. Errors:
// a malformed name.
func (r *Registry) Repository(name ecr.RepositoryName) (*Repository, error) {
	if len(name) > maxRepositoryName || !repositoryPattern.MatchString(string(name)) {
		return nil, fmt.Errorf("registry %s: %q is not the name of a repository", r.name, name)
	}
	return &Repository{registry: r, name: name}, nil
}

// Name is the repository's name.
func (r *Repository) Name() ecr.RepositoryName { return r.name }

// Registry is the registry that the repository is in.
func (r *Repository) Registry() *Registry { return r.registry }

// Descriptor points to a manifest.
type Descriptor struct {
	MediaType    string            `json:"mediaType"`
	Digest       ecr.Digest        `json:"digest"`
	Size         int64             `json:"size"` // bytes; -1 where it is not told
	ArtifactType string            `json:"artifactType,omitempty"`
	Annotations  map[string]string `json:"annotations,omitempty"`
}

// isDigest tells a digest from a tag, which has no colon.
func isDigest(reference string) bool { return strings.Contains(reference, ":") }

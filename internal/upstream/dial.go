package upstream

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/lazyregexp"
	"github.com/kontor-registry/kontor/internal/remote"
)

// Host is a registry that the operator lists as one that rules may name.
type Host struct {
	Host string // with its port, such as "registry.example.com:5000"
	// Private allows addresses of private networks and of this machine, for it and
	// for what it redirects to.
	Private bool
	// PlainHTTP speaks HTTP without TLS.
	PlainHTTP bool
	// Address, HOST:PORT, is dialled in place of Host; "" for Host itself. It is for
	// what stands in for a registry, such as a mirror in the operator's own network.
	Address string
	// Trust are certificate authorities to trust for it besides the system's.
	Trust *x509.CertPool
}

var hostPattern = lazyregexp.New(`^(?:[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?$`)

// ParseHost reads HOST or HOST:PORT.
func ParseHost(s string) (Host, error) {
	if !hostPattern.MatchString(s) {
		return Host{}, fmt.Errorf("%q: want a host, such as registry.example.com or registry.example.com:5000", s)
	}
	return Host{Host: s}, nil
}

// ParseOption reads HOST, or HOST= and what is said of it with commas between:
// "private", "http", "at=HOST:PORT".
func ParseOption(s string) (Host, error) {
	name, options, _ := strings.Cut(s, "=")
	h, err := ParseHost(name)
	if err != nil {
		return Host{}, err
	}
	for option := range strings.SplitSeq(options, ",") {
		switch option {
		case "":
		case "private":
			h.Private = true
		case "http":
			h.PlainHTTP = true
		default:
			at, ok := strings.CutPrefix(option, "at=")
			if _, _, err := net.SplitHostPort(at); !ok || err != nil {
				return Host{}, fmt.Errorf("%s: %q: want private, http or at=HOST:PORT, with commas between them", s, option)
			}
			h.Address = at
		}
	}
	return h, nil
}

// ParseTrust is the system's certificate authorities and those of pem.
func ParseTrust(pem []byte) (*x509.CertPool, error) {
	all, err := x509.SystemCertPool()
	if err != nil {
		all = x509.NewCertPool()
	}
	if !all.AppendCertsFromPEM(pem) {
		return nil, errors.New("it has no certificate in PEM")
	}
	return all, nil
}

// host finds what the operator says of a host. ok in compat ecr is for what AWS
// lists only, as there.
func (s *Service) host(in ecr.RegistryID, name string) (Host, bool) {
	for _, h := range s.cfg.Hosts {
		if canonicalHost(h.Host) == name {
			return h, s.listed(in, name)
		}
	}
	return Host{}, false
}

// errAddress refuses an address.
type errAddress struct{ address string }

func (e *errAddress) Error() string {
	return fmt.Sprintf("%s is an address of a private network or of this machine, and is not dialled: the operator of this registry can allow it for this upstream with private: true", e.address)
}

// special are addresses that are nobody's on the internet, besides those that
// package netip tells. Source: IANA special-purpose address registries.
var special = func() []netip.Prefix {
	var all []netip.Prefix
	for _, s := range []string{
		"0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4",
		"64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "2002::/16", "fec0::/10",
	} {
		all = append(all, netip.MustParsePrefix(s))
	}
	return all
}()

// public reports whether an address is one of the internet.
func public(a netip.Addr) bool {
	a = a.Unmap()
	if !a.IsValid() || !a.IsGlobalUnicast() || a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast() || a.Zone() != "" {
		return false
	}
	for _, p := range special {
		if p.Contains(a) {
			return false
		}
	}
	return true
}

// Dialer is what connections to configured hosts are made with: to public addresses
// only, unless private.
func Dialer(private bool) *net.Dialer { return dialer(private) }

// dialer dials public addresses only, unless private. It looks at the address that
// a connection is made to, after names were resolved: a name that resolves to
// something else the second time gains nothing.
func dialer(private bool) *net.Dialer {
	d := &net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}
	if !private {
		d.Control = func(_, address string, _ syscall.RawConn) error {
			a, err := netip.ParseAddrPort(address)
			if err != nil || !public(a.Addr()) {
				return &errAddress{address: address}
			}
			return nil
		}
	}
	return d
}

// via is how this installation calls itself to upstreams (RFC 9110, 7.6.3), so that
// a request which comes back to it is known.
const via = "kontor-"

type viaKey struct{}

// WithVia is ctx with the Via header of the request that is served.
func WithVia(ctx context.Context, header []string) context.Context {
	if len(header) == 0 {
		return ctx
	}
	return context.WithValue(ctx, viaKey{}, strings.Join(header, ", "))
}

func viaOf(ctx context.Context) string {
	s, _ := ctx.Value(viaKey{}).(string)
	return s
}

// maxHops is how many caches may stand one behind the other.
const maxHops = 4

// loops reports whether a request came through this installation before, or
// through too many.
func (s *Service) loops(ctx context.Context) error {
	chain := viaOf(ctx)
	hops := strings.Count(chain, via)
	if strings.Contains(chain, via+s.cfg.ID) {
		return ecr.Errorf(ecr.CodeUpstreamImage, "The request came back to the registry that it began at: pull through cache rules make each of the two the upstream of the other. Delete one of them")
	}
	if hops >= maxHops {
		return ecr.Errorf(ecr.CodeUpstreamImage, "The request came through %d caches already: pull through cache rules may make no longer chain", hops)
	}
	return nil
}

// transport makes the connections to one upstream.
type transport struct {
	base    *http.Transport
	service *Service
	host    Host
	name    string // of the upstream, in figures
	in      ecr.RegistryID
}

func (s *Service) transport(in ecr.RegistryID, h Host, name string) *transport {
	base := remote.NewTransport()
	d := dialer(h.Private)
	base.DialContext = d.DialContext
	if proxied := base.Proxy; proxied != nil && !h.Private {
		// The proxy that the environment names is the operator's, wherever it is. It
		// resolves names itself: only addresses can be looked at here.
		base.Proxy = func(r *http.Request) (*url.URL, error) {
			u, err := proxied(r)
			if u != nil {
				if a, aerr := netip.ParseAddr(r.URL.Hostname()); aerr == nil && !public(a) {
					return nil, &errAddress{address: r.URL.Host}
				}
			}
			return u, err
		}
		open := dialer(true)
		base.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			if s.proxies(address) {
				return open.DialContext(ctx, network, address)
			}
			return d.DialContext(ctx, network, address)
		}
	}
	if h.Address != "" {
		dial, instead := base.DialContext, standIn(h)
		base.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			if address == instead {
				address = h.Address
			}
			return dial(ctx, network, address)
		}
	}
	base.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: h.Trust}
	base.MaxResponseHeaderBytes = 64 << 10
	return &transport{base: base, service: s, host: h, name: name, in: in}
}

// standIn is the address of h that its Address stands in for.
func standIn(h Host) string {
	name := canonicalHost(h.Host)
	if _, _, err := net.SplitHostPort(name); err == nil {
		return name
	}
	port := "443"
	if h.PlainHTTP {
		port = "80"
	}
	return net.JoinHostPort(name, port)
}

// proxies reports whether address is a proxy that the environment names.
func (s *Service) proxies(address string) bool {
	for _, scheme := range []string{"http", "https"} {
		u, err := http.ProxyFromEnvironment(&http.Request{URL: &url.URL{Scheme: scheme, Host: "registry-1.docker.io"}})
		if err != nil || u == nil {
			continue
		}
		port := u.Port()
		if port == "" {
			port = map[string]string{"http": "80", "https": "443", "socks5": "1080"}[u.Scheme]
		}
		if net.JoinHostPort(u.Hostname(), port) == address {
			return true
		}
	}
	return false
}

// RoundTrip sends one request, also one that a redirect leads to.
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme != "https" && (!t.host.PlainHTTP || r.URL.Scheme != "http") {
		return nil, fmt.Errorf("%s://%s speaks no TLS, and the upstream %s may be reached with TLS only", r.URL.Scheme, r.URL.Host, t.name)
	}
	out := r.Clone(r.Context())
	own := "1.1 " + via + t.service.cfg.ID
	if chain := viaOf(r.Context()); chain != "" {
		own = chain + ", " + own
	}
	out.Header.Set("Via", own)
	resp, err := t.base.RoundTrip(out)
	if err != nil {
		var refused *errAddress
		if errors.As(err, &refused) {
			return nil, refused
		}
		return nil, err
	}
	t.service.quota(t.in, t.name, resp.Header)
	return resp, nil
}

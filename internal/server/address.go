package server

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/kontor-registry/kontor/internal/access/authn"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/front/ecrapi"
	"github.com/kontor-registry/kontor/internal/lazyregexp"
)

// forwarded makes r what the client sent, where a proxy that is trusted says
// what that was: its Host, on which signatures rest, its address, and whether it
// was https. Of others such headers are ignored.
func (s *Server) forwarded(r *http.Request, req *request) {
	req.https = r.TLS != nil
	if req.proxied = s.proxied(r); !req.proxied {
		return
	}
	if host := last(r.Header.Values("X-Forwarded-Host")); validHost(host) {
		r.Host = host
	}
	switch last(r.Header.Values("X-Forwarded-Proto")) {
	case "https":
		req.https = true
	case "http":
		req.https = false
	}
	if client := s.client(r); client.IsValid() {
		r.RemoteAddr = netip.AddrPortFrom(client, 0).String()
	}
}

// client is the last address of X-Forwarded-For that is not one of the trusted
// proxies, which each append who they were called by: what stands before it may
// be the client's invention. It is invalid where there is none.
func (s *Server) client(r *http.Request) (client netip.Addr) {
	list := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for _, text := range slices.Backward(list) {
		a, ok := forwardedAddress(strings.TrimSpace(text))
		if !ok {
			break
		}
		if client = a; !contains(s.cfg.TrustedProxies, a) {
			break
		}
	}
	return client
}

// forwardedAddress reads an address, which some proxies write with a port.
func forwardedAddress(text string) (netip.Addr, bool) {
	a, err := netip.ParseAddr(strings.Trim(text, "[]"))
	if err != nil {
		var with netip.AddrPort
		if with, err = netip.ParseAddrPort(text); err == nil {
			a = with.Addr()
		}
	}
	return a.Unmap().WithZone(""), err == nil
}

// proxied reports whether the connection of r is that of a proxy that is trusted.
func (s *Server) proxied(r *http.Request) bool {
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	return err == nil && contains(s.cfg.TrustedProxies, from.Addr().Unmap())
}

func contains(list []netip.Prefix, a netip.Addr) bool {
	for _, p := range list {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// last is the last value of a header that is a list. The trusted proxy appended it;
// those before it may be the client's invention.
func last(values []string) string {
	all := strings.Join(values, ",")
	return strings.TrimSpace(all[strings.LastIndex(all, ",")+1:])
}

// validHost reports whether s is a host with or without a port.
func validHost(s string) bool {
	u, err := url.Parse("http://" + s)
	return s != "" && err == nil && u.Host == s && u.Hostname() != ""
}

// address is where the asker of req reaches the registry in: at the name that the
// operator gave it, else under the host that the request was sent to, at that
// registry's port. Registries that are not here are as good as the one asked.
func (s *Server) address(r *http.Request, req *request, in ecr.RegistryID) ecrapi.Address {
	b := req.binding
	for _, other := range s.cfg.Bindings {
		if other.Registry == in {
			b = other
		}
	}
	if b.External != nil {
		return ecrapi.Address{Scheme: b.External.Scheme, Host: b.External.Host}
	}
	scheme := "http"
	if (b.Registry == req.binding.Registry || b.ByHost) && req.https || b.TLS != nil {
		scheme = "https"
	}
	if b.ByHost {
		return ecrapi.Address{Scheme: scheme, Host: nameFor(r.Host, b)}
	}
	name, _, err := net.SplitHostPort(r.Host)
	if err != nil {
		name = r.Host
	}
	switch port := portOf(b.Host); {
	case !validHost(r.Host) || loopback(name):
		// It is asked on its own machine, under any of its names.
		return ecrapi.Address{Scheme: scheme, Host: b.Host}
	case b.Registry == req.binding.Registry:
		return ecrapi.Address{Scheme: scheme, Host: r.Host}
	case port != "":
		return ecrapi.Address{Scheme: scheme, Host: net.JoinHostPort(strings.Trim(name, "[]"), port)}
	default:
		return ecrapi.Address{Scheme: scheme, Host: b.Host}
	}
}

// loopback reports whether name is one of the usual names of the own machine,
// which all mean what localhost means.
func loopback(name string) bool { return name == "localhost" || name == "127.0.0.1" || name == "::1" }

func portOf(host string) string {
	_, port, err := net.SplitHostPort(host)
	if err != nil {
		return ""
	}
	return port
}

// nameFor is the name of b for a client that called the server by host: the
// same where it is one of b's, else b's name of ECR's form in the domain that the
// client used, or b's first name, with the port that the client used.
func nameFor(host string, b Binding) string {
	if b.names(host) != notNamed {
		return host
	}
	name, port, err := net.SplitHostPort(host)
	if err != nil {
		name, port = host, ""
	}
	if m := ecrName.FindStringSubmatch(name); m != nil {
		name = fmt.Sprintf("%s.dkr.ecr.%s.%s", b.Registry.Account, b.Registry.Region, m[3])
	} else if len(b.Hosts) > 0 {
		if name = b.Hosts[0]; portOf(name) != "" {
			return name
		}
	}
	if port == "" {
		return name
	}
	return net.JoinHostPort(name, port)
}

// ecrName is a host name of ECR's form, in any domain.
var ecrName = lazyregexp.New(`^(?i)(\d{12})\.dkr[.-]ecr(?:-fips)?\.([a-z0-9-]+)\.(.+)$`)

// How a host that a request was sent to is a name of a binding.
const (
	notNamed     = iota
	namedAnyPort // by a name without a port, or one of ECR's form
	namedExactly
)

// names says how host, with or without a port, is a name of b.
func (b Binding) names(host string) int {
	if b.External != nil && strings.EqualFold(b.External.Host, host) {
		return namedExactly
	}
	name := host
	if n, _, err := net.SplitHostPort(host); err == nil {
		name = n
	}
	how := notNamed
	for _, h := range b.Hosts {
		switch {
		case strings.EqualFold(h, host):
			return namedExactly
		case strings.EqualFold(h, name):
			how = namedAnyPort
		}
	}
	m := ecrName.FindStringSubmatch(name)
	if m != nil && m[1] == string(b.Registry.Account) && strings.EqualFold(m[2], string(b.Registry.Region)) {
		how = namedAnyPort
	}
	return how
}

// boundTo is the binding that a request to a listener of b is for. Where
// registries share the listener, it is the one that has the host that the request
// was sent to as a name, and known is false if none has. Otherwise it is b, but for
// the external address of another one, unless the listener is Own.
func (s *Server) boundTo(r *http.Request, b Binding) (_ Binding, known bool) {
	if !b.ByHost {
		if !b.Own && (b.External == nil || !strings.EqualFold(b.External.Host, r.Host)) {
			for _, other := range s.cfg.Bindings {
				if other.External != nil && strings.EqualFold(other.External.Host, r.Host) {
					return other, true
				}
			}
		}
		return b, true
	}
	best := notNamed
	for _, other := range s.cfg.Bindings {
		if how := other.names(r.Host); other.ByHost && how > best {
			b, best = other, how
		}
	}
	return b, best != notNamed
}

// region is the one that a call of an API is about: that of the credential's
// scope where this server has a registry there, as each endpoint serves all of
// them, or that of the address.
func (s *Server) region(r *http.Request, req *request) ecr.Region {
	_, claimed := authn.Claimed(r)
	for _, b := range s.cfg.Bindings {
		if b.Registry.Region == claimed {
			return claimed
		}
	}
	return req.binding.Registry.Region
}

// serves reports whether in is a registry of this server.
func (s *Server) serves(in ecr.RegistryID) bool {
	for _, b := range s.cfg.Bindings {
		if b.Registry == in {
			return true
		}
	}
	return false
}

package server

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/kontor-registry/kontor/internal/access/authn"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/front/ecrapi"
)

// forwarded makes r what the client sent, where a proxy that is trusted says
// what that was: its Host, on which signatures rest, and whether it was https.
// Of others such headers are ignored. https reports how the client sent it.
func (s *Server) forwarded(r *http.Request) (https bool) {
	https = r.TLS != nil
	if !s.proxied(r) {
		return https
	}
	if host := first(r.Header.Get("X-Forwarded-Host")); validHost(host) {
		r.Host = host
	}
	switch first(r.Header.Get("X-Forwarded-Proto")) {
	case "https":
		return true
	case "http":
		return false
	}
	return https
}

// proxied reports whether r comes from a proxy that is trusted.
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

// first is the first of a list of values, which is that of the client's side.
func first(header string) string {
	v, _, _ := strings.Cut(header, ",")
	return strings.TrimSpace(v)
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
	if b.Registry == req.binding.Registry && req.https || b.TLS != nil {
		scheme = "https"
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

// boundTo is the binding that a request is for: the one whose name the operator
// gave and the request was sent to, or that of the listener.
func (s *Server) boundTo(r *http.Request, b Binding) Binding {
	if b.External != nil && strings.EqualFold(b.External.Host, r.Host) {
		return b
	}
	for _, other := range s.cfg.Bindings {
		if other.External != nil && strings.EqualFold(other.External.Host, r.Host) {
			return other
		}
	}
	return b
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

package serve

import (
	"net"
	"net/netip"
	"slices"

	"github.com/pires/go-proxyproto"
)

// proxyProtocol has connections of trusted proxies begin with a header that says
// who the client is. Those of others are as they are: such a header is no HTTP.
func (c *Config) proxyProtocol(l net.Listener) net.Listener {
	trusted := c.Host.Server.TrustedProxies
	return proxied{&proxyproto.Listener{Listener: l, ConnPolicy: func(o proxyproto.ConnPolicyOptions) (proxyproto.Policy, error) {
		from, err := netip.ParseAddrPort(o.Upstream.String())
		if err == nil && slices.ContainsFunc(trusted, func(p netip.Prefix) bool { return p.Contains(from.Addr().Unmap()) }) {
			return proxyproto.REQUIRE, nil
		}
		return proxyproto.SKIP, nil
	}}}
}

// proxied makes connections that can do what a server asks of TCP's.
type proxied struct{ *proxyproto.Listener }

// Accept implements net.Listener.
func (l proxied) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if p, ok := c.(*proxyproto.Conn); ok && err == nil {
		return proxiedConn{p}, nil
	}
	return c, err
}

type proxiedConn struct{ *proxyproto.Conn }

// CloseWrite is that of the connection below.
func (c proxiedConn) CloseWrite() error {
	if tcp, ok := c.TCPConn(); ok {
		return tcp.CloseWrite()
	}
	return nil
}

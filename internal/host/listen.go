package host

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"syscall"
)

const maxPort = 1<<16 - 1

// ParseListen takes HOST:PORT apart.
func ParseListen(s string) (host string, port int, err error) {
	host, p, err := net.SplitHostPort(s)
	if err != nil {
		return "", 0, fmt.Errorf("%s: want HOST:PORT, such as %s or [::1]:5050", s, DefaultListen)
	}
	n, err := strconv.ParseUint(p, 10, 16)
	if err != nil {
		return "", 0, fmt.Errorf("%s: the port is a number from 0 to %d, 0 for any free one", s, maxPort)
	}
	return host, int(n), nil
}

// WithPort is host with that port, unless it has one.
func WithPort(host, port string) string {
	if _, _, err := net.SplitHostPort(host); err == nil || port == "" {
		return host
	}
	return net.JoinHostPort(host, port)
}

// freePorts is how many free ports to try.
const freePorts = 10

// Listen opens host:port. "localhost" means 127.0.0.1 and, where there is
// one, ::1 on the same port.
func Listen(ctx context.Context, host string, port int) ([]net.Listener, error) {
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
			return fmt.Errorf("listening on %s: permission denied: choose a port above 1023 with --listen", at)
		case errors.Is(err, syscall.EADDRNOTAVAIL):
			return fmt.Errorf("%s is not an address of this machine: choose another with --listen", at)
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
		// Half of localhost would be someone else's.
		if cerr := l4.Close(); port != 0 || cerr != nil || try == freePorts {
			return nil, errors.Join(explain(err), cerr)
		}
	}
}

// reachable is the name under which this machine reaches a listener on host.
func reachable(host string) string {
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		return "localhost"
	}
	return host
}

// IsLoopback reports whether only this machine can reach host.
func IsLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

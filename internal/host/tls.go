package host

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/kontor-registry/kontor/internal/datadir"
	"github.com/kontor-registry/kontor/internal/server"
)

// DockerInternal is how containers of Docker Desktop name its machine.
const DockerInternal = "host.docker.internal"

// TLS says with which certificate to serve https. The zero value is plain HTTP.
type TLS struct {
	// Local makes a certificate of a local authority, in the data folder.
	Local bool
	// Cert and Key are files, in PEM, that are loaded again when they change.
	Cert, Key string
}

// On reports whether https is served.
func (c TLS) On() bool { return c.Local || c.Cert != "" }

// Check finds what contradicts itself.
func (c TLS) Check() error {
	switch {
	case (c.Cert == "") != (c.Key == ""):
		return wrong("--tls-cert and --tls-key belong together: pass both")
	case c.Local && c.Cert != "":
		return wrong("--tls and --tls-cert cannot be combined: pass one of them")
	}
	return nil
}

// secured is a certificate that is served.
type secured struct {
	cert  *server.Certificate
	name  string // of the server, in image references
	host  string // where this machine reaches it
	trust string // file
	local bool
}

// open loads the certificate, or makes one in the data folder; nil where TLS
// is off. host is the name under which this machine reaches the listeners.
func (c TLS) open(dataDir, host string, log *slog.Logger) (*secured, error) {
	if !c.On() {
		return nil, nil
	}
	s := &secured{name: host, host: host, local: c.Local}
	certFile, keyFile := c.Cert, c.Key
	if c.Local {
		names := []string{host, "localhost", "127.0.0.1", "::1", DockerInternal}
		if name, err := os.Hostname(); err == nil {
			names = append(names, name)
		}
		slices.Sort(names[1:])
		files, err := server.LocalCA(filepath.Join(dataDir, "tls"), slices.Compact(names), time.Now())
		if err != nil {
			return nil, err
		}
		certFile, keyFile, s.trust = files.Cert, files.Key, files.CA
	}
	var err error
	if s.cert, err = server.LoadCertificate(certFile, keyFile, log); err != nil {
		return nil, err
	}
	if s.local {
		return s, nil
	}
	if s.trust, err = filepath.Abs(certFile); err != nil {
		return nil, err
	}
	leaf := s.cert.Leaf()
	if leaf.VerifyHostname(host) != nil {
		i := slices.IndexFunc(leaf.DNSNames, func(n string) bool { return !strings.HasPrefix(n, "*") })
		if i < 0 {
			return nil, wrong("--tls-cert %s: the certificate names no host that clients could call this server: it has %s",
				c.Cert, strings.Join(leaf.DNSNames, ", "))
		}
		s.name = leaf.DNSNames[i]
	}
	return s, nil
}

func (s *secured) config() *tls.Config {
	if s == nil {
		return nil
	}
	return s.cert.Config()
}

// announce writes into r how it is reached.
func (s *secured) announce(r *datadir.Registry, port string) {
	r.Host = net.JoinHostPort(s.name, port)
	r.Endpoint = "https://" + r.Host
	r.Address = net.JoinHostPort(s.host, port)
	r.Trust, r.Local = s.trust, s.local
}

// client reaches a server of this machine that speaks TLS, whatever its
// name is known to; nil where it speaks none.
func client(r datadir.Registry) (HTTPClient, error) {
	if r.Trust == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(r.Trust)
	if err != nil {
		return nil, fmt.Errorf("the server's certificate: %w", err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("the server's certificate: %s does not contain one", r.Trust)
	}
	var d net.Dialer
	return &http.Client{Transport: &http.Transport{
		TLSClientConfig:   &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12},
		ForceAttemptHTTP2: true,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return d.DialContext(ctx, network, r.Address)
		},
	}}, nil
}

package cli

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

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/kontor-registry/kontor/internal/datadir"
	"github.com/kontor-registry/kontor/internal/server"
)

// tlsConfig is what the flags say of TLS.
type tlsConfig struct {
	local     bool
	cert, key string
}

func (c tlsConfig) on() bool { return c.local || c.cert != "" }

func (c tlsConfig) check() error {
	switch {
	case (c.cert == "") != (c.key == ""):
		return usagef("--tls-cert and --tls-key belong together: give both")
	case c.local && c.cert != "":
		return usagef("--tls makes a certificate and --tls-cert brings one: give one of them")
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
func (c tlsConfig) open(dataDir, host string, log *slog.Logger) (*secured, error) {
	if !c.on() {
		return nil, nil
	}
	s := &secured{name: host, host: host, local: c.local}
	certFile, keyFile := c.cert, c.key
	if c.local {
		names := []string{host, "localhost", "127.0.0.1", "::1", dockerInternal}
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
			return nil, usagef("--tls-cert %s: the certificate names no host that clients could call this server: it has %s",
				c.cert, strings.Join(leaf.DNSNames, ", "))
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

// authority is the local authority's file, "" for none.
func (s *localServer) authority() string {
	if r := s.registries[0]; r.Local {
		return r.Trust
	}
	return ""
}

// localClient reaches a server of this machine that speaks TLS, whatever its
// name is known to; nil where it speaks none.
func localClient(r datadir.Registry) (aws.HTTPClient, error) {
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
		return nil, fmt.Errorf("the server's certificate: %s holds none", r.Trust)
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

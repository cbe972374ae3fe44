package server

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// Certificate is a TLS certificate in files, loaded again when they change.
// While what the files hold does not fit together, as in the middle of being
// replaced, the last certificate that did is served.
type Certificate struct {
	certFile, keyFile string
	log               *slog.Logger

	mu      sync.Mutex
	loaded  *tls.Certificate // guarded by mu
	stamps  [2]stamp         // guarded by mu; of the files as loaded or refused
	checked time.Time        // guarded by mu
}

// stamp tells versions of a file apart.
type stamp struct {
	size int64
	at   time.Time
}

// recheck is how long a change of the files may go unnoticed.
const recheck = time.Second

// LoadCertificate loads a certificate chain and its key, both in PEM.
func LoadCertificate(certFile, keyFile string, log *slog.Logger) (*Certificate, error) {
	c := &Certificate{certFile: certFile, keyFile: keyFile, log: log}
	var err error
	if c.stamps, err = c.look(); err != nil {
		return nil, err
	}
	if c.loaded, err = c.load(); err != nil {
		return nil, err
	}
	return c, nil
}

// Leaf is the certificate as it was loaded last.
func (c *Certificate) Leaf() *x509.Certificate {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.loaded.Leaf
}

// Config is the TLS of a Binding: 1.2 or newer, with HTTP/2.
func (c *Certificate) Config() *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.current(time.Now()), nil },
	}
}

func (c *Certificate) look() (stamps [2]stamp, err error) {
	for i, name := range []string{c.certFile, c.keyFile} {
		info, err := os.Stat(name)
		if err != nil {
			return stamps, err
		}
		stamps[i] = stamp{info.Size(), info.ModTime()}
	}
	return stamps, nil
}

func (c *Certificate) load() (*tls.Certificate, error) {
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return nil, fmt.Errorf("certificate %s with key %s: %w", c.certFile, c.keyFile, err)
	}
	return &pair, nil
}

// current loads the files again if they changed since.
func (c *Certificate) current(now time.Time) *tls.Certificate {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now.Sub(c.checked) < recheck {
		return c.loaded
	}
	c.checked = now
	stamps, err := c.look()
	if err == nil && stamps == c.stamps {
		return c.loaded
	}
	var fresh *tls.Certificate
	if err == nil {
		c.stamps = stamps
		fresh, err = c.load()
	}
	if err != nil {
		c.log.Warn("certificate not loaded again; the one before is still served", "error", err)
		return c.loaded
	}
	c.loaded = fresh
	c.log.Info("certificate loaded again", "file", c.certFile, "expires", fresh.Leaf.NotAfter)
	return c.loaded
}

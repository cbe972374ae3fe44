package server

import (
	"context"
	"net/url"
	"time"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/events"
	"github.com/kontor-registry/kontor/internal/gate"
	"github.com/kontor-registry/kontor/internal/scanning"
)

// ScannerConfig is the scanner of a server: a web service or a program.
type ScannerConfig struct {
	Name string
	// Adapter is a web service, of which this package adds the credentials; nil for none.
	Adapter *scanning.AdapterConfig
	// RegistryURL is how the service reaches this server; by default as clients do.
	RegistryURL *url.URL
	// Command is a program, of which this package adds the registry; nil for none.
	Command *scanning.CommandConfig
	// Slots and Timeout are those of scanning.Config.
	Slots   int
	Timeout time.Duration
}

// newScanning is the engine of scans, with or without a scanner.
func (s *Server) newScanning() *scanning.Service {
	cfg := scanning.Config{Gate: s.gate, Registry: s.registry, Now: s.cfg.ImageNow, Finished: tellScan, Log: s.cfg.Log}
	if o, ok := s.cfg.Observer.(scanning.Observer); ok {
		cfg.Observer = o
	}
	if c := s.cfg.Scanner; c != nil {
		cfg.Name, cfg.Slots, cfg.Timeout = c.Name, c.Slots, c.Timeout
		switch {
		case c.Adapter != nil:
			a := *c.Adapter
			a.Address, a.Credentials = s.scannerAddress, scannerCredentials{s}
			cfg.Scanner = scanning.NewAdapter(a)
		case c.Command != nil:
			p := *c.Command
			p.Registry, p.Log = s.registry, s.cfg.Log
			cfg.Scanner = scanning.NewCommand(p)
		}
	}
	return scanning.New(cfg)
}

// tellScan puts a scan that is over among the events.
func tellScan(_ context.Context, tx *gate.Tx, f scanning.Finished) error {
	tx.Emit(scanEvent(f))
	return nil
}

// scanEvent is the event of a scan that is over.
func scanEvent(f scanning.Finished) events.Event {
	e := events.Event{
		Type: events.ImageScanned, At: f.Time, Registry: f.At.In, Repository: f.At.Name, Digest: f.Digest, Tags: f.Tags, ScanStatus: string(f.Status),
	}
	for severity, n := range f.Counts {
		if e.Findings == nil {
			e.Findings = map[string]int{}
		}
		e.Findings[string(severity)] = n
	}
	if len(f.Tags) > 0 {
		e.Tag = f.Tags[0]
	}
	return e
}

// scannerAddress is how the scanner reaches a registry.
func (s *Server) scannerAddress(in ecr.RegistryID) *url.URL {
	for _, b := range s.cfg.Bindings {
		if b.Registry != in {
			continue
		}
		switch {
		case s.cfg.Scanner.RegistryURL != nil:
			return s.cfg.Scanner.RegistryURL
		case b.External != nil:
			return b.External
		case b.TLS != nil:
			return &url.URL{Scheme: "https", Host: b.Host}
		}
		return &url.URL{Scheme: "http", Host: b.Host}
	}
	return &url.URL{}
}

// scannerCredentials are machine tokens of the user for scanners.
type scannerCredentials struct{ s *Server }

// Issue implements scanning.Credentials.
func (c scannerCredentials) Issue(ctx context.Context, at ecr.Repo, until time.Time) (user, password, id string, err error) {
	// The lifetime is of the machine's clock, as tokens are; until is of it, too.
	id, password, err = c.s.IAM(at.In.Region).System(at.In.Account, "image scan").Tokens().ScannerToken(ctx, at, until)
	return access.ScannerUser, password, id, err
}

// Revoke implements scanning.Credentials.
func (c scannerCredentials) Revoke(ctx context.Context, at ecr.Repo, id string) error {
	_, err := c.s.IAM(at.In.Region).System(at.In.Account, "image scan").Tokens().Delete(ctx, access.ScannerUser, id)
	return err
}

package server

import "github.com/kontor-registry/kontor/internal/signing/managed"

// newManaged is what signs images that are pushed to s.
func newManaged(s *Server) *managed.Service {
	cfg := managed.Config{Gate: s.gate, Registry: s.registry, Key: s.cfg.Key, Now: s.cfg.AuthNow, Log: s.cfg.Log}
	if o, ok := s.cfg.Observer.(managed.Observer); ok {
		cfg.Observer = o
	}
	return managed.New(cfg)
}

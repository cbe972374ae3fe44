package server

import (
	"context"
	"io"
	"net/http"
	"time"

	"github.com/kontor-registry/kontor/internal/gate"
)

// readyTime is how long the stores may take to answer a server that is ready.
const readyTime = 5 * time.Second

// serveReady answers whether requests would be served now: 200, or 503 when
// the server stops or the database cannot be read. /healthz tells only that the
// process is alive.
func (s *Server) serveReady(w http.ResponseWriter, r *http.Request, req *request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if s.stopping.Load() {
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = io.WriteString(w, "the server stops\n")
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), readyTime)
	defer cancel()
	err := s.gate.System("readiness").Read(ctx, gate.Op("Ready"), func(ctx context.Context, v *gate.View) error {
		_, err := v.Registries().RegistrySettings(ctx, req.binding.Registry)
		return err
	})
	if err != nil {
		s.cfg.Log.ErrorContext(r.Context(), "not ready", "request_id", req.id, "error", err)
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = io.WriteString(w, "the database cannot be read\n")
		return
	}
	_, _ = io.WriteString(w, "ready\n")
}

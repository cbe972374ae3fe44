package server

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/kontor-registry/kontor/internal/datadir"
	"github.com/kontor-registry/kontor/internal/ecr"
)

// Requests that come on a connection from before while the server stops are
// answered, but whoever asks where to send more is told to send it elsewhere.
func TestNotReadyWhileStopping(t *testing.T) {
	d, err := datadir.Open(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}()
	b := Binding{Registry: ecr.RegistryID{Account: "000000000000", Region: "us-east-1"}, Host: "localhost:5050"}
	s, err := New(t.Context(), Config{
		Meta: d.Meta, Blobs: d.Blobs, Key: d.Key, Bindings: []Binding{b}, ImageNow: time.Now, AuthNow: time.Now, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	ask := func(path string, status int, body string) {
		t.Helper()
		w := httptest.NewRecorder()
		s.handler(b, false).ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		if w.Code != status || w.Body.String() != body {
			t.Errorf("%s: %d %q, want %d %q", path, w.Code, w.Body, status, body)
		}
	}
	ask("/readyz", 200, "ready\n")
	stop, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Run(stop); err != nil {
		t.Fatal(err)
	}
	ask("/readyz", 503, "the server stops\n")
	ask("/healthz", 200, "ok\n")
}

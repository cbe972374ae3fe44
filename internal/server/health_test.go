package server_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/kontor-registry/kontor/internal/server"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// unreadable fails at every read while it is told to.
type unreadable struct {
	meta.Store
	fails atomic.Bool
}

func (u *unreadable) View(ctx context.Context, fn func(context.Context, meta.Reader) error) error {
	if u.fails.Load() {
		return errors.New("no such disk")
	}
	return u.Store.View(ctx, fn)
}

func TestReady(t *testing.T) {
	u := &unreadable{}
	w := start(t, t.TempDir(), func(c *server.Config) { u.Store = c.Meta; c.Meta = u })
	ask := func(path string, status int, body string) {
		t.Helper()
		if a := w.do(w.request(here, "GET", path, "")); a.status != status || a.body != body {
			t.Errorf("%s: %d %q, want %d %q", path, a.status, a.body, status, body)
		}
	}
	ask("/readyz", 200, "ready\n")
	u.fails.Store(true)
	ask("/readyz", 503, "the database cannot be read\n")
	ask("/healthz", 200, "ok\n")
	u.fails.Store(false)
	ask("/readyz", 200, "ready\n")
}

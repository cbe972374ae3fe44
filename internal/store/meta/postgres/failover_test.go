package postgres

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/pgtest"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// A store does not open on a standby, finds the server that takes writes whichever
// comes first, and follows a failover with what was acknowledged.
func TestFailover(t *testing.T) {
	pair := pgtest.StartPair(t)
	if s, err := Open(t.Context(), Config{URL: pair.Standby()}); !errors.Is(err, meta.ErrUnavailable) {
		t.Errorf("on the standby alone: %v, want ErrUnavailable", err)
		if err == nil {
			closeStore(t, s)
		}
	}
	a, b := mustOpen(t, pair.URL(false)), mustOpen(t, pair.URL(true))
	defer closeStore(t, a)
	defer closeStore(t, b)
	if err := errors.Join(insert(a, "before-a"), insert(b, "before-b"), has(a, "before-b"), has(b, "before-a")); err != nil {
		t.Fatal(err)
	}
	pair.FailOver()
	for name, s := range map[ecr.RepositoryName]meta.Store{"after-a": a, "after-b": b} {
		until(t, func() error {
			err := insert(s, name)
			if errors.Is(err, meta.ErrExists) { // of a run whose outcome was not known
				return nil
			}
			return err
		})
		for _, name := range []ecr.RepositoryName{"before-a", "before-b", name} {
			until(t, func() error { return has(s, name) })
		}
	}
}

// until repeats what fails while the servers change.
func until(t *testing.T, do func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	for ; ; time.Sleep(20 * time.Millisecond) {
		err := do()
		switch {
		case err == nil:
			return
		case !errors.Is(err, meta.ErrUnavailable), ctx.Err() != nil:
			t.Fatal(err)
		}
	}
}

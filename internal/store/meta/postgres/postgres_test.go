package postgres

import (
	"context"
	"testing"

	"github.com/kontor-registry/kontor/internal/pgtest"
	"github.com/kontor-registry/kontor/internal/store/meta"
	"github.com/kontor-registry/kontor/internal/store/meta/metatest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func mustOpen(t testing.TB, url string) meta.Store {
	t.Helper()
	s, err := Open(context.Background(), Config{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestStore(t *testing.T) {
	metatest.Run(t, func(t *testing.T) meta.Store { return mustOpen(t, pgtest.Start(t)) })
}

func TestReopen(t *testing.T) {
	metatest.RunReopen(t, func(t *testing.T) func() meta.Store {
		url := pgtest.Start(t)
		return func() meta.Store { return mustOpen(t, url) }
	})
}

func TestReplicas(t *testing.T) {
	metatest.RunReplicas(t, func(t *testing.T) (a, b meta.Store) {
		url := pgtest.Start(t)
		return mustOpen(t, url), mustOpen(t, url)
	})
}

func BenchmarkPush(b *testing.B) {
	metatest.BenchmarkPush(b, func(b *testing.B) meta.Store { return mustOpen(b, pgtest.Start(b)) })
}

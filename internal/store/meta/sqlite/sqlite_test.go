package sqlite

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/kontor-registry/kontor/internal/store/meta"
	"github.com/kontor-registry/kontor/internal/store/meta/metatest"
)

func init() { RememberNew() } // the suite opens many

func mustOpen(t testing.TB, path string) meta.Store {
	t.Helper()
	s, err := Open(context.Background(), Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestStore(t *testing.T) {
	metatest.Run(t, func(t *testing.T) meta.Store { return mustOpen(t, filepath.Join(t.TempDir(), "meta.db")) })
}

// A Store that is alone remembers what it read, and must promise the same.
func TestStoreAlone(t *testing.T) {
	metatest.Run(t, func(t *testing.T) meta.Store {
		s, err := Open(context.Background(), Config{Path: filepath.Join(t.TempDir(), "meta.db"), Alone: true})
		if err != nil {
			t.Fatal(err)
		}
		return s
	})
}

func TestReopen(t *testing.T) {
	metatest.RunReopen(t, func(t *testing.T) func() meta.Store {
		path := filepath.Join(t.TempDir(), "meta.db")
		return func() meta.Store { return mustOpen(t, path) }
	})
}

func TestTwoStores(t *testing.T) {
	metatest.RunReplicas(t, func(t *testing.T) (a, b meta.Store) {
		path := filepath.Join(t.TempDir(), "meta.db")
		return mustOpen(t, path), mustOpen(t, path)
	})
}

func BenchmarkPush(b *testing.B) {
	metatest.BenchmarkPush(b, func(b *testing.B) meta.Store { return mustOpen(b, filepath.Join(b.TempDir(), "meta.db")) })
}

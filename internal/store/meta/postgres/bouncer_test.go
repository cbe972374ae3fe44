package postgres

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/pgtest"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// Through a pooler that gives each transaction another backend, more processes than
// it has backends start together, one makes the schema, and all work.
func TestThroughPooler(t *testing.T) {
	url := pgtest.Start(t)
	poolers := []string{pgtest.Bouncer(t, url, 3), pgtest.Bouncer(t, url, 3)}
	const processes, each = 8, 10
	var all sync.WaitGroup
	for i := range processes {
		all.Go(func() {
			s, err := Open(context.Background(), Config{URL: poolers[i%len(poolers)]})
			if err != nil {
				t.Error(err)
				return
			}
			defer closeStore(t, s)
			var own sync.WaitGroup
			for k := range each {
				own.Go(func() {
					name := ecr.RepositoryName(fmt.Sprintf("r%d-%d", i, k))
					if err := errors.Join(insert(s, name), has(s, name)); err != nil {
						t.Errorf("process %d: %v", i, err)
					}
					if err := s.View(context.Background(), func(ctx context.Context, r meta.Reader) error {
						_, err := r.ListRepositories(ctx, registry, "", each)
						return err
					}); err != nil {
						t.Errorf("process %d: %v", i, err)
					}
				})
			}
			own.Wait()
		})
	}
	all.Wait()
	if n := ask[int](t, url, "SELECT COUNT(*) FROM repositories"); n != processes*each {
		t.Errorf("%d repositories, want %d", n, processes*each)
	}
	if n := ask[int](t, url, "SELECT COUNT(*) FROM pg_locks WHERE locktype = 'advisory'"); n != 0 {
		t.Errorf("%d locks are left behind", n)
	}
}

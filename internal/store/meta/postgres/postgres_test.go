package postgres

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

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

// An update sees what was committed before it was called, elsewhere too: it
// does not join a transaction that has looked at the database before.
func TestUpdateSeesWhatWasCommittedBefore(t *testing.T) {
	url := pgtest.Start(t)
	here := mustOpen(t, url)
	there, err := Open(t.Context(), Config{URL: url, Writers: 1})
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	looked, goOn, long, late := make(chan struct{}), make(chan struct{}), make(chan error, 1), make(chan error, 1)
	go func() {
		first := sync.OnceFunc(func() { close(looked) })
		long <- there.Update(ctx, func(ctx context.Context, tx meta.Tx) error {
			_, err := tx.Retention().JobState(ctx, "other")
			first()
			<-goOn
			if errors.Is(err, meta.ErrNotFound) {
				return nil
			}
			return err
		})
	}()
	<-looked
	err = here.Update(ctx, func(ctx context.Context, tx meta.Tx) error {
		return tx.Retention().PutJobState(ctx, "job", []byte("{}"))
	})
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		late <- there.Update(ctx, func(ctx context.Context, tx meta.Tx) error {
			_, err := tx.Retention().JobState(ctx, "job")
			return err
		})
	}()
	// Time for the second to queue up; if it is not enough, it sees what is
	// there all the same.
	time.Sleep(100 * time.Millisecond)
	close(goOn)
	if err := errors.Join(<-long, <-late); err != nil {
		t.Error(err)
	}
	if err := errors.Join(here.Close(), there.Close()); err != nil {
		t.Error(err)
	}
}

func BenchmarkPush(b *testing.B) {
	metatest.BenchmarkPush(b, func(b *testing.B) meta.Store { return mustOpen(b, pgtest.Start(b)) })
}

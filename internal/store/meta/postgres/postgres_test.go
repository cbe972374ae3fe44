package postgres

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
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

// migrated is a database with the schema, and nothing else.
func migrated(t testing.TB) (url string) {
	t.Helper()
	return pgtest.StartLike(t, func(url string) error {
		s, err := Open(context.Background(), Config{URL: url})
		if err != nil {
			return err
		}
		return s.Close()
	})
}

func TestStore(t *testing.T) {
	metatest.Run(t, func(t *testing.T) meta.Store { return mustOpen(t, migrated(t)) })
}

func TestReopen(t *testing.T) {
	metatest.RunReopen(t, func(t *testing.T) func() meta.Store {
		url := pgtest.Start(t)
		return func() meta.Store { return mustOpen(t, url) }
	})
}

func TestReplicas(t *testing.T) {
	metatest.RunReplicas(t, func(t *testing.T) (a, b meta.Store) {
		url := migrated(t)
		return mustOpen(t, url), mustOpen(t, url)
	})
}

// An update sees what was committed before it was called, elsewhere too: it
// does not join a transaction that has looked at the database before.
func TestUpdateSeesWhatWasCommittedBefore(t *testing.T) {
	url := migrated(t)
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

// waited tells when someone first waits for a context to end, which is when
// an update has queued up.
type waited struct {
	context.Context
	first func()
}

func (w waited) Done() <-chan struct{} {
	w.first()
	return w.Context.Done()
}

// An update that is to share a transaction can be given up until its turn
// comes, however long the others in it take.
func TestGivenUpBehindOthers(t *testing.T) {
	s, err := Open(t.Context(), Config{URL: migrated(t), Writers: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer closeStore(t, s)
	queue := func(ctx context.Context, fn func(context.Context, meta.Tx) error) <-chan error {
		queued, done := make(chan struct{}), make(chan error, 1)
		go func() { done <- s.Update(waited{ctx, sync.OnceFunc(func() { close(queued) })}, fn) }()
		<-queued
		return done
	}
	blocking := func() (started, release chan struct{}, fn func(context.Context, meta.Tx) error) {
		started, release = make(chan struct{}), make(chan struct{})
		return started, release, func(context.Context, meta.Tx) error { close(started); <-release; return nil }
	}
	// While the first is run, the second and the late one queue up. Then they
	// share a transaction.
	firstStarted, releaseFirst, fn := blocking()
	first := queue(t.Context(), fn)
	<-firstStarted
	secondStarted, releaseSecond, fn := blocking()
	second := queue(t.Context(), fn)
	ctx, giveUp := context.WithCancel(t.Context())
	var ran atomic.Bool
	late := queue(ctx, func(context.Context, meta.Tx) error { ran.Store(true); return nil })
	close(releaseFirst)
	<-secondStarted
	giveUp()
	select {
	case err := <-late:
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want the context's error", err)
		}
	case <-time.After(time.Minute):
		t.Error("it waits for the one before it")
	}
	close(releaseSecond)
	if err := errors.Join(<-first, <-second); err != nil {
		t.Error(err)
	}
	if err := insert(s, "after"); err != nil {
		t.Error(err)
	}
	if ran.Load() {
		t.Error("it was run after its caller was told that it was not")
	}
}

func BenchmarkPush(b *testing.B) {
	metatest.BenchmarkPush(b, func(b *testing.B) meta.Store { return mustOpen(b, pgtest.Start(b)) })
}

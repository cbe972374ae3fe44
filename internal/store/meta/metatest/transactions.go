package metatest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

var errTest = errors.New("the callback failed")

func failingUpdate(t *testing.T, s meta.Store) {
	repo := newRepository(t, s, "app")
	kept := newImage(t, s, repo, "kept", "v1")
	err := s.Update(t.Context(), func(ctx context.Context, tx meta.Tx) error {
		_, err := tx.InsertRepository(ctx, repositoryNamed("new"))
		return errors.Join(errTest, err,
			tx.InsertManifest(ctx, manifestOf(repo, "new")),
			tx.DeleteTag(ctx, repo, "v1"),
			tx.UpdateRepository(ctx, meta.Repository{ID: repo, PolicyText: "changed"}),
			tx.Retention().AppendJournal(ctx, entryOf(repo, "a")),
			tx.InsertUpload(ctx, uploadOf(repo, 1)))
	})
	if err == nil || !errors.Is(err, errTest) || err.Error() != errTest.Error() {
		t.Errorf("got %v, want the callback's error alone", err)
	}
	notFound(t, s, "repository", func(ctx context.Context, r meta.Reader) (meta.Repository, error) {
		return r.Repository(ctx, registry, "new")
	})
	diff(t, []meta.Manifest{listed(kept, "v1")}, read(t, s, func(ctx context.Context, r meta.Reader) ([]meta.Manifest, error) {
		return r.ListManifests(ctx, repo, "", 10)
	}))
	if got := getRepository(t, s, registry, "app").PolicyText; got != "" {
		t.Errorf("policy %q", got)
	}
	diff(t, []meta.JournalEntry(nil), listJournal(t, s, 0, 1))
}

// errorPassedOver: a callback may take an error of the contract for an answer
// and continue; all that it did counts.
func errorPassedOver(t *testing.T, s meta.Store) {
	repo := newRepository(t, s, "app")
	parent := manifestOf(repo, "parent")
	child := newImage(t, s, repo, "child")
	parent.Children = []ecr.Digest{child.Image.Digest}
	insertImage(t, s, parent)
	update(t, s, func(ctx context.Context, tx meta.Tx) error {
		broken := manifestOf(repo, "broken")
		broken.Blobs = []ecr.Digest{digest("unknown")}
		_, exists := tx.InsertRepository(ctx, repositoryNamed("app"))
		for i, err := range []error{
			tx.DeleteManifest(ctx, repo, child.Image.Digest, noon), exists, tx.InsertManifest(ctx, broken), tx.DeleteUpload(ctx, "none", 0),
		} {
			if err == nil {
				t.Errorf("step %d succeeded", i)
			}
		}
		return tx.PutTag(ctx, repo, meta.TagRow{Tag: "v1", Digest: child.Image.Digest, TaggedAt: noon}, false)
	})
	diff(t, want(child, "v1"), getImage(t, s, repo, child.Image.Digest))
	notFound(t, s, "broken image", func(ctx context.Context, r meta.Reader) (meta.Manifest, error) {
		return r.Manifest(ctx, repo, manifestOf(repo, "broken").Image.Digest)
	})
}

func ownWrites(t *testing.T, s meta.Store) {
	update(t, s, func(ctx context.Context, tx meta.Tx) error {
		id, err := tx.InsertRepository(ctx, repositoryNamed("app"))
		if err != nil {
			return err
		}
		m := manifestOf(id, "m")
		if err := tx.InsertManifest(ctx, m); err != nil {
			return err
		}
		got, err := tx.Manifest(ctx, id, m.Image.Digest)
		diff(t, want(m), got)
		return err
	})
}

// snapshot: a View sees one moment, however long it takes.
func snapshot(t *testing.T, s meta.Store) {
	repo := newRepository(t, s, "app")
	m := newImage(t, s, repo, "a", "v1")
	err := s.View(t.Context(), func(ctx context.Context, r meta.Reader) error {
		before, err := r.ListTags(ctx, repo, "", 10)
		if err != nil {
			return err
		}
		update(t, s, func(ctx context.Context, tx meta.Tx) error { return tx.DeleteManifest(ctx, repo, m.Image.Digest, noon) })
		after, err := r.ListTags(ctx, repo, "", 10)
		if err != nil {
			return err
		}
		diff(t, before, after)
		got, err := r.Manifest(ctx, repo, m.Image.Digest)
		diff(t, want(m, "v1"), got)
		return err
	})
	if err != nil {
		t.Error(err)
	}
	notFound(t, s, "image, in the next view", func(ctx context.Context, r meta.Reader) (meta.Manifest, error) {
		return r.Manifest(ctx, repo, m.Image.Digest)
	})
}

// openSnapshot: what Snapshot returns sees one moment until it is ended, others
// write and read meanwhile, and Close waits for it. It does not depend on the
// context after it was opened.
func openSnapshot(t *testing.T, s meta.Store) {
	repo := newRepository(t, s, "app")
	ctx, cancel := context.WithCancel(t.Context())
	r, end, err := s.Snapshot(ctx)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	count := func(r meta.Reader) int {
		t.Helper()
		tags, err := r.ListTags(t.Context(), repo, "", 10)
		if err != nil {
			t.Fatal(err)
		}
		return len(tags)
	}
	before := count(r)
	newImage(t, s, repo, "a", "v1")
	second, endSecond, err := s.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got := []int{before, count(r), count(second)}; !slices.Equal(got, []int{0, 0, 1}) {
		t.Errorf("tags before, after, and in the next snapshot: %v", got)
	}
	endSecond()
	for range 50 { // what a driver says of a connection that was given up differs
		if _, _, err := s.Snapshot(ctx); !errors.Is(err, context.Canceled) || errors.Is(err, meta.ErrUnavailable) {
			t.Errorf("opening with a context that is done: %v", err)
			break
		}
	}
	closed := make(chan error, 1)
	go func() { closed <- s.Close() }()
	select {
	case err := <-closed:
		t.Errorf("Close did not wait: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	if got := count(r); got != 0 {
		t.Errorf("%d tags while it is being closed", got)
	}
	end()
	if err := <-closed; err != nil {
		t.Errorf("Close: %v", err)
	}
	if _, _, err := s.Snapshot(t.Context()); err == nil {
		t.Error("Snapshot works after Close")
	}
}

// race calls fn n times at once, i counting, and returns the errors.
func race(n int, fn func(i int) error) []error {
	errs := make([]error, n)
	var all sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		all.Go(func() {
			<-start
			errs[i] = fn(i)
		})
	}
	close(start)
	all.Wait()
	return errs
}

// sharedCommit: of many updates at once, those that fail do not hurt the
// others, whatever of them shared a commit.
func sharedCommit(t *testing.T, s meta.Store) {
	const n = 120
	repo := newRepository(t, s, "app")
	errs := race(n, func(i int) error {
		return s.Update(t.Context(), func(ctx context.Context, tx meta.Tx) error {
			if err := tx.InsertManifest(ctx, manifestOf(repo, fmt.Sprint(i))); err != nil {
				return err
			}
			switch i % 4 {
			case 1:
				return fmt.Errorf("%w: %d", errTest, i)
			case 2: // answered by the store
				return tx.DeleteTag(ctx, repo, ecr.Tag(fmt.Sprint(i)))
			}
			return nil
		})
	})
	for i, err := range errs {
		_, lost := tryRead(t, s, func(ctx context.Context, r meta.Reader) (meta.Manifest, error) {
			return r.Manifest(ctx, repo, manifestOf(repo, fmt.Sprint(i)).Image.Digest)
		})
		ok := err == nil && lost == nil
		switch i % 4 {
		case 1:
			ok = err != nil && err.Error() == fmt.Sprintf("%v: %d", errTest, i) && errors.Is(lost, meta.ErrNotFound)
		case 2:
			ok = errors.Is(err, meta.ErrNotFound) && errors.Is(lost, meta.ErrNotFound)
		}
		if !ok {
			t.Errorf("update %d: %v; its image: %v", i, err, lost)
		}
	}
}

func cancelled(t *testing.T, s meta.Store) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	ran := false
	if err := s.Update(ctx, func(context.Context, meta.Tx) error { ran = true; return nil }); !errors.Is(err, context.Canceled) || ran {
		t.Errorf("Update: %v, ran: %v", err, ran)
	}
	if err := s.View(ctx, func(ctx context.Context, r meta.Reader) error { _, err := r.CountUploads(ctx, ""); return err }); !errors.Is(err, context.Canceled) {
		t.Errorf("View: %v", err)
	}
	// A view that is given up on its way costs no one else anything.
	for range 20 {
		ctx, cancel := context.WithCancel(t.Context())
		err := s.View(ctx, func(ctx context.Context, r meta.Reader) error {
			if _, err := r.CountUploads(ctx, ""); err != nil {
				return err
			}
			cancel()
			_, err := r.CountUploads(ctx, "")
			return err
		})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("View: %v", err)
		}
	}
	read(t, s, func(ctx context.Context, r meta.Reader) (int, error) { return r.CountUploads(ctx, "") })
	newRepository(t, s, "app")
}

// cancelledInQueue: a caller that gives up while it waits is not run.
func cancelledInQueue(t *testing.T, s meta.Store) {
	repo := newRepository(t, s, "app")
	// As many updates as it takes to keep every writer busy.
	release, busy := make(chan struct{}), make(chan error, 16)
	var running atomic.Int32
	for range cap(busy) {
		go func() {
			busy <- s.Update(context.Background(), func(context.Context, meta.Tx) error { running.Add(1); <-release; return nil })
		}()
	}
	// Until no more of them begin, which takes its time on a busy machine.
	for before, same := int32(0), 0; same < 20; time.Sleep(10 * time.Millisecond) {
		if now := running.Load(); now > 0 && now == before {
			same++
		} else {
			before, same = now, 0
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	var ran atomic.Bool
	err := s.Update(ctx, func(ctx context.Context, tx meta.Tx) error {
		ran.Store(true)
		return tx.InsertManifest(ctx, manifestOf(repo, "late"))
	})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want the context's error", err)
	}
	close(release)
	for range cap(busy) {
		if err := <-busy; err != nil {
			t.Error(err)
		}
	}
	update(t, s, func(context.Context, meta.Tx) error { return nil })
	if ran.Load() {
		t.Error("it was run after its caller was told that it was not")
	}
}

// cancelledRunning: once it runs, an update is not torn: nothing happens to
// those it shares a transaction with, and what is answered is what happened.
func cancelledRunning(t *testing.T, s meta.Store) {
	repo := newRepository(t, s, "app")
	errs := race(60, func(i int) error {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		return s.Update(ctx, func(inner context.Context, tx meta.Tx) error {
			if err := tx.InsertManifest(inner, manifestOf(repo, fmt.Sprint(i))); err != nil {
				return err
			}
			if i%3 == 0 {
				cancel()
			}
			return tx.PutTag(inner, repo, meta.TagRow{
				Tag: ecr.Tag(fmt.Sprint("t", i)), Digest: manifestOf(repo, fmt.Sprint(i)).Image.Digest, TaggedAt: noon,
			}, false)
		})
	})
	for i, err := range errs {
		_, there := tryRead(t, s, func(ctx context.Context, r meta.Reader) (meta.TagRow, error) {
			return r.Tag(ctx, repo, ecr.Tag(fmt.Sprint("t", i)))
		})
		// Where it had to be run again, the caller had given up by then.
		if gaveUp := i%3 == 0 && errors.Is(err, context.Canceled); !gaveUp && err != nil || (err == nil) != (there == nil) {
			t.Errorf("update %d: %v; its tag: %v", i, err, there)
		}
	}
}

// panics: a panic is the caller's own affair.
func panics(t *testing.T, s meta.Store) {
	repo := newRepository(t, s, "app")
	race(20, func(i int) error {
		defer func() { _ = recover() }() // an implementation may also answer with an error
		return s.Update(t.Context(), func(ctx context.Context, tx meta.Tx) error {
			if err := tx.InsertManifest(ctx, manifestOf(repo, fmt.Sprint(i))); err != nil {
				return err
			}
			if i%2 == 0 {
				panic("on purpose")
			}
			return nil
		})
	})
	func() {
		defer func() { _ = recover() }()
		_ = s.View(t.Context(), func(context.Context, meta.Reader) error { panic("on purpose") })
	}()
	if got := read(t, s, func(ctx context.Context, r meta.Reader) ([]meta.Manifest, error) {
		return r.ListManifests(ctx, repo, "", 100)
	}); len(got) != 10 {
		t.Errorf("%d images, want the 10 of those that did not panic", len(got))
	}
}

// nested: an update that starts another is told so, rather than left hanging.
func nested(t *testing.T, s meta.Store) {
	var inner error
	update(t, s, func(ctx context.Context, _ meta.Tx) error {
		inner = s.Update(ctx, func(context.Context, meta.Tx) error { return nil })
		return nil
	})
	if inner == nil {
		t.Error("no error")
	}
}

func viewWithinUpdate(t *testing.T, s meta.Store) {
	update(t, s, func(ctx context.Context, tx meta.Tx) error {
		if _, err := tx.InsertRepository(ctx, repositoryNamed("app")); err != nil {
			return err
		}
		return s.View(ctx, func(ctx context.Context, r meta.Reader) error {
			if _, err := r.Repository(ctx, registry, "app"); !errors.Is(err, meta.ErrNotFound) {
				t.Errorf("the view sees what is not committed: %v", err)
			}
			return nil
		})
	})
}

func closeWaits(t *testing.T, s meta.Store) {
	in, out := make(chan struct{}), make(chan struct{})
	done := make(chan error, 2)
	go func() {
		done <- s.View(context.Background(), func(ctx context.Context, r meta.Reader) error {
			in <- struct{}{}
			<-out
			_, err := r.CountUploads(ctx, "")
			return err
		})
	}()
	go func() {
		done <- s.Update(context.Background(), func(ctx context.Context, tx meta.Tx) error {
			in <- struct{}{}
			<-out
			_, err := tx.InsertRepository(ctx, repositoryNamed("app"))
			return err
		})
	}()
	<-in
	<-in
	closed := make(chan error, 1)
	go func() { closed <- s.Close() }()
	select {
	case err := <-closed:
		t.Errorf("Close did not wait: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	close(out)
	for range 2 {
		if err := <-done; err != nil {
			t.Errorf("running while it was closed: %v", err)
		}
	}
	if err := <-closed; err != nil {
		t.Errorf("Close: %v", err)
	}
	if err := s.Update(t.Context(), func(context.Context, meta.Tx) error { return nil }); err == nil {
		t.Error("Update works after Close")
	}
	if err := s.View(t.Context(), func(context.Context, meta.Reader) error { return nil }); err == nil {
		t.Error("View works after Close")
	}
}

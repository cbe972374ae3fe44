package blobtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/store/blob"
)

func testBusy(t *testing.T, at place) {
	s := at.open(t)
	ctx := context.Background()
	b := content(1, 100)
	key := blob.NewKey()
	w := begin(t, s, key, blob.Progress{})
	write(t, w, b)
	_, err := s.Append(ctx, key, blob.Progress{})
	wantErr(t, "a second writer", err, blob.ErrBusy)
	wantErr(t, "Discard under a writer", s.Discard(ctx, key), blob.ErrBusy)
	suspend(t, begin(t, s, blob.NewKey(), blob.Progress{})) // another key is not busy

	p := suspend(t, w)
	w = begin(t, s, key, p)
	_, err = s.Append(ctx, key, p)
	wantErr(t, "a second writer after Suspend", err, blob.ErrBusy)
	commit(t, w, ecr.DigestOf(b)) // the refusals disturbed nothing
	wantContent(t, s, key, b)
	noErr(t, "Discard after Commit", s.Discard(ctx, key))

	// A failed Append leaves the key free.
	key = blob.NewKey()
	at.wantGone(t, "Append without the bytes", s, key, p)
	noErr(t, "Abort", begin(t, s, key, blob.Progress{}).Abort())
}

// testBusyRace: of many writers at once exactly one gets the key.
func testBusyRace(t *testing.T, at place) {
	s := at.open(t)
	for range 20 {
		key := blob.NewKey()
		var mu sync.Mutex
		var writers []blob.Writer
		var g errgroup.Group
		start := make(chan struct{})
		for range 8 {
			g.Go(func() error {
				<-start
				w, err := s.Append(context.Background(), key, blob.Progress{})
				if errors.Is(err, blob.ErrBusy) {
					return nil
				}
				mu.Lock()
				defer mu.Unlock()
				writers = append(writers, w)
				return err
			})
		}
		close(start)
		noErr(t, "Append", g.Wait())
		if len(writers) != 1 {
			t.Fatalf("%d of 8 have become writers, want 1", len(writers))
		}
		noErr(t, "Abort", writers[0].Abort())
	}
	wantEmpty(t, s)
}

// testCancelled: what is cancelled before it begins does nothing.
func testCancelled(t *testing.T, at place) {
	s := at.open(t)
	b := content(1, 1000)
	key, up := put(t, s, b), blob.NewKey()
	w := begin(t, s, up, blob.Progress{})
	write(t, w, b)
	p := suspend(t, w)

	_, err := s.Append(cancelled(), up, p)
	wantErr(t, "Append", err, context.Canceled)
	wantErr(t, "Discard", s.Discard(cancelled(), up), context.Canceled)
	_, err = s.Open(cancelled(), key)
	wantErr(t, "Open", err, context.Canceled)
	wantErr(t, "Delete", s.Delete(cancelled(), key), context.Canceled)
	seen := 0
	for _, err := range s.List(cancelled()) {
		wantErr(t, "List", err, context.Canceled)
		seen++
	}
	if seen != 1 {
		t.Errorf("List, cancelled, yields %d times, want one error", seen)
	}
	wantContent(t, s, key, b)
	commit(t, begin(t, s, up, p), ecr.DigestOf(b))

	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	seen = 0
	for _, err := range s.List(ctx) { // two entries
		if seen++; seen == 1 {
			noErr(t, "List", err)
			cancel()
			continue
		}
		wantErr(t, "List, cancelled in the middle", err, context.Canceled)
	}
	if seen != 2 {
		t.Errorf("List, cancelled in the middle, yields %d times, want an entry and an error", seen)
	}
}

// testCancelledEnd: a writer whose end is cancelled is ended all the same, and
// the upload is no worse than before it.
func testCancelledEnd(t *testing.T, at place) {
	s := at.open(t)
	b := content(1, 3000)
	for name, end := range map[string]func(w blob.Writer) error{
		"Suspend": func(w blob.Writer) error { _, err := w.Suspend(cancelled()); return err },
		"Commit":  func(w blob.Writer) error { _, err := w.Commit(cancelled(), ecr.DigestOf(b)); return err },
		"Commit sha512": func(w blob.Writer) error {
			_, err := w.Commit(cancelled(), sha512Of(b))
			return err
		},
	} {
		key := blob.NewKey()
		w := begin(t, s, key, blob.Progress{})
		write(t, w, b)
		wantErr(t, name, end(w), context.Canceled)
		wantNothing(t, s, key)

		w = begin(t, s, key, blob.Progress{})
		write(t, w, b[:1000])
		p := suspend(t, w)
		w = begin(t, s, key, p)
		write(t, w, b[1000:])
		wantErr(t, name, end(w), context.Canceled)
		wantNothing(t, s, key)
		w = begin(t, s, key, p)
		write(t, w, b[1000:])
		commit(t, w, ecr.DigestOf(b))
		wantContent(t, s, key, b)
	}
}

// testConcurrent: many uploads, readers and a lister at once.
func testConcurrent(t *testing.T, at place) {
	s := at.open(t)
	ctx := context.Background()
	var g errgroup.Group
	for i := range 16 {
		g.Go(func() error {
			for j := range 4 {
				b := content(uint64(100*i+j), 20_000*j+i)
				if err := at.oneUpload(ctx, s, b); err != nil {
					return fmt.Errorf("upload %d of goroutine %d: %w", j, i, err)
				}
			}
			return nil
		})
	}
	done := make(chan struct{})
	listed := make(chan error)
	go func() {
		for {
			for _, err := range s.List(ctx) {
				if err != nil {
					listed <- err
					return
				}
			}
			select {
			case <-done:
				listed <- nil
				return
			default:
			}
		}
	}()
	err := g.Wait()
	close(done)
	noErr(t, "List", <-listed)
	noErr(t, "uploads", err)
	wantEmpty(t, s)
}

// oneUpload commits b in three requests, reads it back and deletes it.
func (at place) oneUpload(ctx context.Context, s blob.Store, b []byte) error {
	key := blob.NewKey()
	var p blob.Progress
	for range 2 {
		w, err := s.Append(ctx, key, p)
		if err != nil {
			return err
		}
		if _, err := w.Write(b[p.Offset : p.Offset+int64(len(b))/3]); err != nil {
			return errors.Join(err, w.Abort())
		}
		if p, err = w.Suspend(ctx); err != nil {
			return err
		}
	}
	w, err := s.Append(ctx, key, p)
	if err != nil {
		return err
	}
	if _, err := w.Write(b[p.Offset:]); err != nil {
		return errors.Join(err, w.Abort())
	}
	if _, err := w.Commit(ctx, ecr.DigestOf(b)); err != nil {
		return err
	}
	f, err := s.Open(ctx, key)
	if err != nil {
		return err
	}
	if err := s.Delete(ctx, key); err != nil {
		return errors.Join(err, f.Close())
	}
	got, err := io.ReadAll(f)
	if at.Broken && errors.Is(err, blob.ErrNotFound) {
		return f.Close()
	}
	if err == nil && !ecr.DigestOf(b).Verifies(got) {
		err = fmt.Errorf("read %d bytes that are not the %d committed", len(got), len(b))
	}
	return errors.Join(err, f.Close())
}

// testInstallation: a store that has a name has the same one for as long as it is
// kept, whoever asks first, and no other has it.
func testInstallation(t *testing.T, at place) {
	names := map[string]bool{}
	for _, open := range []Medium{at.open, at.other} {
		if _, ok := open(t).(blob.Installed); !ok {
			return // it has no name
		}
		var (
			g   errgroup.Group
			ids [8]string
		)
		s := open(t).(blob.Installed)
		for i := range ids {
			g.Go(func() (err error) {
				ids[i], err = s.Installation(context.Background())
				return err
			})
		}
		noErr(t, "Installation", g.Wait())
		testBind(t, open(t), open(t))
		for _, id := range append(ids[:], installation(t, open(t))) {
			if len(id) != 32 || id != ids[0] {
				t.Errorf("Installation: %q, then %q", ids[0], id)
			}
		}
		names[ids[0]] = true
	}
	if len(names) != 2 {
		t.Errorf("two stores have the names %v", names)
	}
}

// testBind: of several databases that ask at once, one has the store, and all are
// told which.
func testBind(t *testing.T, s, again blob.Store) {
	t.Helper()
	var (
		g      errgroup.Group
		asked  [8]string
		owners [8]string
	)
	for i := range asked {
		asked[i] = string(blob.NewKey())
		g.Go(func() (err error) {
			owners[i], err = blob.Bind(context.Background(), s, asked[i])
			return err
		})
	}
	noErr(t, "Bind", g.Wait())
	last, err := blob.Bind(context.Background(), again, string(blob.NewKey()))
	noErr(t, "Bind", err)
	for _, owner := range append(owners[:], last) {
		if owner != owners[0] || !slices.Contains(asked[:], owner) {
			t.Errorf("Bind: %q, then %q of %q", owners[0], owner, asked)
		}
	}
}

func installation(t fataler, s blob.Store) string {
	t.Helper()
	id, err := s.(blob.Installed).Installation(context.Background())
	noErr(t, "Installation", err)
	return id
}

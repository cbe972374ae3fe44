package blobtest

import (
	"context"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/store/blob"
)

func testResume(t *testing.T, at place) {
	b := content(1, 1_000_000)
	key := blob.NewKey()
	var p blob.Progress
	s := at.open(t)
	for _, end := range []int{1, 63, 64, 65_536, 65_536, 999_999} {
		s = at.open(t) // as another replica or a later process would
		w := begin(t, s, key, p)
		write(t, w, b[p.Offset:end])
		p = suspend(t, w)
		wantNothing(t, s, key)
		at.wantUploads(t, s, key)
	}
	w := begin(t, s, key, p)
	write(t, w, b[p.Offset:])
	commit(t, w, ecr.DigestOf(b))
	wantContent(t, s, key, b)
	wantContent(t, at.open(t), key, b)
	wantUploads(t, s)
}

func testResumeFromEarlier(t *testing.T, at place) {
	s := at.open(t)
	b := content(1, 5000)
	key := blob.NewKey()
	w := begin(t, s, key, blob.Progress{})
	write(t, w, b[:1000])
	p := suspend(t, w)

	// What comes next was sent, but never recorded with the upload.
	w = begin(t, s, key, p)
	write(t, w, content(2, 3000))
	suspend(t, w)

	w = begin(t, at.open(t), key, p)
	commit(t, w, ecr.DigestOf(b[:1000]))
	wantContent(t, s, key, b[:1000])

	key = blob.NewKey()
	w = begin(t, s, key, blob.Progress{})
	write(t, w, content(3, 3000))
	suspend(t, w)
	w = begin(t, s, key, blob.Progress{}) // from the beginning
	write(t, w, b[:10])
	commit(t, w, ecr.DigestOf(b[:10]))
	wantContent(t, s, key, b[:10])
}

func testResumeAfterLoss(t *testing.T, at place) {
	s := at.open(t)
	b := content(1, 200_000)
	key, fresh := blob.NewKey(), blob.NewKey()
	w := begin(t, s, key, blob.Progress{})
	write(t, w, b[:1000])
	p := suspend(t, w)

	// The process is killed with two writers open: no one ends them.
	lost := begin(t, s, key, p)
	write(t, lost, content(2, 100_000))
	lostToo := begin(t, s, fresh, blob.Progress{})
	write(t, lostToo, content(3, 100_000))

	s = at.open(t)
	w = begin(t, s, key, p)
	write(t, w, b[1000:])
	commit(t, w, ecr.DigestOf(b))
	w = begin(t, s, fresh, blob.Progress{})
	write(t, w, b[:99])
	commit(t, w, ecr.DigestOf(b[:99]))
	wantContent(t, s, key, b)
	wantContent(t, s, fresh, b[:99])
}

// testResumeRandomChunks: however content is cut into writes and requests,
// and from whichever earlier progress it continues, it is the same content.
func testResumeRandomChunks(t *testing.T, at place) {
	s := at.open(t)
	rapid.Check(t, func(t *rapid.T) {
		b := content(uint64(rapid.Uint16().Draw(t, "seed")), rapid.IntRange(0, 5000).Draw(t, "size"))
		key := blob.NewKey()
		known := []blob.Progress{{}}
		w := begin(t, s, key, blob.Progress{})
		for w.Offset() < int64(len(b)) {
			n := rapid.IntRange(0, min(3000, len(b)-int(w.Offset()))).Draw(t, "chunk")
			write(t, w, b[w.Offset():w.Offset()+int64(n)])
			if rapid.IntRange(0, 3).Draw(t, "suspend") > 0 {
				continue
			}
			known = append(known, suspend(t, w))
			i := len(known) - 1
			if rapid.IntRange(0, 4).Draw(t, "back") == 0 {
				oldest := 0
				if at.Shared {
					oldest = i - 1
				}
				i = rapid.IntRange(oldest, i).Draw(t, "to")
			}
			known = known[:i+1]
			w = begin(t, s, key, known[i])
		}
		if rapid.Bool().Draw(t, "long digest") {
			commit(t, w, sha512Of(b))
		} else {
			commit(t, w, ecr.DigestOf(b))
		}
		wantContent(t, s, key, b)
		at.sweep(t, s, key)
		wantUploads(t, s)
		if err := s.Delete(context.Background(), key); err != nil {
			t.Fatalf("Delete: %v", err)
		}
	})
	wantEmpty(t, s)
}

func testSuspendAtZero(t *testing.T, at place) {
	key := blob.NewKey()
	p := suspend(t, begin(t, at.open(t), key, blob.Progress{}))
	p = suspend(t, begin(t, at.open(t), key, p))
	s := at.open(t)
	w := begin(t, s, key, p)
	write(t, w, []byte("hello"))
	commit(t, w, ecr.DigestOf([]byte("hello")))
	wantContent(t, s, key, []byte("hello"))

	key = blob.NewKey()
	p = suspend(t, begin(t, s, key, blob.Progress{}))
	commit(t, begin(t, s, key, p), ecr.DigestOf(nil))
	wantContent(t, s, key, nil)
}

func testBytesMissing(t *testing.T, at place) {
	s := at.open(t)
	key := blob.NewKey()
	w := begin(t, s, key, blob.Progress{})
	write(t, w, content(1, 1000))
	early := suspend(t, w)
	w = begin(t, s, key, early)
	write(t, w, content(1, 1000))
	late := suspend(t, w)

	suspend(t, begin(t, s, key, early)) // drops what came after
	if !at.Shared {
		_, err := s.Append(context.Background(), key, late)
		wantErr(t, "Append beyond the end", err, blob.ErrNotFound)
	} else if w, err := s.Append(context.Background(), key, late); err == nil {
		// Nothing is written twice, so that it is still there, and right.
		commit(t, w, ecr.DigestOf(slices.Concat(content(1, 1000), content(1, 1000))))
		return
	} else {
		wantErr(t, "Append beyond the end", err, blob.ErrNotFound)
	}
	suspend(t, begin(t, s, key, early)) // the refusal changed nothing
}

func testCommittedIsNoUpload(t *testing.T, at place) {
	s := at.open(t)
	b := content(1, 1000)
	key := blob.NewKey()
	w := begin(t, s, key, blob.Progress{})
	write(t, w, b[:500])
	p := suspend(t, w)
	w = begin(t, s, key, p)
	write(t, w, b[500:])
	commit(t, w, ecr.DigestOf(b))

	if !at.Inline {
		_, err := s.Append(context.Background(), key, p)
		wantErr(t, "Append to committed content", err, blob.ErrNotFound)
	} else {
		// It shows when it is committed.
		w := begin(t, s, key, p)
		_, err := w.Commit(context.Background(), ecr.DigestOf(b[:500]))
		wantErr(t, "Commit of other content under a committed key", err, blob.ErrNotFound)
	}
	noErr(t, "Discard", s.Discard(context.Background(), key))
	wantContent(t, s, key, b)
}

func testAbort(t *testing.T, at place) {
	s := at.open(t)
	b := content(1, 100_000)
	key := blob.NewKey()
	w := begin(t, s, key, blob.Progress{})
	write(t, w, b)
	noErr(t, "Abort", w.Abort())
	wantEmpty(t, s)

	w = begin(t, s, key, blob.Progress{})
	write(t, w, b)
	p := suspend(t, w)
	w = begin(t, s, key, p)
	write(t, w, b)
	noErr(t, "Abort", w.Abort())
	wantEmpty(t, s)
	at.wantGone(t, "Append after Abort", s, key, p)
	noErr(t, "Abort of nothing", begin(t, s, key, blob.Progress{}).Abort())
	wantEmpty(t, at.open(t))
}

// testEndedWriter: exactly one call ends a writer, and what comes after it is
// an error that changes nothing.
func testEndedWriter(t *testing.T, at place) {
	s := at.open(t)
	ctx := context.Background()
	b := content(1, 1000)
	for name, end := range map[string]func(w blob.Writer) error{
		"Commit":  func(w blob.Writer) error { _, err := w.Commit(ctx, ecr.DigestOf(b)); return err },
		"Suspend": func(w blob.Writer) error { _, err := w.Suspend(ctx); return err },
		"Abort":   func(w blob.Writer) error { return w.Abort() },
	} {
		key := blob.NewKey()
		w := begin(t, s, key, blob.Progress{})
		write(t, w, b)
		noErr(t, name, end(w))
		next, err := s.Append(ctx, key, blob.Progress{}) // another writer is not disturbed
		if name != "Commit" {
			noErr(t, "Append after "+name, err)
			write(t, next, b)
		}
		if _, err := w.Write(b); err == nil {
			t.Errorf("Write after %s is no error", name)
		}
		if _, err := w.Suspend(ctx); err == nil {
			t.Errorf("Suspend after %s is no error", name)
		}
		if _, err := w.Commit(ctx, ecr.DigestOf(b)); err == nil {
			t.Errorf("Commit after %s is no error", name)
		}
		if w.Abort() == nil {
			t.Errorf("Abort after %s is no error", name)
		}
		if name != "Commit" {
			_, err = s.Append(ctx, key, blob.Progress{})
			wantErr(t, "a third writer after "+name, err, blob.ErrBusy)
			commit(t, next, ecr.DigestOf(b))
		}
		wantContent(t, s, key, b)
	}
}

func testDiscard(t *testing.T, at place) {
	s := at.open(t)
	ctx := context.Background()
	noErr(t, "Discard of nothing", s.Discard(ctx, blob.NewKey()))
	key, other := blob.NewKey(), blob.NewKey()
	w := begin(t, s, key, blob.Progress{})
	write(t, w, content(1, 1000))
	p := suspend(t, w)
	suspend(t, begin(t, s, other, blob.Progress{}))
	for range 2 {
		noErr(t, "Discard", s.Discard(ctx, key))
		if at.Shared {
			wantUploads(t, s)
		} else {
			wantUploads(t, s, other)
		}
	}
	at.wantGone(t, "Append after Discard", s, key, p)
	noErr(t, "Discard", s.Discard(ctx, other))
	wantEmpty(t, at.open(t))
}

// Package blobtest says in code what every implementation of blob.Store must
// do. Run is called from each implementation's own tests.
package blobtest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/store/blob"
)

// Medium opens the store that is kept in one place. A second call is a second
// process, after the first one ended in whatever way.
type Medium func(t testing.TB) blob.Store

// Traits are what a store may do otherwise than one that alone knows of its
// uploads. The zero value is the strict contract.
type Traits struct {
	// Shared: several processes use the store at once, and what one does to an
	// upload others see no sooner than when they commit. Uploads without a byte
	// are not listed, going back drops nothing that came later until the upload is
	// discarded, and only the last two states of an upload can be continued.
	Shared bool
	// Inline: the bytes of small uploads are in their Progress. The store lists no
	// such upload, and cannot know that it has ended.
	Inline bool
	// Broken: connections to the store break, so that what was deleted while it is
	// read may be an error.
	Broken bool
}

// place is where the store of one test is kept.
type place struct {
	open, other Medium
	Traits
}

// Run checks every point of the contract. newMedium returns an empty place for
// each call.
func Run(t *testing.T, newMedium func(t testing.TB) Medium) {
	RunWith(t, Traits{}, newMedium)
}

// RunWith is Run for a store with traits.
func RunWith(t *testing.T, traits Traits, newMedium func(t testing.TB) Medium) {
	for _, c := range []struct {
		name string
		test func(t *testing.T, at place)
	}{
		{"Sizes", testSizes},
		{"ReadSeek", testReadSeek},
		{"NotFound", testNotFound},
		{"InvalidKeys", testInvalidKeys},
		{"Digests", testDigests},
		{"WrongDigest", testWrongDigest},
		{"Resume", testResume},
		{"ResumeFromEarlierProgress", testResumeFromEarlier},
		{"ResumeAfterWriterWasLost", testResumeAfterLoss},
		{"ResumeRandomChunks", testResumeRandomChunks},
		{"SuspendAtZero", testSuspendAtZero},
		{"BytesMissing", testBytesMissing},
		{"CommittedIsNoUpload", testCommittedIsNoUpload},
		{"Busy", testBusy},
		{"BusyRace", testBusyRace},
		{"Abort", testAbort},
		{"EndedWriter", testEndedWriter},
		{"Discard", testDiscard},
		{"Delete", testDelete},
		{"List", testList},
		{"Cancelled", testCancelled},
		{"CancelledEnd", testCancelledEnd},
		{"Concurrent", testConcurrent},
		{"Installation", testInstallation},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, place{newMedium(t), newMedium(t), traits}) })
	}
}

// content is size reproducible bytes, different for each seed.
func content(seed uint64, size int) []byte {
	b := make([]byte, size)
	var s [32]byte
	s[0], s[1] = byte(seed), byte(seed>>8)
	_, _ = rand.NewChaCha8(s).Read(b) // never fails
	return b
}

// fataler is what helpers need of *testing.T and *rapid.T.
type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

func wantErr(t fataler, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("%s: got error %v, want %v", what, err, want)
	}
}

func noErr(t fataler, what string, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// begin continues with an upload.
func begin(t fataler, s blob.Store, key blob.Key, p blob.Progress) blob.Writer {
	t.Helper()
	w, err := s.Append(context.Background(), key, p)
	noErr(t, "Append", err)
	if w.Offset() != p.Offset {
		t.Fatalf("Append from byte %d: offset is %d", p.Offset, w.Offset())
	}
	return w
}

// write writes b, and checks the offset.
func write(t fataler, w blob.Writer, b []byte) {
	t.Helper()
	before := w.Offset()
	n, err := w.Write(b)
	noErr(t, "Write", err)
	if n != len(b) || w.Offset() != before+int64(n) {
		t.Fatalf("writing %d bytes at %d: wrote %d, offset is %d", len(b), before, n, w.Offset())
	}
}

func suspend(t fataler, w blob.Writer) blob.Progress {
	t.Helper()
	at := w.Offset()
	p, err := w.Suspend(context.Background())
	noErr(t, "Suspend", err)
	if p.Offset != at {
		t.Fatalf("Suspend at %d: progress is %d", at, p.Offset)
	}
	return p
}

func commit(t fataler, w blob.Writer, digests ...ecr.Digest) {
	t.Helper()
	_, err := w.Commit(context.Background(), digests...)
	noErr(t, "Commit", err)
}

// put commits b in one go.
func put(t fataler, s blob.Store, b []byte) blob.Key {
	t.Helper()
	key := blob.NewKey()
	w := begin(t, s, key, blob.Progress{})
	write(t, w, b)
	commit(t, w, ecr.DigestOf(b))
	return key
}

// wantContent checks that the committed content of key is b.
func wantContent(t fataler, s blob.Store, key blob.Key, b []byte) {
	t.Helper()
	f, err := s.Open(context.Background(), key)
	noErr(t, "Open", err)
	got, err := io.ReadAll(f)
	noErr(t, "reading", err)
	noErr(t, "closing", f.Close())
	if !bytes.Equal(got, b) {
		t.Fatalf("content of %s: got %d bytes %.40x, want %d bytes %.40x", key, len(got), got, len(b), b)
	}
}

// wantNothing checks that no content is committed under key.
func wantNothing(t fataler, s blob.Store, key blob.Key) {
	t.Helper()
	_, err := s.Open(context.Background(), key)
	wantErr(t, "Open", err, blob.ErrNotFound)
}

// list is all the store holds; it checks the order of the two halves.
func list(t fataler, s blob.Store) (committed, uploads []blob.Info) {
	t.Helper()
	for i, err := range s.List(context.Background()) {
		noErr(t, "List", err)
		switch {
		case i.Upload:
			uploads = append(uploads, i)
		case len(uploads) > 0:
			t.Fatalf("List: %v comes after an upload", i)
		default:
			committed = append(committed, i)
		}
	}
	return committed, uploads
}

// wantEmpty checks that the store holds nothing.
func wantEmpty(t fataler, s blob.Store) {
	t.Helper()
	if c, u := list(t, s); len(c)+len(u) > 0 {
		t.Fatalf("the store holds %v and uploads %v, want nothing", c, u)
	}
}

// wantUploads checks which uploads List yields.
func wantUploads(t fataler, s blob.Store, keys ...blob.Key) {
	t.Helper()
	_, uploads := list(t, s)
	var got []blob.Key
	for _, u := range uploads {
		got = append(got, u.Key)
	}
	slices.Sort(got)
	slices.Sort(keys)
	if !slices.Equal(got, keys) {
		t.Fatalf("List: uploads are %v, want %v", got, keys)
	}
}

// wantGone checks that an upload that has ended cannot be continued from p. Where
// its bytes are in p it may be, with these very bytes.
func (at place) wantGone(t fataler, what string, s blob.Store, key blob.Key, p blob.Progress) {
	t.Helper()
	w, err := s.Append(context.Background(), key, p)
	if !at.Inline || err != nil {
		wantErr(t, what, err, blob.ErrNotFound)
		return
	}
	if w.Offset() != p.Offset {
		t.Fatalf("%s: offset is %d, want %d", what, w.Offset(), p.Offset)
	}
	noErr(t, "Abort", w.Abort())
}

// wantUploads is wantUploads, where the store knows of uploads.
func (at place) wantUploads(t fataler, s blob.Store, keys ...blob.Key) {
	t.Helper()
	if !at.Inline {
		wantUploads(t, s, keys...)
	}
}

// sweep removes what a committed upload may leave that went back.
func (at place) sweep(t fataler, s blob.Store, key blob.Key) {
	t.Helper()
	if at.Shared {
		noErr(t, "Discard after Commit", s.Discard(context.Background(), key))
	}
}

func cancelled() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

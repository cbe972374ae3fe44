package blobtest

import (
	"bytes"
	"context"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/store/blob"
)

func testSizes(t *testing.T, at place) {
	s := at.open(t)
	contents := map[blob.Key][]byte{}
	for _, size := range []int{0, 1, 511, 512, 513, 5 << 20} {
		b := content(1, size)
		contents[put(t, s, b)] = b
	}
	for range 2 {
		for key, b := range contents {
			wantContent(t, s, key, b)
		}
		s = at.open(t)
	}
}

func testReadSeek(t *testing.T, at place) {
	s := at.open(t)
	b := content(1, 100_000)
	f, err := s.Open(context.Background(), put(t, s, b))
	noErr(t, "Open", err)
	defer func() { noErr(t, "Close", f.Close()) }()
	end, err := f.Seek(0, io.SeekEnd)
	noErr(t, "Seek", err)
	if end != int64(len(b)) {
		t.Fatalf("the end is at %d, want %d", end, len(b))
	}
	_, err = f.Seek(70_000, io.SeekStart)
	noErr(t, "Seek", err)
	part := make([]byte, 1000)
	_, err = f.ReadAt(part, 99)
	noErr(t, "ReadAt", err)
	if !bytes.Equal(part, b[99:1099]) {
		t.Error("ReadAt: other bytes")
	}
	rest, err := io.ReadAll(f)
	noErr(t, "ReadAll", err)
	if !bytes.Equal(rest, b[70_000:]) {
		t.Error("reading after Seek and ReadAt: other bytes")
	}
	if n, err := f.ReadAt(part, int64(len(b))-10); n != 10 || !errors.Is(err, io.EOF) {
		t.Errorf("ReadAt over the end: %d, %v, want 10, EOF", n, err)
	}
}

func testNotFound(t *testing.T, at place) {
	s := at.open(t)
	wantNothing(t, s, blob.NewKey())
	wantEmpty(t, s)
	w := begin(t, s, blob.NewKey(), blob.Progress{})
	write(t, w, content(1, 10))
	p := suspend(t, w)
	at.wantGone(t, "Append to an upload that never was", s, blob.NewKey(), p)
}

func testInvalidKeys(t *testing.T, at place) {
	s := at.open(t)
	ctx := context.Background()
	for _, key := range []blob.Key{
		"", ".", "..", "a", "../../../../etc/passwd", "../uploads/0123456789abcdef0123",
		"0123456789abcdef0123456789abcde", "0123456789abcdef0123456789abcdef0",
		"0123456789ABCDEF0123456789ABCDEF", "0123456789abcdef0123456789abcde/",
		"0123456789abcdef0123456789abcde\x00", "0123456789abcdefg123456789abcdef",
	} {
		_, err := s.Open(ctx, key)
		wantErr(t, fmt.Sprintf("Open %q", key), err, blob.ErrNotFound)
		_, err = s.Append(ctx, key, blob.Progress{})
		wantErr(t, fmt.Sprintf("Append %q", key), err, blob.ErrNotFound)
		if s.Discard(ctx, key) == nil || s.Delete(ctx, key) == nil {
			t.Errorf("key %q: removing it is no error", key)
		}
	}
	wantEmpty(t, s)
}

func sha512Of(b []byte) ecr.Digest {
	s := sha512.Sum512(b)
	return ecr.Digest("sha512:" + hex.EncodeToString(s[:]))
}

func testDigests(t *testing.T, at place) {
	s := at.open(t)
	b := content(1, 300_000)
	right, long, wrong := ecr.DigestOf(b), sha512Of(b), ecr.DigestOf(nil)
	for _, c := range []struct {
		name    string
		digests []ecr.Digest
		want    ecr.Digest
	}{
		{"sha256", []ecr.Digest{right}, right},
		{"sha512", []ecr.Digest{long}, long},
		{"one of two, the second", []ecr.Digest{wrong, right}, right},
		{"one of two, the first", []ecr.Digest{long, wrong}, long},
		{"wrong sha512, right sha256", []ecr.Digest{sha512Of(nil), right}, right},
	} {
		key := blob.NewKey()
		w := begin(t, s, key, blob.Progress{})
		write(t, w, b[:100_000])
		w = begin(t, s, key, suspend(t, w))
		write(t, w, b[100_000:])
		got, err := w.Commit(context.Background(), c.digests...)
		noErr(t, c.name, err)
		if got != c.want {
			t.Errorf("%s: Commit returned %s, want %s", c.name, got, c.want)
		}
		wantContent(t, s, key, b)
	}
}

func testWrongDigest(t *testing.T, at place) {
	s := at.open(t)
	b := content(1, 3000)
	for name, digests := range map[string][]ecr.Digest{
		"sha256":           {ecr.DigestOf(b[1:])},
		"sha512":           {sha512Of(b[1:])},
		"several":          {ecr.DigestOf(nil), sha512Of(nil), ecr.DigestOf(b[1:])},
		"none given":       nil,
		"of another chunk": {ecr.DigestOf(b[:1000])},
	} {
		for _, suspended := range []int{0, 1000, 3000} {
			key := blob.NewKey()
			w := begin(t, s, key, blob.Progress{})
			var p blob.Progress
			if suspended > 0 {
				write(t, w, b[:suspended])
				p = suspend(t, w)
				w = begin(t, s, key, p)
			}
			write(t, w, b[suspended:])
			d, err := w.Commit(context.Background(), digests...)
			wantErr(t, name, err, blob.ErrDigestMismatch)
			if d != "" {
				t.Errorf("%s: Commit returned %s with its error", name, d)
			}
			wantNothing(t, s, key)
			if suspended > 0 {
				at.wantGone(t, name+": Append after it", s, key, p)
			}
			noErr(t, "Discard", s.Discard(context.Background(), key)) // not busy
		}
	}
	wantEmpty(t, s)
	wantEmpty(t, at.open(t))
}

func testDelete(t *testing.T, at place) {
	s := at.open(t)
	ctx := context.Background()
	b, other := content(1, 2<<20), content(2, 10)
	key, kept := put(t, s, b), put(t, s, other)
	f, err := s.Open(ctx, key)
	noErr(t, "Open", err)
	got := make([]byte, len(b))
	_, err = io.ReadFull(f, got[:1000])
	noErr(t, "reading", err)

	for range 2 {
		noErr(t, "Delete", s.Delete(ctx, key))
		wantNothing(t, s, key)
	}
	_, err = io.ReadFull(f, got[1000:])
	if !at.Broken || !errors.Is(err, blob.ErrNotFound) {
		noErr(t, "reading after Delete", err)
		if !bytes.Equal(got, b) {
			t.Error("reading after Delete: other bytes")
		}
	}
	noErr(t, "Close", f.Close())
	wantContent(t, s, kept, other)

	// An upload is not committed content.
	up := blob.NewKey()
	w := begin(t, s, up, blob.Progress{})
	write(t, w, b[:10])
	p := suspend(t, w)
	noErr(t, "Delete of an upload's key", s.Delete(ctx, up))
	w = begin(t, s, up, p)
	write(t, w, b[10:])
	commit(t, w, ecr.DigestOf(b))
	wantContent(t, at.open(t), up, b)
}

func testList(t *testing.T, at place) {
	s := at.open(t)
	before := time.Now().Add(-time.Hour)
	sizes := map[blob.Key]int64{}
	for i := range 20 {
		sizes[put(t, s, content(uint64(i), i*100))] = int64(i * 100)
	}
	open1 := begin(t, s, blob.NewKey(), blob.Progress{})
	write(t, open1, content(1, 10))
	key := blob.NewKey()
	w := begin(t, s, key, blob.Progress{})
	write(t, w, content(1, 1234))
	suspend(t, w)
	noErr(t, "Abort", open1.Abort())

	for range 2 {
		committed, uploads := list(t, s)
		if len(committed) != len(sizes) {
			t.Fatalf("List: %d committed, want %d", len(committed), len(sizes))
		}
		seen := map[blob.Key]bool{}
		for _, i := range committed {
			if size, ok := sizes[i.Key]; !ok || i.SizeBytes != size || seen[i.Key] {
				t.Errorf("List: %+v, want size %d (known: %v, twice: %v)", i, size, ok, seen[i.Key])
			}
			seen[i.Key] = true
			if i.ModTime.Before(before) && i.ModTime.Unix() != 0 || i.ModTime.Location() != time.UTC && i.ModTime.Unix() != 0 {
				t.Errorf("List: %+v has a time of long ago, or not in UTC", i)
			}
		}
		if at.Inline {
			if len(uploads) > 0 {
				t.Errorf("List: uploads %+v, want none", uploads)
			}
		} else if len(uploads) != 1 || uploads[0].Key != key || uploads[0].SizeBytes != 1234 {
			t.Errorf("List: uploads %+v, want %s with 1234 bytes", uploads, key)
		}
		s = at.open(t)
	}

	n := 0
	for _, err := range s.List(context.Background()) {
		noErr(t, "List", err)
		if n++; n == 3 {
			break
		}
	}
	// What is removed while it is listed may be missing, but is not an error.
	for i, err := range s.List(context.Background()) {
		noErr(t, "List while deleting", err)
		for key := range sizes {
			if key != i.Key {
				noErr(t, "Delete", s.Delete(context.Background(), key))
			}
		}
	}
}

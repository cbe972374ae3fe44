package small_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/store/blob"
	"github.com/kontor-registry/kontor/internal/store/blob/blobtest"
	"github.com/kontor-registry/kontor/internal/store/blob/disk"
	"github.com/kontor-registry/kontor/internal/store/blob/small"
	"github.com/kontor-registry/kontor/internal/store/meta"
	"github.com/kontor-registry/kontor/internal/store/meta/sqlite"
)

func database(t testing.TB) meta.Store {
	t.Helper()
	m, err := sqlite.Open(context.Background(), sqlite.Config{Path: filepath.Join(t.TempDir(), "meta.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}

func open(t testing.TB, m meta.Store, dir string, most int) *small.Store {
	t.Helper()
	d, err := disk.Open(disk.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	return small.New(small.Config{Blobs: d, Meta: m, MaxBytes: most})
}

// It is a store like any other, but that the bytes of small uploads are in their
// Progress.
func TestSuite(t *testing.T) {
	m := database(t)
	blobtest.RunWith(t, blobtest.Traits{Inline: true, Shared: true}, func(t testing.TB) blobtest.Medium {
		dir := t.TempDir()
		return func(t testing.TB) blob.Store { return open(t, m, dir, small.DefaultMaxBytes) }
	})
}

// chunks reads at most n bytes at once.
type chunks struct {
	r io.Reader
	n int
}

func (c chunks) Read(p []byte) (int, error) { return c.r.Read(p[:min(len(p), c.n)]) }

// What is held is exactly what was received, up to the limit and not beyond it, however
// it comes; and what is larger is in the inner store.
func TestHeld(t *testing.T) {
	const most = 10_000
	s := open(t, database(t), t.TempDir(), most)
	ctx := t.Context()
	for _, size := range []int{0, 1, 4095, 4096, most - 1, most, most + 1, 5 * most} {
		for _, parts := range []int{1, 3} {
			for _, chunk := range []int{7, 1 << 20} {
				content := make([]byte, size)
				for i := range content {
					content[i] = byte(i * 31)
				}
				key, p := blob.NewKey(), blob.Progress{}
				for i := range parts {
					from, to := size*i/parts, size*(i+1)/parts
					w, err := s.Append(ctx, key, p)
					if err != nil {
						t.Fatal(err)
					}
					// A plain writer has to do as well as one that reads.
					var n int64
					if i%2 == 0 {
						n, err = io.Copy(w, chunks{bytes.NewReader(content[from:to]), chunk})
					} else {
						n, err = io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{bytes.NewReader(content[from:to])}, make([]byte, min(chunk, 1000)))
					}
					if err != nil || n != int64(to-from) || w.Offset() != int64(to) {
						t.Fatalf("%d bytes, part %d: received %d, offset %d: %v", size, i, n, w.Offset(), err)
					}
					held, ok := w.(blob.Holder).Held()
					if ok != (to <= most) || ok && (held == nil || !bytes.Equal(held, content[:to])) {
						t.Fatalf("%d of %d bytes: held: %v, %d bytes", to, size, ok, len(held))
					}
					if i < parts-1 {
						if p, err = w.Suspend(ctx); err != nil {
							t.Fatal(err)
						}
						continue
					}
					if _, err := w.Commit(ctx, ecr.DigestOf(content)); err != nil {
						t.Fatal(err)
					}
				}
				f, err := s.Open(ctx, key)
				if err != nil {
					t.Fatal(err)
				}
				if got, err := io.ReadAll(f); err != nil || !bytes.Equal(got, content) {
					t.Fatalf("%d bytes: read %d: %v", size, len(got), err)
				}
				if err := f.Close(); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}

// What the database has is listed and read as if the store had it, and goes with its row.
func TestInDatabase(t *testing.T) {
	m := database(t)
	s := open(t, m, t.TempDir(), 100)
	ctx := t.Context()
	var want []blob.Key
	for i := range 3 {
		b := meta.Blob{Key: blob.NewDatabaseKey(time.UnixMilli(int64(i))), CreatedAt: time.UnixMilli(7).UTC(), Content: []byte{byte(i)}, SizeBytes: 1}
		b.Digest = ecr.DigestOf(b.Content)
		if err := m.Update(ctx, func(ctx context.Context, tx meta.Tx) error { _, err := tx.AddBlob(ctx, b); return err }); err != nil {
			t.Fatal(err)
		}
		want = append(want, b.Key)
		// Deleting is the row's business.
		if err := s.Delete(ctx, b.Key); err != nil {
			t.Fatal(err)
		}
		f, err := s.Open(ctx, b.Key)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(f); err != nil || !bytes.Equal(got, b.Content) {
			t.Errorf("read %v: %v", got, err)
		}
		if _, err := s.Append(ctx, b.Key, blob.Progress{}); !errors.Is(err, blob.ErrNotFound) {
			t.Errorf("writing to it: %v", err)
		}
	}
	file := blob.NewKey()
	w, err := s.Append(ctx, file, blob.Progress{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Commit(ctx, ecr.DigestOf(nil)); err != nil {
		t.Fatal(err)
	}
	var got []blob.Key
	for info, err := range s.List(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		if info.Key.InDatabase() && (info.SizeBytes != 1 || !info.ModTime.Equal(time.UnixMilli(7)) || info.Upload) {
			t.Errorf("%+v", info)
		}
		got = append(got, info.Key)
	}
	if want = append(want, file); !slices.Equal(got, want) {
		t.Errorf("listed %v, want %v", got, want)
	}
	if _, err := s.Open(ctx, blob.NewDatabaseKey(time.Now())); !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("opening what is not there: %v", err)
	}
}

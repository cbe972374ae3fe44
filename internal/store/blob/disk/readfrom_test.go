package disk_test

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"testing/iotest"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/store/blob"
	"github.com/kontor-registry/kontor/internal/store/blob/disk"
)

// What is copied from a reader is written and hashed as what is written in parts,
// however it comes and wherever it ends.
func TestReadFrom(t *testing.T) {
	s, err := disk.Open(disk.Config{Dir: filepath.Join(t.TempDir(), "blobs")})
	if err != nil {
		t.Fatal(err)
	}
	broken := errors.New("the client is gone")
	content := make([]byte, 2<<20+77)
	for i := range content {
		content[i] = byte(rand.Uint32())
	}
	for _, size := range []int{0, 1, 32 << 10, 512<<10 - 1, 512 << 10, 512<<10 + 1, 768 << 10, 768<<10 + 1, 1 << 20, len(content)} {
		for name, reader := range map[string]func(io.Reader) io.Reader{
			"as it is":          func(r io.Reader) io.Reader { return r },
			"by halves":         iotest.HalfReader,
			"with its end":      iotest.DataErrReader,
			"with a broken end": func(r io.Reader) io.Reader { return io.MultiReader(r, iotest.ErrReader(broken)) },
			"with an early end": func(r io.Reader) io.Reader { return io.MultiReader(r, iotest.ErrReader(io.ErrUnexpectedEOF)) },
			"and something else": func(r io.Reader) io.Reader {
				return io.MultiReader(r, bytes.NewReader(content[:10]), iotest.ErrReader(broken))
			},
		} {
			want, wantErr := content[:size], error(nil)
			switch name {
			case "with a broken end":
				wantErr = broken
			case "with an early end":
				wantErr = io.ErrUnexpectedEOF
			case "and something else":
				want, wantErr = append(bytes.Clone(want), content[:10]...), broken
			}
			key := blob.NewKey()
			w, err := s.Append(t.Context(), key, blob.Progress{})
			if err != nil {
				t.Fatal(err)
			}
			n, err := io.Copy(w, reader(bytes.NewReader(content[:size])))
			if n != int64(len(want)) || !errors.Is(err, wantErr) || wantErr == nil && err != nil {
				t.Errorf("%d bytes %s: copied %d, %v", size, name, n, err)
			}
			// In another request it goes on where it was, from a reader again.
			p, err := w.Suspend(t.Context())
			if err != nil || p.Offset != n {
				t.Fatalf("%d bytes %s: suspended at %d, %v", size, name, p.Offset, err)
			}
			if w, err = s.Append(t.Context(), key, p); err != nil {
				t.Fatal(err)
			}
			if _, err := io.Copy(w, bytes.NewReader(content)); err != nil {
				t.Fatal(err)
			}
			all := append(bytes.Clone(want), content...)
			if _, err := w.Commit(t.Context(), ecr.DigestOf(all)); err != nil {
				t.Fatalf("%d bytes %s: %v", size, name, err)
			}
			f, err := s.Open(t.Context(), key)
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(f)
			if err := errors.Join(err, f.Close(), s.Delete(t.Context(), key)); err != nil || !bytes.Equal(got, all) {
				t.Errorf("%d bytes %s: %d bytes are kept, want %d, %v", size, name, len(got), len(all), err)
			}
			if _, err := w.(io.ReaderFrom).ReadFrom(bytes.NewReader(content)); err == nil {
				t.Error("a writer that has ended reads on")
			}
		}
	}
}

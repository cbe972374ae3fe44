package disk_test

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/store/blob"
	"github.com/kontor-registry/kontor/internal/store/blob/disk"
)

// unsynced is the operating system's filesystem, but no sync does anything.
type unsynced struct{}

type unsyncedFile struct{ *os.File }

func (unsyncedFile) Sync() error { return nil }

func (unsynced) OpenFile(name string, flag int, perm fs.FileMode) (disk.File, error) {
	f, err := os.OpenFile(name, flag, perm)
	return unsyncedFile{f}, err
}
func (unsynced) Mkdir(name string, perm fs.FileMode) error  { return os.Mkdir(name, perm) }
func (unsynced) Stat(name string) (fs.FileInfo, error)      { return os.Stat(name) }
func (unsynced) ReadDir(name string) ([]fs.DirEntry, error) { return os.ReadDir(name) }
func (unsynced) Truncate(name string, size int64) error     { return os.Truncate(name, size) }
func (unsynced) Rename(from, to string) error               { return os.Rename(from, to) }
func (unsynced) Remove(name string) error                   { return os.Remove(name) }
func (unsynced) SyncDir(string) error                       { return nil }

// BenchmarkCommit is one blob of 16 MiB, in writes of 256 KiB as a front end
// makes them. The limits to compare with are from the same run: a file written
// and synced by hand, and the hash alone.
func BenchmarkCommit(b *testing.B) {
	const size, chunk = 16 << 20, 256 << 10
	data := make([]byte, size)
	_, _ = rand.Read(data) // never fails
	digest := ecr.DigestOf(data)
	ctx := context.Background()

	upload := func(b *testing.B, s *disk.Store) {
		for b.Loop() {
			key := blob.NewKey()
			w, err := s.Append(ctx, key, blob.Progress{})
			if err != nil {
				b.Fatal(err)
			}
			for off := 0; off < size; off += chunk {
				if _, err := w.Write(data[off : off+chunk]); err != nil {
					b.Fatal(err)
				}
			}
			if _, err := w.Commit(ctx, digest); err != nil {
				b.Fatal(err)
			}
			b.StopTimer()
			if err := s.Delete(ctx, key); err != nil {
				b.Fatal(err)
			}
			b.StartTimer()
		}
	}
	plain := func(b *testing.B, sync bool) {
		dir := b.TempDir()
		for i := 0; b.Loop(); i++ {
			name := filepath.Join(dir, strconv.Itoa(i))
			f, err := os.Create(name)
			if err != nil {
				b.Fatal(err)
			}
			for off := 0; off < size; off += chunk {
				if _, err := f.Write(data[off : off+chunk]); err != nil {
					b.Fatal(err)
				}
			}
			if sync {
				err = f.Sync()
			}
			if err != nil || f.Close() != nil {
				b.Fatal(err)
			}
			b.StopTimer()
			if err := os.Remove(name); err != nil {
				b.Fatal(err)
			}
			b.StartTimer()
		}
	}

	for _, c := range []struct {
		name string
		run  func(b *testing.B)
	}{
		{"store", func(b *testing.B) { upload(b, openAt(b, b.TempDir(), nil)) }},
		{"store-without-sync", func(b *testing.B) { upload(b, openAt(b, b.TempDir(), unsynced{})) }},
		{"plain-file-and-sync", func(b *testing.B) { plain(b, true) }},
		{"plain-file-without-sync", func(b *testing.B) { plain(b, false) }},
		{"sha256-alone", func(b *testing.B) {
			for b.Loop() {
				sha256.Sum256(data)
			}
		}},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.SetBytes(size)
			c.run(b)
		})
	}
}

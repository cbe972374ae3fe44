package registry_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/registry"
	"github.com/kontor-registry/kontor/internal/store/blob"
	"github.com/kontor-registry/kontor/internal/store/blob/disk"
	"github.com/kontor-registry/kontor/internal/testkit"
)

// waiting is a store in which reading at an offset, as the check of content does,
// waits for leave.
type waiting struct {
	blob.Store
	leave chan struct{}
	opens atomic.Int64
}

type waitingFile struct {
	blob.File
	of *waiting
}

func (f waitingFile) ReadAt(p []byte, off int64) (int, error) {
	<-f.of.leave
	return f.File.ReadAt(p, off)
}

// Stat is that of the file.
func (f waitingFile) Stat() (fs.FileInfo, error) { return f.File.(*os.File).Stat() }

// Open opens a file as it is for those who serve, who come first.
func (s *waiting) Open(ctx context.Context, key blob.Key) (blob.File, error) {
	f, err := s.Store.Open(ctx, key)
	if err != nil || s.opens.Add(1) != 2 {
		return f, err
	}
	return waitingFile{f, s}, nil
}

// A large blob is read while it is served, so that no client waits for that. When it is
// found to be damaged, who is being served is cut off, and who asks next is refused.
func TestLargeBlobIsReadWhileItIsServed(t *testing.T) {
	for _, damaged := range []bool{false, true} {
		dir := filepath.Join(t.TempDir(), "blobs")
		store, err := disk.Open(disk.Config{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		f := testkit.Open(t, testkit.Settings{Compat: registry.CompatOCI, Blobs: store})
		to := f.Repo("app", ecr.Mutable)
		layer := bytes.Repeat([]byte("0123456789abcdef"), 1<<18+1) // more than 4 MiB
		d := f.Blob(to, layer)
		if damaged {
			flip(t, onlyFile(t, dir))
		}
		slow := &waiting{Store: store, leave: make(chan struct{})}
		f.Blobs = slow
		f.Restart()
		open := func() blob.File {
			t.Helper()
			_, file, err := f.OpenBlob(t.Context(), to, d)
			if err != nil {
				t.Fatal(err)
			}
			return file
		}
		one := open()
		for until := time.Now().Add(time.Minute); slow.opens.Load() < 2; time.Sleep(time.Millisecond) {
			if time.Now().After(until) {
				t.Fatal("the blob is not read while it is served")
			}
		}
		two := open() // while the first is being served and read
		for _, file := range []blob.File{one, two} {
			if n, err := io.ReadFull(file, make([]byte, 1000)); n != 1000 || err != nil {
				t.Fatalf("the first bytes: %d, %v", n, err)
			}
		}
		close(slow.leave)
		if !damaged {
			f.Registry.StopReading()
			rest, err := io.ReadAll(one)
			if err := errors.Join(err, one.Close(), two.Close()); err != nil || len(rest) != len(layer)-1000 {
				t.Errorf("the rest: %d bytes, %v", len(rest), err)
			}
			continue
		}
		for until := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
			if _, _, err = f.OpenBlob(t.Context(), to, d); err != nil && strings.Contains(err.Error(), "is damaged: its content is sha256:") {
				break
			}
			if time.Now().After(until) {
				t.Fatalf("the damaged blob is served on: %v", err)
			}
		}
		f.Registry.StopReading()
		for _, file := range []blob.File{one, two} {
			if _, err := file.Read(make([]byte, 1)); !errors.Is(err, os.ErrClosed) {
				t.Errorf("who was being served goes on: %v", err)
			}
		}
		if _, err := f.StatBlob(t.Context(), to, d); ecr.CodeOf(err) != ecr.CodeServer {
			t.Errorf("HEAD: %v", err)
		}
	}
}

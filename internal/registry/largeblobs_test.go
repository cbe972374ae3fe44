package registry_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
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
		if _, err := f.StatBlob(t.Context(), to, d); ecr.CodeOf(err) != ecr.CodeLayersNotFound {
			t.Errorf("HEAD: %v, want that it is to be pushed again", err)
		}
	}
}

// large is content of a large blob.
func large(b byte) []byte { return bytes.Repeat([]byte{b}, 4<<20+1) }

// eventually waits for what goes on meanwhile.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for until := time.Now().Add(time.Minute); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(until) {
			t.Fatal("not within a minute: ", what)
		}
	}
}

// A large blob that was found to be damaged is read before it is served again, when a day
// has passed and when its file has changed. What was put right is served.
func TestLargeDamagedBlobStaysRefused(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "blobs")
	store, err := disk.Open(disk.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	var passed atomic.Int64
	f := testkit.Open(t, testkit.Settings{Compat: registry.CompatOCI, Blobs: store, Passed: func() time.Duration { return time.Duration(passed.Load()) }})
	to := f.Repo("app", ecr.Mutable)
	d := f.Blob(to, large('a'))
	file := onlyFile(t, dir)
	flip(t, file)
	open := func() error {
		_, got, err := f.OpenBlob(t.Context(), to, d)
		if err != nil {
			return err
		}
		return got.Close()
	}
	stat := func() error {
		_, err := f.StatBlob(t.Context(), to, d)
		return err
	}
	missing := func(err error) bool { return ecr.CodeOf(err) == ecr.CodeLayersNotFound } // to be pushed again
	refused := func(when string, ask func() error) {
		t.Helper()
		if err := ask(); !missing(err) && (ecr.CodeOf(err) != ecr.CodeServer || err == nil || !strings.Contains(err.Error(), "is damaged: its content is sha256:")) {
			t.Errorf("%s: %v, want that it is damaged", when, err)
		}
	}
	eventually(t, "the damage is found", func() bool { return open() != nil })
	for _, ask := range []func() error{stat, open} {
		refused("at once", ask)
		passed.Add(int64(25 * time.Hour))
		refused("a day later", ask)
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		later := info.ModTime().Add(time.Second)
		if err := os.Chtimes(file, later, later); err != nil {
			t.Fatal(err)
		}
		refused("when its file has changed", ask)
	}
	flip(t, file)
	for _, ask := range []func() error{stat, open} {
		if err := ask(); err != nil {
			t.Errorf("put right: %v", err)
		}
	}
}

// gauge is a store that counts who reads at an offset, as the check of content does, and
// lets them wait for leave.
type gauge struct {
	blob.Store
	leave         chan struct{}
	opens         atomic.Int64
	reading, most atomic.Int64
}

type gaugeFile struct {
	*os.File
	of    *gauge
	reads atomic.Bool
}

func (s *gauge) Open(ctx context.Context, key blob.Key) (blob.File, error) {
	f, err := s.Store.Open(ctx, key)
	if err != nil {
		return nil, err
	}
	s.opens.Add(1)
	return &gaugeFile{File: f.(*os.File), of: s}, nil
}

func (f *gaugeFile) ReadAt(p []byte, off int64) (int, error) {
	if f.reads.CompareAndSwap(false, true) {
		n := f.of.reading.Add(1)
		for most := f.of.most.Load(); n > most && !f.of.most.CompareAndSwap(most, n); most = f.of.most.Load() {
		}
	}
	<-f.of.leave
	return f.File.ReadAt(p, off)
}

func (f *gaugeFile) Close() error {
	if f.reads.Load() {
		f.of.reading.Add(-1)
	}
	return f.File.Close()
}

// However many large blobs are asked for, as many are read at once as there are
// processors, and two at least. Once the server stops, none is.
func TestFewLargeBlobsAreReadAtOnce(t *testing.T) {
	processors := runtime.GOMAXPROCS(1)
	t.Cleanup(func() { runtime.GOMAXPROCS(processors) })
	f := testkit.Open(t, testkit.Settings{Compat: registry.CompatOCI})
	to := f.Repo("app", ecr.Mutable)
	var all []ecr.Digest
	for b := range byte(6) {
		all = append(all, f.Blob(to, large(b)))
	}
	slow := &gauge{Store: f.Blobs, leave: make(chan struct{})}
	f.Blobs = slow
	f.Restart()
	open := func(d ecr.Digest) {
		t.Helper()
		_, file, err := f.OpenBlob(t.Context(), to, d)
		if err != nil {
			t.Fatal(err)
		}
		if err := file.Close(); err != nil {
			t.Error(err)
		}
	}
	for _, d := range all[1:] {
		open(d)
	}
	eventually(t, "two are read", func() bool { return slow.reading.Load() >= 2 })
	close(slow.leave)
	eventually(t, "all are read", func() bool { return slow.opens.Load() == 10 })
	f.Registry.StopReading()
	if n := slow.most.Load(); n != 2 {
		t.Errorf("%d were read at once, want 2", n)
	}
	open(all[0])
	f.Registry.StopReading()
	if n := slow.opens.Load(); n != 11 {
		t.Errorf("%d files were opened, want 11: what is served after the stop is not read", n)
	}
}

// collecting is a store in which a blob is collected before it is opened a second time.
type collecting struct {
	blob.Store
	opens atomic.Int64
}

func (s *collecting) Open(ctx context.Context, key blob.Key) (blob.File, error) {
	if s.opens.Add(1) == 2 {
		if err := s.Delete(ctx, key); err != nil {
			return nil, err
		}
	}
	return s.Store.Open(ctx, key)
}

// A blob that is collected before it is read is whole for those who have it open.
func TestLargeBlobIsCollectedWhileItIsServed(t *testing.T) {
	f := testkit.Open(t, testkit.Settings{Compat: registry.CompatOCI})
	to := f.Repo("app", ecr.Mutable)
	d := f.Blob(to, large('a'))
	store := &collecting{Store: f.Blobs}
	f.Blobs = store
	f.Restart()
	_, file, err := f.OpenBlob(t.Context(), to, d)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the blob is opened to be read", func() bool { return store.opens.Load() == 2 })
	f.Registry.StopReading()
	got, err := io.ReadAll(file)
	if err != nil || ecr.DigestOf(got) != d {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if err := file.Close(); err != nil {
		t.Error(err)
	}
}

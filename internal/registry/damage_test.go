package registry_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/registry"
	"github.com/kontor-registry/kontor/internal/store/blob"
	"github.com/kontor-registry/kontor/internal/store/blob/disk"
	"github.com/kontor-registry/kontor/internal/store/meta"
	"github.com/kontor-registry/kontor/internal/testkit"
)

// A file that is not as long as it was is an error: a client must not take
// what is left of it for the blob.
func TestDamagedBlobIsNotOpened(t *testing.T) {
	for _, change := range []int64{-1, 1} {
		f := testkit.Open(t, testkit.Settings{Compat: registry.CompatOCI})
		ctx := t.Context()
		to := f.Repo("app", ecr.Mutable)
		const content = "a layer"
		d := ecr.DigestOf([]byte(content))
		key := f.Leave(content, true)
		err := f.Meta.Update(ctx, func(ctx context.Context, tx meta.Tx) error {
			repo, err := tx.Repository(ctx, to.In, to.Name)
			if err != nil {
				return err
			}
			if _, err := tx.AddBlob(ctx, meta.Blob{Digest: d, Key: key, SizeBytes: int64(len(content)) + change, CreatedAt: f.Now()}); err != nil {
				return err
			}
			return tx.LinkBlob(ctx, repo.ID, d, f.Now())
		})
		if err != nil {
			t.Fatal(err)
		}
		_, file, err := f.OpenBlob(ctx, to, d)
		if err == nil || !strings.Contains(err.Error(), "is damaged: it has 7 bytes") || ecr.CodeOf(err) != ecr.CodeServer || file != nil {
			t.Errorf("OpenBlob = %v, %v", file, err)
		}
	}
}

// flip changes a byte of a file, whose size stays. The file is of a second
// later: filesystems' clocks tick too slowly for what tests do.
func flip(t *testing.T, file string) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 1
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	at := info.ModTime().Add(time.Second)
	if err := os.Chtimes(file, at, at); err != nil {
		t.Fatal(err)
	}
}

// onlyFile is the file of the only blob in dir.
func onlyFile(t *testing.T, dir string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "blobs", "*", "*"))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	return files[0]
}

// counting counts the bytes that are read of blobs.
type counting struct {
	blob.Store
	read  atomic.Int64
	after func() // each reading; nil for nothing
}

type countingFile struct {
	*os.File
	of *counting
}

func (f countingFile) ReadAt(p []byte, off int64) (int, error) {
	n, err := f.File.ReadAt(p, off)
	f.of.read.Add(int64(n))
	if f.of.after != nil {
		f.of.after()
	}
	return n, err
}

func (s *counting) Open(ctx context.Context, key blob.Key) (blob.File, error) {
	f, err := s.Store.Open(ctx, key)
	if err != nil {
		return nil, err
	}
	return countingFile{f.(*os.File), s}, nil
}

// A client that goes away while its blob is read leaves the next one something:
// the blob is not read again.
func TestReadingOutlivesItsClient(t *testing.T) {
	content := bytes.Repeat([]byte("a large layer "), 1<<16)
	f := testkit.Open(t, testkit.Settings{Compat: registry.CompatOCI})
	store, err := disk.Open(disk.Config{Dir: filepath.Join(t.TempDir(), "blobs")})
	if err != nil {
		t.Fatal(err)
	}
	counted := &counting{Store: store}
	f.Blobs = counted
	f.Restart()
	to := f.Repo("app", ecr.Mutable)
	d := f.Blob(to, content)
	f.Restart() // a new process
	ctx, cancel := context.WithCancel(t.Context())
	counted.after = cancel
	if _, file, err := f.OpenBlob(ctx, to, d); err == nil {
		err = file.Close()
		if err != nil {
			t.Error(err)
		}
	}
	if ctx.Err() == nil {
		t.Fatal("the blob was not read")
	}
	counted.read.Store(0)
	_, file, err := f.OpenBlob(t.Context(), to, d)
	if err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Error(err)
	}
	if n := counted.read.Load(); n != 0 {
		t.Errorf("%d bytes were read again", n)
	}
}

// A byte that changed is found before a byte is served, whether the blob was
// pushed to this process or to an earlier one, and what was put right is served
// again. What did not change is read once a day.
func TestChangedBlobIsNotOpened(t *testing.T) {
	const content = "a layer of some length"
	ctx := t.Context()
	dir := filepath.Join(t.TempDir(), "blobs")
	f := testkit.Open(t, testkit.Settings{Compat: registry.CompatOCI})
	store, err := disk.Open(disk.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	counted := &counting{Store: store}
	var passed time.Duration
	f.Blobs, f.Settings.Passed = counted, func() time.Duration { return passed }
	start := func() { f.Restart() }
	start()
	to := f.Repo("app", ecr.Mutable)
	d := f.Blob(to, []byte(content))
	file := onlyFile(t, dir)
	opened := func(read int) {
		t.Helper()
		counted.read.Store(0)
		for range 3 {
			_, got, err := f.OpenBlob(ctx, to, d)
			if err != nil {
				t.Fatal(err)
			}
			b, err := io.ReadAll(got)
			if err := errors.Join(err, got.Close()); err != nil || string(b) != content {
				t.Fatalf("%q, %v", b, err)
			}
		}
		if _, err := f.StatBlob(ctx, to, d); err != nil {
			t.Error(err)
		}
		if n := counted.read.Load(); n != int64(read*len(content)) {
			t.Errorf("%d bytes were read before what was opened, want those of %d times", n, read)
		}
	}
	refused := func() {
		t.Helper()
		for range 2 {
			_, got, err := f.OpenBlob(ctx, to, d)
			if err == nil || ecr.CodeOf(err) != ecr.CodeServer || got != nil || !strings.Contains(err.Error(), string(d)+" of 000000000000/us-east-1/app under key") ||
				!strings.Contains(err.Error(), "is damaged: its content is sha256:") {
				t.Fatalf("OpenBlob = %v, %v", got, err)
			}
			if _, err := f.StatBlob(ctx, to, d); ecr.CodeOf(err) != ecr.CodeLayersNotFound {
				t.Errorf("StatBlob = %v, want that it is to be pushed again", err)
			}
		}
	}
	opened(0) // what was written was compared
	flip(t, file)
	refused()
	flip(t, file)
	opened(1)
	start()
	opened(1)
	flip(t, file)
	start()
	refused()
	flip(t, file)
	opened(1)

	// A medium that loses a bit does not tell.
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	flip(t, file)
	if err := os.Chtimes(file, info.ModTime(), info.ModTime()); err != nil {
		t.Fatal(err)
	}
	passed += 25 * time.Hour
	refused()
}

// Many that want the same blob wait for one that reads it.
func TestBlobIsReadOnceForMany(t *testing.T) {
	f := testkit.Open(t, testkit.Settings{Compat: registry.CompatOCI})
	to := f.Repo("app", ecr.Mutable)
	layer := bytes.Repeat([]byte("0123456789abcdef"), 1<<18) // 4 MiB
	d := f.Blob(to, layer)
	counted := &counting{Store: f.Blobs}
	f.Blobs = counted
	f.Restart()
	var g errgroup.Group
	for range 20 {
		g.Go(func() error {
			_, got, err := f.OpenBlob(t.Context(), to, d)
			if err != nil {
				return err
			}
			return got.Close()
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	if n := counted.read.Load(); n != int64(len(layer)) {
		t.Errorf("%d bytes were read, want %d", n, len(layer))
	}
}

// A manifest that is not what its digest says is served by nobody.
func TestChangedManifestIsNotServed(t *testing.T) {
	f := testkit.Open(t, testkit.Settings{Compat: registry.CompatOCI})
	ctx := t.Context()
	to := f.Repo("app", ecr.Mutable)
	d := ecr.DigestOf([]byte(`{"a":1}`))
	err := f.Meta.Update(ctx, func(ctx context.Context, tx meta.Tx) error {
		repo, err := tx.Repository(ctx, to.In, to.Name)
		if err != nil {
			return err
		}
		return tx.InsertManifest(ctx, meta.Manifest{Repository: repo.ID, Body: []byte(`{"a":2}`), Image: ecr.Image{Digest: d, MediaType: "x", SizeBytes: 7, PushedAt: f.Now()}})
	})
	if err != nil {
		t.Fatal(err)
	}
	id := ecr.ImageID{Digest: d}
	_, err = f.Manifest(ctx, to, id)
	_, headErr := f.StatManifest(ctx, to, id)
	images, _, batchErr := f.BatchGetImage(ctx, to, []ecr.ImageID{id})
	for _, err := range []error{err, headErr, batchErr} {
		if err == nil || ecr.CodeOf(err) != ecr.CodeServer || !strings.Contains(err.Error(), "manifest "+string(d)+" of 000000000000/us-east-1/app is damaged") {
			t.Errorf("%v, %v", images, err)
		}
	}
}

package disk_test

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/store/blob"
	"github.com/kontor-registry/kontor/internal/store/blob/blobtest"
	"github.com/kontor-registry/kontor/internal/store/blob/crashfs"
	"github.com/kontor-registry/kontor/internal/store/blob/disk"
)

func openAt(t testing.TB, dir string, fsys disk.FS) *disk.Store {
	t.Helper()
	s, err := disk.Open(disk.Config{Dir: dir, FS: fsys})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestContract(t *testing.T) {
	blobtest.Run(t, func(t testing.TB) blobtest.Medium {
		dir := filepath.Join(t.TempDir(), "data", "blobs")
		return func(t testing.TB) blob.Store { return openAt(t, dir, nil) }
	})
}

// The crash tests mean something only if crashfs is a filesystem to the store.
func TestContractOnCrashFS(t *testing.T) {
	blobtest.Run(t, func(testing.TB) blobtest.Medium {
		d := crashfs.New()
		return func(t testing.TB) blob.Store { return openAt(t, "/var/kontor/blobs", &crashfs.FS{Disk: d}) }
	})
}

// put commits b under a new key.
func put(t testing.TB, s blob.Store, b []byte) blob.Key {
	t.Helper()
	key := blob.NewKey()
	w, err := s.Append(context.Background(), key, blob.Progress{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Commit(context.Background(), ecr.DigestOf(b)); err != nil {
		t.Fatal(err)
	}
	return key
}

func TestLayout(t *testing.T) {
	dir := t.TempDir()
	s := openAt(t, dir, nil)
	key := put(t, s, []byte("hello"))
	b, err := os.ReadFile(filepath.Join(dir, "blobs", string(key[:2]), string(key)))
	if err != nil || string(b) != "hello" {
		t.Errorf("content: %q, %v", b, err)
	}
	f, err := s.Open(context.Background(), key)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}()
	if _, ok := f.(*os.File); !ok {
		t.Errorf("Open returns a %T; without an *os.File there is no sendfile", f)
	}

	// Other people's files are neither listed nor in the way.
	for _, name := range []string{"lost+found", "blobs/.DS_Store", "blobs/00/README", "uploads/.nfs0001"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "uploads", string(blob.NewKey())), 0o700); err != nil {
		t.Fatal(err)
	}
	s = openAt(t, dir, nil)
	var got []blob.Key
	for i, err := range s.List(context.Background()) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, i.Key)
	}
	if len(got) != 1 || got[0] != key {
		t.Errorf("List: %v, want only %v", got, key)
	}
}

// A backup may leave out empty folders.
func TestOpenMakesMissingFolders(t *testing.T) {
	dir := t.TempDir()
	s := openAt(t, dir, nil)
	key := put(t, s, []byte("hello"))
	for i, e := range must(os.ReadDir(filepath.Join(dir, "blobs"))) {
		if err := os.Remove(filepath.Join(dir, "blobs", e.Name())); err != nil && e.Name() != string(key[:2]) {
			t.Fatalf("folder %d: %v", i, err)
		}
	}
	s = openAt(t, dir, nil)
	put(t, s, []byte("another"))
	if n := len(must(os.ReadDir(filepath.Join(dir, "blobs")))); n != 256 {
		t.Errorf("%d folders, want 256", n)
	}
}

func TestOpenErrors(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"", file, filepath.Join(file, "below")} {
		if _, err := disk.Open(disk.Config{Dir: dir}); err == nil || !strings.Contains(err.Error(), dir) {
			t.Errorf("Open %q: error %v, want one that names it", dir, err)
		}
	}
}

// Whoever may use the folder, but not read the one it is in, was not the one
// who made it: nothing of that one is ours to sync.
func TestOpenBelowUnreadableFolder(t *testing.T) {
	d := crashfs.New()
	openAt(t, "/srv/blobs", &crashfs.FS{Disk: d})
	deny := &crashfs.FS{Disk: d, Fail: func(c crashfs.Call) error {
		if c.Name == "SyncDir" && c.Path == "/srv" {
			return fs.ErrPermission
		}
		return nil
	}}
	put(t, openAt(t, "/srv/blobs", deny), []byte("hello"))
	if _, err := disk.Open(disk.Config{Dir: "/srv/other", FS: deny}); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("making a folder that cannot be made durable: error %v", err)
	}
}

// failOnce fails the first call of that name after the store was opened.
func failOnce(name string, err error) func(crashfs.Call) error {
	done := false
	return func(c crashfs.Call) error {
		if done || c.Name != name || !strings.Contains(c.Path, "/uploads") && !strings.Contains(c.Site, "writer") {
			return nil
		}
		done = true
		return err
	}
}

// A full medium is named, what the request wrote is given back, and what
// earlier requests wrote stays.
func TestNoSpace(t *testing.T) {
	ctx := context.Background()
	first, second := []byte(strings.Repeat("a", 700)), []byte(strings.Repeat("b", 500))
	whole := append(append([]byte(nil), first...), second...)
	type attempt func(s blob.Store, key blob.Key, p blob.Progress, b []byte) error
	suspend := func(s blob.Store, key blob.Key, p blob.Progress, b []byte) error {
		w, err := s.Append(ctx, key, p)
		if err != nil {
			return err
		}
		_, werr := w.Write(b)
		_, err = w.Suspend(ctx)
		return errors.Join(werr, err)
	}
	commit := func(s blob.Store, key blob.Key, p blob.Progress, b []byte) error {
		w, err := s.Append(ctx, key, p)
		if err != nil {
			return err
		}
		_, werr := w.Write(b)
		_, err = w.Commit(ctx, ecr.DigestOf(b), ecr.DigestOf(whole))
		return errors.Join(werr, err)
	}
	abort := func(s blob.Store, key blob.Key, p blob.Progress, b []byte) error {
		w, err := s.Append(ctx, key, p)
		if err != nil {
			return err
		}
		_, werr := w.Write(b)
		if err := w.Abort(); err != nil {
			t.Errorf("Abort: %v", err)
		}
		return werr
	}
	for _, c := range []struct {
		name     string
		call     string
		err      error
		do       attempt
		fromZero bool
		lost     bool // the upload is gone in the end
	}{
		{"creating", "OpenFile", syscall.ENOSPC, suspend, true, true},
		{"writing, suspend", "WriteAt", syscall.ENOSPC, suspend, true, true},
		{"writing more, suspend", "WriteAt", syscall.EDQUOT, suspend, false, false},
		{"writing more, commit", "WriteAt", syscall.ENOSPC, commit, false, false},
		{"writing more, abort", "WriteAt", syscall.ENOSPC, abort, false, true},
		{"syncing, suspend", "Sync", syscall.ENOSPC, suspend, true, true},
		{"syncing more, suspend", "Sync", syscall.EDQUOT, suspend, false, false},
		{"syncing the folder", "SyncDir", syscall.ENOSPC, suspend, true, true},
		{"closing", "Close", syscall.EDQUOT, suspend, false, false},
		{"syncing, commit", "Sync", syscall.EDQUOT, commit, true, true},
		{"syncing more, commit", "Sync", syscall.EDQUOT, commit, false, false},
		{"closing, commit", "Close", syscall.ENOSPC, commit, false, false},
		{"renaming", "Rename", syscall.ENOSPC, commit, false, false},
		{"syncing the blob's folder", "SyncDir", syscall.ENOSPC, commit, false, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := crashfs.New()
			s := openAt(t, "/data", &crashfs.FS{Disk: d})
			key := blob.NewKey()
			var p blob.Progress
			b := whole
			if !c.fromZero {
				w, err := s.Append(ctx, key, p)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := w.Write(first); err != nil {
					t.Fatal(err)
				}
				if p, err = w.Suspend(ctx); err != nil {
					t.Fatal(err)
				}
				b = second
			}
			full := &crashfs.FS{Disk: d}
			failing := openAt(t, "/data", full)
			full.Fail = failOnce(c.call, c.err)
			err := c.do(failing, key, p, b)
			if !errors.Is(err, blob.ErrNoSpace) || !errors.Is(err, c.err) {
				t.Fatalf("got error %v, want ErrNoSpace because of %v", err, c.err)
			}
			uploads := map[blob.Key]int64{}
			for i, err := range s.List(ctx) {
				if err != nil {
					t.Fatal(err)
				}
				if !i.Upload {
					t.Errorf("committed: %+v", i)
				}
				uploads[i.Key] = i.SizeBytes
			}
			if size, ok := uploads[key]; ok == c.lost || ok && size != int64(len(first)) {
				t.Fatalf("upload: %d bytes, there: %v; want gone: %v", size, ok, c.lost)
			}
			if c.lost {
				return
			}
			// The failed sync must not be trusted by the next.
			if err := commit(failing, key, p, second); err != nil {
				t.Fatalf("trying again: %v", err)
			}
			for crash := range d.Crashes(d.Len(), crashfs.Variants()) {
				s := openAt(t, "/data", &crashfs.FS{Disk: crash.Disk()})
				f, err := s.Open(ctx, key)
				if err != nil {
					t.Fatalf("%s: %v", crash, err)
				}
				if got, err := io.ReadAll(f); err != nil || string(got) != string(whole) {
					t.Fatalf("%s: %d bytes, %v", crash, len(got), err)
				}
			}
		})
	}
}

// A state of another version of the store means that the upload is lost, not
// that the server is broken.
func TestUnknownState(t *testing.T) {
	s := openAt(t, t.TempDir(), nil)
	for _, p := range []blob.Progress{{Offset: 5, State: []byte("new and unknown")}, {Offset: 5}, {State: []byte("x")}, {Offset: -1}} {
		if _, err := s.Append(context.Background(), blob.NewKey(), p); !errors.Is(err, blob.ErrNotFound) {
			t.Errorf("%+v: error %v, want ErrNotFound", p, err)
		}
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// The id of an installation is made once, and survives the loss of power as soon as
// it was told.
func TestInstallation(t *testing.T) {
	d := crashfs.New()
	fsys := &crashfs.FS{Disk: d}
	s := openAt(t, "/var/kontor/blobs", fsys)
	before := d.Len()
	id, err := s.Installation(t.Context())
	if err != nil || len(id) != 32 {
		t.Fatalf("%q, %v", id, err)
	}
	for range 2 {
		again, err := openAt(t, "/var/kontor/blobs", fsys).Installation(t.Context())
		if err != nil || again != id {
			t.Errorf("%q, %v, want %q", again, err, id)
		}
	}
	if other, err := openAt(t, "/var/other/blobs", fsys).Installation(t.Context()); err != nil || other == id {
		t.Errorf("another store has id %q, %v", other, err)
	}
	told := d.Len()
	for c := range d.Crashes(before, crashfs.Variants()) {
		got, err := openAt(t, "/var/kontor/blobs", &crashfs.FS{Disk: c.Disk()}).Installation(t.Context())
		if err != nil || c.At >= told && got != id {
			t.Errorf("%s: %q, %v, want %q", c, got, err, id)
		}
	}
	dir := t.TempDir()
	for _, content := range []string{"", id, "x" + id[1:] + "\n", id + "\n\n"} {
		if err := os.WriteFile(filepath.Join(dir, "installation"), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := openAt(t, dir, nil).Installation(t.Context()); err == nil || !strings.Contains(err.Error(), "is damaged") {
			t.Errorf("%q: %q, %v", content, got, err)
		}
	}
}

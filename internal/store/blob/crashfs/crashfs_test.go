package crashfs

import (
	"errors"
	"io"
	"os"
	"strings"
	"testing"
)

// content is what is at p on d; "-" if there is no file.
func content(t *testing.T, d *Disk, p string) string {
	t.Helper()
	f, err := (&FS{Disk: d}).OpenFile(p, os.O_RDONLY, 0)
	if errors.Is(err, os.ErrNotExist) {
		return "-"
	}
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(b), "\x00", "0")
}

// after is what crashes at the end leave at the paths, for each variant but
// those by chance.
func after(t *testing.T, d *Disk, paths ...string) map[string]string {
	t.Helper()
	got := map[string]string{}
	for c := range d.Crashes(d.Len(), Variants()[:6]) {
		var all []string
		for _, p := range paths {
			all = append(all, content(t, c.Disk(), p))
		}
		got[c.Variant.Name] = strings.Join(all, " ")
	}
	return got
}

func TestModel(t *testing.T) {
	ok := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	broken := errors.New("broken")
	for _, c := range []struct {
		name string
		do   func(f *FS, w io.WriterAt, sync func() error)
		// what is at /a/f and at /b/f after a crash: with nothing unsynced,
		// entries only, bytes only, entries and sizes, entries and torn
		// bytes, and all
		want [6]string
	}{
		{"nothing synced", func(*FS, io.WriterAt, func() error) {},
			[6]string{"- -", " -", "- -", "0000 -", "ab -", "abcd -"}},
		{"file synced, its folder not", func(_ *FS, _ io.WriterAt, sync func() error) { ok(sync()) },
			[6]string{"- -", "abcd -", "- -", "abcd -", "abcd -", "abcd -"}},
		{"folder synced, the file not", func(f *FS, _ io.WriterAt, _ func() error) { ok(f.SyncDir("/a")) },
			[6]string{" -", " -", "abcd -", "0000 -", "ab -", "abcd -"}},
		{"written again after the sync", func(f *FS, w io.WriterAt, sync func() error) {
			ok(f.SyncDir("/a"))
			ok(sync())
			_, err := w.WriteAt([]byte("EFGH"), 2)
			ok(err)
		}, [6]string{"abcd -", "abcd -", "abEFGH -", "abcd00 -", "abEF -", "abEFGH -"}},
		{"cut after the sync", func(f *FS, _ io.WriterAt, sync func() error) {
			ok(f.SyncDir("/a"))
			ok(sync())
			ok(f.Truncate("/a/f", 1))
		}, [6]string{"abcd -", "abcd -", "a -", "a -", "abcd -", "a -"}},
		{"renamed, no folder synced since", func(f *FS, _ io.WriterAt, sync func() error) {
			ok(f.SyncDir("/a"))
			ok(sync())
			ok(f.Rename("/a/f", "/b/f"))
		}, [6]string{"abcd -", "- abcd", "abcd -", "- abcd", "- abcd", "- abcd"}},
		{"renamed, new folder synced", func(f *FS, _ io.WriterAt, sync func() error) {
			ok(f.SyncDir("/a"))
			ok(sync())
			ok(f.Rename("/a/f", "/b/f"))
			ok(f.SyncDir("/b"))
		}, [6]string{"abcd abcd", "- abcd", "abcd abcd", "- abcd", "- abcd", "- abcd"}},
		{"renamed, old folder synced", func(f *FS, _ io.WriterAt, sync func() error) {
			ok(sync())
			ok(f.Rename("/a/f", "/b/f"))
			ok(f.SyncDir("/a"))
		}, [6]string{"- -", "- abcd", "- -", "- abcd", "- abcd", "- abcd"}},
		{"removed, folder not synced", func(f *FS, _ io.WriterAt, sync func() error) {
			ok(f.SyncDir("/a"))
			ok(sync())
			ok(f.Remove("/a/f"))
		}, [6]string{"abcd -", "- -", "abcd -", "- -", "- -", "- -"}},
		{"a sync failed, the next did not", func(f *FS, _ io.WriterAt, sync func() error) {
			ok(f.SyncDir("/a"))
			f.Fail = func(Call) error { return broken }
			if err := sync(); !errors.Is(err, broken) {
				t.Fatal(err)
			}
			f.Fail = nil
		}, [6]string{" -", " -", " -", " -", " -", " -"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := &FS{Disk: New()}
			ok(f.Mkdir("/a", 0o700))
			ok(f.Mkdir("/b", 0o700))
			ok(f.SyncDir("/"))
			w, err := f.OpenFile("/a/f", os.O_RDWR|os.O_CREATE, 0o600)
			ok(err)
			_, err = w.WriteAt([]byte("abcd"), 0)
			ok(err)
			c.do(f, w, w.Sync)
			got := after(t, f.Disk, "/a/f", "/b/f")
			for i, v := range Variants()[:6] {
				if got[v.Name] != c.want[i] {
					t.Errorf("%s: %q, want %q", v.Name, got[v.Name], c.want[i])
				}
			}
		})
	}
}

// A folder that is not durable takes everything in it along, synced or not.
func TestLostFolder(t *testing.T) {
	f := &FS{Disk: New()}
	for _, err := range []error{f.Mkdir("/a", 0o700), f.Mkdir("/a/b", 0o700), f.SyncDir("/a"), f.SyncDir("/a/b")} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for c := range f.Disk.Crashes(f.Disk.Len(), Variants()[:1]) {
		if _, err := (&FS{Disk: c.Disk()}).Stat("/a/b"); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("/a/b after a crash: %v", err)
		}
	}
}

package sqlite

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/kontor-registry/kontor/internal/ecr"
)

// schema is everything that a database consists of.
const schema = "SELECT group_concat(sql, '; ') FROM (SELECT sql FROM sqlite_master ORDER BY name)"

// Files of earlier versions keep their pages, and the log has its length in bytes.
func TestLogOfEarlierFiles(t *testing.T) {
	for _, size := range []int{512, pageSize, 4096, 65536} {
		path := filepath.Join(t.TempDir(), "x")
		query[int](t, path, "VACUUM", fmt.Sprintf("page_size(%d)", size))
		s, err := Open(t.Context(), Config{Path: path})
		if err != nil {
			t.Fatal(err)
		}
		n, err := logPages(path)
		if length := n * (size + 24); err != nil || length > logBytes || length < logBytes-size-24 {
			t.Errorf("pages of %d bytes: a log of %d pages, %v", size, n, err)
		}
		closeStore(t, s)
		if got := query[int](t, path, "PRAGMA page_size"); got != size {
			t.Errorf("pages of %d bytes have %d now", size, got)
		}
	}
}

// A new file is the same whether it is made whole, from what is remembered, or by
// migrations in its place.
func TestNewFiles(t *testing.T) {
	dir := t.TempDir()
	want := ""
	for _, name := range []string{"in-place", "first", "remembered"} {
		path := filepath.Join(dir, name)
		switch name {
		case "in-place":
			if err := os.WriteFile(path, nil, 0o600); err != nil { // as a crash of older versions left it
				t.Fatal(err)
			}
		case "first":
			remembered.content = nil
		}
		s, err := Open(t.Context(), Config{Path: path})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err := insert(s, "app", ""); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		closeStore(t, s)
		got := query[string](t, path, schema)
		if want == "" {
			want = got
		}
		if got != want || !strings.Contains(got, "repositories") {
			t.Errorf("%s: schema %s, want %s", name, got, want)
		}
		if mode := query[string](t, path, "PRAGMA journal_mode"); mode != "wal" {
			t.Errorf("%s: journal mode %s", name, mode)
		}
		if size := query[int](t, path, "PRAGMA page_size"); name != "in-place" && size != pageSize {
			t.Errorf("%s: pages of %d bytes", name, size)
		}
	}
	if remembered.content == nil {
		t.Error("nothing was remembered")
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*"+newSuffix+"*")); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
}

// Several processes may make one file; all of them use the one that is made.
func TestNewFileOfSeveral(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kontor.db")
	var g errgroup.Group
	for i := range 4 {
		g.Go(func() error {
			s, err := Open(t.Context(), Config{Path: path})
			if err != nil {
				return err
			}
			defer closeStore(t, s)
			return insert(s, ecr.RepositoryName(fmt.Sprintf("app-%d", i)), "")
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	if n := query[int](t, path, "SELECT COUNT(*) FROM repositories"); n != 4 {
		t.Errorf("%d repositories of 4", n)
	}
}

// What a crash left of a file that was not whole is not opened, and goes in time.
func TestLeftOfNewFiles(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "kontor.db")
	old, fresh := path+newSuffix+"1", path+newSuffix+"2"
	for _, name := range []string{old, fresh} {
		if err := os.WriteFile(name, []byte("half of it"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	then := time.Now().Add(-2 * time.Hour)
	if err := os.Chtimes(old, then, then); err != nil {
		t.Fatal(err)
	}
	s, err := Open(t.Context(), Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	closeStore(t, s)
	if _, err := os.Stat(old); !os.IsNotExist(err) {
		t.Errorf("the old one: %v", err)
	}
	if _, err := os.Stat(fresh); err != nil {
		t.Errorf("the one that may be in use: %v", err)
	}
}

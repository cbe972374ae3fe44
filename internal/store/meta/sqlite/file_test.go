package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

var registry = ecr.RegistryID{Account: "000000000000", Region: "us-east-1"}

func insert(s meta.Store, name ecr.RepositoryName, policy string) error {
	return s.Update(context.Background(), func(ctx context.Context, tx meta.Tx) error {
		_, err := tx.InsertRepository(ctx, meta.Repository{Registry: registry, Name: name, PolicyText: policy})
		return err
	})
}

// query asks the database through its own connection.
func query[T any](t *testing.T, path, text string, pragmas ...string) (v T) {
	t.Helper()
	db, err := pool(path, pragmas)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}()
	if err := db.QueryRowContext(t.Context(), text).Scan(&v); err != nil && !errors.Is(err, sql.ErrNoRows) {
		t.Fatal(err)
	}
	return v
}

func closeStore(t testing.TB, s meta.Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// Paths may hold what means something in a URI or to the driver.
func TestOddPaths(t *testing.T) {
	for _, name := range []string{
		"plain.db", "with space.db", "question?mode=memory.db", "hash#1.db", "percent%41.db", "amp&_pragma=x.db", "ümläut.db",
		"semi;colon.db", ":memory:", "file:x.db", `back\slash.db`, "quote'\".db", "plus+.db", " .db",
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, name)
			s := mustOpen(t, path)
			if err := insert(s, "app", ""); err != nil {
				t.Error(err)
			}
			info, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			if info.Mode().Perm() != 0o600 {
				t.Errorf("mode %v", info.Mode())
			}
			closeStore(t, s)
			entries, err := os.ReadDir(dir)
			if err != nil || len(entries) != 1 || entries[0].Name() != name {
				t.Errorf("the folder holds %v, %v", entries, err)
			}
			if n := query[int](t, path, "SELECT COUNT(*) FROM repositories"); n != 1 {
				t.Errorf("%d repositories", n)
			}
		})
	}
	t.Run("relative", func(t *testing.T) {
		t.Chdir(t.TempDir())
		closeStore(t, mustOpen(t, "meta.db"))
		if _, err := os.Stat("meta.db"); err != nil {
			t.Error(err)
		}
	})
}

func TestOpenErrors(t *testing.T) {
	dir := t.TempDir()
	garbage := filepath.Join(dir, "garbage.db")
	if err := os.WriteFile(garbage, []byte(strings.Repeat("this is not a database ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name, path string
		is         error
	}{
		{"none", "", nil}, {"garbage", garbage, nil}, {"folder", dir, nil},
		{"no such folder", filepath.Join(dir, "none", "meta.db"), fs.ErrNotExist},
	} {
		s, err := Open(t.Context(), Config{Path: test.path})
		if err == nil {
			t.Errorf("%s: no error", test.name)
			closeStore(t, s)
			continue
		}
		if test.is != nil && !errors.Is(err, test.is) || !strings.Contains(err.Error(), fmt.Sprintf("%q", test.path)) {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}

func TestNewerSchema(t *testing.T) {
	path := filepath.Join(t.TempDir(), "meta.db")
	closeStore(t, mustOpen(t, path))
	query[int](t, path, "INSERT INTO goose_db_version (version_id, is_applied) VALUES (999, 1)")
	query[int](t, path, `UPDATE job_states SET state = CAST('{"needs":999}' AS BLOB) WHERE name = 'schema'`)
	s, err := Open(t.Context(), Config{Path: path})
	if err == nil {
		closeStore(t, s)
		t.Fatal("it was opened")
	}
	if !strings.Contains(err.Error(), "schema version 999") {
		t.Error(err)
	}
}

// What promise 1 rests on: WAL is a property of the file, the others are the
// writing connection's.
func TestSettings(t *testing.T) {
	path := filepath.Join(t.TempDir(), "meta.db")
	closeStore(t, mustOpen(t, path))
	if mode := query[string](t, path, "PRAGMA journal_mode"); mode != "wal" {
		t.Errorf("journal_mode = %s", mode)
	}
	for pragma, want := range map[string]string{"synchronous": "2", "foreign_keys": "1", "busy_timeout": "10000"} {
		if got := query[string](t, path, "PRAGMA "+pragma, writerPragmas()...); got != want {
			t.Errorf("%s = %s, want %s", pragma, got, want)
		}
	}
}

// A full disk: what does not fit is refused as unavailable, what shares a
// commit with it goes through if it fits, and nothing is half there.
func TestDiskFull(t *testing.T) {
	path := filepath.Join(t.TempDir(), "meta.db")
	s, err := open(t.Context(), Config{Path: path}, "max_page_count(120)")
	if err != nil {
		t.Fatal(err)
	}
	defer closeStore(t, s)
	big := strings.Repeat("x", 1<<20)
	errs := make(chan error)
	for i := range 20 {
		go func() {
			if i%5 == 0 {
				err := insert(s, ecr.RepositoryName(fmt.Sprint("big", i)), big)
				if !errors.Is(err, meta.ErrUnavailable) {
					errs <- fmt.Errorf("big: %w, want ErrUnavailable", err)
					return
				}
				errs <- nil
				return
			}
			errs <- insert(s, ecr.RepositoryName(fmt.Sprint("small", i)), "")
		}()
	}
	for range 20 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if n := query[int](t, path, "SELECT COUNT(*) FROM repositories"); n != 16 {
		t.Errorf("%d repositories, want the 16 small ones", n)
	}
}

// Another process that holds the write lock for too long.
func TestLocked(t *testing.T) {
	path := filepath.Join(t.TempDir(), "meta.db")
	s, err := open(t.Context(), Config{Path: path}, "busy_timeout(20)")
	if err != nil {
		t.Fatal(err)
	}
	defer closeStore(t, s)
	db, err := pool(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	tx, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := insert(s, "app", ""); !errors.Is(err, meta.ErrUnavailable) {
		t.Errorf("got %v, want ErrUnavailable", err)
	}
	if err := errors.Join(tx.Rollback(), db.Close()); err != nil {
		t.Fatal(err)
	}
	if err := insert(s, "app", ""); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// BenchmarkOpen: the server is to be ready within a second of its start.
func BenchmarkOpen(b *testing.B) {
	open := func(b *testing.B, path string) {
		s := mustOpen(b, path)
		b.StopTimer()
		closeStore(b, s)
		b.StartTimer()
	}
	b.Run("first", func(b *testing.B) {
		for i := range b.N {
			open(b, filepath.Join(b.TempDir(), fmt.Sprint(i)))
		}
	})
	b.Run("again", func(b *testing.B) {
		path := filepath.Join(b.TempDir(), "meta.db")
		open(b, path)
		b.ResetTimer()
		for range b.N {
			open(b, path)
		}
	})
}

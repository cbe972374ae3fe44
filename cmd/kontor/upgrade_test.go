//go:build unix && !race

package main

import (
	"database/sql"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/pressly/goose/v3"
	_ "modernc.org/sqlite" // as a program next to kontor would
)

const migrations = "../../internal/store/meta/sqlite/migrations"

// TestSchemas starts kontor on a database of each schema that there was, which
// it brings up to its own, and on one of a schema to come, which it leaves
// alone with a line that says what to do.
func TestSchemas(t *testing.T) {
	entries, err := os.ReadDir(migrations)
	if err != nil {
		t.Fatal(err)
	}
	var versions []int // numbers may be left out
	for _, e := range entries {
		number, _, _ := strings.Cut(e.Name(), "_")
		version, err := strconv.Atoi(number)
		if err != nil {
			t.Fatal(err)
		}
		versions = append(versions, version)
	}
	newest := slices.Max(versions)
	env := []string{"HOME=" + t.TempDir(), "PATH=" + os.Getenv("PATH")}
	database := func(t *testing.T, version int) (dir string, db *sql.DB) {
		t.Helper()
		dir = filepath.Join(t.TempDir(), "data")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "master.key"), []byte(strings.Repeat("k", 32)), 0o600); err != nil {
			t.Fatal(err)
		}
		db, err := sql.Open("sqlite", filepath.Join(dir, "kontor.db"))
		if err != nil {
			t.Fatal(err)
		}
		p, err := goose.NewProvider(goose.DialectSQLite3, db, os.DirFS(migrations), goose.WithDisableGlobalRegistry(true))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.UpTo(t.Context(), int64(version)); err != nil {
			t.Fatal(err)
		}
		return dir, db
	}
	at := func(t *testing.T, db *sql.DB) (version int) {
		t.Helper()
		if err := db.QueryRowContext(t.Context(), "SELECT MAX(version_id) FROM goose_db_version").Scan(&version); err != nil {
			t.Fatal(err)
		}
		return version
	}
	for _, version := range versions {
		dir, db := database(t, version)
		s, err := startServer(t.TempDir(), env, "up", "--data", dir, "--listen", "localhost:0")
		if err != nil {
			t.Fatalf("version %d: %v", version, err)
		}
		if err := s.stop(syscall.SIGTERM); err != nil {
			t.Error(err)
		}
		if got := at(t, db); got != newest {
			t.Errorf("version %d became %d, want %d", version, got, newest)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}

	dir, db := database(t, newest)
	if _, err := db.ExecContext(t.Context(), "INSERT INTO goose_db_version (version_id, is_applied) VALUES (999, 1)"); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	cmd, err := command(env, "up", "--data", dir, "--listen", "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.CombinedOutput()
	said := string(out)
	if err == nil || strings.Count(said, "\n") != 1 || !strings.HasPrefix(said, "kontor: data folder "+dir+": ") ||
		!strings.Contains(said, "the database has schema version 999, which needs a program that knows version ") || !strings.HasSuffix(said, ": run the newer version of kontor that migrated it\n") {
		t.Errorf("%v:\n%s", err, said)
	}
}

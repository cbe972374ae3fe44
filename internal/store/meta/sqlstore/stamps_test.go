package sqlstore_test

import (
	"database/sql"
	"errors"
	"path/filepath"
	"testing"

	"github.com/kontor-registry/kontor/internal/store/meta/sqlite"
	"github.com/kontor-registry/kontor/internal/store/meta/sqlstore"
)

// A change of a table that is not named counts as a change of everything, so that all
// that is remembered would be forgotten. Each table of the schema is named.
func TestTablesAreNamed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kontor.db")
	s, err := sqlite.Open(t.Context(), sqlite.Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := db.QueryContext(t.Context(), `SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name NOT LIKE 'goose_%'`)
	if err != nil {
		t.Fatal(err)
	}
	named := sqlstore.Tables()
	delete(named, "update_gate") // of PostgreSQL only
	delete(named, "stamps")
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			t.Fatal(err)
		}
		if !named[name] {
			t.Errorf("table %s is in no area", name)
		}
		delete(named, name)
	}
	if err := errors.Join(rows.Err(), rows.Close(), db.Close()); err != nil {
		t.Fatal(err)
	}
	for name := range named {
		t.Errorf("there is no table %s", name)
	}
}

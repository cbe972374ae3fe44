package sqlstore_test

import (
	"database/sql"
	"errors"
	"path/filepath"
	"strings"
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
	var names string
	err = db.QueryRowContext(t.Context(), `SELECT group_concat(name, ' ') FROM sqlite_master
		WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name NOT LIKE 'goose_%'`).Scan(&names)
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	named := sqlstore.Tables()
	delete(named, "update_gate") // of PostgreSQL only
	delete(named, "stamps")
	for name := range strings.FieldsSeq(names) {
		if !named[name] {
			t.Errorf("table %s is in no area", name)
		}
		delete(named, name)
	}
	for name := range named {
		t.Errorf("there is no table %s", name)
	}
}

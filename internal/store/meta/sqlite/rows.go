package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"path/filepath"
	"strings"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/kontor-registry/kontor/internal/store/meta/transfer"
)

// Rows opens the database at path to copy what is in it, next to the server that may
// use it. It must be there, with the schema of this program.
func Rows(path string) (*transfer.Database, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	// Foreign keys are checked with the statement that needs them: parents come first.
	db, err := pool(path, []string{"synchronous(FULL)", "temp_store(MEMORY)", "cache_size(-16384)"})
	if err != nil {
		return nil, fmt.Errorf("opening the metadata database %q: %w", path, err)
	}
	return &transfer.Database{DB: db, Dialect: rowsDialect()}, nil
}

// Snapshot writes what the database at path has at one moment to a new file, next to
// the server that may use it.
func Snapshot(ctx context.Context, path, to string) (err error) {
	from, err := Rows(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, from.Close()) }()
	if _, err := from.DB.ExecContext(ctx, "VACUUM INTO ?", to); err != nil {
		return fmt.Errorf("copying the metadata database %q: %w", path, err)
	}
	return nil
}

// fenced counts the fences.
const fenced = "SELECT COUNT(*) FROM sqlite_master WHERE type = 'trigger' AND name LIKE 'moved_%'"

func rowsDialect() transfer.Dialect {
	return transfer.Dialect{
		Name:       "SQLite",
		Describe:   describe,
		BeginRead:  "BEGIN DEFERRED",
		BeginWrite: "BEGIN IMMEDIATE",
		Insert:     insertRows,
		Counter: func(ctx context.Context, c *sql.Conn, t transfer.Table) (last int64, err error) {
			err = c.QueryRowContext(ctx, "SELECT COALESCE(MAX(seq), 0) FROM sqlite_sequence WHERE name = $1", t.Name).Scan(&last)
			return last, err
		},
		SetCounter: func(ctx context.Context, c *sql.Conn, t transfer.Table, last int64) error {
			if _, err := c.ExecContext(ctx, "DELETE FROM sqlite_sequence WHERE name = $1", t.Name); err != nil || last == 0 {
				return err
			}
			_, err := c.ExecContext(ctx, "INSERT INTO sqlite_sequence (name, seq) VALUES ($1, $2)", t.Name, last)
			return err
		},
		Fence: func(tables []transfer.Table, id string) []string {
			return append(fences(tables, liftText), fences(tables, func(name, event, table string) string { return fenceText(name, event, table, id) })...)
		},
		Lift:     func(tables []transfer.Table) []string { return fences(tables, liftText) },
		Fenced:   fenced,
		FencedAs: "SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE type = 'trigger' AND name LIKE 'moved_%' AND instr(sql, '/* ' || $1 || ' */') > 0)",
		Busy: func(err error) bool {
			var e *sqlite.Error
			return errors.As(err, &e) && e.Code()&0xff == sqlite3.SQLITE_BUSY
		},
	}
}

// fenceText has the id in a comment, which the schema keeps.
func fenceText(name, event, table, id string) string {
	return fmt.Sprintf("CREATE TRIGGER %s BEFORE %s ON %s BEGIN SELECT /* %s */ RAISE(ABORT, '%s'); END", name, event, table, id, transfer.Refusal)
}

func liftText(name, _, _ string) string { return "DROP TRIGGER IF EXISTS " + name }

func fences(tables []transfer.Table, text func(name, event, table string) string) (all []string) {
	for _, t := range tables {
		for _, event := range []string{"INSERT", "UPDATE", "DELETE"} {
			all = append(all, text("moved_"+t.Name+"_"+strings.ToLower(event), event, t.Name))
		}
	}
	return all
}

// list runs a query for texts.
func list(ctx context.Context, c *sql.Conn, text string, args ...any) (all []string, err error) {
	rows, err := c.QueryContext(ctx, text, args...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, rows.Err()
}

func describe(ctx context.Context, c *sql.Conn) (tables []transfer.Table, err error) {
	names, err := list(ctx, c, `SELECT name FROM sqlite_master
		WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name NOT LIKE 'goose_%'`)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		t := transfer.Table{Name: name}
		columns, err := list(ctx, c, "SELECT name || ' ' || type FROM pragma_table_info($1) ORDER BY name", name)
		if err != nil {
			return nil, err
		}
		for _, text := range columns {
			column, kind, _ := strings.Cut(text, " ")
			k, known := map[string]transfer.Kind{"INTEGER": transfer.Integer, "TEXT": transfer.Text, "BLOB": transfer.Bytes, "REAL": transfer.Real}[kind]
			if !known {
				return nil, fmt.Errorf("column %s of table %s has the unknown type %q", column, name, kind)
			}
			t.Columns = append(t.Columns, transfer.Column{Name: column, Kind: k})
		}
		if t.Key, err = list(ctx, c, "SELECT name FROM pragma_table_info($1) WHERE pk > 0 ORDER BY pk", name); err != nil {
			return nil, err
		}
		if t.Parents, err = list(ctx, c, `SELECT DISTINCT "table" FROM pragma_foreign_key_list($1)`, name); err != nil {
			return nil, err
		}
		drawn, err := list(ctx, c, "SELECT name FROM sqlite_master WHERE name = $1 AND sql LIKE '%AUTOINCREMENT%'", name)
		if err != nil {
			return nil, err
		}
		if len(drawn) > 0 {
			t.Counter = t.Key[0]
		}
		tables = append(tables, t)
	}
	return tables, nil
}

func insertRows(ctx context.Context, c *sql.Conn, t transfer.Table, rows iter.Seq2[[]any, error]) (err error) {
	var names, marks []string
	for i, column := range t.Columns {
		names, marks = append(names, column.Name), append(marks, fmt.Sprintf("$%d", i+1))
	}
	insert, err := c.PrepareContext(ctx, "INSERT INTO "+t.Name+" ("+strings.Join(names, ", ")+") VALUES ("+strings.Join(marks, ", ")+")")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, insert.Close()) }()
	for row, err := range rows {
		if err != nil {
			return err
		}
		if _, err := insert.ExecContext(ctx, row...); err != nil {
			return err
		}
	}
	return nil
}

// Package sqlite keeps the metadata in one SQLite file, for a registry on one
// machine. It guarantees what package meta promises: commits are synced to the
// disk (WAL, synchronous=FULL) before they are acknowledged.
//
// One Store has one connection that writes and a few that read, none of which
// waits for another. The file may be opened by other processes (a backup, the
// sqlite3 shell), but only one server should serve from it: who owns the
// folder locks the folder.
//
// Sources: https://sqlite.org/wal.html, https://sqlite.org/rescode.html,
// https://sqlite.org/uri.html.
package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/pressly/goose/v3"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/kontor-registry/kontor/internal/store/meta"
	"github.com/kontor-registry/kontor/internal/store/meta/sqlstore"
	"github.com/kontor-registry/kontor/internal/store/meta/transfer"
)

// Config says where the database is.
type Config struct {
	// Path of the database file, for example "/var/lib/kontor/meta.db". It is
	// made if it is not there, readable by its owner only; its folder must
	// exist. Files named Path-wal and Path-shm appear next to it. Required.
	Path string
	// Alone: nothing else writes to the file as long as it is open here, which the
	// owner's lock on its folder makes sure of. Then what was read is remembered until
	// this Store changes it, and what another process wrote all the same, such as the
	// sqlite3 shell, is seen after a start for certain.
	Alone bool
	// Reader: nothing is going to be written. A database that was moved, and refuses
	// writes, is opened only then. One with an older schema is refused, unless Migrate is
	// set: then it is migrated all the same.
	Reader, Migrate bool
}

// Open opens the database, and creates or migrates its schema. A database of
// a newer program is refused.
func Open(ctx context.Context, cfg Config) (*sqlstore.Store, error) { return open(ctx, cfg) }

// open is Open with more pragmas for the writer.
func open(ctx context.Context, cfg Config, pragmas ...string) (*sqlstore.Store, error) {
	s, err := openFile(ctx, cfg, pragmas)
	if err != nil {
		return nil, fmt.Errorf("opening the metadata database %q: %w", cfg.Path, err)
	}
	return s, nil
}

func openFile(ctx context.Context, cfg Config, pragmas []string) (*sqlstore.Store, error) {
	path := cfg.Path
	if path == "" {
		return nil, errors.New("no path given")
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if err := create(ctx, path); err != nil {
		return nil, err
	}
	// SQLite would make it readable for all; -wal and -shm follow its mode.
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := f.Close(); err != nil {
		return nil, err
	}
	log, err := logPages(path)
	if err != nil {
		return nil, err
	}
	write, err := pool(path, append(append(writerPragmas(), fmt.Sprintf("wal_autocheckpoint(%d)", log)), pragmas...))
	if err != nil {
		return nil, err
	}
	write.SetMaxOpenConns(1)
	read, err := pool(path, []string{"query_only(1)"})
	if err != nil {
		return nil, errors.Join(err, write.Close())
	}
	return sqlstore.New(ctx, sqlstore.Config{
		Write: write, Read: read, Dialect: dialect(), Alone: cfg.Alone, Reader: cfg.Reader, Migrate: cfg.Migrate, Writers: 1, Readers: max(8, 2*runtime.GOMAXPROCS(0)),
	})
}

// writerPragmas make commits durable, and cut the log back after a large one.
func writerPragmas() []string {
	return []string{"journal_mode(WAL)", "synchronous(FULL)", "journal_size_limit(67108864)", "temp_store(MEMORY)", "cache_size(-16384)"}
}

const (
	// pageSize is that of files that are made whole. A commit writes each page that it changes whole, and
	// of most pages of an index a push changes one row: docs/design/0048.
	pageSize = 1024
	// logBytes is how long the log becomes before its pages go into the file. What a
	// server that was killed reads first is no longer.
	logBytes = 62 << 20
)

// logPages is logBytes in pages of the file.
func logPages(path string) (n int, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	// https://sqlite.org/fileformat2.html#page_size
	var header [18]byte
	size := 4096 // SQLite's own, for a file that is empty
	switch n, err := io.ReadFull(f, header[:]); {
	case err == nil:
		if size = int(binary.BigEndian.Uint16(header[16:])); size <= 1 {
			size = 65536
		}
	case n == 0 && errors.Is(err, io.EOF):
	default:
		return 0, fmt.Errorf("reading its header: %w", err)
	}
	return logBytes / (size + 24), nil // with the frame's header
}

// pool returns connections to the file, which check foreign keys and wait up
// to ten seconds for another process.
func pool(path string, pragmas []string) (*sql.DB, error) {
	q := url.Values{"_txlock": {"immediate"}, "_dqs": {"0"}, "_busy_timeout": {"10000"}}
	q["_pragma"] = append([]string{"foreign_keys(1)"}, pragmas...)
	c, err := sqlite.NewConnector(fileURI(path) + "?" + q.Encode())
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(c), nil
}

// fileURI is SQLite's URI for an absolute path, in which '?', '#' and '%' are
// escaped.
func fileURI(path string) string {
	path = filepath.ToSlash(path)
	if !strings.HasPrefix(path, "/") { // C:/... on Windows
		path = "/" + path
	}
	return "file://" + (&url.URL{Path: path}).EscapedPath()
}

// schemaNeeds is sqlstore.Dialect.Needs.
const schemaNeeds = 20

// Schema says which schema the database at path has. It changes nothing.
func Schema(ctx context.Context, path string) (s sqlstore.Schema, err error) {
	if _, err := os.Stat(path); err != nil {
		return s, err
	}
	db, err := Rows(path)
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	d := dialect()
	return sqlstore.SchemaOf(ctx, db.DB, &d)
}

//go:embed migrations/*.sql
var migrations embed.FS

func dialect() sqlstore.Dialect {
	dir, err := fs.Sub(migrations, "migrations")
	if err != nil {
		panic(err) // the path is valid
	}
	begin := []string{"BEGIN IMMEDIATE", "SAVEPOINT fn"} // one at a time, always
	return sqlstore.Dialect{
		Goose:         goose.DialectSQLite3,
		Migrations:    dir,
		Needs:         schemaNeeds,
		HasTable:      "SELECT COUNT(*) FROM sqlite_master WHERE type = 'table' AND name = $1",
		Fenced:        fenced,
		BeginRead:     []string{"BEGIN DEFERRED"},
		BeginWrite:    begin,
		BeginAlone:    begin,
		NextSavepoint: []string{"RELEASE SAVEPOINT fn", "SAVEPOINT fn"},
		Commit:        "COMMIT",
		OneWriter:     true,
		Look:          "SELECT 1 FROM token_keys LIMIT 1",
		Now:           "CAST(unixepoch('subsec') * 1000000 AS INTEGER)",
		NoBytes:       "x''",
		HideLinks: func(unheld string) string {
			return "UPDATE blob_links SET idle_since = $3, hidden = TRUE WHERE " + unheld
		},
		In: func(column string, n int) string {
			return fmt.Sprintf("%s IN (SELECT value FROM json_each($%d))", column, n)
		},
		Strings: func(list []string) any {
			b, err := json.Marshal(list)
			if err != nil {
				panic(err) // strings always encode
			}
			return string(b)
		},
		Rows: func(alias string, n int) string { return fmt.Sprintf("json_each($%d) AS %s", n, alias) },
		CountRows: `(SELECT value ->> 0 AS day, value ->> 1 AS repository_id, value ->> 2 AS digest, value ->> 3 AS unique_id,
			value ->> 4 AS arn, value ->> 5 AS pulls, value ->> 6 AS at FROM json_each($1)) AS p`,
		PullRows: `(SELECT value ->> 0 AS repository_id, value ->> 1 AS digest, value ->> 2 AS at FROM json_each($1)) AS p`,
		Prepare:  true,
		Classify: classify,
	}
}

// classify explains SQLite's result codes. A constraint stops a statement
// only; after anything else SQLite may have rolled back on its own.
func classify(err error) sqlstore.Fault {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return sqlstore.Fault{Scope: sqlstore.ScopeTransaction}
	}
	// The code of the fence is also that of RESTRICT; the text is the fence's own.
	if e.Code() == sqlite3.SQLITE_CONSTRAINT_TRIGGER && strings.Contains(e.Error(), transfer.Refusal) {
		return sqlstore.Fault{Scope: sqlstore.ScopeStatement, Is: meta.ErrUnavailable}
	}
	switch e.Code() {
	case sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY, sqlite3.SQLITE_CONSTRAINT_ROWID:
		return sqlstore.Fault{Scope: sqlstore.ScopeStatement, Is: meta.ErrExists}
	case sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY, sqlite3.SQLITE_CONSTRAINT_TRIGGER: // RESTRICT raises the latter
		return sqlstore.Fault{Scope: sqlstore.ScopeStatement, Is: meta.ErrReferenced}
	}
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_TOOBIG:
		return sqlstore.Fault{Scope: sqlstore.ScopeStatement}
	case sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL,
		sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_PERM:
		return sqlstore.Fault{Scope: sqlstore.ScopeTransaction, Is: meta.ErrUnavailable}
	}
	return sqlstore.Fault{Scope: sqlstore.ScopeTransaction}
}

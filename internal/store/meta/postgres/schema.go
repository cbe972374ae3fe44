package postgres

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/kontor-registry/kontor/internal/store/meta/sqlstore"
)

// schemaNeeds is sqlstore.Dialect.Needs. Programs that know only earlier versions hide
// links by UPDATE, which a push that runs READ COMMITTED does not notice (0047).
const schemaNeeds = 32

// Schema says which schema the database at an address has. It changes nothing.
func Schema(ctx context.Context, address string) (s sqlstore.Schema, err error) {
	db, err := Rows(ctx, address)
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	d := dialect()
	return sqlstore.SchemaOf(ctx, db.DB, &d)
}

// impatient are migrations that wait for locks for a short time: whoever comes after
// them waits for them.
type impatient struct{ fs.FS }

const (
	upMark   = "-- +goose Up\n"
	lockWait = "SET LOCAL lock_timeout = '2s';\n"
	// withoutTransaction marks migrations such as CREATE INDEX CONCURRENTLY, which lock
	// nobody out.
	withoutTransaction = "-- +goose NO TRANSACTION"
)

// Open implements fs.FS.
func (m impatient) Open(name string) (fs.File, error) {
	f, err := m.FS.Open(name)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil || info.IsDir() {
		return f, err
	}
	text, err := io.ReadAll(f)
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	if !bytes.Contains(text, []byte(withoutTransaction)) {
		text = bytes.Replace(text, []byte(upMark), []byte(upMark+lockWait), 1)
	}
	return &textFile{bytes.NewReader(text), info}, nil
}

// textFile is a file in memory.
type textFile struct {
	*bytes.Reader
	info fs.FileInfo
}

func (f *textFile) Stat() (fs.FileInfo, error) { return f.info, nil }
func (f *textFile) Close() error               { return nil }

// lockTimeout reports lock_not_available and deadlock_detected.
func lockTimeout(err error) bool {
	var e *pgconn.PgError
	return errors.As(err, &e) && (e.Code == "55P03" || e.Code == "40P01")
}

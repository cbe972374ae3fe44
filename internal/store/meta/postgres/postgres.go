// Package postgres keeps the metadata in PostgreSQL, for registries of one or
// many replicas. It guarantees what package meta promises, also between
// replicas: transactions are SERIALIZABLE and run again when they collide.
//
// PostgreSQL 13 or newer. The user must be able to create tables in the first
// schema of its search_path.
//
// Sources: https://www.postgresql.org/docs/current/transaction-iso.html and
// errcodes-appendix.html.
package postgres

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"

	"github.com/kontor-registry/kontor/internal/store/meta"
	"github.com/kontor-registry/kontor/internal/store/meta/sqlstore"
)

// Config says how to reach the database.
type Config struct {
	// URL or key=value string of libpq's form, for example
	// "postgres://kontor@db.example/kontor?sslmode=verify-full". Required.
	URL string
	// Writers is how many transactions this process writes at once; each
	// carries as many updates as are waiting. Default 2.
	Writers int
	// Readers is how many reads run at once. Default 16.
	Readers int
}

// Open connects to the database, and creates or migrates its schema; replicas
// that start together wait for one of them to do it. A database of a newer
// program is refused.
func Open(ctx context.Context, cfg Config) (*sqlstore.Store, error) {
	pc, err := pgx.ParseConfig(cfg.URL) // its errors do not show the password
	if err != nil {
		return nil, fmt.Errorf("reading the address of the metadata database: %w", err)
	}
	if _, ok := pc.RuntimeParams["application_name"]; !ok {
		pc.RuntimeParams["application_name"] = "kontor"
	}
	// A sequential scan of a small table would put the whole of it at stake:
	// whoever writes another row of it collides. Index scans read, and so
	// guard, only what they need.
	pc.RuntimeParams["enable_seqscan"] = "off"
	if cfg.Writers <= 0 {
		cfg.Writers = 2
	}
	if cfg.Readers <= 0 {
		cfg.Readers = 16
	}
	db := stdlib.OpenDB(*pc, stdlib.OptionAfterConnect(durable))
	s, err := sqlstore.New(ctx, sqlstore.Config{
		Write: db, Read: db, Dialect: dialect(), Writers: cfg.Writers, Readers: cfg.Readers,
	})
	if err != nil {
		return nil, fmt.Errorf("opening the metadata database %s on %s: %w", pc.Database, pc.Host, err)
	}
	return s, nil
}

// durable makes commits wait for the disk where the server's settings say
// that they need not.
func durable(ctx context.Context, conn *pgx.Conn) error {
	_, err := conn.Exec(ctx, `SELECT set_config('synchronous_commit', 'on', false)
		WHERE current_setting('synchronous_commit') = 'off'`)
	return err
}

//go:embed migrations/*.sql
var migrations embed.FS

func dialect() sqlstore.Dialect {
	dir, err := fs.Sub(migrations, "migrations")
	if err != nil {
		panic(err) // the path is valid
	}
	return sqlstore.Dialect{
		Goose:      goose.DialectPostgres,
		Migrations: dir,
		LockSchema: lockSchema,
		BeginRead:  []string{"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"},
		// Without parameters pgx sends a text as it is, so that several
		// statements are one round trip. LOCK TABLE comes before the snapshot
		// is taken: who had to wait sees what it waited for.
		BeginWrite:    []string{beginSerializable + "LOCK TABLE update_gate IN ROW SHARE MODE; SAVEPOINT fn"},
		BeginAlone:    []string{beginSerializable + "LOCK TABLE update_gate IN EXCLUSIVE MODE; SAVEPOINT fn"},
		NextSavepoint: []string{"RELEASE SAVEPOINT fn; SAVEPOINT fn"},
		Now:           "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)",
		In:            func(column string, n int) string { return fmt.Sprintf("%s = ANY($%d)", column, n) },
		Strings:       func(list []string) any { return list },
		Rows: func(alias string, n int) string {
			return fmt.Sprintf("unnest(CAST($%d AS TEXT[])) AS %s (value)", n, alias)
		},
		PullRows: `(SELECT CAST(v ->> 0 AS BIGINT) AS repository_id, v ->> 1 AS digest, CAST(v ->> 2 AS BIGINT) AS at
			FROM json_array_elements(CAST(CAST($1 AS TEXT) AS JSON)) AS e (v)) AS p`,
		TransactionTimeout: 30 * time.Second,
		Classify:           classify,
		Closed: func(c any) bool {
			conn, ok := c.(*stdlib.Conn)
			return ok && conn.Conn().IsClosed()
		},
	}
}

const beginSerializable = "BEGIN ISOLATION LEVEL SERIALIZABLE READ WRITE; "

// schemaLock is the number of the advisory lock: "kontor" as bytes.
const schemaLock = 0x6b6f6e746f72

// lockSchema takes a lock of the session, which ends with it at the latest.
func lockSchema(ctx context.Context, db *sql.DB) (func() error, error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := conn.ExecContext(ctx, `SELECT pg_advisory_lock($1)`, int64(schemaLock)); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return func() error {
		_, err := conn.ExecContext(context.WithoutCancel(ctx), `SELECT pg_advisory_unlock($1)`, int64(schemaLock))
		return errors.Join(err, conn.Close())
	}, nil
}

// classify explains PostgreSQL's error codes, and errors of the connection.
// Each error spoils the transaction up to a savepoint.
func classify(err error) sqlstore.Fault {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		return classifyCode(e.Code)
	}
	var refused *pgconn.ConnectError
	var network net.Error
	switch {
	case errors.As(err, &refused), errors.As(err, &network), pgconn.SafeToRetry(err), pgconn.Timeout(err),
		errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed),
		errors.Is(err, pgconn.ErrConnClosed), errors.Is(err, driver.ErrBadConn), errors.Is(err, sql.ErrConnDone):
		return sqlstore.Fault{Scope: sqlstore.ScopeConnection, Is: unavailableUnlessCancelled(err)}
	}
	return sqlstore.Fault{Scope: sqlstore.ScopeSavepoint}
}

// unavailableUnlessCancelled: a query that its caller gave up costs the
// connection too, but says nothing about the server.
func unavailableUnlessCancelled(err error) error {
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return meta.ErrUnavailable
}

func classifyCode(code string) sqlstore.Fault {
	switch code {
	case "40001", "40P01": // serialization_failure, deadlock_detected
		return sqlstore.Fault{Scope: sqlstore.ScopeRetry}
	case "23505": // unique_violation
		// No statement violates a constraint that it can see. Another
		// transaction was faster, and the next run sees its rows.
		return sqlstore.Fault{Scope: sqlstore.ScopeRetry, Is: meta.ErrExists}
	case "23503", "23001": // foreign_key_violation, restrict_violation
		return sqlstore.Fault{Scope: sqlstore.ScopeRetry, Is: meta.ErrReferenced}
	case "25006", "25P03", "25P04", "58030": // read_only_sql_transaction (a standby), time-outs of the server, io_error
		return sqlstore.Fault{Scope: sqlstore.ScopeTransaction, Is: meta.ErrUnavailable}
	case "57014": // query_canceled: statement_timeout
		return sqlstore.Fault{Scope: sqlstore.ScopeTransaction, Is: meta.ErrUnavailable}
	case "57P01", "57P02", "57P03", "57P05": // the server shuts down, crashed, starts, or ends idle sessions
		return sqlstore.Fault{Scope: sqlstore.ScopeConnection, Is: meta.ErrUnavailable}
	}
	switch {
	case strings.HasPrefix(code, "08"): // connection exceptions
		return sqlstore.Fault{Scope: sqlstore.ScopeConnection, Is: meta.ErrUnavailable}
	case strings.HasPrefix(code, "53"): // disk full, out of memory, too many connections
		return sqlstore.Fault{Scope: sqlstore.ScopeTransaction, Is: meta.ErrUnavailable}
	}
	return sqlstore.Fault{Scope: sqlstore.ScopeSavepoint}
}

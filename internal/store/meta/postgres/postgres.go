// Package postgres keeps the metadata in PostgreSQL, for registries of one or
// many replicas. It guarantees what package meta promises, also between
// replicas: transactions are SERIALIZABLE and run again when they collide, but for hot
// ones (meta.Hot), which are READ COMMITTED and lock what they rest on.
//
// It works through a pooler such as pgbouncer with one backend per transaction: no
// state of a session is used, and statements are not prepared there. It follows a
// failover: connections to a server that does not take writes are dropped.
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
	"github.com/jackc/pgx/v5/pgtype"
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
	// Reader: nothing is going to be written. A database that was moved, and refuses
	// writes, is opened only then.
	Reader bool
}

// Open connects to the database, and creates or migrates its schema; replicas
// that start together wait for one of them to do it. A database of a newer
// program is refused.
func Open(ctx context.Context, cfg Config) (*sqlstore.Store, error) {
	return openWith(ctx, cfg, dialect())
}

func openWith(ctx context.Context, cfg Config, d sqlstore.Dialect) (*sqlstore.Store, error) {
	pc, err := parse(cfg.URL)
	if err != nil {
		return nil, err
	}
	if cfg.Writers <= 0 {
		cfg.Writers = 2
	}
	if cfg.Readers <= 0 {
		cfg.Readers = 16
	}
	if err := adapt(ctx, pc); err != nil {
		return nil, fmt.Errorf("opening the metadata database %s on %s: %w", pc.Database, pc.Host, err)
	}
	db := stdlib.OpenDB(*pc)
	s, err := sqlstore.New(ctx, sqlstore.Config{
		Write: db, Read: db, Dialect: d, Reader: cfg.Reader, Writers: cfg.Writers, Readers: cfg.Readers,
	})
	if err != nil {
		return nil, fmt.Errorf("opening the metadata database %s on %s: %w", pc.Database, pc.Host, err)
	}
	return s, nil
}

// parse reads the address of a database that takes writes.
func parse(address string) (*pgx.ConnConfig, error) {
	pc, err := pgx.ParseConfig(address) // its errors do not show the password
	if err != nil {
		return nil, fmt.Errorf("reading the address of the metadata database: %w", err)
	}
	if pc.ValidateConnect == nil { // target_session_attrs is not given
		pc.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
	}
	if _, ok := pc.RuntimeParams["application_name"]; !ok {
		pc.RuntimeParams["application_name"] = "kontor"
	}
	return pc, nil
}

// adapt chooses how statements are sent. A pooler hands each transaction to another
// backend, where what was prepared for an earlier one is not there, or is in the way.
// It is told by the id of its process, which is not that of the backend.
func adapt(ctx context.Context, pc *pgx.ConnConfig) error {
	if pc.DefaultQueryExecMode != pgx.QueryExecModeCacheStatement { // default_query_exec_mode is given
		return nil
	}
	conn, err := pgx.ConnectConfig(ctx, pc)
	if err != nil {
		return unavailable(err)
	}
	var backend uint32
	err = conn.QueryRow(ctx, "SELECT pg_backend_pid()", pgx.QueryExecModeSimpleProtocol).Scan(&backend)
	if err != nil {
		err = unavailable(err)
	} else if backend != conn.PgConn().PID() {
		pc.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe
	}
	return errors.Join(err, conn.Close(ctx))
}

// unavailable adds the error of package meta that err amounts to.
func unavailable(err error) error {
	if f := classify(err); f.Is != nil {
		return fmt.Errorf("%w: %w", f.Is, err)
	}
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
		Goose:         goose.DialectPostgres,
		Migrations:    impatient{dir},
		Needs:         schemaNeeds,
		HasTable:      "SELECT COUNT(*) FROM pg_class WHERE relname = $1 AND relkind IN ('r', 'p') AND relnamespace = current_schema()::regnamespace",
		LockTimeout:   lockTimeout,
		LockSchema:    lockSchema,
		Fenced:        fenced,
		BeginRead:     []string{beginRead},
		BeginStamped:  beginStamped,
		IdentityStamp: "SELECT uuid_send(stamp) FROM stamps WHERE area = 'identities'",
		// Without parameters pgx sends a text as it is, so that several
		// statements are one round trip. LOCK TABLE comes before the snapshot
		// is taken: who had to wait sees what it waited for.
		BeginWrite:    []string{beginSerializable + "LOCK TABLE update_gate IN ROW SHARE MODE; SAVEPOINT fn"},
		BeginAlone:    []string{beginSerializable + "LOCK TABLE update_gate IN EXCLUSIVE MODE; SAVEPOINT fn"},
		BeginHot:      []string{beginHot + "LOCK TABLE update_gate IN ROW SHARE MODE; SAVEPOINT fn"},
		BeginHotAlone: []string{beginHot + "LOCK TABLE update_gate IN EXCLUSIVE MODE; SAVEPOINT fn"},
		NextSavepoint: []string{"RELEASE SAVEPOINT fn; SAVEPOINT fn"},
		Commit:        durable + "COMMIT",
		Now:           "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)",
		NoBytes:       "''::bytea",
		SkipLocked:    "FOR UPDATE SKIP LOCKED",
		KeyShare:      "FOR KEY SHARE",
		ForUpdate:     "FOR UPDATE",
		// Deleting the row has PostgreSQL look for images that refer to it now, which a
		// snapshot does not see: the foreign key of manifest_blobs.
		HideLinks: func(unheld string) string {
			return `WITH gone AS (DELETE FROM blob_links WHERE ` + unheld + ` RETURNING repository_id, digest, linked_at)
				INSERT INTO blob_links (repository_id, digest, linked_at, idle_since, hidden) SELECT repository_id, digest, linked_at, $3, TRUE FROM gone`
		},
		In:      func(column string, n int) string { return fmt.Sprintf("%s = ANY($%d)", column, n) },
		Strings: func(list []string) any { return list },
		Rows: func(alias string, n int) string {
			return fmt.Sprintf("unnest(CAST($%d AS TEXT[])) AS %s (value)", n, alias)
		},
		CountRows: `(SELECT CAST(v ->> 0 AS BIGINT) AS day, CAST(v ->> 1 AS BIGINT) AS repository_id, v ->> 2 AS digest, v ->> 3 AS unique_id,
			v ->> 4 AS arn, CAST(v ->> 5 AS BIGINT) AS pulls, CAST(v ->> 6 AS BIGINT) AS at
			FROM json_array_elements(CAST(CAST($1 AS TEXT) AS JSON)) AS e (v)) AS p`,
		PullRows: `(SELECT CAST(v ->> 0 AS BIGINT) AS repository_id, v ->> 1 AS digest, CAST(v ->> 2 AS BIGINT) AS at
			FROM json_array_elements(CAST(CAST($1 AS TEXT) AS JSON)) AS e (v)) AS p`,
		TransactionTimeout: 30 * time.Second,
		SessionTime:        30 * time.Minute,
		IdleTime:           5 * time.Minute,
		Classify:           classify,
		Closed: func(c any) bool {
			conn, ok := c.(*stdlib.Conn)
			return ok && conn.Conn().IsClosed()
		},
	}
}

const (
	beginRead         = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL enable_seqscan = off"
	beginSerializable = "BEGIN ISOLATION LEVEL SERIALIZABLE READ WRITE; " + noScans + endIdle
	beginHot          = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; " + noScans + endIdle
	// endIdle: a process that was stopped within a transaction must not keep its locks
	// from all others. Longer than TransactionTimeout.
	endIdle = "SET LOCAL idle_in_transaction_session_timeout = '35s'; "
	// noScans: a sequential scan of a small table would put the whole of it at stake:
	// whoever writes another row of it collides. Index scans read, and so guard, only
	// what they need.
	noScans = "SET LOCAL enable_seqscan = off; "
	// durable makes a commit wait for the disk where the settings of the server say
	// that it need not. It is sent with the commit: a query before would take the
	// snapshot of the transaction too early.
	durable = "SELECT set_config('synchronous_commit', 'on', true) WHERE current_setting('synchronous_commit') = 'off'; "
)

// beginStamped opens a transaction, in one round trip with the stamps that triggers draw,
// see migration 13. Reading them is what takes the snapshot of the transaction.
func beginStamped(ctx context.Context, driverConn any, begin []string) (identities, settings [16]byte, err error) {
	conn, ok := driverConn.(*stdlib.Conn)
	if !ok {
		return identities, settings, fmt.Errorf("a connection of another driver: %T", driverConn)
	}
	all, err := conn.Conn().PgConn().Exec(ctx, strings.Join(begin, "; ")+"; SELECT area, stamp FROM stamps").ReadAll()
	if err != nil {
		return identities, settings, err
	}
	for _, row := range all[len(all)-1].Rows {
		var stamp pgtype.UUID
		if err := stamp.Scan(string(row[1])); err != nil {
			return identities, settings, fmt.Errorf("reading the stamp of %s: %w", row[0], err)
		}
		switch string(row[0]) {
		case "identities":
			identities = stamp.Bytes
		case "settings":
			settings = stamp.Bytes
		}
	}
	return identities, settings, nil
}

// schemaLock is the number of the advisory lock: "kontor" as bytes.
const schemaLock = 0x6b6f6e746f72

// lockRetry is how long a process waits before it tries again to lock the schema.
const lockRetry = 100 * time.Millisecond

// lockSchema takes a lock that ends with its transaction, which stays open next to
// those of the migrations. A lock of the session would stay with the backend of a
// pooler. Who has to wait has no transaction open meanwhile: a pooler may have fewer
// backends than there are processes.
func lockSchema(ctx context.Context, db *sql.DB) (func() error, error) {
	for {
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return nil, err
		}
		locked := false
		err = tx.QueryRowContext(ctx, "SELECT pg_try_advisory_xact_lock($1)", int64(schemaLock)).Scan(&locked)
		if locked && err == nil {
			// This message ends the snapshot of the query, too: CREATE INDEX CONCURRENTLY
			// would wait for it for ever.
			_, err = tx.ExecContext(ctx, "SET LOCAL idle_in_transaction_session_timeout = 0; "+
				// Only the end of its machine ends it then: that is noticed within a minute.
				"SET LOCAL tcp_keepalives_idle = 30; SET LOCAL tcp_keepalives_interval = 10; SET LOCAL tcp_keepalives_count = 3")
		}
		if locked && err == nil {
			return tx.Rollback, nil
		}
		if err := errors.Join(err, tx.Rollback()); err != nil {
			return nil, err
		}
		wait := time.NewTimer(lockRetry)
		select {
		case <-wait.C:
		case <-ctx.Done():
			wait.Stop()
			return nil, ctx.Err()
		}
	}
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
	case "25006", "0A000": // read_only_sql_transaction, feature_not_supported (to write): the server is a standby now
		// The latter is also what a prepared statement fails with after a migration.
		return sqlstore.Fault{Scope: sqlstore.ScopeConnection, Is: meta.ErrUnavailable}
	case "25P03", "25P04", "58030": // time-outs of the server, io_error
		return sqlstore.Fault{Scope: sqlstore.ScopeTransaction, Is: meta.ErrUnavailable}
	case movedCode: // the database is fenced
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

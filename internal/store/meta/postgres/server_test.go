package postgres

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/pressly/goose/v3"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/pgtest"
	"github.com/kontor-registry/kontor/internal/store/meta"
	"github.com/kontor-registry/kontor/internal/store/meta/metatest"
	"github.com/kontor-registry/kontor/internal/store/meta/sqlstore"
)

var registry = ecr.RegistryID{Account: "000000000000", Region: "us-east-1"}

func insert(s meta.Store, name ecr.RepositoryName) error {
	return s.Update(context.Background(), func(ctx context.Context, tx meta.Tx) error {
		_, err := tx.InsertRepository(ctx, meta.Repository{Registry: registry, Name: name})
		return err
	})
}

func has(s meta.Store, name ecr.RepositoryName) error {
	return s.View(context.Background(), func(ctx context.Context, r meta.Reader) error {
		_, err := r.Repository(ctx, registry, name)
		return err
	})
}

func closeStore(t *testing.T, s meta.Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// ask executes a statement over its own connection.
func ask[T any](t *testing.T, url, text string) (v T) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(conn.QueryRow(t.Context(), text).Scan(&v), conn.Close(t.Context())); err != nil {
		t.Fatal(err)
	}
	return v
}

const terminate = `SELECT COUNT(pg_terminate_backend(pid)) FROM pg_stat_activity
	WHERE datname = current_database() AND pid <> pg_backend_pid()`

// Idle connections that are lost (a restart, a firewall) are made again, and no
// caller notices.
func TestIdleConnectionsLost(t *testing.T) {
	url := pgtest.Start(t)
	s := mustOpen(t, url)
	defer closeStore(t, s)
	for i := range 3 {
		name := ecr.RepositoryName(fmt.Sprint("app", i))
		if err := insert(s, name); err != nil {
			t.Fatal(err)
		}
		if n := ask[int](t, url, terminate); n == 0 {
			t.Fatal("there was no connection to lose")
		}
		if err := has(s, name); err != nil {
			t.Errorf("View: %v", err)
		}
	}
}

// A connection lost in the middle of a transaction: it is run again, once for
// good.
func TestConnectionLostInUpdate(t *testing.T) {
	url := pgtest.Start(t)
	s := mustOpen(t, url)
	defer closeStore(t, s)
	runs := 0
	err := s.Update(t.Context(), func(ctx context.Context, tx meta.Tx) error {
		runs++
		if runs == 1 {
			ask[int](t, url, terminate)
		}
		_, err := tx.InsertRepository(ctx, meta.Repository{Registry: registry, Name: "app"})
		return err
	})
	if err != nil || runs != 2 {
		t.Errorf("%v after %d runs", err, runs)
	}

	// Lost when it comes to the commit: whether it was run cannot be
	// known, so it is not run again.
	runs = 0
	err = s.Update(t.Context(), func(ctx context.Context, tx meta.Tx) error {
		runs++
		_, err := tx.InsertRepository(ctx, meta.Repository{Registry: registry, Name: "perhaps"})
		ask[int](t, url, terminate)
		return err
	})
	if !errors.Is(err, meta.ErrUnavailable) || runs != 1 {
		t.Errorf("%v after %d runs, want ErrUnavailable after one", err, runs)
	}
	if err := has(s, "app"); err != nil {
		t.Error(err)
	}

	// Over and over: unavailable, and no effect.
	runs = 0
	err = s.Update(t.Context(), func(ctx context.Context, tx meta.Tx) error {
		runs++
		ask[int](t, url, terminate)
		_, err := tx.InsertRepository(ctx, meta.Repository{Registry: registry, Name: "never"})
		return err
	})
	if !errors.Is(err, meta.ErrUnavailable) || runs > 5 {
		t.Errorf("%v after %d runs, want ErrUnavailable soon", err, runs)
	}
	if err := has(s, "never"); !errors.Is(err, meta.ErrNotFound) {
		t.Error(err)
	}
	err = s.View(t.Context(), func(ctx context.Context, r meta.Reader) error {
		ask[int](t, url, terminate)
		_, err := r.CountUploads(ctx, "")
		return err
	})
	if !errors.Is(err, meta.ErrUnavailable) {
		t.Errorf("View: %v, want ErrUnavailable", err)
	}
}

func TestNoServer(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	_, err := Open(ctx, Config{URL: "postgres://kontor:secret@127.0.0.1:1/kontor"})
	if !errors.Is(err, meta.ErrUnavailable) || strings.Contains(err.Error(), "secret") {
		t.Errorf("got %v, want ErrUnavailable", err)
	}
	for _, url := range []string{"postgres://kontor:secret@127.0.0.1:port/kontor", "://"} {
		if _, err := Open(ctx, Config{URL: url}); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", url, err)
		}
	}
}

// Replicas that start together on an empty database: one makes the schema.
func TestStartTogether(t *testing.T) {
	url := pgtest.Start(t)
	var all sync.WaitGroup
	for i := range 6 {
		all.Go(func() {
			s, err := Open(context.Background(), Config{URL: url})
			if err != nil {
				t.Error(err)
				return
			}
			defer closeStore(t, s)
			if err := insert(s, ecr.RepositoryName(fmt.Sprint("r", i))); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := ask[int](t, url, "SELECT COUNT(*) FROM repositories"); n != 6 {
		t.Errorf("%d repositories", n)
	}
}

func TestNewerSchema(t *testing.T) {
	url := pgtest.Start(t)
	closeStore(t, mustOpen(t, url))
	ask[int](t, url, "INSERT INTO goose_db_version (version_id, is_applied) VALUES (999, true) RETURNING 1")
	ask[int](t, url, `UPDATE job_states SET state = '{"needs":999}' WHERE name = 'schema' RETURNING 1`)
	s, err := Open(t.Context(), Config{URL: url})
	if err == nil {
		closeStore(t, s)
		t.Fatal("it was opened")
	}
	if !strings.Contains(err.Error(), "schema version 999") {
		t.Error(err)
	}
}

// A server set to acknowledge commits before they are on disk is not believed.
func TestSynchronousCommit(t *testing.T) {
	url := pgtest.Start(t)
	for setting, want := range map[string]string{"off": "on", "remote_apply": "remote_apply"} {
		c, err := pgx.ParseConfig(url)
		if err != nil {
			t.Fatal(err)
		}
		c.RuntimeParams["synchronous_commit"] = setting
		conn, err := pgx.ConnectConfig(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		// What a commit is sent with, but for the commit.
		_, err = conn.Exec(t.Context(), beginSerializable+strings.TrimSuffix(dialect().Commit, "COMMIT"))
		var got string
		err = errors.Join(err, conn.QueryRow(t.Context(), "SHOW synchronous_commit").Scan(&got), conn.Close(t.Context()))
		if err != nil || got != want {
			t.Errorf("%s became %s, %v; want %s", setting, got, err, want)
		}
	}
}

// A process that is stopped within a transaction keeps its locks from others for a
// bounded time, whatever the server is set to.
func TestIdleInTransaction(t *testing.T) {
	url := pgtest.Start(t)
	closeStore(t, mustOpen(t, url)) // for its tables
	for _, begin := range slices.Concat(dialect().BeginWrite, dialect().BeginAlone) {
		conn, err := pgx.Connect(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		_, err = conn.Exec(t.Context(), begin)
		var got string
		err = errors.Join(err, conn.QueryRow(t.Context(), "SHOW idle_in_transaction_session_timeout").Scan(&got), conn.Close(t.Context()))
		if err != nil || got != "35s" {
			t.Errorf("%s: a time-out of %s, %v", begin, got, err)
		}
	}
}

// The suite's byte order means something only if the database's own is another.
func TestCollation(t *testing.T) {
	url := pgtest.Start(t)
	if ask[int](t, url, "SELECT current_setting('server_version_num')::int") < 150000 {
		t.Log("a server before 15 has no other order to offer")
		return
	}
	if !ask[bool](t, url, "SELECT 'a' < 'B'") {
		t.Error("the database orders by bytes by itself")
	}
}

func TestClassify(t *testing.T) {
	code := func(c string) error { return fmt.Errorf("wrapped: %w", &pgconn.PgError{Code: c}) }
	for _, test := range []struct {
		name  string
		err   error
		scope sqlstore.Scope
		is    error
	}{
		{"serialization_failure", code("40001"), sqlstore.ScopeRetry, nil},
		{"deadlock_detected", code("40P01"), sqlstore.ScopeRetry, nil},
		{"unique_violation", code("23505"), sqlstore.ScopeRetry, meta.ErrExists},
		{"foreign_key_violation", code("23503"), sqlstore.ScopeRetry, meta.ErrReferenced},
		{"disk_full", code("53100"), sqlstore.ScopeTransaction, meta.ErrUnavailable},
		{"too_many_connections", code("53300"), sqlstore.ScopeTransaction, meta.ErrUnavailable},
		{"read_only_sql_transaction", code("25006"), sqlstore.ScopeConnection, meta.ErrUnavailable},
		{"feature_not_supported", code("0A000"), sqlstore.ScopeConnection, meta.ErrUnavailable},
		{"admin_shutdown", code("57P01"), sqlstore.ScopeConnection, meta.ErrUnavailable},
		{"connection_failure", code("08006"), sqlstore.ScopeConnection, meta.ErrUnavailable},
		{"syntax_error", code("42601"), sqlstore.ScopeSavepoint, nil},
		{"end of file", fmt.Errorf("reading: %w", io.ErrUnexpectedEOF), sqlstore.ScopeConnection, meta.ErrUnavailable},
		{"a connection that its user gave up", fmt.Errorf("%w: %w", context.Canceled, driver.ErrBadConn), sqlstore.ScopeConnection, nil},
		{"anything else", errors.New("conversion"), sqlstore.ScopeSavepoint, nil},
	} {
		got := classify(test.err)
		if got.Scope != test.scope || !errors.Is(got.Is, test.is) {
			t.Errorf("%s: got %+v, want scope %d, %v", test.name, got, test.scope, test.is)
		}
	}
}

// Entries of indexes and foreign layers that a database from before has as
// blobs are referred to when it is migrated.
func TestMigrateHoldsGivenBlobs(t *testing.T) {
	url := pgtest.Start(t)
	db, err := sql.Open("pgx", url)
	if err != nil {
		t.Fatal(err)
	}
	d := dialect()
	p, err := goose.NewProvider(d.Goose, db, d.Migrations, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.UpTo(t.Context(), 4); err != nil {
		t.Fatal(err)
	}
	for _, text := range metatest.GivenBlobsBefore(`'\x%x'`, "FALSE") {
		if _, err := db.ExecContext(t.Context(), text); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	s := mustOpen(t, url)
	defer closeStore(t, s)
	metatest.WantGivenBlobs(t, s)
}

// A transaction that an older process began before the stamps were there must not commit
// a change without drawing one: the migration waits for it, and where that cannot be, as
// for a person with psql, the change is refused.
func TestMigrateStampsChangesUnderWay(t *testing.T) {
	url := pgtest.Start(t)
	db, err := sql.Open("pgx", url)
	if err != nil {
		t.Fatal(err)
	}
	d := dialect()
	p, err := goose.NewProvider(d.Goose, db, d.Migrations, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.UpTo(t.Context(), 12); err != nil {
		t.Fatal(err)
	}
	begin := func(text string) *pgx.Conn {
		t.Helper()
		conn, err := pgx.Connect(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Exec(t.Context(), text+"; SELECT FROM users"); err != nil { // the snapshot is taken
			t.Fatal(err)
		}
		return conn
	}
	byHand, older := begin(beginSerializable), begin(strings.Join(d.BeginWrite, "; "))
	const change = "DELETE FROM users"
	migrated := make(chan error, 1)
	go func() {
		_, err := p.UpTo(context.Background(), 13)
		migrated <- err
	}()
	waits := func() bool {
		return ask[bool](t, url, "SELECT EXISTS (SELECT FROM pg_locks WHERE relation = 'update_gate'::regclass AND NOT granted)")
	}
	for until := time.Now().Add(time.Minute); !waits(); time.Sleep(time.Millisecond) {
		select {
		case err := <-migrated:
			t.Fatalf("the migration does not wait for the older transaction: %v", err)
		default:
		}
		if time.Now().After(until) {
			t.Fatal("the migration neither waits nor ends")
		}
	}
	if _, err := older.Exec(t.Context(), change+"; COMMIT"); err != nil {
		t.Errorf("the older transaction: %v", err)
	}
	if err := <-migrated; err != nil {
		t.Fatal(err)
	}
	_, err = byHand.Exec(t.Context(), change)
	var refused *pgconn.PgError
	if !errors.As(err, &refused) || refused.Code != "40001" {
		t.Errorf("a change that draws no stamp: %v, want 40001", err)
	}
	if err := errors.Join(older.Close(t.Context()), byHand.Close(t.Context()), db.Close()); err != nil {
		t.Error(err)
	}
}

// Package pgtest gives tests a real PostgreSQL server: the machine's own
// (Debian: package postgresql), started once per test binary in a temporary
// folder with fsync off, stopped when the tests are over. A machine without
// PostgreSQL fails the tests; nothing is skipped.
//
// A package that uses it has
//
//	func TestMain(m *testing.M) { pgtest.Main(m) }
package pgtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Main runs the tests of m, stops the server if one was started, and exits.
func Main(m *testing.M) { os.Exit(Run(m.Run)) }

// Run is Main for who has more to stop: it returns the exit code of run.
func Run(run func() int) int {
	code := run()
	if err := shared.stop(); err != nil {
		fmt.Fprintln(os.Stderr, "pgtest:", err)
		code = max(code, 1)
	}
	return code
}

// Start returns the URL of a new empty database, which is dropped when the
// test is over. Its default collation is not that of bytes ("a" < "B"), where
// the server can do that.
func Start(t testing.TB) string {
	t.Helper()
	start(t)
	return create(t, shared.empty())
}

// StartLike is Start, with a database in which is what prepare made of an empty
// one. It is called once per test binary, the others get copies, which is faster
// than to migrate a schema each time. It leaves no connection open.
func StartLike(t testing.TB, prepare func(url string) error) string {
	t.Helper()
	start(t)
	shared.prepare.Do(func() {
		if shared.err = shared.admin("CREATE DATABASE prepared " + shared.empty()); shared.err == nil {
			shared.err = prepare(shared.url("prepared"))
		}
	})
	if shared.err != nil {
		t.Fatalf("preparing a database: %v", shared.err)
	}
	like := "TEMPLATE prepared"
	if shared.icu { // as old as the strategies; this one is faster where nothing is synced
		like += " STRATEGY file_copy"
	}
	return create(t, like)
}

// start starts the server, once.
func start(t testing.TB) {
	t.Helper()
	shared.once.Do(func() { shared.err = shared.start() })
	if shared.err != nil {
		t.Fatalf("starting PostgreSQL: %v", shared.err)
	}
}

// create returns the URL of a new database, which is dropped when the test is
// over.
func create(t testing.TB, like string) string {
	t.Helper()
	name := fmt.Sprintf("test%d", shared.databases.Add(1))
	if err := shared.admin("CREATE DATABASE " + name + " " + like); err != nil {
		t.Fatalf("creating a database: %v", err)
	}
	t.Cleanup(func() {
		if err := shared.admin("DROP DATABASE " + name + " WITH (FORCE)"); err != nil {
			t.Errorf("dropping the database: %v", err)
		}
	})
	return shared.url(name)
}

var shared server

// server is the test binary's PostgreSQL.
type server struct {
	once      sync.Once
	prepare   sync.Once
	err       error
	dir       string // of the data and the socket
	postgres  *exec.Cmd
	exited    chan error
	log       bytes.Buffer // read only after exited
	icu       bool
	vacuums   bool // for databases that live for longer
	databases atomic.Int64
}

// url of a database, over the socket in s.dir.
func (s *server) url(database string) string {
	q := url.Values{"host": {s.dir}, "user": {"postgres"}}
	return "postgres:///" + database + "?" + q.Encode()
}

// empty is what CREATE DATABASE needs for an empty one.
func (s *server) empty() string {
	if s.icu {
		return "TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'en-US'"
	}
	return "TEMPLATE template0"
}

// admin executes a statement.
func (s *server) admin(statement string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.url("postgres"))
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, statement)
	return errors.Join(err, conn.Close(ctx))
}

// binaries returns the folder of initdb and postgres: the newest version of
// Debian's, else where PATH or pg_config says.
func binaries() (string, error) {
	dirs, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err != nil {
		return "", err
	}
	best, version := "", -1
	for _, dir := range dirs {
		v, err := strconv.Atoi(filepath.Base(filepath.Dir(dir)))
		if err == nil && v > version && usable(dir) {
			best, version = dir, v
		}
	}
	if best != "" {
		return best, nil
	}
	if p, err := exec.LookPath("initdb"); err == nil && usable(filepath.Dir(p)) {
		return filepath.Dir(p), nil
	}
	if out, err := exec.Command("pg_config", "--bindir").Output(); err == nil {
		if dir := string(bytes.TrimSpace(out)); usable(dir) {
			return dir, nil
		}
	}
	return "", errors.New("initdb and postgres are not on this machine: install postgresql (apt-get install postgresql)")
}

func usable(dir string) bool {
	for _, name := range []string{"initdb", "postgres"} {
		if _, err := exec.LookPath(filepath.Join(dir, name)); err != nil {
			return false
		}
	}
	return true
}

func (s *server) start() error {
	bin, err := binaries()
	if err != nil {
		return err
	}
	// A socket's path has to be short: the test's own folder may be too long.
	if s.dir, err = os.MkdirTemp("", "pgtest"); err != nil {
		return err
	}
	run, err := dropRoot(s.dir)
	if err != nil {
		return err
	}
	data := filepath.Join(s.dir, "data")
	initdb := exec.Command(filepath.Join(bin, "initdb"), "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8",
		"--locale=C", "--no-sync")
	initdb.Dir, initdb.SysProcAttr = s.dir, run
	if out, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	if err := s.run(bin, data, run); err != nil {
		return err
	}
	// PostgreSQL 15 is the first with ICU collations for a whole database, and
	// may be built without.
	s.icu = s.admin("CREATE DATABASE icu TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'en-US'") == nil
	return nil
}

// run starts postgres on the folder data, and waits until it answers.
func (s *server) run(bin, data string, run *syscall.SysProcAttr) error {
	s.postgres = exec.Command(filepath.Join(bin, "postgres"), "-D", data, "-k", s.dir, "-c", "listen_addresses=",
		"-c", "fsync=off", "-c", "full_page_writes=off", "-c", "max_connections=300", "-c", "shared_buffers=32MB",
		"-c", "autovacuum="+strconv.FormatBool(s.vacuums), "-c", "wal_retrieve_retry_interval=200ms", "-c", "log_min_messages=fatal", "-c", "log_min_error_statement=panic")
	s.postgres.Dir, s.postgres.SysProcAttr = s.dir, run
	s.postgres.Stdout, s.postgres.Stderr = &s.log, &s.log
	s.exited = make(chan error, 1)
	if err := startBound(s.postgres, s.exited); err != nil {
		return err
	}
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		err := s.admin("SELECT 1")
		if err == nil {
			break
		}
		select {
		case err := <-s.exited:
			s.postgres = nil
			return fmt.Errorf("postgres ended: %w\n%s", err, s.log.String())
		default:
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("postgres does not answer: %w", err)
		}
	}
	return nil
}

func (s *server) stop() error {
	if s.dir == "" {
		return nil
	}
	if s.postgres != nil {
		if err := s.postgres.Process.Signal(os.Interrupt); err != nil { // "fast shutdown"
			return err
		}
		select {
		case err := <-s.exited:
			if err != nil {
				return fmt.Errorf("postgres ended: %w\n%s", err, s.log.String())
			}
		case <-time.After(30 * time.Second):
			return errors.Join(errors.New("postgres did not stop, killed"), s.postgres.Process.Kill())
		}
	}
	return os.RemoveAll(s.dir)
}

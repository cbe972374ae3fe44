package pgtest

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Pair is a PostgreSQL server and a hot standby that follows it, for one test.
type Pair struct {
	t testing.TB

	mu               sync.Mutex
	primary, standby *server // guarded by mu; changed by one goroutine at a time
}

// StartPair starts a Pair with an empty database, and waits until the standby has it.
func StartPair(t testing.TB) *Pair {
	t.Helper()
	p := &Pair{t: t, primary: &server{vacuums: true}, standby: &server{vacuums: true}}
	t.Cleanup(func() {
		if err := errors.Join(p.primary.stop(), p.standby.stop()); err != nil {
			t.Error(err)
		}
	})
	if err := p.primary.start(); err != nil {
		t.Fatalf("starting PostgreSQL: %v", err)
	}
	if err := p.primary.admin("CREATE DATABASE pair TEMPLATE template0"); err != nil {
		t.Fatal(err)
	}
	if err := p.standby.follow(p.primary); err != nil {
		t.Fatalf("starting the standby: %v", err)
	}
	return p
}

// URL names both servers, the standby first where standbyFirst is set.
func (p *Pair) URL(standbyFirst bool) string {
	hosts := p.primary.dir + "," + p.standby.dir
	if standbyFirst {
		hosts = p.standby.dir + "," + p.primary.dir
	}
	q := url.Values{"host": {hosts}, "user": {"postgres"}}
	return "postgres:///pair?" + q.Encode()
}

// Standby is the URL of the standby.
func (p *Pair) Standby() string { return p.standby.url("pair") }

// FailOver kills the primary, whose commits wait for the standby, and promotes the
// standby.
func (p *Pair) FailOver() {
	p.t.Helper()
	err := p.primary.kill()
	if err == nil {
		err = p.standby.promote()
	}
	if err != nil {
		p.t.Fatal(err)
	}
}

// TakeOver is FailOver again and again: the standby becomes the primary, and a new
// standby follows it. Before that it waits until the standby has everything, also what
// a cancelled commit did not wait for.
func (p *Pair) TakeOver() error {
	err := p.primary.admin(`DO $$ DECLARE want pg_lsn := pg_current_wal_lsn(); BEGIN
		FOR i IN 1..6000 LOOP
			IF EXISTS (SELECT FROM pg_stat_replication WHERE state = 'streaming' AND replay_lsn >= want) THEN RETURN; END IF;
			PERFORM pg_sleep(0.01);
		END LOOP;
		RAISE 'the standby is behind';
	END $$`)
	if err != nil {
		return err
	}
	if err := errors.Join(p.primary.kill(), p.standby.promote()); err != nil {
		return err
	}
	p.mu.Lock()
	old := p.primary
	p.primary, p.standby = p.standby, &server{vacuums: true}
	p.mu.Unlock()
	if err := old.stop(); err != nil {
		return err
	}
	return p.standby.follow(p.primary)
}

// Restart ends the primary as a crash does, and starts it again.
func (p *Pair) Restart() error {
	if err := p.primary.kill(); err != nil {
		return err
	}
	return p.primary.again()
}

// Revive starts the servers that have ended, as for want of space, and waits until both
// answer.
func (p *Pair) Revive() error {
	for _, s := range []*server{p.primary, p.standby} {
		err := s.admin("SELECT 1")
		for deadline := time.Now().Add(time.Minute); err != nil && time.Now().Before(deadline); err = s.admin("SELECT 1") {
			select {
			case <-s.exited: //nolint:errcheck // it has ended
				if err := s.again(); err != nil {
					return err
				}
			case <-time.After(20 * time.Millisecond):
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// again starts the server, which has ended, on its data.
func (s *server) again() error {
	bin, err := binaries()
	if err != nil {
		return err
	}
	run, err := dropRoot(s.dir)
	if err != nil {
		return err
	}
	return s.run(bin, filepath.Join(s.dir, "data"), run)
}

// Terminate ends all connections to the database but its own.
func (p *Pair) Terminate() error {
	return p.primary.admin("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'pair' AND pid <> pg_backend_pid()")
}

// Primary is the socket of the server that is the primary now.
func (p *Pair) Primary() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return filepath.Join(p.primary.dir, ".s.PGSQL.5432")
}

func (s *server) promote() error {
	// Without a true result it was not promoted in time.
	return s.admin("DO $$ BEGIN IF NOT pg_promote(true, 120) THEN RAISE 'the standby was not promoted in time'; END IF; END $$")
}

// kill ends the server at once, as a crash does.
func (s *server) kill() error {
	if err := s.postgres.Process.Signal(syscall.SIGQUIT); err != nil {
		return err
	}
	select {
	case <-s.exited: //nolint:errcheck // it was killed
		s.postgres = nil
		return nil
	case <-time.After(time.Minute):
		return errors.New("postgres did not stop")
	}
}

// follow starts s as a hot standby of primary, which waits with each commit until s
// has applied it.
func (s *server) follow(primary *server) error {
	bin, err := binaries()
	if err != nil {
		return err
	}
	if s.dir, err = os.MkdirTemp("", "pgtest"); err != nil {
		return err
	}
	run, err := dropRoot(s.dir)
	if err != nil {
		return err
	}
	data := filepath.Join(s.dir, "data")
	backup := exec.Command(filepath.Join(bin, "pg_basebackup"), "-D", data, "-h", primary.dir, "-U", "postgres", "-R", "-X", "stream", "-c", "fast", "--no-sync")
	backup.Dir, backup.SysProcAttr = s.dir, run
	if out, err := backup.CombinedOutput(); err != nil {
		return fmt.Errorf("pg_basebackup: %w\n%s", err, out)
	}
	if err := s.run(bin, data, run); err != nil {
		return err
	}
	for _, text := range []string{"ALTER SYSTEM SET synchronous_standby_names = '*'", "ALTER SYSTEM SET synchronous_commit = 'remote_apply'", "SELECT pg_reload_conf()"} {
		if err := primary.admin(text); err != nil {
			return err
		}
	}
	return nil
}

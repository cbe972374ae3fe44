package pgtest

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// Pair is a PostgreSQL server and a hot standby that follows it, for one test.
type Pair struct {
	t                testing.TB
	primary, standby *server
}

// StartPair starts a Pair with an empty database, and waits until the standby has it.
func StartPair(t testing.TB) *Pair {
	t.Helper()
	p := &Pair{t, &server{}, &server{}}
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

// FailOver kills the primary as soon as the standby has all that was acknowledged,
// and promotes the standby.
func (p *Pair) FailOver() {
	p.t.Helper()
	if err := p.primary.kill(); err != nil {
		p.t.Fatal(err)
	}
	// Without a true result it was not promoted in time.
	if err := p.standby.admin("DO $$ BEGIN IF NOT pg_promote(true, 120) THEN RAISE 'the standby was not promoted in time'; END IF; END $$"); err != nil {
		p.t.Fatal(err)
	}
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

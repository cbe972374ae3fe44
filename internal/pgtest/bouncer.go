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
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Bouncer returns the URL of the database at url through a pgbouncer of its own
// (Debian: package pgbouncer), which gives a backend to each transaction, and has at
// most so many. It ends with the test.
func Bouncer(t testing.TB, address string, backends int) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	bin, err := exec.LookPath("/usr/sbin/pgbouncer")
	if err != nil {
		if bin, err = exec.LookPath("pgbouncer"); err != nil {
			t.Fatal("pgbouncer is not on this machine: install it (apt-get install pgbouncer)")
		}
	}
	dir, err := os.MkdirTemp("", "pgbouncer") // the path of a socket has to be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	config := filepath.Join(dir, "pgbouncer.ini")
	text := fmt.Sprintf(`[databases]
* = host=%s user=postgres pool_size=%d
[pgbouncer]
listen_addr =
unix_socket_dir = %s
auth_type = any
pool_mode = transaction
max_client_conn = 1000
server_login_retry = 1
`, u.Query().Get("host"), backends, dir)
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	run, err := dropRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer // read only after exited
	cmd, exited := exec.Command(bin, "-q", config), make(chan error, 1)
	cmd.Dir, cmd.SysProcAttr, cmd.Stdout, cmd.Stderr = dir, run, &log, &log
	if err := startBound(cmd, exited); err != nil {
		t.Fatal(err)
	}
	ended := false
	t.Cleanup(func() {
		if ended {
			return
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Error(err)
		}
		<-exited //nolint:errcheck // it was killed
	})
	q := url.Values{"host": {dir}, "port": {"6432"}, "user": {"postgres"}}
	through := u.Scheme + "://" + u.Path + "?" + q.Encode()
	ready := func() error {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		conn, err := pgx.Connect(ctx, through)
		if err != nil {
			return err
		}
		_, err = conn.Exec(ctx, "SELECT 1")
		return errors.Join(err, conn.Close(ctx))
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		err := ready()
		if err == nil {
			return through
		}
		select {
		case err := <-exited:
			ended = true
			t.Fatalf("pgbouncer ended: %v\n%s", err, log.String())
		default:
		}
		if time.Now().After(deadline) {
			t.Fatalf("pgbouncer does not answer: %v", err)
		}
	}
}

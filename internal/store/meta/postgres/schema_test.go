package postgres

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/pgtest"
	"github.com/kontor-registry/kontor/internal/store/meta/sqlstore"
)

// next is the dialect of a program that has one more migration.
func next(t *testing.T, needs int64) sqlstore.Dialect {
	t.Helper()
	d := dialect()
	all := fstest.MapFS{"00999_expand.sql": {Data: []byte("-- +goose Up\nALTER TABLE repositories ADD COLUMN extra TEXT NOT NULL DEFAULT '';\nCREATE TABLE more (id BIGINT PRIMARY KEY);\n")}}
	names, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		b, err := migrations.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all[strings.TrimPrefix(name, "migrations/")] = &fstest.MapFile{Data: b}
	}
	d.Migrations, d.Needs = impatient{all}, needs
	return d
}

func openNext(t *testing.T, url string, needs int64) *sqlstore.Store {
	t.Helper()
	s, err := openWith(t.Context(), Config{URL: url}, next(t, needs))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// A newer program migrates the database while an older one writes, which goes on, and
// may be started again. Only once the newer schema needs it, older ones are refused.
func TestTwoVersionsSideBySide(t *testing.T) {
	url := pgtest.Start(t)
	old := mustOpen(t, url)
	before, err := Schema(t.Context(), url)
	if err != nil || before.Needs == 0 || before.Version != before.Knows {
		t.Fatalf("%v, %+v", err, before)
	}
	stop, done := make(chan struct{}), make(chan error, 1)
	written := 0 // read when done has a value
	go func() {
		for {
			select {
			case <-stop:
				done <- nil
				return
			default:
			}
			name := ecr.RepositoryName(fmt.Sprint("old", written))
			if err := errors.Join(insert(old, name), has(old, name)); err != nil {
				done <- err
				return
			}
			written++
		}
	}()
	newer := openNext(t, url, before.Needs)
	defer closeStore(t, newer)
	if err := errors.Join(insert(newer, "new"), has(old, "new")); err != nil {
		t.Error(err)
	}
	close(stop)
	if err := <-done; err != nil {
		t.Fatalf("the older program, after %d writes: %v", written, err)
	}
	for i := range written {
		if err := has(newer, ecr.RepositoryName(fmt.Sprint("old", i))); err != nil {
			t.Error(err)
		}
	}
	closeStore(t, old)
	old = mustOpen(t, url) // it is started again
	if err := insert(old, "again"); err != nil {
		t.Error(err)
	}
	closeStore(t, old)
	if s, err := Schema(t.Context(), url); err != nil || s.Version != 999 || !s.Usable() || len(s.Pending) != 0 {
		t.Errorf("%v, %+v", err, s)
	}
	closeStore(t, openNext(t, url, 999))
	_, err = Open(t.Context(), Config{URL: url})
	if err == nil || !strings.Contains(err.Error(), "schema version 999, which needs a program that knows version 999, and this one knows versions up to") {
		t.Errorf("%v", err)
	}
	// What the schema needs never goes down.
	closeStore(t, openNext(t, url, before.Needs))
	if s, err := Schema(t.Context(), url); err != nil || s.Needs != 999 || s.Usable() {
		t.Errorf("%v, %+v", err, s)
	}
}

// A migration that has to wait for a long transaction gives way to others, and comes
// later.
func TestMigrationGivesWay(t *testing.T) {
	url := pgtest.Start(t)
	old := mustOpen(t, url)
	defer closeStore(t, old)
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(t.Context(), "BEGIN; LOCK TABLE repositories IN ACCESS SHARE MODE"); err != nil {
		t.Fatal(err)
	}
	opened := make(chan error, 1)
	go func() {
		s, err := openWith(context.Background(), Config{URL: url}, next(t, schemaNeeds))
		if err == nil {
			err = s.Close()
		}
		opened <- err
	}()
	for deadline := time.Now().Add(time.Minute); ask[int](t, url, "SELECT COUNT(*) FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock'") == 0; {
		if time.Now().After(deadline) {
			t.Fatal("the migration does not wait")
		}
		time.Sleep(10 * time.Millisecond)
	}
	// The migration is first in the queue. This comes through when it gives up.
	if err := insert(old, "meanwhile"); err != nil {
		t.Error(err)
	}
	select {
	case err := <-opened:
		t.Errorf("the migration did not wait: %v", err)
	default:
	}
	if err := conn.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-opened; err != nil {
		t.Error(err)
	}
}

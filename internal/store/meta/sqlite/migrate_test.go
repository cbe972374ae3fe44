package sqlite

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pressly/goose/v3"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/store/meta"
	"github.com/kontor-registry/kontor/internal/store/meta/metatest"
)

// A database of the first schema keeps its indexes and their children when it
// is migrated.
func TestMigrateKeepsChildren(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kontor.db")
	db, err := pool(path, writerPragmas())
	if err != nil {
		t.Fatal(err)
	}
	d := dialect()
	p, err := goose.NewProvider(d.Goose, db, d.Migrations, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.UpTo(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{
		`INSERT INTO repositories VALUES (1, '000000000000', 'us-east-1', 'app', 0, 'MUTABLE', '', 0, 'AES256', '', '', '', '')`,
		`INSERT INTO manifests VALUES (1, 'sha256:c', 't', '', 1, 0, NULL, '', '', x'01')`,
		`INSERT INTO manifests VALUES (1, 'sha256:p', 't', '', 1, 0, NULL, '', '', x'02')`,
		`INSERT INTO manifest_children VALUES (1, 'sha256:p', 'sha256:c')`,
	} {
		if _, err := db.ExecContext(t.Context(), text); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	s, err := Open(t.Context(), Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	remove := func(d ecr.Digest) error {
		return s.Update(t.Context(), func(ctx context.Context, tx meta.Tx) error { return tx.DeleteManifest(ctx, 1, d, time.UnixMicro(0)) })
	}
	if err := remove("sha256:c"); !errors.Is(err, meta.ErrReferenced) {
		t.Errorf("deleting the child: %v, want ErrReferenced", err)
	}
	if err := remove("sha256:p"); err != nil {
		t.Errorf("deleting the index: %v", err)
	}
	if err := remove("sha256:c"); err != nil {
		t.Errorf("deleting the child without its index: %v", err)
	}
}

// Links of a database from before collection are idle when no image refers to
// them, and blobs without a link are noted as loose.
func TestMigrateMarksIdleLinks(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kontor.db")
	db, err := pool(path, writerPragmas())
	if err != nil {
		t.Fatal(err)
	}
	d := dialect()
	p, err := goose.NewProvider(d.Goose, db, d.Migrations, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.UpTo(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{
		`INSERT INTO repositories VALUES (1, '000000000000', 'us-east-1', 'app', 0, 'MUTABLE', '', 0, 'AES256', '', '', '', '')`,
		`INSERT INTO blobs VALUES ('sha256:used', 'k1', 1, 0), ('sha256:idle', 'k2', 1, 0), ('sha256:loose', 'k3', 1, 0)`,
		`INSERT INTO blob_links VALUES (1, 'sha256:used', 5), (1, 'sha256:idle', 7)`,
		`INSERT INTO manifests VALUES (1, 'sha256:m', 't', '', 1, 0, NULL, '', '', x'01')`,
		`INSERT INTO manifest_blobs VALUES (1, 'sha256:m', 'sha256:used')`,
	} {
		if _, err := db.ExecContext(t.Context(), text); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	s, err := Open(t.Context(), Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	collect := func(before int64) (links int, gone []meta.Blob) {
		t.Helper()
		err := s.Update(t.Context(), func(ctx context.Context, tx meta.Tx) (err error) {
			if links, err = tx.Retention().DeleteIdleLinks(ctx, time.UnixMicro(before), 10); err != nil {
				return err
			}
			gone, _, err = tx.Retention().DeleteUnusedBlobs(ctx, 10)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return links, gone
	}
	if links, gone := collect(7); links != 0 || len(gone) != 1 || gone[0].Key != "k3" {
		t.Errorf("collected %d links and %v, want the loose blob", links, gone)
	}
	if links, gone := collect(8); links != 1 || len(gone) != 1 || gone[0].Key != "k2" {
		t.Errorf("collected %d links and %v, want the idle one", links, gone)
	}
}

// Entries of indexes and foreign layers that a database from before has as
// blobs are referred to when it is migrated.
func TestMigrateHoldsGivenBlobs(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kontor.db")
	db, err := pool(path, writerPragmas())
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
	for _, text := range metatest.GivenBlobsBefore(`x'%x'`, "0") {
		if _, err := db.ExecContext(t.Context(), text); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	s, err := Open(t.Context(), Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	metatest.WantGivenBlobs(t, s)
}

// Who only reads does not migrate, and says what to do, unless the file is its own copy.
func TestReaderDoesNotMigrate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kontor.db")
	db, err := pool(path, writerPragmas())
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
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), Config{Path: path, Reader: true}); err == nil || !strings.Contains(err.Error(), "has schema version 4,") || !strings.Contains(err.Error(), "kontor admin schema up") {
		t.Errorf("%v", err)
	}
	if s, err := Schema(t.Context(), path); err != nil || s.Version != 4 {
		t.Errorf("%+v, %v", s, err)
	}
	s, err := Open(t.Context(), Config{Path: path, Reader: true, Migrate: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if s, err := Schema(t.Context(), path); err != nil || s.Version != s.Knows {
		t.Errorf("%+v, %v", s, err)
	}
}

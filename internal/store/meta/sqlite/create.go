package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/kontor-registry/kontor/internal/durable"
	"github.com/kontor-registry/kontor/internal/store/meta/sqlstore"
)

// create makes the file of a new database with its schema under another name, and
// gives it its own when it is whole and on the disk: the migrations need no commits
// that are synced, which take most of the time of a first start, and after a crash
// there is no file. It does nothing where there is one.
func create(ctx context.Context, path string) (err error) {
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := removeOld(path); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+newSuffix+"*") // readable by its owner only
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.Remove(f.Name())) }()
	if err := errors.Join(fill(ctx, f), f.Sync(), f.Close()); err != nil {
		return err
	}
	// Another process may have been faster. Not every file system has links.
	if err := os.Link(f.Name(), path); err != nil {
		return nil // it is made in its place then
	}
	return durable.SyncDir(filepath.Dir(path))
}

// newSuffix is in the names of files that are not whole yet, before what makes them
// unique.
const newSuffix = ".new-"

// removeOld removes what crashes left behind while they made the file.
func removeOld(path string) error {
	list, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return err
	}
	for _, e := range list {
		if ok, _ := filepath.Match(filepath.Base(path)+newSuffix+"*", e.Name()); !ok {
			continue
		}
		if i, err := e.Info(); err == nil && time.Since(i.ModTime()) > time.Hour {
			_ = os.Remove(filepath.Join(filepath.Dir(path), e.Name())) // it does no harm
		}
	}
	return nil
}

// fill writes an empty database with its schema to the file.
func fill(ctx context.Context, f *os.File) (err error) {
	remembered.Lock()
	defer remembered.Unlock()
	if remembered.content != nil {
		_, err := f.Write(remembered.content)
		return err
	}
	path, err := filepath.Abs(f.Name())
	if err != nil {
		return err
	}
	db, err := pool(path, []string{fmt.Sprintf("page_size(%d)", pageSize), "journal_mode(OFF)", "synchronous(OFF)"})
	if err != nil {
		return err
	}
	db.SetMaxOpenConns(1)
	d := dialect()
	if err := errors.Join(sqlstore.Migrate(ctx, db, &d), db.Close()); err != nil {
		return fmt.Errorf("making it: %w", err)
	}
	if remembered.wanted {
		remembered.content, err = os.ReadFile(path)
	}
	return err
}

// remembered is the content of a new database.
var remembered struct {
	sync.Mutex
	wanted  bool
	content []byte
}

// RememberNew keeps the content of the first new database for all others of the
// process. It is for tests, which open many.
func RememberNew() {
	remembered.Lock()
	defer remembered.Unlock()
	remembered.wanted = true
}

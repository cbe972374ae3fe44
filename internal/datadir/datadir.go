// Package datadir is the folder in which a server on one machine keeps
// everything: the database, the blobs, the master key, and a note of how its
// running server can be reached.
//
//	DIR/lock          held by the server that runs on the folder
//	DIR/master.key    seals the secrets in the database
//	DIR/kontor.db     metadata (SQLite)
//	DIR/blobs/        content
//	DIR/server.json   where the server listens, or last did
//
// It guarantees that one server at a time opens the folder, and that every
// reason it cannot be opened is one line that says what to do.
package datadir

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/kontor-registry/kontor/internal/access/identity"
	"github.com/kontor-registry/kontor/internal/store/blob"
	"github.com/kontor-registry/kontor/internal/store/blob/disk"
	"github.com/kontor-registry/kontor/internal/store/blob/small"
	"github.com/kontor-registry/kontor/internal/store/meta"
	"github.com/kontor-registry/kontor/internal/store/meta/sqlite"
)

// ErrInUse: another process serves the folder.
var ErrInUse = errors.New("another kontor server runs on this folder")

// ErrEmpty: the folder was never served.
var ErrEmpty = errors.New("no registry was served from here yet")

// errNoKey: a new key cannot open the secrets of an old database.
var errNoKey = errors.New("master.key is missing, and without it the secrets in kontor.db cannot be opened: put it back, or start on an empty folder")

// ErrElsewhere: a server uses the folder whose database or master key is not in it.
var ErrElsewhere = errors.New("`kontor serve` uses this folder with a database or a master key that is elsewhere: pass --endpoint URL, with AWS credentials, instead of --data")

// Dir is an open folder.
type Dir struct {
	Path  string
	Meta  meta.Store
	Blobs blob.Store // a reader may only read
	Key   identity.MasterKey

	given Given
	lock  *os.File // nil for a reader
	me    owner
}

// Given are what a server has in place of what the folder has. They stay open
// after Close.
type Given struct {
	Meta  meta.Store
	Blobs blob.Store
	// Key is used instead of master.key, which is then neither read nor made.
	Key *identity.MasterKey
}

// BackupMarker is a file by which a folder that a backup was saved in is told from one
// that a server was started on, which removes it.
const BackupMarker = "backup"

// lookTime is how long someone who looks who has the folder may have its
// lock: see held.
const lookTime = 100 * time.Millisecond

// Open opens the folder for the one server on it, and makes what is missing.
// ErrInUse.
func Open(ctx context.Context, path string) (*Dir, error) { return OpenWith(ctx, path, Given{}) }

// Lock takes the lock of a folder without opening it. ErrInUse.
func Lock(ctx context.Context, path string) (io.Closer, error) {
	var f *os.File
	err := poll(ctx, lookTime, func() (done bool, err error) {
		f, err = acquire(filepath.Join(path, "lock"), owner{pid: os.Getpid(), run: rand.Text()})
		return !errors.Is(err, ErrInUse), err
	})
	if err != nil {
		return nil, explain(path, err)
	}
	return f, nil
}

// OpenWith is Open for a server that is given some of what the folder would have.
func OpenWith(ctx context.Context, path string, given Given) (*Dir, error) {
	if err := disk.MakeDir(path); err != nil {
		return nil, explain(path, err)
	}
	d := &Dir{Path: path, given: given, me: owner{pid: os.Getpid(), run: rand.Text()}}
	err := poll(ctx, lookTime, func() (done bool, err error) {
		d.lock, err = acquire(filepath.Join(path, "lock"), d.me)
		return !errors.Is(err, ErrInUse), err
	})
	if err == nil {
		if err = os.Remove(d.file(BackupMarker)); errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
	}
	if err == nil {
		err = d.open(ctx)
	}
	if err != nil {
		return nil, errors.Join(explain(path, err), d.Close())
	}
	return d, nil
}

// poll calls f until it is done, waiting a little before it does so again,
// and returns f's last error after all of wait.
func poll(ctx context.Context, wait time.Duration, f func() (done bool, err error)) error {
	const pause = 10 * time.Millisecond
	for ; ; wait -= pause {
		done, err := f()
		if done || wait <= 0 {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}

func (d *Dir) open(ctx context.Context) (err error) {
	switch {
	case d.given.Key != nil:
		d.Key = *d.given.Key
	case !d.has("master.key") && d.has("kontor.db"):
		return errNoKey
	default:
		if d.Key, err = identity.LoadOrCreateMasterKey(d.file("master.key")); err != nil {
			return err
		}
	}
	if d.Meta = d.given.Meta; d.Meta == nil {
		if err := d.openMeta(ctx); err != nil {
			return err
		}
	}
	blobs := d.given.Blobs
	if blobs == nil {
		if blobs, err = disk.Open(disk.Config{Dir: d.file("blobs")}); err != nil {
			return err
		}
	}
	d.Blobs = small.New(small.Config{Blobs: blobs, Meta: d.Meta})
	return nil
}

func (d *Dir) openMeta(ctx context.Context) error {
	store, err := sqlite.Open(ctx, sqlite.Config{Path: d.file("kontor.db"), Alone: d.lock != nil, Reader: d.lock == nil})
	if err != nil {
		return err // and no nil *Store in the interface
	}
	d.Meta = store
	return nil
}

// OpenReader opens the folder next to the server that may run on it, to read
// what it knows. It makes nothing. ErrEmpty.
func OpenReader(ctx context.Context, path string) (*Dir, error) {
	return OpenReaderWith(ctx, path, Given{})
}

// OpenReaderWith is OpenReader for who is given some of what the folder would
// have.
func OpenReaderWith(ctx context.Context, path string, given Given) (*Dir, error) {
	d := &Dir{Path: path, given: given, Meta: given.Meta}
	switch {
	case d.Meta != nil:
	case !d.has("kontor.db"):
		if _, err := readNote(path); errors.Is(err, ErrElsewhere) {
			return nil, err
		}
		return nil, empty(path)
	case given.Key == nil && !d.has("master.key"):
		return nil, explain(path, errNoKey)
	}
	var err error
	if given.Key != nil {
		d.Key = *given.Key
	} else {
		d.Key, err = identity.LoadMasterKey(d.file("master.key"))
	}
	if err == nil && d.Meta == nil {
		err = d.openMeta(ctx)
	}
	blobs := given.Blobs
	if err == nil && blobs == nil {
		blobs, err = disk.OpenReader(disk.Config{Dir: d.file("blobs")})
	}
	if err == nil {
		d.Blobs = small.New(small.Config{Blobs: blobs, Meta: d.Meta})
	}
	if err != nil {
		return nil, errors.Join(explain(path, err), d.Close())
	}
	return d, nil
}

func (d *Dir) file(name string) string { return filepath.Join(d.Path, name) }

func (d *Dir) has(name string) bool {
	_, err := os.Lstat(d.file(name))
	return !errors.Is(err, fs.ErrNotExist)
}

// Close closes the stores and lets another server have the folder.
func (d *Dir) Close() error {
	var errs []error
	if d.Meta != nil && d.given.Meta == nil {
		errs = append(errs, d.Meta.Close())
	}
	if d.lock != nil {
		errs = append(errs, d.lock.Close()) // which unlocks
	}
	return errors.Join(errs...)
}

// Explain makes one line that says what to do of an error of the folder's
// stores.
func (d *Dir) Explain(err error) error { return explain(d.Path, err) }

func empty(path string) error {
	return fmt.Errorf("data folder %s: %w: run `kontor up --data %s` first", path, ErrEmpty, path)
}

// explain turns what the operating system says into what to do.
func explain(path string, err error) error {
	const another = "or use another folder with --data"
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrInUse):
		return fmt.Errorf("data folder %s: %w: stop it, %s", path, err, another)
	case errors.Is(err, identity.ErrMasterKey):
		return fmt.Errorf("data folder %s: %w", path, identity.ErrMasterKey)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("data folder %s: permission denied: change its permissions, %s (%w)", path, another, err)
	case errors.Is(err, syscall.EROFS):
		return fmt.Errorf("data folder %s is on a read-only filesystem: make it writable, %s (%w)", path, another, err)
	case errors.Is(err, syscall.ENOTDIR):
		return fmt.Errorf("data folder %s is not a folder: use another with --data (%w)", path, err)
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, blob.ErrNoSpace), errors.Is(err, meta.ErrUnavailable):
		return fmt.Errorf("data folder %s: the disk is full or fails: free some space, %s (%w)", path, another, err)
	}
	return fmt.Errorf("data folder %s: %w", path, err)
}

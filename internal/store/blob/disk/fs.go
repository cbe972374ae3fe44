package disk

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/kontor-registry/kontor/internal/durable"
	"github.com/kontor-registry/kontor/internal/store/blob"
)

// FS is the few file operations the store is made of, with the meaning and the
// errors that package os gives them. Names are absolute. A test puts crashfs in
// its place.
type FS interface {
	OpenFile(name string, flag int, perm fs.FileMode) (File, error)
	Mkdir(name string, perm fs.FileMode) error
	Stat(name string) (fs.FileInfo, error)
	ReadDir(name string) ([]fs.DirEntry, error)
	Truncate(name string, size int64) error
	Rename(from, to string) error
	Remove(name string) error
	// SyncDir makes the entries of the folder name durable: what was made in
	// it, moved into or out of it, and removed from it.
	SyncDir(name string) error
}

// File is an open file of an FS.
type File interface {
	blob.File
	io.WriterAt
	// Sync makes the file's bytes and size durable, but not its name.
	Sync() error
}

// osFS is the operating system's FS.
type osFS struct{}

func (osFS) OpenFile(name string, flag int, perm fs.FileMode) (File, error) {
	f, err := os.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err // not f: a nil *os.File is not a nil File
	}
	return f, nil
}

func (osFS) Mkdir(name string, perm fs.FileMode) error  { return os.Mkdir(name, perm) }
func (osFS) Stat(name string) (fs.FileInfo, error)      { return os.Stat(name) }
func (osFS) ReadDir(name string) ([]fs.DirEntry, error) { return os.ReadDir(name) }
func (osFS) Truncate(name string, size int64) error     { return os.Truncate(name, size) }
func (osFS) Rename(from, to string) error               { return os.Rename(from, to) }
func (osFS) Remove(name string) error                   { return os.Remove(name) }
func (osFS) SyncDir(name string) error                  { return durable.SyncDir(name) }

// noSpace makes err a blob.ErrNoSpace if that is what it comes to.
func noSpace(err error) error {
	for _, full := range fullErrors {
		if errors.Is(err, full) {
			return fmt.Errorf("%w: %w", blob.ErrNoSpace, err)
		}
	}
	return err
}

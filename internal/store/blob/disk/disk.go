// Package disk keeps content in a folder of a local filesystem:
//
//	DIR/uploads/KEY     what is on its way in
//	DIR/blobs/ab/KEY    committed content; ab is the start of KEY
//	DIR/installation    which installation the folder belongs to
//
// It guarantees what package blob asks for, on every filesystem that keeps
// POSIX's word and no more: a file's bytes survive the loss of power once the
// file was synced, a directory's entries once the directory was. Nothing needs
// repair after a crash. It leaves out a lock against a second process: the data
// folder has one.
//
// The reasons are in docs/design/0003-blobs-and-durability.md; that each single
// sync is needed, and that they are enough, is shown by the tests on crashfs.
package disk

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"sync"

	"github.com/kontor-registry/kontor/internal/store/blob"
)

// Config is what a store needs.
type Config struct {
	// Dir is the folder everything is kept in. It is made where it is missing,
	// its parents too. One process at a time may use it, and it must be one
	// filesystem throughout.
	Dir string
	// FS runs the file operations; nil is the operating system's.
	FS FS
}

// Store is a blob.Store in a folder. It holds no resources of its own, so
// there is nothing to close.
type Store struct {
	fs  FS
	dir string // absolute

	mu      sync.Mutex
	writing map[blob.Key]struct{} // guarded by mu; keys that have a writer
}

var (
	_ blob.Store     = (*Store)(nil)
	_ blob.Installed = (*Store)(nil)
)

// Open opens the store in cfg.Dir and makes the folder if need be.
func Open(cfg Config) (*Store, error) {
	s, err := newStore(cfg)
	if err != nil {
		return nil, err
	}
	if err := s.makeFolders(); err != nil {
		return nil, fmt.Errorf("opening the blob store in %s: %w", s.dir, noSpace(err))
	}
	return s, nil
}

func newStore(cfg Config) (*Store, error) {
	if cfg.Dir == "" {
		return nil, errors.New("opening the blob store: no folder given")
	}
	dir, err := filepath.Abs(cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("opening the blob store: %w", err)
	}
	s := &Store{fs: cfg.FS, dir: dir, writing: map[blob.Key]struct{}{}}
	if s.fs == nil {
		s.fs = osFS{}
	}
	return s, nil
}

// makeFolders makes all folders the store will ever use, so that committing
// never has to. It syncs also what it finds made already: an earlier process
// may have been killed between making and syncing.
func (s *Store) makeFolders() error {
	if err := makeDir(s.fs, s.dir); err != nil {
		return err
	}
	for _, name := range []string{s.uploads(), s.blobs()} {
		if err := mkdir(s.fs, name); err != nil {
			return err
		}
	}
	if err := s.fs.SyncDir(s.dir); err != nil {
		return fmt.Errorf("syncing %s: %w", s.dir, err)
	}
	made := map[string]bool{}
	entries, err := s.fs.ReadDir(s.blobs())
	if err != nil {
		return err
	}
	for _, e := range entries {
		made[e.Name()] = true
	}
	for i := range 256 {
		name := hex.EncodeToString([]byte{byte(i)})
		if made[name] {
			continue
		}
		if err := mkdir(s.fs, filepath.Join(s.blobs(), name)); err != nil {
			return err
		}
	}
	if err := s.fs.SyncDir(s.blobs()); err != nil {
		return fmt.Errorf("syncing %s: %w", s.blobs(), err)
	}
	return nil
}

// OpenReader opens the store that is in cfg.Dir to read next to the process that
// owns it. It makes nothing; only Open and List of the Store may be used.
func OpenReader(cfg Config) (*Store, error) {
	return newStore(cfg)
}

// MakeDir makes dir and its missing parents, so that they survive the loss of
// power. What is next to a Store, as its database, is kept no longer than the
// folder they share.
func MakeDir(dir string) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	return makeDir(osFS{}, dir)
}

// makeDir makes dir and its missing parents, durably. By induction each parent
// has been synced into its own parent before a child is made in it, whichever
// process made it; so it is enough to sync the last one when dir exists.
func makeDir(fsys FS, dir string) error {
	parent := filepath.Dir(dir)
	if parent == dir {
		return nil
	}
	_, err := fsys.Stat(dir)
	existed := err == nil
	if errors.Is(err, fs.ErrNotExist) {
		if err := makeDir(fsys, parent); err != nil {
			return err
		}
		err = mkdir(fsys, dir)
	}
	if err != nil {
		return err
	}
	err = fsys.SyncDir(parent)
	// Who may not even read the parent did not make dir in it.
	if err != nil && (!existed || !errors.Is(err, fs.ErrPermission)) {
		return fmt.Errorf("syncing %s: %w", parent, err)
	}
	return nil
}

// mkdir makes one folder; that it exists is fine.
func mkdir(fsys FS, name string) error {
	if err := fsys.Mkdir(name, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

func (s *Store) uploads() string { return filepath.Join(s.dir, "uploads") }
func (s *Store) blobs() string   { return filepath.Join(s.dir, "blobs") }

func (s *Store) upload(key blob.Key) string { return filepath.Join(s.uploads(), string(key)) }

// fan is the folder that key is committed in.
func (s *Store) fan(key blob.Key) string { return filepath.Join(s.blobs(), string(key[:2])) }

func (s *Store) blob(key blob.Key) string { return filepath.Join(s.fan(key), string(key)) }

// isKey reports whether s is a key. Nothing else ever becomes part of a path.
func isKey(s string) bool { return blob.Key(s).Valid() }

// check is the beginning of every operation.
func check(ctx context.Context, key blob.Key) error {
	if !isKey(string(key)) {
		return fmt.Errorf("%w: key %q is not 32 lower-case hex digits", blob.ErrNotFound, key)
	}
	return ctx.Err()
}

// lock makes the caller the only writer of key until unlock. ErrBusy.
func (s *Store) lock(key blob.Key) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.writing[key]; ok {
		return fmt.Errorf("%w: %s", blob.ErrBusy, key)
	}
	s.writing[key] = struct{}{}
	return nil
}

func (s *Store) unlock(key blob.Key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.writing, key)
}

// Discard removes an unfinished upload. It is not synced: an upload that comes
// back after a crash is listed, and discarded again.
func (s *Store) Discard(ctx context.Context, key blob.Key) error {
	if err := check(ctx, key); err != nil {
		return err
	}
	if err := s.lock(key); err != nil {
		return err
	}
	defer s.unlock(key)
	if err := remove(s.fs, s.upload(key)); err != nil {
		return fmt.Errorf("discarding upload %s: %w", key, err)
	}
	return nil
}

// Open opens committed content. With the operating system's FS the File is an
// *os.File.
func (s *Store) Open(ctx context.Context, key blob.Key) (blob.File, error) {
	if err := check(ctx, key); err != nil {
		return nil, err
	}
	f, err := s.fs.OpenFile(s.blob(key), os.O_RDONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s", blob.ErrNotFound, key)
	}
	if err != nil {
		return nil, fmt.Errorf("opening blob %s: %w", key, err)
	}
	return f, nil
}

// Delete removes committed content. It is not synced: content that comes back
// after a crash is listed, and deleted again. On Windows it fails while a
// reader has the file open.
func (s *Store) Delete(ctx context.Context, key blob.Key) error {
	if err := check(ctx, key); err != nil {
		return err
	}
	if err := remove(s.fs, s.blob(key)); err != nil {
		return fmt.Errorf("deleting blob %s: %w", key, err)
	}
	return nil
}

// remove removes a file; that there is none is fine.
func remove(fsys FS, name string) error {
	if err := fsys.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// List yields all committed content, and after it all uploads; after an error
// it yields nothing more. Files that are not the store's are passed over.
// A crash during a commit may leave a key in both lists; the content is whole
// then, and the upload may be discarded.
func (s *Store) List(ctx context.Context) iter.Seq2[blob.Info, error] {
	return func(yield func(blob.Info, error) bool) {
		for i := range 256 {
			name := filepath.Join(s.blobs(), hex.EncodeToString([]byte{byte(i)}))
			if !s.list(ctx, name, false, yield) {
				return
			}
		}
		s.list(ctx, s.uploads(), true, yield)
	}
}

// list yields the entries of one folder; false when that was the end.
func (s *Store) list(ctx context.Context, folder string, upload bool, yield func(blob.Info, error) bool) bool {
	fail := func(err error) bool {
		yield(blob.Info{}, fmt.Errorf("listing %s: %w", folder, err))
		return false
	}
	if err := ctx.Err(); err != nil {
		return fail(err)
	}
	entries, err := s.fs.ReadDir(folder)
	if err != nil {
		return fail(err)
	}
	for _, e := range entries {
		if !isKey(e.Name()) || !e.Type().IsRegular() {
			continue
		}
		if err := ctx.Err(); err != nil {
			return fail(err)
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed or committed since
		}
		if err != nil {
			return fail(err)
		}
		if !yield(blob.Info{Key: blob.Key(e.Name()), SizeBytes: info.Size(), ModTime: info.ModTime().UTC(), Upload: upload}, nil) {
			return false
		}
	}
	return true
}

// Package backup saves a data folder next to the server that uses it, into another
// folder, which is then a data folder itself.
//
// It guarantees that the backup is one moment of the registry, with every blob that the
// database of that moment knows; that each blob that is copied has its digest; and that
// a backup that breaks off leaves the one before as it was. What is there already is not
// copied again. Small blobs are saved with the database that has them, as they are. It
// leaves out what is in PostgreSQL or S3.
package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/kontor-registry/kontor/internal/datadir"
	"github.com/kontor-registry/kontor/internal/durable"
	"github.com/kontor-registry/kontor/internal/store/blob"
	"github.com/kontor-registry/kontor/internal/store/blob/disk"
	"github.com/kontor-registry/kontor/internal/store/meta"
	"github.com/kontor-registry/kontor/internal/store/meta/sqlite"
)

// Config says what to save, and where to.
type Config struct {
	Folder string // the data folder
	To     string // another folder, made where it is missing; or one with an earlier backup
	// HardLinks links blobs instead of copying them: both folders are on one
	// filesystem then, and what damages a file there damages the backup, too.
	HardLinks bool
	// MasterKey is the name of the master key to save, "" for none.
	MasterKey string
	// NoBlobs saves no blobs: they are elsewhere.
	NoBlobs bool
}

// Report says what was done.
type Report struct {
	Folder string `json:"folder"`
	// Blobs that the backup has; Copied are those that it did not have before, Removed
	// those that it had and that are no longer in the registry.
	Blobs       int64 `json:"blobs"`
	BlobBytes   int64 `json:"blobBytes"`
	Copied      int64 `json:"copied"`
	CopiedBytes int64 `json:"copiedBytes"`
	Removed     int64 `json:"removed"`
	// DatabaseBytes is the size of the copy of the database.
	DatabaseBytes int64 `json:"databaseBytes"`
	MasterKey     bool  `json:"masterKey"`
}

// ErrOther: the folder has the backup of another registry, or something else.
var ErrOther = errors.New("the folder has something else than a backup of this registry")

const (
	page = 500
	// tries is how often a database is copied of which a blob is gone already.
	tries = 5
)

// errGone: a blob that the copy of the database knows was removed meanwhile.
var errGone = errors.New("a blob was removed while it was saved")

// Run saves the folder.
func Run(ctx context.Context, cfg Config) (r Report, err error) {
	r.Folder = cfg.To
	database := filepath.Join(cfg.Folder, "kontor.db")
	if _, err := os.Stat(database); err != nil {
		return r, fmt.Errorf("there is no database to save: %w", err)
	}
	if err := disk.MakeDir(cfg.To); err != nil {
		return r, err
	}
	if err := cfg.separate(); err != nil {
		return r, err
	}
	if err := clear(cfg.To); err != nil {
		return r, err
	}
	// No server runs on the backup, and no other backup goes there.
	lock, err := datadir.Lock(ctx, cfg.To)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	if err := mark(cfg.To); err != nil {
		return r, err
	}
	s := saver{cfg: cfg, report: &r, database: database, fresh: filepath.Join(cfg.To, "kontor.db.new")}
	if !cfg.NoBlobs {
		if err := s.open(ctx); err != nil {
			return r, err
		}
	}
	for try := 1; ; try++ {
		if err = s.save(ctx); !errors.Is(err, errGone) || try == tries {
			break
		}
	}
	if err != nil {
		return r, err
	}
	return r, s.finish(ctx)
}

// separate is an error where the backup would be the data folder.
func (cfg Config) separate() error {
	from, err := os.Stat(cfg.Folder)
	if err != nil {
		return err
	}
	to, err := os.Stat(cfg.To)
	if err == nil && os.SameFile(from, to) {
		err = fmt.Errorf("%s: %w: it is the data folder: give another one", cfg.To, ErrOther)
	}
	return err
}

// mark makes the marker, durably.
func mark(folder string) (err error) {
	f, err := os.OpenFile(filepath.Join(folder, datadir.BackupMarker), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString("kontor admin backup saves a data folder here.\n")
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return durable.SyncDir(folder)
}

// clear refuses a folder with other things, and one whose database no backup has saved.
func clear(folder string) error {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return err
	}
	known := map[string]bool{datadir.BackupMarker: true, "kontor.db": true, "blobs": true, "audit": true, "master.key": true, "lock": true, "server.json": true, "tls": true}
	has := func(name string) bool {
		return slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return e.Name() == name })
	}
	if has("kontor.db") && !has(datadir.BackupMarker) {
		return fmt.Errorf("%s: %w: a server was started on it, or its kontor.db was not saved by kontor admin backup: give another folder", folder, ErrOther)
	}
	for _, e := range entries {
		switch name := e.Name(); {
		case filepath.Ext(name) == ".new", name == "kontor.db-wal", name == "kontor.db-shm", name == "kontor.db.new-wal", name == "kontor.db.new-shm":
			// of a check of the backup, or of a run that was killed
		case !known[name]:
			return fmt.Errorf("%s: %w: %s", folder, ErrOther, name)
		}
	}
	return nil
}

type saver struct {
	cfg             Config
	report          *Report
	database, fresh string
	from, to        *disk.Store
	known           map[blob.Key]bool // blobs of the last copy of the database

	mu   sync.Mutex
	have map[blob.Key]bool // guarded by mu; what the backup had, or has now
}

// open opens both blob stores, and makes the second the same as the first.
func (s *saver) open(ctx context.Context) (err error) {
	if s.from, err = disk.OpenReader(disk.Config{Dir: filepath.Join(s.cfg.Folder, "blobs")}); err != nil {
		return err
	}
	if s.to, err = disk.Open(disk.Config{Dir: filepath.Join(s.cfg.To, "blobs")}); err != nil {
		return err
	}
	if err := s.to.Adopt(ctx, s.from); err != nil {
		if errors.Is(err, disk.ErrOther) {
			err = fmt.Errorf("%s: %w", s.cfg.To, ErrOther)
		}
		return err
	}
	s.have = map[blob.Key]bool{}
	for f, err := range s.to.List(ctx) {
		switch {
		case err != nil:
			return err
		case f.Upload: // of a run that was killed
			if err := s.to.Discard(ctx, f.Key); err != nil {
				return err
			}
		default:
			s.have[f.Key] = true
		}
	}
	return nil
}

// save copies the database twice, and the blobs that it knows: what comes while most
// of them are copied is in the second copy, of which little is missing.
func (s *saver) save(ctx context.Context) error {
	for _, last := range []bool{false, true} {
		if err := s.snapshot(ctx); err != nil {
			return err
		}
		if s.cfg.NoBlobs {
			return nil
		}
		if err := s.blobs(ctx, last); err != nil {
			return err
		}
	}
	return nil
}

func (s *saver) snapshot(ctx context.Context) error {
	for _, end := range []string{"", "-wal", "-shm"} {
		if err := os.Remove(s.fresh + end); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return sqlite.Snapshot(ctx, s.database, s.fresh)
}

// blobs saves those of the copy of the database. One that is gone is an error in the
// last copy only.
func (s *saver) blobs(ctx context.Context, last bool) (err error) {
	db, err := sqlite.Open(ctx, sqlite.Config{Path: s.fresh, Reader: true, Migrate: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	s.known, s.report.Blobs, s.report.BlobBytes = map[blob.Key]bool{}, 0, 0
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(4)
	for b, err := range list(ctx, db) {
		if err != nil {
			return errors.Join(err, g.Wait())
		}
		s.known[b.Key] = true
		s.report.Blobs++
		s.report.BlobBytes += b.SizeBytes
		s.mu.Lock()
		there := s.have[b.Key]
		s.mu.Unlock()
		if there || b.Key.InDatabase() {
			continue
		}
		g.Go(func() error {
			err := s.blob(gctx, b)
			switch {
			case errors.Is(err, blob.ErrNotFound) && !last:
				return nil
			case errors.Is(err, blob.ErrNotFound):
				return fmt.Errorf("%w: %s: see kontor admin check", errGone, b.Digest)
			case err != nil:
				return err
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			s.have[b.Key] = true
			s.report.Copied++
			s.report.CopiedBytes += b.SizeBytes
			return nil
		})
	}
	return g.Wait()
}

func list(ctx context.Context, db meta.Store) func(func(meta.Blob, error) bool) {
	return meta.Pages("", page, func(after blob.Key, limit int) (blobs []meta.Blob, err error) {
		err = db.View(ctx, func(ctx context.Context, r meta.Reader) (err error) {
			blobs, err = r.ListBlobs(ctx, after, limit)
			return err
		})
		return blobs, err
	}, func(b meta.Blob) blob.Key { return b.Key })
}

// blob saves one.
func (s *saver) blob(ctx context.Context, b meta.Blob) (err error) {
	if s.cfg.HardLinks {
		return s.to.Link(s.from, b.Key)
	}
	f, err := s.from.Open(ctx, b.Key)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	w, err := s.to.Append(ctx, b.Key, blob.Progress{})
	if err != nil {
		return err
	}
	if _, err := io.Copy(w, f); err != nil {
		return errors.Join(err, w.Abort())
	}
	if _, err = w.Commit(ctx, b.Digest); errors.Is(err, blob.ErrDigestMismatch) {
		err = fmt.Errorf("blob %s is damaged: see kontor admin check", b.Digest)
	}
	return err
}

// finish makes the new copy the backup, and removes blobs that it does not know.
func (s *saver) finish(ctx context.Context) error {
	if err := os.MkdirAll(filepath.Join(s.cfg.To, "audit"), 0o700); err != nil {
		return err
	}
	if err := copyFolder(filepath.Join(s.cfg.Folder, "audit"), filepath.Join(s.cfg.To, "audit")); err != nil {
		return err
	}
	if s.cfg.MasterKey != "" {
		if err := copyFile(s.cfg.MasterKey, filepath.Join(s.cfg.To, "master.key")); err != nil {
			return err
		}
		s.report.MasterKey = true
	}
	info, err := os.Stat(s.fresh)
	if err != nil {
		return err
	}
	s.report.DatabaseBytes = info.Size()
	if err := rename(s.fresh, filepath.Join(s.cfg.To, "kontor.db")); err != nil {
		return err
	}
	if s.cfg.NoBlobs {
		return nil
	}
	var old []blob.Key
	for f, err := range s.to.List(ctx) {
		if err != nil {
			return err
		}
		if !f.Upload && !s.known[f.Key] {
			old = append(old, f.Key)
		}
	}
	s.report.Removed = int64(len(old))
	for _, key := range old {
		if err := s.to.Delete(ctx, key); err != nil {
			return err
		}
	}
	return nil
}

// copyFolder copies the files of a folder that changed. There may be none.
func copyFolder(from, to string) error {
	entries, err := os.ReadDir(from)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !e.Type().IsRegular() {
			continue
		}
		if err := copyFile(filepath.Join(from, e.Name()), filepath.Join(to, e.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return durable.SyncDir(to)
}

// copyFile copies a file, whole before it has its name.
func copyFile(from, to string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	out, err := os.OpenFile(to+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	if _, err = io.Copy(out, in); err == nil {
		err = out.Sync()
	}
	if err := errors.Join(err, out.Close()); err != nil {
		return err
	}
	return rename(to+".new", to)
}

// rename gives a file that is durable its name, durably.
func rename(from, to string) error {
	f, err := os.OpenFile(from, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	// What belongs to the database that had the name is not this one's.
	for _, end := range []string{"-wal", "-shm"} {
		if err := os.Remove(to + end); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if err := os.Rename(from, to); err != nil {
		return err
	}
	return durable.SyncDir(filepath.Dir(to))
}

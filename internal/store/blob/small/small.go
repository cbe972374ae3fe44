// Package small keeps content in memory as long as it is small, in front of any store,
// so that whoever commits it may put it into the database instead (blob.Holder), and
// reads what the database has, as if the store had it.
//
// It guarantees what package blob asks for. An unfinished upload that is small has its
// bytes in its Progress. It leaves out how content comes into the database: that is
// meta.BlobWriter.AddBlob, in the transaction that links the blob.
//
// The reasons are in docs/design/0033-small-blobs-in-the-database.md.
package small

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"sync"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/store/blob"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// DefaultMaxBytes is the default of Config.MaxBytes.
const DefaultMaxBytes = 32 << 10

// Config is what a store needs.
type Config struct {
	Blobs blob.Store // required; for content that is larger
	Meta  meta.Store // required; the database that has the rest
	// MaxBytes is the size of the largest content that is kept in memory.
	// Default DefaultMaxBytes.
	MaxBytes int
}

// Store is a blob.Store whose small content may be in the database.
type Store struct {
	cfg Config

	mu      sync.Mutex
	writing map[blob.Key]struct{} // guarded by mu; keys that have a writer with content in memory
}

var (
	_ blob.Store      = (*Store)(nil)
	_ blob.Installed  = (*Store)(nil)
	_ blob.Bound      = (*Store)(nil)
	_ blob.Verifier   = (*Store)(nil)
	_ blob.Redirector = (*Store)(nil)
)

// New returns a Store.
func New(cfg Config) *Store {
	if cfg.MaxBytes == 0 {
		cfg.MaxBytes = DefaultMaxBytes
	}
	return &Store{cfg: cfg, writing: map[blob.Key]struct{}{}}
}

// heldState is what the State of an upload begins with whose bytes follow. No other
// store's state begins like it.
var heldState = []byte("held:")

// Append implements blob.Store. Its Writer is a blob.Holder.
func (s *Store) Append(ctx context.Context, key blob.Key, p blob.Progress) (blob.Writer, error) {
	if err := check(ctx, key); err != nil {
		return nil, err
	}
	held, ours := bytes.CutPrefix(p.State, heldState)
	switch {
	case p.Offset == 0 && len(p.State) == 0:
	case ours && int64(len(held)) != p.Offset:
		return nil, fmt.Errorf("going on with upload %s at byte %d: %w: its state has %d bytes", key, p.Offset, blob.ErrNotFound, len(held))
	case !ours:
		w, err := s.cfg.Blobs.Append(ctx, key, p)
		if err != nil {
			return nil, err
		}
		return &writer{s: s, key: key, inner: w}, nil
	}
	if err := s.lock(key); err != nil {
		return nil, err
	}
	return &writer{s: s, key: key, locked: true, held: bytes.Clone(held)}, nil
}

// check is the beginning of an operation on an upload, as package disk has it.
func check(ctx context.Context, key blob.Key) error {
	if !key.Valid() {
		return fmt.Errorf("%w: key %q is not 32 lower-case hex digits", blob.ErrNotFound, key)
	}
	return ctx.Err()
}

func (s *Store) lock(key blob.Key) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, busy := s.writing[key]; busy {
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

// Discard implements blob.Store.
func (s *Store) Discard(ctx context.Context, key blob.Key) error {
	if err := check(ctx, key); err != nil {
		return err
	}
	if err := s.lock(key); err != nil {
		return err
	}
	defer s.unlock(key)
	return s.cfg.Blobs.Discard(ctx, key)
}

// Open implements blob.Store. What the database has was not compared with its digest.
func (s *Store) Open(ctx context.Context, key blob.Key) (blob.File, error) {
	if !key.InDatabase() {
		return s.cfg.Blobs.Open(ctx, key)
	}
	var content []byte
	err := s.cfg.Meta.View(ctx, func(ctx context.Context, r meta.Reader) (err error) {
		content, err = r.Retention().BlobContent(ctx, key)
		return err
	})
	switch {
	case errors.Is(err, meta.ErrNotFound):
		return nil, fmt.Errorf("%w: %s", blob.ErrNotFound, key)
	case err != nil:
		return nil, fmt.Errorf("opening blob %s: %w", key, err)
	}
	return NewFile(content), nil
}

// Delete implements blob.Store. What the database has goes with its blob's row, and not
// before.
func (s *Store) Delete(ctx context.Context, key blob.Key) error {
	if key.InDatabase() {
		return ctx.Err()
	}
	return s.cfg.Blobs.Delete(ctx, key)
}

// listPage is how many rows List reads at once.
const listPage = 500

// List implements blob.Store. What the database has comes first.
func (s *Store) List(ctx context.Context) iter.Seq2[blob.Info, error] {
	return func(yield func(blob.Info, error) bool) {
		rows := meta.Pages(blob.Key(blob.InDatabase), listPage, func(after blob.Key, limit int) (page []meta.Blob, err error) {
			err = s.cfg.Meta.View(ctx, func(ctx context.Context, r meta.Reader) (err error) {
				page, err = r.ListBlobs(ctx, after, limit)
				return err
			})
			return page, err
		}, func(b meta.Blob) blob.Key { return b.Key })
		for b, err := range rows {
			if err != nil {
				yield(blob.Info{}, fmt.Errorf("listing the blobs that the database has: %w", err))
				return
			}
			if !b.Key.InDatabase() {
				break // those that it has lie next to each other
			}
			if !yield(blob.Info{Key: b.Key, SizeBytes: b.SizeBytes, ModTime: b.CreatedAt}, nil) {
				return
			}
		}
		for info, err := range s.cfg.Blobs.List(ctx) {
			if !yield(info, err) {
				return
			}
		}
	}
}

// Bind implements blob.Bound for an inner store that does.
func (s *Store) Bind(ctx context.Context, database string) (string, error) {
	return blob.Bind(ctx, s.cfg.Blobs, database)
}

// Installation implements blob.Installed.
func (s *Store) Installation(ctx context.Context) (string, error) {
	return blob.InstallationOf(ctx, s.cfg.Blobs)
}

// Verified implements blob.Verifier for an inner store that does. It says nothing about
// what the database has.
func (s *Store) Verified() bool {
	inner, ok := s.cfg.Blobs.(blob.Verifier)
	return ok && inner.Verified()
}

// Redirect implements blob.Redirector for an inner store that does. What the database
// has must be served.
func (s *Store) Redirect(ctx context.Context, key blob.Key) (string, error) {
	if inner, ok := s.cfg.Blobs.(blob.Redirector); ok && !key.InDatabase() {
		return inner.Redirect(ctx, key)
	}
	return "", nil
}

// file is content in memory.
type file struct{ *bytes.Reader }

// NewFile is content as an opened file.
func NewFile(content []byte) blob.File { return file{bytes.NewReader(content)} }

// Close implements io.Closer.
func (file) Close() error { return nil }

// errEnded is the answer of a writer after its end.
var errEnded = fmt.Errorf("upload writer: %w", fs.ErrClosed)

// writer has what it received in memory until that is too much. Then inner has it.
type writer struct {
	s      *Store
	key    blob.Key
	locked bool // the store's lock is this writer's
	held   []byte
	inner  blob.Writer // nil while everything is held
	err    error       // why everything could not be given to inner
	ended  bool
}

// Held implements blob.Holder.
func (w *writer) Held() ([]byte, bool) {
	if w.inner != nil || w.err != nil {
		return nil, false
	}
	if w.held == nil {
		return []byte{}, true
	}
	return w.held, true // what is appended later does not change it
}

// Offset implements blob.Writer.
func (w *writer) Offset() int64 {
	if w.inner != nil {
		return w.inner.Offset()
	}
	return int64(len(w.held))
}

// room is how much more may be held.
func (w *writer) room() int { return w.s.cfg.MaxBytes - len(w.held) }

// Write implements io.Writer.
func (w *writer) Write(p []byte) (int, error) {
	if w.ended {
		return 0, errEnded
	}
	if w.inner == nil && w.err == nil && len(p) <= w.room() {
		w.held = append(w.held, p...)
		return len(p), nil
	}
	if err := w.spill(context.Background()); err != nil {
		return 0, err
	}
	return w.inner.Write(p)
}

// spill gives everything to the inner store, if that has not been done.
func (w *writer) spill(ctx context.Context) error {
	if w.inner != nil || w.err != nil {
		return w.err
	}
	inner, err := w.s.cfg.Blobs.Append(ctx, w.key, blob.Progress{})
	if err == nil && len(w.held) > 0 {
		if _, err = inner.Write(w.held); err != nil {
			err = errors.Join(err, inner.Abort())
		}
	}
	if err != nil {
		w.err = err
		return err
	}
	w.inner, w.held = inner, nil
	return nil
}

// firstBytes is how much ReadFrom makes room for at first, while it is not known how
// much comes.
const firstBytes = 4 << 10

// ReadFrom is io.Copy from r.
func (w *writer) ReadFrom(r io.Reader) (n int64, err error) {
	if w.ended {
		return 0, errEnded
	}
	for w.inner == nil && w.err == nil && w.room() > 0 {
		if free := cap(w.held) - len(w.held); free == 0 {
			w.held = append(make([]byte, 0, min(max(2*len(w.held), firstBytes), w.s.cfg.MaxBytes)), w.held...)
		}
		m, err := r.Read(w.held[len(w.held):min(cap(w.held), w.s.cfg.MaxBytes)])
		w.held = w.held[:len(w.held)+m]
		n += int64(m)
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
	if w.inner == nil && w.err == nil {
		// It is full; whether there is more says the next byte.
		var next [1]byte
		m, err := io.ReadFull(r, next[:])
		if m == 0 {
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return n, err
		}
		if _, err := w.Write(next[:]); err != nil {
			return n, err
		}
		n++
	}
	if w.err != nil {
		return n, w.err
	}
	inner, ok := w.inner.(io.ReaderFrom)
	if !ok {
		m, err := io.Copy(struct{ io.Writer }{w.inner}, r)
		return n + m, err
	}
	m, err := inner.ReadFrom(r)
	return n + m, err
}

// end is the beginning of each way to end a writer.
func (w *writer) end() error {
	if w.ended {
		return errEnded
	}
	w.ended = true
	if w.locked {
		w.s.unlock(w.key)
	}
	return nil
}

// Suspend implements blob.Writer.
func (w *writer) Suspend(ctx context.Context) (blob.Progress, error) {
	if err := w.end(); err != nil {
		return blob.Progress{}, err
	}
	switch {
	case w.err != nil:
		return blob.Progress{}, w.err
	case w.inner != nil:
		return w.inner.Suspend(ctx)
	case ctx.Err() != nil:
		return blob.Progress{}, ctx.Err()
	}
	return blob.Progress{Offset: int64(len(w.held)), State: append(bytes.Clone(heldState), w.held...)}, nil
}

// Commit implements blob.Writer: the inner store has the content afterwards.
func (w *writer) Commit(ctx context.Context, any ...ecr.Digest) (ecr.Digest, error) {
	if w.ended {
		return "", errEnded
	}
	err := w.spill(ctx)
	if ended := w.end(); ended != nil || err != nil {
		return "", errors.Join(err, ended)
	}
	return w.inner.Commit(ctx, any...)
}

// Committed implements blob.Committed for an inner writer that does.
func (w *writer) Committed() fs.FileInfo {
	if inner, ok := w.inner.(blob.Committed); ok {
		return inner.Committed()
	}
	return nil
}

// Abort implements blob.Writer.
func (w *writer) Abort() error {
	if err := w.end(); err != nil {
		return err
	}
	w.held = nil
	if w.inner != nil {
		return w.inner.Abort()
	}
	return nil
}

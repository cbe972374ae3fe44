// Package limited puts an upper limit on the size of blobs, in front of any
// store. A writer that is given more refuses it, and what it has received can
// only be removed.
package limited

import (
	"context"
	"io"
	"io/fs"
	"iter"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/store/blob"
)

// Config is what a store needs.
type Config struct {
	Blobs blob.Store // required
	// MaxBytes is the size of the largest blob. Required.
	MaxBytes int64
}

// Store is a blob.Store that takes no blob larger than its limit. Those that
// are larger already can be read.
type Store struct{ cfg Config }

var (
	_ blob.Store      = (*Store)(nil)
	_ blob.Verifier   = (*Store)(nil)
	_ blob.Redirector = (*Store)(nil)
)

// New returns a Store.
func New(cfg Config) *Store { return &Store{cfg: cfg} }

// Append implements blob.Store. The Writer's Write fails with an *ecr.Error.
func (s *Store) Append(ctx context.Context, key blob.Key, p blob.Progress) (blob.Writer, error) {
	w, err := s.cfg.Blobs.Append(ctx, key, p)
	if err != nil {
		return nil, err
	}
	return &writer{w: w, max: s.cfg.MaxBytes}, nil
}

// Discard implements blob.Store.
func (s *Store) Discard(ctx context.Context, key blob.Key) error {
	return s.cfg.Blobs.Discard(ctx, key)
}

// Open implements blob.Store; the File is the inner store's own.
func (s *Store) Open(ctx context.Context, key blob.Key) (blob.File, error) {
	return s.cfg.Blobs.Open(ctx, key)
}

// Delete implements blob.Store.
func (s *Store) Delete(ctx context.Context, key blob.Key) error {
	return s.cfg.Blobs.Delete(ctx, key)
}

// List implements blob.Store.
func (s *Store) List(ctx context.Context) iter.Seq2[blob.Info, error] {
	return s.cfg.Blobs.List(ctx)
}

// Bind implements blob.Bound for an inner store that does.
func (s *Store) Bind(ctx context.Context, database string) (string, error) {
	return blob.Bind(ctx, s.cfg.Blobs, database)
}

// Installation implements blob.Installed.
func (s *Store) Installation(ctx context.Context) (string, error) {
	return blob.InstallationOf(ctx, s.cfg.Blobs)
}

// Verified implements blob.Verifier for an inner store that does.
func (s *Store) Verified() bool {
	inner, ok := s.cfg.Blobs.(blob.Verifier)
	return ok && inner.Verified()
}

// Redirect implements blob.Redirector for an inner store that does.
func (s *Store) Redirect(ctx context.Context, key blob.Key) (string, error) {
	if inner, ok := s.cfg.Blobs.(blob.Redirector); ok {
		return inner.Redirect(ctx, key)
	}
	return "", nil
}

type writer struct {
	w    blob.Writer
	max  int64
	over error
}

func (w *writer) Write(p []byte) (int, error) {
	if w.over == nil && int64(len(p)) > w.max-w.w.Offset() {
		w.over = tooLarge(w.max)
	}
	if w.over != nil {
		return 0, w.over
	}
	return w.w.Write(p)
}

// ReadFrom is io.Copy from r. It lets an inner writer do so that can.
func (w *writer) ReadFrom(r io.Reader) (int64, error) {
	inner, ok := w.w.(io.ReaderFrom)
	if !ok || w.over != nil {
		return io.Copy(struct{ io.Writer }{w}, r)
	}
	return inner.ReadFrom(&bounded{r: r, w: w, left: w.max - w.w.Offset()})
}

// bounded is what may be read of r.
type bounded struct {
	r    io.Reader
	w    *writer
	left int64
}

func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if b.left -= int64(n); b.left < 0 {
		b.w.over = tooLarge(b.w.max)
		return 0, b.w.over
	}
	return n, err
}

func tooLarge(most int64) error {
	return ecr.Errorf(ecr.CodeLimitExceeded, "The layer is larger than the limit of %d bytes", most)
}

// Committed implements blob.Committed for an inner writer that does.
func (w *writer) Committed() fs.FileInfo {
	if inner, ok := w.w.(blob.Committed); ok {
		return inner.Committed()
	}
	return nil
}

// Held implements blob.Holder for an inner writer that does.
func (w *writer) Held() ([]byte, bool) {
	if inner, ok := w.w.(blob.Holder); ok && w.over == nil {
		return inner.Held()
	}
	return nil, false
}

func (w *writer) Offset() int64 { return w.w.Offset() }

func (w *writer) Suspend(ctx context.Context) (blob.Progress, error) { return w.w.Suspend(ctx) }

func (w *writer) Commit(ctx context.Context, any ...ecr.Digest) (ecr.Digest, error) {
	return w.w.Commit(ctx, any...)
}

func (w *writer) Abort() error { return w.w.Abort() }

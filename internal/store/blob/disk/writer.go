package disk

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"sync"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/store/blob"
)

// errEnded answers the use of a writer after Suspend, Commit or Abort.
var errEnded = fmt.Errorf("upload writer: %w", fs.ErrClosed)

// writer is the only one writing its key, see Store.lock. Whatever fails takes
// back what this writer wrote, and leaves what the writers before it suspended.
type writer struct {
	s      *Store
	key    blob.Key
	file   File      // nil once closed
	hash   hash.Hash // sha256 of the first offset bytes
	offset int64
	start  int64 // the offset this writer began at; below it all is durable
	err    error // why writing failed; what was written is taken back already
	ended  bool
	info   fs.FileInfo // of the file that was committed
}

// Append continues writing the upload key from p. A key that was committed is no
// upload any more: ErrNotFound, whatever p says.
func (s *Store) Append(ctx context.Context, key blob.Key, p blob.Progress) (blob.Writer, error) {
	if err := check(ctx, key); err != nil {
		return nil, err
	}
	if err := s.lock(key); err != nil {
		return nil, err
	}
	w, err := s.append(key, p)
	if err != nil {
		s.unlock(key)
		return nil, fmt.Errorf("going on with upload %s at byte %d: %w", key, p.Offset, noSpace(err))
	}
	return w, nil
}

// append is Append for the holder of the lock.
func (s *Store) append(key blob.Key, p blob.Progress) (*writer, error) {
	// A crash can leave a committed file under its old name as well, where
	// writing to it would change what was committed.
	switch _, err := s.fs.Stat(s.blob(key)); {
	case err == nil:
		return nil, fmt.Errorf("%w: it was committed", blob.ErrNotFound)
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	w := &writer{s: s, key: key, hash: sha256.New(), offset: p.Offset, start: p.Offset}
	if p.Offset != 0 || len(p.State) != 0 {
		if err := w.hash.(encoding.BinaryUnmarshaler).UnmarshalBinary(p.State); err != nil {
			return nil, fmt.Errorf("%w: its state is of no use: %w", blob.ErrNotFound, err)
		}
	}
	switch info, err := s.fs.Stat(s.upload(key)); {
	case errors.Is(err, fs.ErrNotExist):
		if p.Offset != 0 {
			return nil, blob.ErrNotFound
		}
	case err != nil:
		return nil, err
	case info.Size() < p.Offset:
		return nil, fmt.Errorf("%w: only %d bytes are there", blob.ErrNotFound, info.Size())
	case info.Size() > p.Offset:
		if err := s.fs.Truncate(s.upload(key), p.Offset); err != nil {
			return nil, err
		}
	}
	flag := os.O_RDWR
	if p.Offset == 0 {
		flag |= os.O_CREATE
	}
	var err error
	w.file, err = s.fs.OpenFile(s.upload(key), flag, 0o600)
	return w, err
}

// Offset is the number of bytes received, earlier requests included.
func (w *writer) Offset() int64 { return w.offset }

// Write writes and hashes p. After an error the upload is where this writer
// began, and the writer is good for nothing but to be ended.
func (w *writer) Write(p []byte) (int, error) {
	if w.ended {
		return 0, errEnded
	}
	if w.err != nil {
		return 0, w.err
	}
	n, err := w.write(p)
	if err == nil {
		w.hash.Write(p)
	}
	return n, err
}

// write is Write without the hash.
func (w *writer) write(p []byte) (int, error) {
	n, err := w.file.WriteAt(p, w.offset)
	if err != nil {
		w.err = fmt.Errorf("writing upload %s: %w", w.key, w.takeBack(err))
		return n, w.err
	}
	w.offset += int64(n)
	return n, nil
}

const (
	// beside is after how many bytes of one request a hash of its own goroutine pays,
	// step how much it is given at once.
	beside = 512 << 10
	step   = 256 << 10
	// short is how much is read at once before that.
	short = 32 << 10
)

// The buffers of ReadFrom, of step and of short bytes.
var (
	steps  = sync.Pool{New: func() any { b := make([]byte, step); return &b }}
	shorts = sync.Pool{New: func() any { b := make([]byte, short); return &b }}
)

// ReadFrom is io.Copy from r. What is long is hashed beside writing and reading on.
func (w *writer) ReadFrom(r io.Reader) (n int64, err error) {
	if w.ended || w.err != nil {
		return 0, cmp.Or(w.err, errEnded)
	}
	done, n, err := w.readShort(r)
	if done || err != nil {
		return n, err
	}
	m, err := w.readBeside(r)
	return n + m, err
}

// readShort is ReadFrom for the first bytes; done says that there are no more.
func (w *writer) readShort(r io.Reader) (done bool, n int64, err error) {
	buf := shorts.Get().(*[]byte)
	defer shorts.Put(buf)
	for n < beside {
		m, err := r.Read(*buf)
		if m > 0 {
			wrote, werr := w.Write((*buf)[:m])
			n += int64(wrote)
			if werr != nil {
				return true, n, werr
			}
		}
		if errors.Is(err, io.EOF) {
			return true, n, nil
		}
		if err != nil {
			return true, n, err
		}
	}
	return false, n, nil
}

// readBeside is ReadFrom with a goroutine that hashes one of two buffers while the
// other is filled and written. It has ended when readBeside returns.
func (w *writer) readBeside(r io.Reader) (n int64, err error) {
	one, other := steps.Get().(*[]byte), steps.Get().(*[]byte)
	defer steps.Put(one)
	defer steps.Put(other)
	full, free, over := make(chan []byte, 1), make(chan []byte, 2), make(chan struct{})
	free <- *one
	free <- *other
	go func() {
		defer close(over)
		for b := range full {
			w.hash.Write(b)
			free <- b[:step]
		}
	}()
	defer func() { <-over }()
	defer close(full)
	for {
		b := <-free
		m, rerr := fill(r, b)
		if m > 0 {
			wrote, werr := w.write(b[:m])
			n += int64(wrote)
			if werr != nil {
				return n, werr
			}
			full <- b[:m]
		}
		if errors.Is(rerr, io.EOF) {
			return n, nil
		}
		if rerr != nil {
			return n, rerr
		}
	}
}

// fill reads until b is full, or r ends or fails.
func fill(r io.Reader, b []byte) (n int, err error) {
	for n < len(b) && err == nil {
		var m int
		m, err = r.Read(b[n:])
		n += m
	}
	return n, err
}

// Suspend makes the bytes durable and returns where to continue.
func (w *writer) Suspend(ctx context.Context) (blob.Progress, error) {
	if w.ended {
		return blob.Progress{}, errEnded
	}
	defer w.end()
	if w.err != nil {
		return blob.Progress{}, w.err
	}
	state, err := w.suspend(ctx)
	if err != nil {
		return blob.Progress{}, fmt.Errorf("suspending upload %s: %w", w.key, w.takeBack(err))
	}
	return blob.Progress{Offset: w.offset, State: state}, nil
}

func (w *writer) suspend(ctx context.Context) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	state, err := w.hash.(encoding.BinaryMarshaler).MarshalBinary()
	if err != nil {
		return nil, err
	}
	if w.offset == w.start { // an earlier Suspend did it, or there is nothing to keep
		return state, w.close()
	}
	if err := w.file.Sync(); err != nil {
		return nil, err
	}
	if err := w.close(); err != nil {
		return nil, err
	}
	if w.start == 0 { // otherwise an earlier Suspend did it
		if err := w.s.fs.SyncDir(w.s.uploads()); err != nil {
			return nil, err
		}
	}
	return state, nil
}

// Commit checks the content and makes it durable under its key. It may be
// cancelled until the content has its final name.
func (w *writer) Commit(ctx context.Context, digests ...ecr.Digest) (ecr.Digest, error) {
	if w.ended {
		return "", errEnded
	}
	defer w.end()
	if w.err != nil {
		return "", w.err
	}
	d, err := w.match(ctx, digests)
	switch {
	case errors.Is(err, blob.ErrDigestMismatch):
		return "", fmt.Errorf("committing upload %s: %w", w.key, errors.Join(err, w.discard()))
	case err == nil:
		err = w.finish(ctx)
	}
	if err != nil {
		return "", fmt.Errorf("committing upload %s: %w", w.key, w.takeBack(err))
	}
	// From here on the upload is gone.
	if err := w.s.fs.SyncDir(w.s.fan(w.key)); err != nil {
		// Whether the name is durable is not known, and a second sync would
		// not tell: the kernel reports an error once.
		err = errors.Join(noSpace(err), remove(w.s.fs, w.s.blob(w.key)))
		return "", fmt.Errorf("committing upload %s: %w", w.key, err)
	}
	return d, nil
}

// finish makes the file durable and gives it its final name. It syncs also what
// was suspended whole: a process may have been killed after it cut the file to
// the size it has now, and before the cut was durable.
func (w *writer) finish(ctx context.Context) error {
	if err := w.file.Sync(); err != nil {
		return err
	}
	if s, ok := w.file.(interface{ Stat() (fs.FileInfo, error) }); ok {
		var err error
		if w.info, err = s.Stat(); err != nil {
			return err
		}
	}
	if err := w.close(); err != nil { // Windows renames closed files only
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return w.s.fs.Rename(w.s.upload(w.key), w.s.blob(w.key))
}

// match returns the first of digests that is the content's digest, or
// ErrDigestMismatch. It reads the content again only for other algorithms than
// sha256, and once for each.
func (w *writer) match(ctx context.Context, digests []ecr.Digest) (ecr.Digest, error) {
	sums := map[string]ecr.Digest{"sha256": digest("sha256", w.hash)}
	for _, d := range digests {
		if err := ctx.Err(); err != nil {
			return "", err
		}
		a := d.Algorithm()
		if _, ok := sums[a]; !ok {
			h := d.Hash()
			if err := copyContext(ctx, h, io.NewSectionReader(w.file, 0, w.offset)); err != nil {
				return "", err
			}
			sums[a] = digest(a, h)
		}
		if sums[a] == d {
			return d, nil
		}
	}
	return "", fmt.Errorf("%w: want one of %q, it is %s", blob.ErrDigestMismatch, digests, sums["sha256"])
}

func digest(algorithm string, h hash.Hash) ecr.Digest {
	return ecr.Digest(algorithm + ":" + hex.EncodeToString(h.Sum(nil)))
}

// copyContext copies r to w until its end, or until ctx is done.
func copyContext(ctx context.Context, w io.Writer, r io.Reader) error {
	buf := make([]byte, 256<<10)
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := r.Read(buf)
		if _, err := w.Write(buf[:n]); err != nil {
			return err
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// Committed implements blob.Committed.
func (w *writer) Committed() fs.FileInfo { return w.info }

// Abort removes everything received under the key.
func (w *writer) Abort() error {
	if w.ended {
		return errEnded
	}
	defer w.end()
	if err := w.discard(); err != nil {
		return fmt.Errorf("aborting upload %s: %w", w.key, err)
	}
	return nil
}

// end lets other writers have the key.
func (w *writer) end() {
	w.ended = true
	w.s.unlock(w.key)
}

func (w *writer) close() error {
	if w.file == nil {
		return nil
	}
	f := w.file
	w.file = nil
	return f.Close()
}

// discard removes the upload whole.
func (w *writer) discard() error {
	return errors.Join(w.close(), remove(w.s.fs, w.s.upload(w.key)))
}

// takeBack makes the upload what it was when this writer began, which frees
// what space it took, and returns cause with what else went wrong. After a
// sync that failed it is also the only right thing: the kernel may have dropped
// the bytes, and a later sync would not say so.
func (w *writer) takeBack(cause error) error {
	w.offset = w.start
	if w.start == 0 {
		return errors.Join(noSpace(cause), w.discard())
	}
	return errors.Join(noSpace(cause), w.close(), w.s.fs.Truncate(w.s.upload(w.key), w.start))
}

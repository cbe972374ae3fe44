package disk_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"sync"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/store/blob"
	"github.com/kontor-registry/kontor/internal/store/blob/crashfs"
	"github.com/kontor-registry/kontor/internal/store/blob/disk"
)

const dataDir = "/var/kontor/blobs"

// history is what was done to a store on a disk, and what the store promised
// by returning. It is safe for concurrent use on different keys.
type history struct {
	disk *crashfs.Disk

	mu       sync.Mutex
	promises []*promise          // guarded by mu
	contents map[blob.Key][]byte // guarded by mu; nil for a key that must never have content
	keys     byte                // guarded by mu; number of keys made
}

// promise says that what is under a key is there after each crash at an
// operation of from..until.
type promise struct {
	from, until int
	key         blob.Key
	committed   bool
	progress    blob.Progress // of what is not committed
}

func (p *promise) holds(at int) bool { return p.from <= at && at <= p.until }

func newHistory() *history {
	return &history{disk: crashfs.New(), contents: map[blob.Key][]byte{}}
}

// open is a process that begins.
func (h *history) open(fsys *crashfs.FS) (*process, error) {
	fsys.Disk = h.disk
	s, err := disk.Open(disk.Config{Dir: dataDir, FS: fsys})
	return &process{h, s}, err
}

// key makes a key whose content is to be size bytes. Keys are the same in each
// run; two have the same folder.
func (h *history) key(size int) blob.Key {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.keys++
	key := blob.Key(fmt.Sprintf("%02x%030x", h.keys/2, h.keys))
	b := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{h.keys}).Read(b) // never fails
	h.contents[key] = b
	return key
}

func (h *history) content(key blob.Key) []byte {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.contents[key]
}

// promised is called when a call has returned.
func (h *history) promised(p promise) {
	h.mu.Lock()
	defer h.mu.Unlock()
	p.from, p.until = h.disk.Len(), math.MaxInt
	h.promises = append(h.promises, &p)
}

// void is called before a call that ends promises about key: if committed
// those about content, else those about uploads beyond offset.
func (h *history) void(key blob.Key, committed bool, offset int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, p := range h.promises {
		if p.key == key && p.committed == committed && (committed || p.progress.Offset > offset) {
			p.until = min(p.until, h.disk.Len())
		}
	}
}

// process is a store in use that keeps book.
type process struct {
	h *history
	s blob.Store
}

// append writes the content of key from p up to end, in writes of at most
// 1500 bytes.
func (p *process) append(key blob.Key, from blob.Progress, end int) (blob.Writer, error) {
	p.h.void(key, false, from.Offset)
	w, err := p.s.Append(context.Background(), key, from)
	if err != nil {
		return nil, err
	}
	for part := range slices.Chunk(p.h.content(key)[from.Offset:end], 1500) {
		if _, err := w.Write(part); err != nil {
			_, end := w.Suspend(context.Background())
			return nil, errors.Join(err, end)
		}
	}
	return w, nil
}

func (p *process) suspend(key blob.Key, w blob.Writer) (blob.Progress, error) {
	to, err := w.Suspend(context.Background())
	if err == nil {
		p.h.promised(promise{key: key, progress: to})
	}
	return to, err
}

func (p *process) commit(key blob.Key, w blob.Writer) error {
	p.h.void(key, false, -1)
	_, err := w.Commit(context.Background(), ecr.DigestOf(p.h.content(key)))
	if err == nil {
		p.h.promised(promise{key: key, committed: true})
	}
	return err
}

// put does all of it at once.
func (p *process) put(key blob.Key, from blob.Progress) error {
	w, err := p.append(key, from, len(p.h.content(key)))
	if err != nil {
		return err
	}
	return p.commit(key, w)
}

// part continues with an upload up to end.
func (p *process) part(key blob.Key, from blob.Progress, end int) (blob.Progress, error) {
	w, err := p.append(key, from, end)
	if err != nil {
		return blob.Progress{}, err
	}
	return p.suspend(key, w)
}

func (p *process) delete(key blob.Key) error {
	p.h.void(key, true, 0)
	return p.s.Delete(context.Background(), key)
}

func (p *process) discard(key blob.Key) error {
	p.h.void(key, false, -1)
	return p.s.Discard(context.Background(), key)
}

// check says what is wrong on a disk after a crash at operation at: a promise
// that is broken, or anything under a committed key that is not the whole and
// right content. copyDisk returns the same disk each time, unharmed.
func (h *history) check(at int, copyDisk func() *crashfs.Disk) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	ctx := context.Background()
	open := func() (blob.Store, error) {
		return disk.Open(disk.Config{Dir: dataDir, FS: &crashfs.FS{Disk: copyDisk()}})
	}
	s, err := open()
	if err != nil {
		return err
	}
	listed := map[blob.Key]bool{}
	for i, err := range s.List(ctx) {
		if err != nil {
			return err
		}
		listed[i.Key] = listed[i.Key] || !i.Upload
	}
	there := map[blob.Key]bool{}
	for key, want := range h.contents {
		got, err := read(s, key)
		switch {
		case errors.Is(err, blob.ErrNotFound):
		case err != nil:
			return err
		case !listed[key]:
			return fmt.Errorf("%s can be opened but is not listed", key)
		case want == nil || !bytes.Equal(got, want):
			return fmt.Errorf("%s is served with wrong content: %d bytes, want %d", key, len(got), len(want))
		default:
			there[key] = true
		}
	}
	gone := map[blob.Key]bool{} // completed on the disk that s is on
	for _, p := range h.promises {
		switch {
		case !p.holds(at):
		case p.committed && !there[p.key]:
			return fmt.Errorf("%s was committed and is lost", p.key)
		case !p.committed:
			if gone[p.key] {
				if s, err = open(); err != nil {
					return err
				}
				clear(gone)
			}
			gone[p.key] = true
			if err := h.goOn(s, p); err != nil {
				return fmt.Errorf("%s was suspended at byte %d and cannot go on: %w", p.key, p.progress.Offset, err)
			}
		}
	}
	return nil
}

// goOn completes a suspended upload.
func (h *history) goOn(s blob.Store, p *promise) error {
	ctx := context.Background()
	want := h.contents[p.key]
	if want == nil {
		return nil // is to end with the wrong digest
	}
	w, err := s.Append(ctx, p.key, p.progress)
	if err != nil {
		return err
	}
	if _, err := w.Write(want[p.progress.Offset:]); err != nil {
		return err
	}
	if _, err := w.Commit(ctx, ecr.DigestOf(want)); err != nil {
		return err
	}
	got, err := read(s, p.key)
	if err == nil && !bytes.Equal(got, want) {
		err = errors.New("content is wrong in the end")
	}
	return err
}

func read(s blob.Store, key blob.Key) ([]byte, error) {
	f, err := s.Open(context.Background(), key)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(f)
	return b, errors.Join(err, f.Close())
}

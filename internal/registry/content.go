package registry

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/store/blob"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

const (
	// contentFor is how long it is believed that a file is what it was when it
	// was read last: a medium may lose bits without a file changing.
	contentFor = 24 * time.Hour
	// contentMax bounds the memory of what is believed to some 5 MB.
	contentMax = 1 << 14
	// contentStep is how much is read at once.
	contentStep = 256 << 10
	// contentAtOnce is the size of the largest blob that is read before it is served.
	// A larger one is read while it is served: no client waits for the whole of it.
	contentAtOnce = 4 << 20
	// besideMax is how many blobs may be read, or wait for that, while they are served.
	// One that finds no place is served, and read when it is asked for again.
	besideMax = 1000
)

// errStopping: the server stops, and reading on would keep it from that.
var errStopping = errors.New("the server is stopping")

// content knows which blobs were found to be what their digests say, so that
// what is served was read and compared at most contentFor ago, and its file
// has not changed since. See docs/design/0022.
type content struct {
	mu      sync.Mutex
	seen    map[blob.Key]sighting      // guarded by mu
	reading map[blob.Key]chan struct{} // guarded by mu; closed when it has been read
	// serving are the files of blobs that are being read and served, as far as they can
	// be closed while they are read.
	serving map[blob.Key][]*os.File // guarded by mu

	stopping atomic.Bool    // set with mu; nothing begins to read beside afterwards
	beside   sync.WaitGroup // those that read while others serve; Add with mu
	besides  int            // guarded by mu; how many those are
	places   chan struct{}  // one for each of them that reads, the others wait
}

// serve takes note that f is served while its blob is being read, and reports false
// when that is over.
func (c *content) serve(key blob.Key, f blob.File) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, on := c.reading[key]; !on {
		return false
	}
	c.serves(key, f)
	return true
}

// serves is called with mu. Files that were closed are forgotten before there is need of
// more room.
func (c *content) serves(key blob.Key, f blob.File) {
	file, ok := f.(*os.File)
	if !ok {
		return
	}
	if c.serving == nil {
		c.serving = map[blob.Key][]*os.File{}
	}
	files := c.serving[key]
	if len(files) == cap(files) {
		files = slices.DeleteFunc(files, func(f *os.File) bool {
			_, err := f.Stat()
			return errors.Is(err, os.ErrClosed)
		})
		files = slices.Grow(files, len(files)+1)
	}
	c.serving[key] = append(files, file)
}

// startBeside lets read run while f is served, unless too many do, or the server stops.
func (c *content) startBeside(key blob.Key, f blob.File, read func()) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.besides >= besideMax || c.stopping.Load() {
		return false
	}
	c.serves(key, f)
	c.besides++
	c.beside.Go(func() {
		defer func() {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.besides--
		}()
		c.places <- struct{}{}
		defer func() { <-c.places }()
		read()
	})
	return true
}

// StopReading ends the reading of blobs that are being served, and waits for that.
func (r *Registry) StopReading() {
	r.content.mu.Lock()
	r.content.stopping.Store(true)
	r.content.mu.Unlock()
	r.content.beside.Wait()
}

// sighting is what was found of a file.
type sighting struct {
	file   fs.FileInfo // nil where the store tells nothing of files
	at     time.Duration
	damage string // "" for none
}

// holds reports whether s tells of the file as it is now.
func (s sighting) holds(now fs.FileInfo, passed time.Duration) bool {
	if passed-s.at > contentFor {
		return false
	}
	if s.file == nil || now == nil {
		return s.file == nil && now == nil
	}
	return os.SameFile(s.file, now) && s.file.Size() == now.Size() && s.file.ModTime().Equal(now.ModTime())
}

func (c *content) note(key blob.Key, s sighting) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.seen == nil {
		c.seen = map[blob.Key]sighting{}
	}
	if _, known := c.seen[key]; !known && len(c.seen) >= contentMax {
		c.forget()
	}
	c.seen[key] = s
}

// forget makes room for one more: it is called with mu. What is damaged is remembered
// longest.
func (c *content) forget() {
	var one blob.Key
	for key, s := range c.seen {
		if one = key; s.damage == "" {
			break
		}
	}
	delete(c.seen, one)
}

// damaged reports whether the blob was damaged when it was read last.
func (c *content) damaged(key blob.Key) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.seen[key].damage != ""
}

// begin returns what is known of the file, or the task to read it. While
// another request reads it, it returns what to wait for. done ends the task, and
// returns the files that were served meanwhile.
func (c *content) begin(key blob.Key, now fs.FileInfo, passed time.Duration) (s sighting, known bool, wait <-chan struct{}, done func() []*os.File) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s, known = c.seen[key]; known && s.holds(now, passed) {
		return s, true, nil, nil
	}
	if read, others := c.reading[key]; others {
		return sighting{}, false, read, nil
	}
	read := make(chan struct{})
	if c.reading == nil {
		c.reading = map[blob.Key]chan struct{}{}
	}
	c.reading[key] = read
	return sighting{}, false, nil, func() []*os.File {
		c.mu.Lock()
		defer c.mu.Unlock()
		files := c.serving[key]
		delete(c.serving, key)
		delete(c.reading, key)
		close(read)
		return files
	}
}

func (r *Registry) passed() time.Duration {
	if r.cfg.Passed == nil {
		return 0
	}
	return r.cfg.Passed()
}

func fileInfo(f blob.File) (fs.FileInfo, error) {
	if s, ok := f.(interface{ Stat() (fs.FileInfo, error) }); ok {
		return s.Stat()
	}
	return nil, nil
}

// verified reports whether the store notices damage by itself.
func (r *Registry) verified() bool {
	v, ok := r.cfg.Blobs.(blob.Verifier)
	return ok && v.Verified()
}

// noteWritten takes note of a blob that has just been committed by w: what was
// written was compared with its digest. Not to know it costs no more than
// reading it again.
func (r *Registry) noteWritten(ctx context.Context, b meta.Blob, w blob.Writer) {
	if r.verified() {
		return
	}
	if made, ok := w.(blob.Committed); ok {
		if info := made.Committed(); info != nil {
			r.content.note(b.Key, sighting{file: info, at: r.passed()})
			return
		}
	}
	f, err := r.cfg.Blobs.Open(ctx, b.Key)
	if err != nil {
		return
	}
	if info, err := fileInfo(f); err == nil && (info == nil || info.Size() == b.SizeBytes) {
		r.content.note(b.Key, sighting{file: info, at: r.passed()})
	}
	if err := f.Close(); err != nil {
		r.cfg.Log.WarnContext(ctx, "closing a blob", "key", b.Key, "error", err)
	}
}

// verify makes sure that f is b's content: of its size, and what its digest
// says. One request reads a file, others for the same wait for it; a large one is read
// beside, and served meanwhile, unless it was damaged when it was read last. The position
// of f stays at its beginning. A client that goes away does not stop the
// reading: of a blob that takes longer than clients wait, nothing would ever be
// known. Of a store that notices damage by itself only the size is compared.
func (r *Registry) verify(ctx context.Context, f blob.File, b meta.Blob) error {
	return r.verifyAs(ctx, f, b, b.SizeBytes > contentAtOnce && !r.content.damaged(b.Key))
}

// verifyNow is verify, which reads a large blob, too, before it returns.
func (r *Registry) verifyNow(ctx context.Context, f blob.File, b meta.Blob) error {
	return r.verifyAs(ctx, f, b, false)
}

func (r *Registry) verifyAs(ctx context.Context, f blob.File, b meta.Blob, beside bool) error {
	if err := checkSize(f, b.SizeBytes); err != nil {
		return fmt.Errorf("is damaged: %w", err)
	}
	if r.verified() {
		return nil
	}
	for {
		now, err := fileInfo(f)
		if err != nil {
			return fmt.Errorf("cannot be read: %w", err)
		}
		s, known, wait, done := r.content.begin(b.Key, now, r.passed())
		switch {
		case known && s.damage != "":
			return fmt.Errorf("is damaged: %s", s.damage)
		case known:
			return nil
		case wait != nil && beside:
			if r.content.serve(b.Key, f) {
				return nil
			}
		case wait != nil:
			select {
			case <-wait:
			case <-ctx.Done():
				return ctx.Err()
			}
		case beside:
			lasting := context.WithoutCancel(ctx)
			if !r.content.startBeside(b.Key, f, func() { r.readBeside(lasting, b, done) }) {
				done()
			}
			return nil
		default:
			err := func() error {
				defer done()
				return r.read(f, b, now)
			}()
			if err != nil {
				return fmt.Errorf("cannot be read: %w", err)
			}
		}
	}
}

// readBeside reads b while it is served, with a file of its own. If it is damaged, those
// who are being served are cut off: they must not take it for whole, and who asks next is
// refused. What cannot be opened says nothing about the files that are open: a blob that
// was collected meanwhile is whole for those who have it.
func (r *Registry) readBeside(ctx context.Context, b meta.Blob, done func() []*os.File) {
	opened, err := r.readAgain(ctx, b)
	files := done()
	switch {
	case errors.Is(err, errStopping), errors.Is(err, blob.ErrNotFound):
		return // what was served is whole for all that is known
	case err != nil && !opened:
		r.cfg.Log.WarnContext(ctx, "a blob that is being served could not be opened to be checked", "digest", b.Digest, "key", b.Key, "error", err)
		return
	case err == nil && r.content.damaged(b.Key):
		err = errors.New("is damaged")
	case err == nil:
		return
	}
	r.cfg.Log.ErrorContext(ctx, "a blob that was being served is not what its digest says", "digest", b.Digest, "key", b.Key, "error", err, "cut_off", len(files))
	for _, f := range files {
		_ = f.Close() // by whoever serves it, perhaps
	}
}

// readAgain is read with a file of its own, and reports whether there was one.
func (r *Registry) readAgain(ctx context.Context, b meta.Blob) (opened bool, err error) {
	if r.content.stopping.Load() {
		return false, errStopping
	}
	f, err := r.cfg.Blobs.Open(ctx, b.Key)
	if err != nil {
		return false, err
	}
	now, err := fileInfo(f)
	if err == nil {
		err = r.read(f, b, now)
	}
	return true, errors.Join(err, f.Close())
}

// read reads b, whose file is now as it says, and notes whether it is damaged.
func (r *Registry) read(f io.ReaderAt, b meta.Blob, now fs.FileInfo) error {
	s := sighting{file: now, at: r.passed()}
	h := b.Digest.Hash()
	all := io.NewSectionReader(f, 0, b.SizeBytes)
	for step := make([]byte, min(contentStep, max(b.SizeBytes, 1))); ; {
		if b.SizeBytes > contentAtOnce && r.content.stopping.Load() {
			return errStopping
		}
		n, err := all.Read(step)
		_, _ = h.Write(step[:n]) // never fails, see hash.Hash
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
	}
	if got := ecr.Digest(b.Digest.Algorithm() + ":" + hex.EncodeToString(h.Sum(nil))); got != b.Digest {
		s.damage = "its content is " + string(got)
	}
	r.content.note(b.Key, s)
	return nil
}

// wholeManifest is an error for a manifest that is not what its digest says.
func wholeManifest(at ecr.Repo, m meta.Manifest) error {
	if m.Image.Digest.Verifies(m.Body) {
		return nil
	}
	return fmt.Errorf("manifest %s of %s/%s is damaged: its content is %s", m.Image.Digest, at.In, at.Name, ecr.DigestOf(m.Body))
}

package move

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/store/blob"
	"github.com/kontor-registry/kontor/internal/store/meta"
	"github.com/kontor-registry/kontor/internal/store/meta/transfer"
)

const (
	// page is how many rows are read at once.
	page = 500
	// maxPasses bounds how often new blobs are looked for while servers take more.
	maxPasses = 10
)

// id is a blob.Key in half its size: there are as many as blobs.
type id [16]byte

func idOf(key blob.Key) (i id, err error) {
	_, err = hex.Decode(i[:], []byte(strings.TrimPrefix(string(key), blob.InDatabase)))
	return i, err
}

// mover is one run.
type mover struct {
	cfg     Config
	state   state
	tables  []transfer.Sum
	uploads int64
	fence   string          // the id of the fence that this run has put up
	there   map[id]struct{} // what the destination had at the beginning; read only from then on

	mu       sync.Mutex
	phase    Phase           // guarded by mu
	verified map[id]struct{} // guarded by mu; read at the destination, by this run
	damaged  map[id]Damaged  // guarded by mu
	done     Report          // guarded by mu; its counts
}

func (m *mover) setPhase(p Phase) {
	m.mu.Lock()
	m.phase = p
	m.mu.Unlock()
	m.told("")
}

// told tells how far the move is.
func (m *mover) told(table string) {
	if m.cfg.Progress == nil {
		return
	}
	m.mu.Lock()
	p := Progress{Phase: m.phase, Blobs: m.done.Blobs, AllBlobs: max(m.state.all, m.done.Blobs), SizeBytes: m.done.BlobBytes,
		AllSizeBytes: max(m.state.size, m.done.BlobBytes), Table: table}
	m.mu.Unlock()
	m.cfg.Progress(p)
}

func (m *mover) report() Report {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := m.done
	r.Tables, r.Uploads, r.Damaged = slices.Clone(m.tables), m.uploads, make([]Damaged, 0, len(m.damaged))
	if r.Tables == nil {
		r.Tables = []transfer.Sum{}
	}
	for _, d := range m.damaged {
		r.Damaged = append(r.Damaged, d)
	}
	slices.SortFunc(r.Damaged, func(a, b Damaged) int { return strings.Compare(string(a.Key), string(b.Key)) })
	return r
}

// begin makes the blob store of the destination the source's, and removes what an
// earlier run left unfinished in it.
func (m *mover) begin(ctx context.Context) error {
	m.verified, m.damaged, m.there = map[id]struct{}{}, map[id]Damaged{}, map[id]struct{}{}
	if m.cfg.SameBlobs {
		return nil
	}
	var left []blob.Key
	for f, err := range m.cfg.To.Blobs.List(ctx) {
		if err != nil {
			return err
		}
		if f.Upload {
			left = append(left, f.Key)
			continue
		}
		if f.Key.InDatabase() {
			continue
		}
		key, err := idOf(f.Key)
		if err != nil {
			return err
		}
		m.there[key] = struct{}{}
	}
	if err := m.mine(ctx); err != nil {
		return err
	}
	owner, err := blob.Bind(ctx, m.cfg.To.Blobs, m.state.from.Database)
	if err != nil {
		return err
	}
	if owner != m.state.from.Database {
		return fmt.Errorf("%w: the blob store belongs to the database with id %s, and the data would come from that with %s: give an empty blob store", ErrOther, owner, m.state.from.Database)
	}
	for _, key := range left {
		if err := m.cfg.To.Blobs.Discard(ctx, key); err != nil {
			return err
		}
	}
	return nil
}

// mine is an error where the destination has content, and none of it is the source's.
func (m *mover) mine(ctx context.Context) error {
	if len(m.there) == 0 {
		return nil
	}
	for b, err := range m.sources(ctx) {
		if err != nil {
			return err
		}
		if b.Key.InDatabase() {
			continue
		}
		key, err := idOf(b.Key)
		if err != nil {
			return err
		}
		if _, ok := m.there[key]; ok {
			return nil
		}
	}
	return fmt.Errorf("%w: the blob store has content of another registry: give an empty one", ErrOther)
}

// sources yields the blobs of the source, in the order of their keys.
func (m *mover) sources(ctx context.Context) func(func(meta.Blob, error) bool) {
	return meta.Pages("", page, func(after blob.Key, limit int) (blobs []meta.Blob, err error) {
		err = m.cfg.Meta.View(ctx, func(ctx context.Context, r meta.Reader) (err error) {
			blobs, err = r.ListBlobs(ctx, after, limit)
			return err
		})
		return blobs, err
	}, func(b meta.Blob) blob.Key { return b.Key })
}

// copyBlobs copies until little comes that is new.
func (m *mover) copyBlobs(ctx context.Context) error {
	m.setPhase(PhaseBlobs)
	if m.cfg.SameBlobs {
		return nil
	}
	for range maxPasses {
		n, err := m.pass(ctx)
		if err != nil || n == 0 {
			return err
		}
	}
	return nil
}

// pass copies each blob that this run has not seen yet, and returns how many there were.
func (m *mover) pass(ctx context.Context) (n int, err error) {
	workers := m.cfg.Workers
	if workers <= 0 {
		workers = 8
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(workers)
	for b, err := range m.sources(gctx) {
		if err != nil {
			return n, errors.Join(err, g.Wait())
		}
		key, err := idOf(b.Key)
		if err != nil {
			return n, errors.Join(fmt.Errorf("blob %s has the key %q", b.Digest, b.Key), g.Wait())
		}
		if m.seen(key) {
			continue
		}
		n++
		g.Go(func() error {
			if err := m.move(gctx, key, b); err != nil {
				return fmt.Errorf("copying blob %s: %w", b.Digest, err)
			}
			return nil
		})
	}
	return n, g.Wait()
}

func (m *mover) seen(key id) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, ok := m.verified[key]
	_, bad := m.damaged[key]
	return ok || bad
}

// inDatabase reads a blob whose content is in the database. It goes where the database
// goes, and is compared there with all rows.
func (m *mover) inDatabase(ctx context.Context, key id, b meta.Blob) error {
	var content []byte
	err := m.cfg.Meta.View(ctx, func(ctx context.Context, r meta.Reader) (err error) {
		content, err = r.Retention().BlobContent(ctx, b.Key)
		return err
	})
	switch {
	case errors.Is(err, meta.ErrNotFound):
		there, err := m.still(ctx, b)
		if err == nil && there {
			m.broken(key, b, gone)
		}
		return err
	case err != nil:
		return err
	case !b.Digest.Verifies(content):
		m.broken(key, b, "has other content than its digest says")
		return nil
	}
	m.moved(key, b, false)
	return nil
}

// unreadable begins the problem of a blob that could not be read, which may be over.
const unreadable = "cannot be read: "

// readAgain makes the next pass try the blobs again that could not be read.
func (m *mover) readAgain() {
	m.mu.Lock()
	defer m.mu.Unlock()
	maps.DeleteFunc(m.damaged, func(_ id, d Damaged) bool { return strings.HasPrefix(d.Problem, unreadable) })
}

func (m *mover) broken(key id, b meta.Blob, problem string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.damaged[key] = Damaged{Digest: string(b.Digest), Key: b.Key, Problem: problem}
}

// move brings one blob to the destination, and reads it there.
func (m *mover) move(ctx context.Context, key id, b meta.Blob) error {
	if b.Key.InDatabase() {
		return m.inDatabase(ctx, key, b)
	}
	if _, there := m.there[key]; there {
		problem, err := read(ctx, m.cfg.To.Blobs, b)
		if err != nil {
			return err
		}
		if problem == "" {
			m.moved(key, b, false)
			return nil
		}
		if err := m.cfg.To.Blobs.Delete(ctx, b.Key); err != nil {
			return err
		}
	}
	problem, err := m.copyBlob(ctx, b)
	if err != nil {
		return err
	}
	if problem != "" {
		m.broken(key, b, problem)
		return nil
	}
	switch problem, err = read(ctx, m.cfg.To.Blobs, b); {
	case err != nil:
		return err
	case problem == gone:
		// Its row is gone and it was not copied, or the store has lost it.
		there, err := m.still(ctx, b)
		if err == nil && there {
			err = errors.New("the store that it was copied to does not have it")
		}
		return err
	case problem != "":
		return fmt.Errorf("read where it was copied to, it %s", problem)
	}
	m.moved(key, b, true)
	return nil
}

func (m *mover) moved(key id, b meta.Blob, copied bool) {
	m.mu.Lock()
	m.verified[key] = struct{}{}
	m.done.Blobs++
	m.done.BlobBytes += b.SizeBytes
	if copied {
		m.done.Copied++
		m.done.CopiedBytes += b.SizeBytes
	}
	m.mu.Unlock()
	m.told("")
}

// copyBlob copies one blob, and returns what is wrong with it at the source. A blob
// whose row is gone is not copied.
func (m *mover) copyBlob(ctx context.Context, b meta.Blob) (problem string, err error) {
	f, err := m.cfg.From.Blobs.Open(ctx, b.Key)
	if errors.Is(err, blob.ErrNotFound) {
		there, err := m.still(ctx, b)
		if err != nil || !there {
			return "", err
		}
		return gone, nil
	}
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	w, err := m.cfg.To.Blobs.Append(ctx, b.Key, blob.Progress{})
	if err != nil {
		return "", err
	}
	source := &reader{ctx: ctx, from: f}
	_, err = io.CopyBuffer(struct{ io.Writer }{w}, source, make([]byte, 256<<10))
	if err != nil {
		err = errors.Join(err, w.Abort())
		if source.err != nil && ctx.Err() == nil && !errors.Is(source.err, blob.ErrUnavailable) {
			return unreadable + source.err.Error(), nil
		}
		return "", err
	}
	if n := w.Offset(); n != b.SizeBytes {
		return fmt.Sprintf("has %d bytes, not %d", n, b.SizeBytes), w.Abort()
	}
	_, err = w.Commit(ctx, b.Digest)
	if errors.Is(err, blob.ErrDigestMismatch) {
		return "has other content than its digest says", nil
	}
	return "", err
}

// reader reads until ctx is done, and keeps the error.
type reader struct {
	ctx  context.Context // of one copy
	from io.Reader
	err  error
}

func (r *reader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := r.from.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		r.err = err
	}
	return n, err
}

// still reports whether b's row is still there: without it the file may go.
func (m *mover) still(ctx context.Context, b meta.Blob) (there bool, err error) {
	err = m.cfg.Meta.View(ctx, func(ctx context.Context, r meta.Reader) error {
		now, err := r.BlobsByKey(ctx, []blob.Key{b.Key})
		there = len(now) > 0
		return err
	})
	return there, err
}

const gone = "is missing"

// read returns what is wrong with a blob in a store, "" for nothing.
func read(ctx context.Context, s blob.Store, b meta.Blob) (problem string, err error) {
	f, err := s.Open(ctx, b.Key)
	if errors.Is(err, blob.ErrNotFound) {
		return gone, nil
	}
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	h := b.Digest.Hash()
	n, err := io.CopyBuffer(struct{ io.Writer }{h}, &reader{ctx: ctx, from: f}, make([]byte, 256<<10))
	if err != nil {
		return "", err
	}
	if n != b.SizeBytes {
		return fmt.Sprintf("has %d bytes, not %d", n, b.SizeBytes), nil
	}
	if got := ecr.Digest(fmt.Sprintf("%s:%x", b.Digest.Algorithm(), h.Sum(nil))); got != b.Digest {
		return "has the digest " + string(got), nil
	}
	return "", nil
}

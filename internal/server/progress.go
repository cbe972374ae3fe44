package server

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/gate"
)

// What must get on within Limits.StallTime. The sizes are such that a client
// cannot hold a connection with a byte now and then.
const (
	readStep  = 64 << 10
	writeStep = 1 << 20
)

// guardedBody is a request's body whose client must get on with it, and whose
// memory is counted when it begins to be read: that is after authentication.
type guardedBody struct {
	r     io.ReadCloser
	rc    *http.ResponseController
	stall time.Duration

	memory *memory
	size   int64 // to take of memory; 0 once taken

	since int64 // bytes since the deadline was set
	read  int64 // bytes in all

	mu          sync.Mutex // interruptions come from other requests
	ended       bool       // guarded by mu
	interrupted bool       // guarded by mu
}

// begin sets the first deadline. It also bounds what net/http reads of a body
// that nobody wanted.
func (b *guardedBody) begin() { b.setDeadline(b.stall) }

func (b *guardedBody) setDeadline(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.interrupted {
		return
	}
	at := time.Time{}
	if d > 0 {
		at = time.Now().Add(d)
	}
	// Connections that know no deadlines are those of tests.
	_ = b.rc.SetReadDeadline(at)
}

// Read reads. It moves the deadline whenever enough has come.
func (b *guardedBody) Read(p []byte) (int, error) {
	if err := b.hold(); err != nil {
		return 0, err
	}
	n, err := b.r.Read(p)
	b.since += int64(n)
	b.read += int64(n)
	switch {
	case errors.Is(err, io.EOF):
		// From here on the connection is watched for being closed.
		b.finish()
	case err != nil && errors.Is(err, os.ErrDeadlineExceeded):
		b.end()
	case b.since >= readStep:
		b.since = 0
		b.setDeadline(b.stall)
	}
	return n, err
}

func (b *guardedBody) finish() {
	if b.end() {
		b.setDeadline(0)
	}
}

// end notes that the body is no longer read, and reports whether it was.
func (b *guardedBody) end() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	was := !b.ended
	b.ended, b.interrupted = true, false
	return was
}

// Interrupt makes Read fail, also one that waits for the client.
func (b *guardedBody) Interrupt() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.ended {
		b.interrupted = true
		_ = b.rc.SetReadDeadline(time.Unix(1, 0)) // as above
	}
}

// Close closes the body.
func (b *guardedBody) Close() error { return b.r.Close() }

// hold takes the memory that the body will need.
func (b *guardedBody) hold() error {
	if !b.memory.take(b.size) {
		return busy("too many large requests are being read at once")
	}
	b.size = 0
	return nil
}

// memory is what a request holds in memory, its body and what is read for its
// answer. It is a budget.Budget.
type memory struct {
	all    *semaphore.Weighted // of all requests; nil for no limit
	max    int64               // what all requests may have
	shares *shares             // of their owners

	mu    sync.Mutex
	taken int64  // guarded by mu
	owner string // guarded by mu; "" while it is not known
}

func (m *memory) take(n int64) bool {
	if n <= 0 || m.all == nil {
		return true
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.owner != "" && !m.shares.take(m.owner, n, m.taken) {
		return false
	}
	if !m.all.TryAcquire(n) {
		if m.owner != "" {
			m.shares.give(m.owner, n)
		}
		return false
	}
	m.taken += n
	return true
}

// own says whose memory it is, and reports whether there was room for it.
func (m *memory) own(owner string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.all == nil || owner == "" {
		return true
	}
	if !m.shares.take(owner, m.taken, 0) {
		return false
	}
	m.owner = owner
	return true
}

// Take implements budget.Budget. Little is not counted: the number of requests
// bounds it.
func (m *memory) Take(n int64) error {
	if n <= freeBody {
		return nil
	}
	if m.all != nil && n+m.held() > m.max {
		return ecr.Errorf(ecr.CodeLimitExceeded, "The request and its answer need more than %d bytes of memory, the limit body-bytes of this registry. Ask for less at once.", m.max)
	}
	if !m.take(n) {
		return busy("too many large answers are being put together at once")
	}
	return nil
}

func (m *memory) held() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.taken
}

// end gives the memory back.
func (m *memory) end() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.taken > 0 {
		m.all.Release(m.taken)
	}
	if m.owner != "" {
		m.shares.give(m.owner, m.taken)
	}
	m.taken, m.owner = 0, ""
}

// openUploads knows how many uploads there are, as of a second ago at most.
type openUploads struct {
	mu sync.Mutex
	by map[string]counted // guarded by mu; by owner, "" for all
}

// counted is a number of uploads.
type counted struct {
	n  int64
	at time.Time // when it was counted
}

const countedFor = time.Second

// count returns the number of uploads of owner, or of all. One of its callers
// looks, the others wait for it.
func (o *openUploads) count(ctx context.Context, owner string, look func(context.Context, string) (int64, error), now time.Time) (int64, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if c, ok := o.by[owner]; ok && now.Sub(c.at) < countedFor {
		c.n++ // the caller is about to begin one
		o.by[owner] = c
		return c.n, nil
	}
	n, err := look(ctx, owner)
	if err != nil {
		return 0, err
	}
	if o.by == nil {
		o.by = map[string]counted{}
	}
	for who, c := range o.by {
		if now.Sub(c.at) >= countedFor {
			delete(o.by, who)
		}
	}
	o.by[owner] = counted{n + 1, now}
	return n + 1, nil
}

// countUploads counts the uploads of owner, or those of the whole store.
func (s *Server) countUploads(ctx context.Context, owner string) (n int64, err error) {
	err = s.gate.System("limit of open uploads").Read(ctx, gate.Op("CountUploads"), func(ctx context.Context, v *gate.View) error {
		uploads, err := v.CountUploads(ctx, owner)
		n = int64(uploads + s.registry.UploadsBegun(owner))
		return err
	})
	return n, err
}

// admitUpload lets a request begin an upload, or answers it.
func (s *Server) admitUpload(w http.ResponseWriter, r *http.Request, req *request) bool {
	if s.limits.OpenUploads < 0 || !beginsUpload(r, req.operation) {
		return true
	}
	owner := req.principal.Owner()
	for _, most := range []struct {
		owner string
		n     int64
	}{{owner, share(s.limits.OpenUploads)}, {"", s.limits.OpenUploads}} {
		n, err := s.limits.open.count(r.Context(), most.owner, s.countUploads, time.Now())
		if err != nil {
			req.refuse(err)
			return false
		}
		if n > most.n {
			setRetryAfter(w.Header(), time.Minute)
			req.limit = "open-uploads"
			req.refuse(rateExceeded)
			return false
		}
	}
	return true
}

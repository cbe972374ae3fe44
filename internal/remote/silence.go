package remote

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"
)

// errSilent ends a call whose other end neither sends nor takes anything.
var errSilent = errors.New("the registry said nothing for too long")

// digested is how many bytes a registry takes in a second when it reads an
// upload once more before it answers: it is given that time.
const digested = 16 << 20

// silence is a transport that gives a call up when the other end has been
// silent for the limit. The time in which this end is busy does not count: a
// body that is read slowly by its consumer, or comes slowly from elsewhere, is
// not the registry's silence.
type silence struct {
	base  http.RoundTripper
	limit time.Duration
}

// RoundTrip makes one call.
func (s silence) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(r.Context())
	w := &watch{limit: s.limit, cancel: cancel}
	out := r.WithContext(ctx)
	if r.Body != nil && r.Body != http.NoBody {
		out.Body = &sending{body: r.Body, watch: w}
	}
	w.resume(0)
	resp, err := s.base.RoundTrip(out)
	w.pause()
	if err != nil {
		cause := context.Cause(ctx)
		cancel(nil)
		if errors.Is(cause, errSilent) {
			err = errSilent
		}
		return nil, err
	}
	resp.Body = &receiving{body: resp.Body, watch: w, ctx: ctx}
	return resp, nil
}

// watch is the clock of one call.
type watch struct {
	limit  time.Duration
	cancel context.CancelCauseFunc

	mu    sync.Mutex
	timer *time.Timer // guarded by mu; nil while it does not run
	over  bool        // guarded by mu: the call has been answered and read
}

// resume starts the clock again, at more than the limit.
func (w *watch) resume(more time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.timer != nil {
		w.timer.Stop()
	}
	if w.over {
		return
	}
	w.timer = time.AfterFunc(w.limit+more, func() { w.cancel(errSilent) })
}

func (w *watch) pause() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.timer != nil {
		w.timer.Stop()
		w.timer = nil
	}
}

func (w *watch) end() {
	w.pause()
	w.mu.Lock()
	w.over = true
	w.mu.Unlock()
	w.cancel(nil)
}

// sending is a request's body: while it is read, the registry is not waited for.
type sending struct {
	body  io.ReadCloser
	watch *watch
	sent  int64
}

// Read reads, with the clock stopped.
func (s *sending) Read(p []byte) (int, error) {
	s.watch.pause()
	n, err := s.body.Read(p)
	s.sent += int64(n)
	var more time.Duration
	if err != nil {
		more = time.Duration(s.sent/digested) * time.Second
	}
	s.watch.resume(more)
	return n, err
}

// Close closes the body.
func (s *sending) Close() error { return s.body.Close() }

// receiving is an answer's body.
type receiving struct {
	body  io.ReadCloser
	watch *watch
	ctx   context.Context // of the call: tells why a read failed
}

// Read reads, with the clock running.
func (r *receiving) Read(p []byte) (int, error) {
	r.watch.resume(0)
	n, err := r.body.Read(p)
	r.watch.pause()
	if err != nil && !errors.Is(err, io.EOF) && errors.Is(context.Cause(r.ctx), errSilent) {
		err = errSilent
	}
	return n, err
}

// Close ends the call.
func (r *receiving) Close() error {
	err := r.body.Close()
	r.watch.end()
	return err
}

package sqlstore

import (
	"fmt"
	"slices"
	"sync"

	"github.com/kontor-registry/kontor/internal/store/meta"
)

var errClosed = fmt.Errorf("%w: the store is closed", meta.ErrUnavailable)

// queue holds the calls that wait for a committer, in order of arrival.
type queue struct {
	mu     sync.Mutex
	some   sync.Cond // signalled when calls or closed change
	calls  []*call   // guarded by mu
	closed bool      // guarded by mu
}

func (q *queue) add(c *call) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return errClosed
	}
	q.calls = append(q.calls, c)
	q.some.Signal()
	return nil
}

// take returns the next call that is hot or not, or nil.
func (q *queue) take(hot bool) *call {
	q.mu.Lock()
	defer q.mu.Unlock()
	i := slices.IndexFunc(q.calls, func(c *call) bool { return c.hot == hot })
	if i < 0 {
		return nil
	}
	c := q.calls[i]
	q.calls = slices.Delete(q.calls, i, i+1)
	return c
}

// wait returns the next call when there is one, or nil when the queue is
// closed and empty.
func (q *queue) wait() *call {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.calls) == 0 && !q.closed {
		q.some.Wait()
	}
	return q.pop()
}

func (q *queue) pop() *call { // q.mu is held
	if len(q.calls) == 0 {
		return nil
	}
	c := q.calls[0]
	q.calls[0] = nil
	q.calls = q.calls[1:]
	return c
}

// withdraw sees to it that c is not run, and reports false when it was started.
func (q *queue) withdraw(c *call) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if i := slices.Index(q.calls, c); i >= 0 {
		q.calls = slices.Delete(q.calls, i, i+1)
	}
	// A committer may have taken it, to run it after others.
	c.left = !c.started
	return c.left
}

// start reports whether c is to be run, or was withdrawn. From here on it
// cannot be withdrawn.
func (q *queue) start(c *call) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	c.started = !c.left
	return c.started
}

func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.some.Broadcast()
}

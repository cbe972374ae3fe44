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

// take returns the next call, or nil.
func (q *queue) take() *call {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.pop()
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

// withdraw takes c out, and reports false when it is not in the queue.
func (q *queue) withdraw(c *call) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	i := slices.Index(q.calls, c)
	if i < 0 {
		return false
	}
	q.calls = slices.Delete(q.calls, i, i+1)
	return true
}

func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.some.Broadcast()
}

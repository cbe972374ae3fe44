package s3

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/kontor-registry/kontor/internal/store/blob"
)

// Parts have the same size, as some stores demand of all parts but the last.
// S3 takes 10,000 parts; so that a blob may be larger than 78 GiB, the last 2,000
// are larger: 187 GiB in all.
const (
	basePart  = 8 << 20
	maxPart   = 64 << 20
	growAfter = 8_000
	maxParts  = 10_000
)

// partSize is the size in bytes of an upload's part n, which counts from 0.
func partSize(n int) int {
	if n < growAfter {
		return basePart
	}
	return maxPart
}

// LeastMemory is the least Config.MemoryBytes: the largest part, and as much for all others.
const LeastMemory = 2 * maxPart

// memory is the buffers of all uploads. A writer has one for parts and takes a
// second only where there is room; while it has one it waits for no other. Before
// that it has a small one. The two kinds have budgets of their own, so that those
// who have a small one and wait for a large one wait for nobody who waits.
type memory struct {
	budget int64
	wait   time.Duration // for memory, at most
	small  kind
	large  kind
}

type kind struct {
	room *semaphore.Weighted
	size int // of the buffers that are kept
	pool sync.Pool
}

func newMemory(budget, inline int64, wait time.Duration) *memory {
	m := &memory{budget: budget, wait: wait}
	m.small.room, m.small.size = semaphore.NewWeighted(max(budget/8, inline)), int(inline)
	m.large.room, m.large.size = semaphore.NewWeighted(budget-budget/8), basePart
	return m
}

// take returns an empty buffer of n bytes. Without wait it returns nil where there
// is no room. blob.ErrUnavailable.
func (m *memory) take(ctx context.Context, k *kind, n int, wait bool) ([]byte, error) {
	if !k.room.TryAcquire(int64(n)) {
		if !wait {
			return nil, nil
		}
		ctx, cancel := context.WithTimeoutCause(ctx, m.wait, errNoRoom)
		defer cancel()
		if err := k.room.Acquire(ctx, int64(n)); err != nil {
			if errors.Is(context.Cause(ctx), errNoRoom) {
				return nil, fmt.Errorf("%w: the %d MiB for uploads are all in use", blob.ErrUnavailable, m.budget>>20)
			}
			return nil, err
		}
	}
	if n == k.size {
		if b, ok := k.pool.Get().(*[]byte); ok {
			return (*b)[:0], nil
		}
	}
	return make([]byte, 0, n), nil
}

var errNoRoom = errors.New("no room")

// give takes a buffer back.
func (k *kind) give(b []byte) {
	if b == nil {
		return
	}
	k.room.Release(int64(cap(b)))
	if cap(b) == k.size {
		b = b[:0]
		k.pool.Put(&b)
	}
}

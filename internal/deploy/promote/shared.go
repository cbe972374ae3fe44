package promote

import (
	"context"
	"sync"

	"github.com/kontor-registry/kontor/internal/ecr"
)

// execution is a run of Execute.
type execution struct {
	*Promoter
	// again: the plan is from a file, and may have been carried out before, or a
	// part of it.
	again bool
	// blobs bounds what is on its way, by host of the target.
	blobs map[string]chan struct{}
	// claims are by image. Of images that need the same blob, the first of the
	// plan brings it, to the repository and to the registry, and the others wait
	// for it: always for one before them, so that none waits for itself.
	claims  []*claim
	inRepo  map[blobPlace]int
	inHost  map[blobHost]int
	mu      sync.Mutex
	mounted map[string]int      // by host, times that mounting worked; guarded by mu
	failed  map[string]int      // by host, times that it did not; guarded by mu
	made    map[place]*creation // repositories; guarded by mu
}

// creation makes a repository once, for all images that go there.
type creation struct {
	once sync.Once
	err  error
}

type blobPlace struct {
	at     place
	digest ecr.Digest
}

type blobHost struct {
	host   string
	digest ecr.Digest
}

// claim is what one image brings.
type claim struct {
	repository ecr.RepositoryName
	// blobs are closed when the blob has come, or the image has ended without.
	blobs map[ecr.Digest]*arrival
	// written is closed when the image's manifests are there.
	written *arrival
}

// arrival is something that others wait for.
type arrival struct {
	once sync.Once
	done chan struct{}
	ok   bool // that it came; to be read after done
}

func newArrival() *arrival { return &arrival{done: make(chan struct{})} }

func (a *arrival) end(ok bool) {
	a.once.Do(func() {
		a.ok = ok
		close(a.done)
	})
}

// wait waits for the arrival, and reports whether it came.
func (a *arrival) wait(ctx context.Context) bool {
	select {
	case <-a.done:
		return a.ok
	case <-ctx.Done():
		return false
	}
}

// end tells all who wait.
func (c *claim) end(ok bool) {
	for _, b := range c.blobs {
		b.end(ok)
	}
	c.written.end(ok)
}

func newExecution(p *Promoter, pl Plan) *execution {
	e := &execution{
		Promoter: p, blobs: map[string]chan struct{}{}, claims: make([]*claim, len(pl.Images)),
		inRepo: map[blobPlace]int{}, inHost: map[blobHost]int{}, mounted: map[string]int{}, failed: map[string]int{}, made: map[place]*creation{},
	}
	for n, i := range pl.Images {
		c := &claim{repository: i.To.Repository, blobs: map[ecr.Digest]*arrival{}, written: newArrival()}
		e.claims[n] = c
		if i.Status != StatusPending {
			continue
		}
		for _, b := range i.Blobs {
			c.blobs[b.Digest] = newArrival()
			at := blobPlace{place{i.To.Registry, i.To.Repository}, b.Digest}
			if _, ok := e.inRepo[at]; !ok {
				e.inRepo[at] = n
			}
			if _, ok := e.inHost[blobHost{i.To.Registry, b.Digest}]; !ok {
				e.inHost[blobHost{i.To.Registry, b.Digest}] = n
			}
		}
	}
	return e
}

// slot waits for leave to send a blob to a host, and returns what gives it back.
func (e *execution) slot(ctx context.Context, host string) (release func(), err error) {
	e.mu.Lock()
	limit, ok := e.blobs[host]
	if !ok {
		limit = make(chan struct{}, e.cfg.Blobs)
		e.blobs[host] = limit
	}
	e.mu.Unlock()
	select {
	case limit <- struct{}{}:
		return func() { <-limit }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// mounts reports whether it makes sense to wait until a blob can be mounted at
// the host: not where that failed from the beginning.
func (e *execution) mounts(host string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.mounted[host] > 0 || e.failed[host] < 2
}

func (e *execution) tried(host string, mounted bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if mounted {
		e.mounted[host]++
	} else {
		e.failed[host]++
	}
}

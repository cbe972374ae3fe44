package gate

import (
	"context"
	"sync"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// Visit is a request on its way in. Who makes it is looked up in one snapshot
// (View), and its first Read or Ask (As) continues in the same one, so that both
// rest on one moment and cost one transaction. It is safe for concurrent use.
type Visit struct {
	g   *Gate
	mu  sync.Mutex
	r   meta.Reader // of the open snapshot, nil for none; guarded by mu
	end func()      // ends it; guarded by mu
}

// Visit begins a visit. It opens nothing yet; End ends it.
func (g *Gate) Visit() *Visit { return &Visit{g: g} }

// View lets fn look in the snapshot of the visit, as meta.Store does in one of
// its own.
func (v *Visit) View(ctx context.Context, fn func(ctx context.Context, r meta.Reader) error) (err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.r == nil {
		if v.r, v.end, err = v.g.cfg.Meta.Snapshot(ctx); err != nil {
			v.r = nil
			return err
		}
	}
	return fn(ctx, v.r)
}

// As returns the way in for p, who makes the visit. The first time that it
// reads, it uses the visit's snapshot and ends it. Each later read takes a new
// snapshot, which shows what has changed in the meantime.
func (v *Visit) As(p access.Principal) *Caller { return &Caller{g: v.g, p: p, visit: v} }

// End ends the snapshot, if one is open.
func (v *Visit) End() {
	if _, end := v.take(); end != nil {
		end()
	}
}

// take takes the snapshot out of the visit.
func (v *Visit) take() (meta.Reader, func()) {
	v.mu.Lock()
	defer v.mu.Unlock()
	r, end := v.r, v.end
	v.r, v.end = nil, nil
	return r, end
}

// Peek lets the server itself read what decides how c's request is served, before c has
// read anything: in the snapshot of c's visit, which stays open for c's first Read. What
// it reads must not be told to c before c has asked. reason names the job, as in
// Gate.System.
func (c *Caller) Peek(ctx context.Context, reason string, op Operation, fn func(ctx context.Context, v *View) error) error {
	look := func(ctx context.Context, r meta.Reader) error {
		return fn(ctx, &View{r, &Inquiry{c: c.g.System(reason), op: op, r: sceneReader{r, r.Registries()}}})
	}
	if c.visit != nil {
		if open, err := c.visit.within(ctx, look); open {
			return c.g.explained(err)
		}
	}
	if r := inside(ctx); r != nil {
		return c.g.explained(look(ctx, r))
	}
	return c.g.explained(c.g.cfg.Meta.View(ctx, look))
}

// within lets fn read in the snapshot of the visit, if it is open.
func (v *Visit) within(ctx context.Context, fn func(ctx context.Context, r meta.Reader) error) (open bool, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.r == nil {
		return false, nil
	}
	return true, fn(ctx, v.r)
}

// view is meta.Store's View for c: in the snapshot of its visit, if there is
// one, or in the transaction that ctx is of.
func (c *Caller) view(ctx context.Context, fn func(ctx context.Context, r meta.Reader) error) error {
	if r := inside(ctx); r != nil { // see Provided
		return fn(ctx, r)
	}
	if c.visit != nil {
		if r, end := c.visit.take(); r != nil {
			defer end()
			return fn(ctx, r)
		}
	}
	return c.g.cfg.Meta.View(ctx, fn)
}

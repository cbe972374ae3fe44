package faults

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"syscall"
	"time"
)

// fault is one kind of what goes wrong. It returns when all is whole again, and it holds
// the turn of each server that it does something to.
type fault struct {
	name string
	do   func(r *rand.Rand) error
}

// pauseTime is about how long a track waits between two faults.
const pauseTime = 800 * time.Millisecond

// inject lets one of faults happen after another until over is closed. Each happens
// once before one happens a second time.
func (w *world) inject(ctx context.Context, r *rand.Rand, faults []fault, over <-chan struct{}) error {
	c := newClient(w, 100+r.IntN(1000), w.seed)
	var left []fault
	for {
		select {
		case <-over:
			return nil
		case <-ctx.Done():
			return nil
		case <-time.After(pauseTime/2 + rand.N(pauseTime)):
		}
		if len(left) == 0 {
			left = append(left, faults...)
		}
		i := r.IntN(len(left))
		f := left[i]
		left = append(left[:i], left[i+1:]...)
		began := w.history.now()
		if err := f.do(r); err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
		whole := time.Now()
		if err := c.write(ctx); err != nil {
			return fmt.Errorf("after %s: %w", f.name, err)
		}
		w.report.happened(f.name, time.Since(whole))
		if time.Since(whole) > 5*time.Second || *each {
			w.t.Logf("%s from %s to %s, and whole %s later", f.name, began, w.history.now()-time.Since(whole), time.Since(whole))
		}
	}
}

// write begins an upload and cancels it: the least that writes to the database.
func (c *client) write(ctx context.Context) error {
	a, err := c.persist(ctx, http.MethodPost, "/v2/"+plainRepo+"/blobs/uploads/", nil, "")
	if ctx.Err() != nil {
		return nil
	}
	if err == nil && a.status != http.StatusAccepted {
		err = fmt.Errorf("POST of an upload: status %d: %s", a.status, a.body)
	}
	if err == nil {
		_ = c.do(c.any(), http.MethodDelete, a.location, nil, "") // or it expires
	}
	return err
}

// some is one of the servers that nothing happens to right now, with its turn taken.
func (w *world) some(r *rand.Rand) *node {
	for {
		for _, i := range r.Perm(len(w.nodes)) {
			if w.nodes[i].turn.TryLock() {
				return w.nodes[i]
			}
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// killed is kill -9 at any moment.
func (w *world) killed() fault {
	return fault{"kill -9", func(r *rand.Rand) error {
		n := w.some(r)
		defer n.turn.Unlock()
		if err := n.kill(); err != nil {
			return err
		}
		return n.start(w.binary)
	}}
}

// frozen is SIGSTOP: a server that goes on later as if nothing had happened.
func (w *world) frozen() fault {
	return fault{"SIGSTOP", func(r *rand.Rand) error {
		n := w.some(r)
		defer n.turn.Unlock()
		if err := syscall.Kill(n.cmd.Process.Pid, syscall.SIGSTOP); err != nil {
			return err
		}
		time.Sleep(stopped())
		defer time.Sleep(stopped() / 4) // for others to have a turn with all servers
		return syscall.Kill(n.cmd.Process.Pid, syscall.SIGCONT)
	}}
}

// upgraded is a rolling upgrade: SIGTERM and a start, one server after the other, with
// the version before and this one in turns.
func (w *world) upgraded() fault {
	other := false
	return fault{"rolling upgrade", func(*rand.Rand) error {
		binary := w.binary
		if other = !other; other && *previous != "" {
			binary = *previous
		}
		for _, n := range w.nodes {
			n.turn.Lock()
			began := time.Now()
			err := n.stop()
			if took := time.Since(began); *each {
				w.t.Logf("%s ended %s after SIGTERM", n.name, took)
			}
			if err == nil {
				err = n.start(binary)
			}
			n.turn.Unlock()
			if err != nil {
				return err
			}
		}
		return nil
	}}
}

// skewed is a clock that is ten minutes off, and then right again.
func (w *world) skewed() fault {
	return fault{"clock ±10 min", func(r *rand.Rand) error {
		n := w.nodes[r.IntN(len(w.nodes))]
		off := 10 * time.Minute
		if r.IntN(2) == 0 {
			off = -off
		}
		if err := n.setClock(off); err != nil {
			return err
		}
		time.Sleep(time.Second + rand.N(3*time.Second))
		return n.setClock(0)
	}}
}

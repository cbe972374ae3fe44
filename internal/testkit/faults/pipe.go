package faults

import (
	"errors"
	"net"
	"sync"
)

// Pipe is a proxy for connections of any protocol that can stop to forward: as a network
// does that loses every packet, it keeps connections open and says nothing.
type Pipe struct {
	listener net.Listener
	dial     func() (net.Conn, error)
	done     sync.WaitGroup

	mu    sync.Mutex
	freed *sync.Cond
	held  bool              // guarded by mu
	ended bool              // guarded by mu
	conns map[net.Conn]bool // guarded by mu
}

// NewPipe forwards the connections that l accepts to what dial reaches, until Close.
func NewPipe(l net.Listener, dial func() (net.Conn, error)) *Pipe {
	p := &Pipe{listener: l, dial: dial, conns: map[net.Conn]bool{}}
	p.freed = sync.NewCond(&p.mu)
	p.done.Go(p.accept)
	return p
}

// Addr is where it listens.
func (p *Pipe) Addr() net.Addr { return p.listener.Addr() }

func (p *Pipe) accept() {
	for {
		from, err := p.listener.Accept()
		if err != nil {
			return // closed
		}
		if !p.keep(from) {
			return
		}
		p.done.Go(func() { p.serve(from) })
	}
}

// keep has a connection closed by Drop and Close; it reports whether it is still open.
func (p *Pipe) keep(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		_ = c.Close()
		return false
	}
	p.conns[c] = true
	return true
}

func (p *Pipe) serve(from net.Conn) {
	defer p.forget(from)
	if !p.wait() {
		return
	}
	to, err := p.dial()
	if err != nil {
		return // as if nobody listened
	}
	if !p.keep(to) {
		return
	}
	defer p.forget(to)
	var both sync.WaitGroup
	both.Go(func() { p.forward(to, from) })
	both.Go(func() { p.forward(from, to) })
	both.Wait()
}

// forward copies until one side ends, and then ends both.
func (p *Pipe) forward(to, from net.Conn) {
	defer func() { _, _ = to.Close(), from.Close() }()
	b := make([]byte, 32<<10)
	for {
		n, err := from.Read(b)
		if !p.wait() {
			return
		}
		if n > 0 {
			if _, err := to.Write(b[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// wait returns when nothing is held; false means that the pipe was closed.
func (p *Pipe) wait() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.held && !p.ended {
		p.freed.Wait()
	}
	return !p.ended
}

func (p *Pipe) forget(c net.Conn) {
	_ = c.Close() // perhaps again
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, c)
}

// Hold stops forwarding, or goes on with it: what came meanwhile is then delivered.
func (p *Pipe) Hold(held bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.held = held
	p.freed.Broadcast()
}

// Drop closes all connections.
func (p *Pipe) Drop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		_ = c.Close() // its copying ends
	}
}

// Close ends it and waits for its goroutines.
func (p *Pipe) Close() error {
	p.mu.Lock()
	p.ended = true
	p.freed.Broadcast()
	p.mu.Unlock()
	err := p.listener.Close()
	if errors.Is(err, net.ErrClosed) {
		err = nil
	}
	p.Drop()
	p.done.Wait()
	return err
}

package server

import (
	"net"
	"sync"
)

// share is how much of a limit one user or role may have at once: three
// quarters, rounded up. What is left is for everybody else.
func share(limit int64) int64 {
	if limit < 0 {
		return limit
	}
	return limit - limit/4
}

// shares count what each user or role has of a limit, in whatever unit.
type shares struct {
	most int64 // below zero: any number

	mu   sync.Mutex
	held map[string]int64 // guarded by mu; by access.Principal.Owner
}

func newShares(limit int64) *shares { return &shares{most: share(limit), held: map[string]int64{}} }

// take gives owner n more, or reports false where its share has no room. A
// request that is the owner's only one, and has mine by now, is not refused: it
// may need more than a share.
func (s *shares) take(owner string, n, mine int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if have := s.held[owner]; s.most >= 0 && have > mine && have+n > s.most {
		return false
	}
	s.held[owner] += n
	return true
}

// give takes n away from owner.
func (s *shares) give(owner string, n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held[owner] -= n; s.held[owner] <= 0 {
		delete(s.held, owner)
	}
}

// owners are the open connections, and whose they are: the user's or role's that
// made the last request on it, "" before the first.
type owners struct {
	shares *shares

	mu    sync.Mutex
	conns map[net.Conn]string // guarded by mu
}

func (o *owners) add(c net.Conn) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.conns[c] = ""
}

func (o *owners) remove(c net.Conn) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.leave(c)
	delete(o.conns, c)
}

// leave takes c from who has it. o.mu is held.
func (o *owners) leave(c net.Conn) {
	if was := o.conns[c]; was != "" {
		o.shares.give(was, 1)
	}
}

// own makes c owner's, or reports false where its share has no room.
func (o *owners) own(c net.Conn, owner string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	was, open := o.conns[c]
	if !open || was == owner {
		return true
	}
	if !o.shares.take(owner, 1, 0) {
		return false
	}
	o.leave(c)
	o.conns[c] = owner
	return true
}

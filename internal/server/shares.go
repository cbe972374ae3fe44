package server

import "sync"

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

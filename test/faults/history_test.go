package faults

import (
	"cmp"
	"math"
	"slices"
	"sync"
	"time"
)

// action is what a client asked for.
type action int

const (
	put action = iota
	get
	remove
)

func (a action) String() string { return [...]string{"put", "get", "remove"}[a] }

// outcome is what a client learned about it.
type outcome int

const (
	done    outcome = iota // it happened; a get saw the value
	refused                // it did not happen, for a reason that the state gives
	unknown                // it may have happened, or may still happen
)

func (o outcome) String() string { return [...]string{"done", "refused", "unknown"}[o] }

// object is what an action is about: a tag or a manifest of a repository.
type object struct{ repo, name string }

// event is one request of one client. A request that is sent again is another event.
type event struct {
	client  int
	action  action
	object  object
	value   string // the digest that was put or seen, "" for none
	outcome outcome
	began   time.Duration // since the start of the history
	ended   time.Duration // forever for what is unknown
}

const forever = time.Duration(math.MaxInt64)

// history is what all clients did. It is safe for concurrent use.
type history struct {
	start time.Time

	mu     sync.Mutex
	events []event // guarded by mu
}

func newHistory() *history { return &history{start: time.Now()} }

func (h *history) now() time.Duration { return time.Since(h.start) }

// add adds e, which has ended now unless nobody knows how.
func (h *history) add(e event) {
	if e.ended = h.now(); e.outcome == unknown {
		e.ended = forever
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.events = append(h.events, e)
}

// all are the events by the time at which they began.
func (h *history) all() []event {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := slices.Clone(h.events)
	slices.SortStableFunc(all, func(a, b event) int { return cmp.Compare(a.began, b.began) })
	return all
}

// The repositories, which differ in what may be done in them.
const (
	mutableRepo = "mutable" // tags are moved and deleted, images are not deleted
	fixedRepo   = "fixed"   // tags are immutable, and nothing is deleted
	plainRepo   = "plain"   // images without tags are put and deleted
)

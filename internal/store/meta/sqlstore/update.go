package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/kontor-registry/kontor/internal/store/meta"
)

const (
	// maxGroup is how many calls may share one commit: enough to make the
	// commit's cost small for each, few enough that one more does not wait long.
	maxGroup = 64
	// maxRuns is how often a transaction that loses against others is run,
	// runsAmongOthers how many of these may overlap with others: after that it
	// keeps them out, or a long one could lose for ever against short ones.
	maxRuns         = 10
	runsAmongOthers = 6
	// maxConnects is how often a transaction is run whose connection is lost
	// before it commits.
	maxConnects = 3
)

// call is one caller's Update. Its fn runs on the caller's goroutine, so that
// a panic is the caller's; the committer says when.
type call struct {
	ctx  context.Context
	fn   func(context.Context, meta.Tx) error
	turn chan *txn  // committer to caller: run fn in this
	ran  chan error // caller to committer: what fn returned
	done chan error // committer to caller: the outcome
	gone bool       // fn panicked: no one waits for the outcome. Owned by the committer
	err  error      // what the last run returned. Owned by the committer

	started bool // a committer runs fn, or has. Guarded by queue.mu
	left    bool // given up before it was started. Guarded by queue.mu

	// hot: it runs READ COMMITTED, see meta.Hot. Owned by the committer once it is queued.
	hot bool
}

var errPanicked = errors.New("meta: the callback of Update panicked")

type updateKey struct{}

// Update implements meta.Store.
func (s *Store) Update(ctx context.Context, fn func(ctx context.Context, tx meta.Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if ctx.Value(updateKey{}) == s {
		return errors.New("meta: Update called within Update, which would wait for itself")
	}
	c := &call{ctx: ctx, fn: fn, turn: make(chan *txn), ran: make(chan error), done: make(chan error, 1)}
	c.hot = s.d.BeginHot != nil && meta.IsHot(ctx)
	if err := s.queue.add(c); err != nil {
		return err
	}
	cancelled := ctx.Done()
	for {
		select {
		case tx := <-c.turn:
			c.run(tx)
		case err := <-c.done:
			return err
		case <-cancelled:
			if s.queue.withdraw(c) {
				return ctx.Err()
			}
			cancelled = nil // it is being run, or was: the outcome comes soon
		}
	}
}

// run calls fn and hands back its error, also when fn does not return.
func (c *call) run(tx *txn) {
	err := errPanicked
	defer func() {
		tx.s = nil
		c.ran <- err
	}()
	err = c.fn(tx.ctx, tx)
}

// outcome tells the caller.
func (c *call) outcome(err error) {
	if !c.gone {
		c.done <- err
	}
}

// writer is a committer with its connection.
type writer struct {
	store *Store
	s     *session // nil when there is no usable connection
	// later are calls that are to be run again, serializable.
	later []*call
}

// work commits calls until the queue is closed and empty.
func (w *writer) work() {
	for c := w.store.queue.wait(); c != nil; c = w.store.queue.wait() {
		w.commit([]*call{c}, true)
		for len(w.later) > 0 {
			again := w.later
			w.later = nil
			for _, c := range again {
				c.hot = false
				w.commit([]*call{c}, false)
			}
		}
	}
}

// commit runs calls in one transaction, with those that arrive meanwhile if
// grow is set, as often as it takes, and tells each the outcome.
func (w *writer) commit(calls []*call, grow bool) {
	var err error
	connects := 0
	hot := calls[0].hot
	for run := 1; ; run++ {
		var again again
		begin := w.store.d.BeginWrite
		switch {
		case hot && run > runsAmongOthers:
			begin = w.store.d.BeginHotAlone
		case hot:
			begin = w.store.d.BeginHot
		case run > runsAmongOthers:
			begin = w.store.d.BeginAlone
		}
		calls, again, err = w.attempt(calls, begin, grow && run == 1)
		switch {
		case err == nil:
			for _, c := range calls {
				c.outcome(c.err)
			}
			return
		case len(calls) == 0:
			return // they were all given up by their callers
		case again == afterReconnect && connects < maxConnects-1:
			connects++
			pause(run)
			continue
		case again == afterPause && run < maxRuns:
			pause(run)
			continue
		case again == oneByOne && len(calls) > 1:
			// One of them is the cause; let it fail alone.
			for _, c := range calls {
				w.commit([]*call{c}, false)
			}
			return
		}
		if again == afterPause && !errors.Is(err, meta.ErrExists) && !errors.Is(err, meta.ErrReferenced) {
			err = fmt.Errorf("%w: lost against other writers %d times: %w", meta.ErrUnavailable, run, err)
		}
		for _, c := range calls {
			c.outcome(err)
		}
		return
	}
}

// again says what may help after a failed attempt.
type again int

const (
	never again = iota
	afterPause
	afterReconnect
	oneByOne
)

// attempt runs calls in one transaction, opened by begin, and commits. It
// returns the calls that are still waited for, with those that joined.
func (w *writer) attempt(calls []*call, begin []string, grow bool) (_ []*call, _ again, err error) {
	ctx := context.Background()
	if t := w.store.d.TransactionTimeout; t > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, t)
		defer cancel()
	}
	if w.s != nil && w.s.expired(time.Now()) {
		w.drop()
	}
	if w.s == nil {
		if w.s, err = newSession(ctx, w.store.write, &w.store.d, &w.store.rowsRead); err != nil {
			return calls, never, fmt.Errorf("connecting to the database: %w", err)
		}
		w.s.write, w.s.changes = true, w.store.changes
	}
	if w.store.changes != nil {
		defer w.store.views.hold(ctx)()
	}
	join := func() bool {
		if !grow || len(calls) >= maxGroup {
			return false
		}
		c := w.store.queue.take(calls[0].hot)
		if c != nil {
			calls = append(calls, c)
		}
		return c != nil
	}
	if !w.store.d.OneWriter {
		// What a caller was told to be done before it called must be seen. The
		// transaction sees what was committed when it begins, so no one may join
		// later.
		for join() {
		}
		grow = false
	}
	w.s.hot = calls[0].hot
	w.store.attempts.Add(1)
	if err := w.s.begin(ctx, begin); err != nil {
		return calls, w.abandon(ctx), fmt.Errorf("beginning a transaction: %w", err)
	}
	kept := calls[:0:0]
	clean := true // nothing happened since the savepoint
	for i := 0; ; i++ {
		if i == len(calls) && !join() {
			break
		}
		c := calls[i]
		if err := c.ctx.Err(); err != nil {
			c.outcome(err)
			continue
		}
		if !w.store.queue.start(c) {
			continue // its caller gave up while others were run
		}
		if !clean {
			if err := w.s.run(ctx, w.store.d.NextSavepoint...); err != nil {
				return append(kept, calls[i:]...), w.abandon(ctx), fmt.Errorf("setting a savepoint: %w", err)
			}
		}
		w.store.runCall(ctx, w.s, c)
		switch {
		case c.gone:
		case errors.Is(w.s.failed, errNotHot):
			w.later = append(w.later, c)
		default:
			kept = append(kept, c)
		}
		switch {
		case w.s.scope > ScopeSavepoint:
			err := w.s.failed
			return append(kept, calls[i+1:]...), w.abandon(ctx), err
		case c.err != nil:
			if err := w.s.rollbackTo(ctx); err != nil {
				return append(kept, calls[i+1:]...), w.abandon(ctx), fmt.Errorf("rolling back: %w", err)
			}
			clean = true
		default:
			clean = false
		}
	}
	if c := w.store.changes; c != nil {
		touched := w.s.touched
		c.begin(touched)
		defer c.end(touched)
	}
	if err := w.s.end(ctx, w.store.d.Commit); err != nil {
		if w.s.scope == ScopeConnection {
			w.drop()
			return kept, never, fmt.Errorf("committing: the outcome is not known: %w", err)
		}
		return kept, w.abandon(ctx), fmt.Errorf("committing: %w", err)
	}
	return kept, never, nil
}

// runCall lets c's caller run its fn, and keeps the result in c.
func (s *Store) runCall(ctx context.Context, sess *session, c *call) {
	// The values are the caller's; the cancellation is not: to interrupt a
	// statement would hurt the others in the transaction.
	inner := context.WithValue(context.WithoutCancel(c.ctx), updateKey{}, s)
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		inner, cancel = context.WithDeadline(inner, deadline)
		defer cancel()
	}
	c.turn <- &txn{reader{&transaction{s: sess, q: &s.q, rows: &s.rows}}, inner}
	c.err = <-c.ran
	c.gone = errors.Is(c.err, errPanicked)
	if c.err == nil && sess.failed != nil {
		c.err = sess.failed // fn passed over an error that spoiled its work
	}
}

// abandon rolls the transaction back after a failure and says what may help.
func (w *writer) abandon(ctx context.Context) again {
	w.store.lost.Add(1)
	scope, unavailable := w.s.scope, errors.Is(w.s.failed, meta.ErrUnavailable)
	switch {
	case ctx.Err() != nil: // it took too long; once is enough
		w.drop()
		return never
	case scope == ScopeConnection:
		w.drop()
		return afterReconnect
	}
	// Databases roll back on their own on some errors, and then refuse this:
	// a new connection is clean for certain.
	if err := w.s.end(ctx, "ROLLBACK"); err != nil {
		w.drop()
	}
	if scope == ScopeRetry && !unavailable {
		return afterPause
	}
	return oneByOne
}

func (w *writer) drop() {
	w.s.discard()
	w.s = nil
}

// pause waits before the given run is repeated: up to a millisecond at first,
// longer later, at random so that two writers that collided do not meet again.
func pause(run int) { time.Sleep(rand.N(time.Millisecond << min(run-1, 6))) }

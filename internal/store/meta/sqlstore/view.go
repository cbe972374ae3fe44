package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/kontor-registry/kontor/internal/store/meta"
)

// View implements meta.Store.
func (s *Store) View(ctx context.Context, fn func(ctx context.Context, r meta.Reader) error) error {
	r, end, err := s.Snapshot(ctx)
	if err != nil {
		return err
	}
	defer end()
	return fn(ctx, r)
}

// Snapshot implements meta.Store.
func (s *Store) Snapshot(ctx context.Context) (meta.Reader, func(), error) {
	sess, err := s.views.begin(ctx)
	if err != nil {
		return nil, nil, err
	}
	r := reader{&transaction{s: sess, q: &s.q, rows: &s.rows}}
	return r, func() {
		r.s = nil
		s.views.end(ctx, sess)
	}, nil
}

// pool keeps the sessions of Views.
type pool struct {
	db     *sql.DB
	d      *Dialect
	places chan struct{} // one for each session in use
	read   *atomic.Int64 // counts rows; see Store.RowsRead

	// changes are the store's, where no other process commits; nil otherwise.
	changes *changes

	mu      sync.Mutex
	idle    []*session // guarded by mu; the last used is last
	writing int        // guarded by mu; transactions that write
	closed  bool       // guarded by mu
}

// begin returns a session with a transaction that sees one moment.
func (p *pool) begin(ctx context.Context) (*session, error) { return p.open(ctx, p.look) }

// open returns a session with which first has succeeded, or one with a transaction that
// sees this moment.
func (p *pool) open(ctx context.Context, first func(ctx context.Context, s *session) error) (*session, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	select {
	case p.places <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	for {
		s, err := p.pop()
		used := s != nil
		if err == nil && !used {
			s, err = newSession(ctx, p.db, p.d, p.read)
		}
		if err != nil {
			<-p.places
			return nil, err
		}
		if s.kept {
			s.kept = false
			return s, nil
		}
		if err = first(ctx, s); err == nil {
			return s, nil
		}
		lost := s.scope == ScopeConnection
		s.discard()
		// The server may have closed a connection that was idle; try the next,
		// and at last a new one.
		if !used || !lost || ctx.Err() != nil {
			<-p.places
			return nil, fmt.Errorf("beginning a transaction: %w", err)
		}
	}
}

// look opens a transaction of s that sees this moment, with its stamps.
func (p *pool) look(ctx context.Context, s *session) error {
	if p.changes == nil {
		return s.begin(ctx, p.d.BeginRead)
	}
	before := p.changes.now()
	if err := s.begin(ctx, p.d.BeginRead); err != nil {
		return err
	}
	if _, err := s.queryRow(ctx, nil, p.d.Look); err != nil {
		return err
	}
	s.stamps = before.same(p.changes.now())
	return nil
}

func (p *pool) pop() (*session, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, errClosed
	}
	n := len(p.idle)
	if n == 0 {
		return nil, nil
	}
	s := p.idle[n-1]
	p.idle = p.idle[:n-1]
	return s, nil
}

// end ends the transaction of s and keeps s for the next.
func (p *pool) end(ctx context.Context, s *session) {
	if p.leave(s) {
		<-p.places
		return
	}
	// Nothing was written, so there is nothing to lose but the connection.
	if s.scope == ScopeConnection || s.end(context.WithoutCancel(ctx), "ROLLBACK") != nil {
		s.discard()
		<-p.places
		return
	}
	p.giveBack(s)
}

// giveBack keeps s, which has no transaction, for the next.
func (p *pool) giveBack(s *session) {
	for _, old := range p.keep(s, time.Now()) {
		old.discard()
	}
	<-p.places
}

// leave leaves the transaction of s open for the next reader, where no one has written
// since it was opened, nor writes now, and reports whether it did: the moment that it
// sees is still the present.
func (p *pool) leave(s *session) bool {
	if p.changes == nil || s.failed != nil {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.writing > 0 || p.closed || s.stamps != p.changes.now() {
		return false
	}
	s.kept = true
	p.idle = append(p.idle, s)
	return true
}

// hold is called before a transaction that writes begins. It ends those transactions
// that were left open, or the database could never begin its log anew, and leaves none
// open until done is called.
func (p *pool) hold(ctx context.Context) (done func()) {
	p.mu.Lock()
	p.writing++
	var open []*session
	p.idle = slices.DeleteFunc(p.idle, func(s *session) bool {
		if s.kept {
			open = append(open, s)
		}
		return s.kept
	})
	p.mu.Unlock()
	for _, s := range open {
		s.kept = false
		if s.end(context.WithoutCancel(ctx), "ROLLBACK") != nil {
			s.discard()
			continue
		}
		for _, old := range p.keep(s, time.Now()) {
			old.discard()
		}
	}
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.writing--
	}
}

// keep keeps s for the next View, and returns the sessions that are kept no longer.
func (p *pool) keep(s *session, now time.Time) (old []*session) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s.used = now
	p.idle = slices.DeleteFunc(append(p.idle, s), func(s *session) bool {
		over := s.expired(now) || p.d.IdleTime > 0 && now.Sub(s.used) > p.d.IdleTime
		if over {
			old = append(old, s)
		}
		return over
	})
	return old
}

// close waits for the Views and closes their sessions.
func (p *pool) close() error {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	for range cap(p.places) {
		p.places <- struct{}{}
	}
	var errs []error
	for _, s := range p.idle {
		errs = append(errs, s.close())
	}
	for range cap(p.places) {
		<-p.places // let those that wait learn that it is closed
	}
	return errors.Join(errs...)
}

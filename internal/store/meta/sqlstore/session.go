package sqlstore

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"
)

// session is one connection with the state of its transaction. It is used by
// one goroutine at a time.
type session struct {
	d     *Dialect
	conn  *sql.Conn
	stmts map[string]*sql.Stmt // prepared statements by text; nil unless d.Prepare

	expires time.Time // when it is to be replaced by another; zero for never
	used    time.Time // when it was last given back. Guarded by pool.mu

	// stamps are those of what a transaction that reads sees, unless they are not
	// known. kept: the transaction is left open for the next reader.
	stamps stamps
	kept   bool
	// write: it is a session that writes. touched are the areas that its transaction may
	// have changed, as bits; changes are the store's where it is the only one that writes.
	write   bool
	touched uint8
	changes *changes
	// hot: its transaction is READ COMMITTED.
	hot bool

	read *atomic.Int64 // counts rows; see Store.RowsRead

	// failed is the first error that spoiled the transaction, scope how much
	// of it. Until the spoiled part is rolled back, every further statement
	// answers with it: what a callback makes of the error does not matter.
	failed error
	scope  Scope
}

func newSession(ctx context.Context, db *sql.DB, d *Dialect, read *atomic.Int64) (*session, error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		s := &session{d: d}
		return nil, s.fail(ctx, err)
	}
	s := &session{d: d, conn: conn, read: read}
	if d.SessionTime > 0 { // not all at once
		s.expires = time.Now().Add(d.SessionTime/2 + rand.N(d.SessionTime/2))
	}
	if d.Prepare {
		s.stmts = make(map[string]*sql.Stmt)
	}
	return s, nil
}

// close closes the connection itself, rather than giving it back with a
// transaction that may be open.
func (s *session) close() error {
	var errs []error
	for _, st := range s.stmts {
		errs = append(errs, st.Close()) // or SQLite would keep the file open for them
	}
	err := s.conn.Raw(func(any) error { return driver.ErrBadConn }) // how database/sql is told to drop it
	if !errors.Is(err, driver.ErrBadConn) && !errors.Is(err, sql.ErrConnDone) {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// discard closes a connection that failed, or was left in an unknown state.
func (s *session) discard() {
	_ = s.close() // what it has to say was said by the failure
}

// fail records err and returns it in the words of package meta. Of a caller who
// gave up, drivers say what they saw last, such as a bad connection; the error
// is the caller's own.
func (s *session) fail(ctx context.Context, err error) error {
	if gaveUp := ctx.Err(); errors.Is(gaveUp, context.Canceled) && !errors.Is(err, context.Canceled) {
		err = fmt.Errorf("%w: %w", gaveUp, err)
	}
	f := s.d.Classify(err)
	if f.Scope < ScopeConnection && f.Scope > ScopeStatement && s.closed() {
		f = Fault{ScopeConnection, f.Is}
	}
	if f.Is != nil {
		err = fmt.Errorf("%w: %w", f.Is, err)
	}
	if f.Scope > ScopeStatement && f.Scope >= s.scope {
		s.failed, s.scope = err, f.Scope
	}
	return err
}

// expired reports whether the session is to be replaced: connections that live for
// ever never find their way to a server that was added, or to where a name points now.
func (s *session) expired(now time.Time) bool { return !s.expires.IsZero() && now.After(s.expires) }

func (s *session) closed() bool {
	if s.conn == nil || s.d.Closed == nil {
		return false
	}
	gone := false
	if err := s.conn.Raw(func(c any) error { gone = s.d.Closed(c); return nil }); err != nil {
		return true
	}
	return gone
}

// touch notes what a statement may change.
func (s *session) touch(text string) {
	if s.write {
		s.touched |= touches(text)
	}
}

// stamp is that of what the transaction sees of an area; zero where it is not known.
func (s *session) stamp(a area) stamp {
	switch {
	case s.failed != nil:
		return stamp{}
	case s.touched&(1<<a) != 0:
		return stamp{}
	case s.changes != nil:
		return s.changes.now()[a]
	}
	return s.stamps[a]
}

// begin opens a transaction with the statements of begin. Where the database keeps
// stamps it sees this moment, and has them.
func (s *session) begin(ctx context.Context, begin []string) error {
	s.stamps, s.touched = stamps{}, 0
	if s.d.BeginStamped == nil {
		return s.run(ctx, begin...)
	}
	return s.raw(ctx, func(c any) (err error) {
		s.stamps[areaIdentities], s.stamps[areaSettings], err = s.d.BeginStamped(ctx, c, begin)
		return err
	})
}

// run executes statements without parameters, one after another.
func (s *session) run(ctx context.Context, texts ...string) error {
	for _, text := range texts {
		if _, err := s.exec(ctx, text); err != nil {
			return err
		}
	}
	return nil
}

// raw calls fn with the driver's connection.
func (s *session) raw(ctx context.Context, fn func(driverConn any) error) error {
	if s.failed != nil {
		return s.failed
	}
	if err := s.conn.Raw(fn); err != nil {
		return s.fail(ctx, err)
	}
	return nil
}

// exec executes a statement and returns how many rows it changed.
func (s *session) exec(ctx context.Context, text string, args ...any) (int64, error) {
	if s.failed != nil {
		return 0, s.failed
	}
	if err := s.allowed(text); err != nil {
		return 0, err
	}
	s.touch(text)
	var res sql.Result
	var err error
	if s.stmts == nil {
		res, err = s.conn.ExecContext(ctx, text, args...)
	} else {
		var st *sql.Stmt
		if st, err = s.prepared(ctx, text); err == nil { //nolint:sqlclosecheck // kept for the session
			res, err = st.ExecContext(ctx, args...)
		}
	}
	if err != nil {
		return 0, s.fail(ctx, err)
	}
	n, err := res.RowsAffected()
	if err != nil {
		return 0, s.fail(ctx, err)
	}
	return n, nil
}

// query calls scan for each row.
func (s *session) query(ctx context.Context, scan func(*sql.Rows) error, text string, args ...any) (err error) {
	if s.failed != nil {
		return s.failed
	}
	if err := s.allowed(text); err != nil {
		return err
	}
	s.touch(text)
	var rows *sql.Rows
	if s.stmts == nil {
		rows, err = s.conn.QueryContext(ctx, text, args...)
	} else {
		var st *sql.Stmt
		if st, err = s.prepared(ctx, text); err == nil { //nolint:sqlclosecheck // kept for the session
			rows, err = st.QueryContext(ctx, args...)
		}
	}
	if err != nil {
		return s.fail(ctx, err)
	}
	for rows.Next() {
		s.read.Add(1)
		if err := scan(rows); err != nil {
			return s.fail(ctx, errors.Join(err, rows.Close()))
		}
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return s.fail(ctx, err)
	}
	return nil
}

// queryRow scans the first row into dest, unless that is nil, and reports whether there was one.
func (s *session) queryRow(ctx context.Context, dest []any, text string, args ...any) (bool, error) {
	found := false
	err := s.query(ctx, func(rows *sql.Rows) error {
		if found {
			return nil
		}
		found = true
		if dest == nil {
			return nil
		}
		return rows.Scan(dest...)
	}, text, args...)
	return found, err
}

func (s *session) prepared(ctx context.Context, text string) (*sql.Stmt, error) {
	if st, ok := s.stmts[text]; ok {
		return st, nil
	}
	st, err := s.conn.PrepareContext(ctx, text)
	if err != nil {
		return nil, err
	}
	s.stmts[text] = st
	return st, nil
}

// rollbackTo goes back to the savepoint, where that is enough to continue.
func (s *session) rollbackTo(ctx context.Context) error {
	if s.scope > ScopeSavepoint {
		return s.failed
	}
	s.failed, s.scope = nil, ScopeStatement
	return s.run(ctx, rollbackToSavepoint)
}

// end ends the transaction with COMMIT or ROLLBACK. When that fails, the
// connection must not be used again.
func (s *session) end(ctx context.Context, text string) error {
	s.failed, s.scope = nil, ScopeStatement
	return s.run(ctx, text)
}

const rollbackToSavepoint = "ROLLBACK TO SAVEPOINT fn"

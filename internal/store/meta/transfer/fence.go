package transfer

import (
	"context"
	"crypto/rand"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"time"
)

// errBadConn ends a connection instead of handing it on.
var errBadConn = driver.ErrBadConn

// Refusal is what a fenced database answers to who writes to it.
const Refusal = "the registry is being moved to another database or blob store, or was moved: see kontor admin migrate"

// fenceTries is how often a fence is tried to be put up among transactions that do not
// end; each waits for some seconds.
const fenceTries = 12

// ErrLifted: the database took writes while it was moved.
var ErrLifted = errors.New("the move was cancelled, or another one was begun: servers may have written to the old database")

// Fence makes the database refuse all writes, also those of servers that run: what was
// committed before it returns is all there will be, as long as the fence with the id
// that it returns is there. Reading goes on.
func (d *Database) Fence(ctx context.Context) (id string, err error) {
	id = rand.Text()
	err = d.change(ctx, nil, func(tables []Table) []string { return d.Dialect.Fence(tables, id) })
	if err != nil {
		return "", fmt.Errorf("stopping writes to the database: %w", err)
	}
	return id, nil
}

// has is ErrLifted where the database has no fence with the id.
func (d *Database) has(ctx context.Context, c *sql.Conn, id string) error {
	var n int64
	if err := c.QueryRowContext(ctx, d.Dialect.FencedAs, id).Scan(&n); err != nil {
		return fmt.Errorf("asking whether the database takes writes: %w", err)
	}
	if n == 0 {
		return ErrLifted
	}
	return nil
}

// fencedAs runs f while the database has the fence with the id and keeps it: ErrLifted.
func (d *Database) fencedAs(ctx context.Context, id string, f func() error) error {
	for try := 1; ; try++ {
		began := false
		err := d.in(ctx, d.Dialect.BeginWrite, false, func(c *sql.Conn) error {
			began = true
			if err := d.has(ctx, c, id); err != nil {
				return err
			}
			return f()
		})
		if err == nil || began || try == fenceTries || !d.Dialect.Busy(err) {
			return err
		}
	}
}

// Lift takes the fence away, and replaces rows of job_states in the same moment. Unless
// id is "", the fence must be that one: ErrLifted.
func (d *Database) Lift(ctx context.Context, id string, states map[string][]byte) error {
	mine := func(c *sql.Conn) error {
		if id == "" {
			return nil
		}
		return d.has(ctx, c, id)
	}
	err := d.change(ctx, mine, d.Dialect.Lift, func(c *sql.Conn) error {
		for name, state := range states {
			if _, err := c.ExecContext(ctx, "UPDATE job_states SET state = $2 WHERE name = $1", name, state); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("allowing writes to the database again: %w", err)
	}
	return nil
}

// change runs statements for all tables in one transaction, after first and before more.
// first may be nil.
func (d *Database) change(ctx context.Context, first func(*sql.Conn) error, statements func([]Table) []string, more ...func(*sql.Conn) error) (err error) {
	for try := 1; ; try++ {
		err = d.in(ctx, d.Dialect.BeginWrite, true, func(c *sql.Conn) error {
			if first != nil {
				if err := first(c); err != nil {
					return err
				}
			}
			tables, err := d.tables(ctx, c)
			if err != nil {
				return err
			}
			for _, text := range statements(tables) {
				if _, err := c.ExecContext(ctx, text); err != nil {
					return err
				}
			}
			for _, f := range more {
				if err := f(c); err != nil {
					return err
				}
			}
			return nil
		})
		if err == nil || try == fenceTries || !d.Dialect.Busy(err) {
			return err
		}
		pause := time.NewTimer(time.Duration(try) * 50 * time.Millisecond)
		select {
		case <-ctx.Done():
			pause.Stop()
			return errors.Join(err, ctx.Err())
		case <-pause.C:
		}
	}
}

// Fenced reports whether the database refuses writes.
func (d *Database) Fenced(ctx context.Context) (bool, error) {
	var n int64
	if err := d.DB.QueryRowContext(ctx, d.Dialect.Fenced).Scan(&n); err != nil {
		return false, fmt.Errorf("asking whether the database takes writes: %w", err)
	}
	return n > 0, nil
}

// State is a row of job_states, nil for none.
func (d *Database) State(ctx context.Context, name string) (state []byte, err error) {
	err = d.DB.QueryRowContext(ctx, "SELECT state FROM job_states WHERE name = $1", name).Scan(&state)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the state %q: %w", name, err)
	}
	return state, nil
}

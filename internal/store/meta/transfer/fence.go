package transfer

import (
	"context"
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

// Fence makes the database refuse all writes, also those of servers that run: what was
// committed before it returns is all there will be. Reading goes on.
func (d *Database) Fence(ctx context.Context) error {
	if err := d.change(ctx, d.Dialect.Fence); err != nil {
		return fmt.Errorf("stopping writes to the database: %w", err)
	}
	return nil
}

// Lift takes the fence away, and replaces rows of job_states in the same moment.
func (d *Database) Lift(ctx context.Context, states map[string][]byte) error {
	err := d.change(ctx, d.Dialect.Lift, func(c *sql.Conn) error {
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

// change runs statements for all tables in one transaction, and then more.
func (d *Database) change(ctx context.Context, statements func([]Table) []string, more ...func(*sql.Conn) error) (err error) {
	for try := 1; ; try++ {
		err = d.in(ctx, d.Dialect.BeginWrite, true, func(c *sql.Conn) error {
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

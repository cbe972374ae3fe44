// Package sqlstore implements package meta over database/sql: one set of SQL
// texts for every database, with a Dialect for the little that differs. The
// packages sqlite and postgres open databases for it.
//
// It guarantees what meta promises. Updates are run by committers:
// each runs the callbacks that are waiting one after another in one
// serializable transaction, each in a savepoint, and one commit acknowledges
// them all. What cannot be committed is run again. Conflicts are found by
// constraints: a statement that could violate one says what to do then (ON
// CONFLICT, or a condition next to the constraint), because an error would
// spoil the transaction that others share.
package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/kontor-registry/kontor/internal/store/meta"
	"github.com/kontor-registry/kontor/internal/store/meta/transfer"
)

// Config is what a Store is made of. The Store owns both pools and closes
// them; they may be the same.
type Config struct {
	// Write serves Updates and migrations, Read serves Views.
	Write, Read *sql.DB
	Dialect     Dialect
	// Alone, of a Dialect with OneWriter: no other Store or process changes the
	// database, so that this one knows when what it has read is no longer so.
	Alone bool
	// Reader opens a database that refuses writes, too. Without it, such a database is
	// refused. A Reader does not migrate, unless Migrate is set.
	Reader, Migrate bool
	// Writers is how many transactions of Updates may run at once, at least 1.
	// Readers is how many Views may.
	Writers, Readers int
}

// Store is a meta.Store. Open one with package sqlite or postgres.
type Store struct {
	d        Dialect
	q        queries
	write    *sql.DB
	read     *sql.DB
	queue    queue
	writers  sync.WaitGroup
	views    pool
	rows     rowTable
	rowsRead atomic.Int64
	changes  *changes // nil where other processes commit, too
	// attempts are transactions that Updates began, lost those that were rolled back, to
	// be run again.
	attempts, lost atomic.Int64

	closing  sync.Once
	closeErr error
}

var _ meta.Store = (*Store)(nil)

// New migrates the database to the schema of this program, and starts the
// committers. It closes the pools when it fails.
func New(ctx context.Context, cfg Config) (*Store, error) {
	s := &Store{
		d: cfg.Dialect, q: makeQueries(&cfg.Dialect), write: cfg.Write, read: cfg.Read,
	}
	s.queue.some.L = &s.queue.mu
	if cfg.Alone {
		s.changes = &changes{}
	}
	s.rows.Max = rowBytes
	s.views = pool{db: s.read, d: &s.d, read: &s.rowsRead, changes: s.changes, places: make(chan struct{}, max(1, cfg.Readers))}
	if err := migrate(ctx, s.write, &s.d, cfg.Reader, cfg.Reader && !cfg.Migrate); err != nil {
		return nil, errors.Join(err, s.closePools())
	}
	if !cfg.Reader {
		if err := s.takesWrites(ctx); err != nil {
			return nil, errors.Join(err, s.closePools())
		}
	}
	// From here on connections are kept as sessions, which notice when they
	// are lost. One idle in the pools could be lost unnoticed.
	s.write.SetMaxIdleConns(-1)
	s.read.SetMaxIdleConns(-1)
	for range max(1, cfg.Writers) {
		s.writers.Go(func() {
			w := writer{store: s}
			w.work()
			if w.s != nil {
				w.drop()
			}
		})
	}
	return s, nil
}

// takesWrites is an error where the database refuses writes: see package transfer.
func (s *Store) takesWrites(ctx context.Context) error {
	var fences int64
	switch err := s.write.QueryRowContext(ctx, s.d.Fenced).Scan(&fences); {
	case err != nil:
		return fmt.Errorf("asking whether the database takes writes: %w", classified(&s.d, err))
	case fences > 0:
		return errors.New(transfer.Refusal)
	}
	return nil
}

// RowsRead is how many rows statements have returned since the store was opened.
func (s *Store) RowsRead() int64 { return s.rowsRead.Load() }

// Attempts is how many transactions Updates began since the store was opened, and how
// many of them were lost, most of them against other transactions.
func (s *Store) Attempts() (all, lost int64) { return s.attempts.Load(), s.lost.Load() }

// OneProcess implements meta.Store.
func (s *Store) OneProcess() bool { return s.d.OneWriter }

// Close implements meta.Store. Updates that wait are still run.
func (s *Store) Close() error {
	s.closing.Do(func() {
		s.queue.close()
		s.writers.Wait()
		s.closeErr = errors.Join(s.views.close(), s.closePools())
	})
	return s.closeErr
}

func (s *Store) closePools() error {
	err := s.read.Close()
	if s.write != s.read {
		err = errors.Join(err, s.write.Close()) // last, so that SQLite's checkpoint is complete
	}
	return err
}

// classified adds the error of package meta that err amounts to.
func classified(d *Dialect, err error) error {
	if f := d.Classify(err); f.Is != nil {
		return fmt.Errorf("%w: %w", f.Is, err)
	}
	return err
}

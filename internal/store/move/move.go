// Package move moves the data of a registry to another database, to another blob
// store, or to both, while its servers run.
//
// It guarantees that the servers stop taking writes only for the last part, in which
// what is new since the first part is copied, and the rows; that they serve reads all
// the time; that each blob was read at its destination and has the digest that it
// should have; that each table has the same rows; and that a move that was killed at
// any moment can be run again. The old database refuses writes from then on, so that
// what one server takes cannot be lost in it.
//
// It leaves out uploads that are under way when the blob store changes: clients begin
// them again.
package move

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/kontor-registry/kontor/internal/jobs"
	"github.com/kontor-registry/kontor/internal/store/blob"
	"github.com/kontor-registry/kontor/internal/store/meta"
	"github.com/kontor-registry/kontor/internal/store/meta/transfer"
)

// Side is where the data is, or comes to.
type Side struct {
	Rows  *transfer.Database
	Blobs blob.Store
}

// Config says what to move, and how.
type Config struct {
	From, To Side
	// Meta is From's database, of whose blobs it is asked again and again.
	Meta meta.Store
	// SameDatabase and SameBlobs: this half stays where it is. To.Rows, and To.Blobs,
	// are From's then.
	SameDatabase, SameBlobs bool
	// Workers is how many blobs are copied at once. Default 8.
	Workers int
	// LeaveDamaged moves without blobs that are damaged or missing already.
	LeaveDamaged bool
	// Now is the clock of Report. Required.
	Now func() time.Time
	// Progress is told how far the move is, from several goroutines. Optional.
	Progress func(Progress)
}

// Phase is a part of a move.
type Phase string

// The parts of a move, in their order.
const (
	PhaseBlobs  Phase = "blobs" // servers run as ever
	PhaseFence  Phase = "stopping writes"
	PhaseStop   Phase = "last blobs" // no writes are taken, from here on
	PhaseRows   Phase = "rows"       // the rows are copied and compared
	PhaseChange Phase = "changing over"
)

// Progress is how far a move is.
type Progress struct {
	Phase Phase
	// Blobs of all were read at the destination; SizeBytes likewise.
	Blobs, AllBlobs         int64
	SizeBytes, AllSizeBytes int64
	Table                   string // that was copied last, in PhaseRows
}

// Report says what was done.
type Report struct {
	// Finished: the data has moved. Without it, the old servers still have it.
	Finished bool `json:"finished"`
	// Blobs that the destination has, each read there and compared with its digest.
	Blobs     int64 `json:"blobs"`
	BlobBytes int64 `json:"blobBytes"`
	// Copied are those that this run copied.
	Copied      int64 `json:"copied"`
	CopiedBytes int64 `json:"copiedBytes"`
	// Damaged are blobs that are not whole at the source. Never nil.
	Damaged []Damaged `json:"damaged"`
	// Tables are those that were copied, with what they have at both ends. Never nil.
	Tables []transfer.Sum `json:"tables"`
	// Uploads under way at the end, which clients have to begin again.
	Uploads int64 `json:"uploads"`
	// StoppedAt is since when the old database has refused writes, StoppedSeconds how
	// long it took from then to the end.
	StoppedAt      time.Time `json:"stoppedAt,omitzero"`
	StoppedSeconds float64   `json:"stoppedSeconds,omitzero"`
}

// Damaged is a blob that is not whole at the source.
type Damaged struct {
	Digest  string   `json:"digest"`
	Key     blob.Key `json:"key"`
	Problem string   `json:"problem"`
}

// Errors of a move.
var (
	// ErrDamaged: blobs are not whole at the source.
	ErrDamaged = errors.New("blobs are damaged or missing where they come from")
	// ErrOther: the two sides cannot be those of one registry.
	ErrOther = errors.New("cannot move there")
	// ErrFinished: there is nothing left to move.
	ErrFinished = errors.New("the registry was moved there already")
)

// state is what is known of both sides before anything is changed.
type state struct {
	from      jobs.Installation
	blobs     string // id of the blob store of the destination
	fenced    bool
	all, size int64 // blobs
}

// Plan is what a move would do.
type Plan struct {
	Blobs     int64 `json:"blobs"`
	BlobBytes int64 `json:"blobBytes"`
	// Rows of all tables.
	Rows int64 `json:"rows"`
	// Fenced: the database that the data comes from refuses writes, of an earlier run.
	Fenced bool `json:"fenced"`
}

// Check says whether the move can be begun, and what there is to do. It changes nothing.
func Check(ctx context.Context, cfg Config) (Plan, error) {
	m := &mover{cfg: cfg}
	if err := m.look(ctx); err != nil {
		return Plan{}, err
	}
	p := Plan{Blobs: m.state.all, BlobBytes: m.state.size, Fenced: m.state.fenced}
	if cfg.SameBlobs {
		p.Blobs, p.BlobBytes = 0, 0
	}
	if cfg.SameDatabase {
		return p, nil
	}
	tables, err := cfg.From.Rows.Tables(ctx)
	if err != nil {
		return Plan{}, err
	}
	for _, t := range tables {
		var n int64
		if err := cfg.From.Rows.DB.QueryRowContext(ctx, "SELECT COUNT(*) FROM "+t.Name).Scan(&n); err != nil {
			return Plan{}, fmt.Errorf("counting the rows of table %s: %w", t.Name, err)
		}
		p.Rows += n
	}
	return p, nil
}

// Copy copies blobs while the servers run, which makes the last part short. It may be
// run as often as one likes.
func Copy(ctx context.Context, cfg Config) (Report, error) {
	m := &mover{cfg: cfg}
	err := m.look(ctx)
	if err == nil {
		err = m.begin(ctx)
	}
	if err == nil {
		err = m.copyBlobs(ctx)
	}
	return m.report(), err
}

// Finish does what Copy does, stops writes, and moves what is left. When it returns
// nil, servers with the new configuration can be started. ErrDamaged, unless
// LeaveDamaged is set; then writes were not stopped. transfer.ErrLifted where Cancel let
// servers write meanwhile: nothing has moved then.
func Finish(ctx context.Context, cfg Config) (r Report, err error) {
	m := &mover{cfg: cfg}
	if err := m.look(ctx); err != nil {
		return m.report(), err
	}
	if err := m.begin(ctx); err != nil {
		return m.report(), err
	}
	if err := m.copyBlobs(ctx); err != nil {
		return m.report(), err
	}
	if n := len(m.report().Damaged); n > 0 && !cfg.LeaveDamaged {
		return m.report(), fmt.Errorf("%w: %d; writes were not stopped", ErrDamaged, n)
	}
	m.setPhase(PhaseFence)
	if m.fence, err = cfg.From.Rows.Fence(ctx); err != nil {
		return m.report(), err
	}
	stopped := cfg.Now()
	err = m.changeOver(ctx)
	r = m.report()
	r.Finished = err == nil
	r.StoppedAt, r.StoppedSeconds = stopped.UTC().Truncate(time.Second), cfg.Now().Sub(stopped).Seconds()
	return r, err
}

// Cancel lets the old database take writes again.
func Cancel(ctx context.Context, from *transfer.Database) error { return from.Lift(ctx, "", nil) }

// changeOver is what follows when no writes are taken any longer.
func (m *mover) changeOver(ctx context.Context) error {
	if !m.cfg.SameBlobs {
		m.setPhase(PhaseStop)
		m.readAgain()
		if _, err := m.pass(ctx); err != nil {
			return err
		}
		if n := len(m.report().Damaged); n > 0 && !m.cfg.LeaveDamaged {
			return fmt.Errorf("%w: %d", ErrDamaged, n)
		}
	}
	err := m.cfg.From.Rows.DB.QueryRowContext(ctx, "SELECT COUNT(*) FROM uploads").Scan(&m.uploads)
	if err != nil {
		return fmt.Errorf("counting uploads: %w", err)
	}
	now, err := json.Marshal(jobs.Installation{Database: m.state.from.Database, Blobs: m.state.blobs})
	if err != nil {
		return err
	}
	states := map[string][]byte{jobs.InstallationState: now}
	if m.cfg.SameDatabase {
		m.setPhase(PhaseChange)
		return m.cfg.From.Rows.Lift(ctx, m.fence, states)
	}
	m.setPhase(PhaseRows)
	plan := transfer.Plan{States: states, Fence: m.fence, Progress: func(s transfer.Sum) { m.told(s.Table) }}
	if m.cfg.SameBlobs {
		m.uploads = 0 // they go on
	} else {
		plan.Leave = []string{"uploads", "orphans"} // of the blob store that is left
	}
	m.tables, err = transfer.Copy(ctx, m.cfg.From.Rows, m.cfg.To.Rows, plan)
	return err
}

// look finds out what both sides are, and refuses what cannot be moved.
func (m *mover) look(ctx context.Context) (err error) {
	from, to := m.cfg.From, m.cfg.To
	if m.cfg.SameDatabase && m.cfg.SameBlobs {
		return fmt.Errorf("%w: the database and the blob store are the same as before", ErrOther)
	}
	have, err := installation(ctx, from.Rows)
	if err != nil {
		return err
	}
	if have.Database == "" || have.Blobs == "" {
		return fmt.Errorf("%w: the database that the data would come from was never served", ErrOther)
	}
	m.state.from = have
	id, err := blob.InstallationOf(ctx, from.Blobs)
	if err != nil {
		return err
	}
	if m.state.blobs, err = blob.InstallationOf(ctx, to.Blobs); err != nil {
		return err
	}
	if m.cfg.SameDatabase && have.Blobs == m.state.blobs {
		return ErrFinished
	}
	if id != have.Blobs {
		return fmt.Errorf("%w: the database that the data would come from belongs to the blob store with installation id %s, and the blob store given with it has %s", ErrOther, have.Blobs, id)
	}
	if !m.cfg.SameBlobs && m.state.blobs == id {
		return fmt.Errorf("%w: both blob stores have the installation id %s: they are one store, or the second is a copy of the first made in another way; give an empty one", ErrOther, id)
	}
	if m.state.fenced, err = from.Rows.Fenced(ctx); err != nil {
		return err
	}
	if err := m.lookAtRows(ctx); err != nil {
		return err
	}
	err = from.Rows.DB.QueryRowContext(ctx, "SELECT COUNT(*), CAST(COALESCE(SUM(size_bytes), 0) AS BIGINT) FROM blobs").Scan(&m.state.all, &m.state.size)
	if err != nil {
		return fmt.Errorf("counting blobs: %w", err)
	}
	return nil
}

// lookAtRows checks the database of the destination.
func (m *mover) lookAtRows(ctx context.Context) error {
	if m.cfg.SameDatabase {
		return nil
	}
	from, to := m.cfg.From, m.cfg.To
	old, err := from.Rows.Version(ctx)
	if err != nil {
		return err
	}
	version, err := to.Rows.Version(ctx)
	if err != nil {
		return err
	}
	if old != version {
		return fmt.Errorf("%w: the database that the data would come from has schema version %d, and this program %d: run its servers with this version of kontor first", ErrOther, old, version)
	}
	empty, err := to.Rows.Empty(ctx)
	if err != nil || empty {
		return err
	}
	there, err := installation(ctx, to.Rows)
	if err != nil {
		return err
	}
	if there == (jobs.Installation{Database: m.state.from.Database, Blobs: m.state.blobs}) && m.state.fenced {
		return ErrFinished
	}
	return fmt.Errorf("%w: %w: give one that no server was started on", ErrOther, transfer.ErrNotEmpty)
}

func installation(ctx context.Context, db *transfer.Database) (i jobs.Installation, err error) {
	text, err := db.State(ctx, jobs.InstallationState)
	if err != nil || text == nil {
		return i, err
	}
	if err := json.Unmarshal(text, &i); err != nil {
		return i, fmt.Errorf("reading which blob store the database belongs to: %w", err)
	}
	return i, nil
}

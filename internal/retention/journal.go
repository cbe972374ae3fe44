package retention

import (
	"context"

	"github.com/kontor-registry/kontor/internal/gate"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// JournalEntry is one entry of the journal.
type JournalEntry = meta.JournalEntry

// JournalFilter selects entries of the journal of a registry that have
// everything that is given.
type JournalFilter = meta.JournalQuery

var opJournal = gate.Op("Journal", "kontor:ListJournal")

// Journal returns at most limit entries that f selects, oldest first, after
// the sequence number after (with f.Backward newest first, before after or with 0
// from the newest); and the number to continue after, 0 when that was
// all. Repositories may be gone.
func (c *Caller) Journal(ctx context.Context, f JournalFilter, after int64, limit int) (list []JournalEntry, next int64, err error) {
	err = c.gate.Read(ctx, opJournal, func(ctx context.Context, r *gate.View) error {
		list, next = nil, 0
		shown, err := r.EnterNames(ctx, f.Registry, f.Name)
		if err != nil {
			return err
		}
		var more bool
		list, more, err = meta.Take(meta.Journal(ctx, r.Retention(), f, after, limit+1), limit, func(e *JournalEntry) (bool, error) { return shown(e.Name) })
		if more {
			next = list[limit-1].Seq
		}
		return err
	})
	return list, next, err
}

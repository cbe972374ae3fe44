package render

import (
	"io"

	"github.com/kontor-registry/kontor/internal/report/words"
	"github.com/kontor-registry/kontor/internal/store/check"
	"github.com/kontor-registry/kontor/internal/store/repair"
)

// Repaired is what a repair found, did and left.
type Repaired struct {
	DryRun bool `json:"dryRun"`
	// Outcomes are those of blobs, in the order of Before. Never nil.
	Outcomes []repair.Outcome `json:"blobs"`
	Before   check.Report     `json:"before"`
	// After is Before when nothing was changed.
	After check.Report `json:"after"`
}

// Repair writes a line for each damaged blob and what became of it, then what is still
// damaged.
func Repair(w io.Writer, r Repaired, o Options) error {
	p := newPrinter(o)
	done := 0
	for _, b := range r.Outcomes {
		switch b.Done {
		case repair.Repaired:
			done++
			p.linef(green, "repaired blob %s (file %s) from %s: %s", b.Digest, b.NewKey, clean(string(b.From)), clean(b.Problem))
		case repair.Repairable:
			done++
			p.linef(plain, "would repair blob %s from %s: %s", b.Digest, clean(string(b.From)), clean(b.Problem))
		default:
			p.linef(red, "cannot repair blob %s (file %s): %s: %s", b.Digest, b.Key, clean(b.Problem), clean(b.Reason))
		}
	}
	if r.DryRun {
		p.linef(bold, "Damaged: %d. Could be repaired: %s.", len(r.Before.Damaged), words.Count(done, "blob", "blobs"))
		return p.flush(w)
	}
	if len(r.After.Damaged) == 0 {
		p.linef(plain, "Repaired %s. Everything is whole.", words.Count(done, "blob", "blobs"))
		return p.flush(w)
	}
	if err := p.flush(w); err != nil {
		return err
	}
	return Check(w, r.After, o)
}

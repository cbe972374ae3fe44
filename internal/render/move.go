package render

import (
	"fmt"
	"io"
	"time"

	"github.com/kontor-registry/kontor/internal/report/words"
	"github.com/kontor-registry/kontor/internal/store/move"
)

// Move writes what a run of kontor admin migrate did.
func Move(w io.Writer, r move.Report, o Options) error {
	p := newPrinter(o)
	for _, d := range r.Damaged {
		p.linef(red, "blob %s (file %s) %s", clean(d.Digest), d.Key, clean(d.Problem))
	}
	p.linef(plain, "The new blob store has %s (%s), read and compared there; %s (%s) copied by this run.",
		words.Count(int(r.Blobs), "blob", "blobs"), words.Bytes(r.BlobBytes), words.Count(int(r.Copied), "blob", "blobs"), words.Bytes(r.CopiedBytes))
	if !r.Finished {
		p.linef(bold, "Nothing has changed for the servers. Move for good with --finish.")
		return p.flush(w)
	}
	if len(r.Tables) > 0 {
		var rows int64
		for _, t := range r.Tables {
			rows += t.Rows
		}
		p.linef(plain, "The new database has %s in %s, the same as the old one.", words.Count(int(rows), "row", "rows"), words.Count(len(r.Tables), "table", "tables"))
	}
	if r.Uploads > 0 {
		p.linef(yellow, "%s under way begin again: their clients are told that they do not exist.", words.Count(int(r.Uploads), "upload", "uploads"))
	}
	p.linef(plain, "Writes stopped at %s, %.1f seconds before the end.", r.StoppedAt.Format(time.RFC3339), r.StoppedSeconds)
	p.linef(bold, "Moved. Start servers with the new configuration, and stop those with the old one.")
	return p.flush(w)
}

// MovePlan writes what a move would do.
func MovePlan(w io.Writer, r move.Plan, o Options) error {
	p := newPrinter(o)
	p.linef(plain, "To copy: %s (%s) and %s.", words.Count(int(r.Blobs), "blob", "blobs"), words.Bytes(r.BlobBytes), words.Count(int(r.Rows), "row", "rows"))
	if r.Fenced {
		p.linef(yellow, "The old database refuses writes since an earlier run with --finish: finish it, or take it back with --cancel.")
	}
	p.linef(plain, "Both configurations can be used.")
	return p.flush(w)
}

// MoveProgress is one line for p.
func MoveProgress(p move.Progress) string {
	switch p.Phase {
	case move.PhaseRows:
		return "rows: " + p.Table
	case move.PhaseFence, move.PhaseChange:
		return string(p.Phase)
	}
	return fmt.Sprintf("%s: %d of %d (%s of %s)", p.Phase, p.Blobs, p.AllBlobs, words.Bytes(p.SizeBytes), words.Bytes(p.AllSizeBytes))
}

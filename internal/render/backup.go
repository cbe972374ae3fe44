package render

import (
	"io"

	"github.com/kontor-registry/kontor/internal/report/words"
	"github.com/kontor-registry/kontor/internal/store/backup"
)

// Backup writes what kontor admin backup did.
func Backup(w io.Writer, r backup.Report, o Options) error {
	p := newPrinter(o)
	p.linef(plain, "Saved in %s: the database (%s) and %s (%s).", clean(r.Folder), words.Bytes(r.DatabaseBytes), words.Count(int(r.Blobs), "blob", "blobs"), words.Bytes(r.BlobBytes))
	p.linef(plain, "New since the last backup: %s (%s); removed: %d.", words.Count(int(r.Copied), "blob", "blobs"), words.Bytes(r.CopiedBytes), r.Removed)
	if !r.MasterKey {
		p.linef(yellow, "The master key is not part of it: keep a copy elsewhere.")
	}
	return p.flush(w)
}

package render

import (
	"io"

	"github.com/kontor-registry/kontor/internal/report"
)

// Storage writes what a store for blobs can do.
func Storage(w io.Writer, s report.Storage, o Options) error {
	p := newPrinter(o)
	colors := map[report.StorageStatus]color{report.StorageOK: green, report.StorageNotice: yellow, report.StorageFailed: red}
	for _, c := range s.Checks {
		p.linef(colors[c.Status], "%-7s %-19s %s", c.Status, c.Name, clean(c.Detail))
	}
	p.linef(plain, "A small object is written in %.1f ms and read in %.1f ms.", s.WriteMillis, s.ReadMillis)
	if s.Failed() {
		p.linef(bold, "Blobs cannot be kept in s3://%s/%s.", clean(s.Bucket), clean(s.Prefix))
	} else {
		p.linef(plain, "Blobs can be kept in s3://%s/%s.", clean(s.Bucket), clean(s.Prefix))
	}
	return p.flush(w)
}

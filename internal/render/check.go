package render

import (
	"fmt"
	"io"
	"strings"

	"github.com/kontor-registry/kontor/internal/report/words"
	"github.com/kontor-registry/kontor/internal/store/check"
)

// Check writes what a check found: a line for each damaged object, and what
// was read.
func Check(w io.Writer, r check.Report, o Options) error {
	p := newPrinter(o)
	for _, d := range r.Damaged {
		name := string(d.Digest)
		if d.Repository != "" {
			name = fmt.Sprintf("%s/%s@%s", d.Registry, d.Repository, d.Digest)
		}
		var details []string
		for _, t := range d.Tags {
			details = append(details, "tag "+string(t))
		}
		switch {
		case d.Key == "":
		case d.Key.InDatabase():
			details = append(details, "in the database, "+string(d.Key))
		default:
			details = append(details, "file "+string(d.Key))
		}
		if len(details) > 0 {
			name += " (" + strings.Join(details, ", ") + ")"
		}
		p.linef(red, "%s %s: %s", d.Kind, clean(name), clean(d.Problem))
	}
	p.linef(plain, "Read %s (%d bytes), %s and %s in %s.",
		words.Count(int(r.Blobs), "blob", "blobs"), r.BlobBytes, words.Count(int(r.Images), "image", "images"),
		words.Count(int(r.Tags), "tag", "tags"), words.Count(int(r.Repositories), "repository", "repositories"))
	if n := len(r.Damaged); n > 0 {
		p.linef(bold, "Damaged: %d.", n)
	} else {
		p.linef(plain, "Everything is whole.")
	}
	return p.flush(w)
}

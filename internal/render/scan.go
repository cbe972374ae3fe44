package render

import (
	"fmt"
	"io"
	"strings"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/report"
	"github.com/kontor-registry/kontor/internal/report/words"
	"github.com/kontor-registry/kontor/internal/wire/admin"
)

// Scanner writes what scans, and what waits for it.
func Scanner(w io.Writer, r admin.GetScannerResponse, o Options) error {
	p := newPrinter(o)
	s := r.Scanner
	if s == nil {
		p.linef(plain, "No scanner is configured: images are not scanned.")
		return p.flush(w)
	}
	product := strings.TrimSpace(s.Product + " " + s.Version)
	p.linef(plain, "%s: %s, %s", clean(s.Name), clean(product), clean(s.Kind))
	if !s.DatabaseUpdatedAt.IsZero() {
		p.linef(plain, "    its database was updated %s", words.Moment(s.DatabaseUpdatedAt))
	}
	if s.Failure != "" {
		p.linef(plain, "    it cannot be reached: %s", clean(s.Failure))
	}
	p.linef(plain, "%d scans wait, %d run, %d at a time", r.Waiting, r.Running, s.Concurrency)
	return p.flush(w)
}

// Scan writes what a scan found.
func Scan(w io.Writer, r report.Scan, o Options) error {
	p := newPrinter(o)
	switch ecr.ScanStatus(r.Status) {
	case ecr.ScanInProgress:
		p.linef(plain, "The scan has not finished.")
	case ecr.ScanComplete:
		var counts []string
		for _, s := range ecr.Severities() {
			if n := r.Counts[string(s)]; n > 0 {
				counts = append(counts, fmt.Sprintf("%d %s", n, s))
			}
		}
		found := "nothing was found"
		if len(counts) > 0 {
			found = strings.Join(counts, ", ")
		}
		p.linef(plain, "Scanned %s: %s", words.Moment(r.CompletedAt), found)
	default:
		p.linef(plain, "%s: %s", clean(r.Status), clean(r.Reason))
	}
	for _, f := range r.Findings {
		line := fmt.Sprintf("%-13s %s", f.Severity, f.Name)
		if f.Package != "" {
			line += fmt.Sprintf("  %s %s", f.Package, f.Version)
		}
		if f.Fixed != "" {
			line += ", fixed in " + f.Fixed
		}
		p.linef(plain, "%s", clean(line))
		if f.URI != "" {
			p.linef(faint, "    %s", clean(f.URI))
		}
	}
	return p.flush(w)
}

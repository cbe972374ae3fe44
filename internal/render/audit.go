package render

import (
	"encoding/json"
	"io"
	"time"

	"github.com/kontor-registry/kontor/internal/access/audit"
	"github.com/kontor-registry/kontor/internal/report/words"
)

// Audit writes a record in a line, and below it why, where it was denied.
func Audit(w io.Writer, r audit.Record, o Options) error {
	p := newPrinter(o)
	c, who := plain, r.Principal
	if r.Decision != audit.Allowed {
		c = red
	}
	if who == "" {
		who = "an unauthenticated caller"
		if r.AccessKey != "" {
			who = "key " + r.AccessKey
		}
	}
	if r.Source != "" {
		who += " from " + r.Source
	}
	p.linef(c, "%s %-7s %s on %s by %s", r.Time.UTC().Format(time.RFC3339), clean(string(r.Decision)), clean(r.Action), clean(r.Resource), clean(who))
	switch {
	case r.Decision != audit.Allowed && r.Reason != "":
		p.linef(plain, "    %s", clean(r.Reason))
	case r.Decision == audit.Allowed && r.Statement != "":
		p.linef(faint, "    %s", clean(r.Statement))
	}
	if r.Decision != audit.Allowed && r.Statement != "" {
		p.linef(plain, "    decided by %s", clean(r.Statement))
	}
	for _, key := range r.DependsOn {
		p.linef(plain, "    the condition key %s is not known", clean(key))
	}
	if r.Suppressed > 0 {
		p.linef(plain, "    %s before it left out", words.Count(int(r.Suppressed), "similar record", "similar records"))
	}
	return p.flush(w)
}

// AuditJSON writes a record as a line of JSON, as it is in the log.
func AuditJSON(w io.Writer, r audit.Record) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e.Encode(r)
}

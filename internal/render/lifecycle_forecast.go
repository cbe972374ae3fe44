package render

import (
	"fmt"
	"io"

	"github.com/kontor-registry/kontor/internal/report"
	"github.com/kontor-registry/kontor/internal/report/words"
	"github.com/kontor-registry/kontor/lifecycle"
)

// Forecast writes what goes when, by day and rule.
func Forecast(w io.Writer, f report.Forecast, o Options) error {
	p := newPrinter(o)
	p.linef(bold, "%s", title("Lifecycle forecast", f.Header))
	p.linef(plain, "For %s, with %s.", words.Count(f.Ahead, "day", "days"), f.Premise())
	if len(f.Rules) == 0 {
		p.linef(plain, "There is no lifecycle policy: nothing expires.")
	}
	p.linef(plain, "")
	any := false
	for _, d := range f.Days {
		for i, r := range d.Rules {
			any = true
			when := d.Date
			if i > 0 {
				when = "          "
			}
			line := fmt.Sprintf("%s  rule %d %s %s", when, r.Priority, words.Verb(r.Action), r.Tally)
			if r.Arrived > 0 {
				line += fmt.Sprintf(" (%d pushed after today)", r.Arrived)
			}
			c := plain
			if r.Action == lifecycle.Expire {
				c = red
			}
			p.linef(c, "%s", line)
			if o.List {
				for _, m := range r.Names {
					p.linef(plain, "              %s", words.Image(m.Digest, m.Tags))
				}
			}
		}
	}
	if !any {
		p.linef(plain, "No image expires or is archived.")
	}
	p.linef(plain, "")
	for _, r := range f.Busy() {
		p.linef(bold, "%s", ruleLine(r.Priority, r.Words, r.Field, r.Place))
		p.linef(plain, "  %s %s between %s and %s", words.Verb(r.Action), r.Tally, r.First, r.Last)
	}
	idle := f.Idle()
	if len(idle) > mostIdle {
		var names []int
		for _, r := range idle {
			names = append(names, r.Priority)
		}
		p.linef(plain, "%s do nothing in this time.", words.Sentence(words.Rules(names)))
		idle = nil
	}
	for _, r := range idle {
		p.linef(plain, "%s", ruleLine(r.Priority, r.Words, r.Field, r.Place))
		p.linef(plain, "  %s nothing", words.Verb(r.Action))
	}
	p.linef(plain, "")
	if f.First != nil {
		p.linef(red, "%s", f.Warning())
	} else {
		p.linef(green, "%s", f.Calm())
	}
	for _, note := range f.Notes() {
		p.linef(yellow, "%s", note)
	}
	p.linef(bold, "%s", f.Balance())
	return p.flush(w)
}

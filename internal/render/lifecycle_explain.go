package render

import (
	"io"
	"strings"

	"github.com/kontor-registry/kontor/internal/report"
	"github.com/kontor-registry/kontor/internal/report/words"
	"github.com/kontor-registry/kontor/lifecycle"
)

// Explain writes why an image stays or goes: the answer, when it changes, and
// what each rule has to do with it.
func Explain(w io.Writer, x report.Explanation, o Options) error {
	p := newPrinter(o)
	m, c := x.Image, green
	if m.Action != lifecycle.Keep {
		c = red
	}
	p.linef(bold, "%s", words.Image(m.Digest, m.Tags))
	facts := []string{"pushed " + when(x.At, m.PushedAt), pulled(x.At, m.PulledAt)}
	if m.Status != "" {
		facts = append(facts, strings.ToLower(clean(string(m.Status))))
	}
	if m.SizeBytes > 0 {
		facts = append(facts, words.Bytes(m.SizeBytes))
	}
	p.linef(plain, "  %s", strings.Join(facts, "; "))
	p.linef(c, "%s", x.Answer)
	p.linef(plain, "%s", x.Change)
	for _, note := range x.Caveats {
		p.linef(yellow, "%s", note)
	}
	if len(x.Rules) == 0 {
		p.linef(plain, "There is no lifecycle policy.")
		return p.flush(w)
	}
	p.linef(plain, "")
	p.linef(plain, "By %s:", clean(x.Policy))
	for _, r := range x.Rules {
		p.linef(bold, "  %s", ruleLine(r.Priority, r.Words, r.Field, r.Place))
		p.linef(plain, "    %s", r.Reason)
	}
	return p.flush(w)
}

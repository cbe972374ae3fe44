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
	if x.Places != "" {
		p.linef(plain, "%s", x.Places)
	}
	p.linef(plain, "%s", x.Change)
	if x.Afterwards != "" {
		p.linef(plain, "%s", x.Afterwards)
	}
	for _, note := range x.Caveats {
		p.linef(yellow, "%s", note)
	}
	if len(x.Rules) == 0 {
		p.linef(plain, "There is no lifecycle policy.")
		return p.flush(w)
	}
	p.linef(plain, "")
	p.linef(plain, "By %s:", clean(x.Policy))
	var others []int
	for _, r := range x.Rules {
		if unrelated(r) {
			others = append(others, r.Priority)
		}
	}
	for _, r := range x.Rules {
		if unrelated(r) && len(others) > mostIdle {
			continue
		}
		p.linef(bold, "  %s", ruleLine(r.Priority, r.Words, r.Field, r.Place))
		p.linef(plain, "    %s", r.Reason)
	}
	if len(others) > mostIdle {
		p.linef(plain, "  %s do not select it.", words.Rules(others))
	}
	return p.flush(w)
}

// unrelated reports whether a rule has nothing to do with the image: no element
// of its list matches a tag.
func unrelated(r report.ExplainedRule) bool {
	return (r.Verdict == lifecycle.VerdictTags || r.Verdict == lifecycle.VerdictClass) && len(r.Matches) == 0
}

// Gone writes what became of an image that is not there.
func Gone(w io.Writer, g report.Gone, o Options) error {
	p := newPrinter(o)
	what := "tag " + g.Tag
	if g.Tag == "" {
		what = "digest " + g.Digest
	}
	p.linef(bold, "No image in %s has the %s. The journal has:", clean(g.Repository), clean(what))
	const most = 10
	if n := len(g.Entries) - most; n > 0 {
		p.linef(faint, "  %s more: kontor admin journal --repository %s", words.Count(n, "entry", "entries"), clean(g.Repository))
	}
	for _, e := range g.Entries[max(0, len(g.Entries)-most):] {
		p.journalEntry("  ", e)
	}
	if b := g.Restorable; b != nil {
		p.linef(green, "It can be restored until %s: kontor admin restore %s@%s", words.Moment(b.ExpiresAt), clean(b.RepositoryName), clean(b.ImageDigest))
	} else {
		p.linef(yellow, "It is not in the recycle bin.")
	}
	return p.flush(w)
}

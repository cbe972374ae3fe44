package render

import (
	"fmt"
	"io"
	"time"

	"github.com/kontor-registry/kontor/internal/report"
	"github.com/kontor-registry/kontor/internal/report/words"
	"github.com/kontor-registry/kontor/lifecycle"
)

// title is the first line of a report about a lifecycle policy.
func title(what string, h report.Header) string {
	if h.Repository != "" {
		what += " of " + clean(h.Repository)
	}
	return fmt.Sprintf("%s at %s, by %s", what, words.Moment(h.At), clean(h.Policy))
}

// ruleLine is "rule 2: images tagged pr-* expire 7 days after their push", and
// the field that made it.
func ruleLine(priority int, text, field, place string) string {
	s := fmt.Sprintf("rule %d: %s", priority, clean(text))
	switch {
	case field != "" && place != "":
		s += fmt.Sprintf("  (%s: %s)", clean(place), clean(field))
	case field != "":
		s += "  (" + clean(field) + ")"
	}
	return s
}

// Preview writes what the policy does to the images now: by rule, then what
// is guarded, assumed and not known, and the counts.
func Preview(w io.Writer, r report.Preview, o Options) error {
	p := newPrinter(o)
	p.linef(bold, "%s", title("Lifecycle preview", r.Header))
	if len(r.Summary.Rules) == 0 {
		p.linef(plain, "There is no lifecycle policy: nothing expires.")
	}
	for _, rule := range r.Summary.Rules {
		p.linef(plain, "")
		p.linef(bold, "%s", ruleLine(rule.Priority, rule.Words, rule.Field, rule.Place))
		p.victims(&r, rule)
	}
	p.linef(plain, "")
	p.notes(r.Summary)
	p.linef(bold, "%s", summaryText(r.Summary))
	return p.flush(w)
}

func (p *printer) victims(r *report.Preview, rule report.Rule) {
	c := red
	if rule.Action == lifecycle.Transition {
		c = yellow
	}
	if rule.Images == 0 {
		p.linef(plain, "  %s nothing", words.Verb(rule.Action))
		return
	}
	p.linef(c, "  %s %s", words.Verb(rule.Action), rule.Tally)
	line := func(name, digest string) {
		m, _ := r.Image(digest)
		p.linef(plain, "    %-7s %s: pushed %s; %s", name, words.Image(m.Digest, m.Tags), when(r.At, m.PushedAt), pulled(r.At, m.PulledAt))
	}
	if rule.Images == 1 {
		line("only", rule.OldestImage)
		return
	}
	line("oldest", rule.OldestImage)
	line("newest", rule.NewestImage)
}

// when is a time as seen from now; nil is not known.
func when(now time.Time, t *time.Time) string {
	if t == nil {
		t = &time.Time{}
	}
	return words.When(now, *t)
}

func pulled(now time.Time, t *time.Time) string {
	if t == nil {
		return "never pulled"
	}
	return "last pulled " + when(now, t)
}

// notes writes what keeps images, what is assumed and what is not known.
func (p *printer) notes(s report.Summary) {
	for _, g := range []struct {
		kind lifecycle.GuardKind
		why  string
	}{
		{lifecycle.GuardIndex, "an index lists them"},
		{lifecycle.GuardSubject, "what they belong to stays"},
		{lifecycle.GuardHeld, "they are in use"},
	} {
		if n := s.GuardedBy[g.kind]; n > 0 {
			p.linef(green, "Guarded: %s although a rule is against it: %s.", words.Count(n, "image stays", "images stay"), g.why)
		}
	}
	for _, a := range report.Assumptions {
		if n := s.Assumed[a.Name]; n > 0 {
			p.linef(yellow, "Assumed for %s, where AWS says nothing: it %s.", words.Count(n, "image", "images"), a.What)
		}
	}
	if s.MayBe > 0 {
		p.linef(yellow, "Not known: %s without tags may belong to an index, and then stay; manifests would tell.", words.Count(s.MayBe, "image", "images"))
	}
}

func summaryText(s report.Summary) string {
	return fmt.Sprintf("%s: %s, %s, %s.", words.Count(s.Images, "image", "images"),
		plus(words.Count(s.Expire, "expires", "expire"), s.ExpireBytes), plus(words.Count(s.Transition, "goes to the archive", "go to the archive"), s.MoveBytes),
		words.Count(s.Keep, "stays", "stay"))
}

// plus adds a size in brackets, unless there is none.
func plus(s string, size int64) string {
	if size == 0 {
		return s
	}
	return s + " (" + words.Bytes(size) + ")"
}

package render

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
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
	var idle []int
	for _, rule := range r.Summary.Rules {
		if rule.Images == 0 {
			idle = append(idle, rule.Priority)
		}
	}
	for _, rule := range r.Summary.Rules {
		if rule.Images == 0 && len(idle) > mostIdle {
			continue
		}
		p.linef(plain, "")
		p.linef(bold, "%s", ruleLine(rule.Priority, rule.Words, rule.Field, rule.Place))
		p.victims(&r, rule)
	}
	p.linef(plain, "")
	if len(idle) > mostIdle {
		p.linef(plain, "%s do nothing now.", words.Sentence(words.Rules(idle)))
	}
	if o.List {
		p.list(r.Images)
		p.linef(plain, "")
	}
	p.notes(r.Summary)
	p.linef(bold, "%s", summaryText(r.Summary))
	return p.flush(w)
}

// mostIdle is how many rules that do nothing have lines of their own; more are
// put together.
const mostIdle = 5

// list writes a line for each image: those that go first, by rule and push.
func (p *printer) list(images []report.Image) {
	order := slices.Clone(images)
	slices.SortStableFunc(order, func(a, b report.Image) int {
		return cmp.Or(cmp.Compare(fateOrder(a), fateOrder(b)), cmp.Compare(value(a.Rule), value(b.Rule)), compareTimes(a.PushedAt, b.PushedAt))
	})
	var table strings.Builder
	t := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	row := func(cells ...string) { _, _ = fmt.Fprintln(t, strings.Join(cells, "\t")) } // a Builder takes everything
	row("WHAT HAPPENS", "PUSHED", "PULLED", "SIZE", "DIGEST", "TAGS", "IN USE BY")
	for _, m := range order {
		row(fate(m), date(m.PushedAt, "unknown"), date(m.PulledAt, "never"), words.Bytes(m.SizeBytes), clean(words.Digest(m.Digest)), orDash(cleaned(m.Tags)), clean(m.UsedBy))
	}
	_ = t.Flush()
	for line := range strings.Lines(table.String()) {
		p.linef(plain, "%s", strings.TrimRight(line, " \n"))
	}
}

func cleaned(list []string) []string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = clean(s)
	}
	return out
}

// fateOrder is smaller for images that go.
func fateOrder(m report.Image) int {
	switch m.Action {
	case lifecycle.Expire:
		return 0
	case lifecycle.Transition:
		return 1
	}
	return 2
}

func value(n *int) int {
	if n == nil {
		return 0
	}
	return *n
}

func compareTimes(a, b *time.Time) int {
	var none time.Time
	return cmp.Or(a, &none).Compare(*cmp.Or(b, &none))
}

func date(t *time.Time, otherwise string) string {
	if t == nil {
		return otherwise
	}
	return words.Day(*t)
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
		{lifecycle.GuardIndex, "listed by an index"},
		{lifecycle.GuardSubject, "attached to an image that is kept"},
		{lifecycle.GuardHeld, "in use"},
	} {
		if n := s.GuardedBy[g.kind]; n > 0 {
			p.linef(green, "Kept although a rule would act: %s %s.", words.Count(n, "image", "images"), g.why)
		}
	}
	for _, a := range report.Assumptions {
		if n := s.Assumed[a.Name]; n > 0 {
			p.linef(yellow, "Assumed for %s: AWS %s, which is not documented.", words.Count(n, "image", "images"), a.What)
		}
	}
	if s.MayBe > 0 {
		p.linef(yellow, "Not known: %s may belong to an index, which would keep %s; the manifests of the indexes would show it.", ofThem(s.MayBe, s.Expire+s.Transition), words.Plural(s.MayBe, "it", "them"))
	}
	if s.NoPushTime > 0 {
		p.linef(yellow, "Not known: when %s pushed. Rules by age do not act on them, and counts treat them as the newest.", words.Count(s.NoPushTime, "image was", "images were"))
	}
	if s.ArchiveUnseen {
		p.linef(yellow, "Not known: which images are archived. aws ecr describe-images lists them only with --filter imageStatus=ANY.")
	}
	if s.InUse > 0 {
		c := green
		if s.InUseGo > 0 {
			c = red
		}
		p.linef(c, "In use by leases: %s, of which %s; --list names them.", words.Count(s.InUse, "image", "images"), words.Count(s.InUseGo, "expires", "expire"))
	}
	if s.PulledGo > 0 {
		p.linef(red, "Pulled in the last 7 days: %s.", ofThem(s.PulledGo, s.Expire)+" that "+words.Plural(s.Expire, "expires", "expire"))
	}
}

// ofThem is "all of the 3 images", "1 of the 3 images".
func ofThem(n, all int) string {
	switch {
	case all == 1:
		return "the image"
	case n == all:
		return fmt.Sprintf("all of the %d images", all)
	}
	return fmt.Sprintf("%d of the %d images", n, all)
}

func summaryText(s report.Summary) string {
	perhaps := ""
	if s.MayBe > 0 {
		perhaps = fmt.Sprintf(", %d of them perhaps", s.MayBe)
	}
	return fmt.Sprintf("%s: %s%s, %s, %s.", words.Count(s.Images, "image", "images"),
		plus(words.Count(s.Expire, "expires", "expire"), s.ExpireBytes), perhaps, plus(words.Count(s.Transition, "is archived", "are archived"), s.MoveBytes),
		words.Count(s.Keep, "is kept", "are kept"))
}

// plus adds a size in brackets, unless there is none.
func plus(s string, size int64) string {
	if size == 0 {
		return s
	}
	return s + " (" + words.Bytes(size) + ")"
}

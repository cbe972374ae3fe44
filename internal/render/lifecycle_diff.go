package render

import (
	"fmt"
	"io"

	"github.com/kontor-registry/kontor/internal/report"
	"github.com/kontor-registry/kontor/internal/report/words"
	"github.com/kontor-registry/kontor/lifecycle"
)

// mostListed is how many images of a kind a text lists.
const mostListed = 50

// LifecycleDiff writes which images the new policy loses, gains and treats
// otherwise.
func LifecycleDiff(w io.Writer, d report.LifecycleDiff, o Options) error {
	p := newPrinter(o)
	repository := d.Repository
	if repository == "" {
		repository = "a repository"
	}
	p.linef(bold, "Lifecycle of %s at %s: %s -> %s", clean(repository), words.Moment(d.At), clean(d.Policy), clean(d.New))
	p.changes(red, "Lost: expire under the new policy only", d.Lost)
	p.changes(green, "Gained: expire under the old policy only", d.Gained)
	p.changes(yellow, "Other changes", d.Changed)
	p.linef(plain, "")
	if n := d.MayBe(); n > 0 {
		p.linef(yellow, "Not known: %s that are lost may belong to an index, which would keep %s; the manifests of the indexes would show it.", ofThem(n, len(d.Lost)), words.Plural(n, "it", "them"))
	}
	p.linef(bold, "%d lost, %d gained, %d with other changes, %s unchanged.", len(d.Lost), len(d.Gained), len(d.Changed),
		words.Count(d.Same(), "image", "images"))
	return p.flush(w)
}

func (p *printer) changes(c color, title string, changes []report.FateChange) {
	if len(changes) == 0 {
		return
	}
	p.linef(plain, "")
	p.linef(c, "%s: %s", title, report.TallyOf(changes))
	for i, x := range changes {
		if i == mostListed {
			p.linef(plain, "  and %d more; --json lists all", len(changes)-mostListed)
			break
		}
		p.linef(plain, "  %s: %s -> %s", words.Image(x.Digest, x.Tags), fate(x.Before), fate(x.After))
	}
}

// fate is what happens to an image, in a few words.
func fate(m report.Image) string {
	switch {
	case m.GuardedBy != nil:
		return fmt.Sprintf("kept although rule %d would act", *m.Rule)
	case m.Action == lifecycle.Expire:
		return fmt.Sprintf("expires by rule %d", *m.Rule)
	case m.Action == lifecycle.Transition:
		return fmt.Sprintf("archived by rule %d", *m.Rule)
	case m.Owner != nil:
		return fmt.Sprintf("kept by rule %d", *m.Owner)
	}
	return "kept"
}

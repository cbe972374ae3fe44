package browse

import (
	"fmt"
	"time"

	"github.com/kontor-registry/kontor/internal/front/console/parts"
	"github.com/kontor-registry/kontor/internal/inspect"
	"github.com/kontor-registry/kontor/internal/report"
	"github.com/kontor-registry/kontor/internal/report/words"
	"github.com/kontor-registry/kontor/lifecycle"
)

// Numbers of rows that pages read of a repository, at most: a list of repositories of
// each, and a page of one. What has more is shown without what would take all of it.
const (
	glance  = 300
	whole   = 2000
	explain = 200_000 // where someone asks for it
)

// foresight is how many days pages look ahead.
const foresight = 90

// fates are what becomes of a repository's images, as package report says it.
type fates struct {
	report.Lifecycle
	now  map[string]report.Image
	days map[string]departure
	// unknown says why nothing is known, "" otherwise.
	unknown string
	none    bool // there is no policy
	notes   []string
}

// departure is when an image goes, and by which rule.
type departure struct {
	at     time.Time
	rule   int
	action lifecycle.ActionType
}

// fatesOf says what becomes of images.
func fatesOf(name string, i *inspect.Images) (*fates, error) {
	f := &fates{now: map[string]report.Image{}, days: map[string]departure{}}
	switch {
	case !i.PolicySeen:
		f.unknown = t("You may not read the lifecycle policy (ecr:GetLifecyclePolicy), so when images go is not shown.")
		return f, nil
	case !i.Complete:
		f.unknown = t("There are too many images to say on this page when each goes. Open an image, or the page Lifecycle.")
		return f, nil
	}
	f.Lifecycle = report.Lifecycle{
		Repository: name, Source: t("the repository's policy"), At: i.Now, Images: i.Lifecycle(), Known: i.ChildrenSeen, InUse: i.Held,
		Options: lifecycle.Options{Held: i.Held},
	}
	if f.none = i.Policy == ""; !f.none {
		p, err := lifecycle.Decode([]byte(i.Policy))
		if err != nil {
			return nil, fmt.Errorf("reading the stored lifecycle policy of %s: %w", name, err)
		}
		f.Policy = p
	}
	if !i.LeasesSeen {
		f.notes = append(f.notes, t("You may not list leases (kontor:ListLeases): images in use may be kept that are said to go."))
	}
	if !i.ChildrenSeen {
		f.notes = append(f.notes, t("You may not read manifests (ecr:BatchGetImage): parts of an index may be kept that are said to go."))
	}
	return f, nil
}

// look looks at all images, now and in the days to come.
func (f *fates) look() *fates {
	if f.unknown != "" || f.none {
		return f
	}
	for _, m := range report.NewPreview(f.Lifecycle).Images {
		f.now[m.Digest] = m
	}
	for _, day := range report.NewForecast(f.Lifecycle, foresight, lifecycle.RateNone).Days {
		for _, act := range day.Rules {
			for _, d := range act.Digests {
				if _, gone := f.days[d]; !gone {
					f.days[d] = departure{day.At, act.Priority, act.Action}
				}
			}
		}
	}
	return f
}

// next is the first departure; false for none that is foreseen.
func (f *fates) next() (first departure, n int, ok bool) {
	for _, d := range f.days {
		switch {
		case n == 0 || d.at.Before(first.at):
			first, n = d, 1
		case d.at.Equal(first.at):
			n++
		}
	}
	return first, n, n > 0
}

// soon is from how far away a departure is soon.
const soon = 7 * 24 * time.Hour

// of is the fate of one image, for a table.
func (f *fates) of(digest string) parts.Cell {
	if f.unknown != "" {
		return parts.Cell{Text: t("not shown"), Soft: true}
	}
	if f.none {
		return parts.Cell{Kind: "keep", Text: t("Kept"), Sub: t("no lifecycle policy")}
	}
	m := f.now[digest]
	if g := m.GuardedBy; g != nil {
		would := t("rule %d would expire it", *m.Rule)
		if g.Action == lifecycle.Transition {
			would = t("rule %d would archive it", *m.Rule)
		}
		if g.Kind == lifecycle.GuardHeld {
			return parts.Cell{Kind: "held", Text: t("In use"), Sub: parts.Clean(g.By) + "; " + would}
		}
		return parts.Cell{Kind: "keep", Text: t("Kept"), Sub: t("belongs to %s; %s", parts.Short(g.By), would)}
	}
	if d, ok := f.days[digest]; ok {
		return f.goes(d)
	}
	if m.Owner != nil {
		return parts.Cell{Kind: "keep", Text: t("Kept"), Sub: t("by rule %d", *m.Owner)}
	}
	return parts.Cell{Kind: "keep", Text: t("Kept"), Sub: t("no rule selects it")}
}

// goes is a departure for a table.
func (f *fates) goes(d departure) parts.Cell {
	c := parts.Cell{Kind: "plain", Sub: t("%s, rule %d", words.Day(d.at), d.rule)}
	archive := d.action == lifecycle.Transition
	switch {
	case !d.at.After(f.At):
		c.Kind, c.Text, c.Sub = "go", t("Expires at the next run"), t("rule %d", d.rule)
		if archive {
			c.Kind, c.Text = "soon", t("Archived at the next run")
		}
		return c
	case d.at.Sub(f.At) <= soon:
		c.Kind = "soon"
	}
	c.Text = t("Expires %s", words.Distance(f.At, d.at))
	if archive {
		c.Text = t("Archived %s", words.Distance(f.At, d.at))
	}
	return c
}

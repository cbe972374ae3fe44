// Package effects says what a change of a repository does to the images that are
// there and to the people who use it, as plan.Effects.
//
// What it guarantees:
//   - images are judged by the lifecycle engine's own forecast of the old policy and
//     of the new one, people by package proof: what a plan says is what
//     `kontor lifecycle forecast` and `kontor access` say;
//   - what is not known, such as which images an index lists, is said to be unknown.
//
// It is pure: its callers read images, leases and policies.
package effects

import (
	"cmp"
	"slices"
	"time"

	"github.com/kontor-registry/kontor/internal/deploy/plan"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/lazyregexp"
	"github.com/kontor-registry/kontor/lifecycle"
)

// Horizons are how many days ahead images are looked at; the first is the next
// run.
func Horizons() []int { return []int{0, 7, 30} }

// Recent is how long a pull makes an image matter.
const Recent = 7 * 24 * time.Hour

// Bounds of what an effect names; the counts have everything.
const (
	mostGoing = 5000 // images of one repository
	mostTags  = 10   // of each kind
)

// Images are those of a repository.
type Images struct {
	List []lifecycle.Image
	// Linked says that it is known which of them belong to which index.
	Linked bool
	// At is when they were read.
	At time.Time
	// Options say how the registry's lifecycle runs decide.
	Options lifecycle.Options
	// InUse are those in use, with who uses them. A lease saves an image on a
	// Kontor registry for as long as it lasts; what would go without it counts.
	InUse lifecycle.Held
}

// MayTouchImages reports whether a change of a repository that is there can have
// effects on its images.
func MayTouchImages(c plan.Change) bool {
	return c.Before != nil && (c.Op == plan.OpDelete || c.Has(plan.FieldLifecycle) || c.Has(plan.FieldMutability))
}

// OfImages is what c does to the images. gone are the digests of each horizon of
// Expire, or of Deleted: all of them, where Going may be cut. The error says which
// lifecycle policy cannot be read.
func OfImages(c plan.Change, images Images) (e *plan.ImageEffects, gone [][]string, err error) {
	e = &plan.ImageEffects{At: images.At, Count: len(images.List)}
	l := look{Images: images, newest: newest(images.List)}
	switch {
	case c.Op == plan.OpDelete:
		h := plan.Horizon{}
		for i := range images.List {
			e.Going = append(e.Going, l.going(&h, &images.List[i], departure{}))
		}
		e.Deleted, gone = &h, [][]string{digests(images.List)}
	case c.Has(plan.FieldLifecycle):
		if gone, err = l.lifecycle(e, c.Before.Lifecycle, c.After.Lifecycle); err != nil {
			return nil, nil, err
		}
	}
	if c.After != nil && c.Has(plan.FieldMutability) {
		e.Tags = tags(c.Before.Mutability, c.After.Mutability, images.List)
	}
	slices.SortStableFunc(e.Going, func(a, b plan.Going) int {
		return cmp.Or(cmp.Compare(weight(b), weight(a)), cmp.Compare(a.Days, b.Days), cmp.Compare(a.Digest, b.Digest))
	})
	if n := len(e.Going) - mostGoing; n > 0 {
		e.Going, e.Unlisted = e.Going[:mostGoing], n
	}
	return e, gone, nil
}

func digests(list []lifecycle.Image) []string {
	out := make([]string, len(list))
	for i := range list {
		out[i] = list[i].Digest
	}
	return out
}

// weight orders what goes: what is in use first, then what was pulled lately.
func weight(g plan.Going) (w int) {
	for i, matters := range []bool{g.NewestOf != "", g.Deployed != "", !g.PulledAt.IsZero(), g.UsedBy != ""} {
		if matters {
			w |= 1 << i
		}
	}
	return w
}

type look struct {
	Images
	newest map[string]string // the line that an image is the newest of, by digest
}

// departure is when a policy expires an image, and by which rule.
type departure struct{ days, rule int }

// departures are those within the farthest horizon, by digest.
func (l *look) departures(text string) (map[string]departure, error) {
	out := map[string]departure{}
	if text == "" {
		return out, nil
	}
	p, err := lifecycle.Decode([]byte(text))
	if err != nil {
		return nil, err
	}
	all := Horizons()
	for day, run := range l.Options.Forecast(p, l.List, l.At, lifecycle.Horizon{Days: all[len(all)-1], Rate: lifecycle.RateNone}).Runs {
		for _, d := range run.Gone {
			if d.Outcome.Action == lifecycle.Expire {
				out[d.Image.Digest] = departure{day, d.Outcome.Rule}
			}
		}
	}
	return out, nil
}

// lifecycle compares what two policies' texts, "" for none, expire. gone are the
// digests of each horizon of e.Expire.
func (l *look) lifecycle(e *plan.ImageEffects, before, after string) (gone [][]string, err error) {
	old, err := l.departures(before)
	if err != nil {
		return nil, err
	}
	now, err := l.departures(after)
	if err != nil {
		return nil, err
	}
	all := Horizons()
	gone = make([][]string, len(all))
	e.Expire, e.Saved = make([]plan.Horizon, len(all)), make([]plan.Horizon, len(all))
	for i := range l.List {
		m := &l.List[i]
		was, went := old[m.Digest]
		is, goes := now[m.Digest]
		listed := false
		for k, days := range all {
			e.Expire[k].Days, e.Saved[k].Days = days, days
			then, afterwards := went && was.days <= days, goes && is.days <= days
			switch {
			case afterwards && !then:
				g := l.going(&e.Expire[k], m, is)
				gone[k] = append(gone[k], m.Digest)
				if !listed {
					e.Going, listed = append(e.Going, g), true
				}
			case then && !afterwards:
				l.going(&e.Saved[k], m, was)
			}
		}
	}
	for k, days := range all { // also without images
		e.Expire[k].Days, e.Saved[k].Days = days, days
	}
	return gone, nil
}

// going describes m and counts it in h.
func (l *look) going(h *plan.Horizon, m *lifecycle.Image, d departure) plan.Going {
	g := plan.Going{Digest: m.Digest, Tags: m.Tags, SizeBytes: m.SizeBytes, Days: d.days, Rule: d.rule, UsedBy: l.InUse[m.Digest], NewestOf: l.newest[m.Digest]}
	if age := l.At.Sub(m.LastPulledAt); !m.LastPulledAt.IsZero() && age < Recent {
		g.PulledAt = m.LastPulledAt
	}
	if i := slices.IndexFunc(m.Tags, lifecycle.Deployed); i >= 0 {
		g.Deployed = m.Tags[i]
	}
	g.Perhaps = d.rule != 0 && !l.Linked && len(m.Children) == 0
	h.Count++
	h.SizeBytes += m.SizeBytes
	for _, x := range []struct {
		n    *int
		when bool
	}{{&h.InUse, g.UsedBy != ""}, {&h.Pulled, !g.PulledAt.IsZero()}, {&h.Deployed, g.Deployed != ""}, {&h.Newest, g.NewestOf != ""}, {&h.Perhaps, g.Perhaps}} {
		if x.when {
			*x.n++
		}
	}
	return g
}

// A line of tags is what one pipeline pushes: tags that differ in numbers and
// commits only.
var (
	commit = lazyregexp.New(`\b[0-9a-f]{7,40}\b`)
	number = lazyregexp.New(`[0-9]+`)
)

// lineOf is the line of a tag, with "*" in the place of what differs.
func lineOf(tag string) string {
	return number.ReplaceAllString(commit.ReplaceAllString(tag, "*"), "*")
}

// newest are the images, by digest, that are the newest of a line of several
// images, with that line: of several lines the first in byte order. Images of one
// push time are all newest.
func newest(images []lifecycle.Image) map[string]string {
	type line struct {
		images int
		last   time.Time
	}
	lines := map[string]*line{}
	of := make([][]string, len(images))
	for i, m := range images {
		for _, t := range m.Tags {
			if name := lineOf(t); name != t && name != "*" && !slices.Contains(of[i], name) {
				of[i] = append(of[i], name)
			}
		}
		for _, name := range of[i] {
			x := lines[name]
			if x == nil {
				x = &line{}
				lines[name] = x
			}
			x.images++
			if m.PushedAt.After(x.last) {
				x.last = m.PushedAt
			}
		}
	}
	out := map[string]string{}
	for i, m := range images {
		slices.Sort(of[i])
		for _, name := range of[i] {
			if x := lines[name]; x.images > 1 && x.last.Equal(m.PushedAt) {
				out[m.Digest] = name
				break
			}
		}
	}
	return out
}

// tags compares two mutabilities on the tags that are there.
func tags(before, after plan.Mutability, images []lifecycle.Image) *plan.TagEffects {
	var e plan.TagEffects
	old, now := ecr.Mutability(before), ecr.Mutability(after)
	var all []ecr.Tag
	for _, m := range images {
		for _, t := range m.Tags {
			all = append(all, ecr.Tag(t))
		}
	}
	slices.Sort(all)
	for _, t := range all {
		was, is := old.IsImmutable(t), now.IsImmutable(t)
		switch {
		case was && !is:
			e.Overwritable++
			if len(e.OverwritableTags) < mostTags {
				e.OverwritableTags = append(e.OverwritableTags, t)
			}
		case is && !was:
			e.Frozen++
			if len(e.FrozenTags) < mostTags {
				e.FrozenTags = append(e.FrozenTags, t)
			}
		}
	}
	return &e
}

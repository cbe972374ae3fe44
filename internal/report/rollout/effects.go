package rollout

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/kontor-registry/kontor/internal/deploy/plan"
	"github.com/kontor-registry/kontor/internal/report/words"
)

// Effect is one effect of a change, in words. The subject is left out where it is
// the repository.
type Effect struct {
	// Kind is what it is about.
	Kind EffectKind `json:"kind"`
	// Action is Add for what comes or stays, Remove for what goes, Modify for the
	// rest.
	Action plan.Action `json:"action"`
	Text   string      `json:"text"`
	// Items are what a reader should see in any case, and All everything there is.
	// More is how many of All are not among Items.
	Items []string `json:"items,omitempty"`
	All   []string `json:"all,omitempty"`
	More  int      `json:"more,omitempty"`
	// Detail: it is for readers who ask for everything.
	Detail bool `json:"detail,omitempty"`
}

// EffectKind is what an effect is about.
type EffectKind string

// The kinds, in the order in which they are told.
const (
	EffectImages EffectKind = "images"
	EffectTags   EffectKind = "tags"
	EffectPeople EffectKind = "people"
)

// mostItems is how many images that matter are named.
const mostItems = 5

// EffectsOf are the effects of a change in words; none for nil.
func EffectsOf(e *plan.Effects) []Effect {
	if e == nil {
		return nil
	}
	var out []Effect
	if e.Images != nil {
		out = append(out, imageEffects(*e.Images)...)
	}
	if e.Access != nil {
		out = append(out, accessEffects(*e.Access)...)
	}
	return out
}

func imageEffects(e plan.ImageEffects) []Effect {
	if e.Unread != "" {
		return []Effect{{Kind: EffectImages, Action: plan.Modify, Text: "which images that affects is not known: " + words.Clean(e.Unread)}}
	}
	var out []Effect
	if d := e.Deleted; d != nil && d.Count > 0 {
		x := Effect{Kind: EffectImages, Action: plan.Remove, Text: fmt.Sprintf("%s deleted%s", sized(*d), of(*d, e))}
		x.list(e)
		out = append(out, x)
	}
	if text := ahead(e.Expire); text != "" {
		first := e.Expire[slices.IndexFunc(e.Expire, func(h plan.Horizon) bool { return h.Count > 0 })]
		x := Effect{Kind: EffectImages, Action: plan.Remove, Text: fmt.Sprintf("of %s, %s, which the old policy keeps%s",
			words.Count(e.Count, "image", "images"), text, of(first, e))}
		x.list(e)
		out = append(out, x)
	}
	if text := saved(e.Saved); text != "" {
		out = append(out, Effect{Kind: EffectImages, Action: plan.Add, Text: text})
	}
	if t := e.Tags; t != nil {
		for _, x := range []struct {
			n     int
			names []string
			one   string
			many  string
		}{{t.Overwritable, texts(t.OverwritableTags), "becomes overwritable", "become overwritable"}, {t.Frozen, texts(t.FrozenTags), "can no longer be overwritten", "can no longer be overwritten"}} {
			if x.n > 0 {
				out = append(out, Effect{Kind: EffectTags, Action: plan.Modify, Text: fmt.Sprintf("%s %s: %s",
					words.Count(x.n, "tag", "tags"), words.Plural(x.n, x.one, x.many), some(x.names, x.n))})
			}
		}
	}
	return out
}

// list names images: those that matter, and all.
func (x *Effect) list(e plan.ImageEffects) {
	for _, g := range e.Going {
		line := name(g)
		if why := why(g, e.At); why != "" {
			line += ": " + why
		}
		x.All = append(x.All, line+when(g))
		if g.Matters() && len(x.Items) < mostItems {
			x.Items = append(x.Items, line)
		}
	}
	if e.Unlisted > 0 {
		x.All = append(x.All, fmt.Sprintf("and %d more", e.Unlisted))
	}
	if len(x.Items) == 0 { // none matters: the first will do
		for _, g := range e.Going[:min(len(e.Going), mostItems)] {
			x.Items = append(x.Items, name(g))
		}
	}
	x.More = len(e.Going) + e.Unlisted - len(x.Items)
}

// name is an image's first tag, or its digest.
func name(g plan.Going) string {
	if len(g.Tags) == 0 {
		return words.Digest(words.Clean(g.Digest))
	}
	return words.Clean(g.Tags[0])
}

// when says when an image expires, after its name; "" when it goes with its
// repository.
func when(g plan.Going) string {
	switch {
	case g.Rule == 0:
		return ""
	case g.Days == 0:
		return fmt.Sprintf(" (next run, rule %d)", g.Rule)
	}
	return fmt.Sprintf(" (in %s, rule %d)", words.Count(g.Days, "day", "days"), g.Rule)
}

// why says why an image matters; "" when it does not.
func why(g plan.Going, now time.Time) string {
	var out []string
	if g.UsedBy != "" {
		out = append(out, "in use by "+words.Clean(g.UsedBy))
	}
	if !g.PulledAt.IsZero() {
		out = append(out, "pulled "+Ago(now, g.PulledAt))
	}
	if g.Deployed != "" {
		out = append(out, deployed(g))
	}
	if g.NewestOf != "" {
		out = append(out, "the newest of "+words.Clean(g.NewestOf))
	}
	if g.Perhaps {
		out = append(out, "unless an index lists it")
	}
	return strings.Join(out, ", ")
}

// deployed says that an image has a tag of a version or environment.
func deployed(g plan.Going) string {
	if tag := words.Clean(g.Deployed); tag != name(g) {
		return "has the tag " + tag
	}
	return "a version or environment tag"
}

// Ago is a day as seen from now: "today", "yesterday", "3 days ago". Days are those
// of UTC.
func Ago(now, t time.Time) string {
	const day = 24 * time.Hour
	switch n := int(now.UTC().Truncate(day).Sub(t.UTC().Truncate(day)) / day); {
	case n <= 0:
		return "today"
	case n == 1:
		return "yesterday"
	default:
		return words.Count(n, "day", "days") + " ago"
	}
}

// sized is "3 images (1.2 GiB, frees 80 MiB)".
func sized(h plan.Horizon) string {
	return fmt.Sprintf("%s (%s)", words.Count(h.Count, "image", "images"), bytes(h))
}

// bytes is the size of images, and what is free without them where that is known and
// less.
func bytes(h plan.Horizon) string {
	text := words.Bytes(h.SizeBytes)
	if h.FreedBytes == nil || words.Bytes(*h.FreedBytes) == text {
		return text
	}
	return text + ", frees " + words.Bytes(*h.FreedBytes)
}

// within is when a horizon ends.
func within(h plan.Horizon) string {
	if h.Days == 0 {
		return "at the next run"
	}
	return "within " + words.Count(h.Days, "day", "days")
}

// ahead says how many images expire by when, where that grows; "" for none.
func ahead(list []plan.Horizon) string {
	var out []string
	last := 0
	for _, h := range list {
		if h.Count == 0 || h.Count == last {
			continue
		}
		text := fmt.Sprintf("%d (%s) %s", h.Count, bytes(h), within(h))
		if len(out) == 0 {
			text = fmt.Sprintf("%d %s (%s) %s", h.Count, words.Plural(h.Count, "expires", "expire"), bytes(h), within(h))
		}
		out, last = append(out, text), h.Count
	}
	return strings.Join(out, ", ")
}

// saved says how many images stay; "" for none.
func saved(list []plan.Horizon) string {
	var out []string
	last := 0
	for _, h := range list {
		if h.Count == 0 || h.Count == last {
			continue
		}
		text := fmt.Sprintf("%d %s", h.Count, within(h))
		if len(out) == 0 {
			text = fmt.Sprintf("%s %s that the old policy expires %s", sized(h), words.Plural(h.Count, "stays", "stay"), within(h))
		}
		out, last = append(out, text), h.Count
	}
	return strings.Join(out, ", ")
}

// of says how many of the images of h matter, and how; "" for none.
func of(h plan.Horizon, e plan.ImageEffects) string {
	var out []string
	if h.InUse > 0 {
		out = append(out, fmt.Sprintf("%d in use", h.InUse))
	}
	if h.Pulled > 0 {
		out = append(out, fmt.Sprintf("%d pulled %s", h.Pulled, lastPull(e, h.Days)))
	}
	if h.Perhaps > 0 {
		out = append(out, fmt.Sprintf("%d only if no index lists %s", h.Perhaps, words.Plural(h.Perhaps, "it", "them")))
	}
	if len(out) == 0 {
		return ""
	}
	return "; of them " + strings.Join(out, ", ")
}

// lastPull says when the images that go within days were pulled: of one the day, of
// several that it was in the last 7 days.
func lastPull(e plan.ImageEffects, days int) string {
	var at []time.Time
	for _, g := range e.Going {
		if g.Days <= days && !g.PulledAt.IsZero() {
			at = append(at, g.PulledAt)
		}
	}
	return lastPulled(e.At, at)
}

func lastPulled(now time.Time, at []time.Time) string {
	said := "in the last 7 days"
	for i, t := range at {
		switch ago := Ago(now, t); {
		case i == 0:
			said = ago
		case ago != said:
			return "in the last 7 days"
		}
	}
	return said
}

// some are names, and how many more than those there are.
func some(names []string, all int) string {
	for i, n := range names {
		names[i] = words.Clean(n)
	}
	if len(names) > mostItems {
		names = names[:mostItems]
	}
	if more := all - len(names); more > 0 {
		names = append(names[:len(names):len(names)], fmt.Sprintf("%d more", more))
	}
	return words.And(names)
}

func texts[T ~string](list []T) []string {
	out := make([]string, len(list))
	for i, x := range list {
		out[i] = string(x)
	}
	return out
}

// NamesOf are some of the images that expire within so many days, those that matter
// first.
func NamesOf(e plan.ImageEffects, days int) string {
	var names []string
	for _, g := range e.Going {
		if g.Days <= days && len(names) < mostItems {
			names = append(names, name(g))
		}
	}
	return some(names, plan.At(e.Expire, days).Count)
}

// Whom is a principal in words.
func Whom(principal string) string { return words.Principal(principal) }

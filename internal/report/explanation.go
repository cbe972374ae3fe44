package report

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/kontor-registry/kontor/internal/report/words"
	"github.com/kontor-registry/kontor/lifecycle"
)

// Explanation is why an image stays or goes.
type Explanation struct {
	Image Image `json:"image"`
	// Answer is one sentence: kept or going, by which rule, and why. Places says
	// which images a count has before this one, "" when no count decides. Change
	// is when the answer becomes another one, and Afterwards what comes after the
	// archive, when the image goes there.
	Answer     string     `json:"answer"`
	Places     string     `json:"places,omitempty"`
	Change     string     `json:"change"`
	Afterwards string     `json:"afterwards,omitempty"`
	ChangesAt  *time.Time `json:"changesAt"`
	// ExpiresAt is when the image leaves the archive for good, if Change takes it
	// there and a rule of the archive is about it.
	ExpiresAt *time.Time `json:"expiresAt,omitempty"`
	// NewerCount is how many images the owner counts before this one, Newer the
	// first of them, the youngest first, and NewerOwners how many of them belong
	// to which rule.
	NewerCount  int          `json:"newerCount,omitempty"`
	Newer       []NewerImage `json:"newer,omitempty"`
	NewerOwners []RuleImages `json:"newerOwners,omitempty"`
	// Rules are all of the policy, the highest first.
	Rules   []ExplainedRule `json:"rules"`
	Indexes []string        `json:"indexes"` // that list the image
	Subject string          `json:"subjectManifestDigest,omitempty"`
	// Caveats are sentences about what the answer hangs on.
	Caveats []string `json:"caveats"`
	Header
}

// ExplainedRule is what one rule has to do with the image.
type ExplainedRule struct {
	Priority    int               `json:"rulePriority"`
	Words       string            `json:"words"`
	Description string            `json:"description,omitempty"`
	Verdict     lifecycle.Verdict `json:"verdict"`
	Met         bool              `json:"met"`
	Matches     []TagMatch        `json:"matches"`
	Missing     []string          `json:"missing"`
	Rank        int               `json:"rank,omitempty"`
	Of          int               `json:"of,omitempty"`
	Clock       lifecycle.Clock   `json:"clock,omitempty"`
	Since       *time.Time        `json:"since,omitempty"`
	Due         *time.Time        `json:"due,omitempty"`
	Field       string            `json:"field,omitempty"`
	Place       string            `json:"place,omitempty"`
	// Reason says the verdict, and what led to it.
	Reason string `json:"reason"`
}

// NewerImage is an image that takes a place in a count before another one.
type NewerImage struct {
	NamedImage
	Owner int `json:"ownerPriority"`
}

// RuleImages counts images of a rule.
type RuleImages struct {
	Priority int `json:"rulePriority"`
	Images   int `json:"images"`
}

// mostNewer is how many newer images a report names.
const mostNewer = 100

// TagMatch is an element of a rule's list and a tag that matches it.
type TagMatch struct {
	Element string `json:"element"`
	Tag     string `json:"tag"`
}

// NewExplanation explains the image of a digest; false when l has none.
func NewExplanation(l Lifecycle, digest string) (Explanation, bool) {
	x, ok := l.Options.Explain(l.Policy, l.Images, l.At, digest)
	if !ok {
		return Explanation{}, false
	}
	e := Explanation{
		Image: l.image(x.Image, x.Outcome), Answer: l.answer(x), Change: l.change(x), ChangesAt: known(x.Changes),
		Rules: []ExplainedRule{}, Indexes: list(x.Indexes), Subject: x.Image.Subject, Header: l.header(),
		Caveats: l.caveats(x),
	}
	owner := x.Owner()
	e.places(x)
	if a := x.Archived; a != nil {
		e.Afterwards = afterwards(a)
		if a.Owner != nil {
			e.ExpiresAt = known(a.Owner.Due)
		}
	}
	for _, r := range x.Reasons {
		origin := l.Origins[r.Rule.Priority]
		f := ExplainedRule{
			Priority: r.Rule.Priority, Words: words.Rule(r.Rule), Description: r.Rule.Description, Verdict: r.Verdict, Met: r.Met, Matches: []TagMatch{}, Missing: list(r.Missing),
			Rank: r.Rank, Of: r.Of, Clock: r.Clock, Since: known(r.Since), Due: known(r.Due), Field: origin.Field, Place: origin.Place.String(),
			Reason: reason(r, owner, x.Outcome.GuardedBy != nil),
		}
		for _, m := range r.Matches {
			f.Matches = append(f.Matches, TagMatch{m.Element, m.Tag})
		}
		e.Rules = append(e.Rules, f)
	}
	return e, true
}

// places fills in what a count has before the image.
func (e *Explanation) places(x lifecycle.Explanation) {
	if len(x.Newer) == 0 {
		return
	}
	owners := map[int]int{}
	for i, n := range x.Newer {
		owners[n.Owner]++
		if i < mostNewer {
			e.Newer = append(e.Newer, NewerImage{NamedImage{n.Image.Digest, list(n.Image.Tags)}, n.Owner})
		}
	}
	e.NewerCount = len(x.Newer)
	var theirs []string
	for _, priority := range slices.Sorted(maps.Keys(owners)) {
		e.NewerOwners = append(e.NewerOwners, RuleImages{priority, owners[priority]})
		if priority != x.Outcome.Owner {
			theirs = append(theirs, fmt.Sprintf("%d of them belong to rule %d", owners[priority], priority))
		}
	}
	const most = 5
	var names []string
	for _, n := range e.Newer[:min(most, len(e.Newer))] {
		name := short(n.Digest)
		if len(n.Tags) > 0 {
			name = words.Clean(n.Tags[0])
		}
		names = append(names, name)
	}
	if more := e.NewerCount - len(names); more > 0 {
		names = append(names, fmt.Sprintf("%d more", more))
	}
	e.Places = fmt.Sprintf("The %s: %s", words.Count(e.NewerCount, "newer one is", "newer ones are"), words.And(names))
	if len(theirs) > 0 {
		e.Places += "; " + words.And(theirs)
	}
	e.Places += "."
}

// afterwards says what comes after the archive.
func afterwards(a *lifecycle.Archival) string {
	const restored = "An archived image cannot be pulled until it is restored"
	switch o := a.Owner; {
	case o == nil:
		return restored + "; no rule of the archive selects it, so it stays there."
	case o.Due.IsZero():
		return fmt.Sprintf("%s; there rule %d selects it.", restored, o.Rule.Priority)
	default:
		return fmt.Sprintf("%s; rule %d %s it %s later, on %s.", restored, o.Rule.Priority, words.Verb(o.Rule.Action.Type),
			words.Count(o.Rule.Selection.CountNumber, "day", "days"), words.Day(o.Due))
	}
}

// answer is one sentence: kept or going, by which rule, and why.
func (l *Lifecycle) answer(x lifecycle.Explanation) string {
	o, owner := x.Outcome, x.Owner()
	goes := "It goes at the next run"
	if l.mayBeChild(x.Image, o) {
		goes += ", unless an index lists it"
	}
	switch {
	case o.GuardedBy != nil:
		why := map[lifecycle.GuardKind]string{
			lifecycle.GuardIndex:   "index " + short(o.GuardedBy.By) + " lists it",
			lifecycle.GuardSubject: "it belongs to image " + short(o.GuardedBy.By) + ", which stays",
			lifecycle.GuardHeld:    "it is held by " + words.Clean(o.GuardedBy.By),
		}[o.GuardedBy.Kind]
		return fmt.Sprintf("It stays, although rule %d %s it: %s.", o.Rule, words.Verb(o.GuardedBy.Action), why)
	case o.Action != lifecycle.Keep && o.With != "":
		return fmt.Sprintf("%s, with image %s that it belongs to: rule %d %s that.", goes, short(o.With), o.Rule, words.Verb(o.Action))
	case o.Action != lifecycle.Keep && owner != nil:
		return fmt.Sprintf("%s: rule %d %s it; %s.", goes, o.Rule, words.Verb(o.Action), measure(*owner))
	case owner == nil:
		return "It stays: no rule selects it."
	}
	return fmt.Sprintf("It stays: it belongs to rule %d, which keeps it; %s.", owner.Rule.Priority, measure(*owner))
}

func short(digest string) string { return words.Clean(words.Digest(digest)) }

// change is when the answer becomes another one.
func (l *Lifecycle) change(x lifecycle.Explanation) string {
	switch {
	case x.Outcome.Action != lifecycle.Keep:
		if owner := x.Owner(); owner != nil && !owner.Due.IsZero() && x.Outcome.With == "" {
			return fmt.Sprintf("It has been due since %s.", words.Moment(owner.Due))
		}
		return "Nothing but another policy, tag or lease changes that."
	case x.Changes.IsZero():
		if owner := x.Owner(); owner != nil && owner.Rule.Selection.CountType == lifecycle.ImageCountMoreThan {
			return "Time does not change that; newer images that the rule counts do."
		}
		return "Time does not change that."
	case !x.Changes.After(l.At):
		return "It goes at the run after the next, when what keeps it has gone."
	}
	return fmt.Sprintf("It goes at the first run after %s, %s.", words.Moment(x.Changes), words.Distance(l.At, x.Changes))
}

// caveats say what the answer hangs on.
func (l *Lifecycle) caveats(x lifecycle.Explanation) []string {
	out := []string{}
	for _, a := range Assumptions {
		for _, name := range assumed(x.Outcome) {
			if a.Name == name {
				out = append(out, "This assumes that AWS, which does not say so, "+a.What+".")
			}
		}
	}
	if l.mayBeChild(x.Image, x.Outcome) {
		out = append(out, "Not known: whether an index lists it, which would keep it; the manifests of the indexes tell.")
	}
	if x.Image.PushedAt.IsZero() {
		out = append(out, "Not known: when it was pushed; no rule acts on it for its age, and counts take it for the newest.")
	}
	return out
}

// Assumptions say what a prediction for AWS assumes that it does, in the order
// in which reports tell it: the name in JSON, and what follows "it".
var Assumptions = []struct{ Name, What string }{
	{"tie", "keeps the others of several images that were pushed at one time"},
	{"count", "counts the parts of images for several platforms, and signatures, as images of their own"},
	{"referrer", "removes signatures and other artifacts of images that stay"},
	{"activating", "treats images on their way back from the archive like active ones"},
}

// measure is the image's age or rank in a rule that selects it.
func measure(r lifecycle.Reason) string {
	n := r.Rule.Selection.CountNumber
	switch {
	case r.Of > 0:
		return fmt.Sprintf("it is number %d of %d from the youngest, and the rule keeps %d", r.Rank, r.Of, n)
	case r.Rule.Selection.CountType == lifecycle.ImageCountMoreThan:
		return "as a part of another image it is not counted"
	case r.Since.IsZero():
		return "since when its age counts is not known"
	case r.Met:
		return fmt.Sprintf("it was %s on %s, more than %s ago", r.Clock, words.Day(r.Since), words.Count(n, "day", "days"))
	}
	return fmt.Sprintf("it was %s on %s, and becomes older than %s on %s", r.Clock, words.Day(r.Since), words.Count(n, "day", "days"), words.Day(r.Due))
}

// reason is what one rule has to do with the image. owner may be nil.
func reason(r lifecycle.Reason, owner *lifecycle.Reason, guarded bool) string {
	switch r.Verdict {
	case lifecycle.VerdictActs:
		if guarded {
			return "owns it and would act: " + tagged(r) + measure(r)
		}
		return "owns it and acts: " + tagged(r) + measure(r)
	case lifecycle.VerdictKeeps:
		return "owns it and keeps it: " + tagged(r) + measure(r)
	case lifecycle.VerdictClass:
		return "is about another storage class"
	case lifecycle.VerdictOutranked:
		would := "would keep it"
		if r.Met {
			would = "would act on it"
		}
		return fmt.Sprintf("selects it and %s (%s), but rule %d is higher and owns it", would, measure(r), owner.Rule.Priority)
	}
	switch {
	case r.Rule.Selection.TagStatus == lifecycle.Untagged:
		return "does not select it: it has tags"
	case len(r.Matches) == 0:
		return "does not select it: no tag matches " + words.Clean(strings.Join(r.Missing, " or "))
	}
	var matched []string
	for _, m := range r.Matches {
		matched = append(matched, m.Element)
	}
	return fmt.Sprintf("does not select it: it has a tag for %s, but none for %s, and the list wants both",
		words.Clean(strings.Join(matched, " and ")), words.Clean(strings.Join(r.Missing, " and ")))
}

// tagged says which tags meet the rule's list, as the beginning of a sentence.
func tagged(r lifecycle.Reason) string {
	var s []string
	for _, m := range r.Matches {
		if m.Tag == m.Element {
			s = append(s, "it has the tag "+m.Tag)
		} else {
			s = append(s, fmt.Sprintf("its tag %s matches %s", m.Tag, m.Element))
		}
	}
	if len(s) == 0 {
		return ""
	}
	return words.Clean(strings.Join(s, ", ")) + "; "
}

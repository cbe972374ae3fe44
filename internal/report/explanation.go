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
			of := fmt.Sprintf("%d of them %s", owners[priority], words.Plural(owners[priority], "belongs", "belong"))
			if len(x.Newer) == 1 {
				of = "it belongs"
			}
			theirs = append(theirs, fmt.Sprintf("%s to rule %d", of, priority))
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
	e.Places = fmt.Sprintf("The %d newer ones are %s", e.NewerCount, words.And(names))
	if e.NewerCount == 1 {
		e.Places = "The newer one is " + names[0]
	}
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
		return restored + "; no rule for archived images selects it, so it stays in the archive."
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
	when := "at the next run"
	if l.mayBeChild(x.Image, o) {
		when += ", unless an index lists it"
	}
	switch {
	case o.GuardedBy != nil:
		why := map[lifecycle.GuardKind]string{
			lifecycle.GuardIndex:   "index " + short(o.GuardedBy.By) + " lists it",
			lifecycle.GuardSubject: "it belongs to image " + short(o.GuardedBy.By) + ", which is kept",
			lifecycle.GuardHeld:    "it is in use by " + words.Clean(o.GuardedBy.By),
		}[o.GuardedBy.Kind]
		return fmt.Sprintf("It is kept, although rule %d %s it: %s.", o.Rule, words.Verb(o.GuardedBy.Action), why)
	case o.Action != lifecycle.Keep && o.With != "":
		return fmt.Sprintf("Rule %d %s it %s, together with image %s that it belongs to.", o.Rule, words.Verb(o.Action), when, short(o.With))
	case o.Action != lifecycle.Keep && owner != nil:
		return fmt.Sprintf("Rule %d %s it %s: %s.", o.Rule, words.Verb(o.Action), when, measure(*owner))
	case owner == nil:
		return "It is kept: no rule selects it."
	}
	return fmt.Sprintf("It is kept by rule %d: %s.", owner.Rule.Priority, measure(*owner))
}

func short(digest string) string { return words.Clean(words.Digest(digest)) }

// change is when the answer becomes another one.
func (l *Lifecycle) change(x lifecycle.Explanation) string {
	leaves := "will expire"
	if x.Archived != nil {
		leaves = "will be archived"
	}
	switch {
	case x.Outcome.Action != lifecycle.Keep:
		if owner := x.Owner(); owner != nil && !owner.Due.IsZero() && x.Outcome.With == "" {
			return fmt.Sprintf("It has been due since %s.", words.Moment(owner.Due))
		}
		return "Only another policy, tag or lease changes that."
	case x.Changes.IsZero():
		if owner := x.Owner(); owner != nil && owner.Rule.Selection.CountType == lifecycle.ImageCountMoreThan {
			return "Time alone does not change that; newer images that the rule counts do."
		}
		return "Time alone does not change that."
	case !x.Changes.After(l.At):
		return fmt.Sprintf("It %s at the run after the next, when the image that keeps it is gone.", leaves)
	}
	return fmt.Sprintf("It %s at the first run after %s, %s.", leaves, words.Moment(x.Changes), words.Distance(l.At, x.Changes))
}

// caveats say what the answer hangs on.
func (l *Lifecycle) caveats(x lifecycle.Explanation) []string {
	out := []string{}
	for _, a := range Assumptions {
		for _, name := range assumed(x.Outcome) {
			if a.Name == name {
				out = append(out, "This assumes that AWS "+a.What+", which is not documented.")
			}
		}
	}
	if l.mayBeChild(x.Image, x.Outcome) {
		out = append(out, "Not known: whether an index lists it, which would keep it; the manifests of the indexes would show it.")
	}
	if x.Image.PushedAt.IsZero() {
		out = append(out, "Not known: when it was pushed. Rules by age do not act on it, and counts treat it as the newest.")
	}
	return out
}

// Assumptions say what a prediction for AWS assumes that it does, in the order
// in which reports tell it: the name in JSON, and what follows "it".
var Assumptions = []struct{ Name, What string }{
	{"tie", "keeps the others of several images that were pushed at the same time"},
	{"count", "counts the parts of images for several platforms, and signatures, as images of their own"},
	{"referrer", "removes signatures and other artifacts of images that are kept"},
	{"activating", "treats images that are being restored from the archive like active ones"},
}

// measure is the image's age or rank in a rule that selects it.
func measure(r lifecycle.Reason) string {
	n := r.Rule.Selection.CountNumber
	switch {
	case r.Of > 0:
		return fmt.Sprintf("it is number %d of %d, counted from the newest, and the rule keeps %d", r.Rank, r.Of, n)
	case r.Rule.Selection.CountType == lifecycle.ImageCountMoreThan:
		return "it is part of another image and is not counted"
	case r.Since.IsZero():
		return "its age is not known"
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
			return "selects it and would " + infinitive(r) + " it: " + tagged(r) + measure(r)
		}
		return "selects it and " + words.Verb(r.Rule.Action.Type) + " it: " + tagged(r) + measure(r)
	case lifecycle.VerdictKeeps:
		return "selects it and keeps it: " + tagged(r) + measure(r)
	case lifecycle.VerdictClass:
		return "is for another storage class"
	case lifecycle.VerdictOutranked:
		would := "keep"
		if r.Met {
			would = infinitive(r)
		}
		return fmt.Sprintf("selects it and would %s it (%s), but rule %d has precedence", would, measure(r), owner.Rule.Priority)
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
	return fmt.Sprintf("does not select it: it has a tag for %s, but none for %s, and the list needs both",
		words.Clean(strings.Join(matched, " and ")), words.Clean(strings.Join(r.Missing, " and ")))
}

// infinitive is what a rule does when it acts: "expire", "archive".
func infinitive(r lifecycle.Reason) string {
	if r.Rule.Action.Type == lifecycle.Transition {
		return "archive"
	}
	return "expire"
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

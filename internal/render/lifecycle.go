package render

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/kontor-registry/kontor/internal/deploy/images"
	"github.com/kontor-registry/kontor/internal/deploy/state"
	"github.com/kontor-registry/kontor/lifecycle"
)

// Lifecycle is a repository's images and the policy that they are looked at
// with.
type Lifecycle struct {
	Repository string // "" when it is not known
	Source     string // where the policy comes from, in words
	At         time.Time
	Policy     lifecycle.Policy
	// Origins are the fields of the file that made the rules, by priority.
	Origins map[int]state.Origin
	Images  []lifecycle.Image
	// Known reports whether it is known what the images refer to.
	Known bool
	// Options settle what AWS leaves open; AWS says that they foretell AWS.
	Options lifecycle.Options
	AWS     bool
}

// header is the part that all reports have.
type header struct {
	Repository string    `json:"repository,omitempty"`
	Policy     string    `json:"policy"`
	At         time.Time `json:"at"`
	// Assume is "aws" for what AWS may do, at the most, and "kontor" for what
	// Kontor's registry does.
	Assume string `json:"assume"`
	// ManifestsKnown is false when untagged images may be children of an index
	// without anybody knowing.
	ManifestsKnown bool `json:"manifestsKnown"`
}

func (l *Lifecycle) header() header {
	return header{l.Repository, l.Source, l.At.UTC(), map[bool]string{true: "aws", false: "kontor"}[l.AWS], l.Known}
}

// imageForm is the published JSON of an image and what happens to it.
type imageForm struct {
	Digest string               `json:"imageDigest"`
	Tags   []string             `json:"imageTags"`
	Action lifecycle.ActionType `json:"action"`
	// Rule is the priority of the rule that acts, or that would if nothing
	// guarded the image.
	Rule      *int       `json:"rulePriority"`
	GuardedBy *guardForm `json:"guardedBy"`
	MayBe     bool       `json:"mayBeIndexChild,omitempty"`
	// Owner is the rule that the image belongs to, the only one that may act.
	Owner     *int       `json:"ownerPriority"`
	Rank      int        `json:"rank,omitempty"`
	With      string     `json:"withImageDigest,omitempty"`
	Assumed   []string   `json:"assumed,omitempty"`
	PushedAt  *time.Time `json:"imagePushedAt,omitempty"`
	PulledAt  *time.Time `json:"lastRecordedPullTime,omitempty"`
	SizeBytes int64      `json:"imageSizeInBytes"`
}

type guardForm struct {
	Kind   lifecycle.GuardKind  `json:"kind"`
	By     string               `json:"by"`
	Action lifecycle.ActionType `json:"action"` // what it prevents
}

func (l *Lifecycle) image(m lifecycle.Image, o lifecycle.Outcome) imageForm {
	f := imageForm{
		Digest: m.Digest, Tags: m.Tags, Action: o.Action, Rule: priority(o.Rule), Owner: priority(o.Owner),
		MayBe: l.mayBeChild(m, o), Rank: o.Rank, With: o.With, PushedAt: known(m.PushedAt), PulledAt: known(m.LastPulledAt), SizeBytes: m.SizeBytes,
	}
	if f.Tags == nil {
		f.Tags = []string{}
	}
	if g := o.GuardedBy; g != nil {
		f.GuardedBy = &guardForm{g.Kind, g.By, g.Action}
	}
	if s := o.Assumed.String(); s != "" {
		f.Assumed = strings.Split(s, ",")
	}
	return f
}

func priority(n int) *int {
	if n == 0 {
		return nil
	}
	return &n
}

func known(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// mayBeChild reports whether an image that a rule acts on may be the child of
// an index that keeps it, for all that is known.
func (l *Lifecycle) mayBeChild(m lifecycle.Image, o lifecycle.Outcome) bool {
	return !l.Known && len(m.Tags) == 0 && o.Action != lifecycle.Keep
}

// tally counts images.
type tally struct {
	Images int   `json:"images"`
	Bytes  int64 `json:"bytes"`
}

func (t *tally) add(m lifecycle.Image) { t.Images++; t.Bytes += m.SizeBytes }

// String is "3 images, 1.2 GiB".
func (t tally) String() string {
	s := count(t.Images, "image", "images")
	if t.Bytes > 0 {
		s += ", " + bytesText(t.Bytes)
	}
	return s
}

// bytesText is a size in binary units with two or three digits: "1.2 GiB".
func bytesText(n int64) string {
	const unit = 1024
	if n < unit {
		return fmt.Sprintf("%d B", n)
	}
	size, k := float64(n)/unit, 0
	for size >= unit-0.5 && k < 4 {
		size, k = size/unit, k+1
	}
	format := "%.1f %ciB"
	if size >= 9.95 {
		format = "%.0f %ciB"
	}
	return fmt.Sprintf(format, size, "KMGTP"[k])
}

// victims are the images that one rule acts on.
type victims struct {
	rule lifecycle.Rule
	list []victim
	tally
}

type victim struct {
	image   lifecycle.Image
	outcome lifecycle.Outcome
}

// byRule groups the images that go by the rule that makes them go, in the
// order of priorities, the oldest first.
func (l *Lifecycle) byRule(outcomes []lifecycle.Outcome) []victims {
	at := map[int]int{}
	var out []victims
	for _, r := range l.rules() {
		at[r.Priority] = len(out)
		out = append(out, victims{rule: r})
	}
	for i, o := range outcomes {
		k, ok := at[o.Rule]
		if o.Action == lifecycle.Keep || !ok {
			continue
		}
		out[k].list = append(out[k].list, victim{l.Images[i], o})
		out[k].add(l.Images[i])
	}
	for _, v := range out {
		slices.SortStableFunc(v.list, func(a, b victim) int { return a.image.PushedAt.Compare(b.image.PushedAt) })
	}
	return out
}

// rules are those of the policy, the highest first.
func (l *Lifecycle) rules() []lifecycle.Rule {
	rules := slices.Clone(l.Policy.Rules)
	slices.SortStableFunc(rules, func(a, b lifecycle.Rule) int { return cmp.Compare(a.Priority, b.Priority) })
	return rules
}

// title is the first line of a report.
func (l *Lifecycle) title(what string) string {
	if l.Repository != "" {
		what += " of " + clean(l.Repository)
	}
	return fmt.Sprintf("%s at %s, by %s", what, moment(l.At), clean(l.Source))
}

// moment is a time to the minute, UTC.
func moment(t time.Time) string { return t.UTC().Format("2006-01-02 15:04") + " UTC" }

// day is a date, UTC.
func day(t time.Time) string { return t.UTC().Format("2006-01-02") }

// when is a day as seen from at: "2026-02-01, 28 days ago".
func (l *Lifecycle) when(t time.Time) string {
	if t.IsZero() {
		return "at an unknown time"
	}
	return day(t) + ", " + distance(l.At, t)
}

// distance is how far t is from now, in whole days.
func distance(now, t time.Time) string {
	const aDay = 24 * time.Hour
	switch d := t.Sub(now); {
	case d <= -aDay:
		return count(int(-d/aDay), "day", "days") + " ago"
	case d < 0:
		return "less than a day ago"
	case d == 0:
		return "now"
	case d < aDay:
		return "within a day"
	default:
		return "in " + count(int(d/aDay), "day", "days")
	}
}

// origin is the field that made the rule of a priority, in brackets; "" when
// it is not known.
func (l *Lifecycle) origin(priority int) string {
	o, ok := l.Origins[priority]
	if !ok {
		return ""
	}
	s := clean(o.Field)
	if place := o.String(); place != "" {
		s = clean(place) + ": " + s
	}
	return "  (" + s + ")"
}

// ruleText is "rule 2: images tagged pr-* expire 7 days after their push".
func ruleText(r lifecycle.Rule) string { return fmt.Sprintf("rule %d: %s", r.Priority, clean(rule(r))) }

// maxTags is how many tags of an image are named.
const maxTags = 4

// imageText is an image's digest and tags, shortened.
func imageText(m lifecycle.Image) string {
	s := clean(images.Short(m.Digest))
	switch n := len(m.Tags); {
	case n == 0:
		return s + " (untagged)"
	case n > maxTags:
		return fmt.Sprintf("%s (%s and %d more tags)", s, clean(strings.Join(m.Tags[:maxTags], ", ")), n-maxTags)
	}
	return s + " (" + clean(strings.Join(m.Tags, ", ")) + ")"
}

// Preview writes what the policy does to the images now: by rule, then what
// is guarded, assumed and not known, and the counts.
func Preview(w io.Writer, l Lifecycle, o Options) error {
	outcomes := l.Options.Decide(l.Policy, l.Images, l.At)
	p := newPrinter(o)
	p.linef(bold, "%s", l.title("Lifecycle preview"))
	if len(l.Policy.Rules) == 0 {
		p.linef(plain, "There is no lifecycle policy: nothing expires.")
	}
	for _, v := range l.byRule(outcomes) {
		p.linef(plain, "")
		p.linef(bold, "%s%s", ruleText(v.rule), l.origin(v.rule.Priority))
		p.victims(&l, v)
	}
	p.linef(plain, "")
	p.notes(&l, outcomes)
	p.linef(bold, "%s", l.summary(outcomes).text())
	return p.flush(w)
}

func (p *printer) victims(l *Lifecycle, v victims) {
	verb, c := "expires", red
	if v.rule.Action.Type == lifecycle.Transition {
		verb, c = "archives", yellow
	}
	if v.Images == 0 {
		p.linef(plain, "  %s nothing", verb)
		return
	}
	p.linef(c, "  %s %s", verb, v.tally)
	line := func(name string, m lifecycle.Image) {
		pulled := "never pulled"
		if !m.LastPulledAt.IsZero() {
			pulled = "last pulled " + l.when(m.LastPulledAt)
		}
		p.linef(plain, "    %-7s %s: pushed %s; %s", name, imageText(m), l.when(m.PushedAt), pulled)
	}
	if v.Images == 1 {
		line("only", v.list[0].image)
		return
	}
	line("oldest", v.list[0].image)
	line("newest", v.list[len(v.list)-1].image)
}

// notes writes what keeps images, what is assumed and what is not known.
func (p *printer) notes(l *Lifecycle, outcomes []lifecycle.Outcome) {
	guarded := map[lifecycle.GuardKind]int{}
	assumed := map[string]int{}
	mayBe := 0
	for i, o := range outcomes {
		if o.GuardedBy != nil {
			guarded[o.GuardedBy.Kind]++
		}
		if s := o.Assumed.String(); s != "" {
			for _, a := range strings.Split(s, ",") {
				assumed[a]++
			}
		}
		if l.mayBeChild(l.Images[i], o) {
			mayBe++
		}
	}
	for _, g := range []struct {
		kind lifecycle.GuardKind
		why  string
	}{
		{lifecycle.GuardIndex, "an index lists them"},
		{lifecycle.GuardSubject, "what they belong to stays"},
		{lifecycle.GuardHeld, "they are in use"},
	} {
		if n := guarded[g.kind]; n > 0 {
			p.linef(green, "Guarded: %s although a rule is against it: %s.", count(n, "image stays", "images stay"), g.why)
		}
	}
	for _, a := range assumptions {
		if n := assumed[a.name]; n > 0 {
			p.linef(yellow, "Assumed for %s, where AWS says nothing: it %s.", count(n, "image", "images"), a.what)
		}
	}
	if mayBe > 0 {
		p.linef(yellow, "Not known: %s without tags may belong to an index, and then stay; manifests would tell.", count(mayBe, "image", "images"))
	}
}

// assumptions say in words what a prediction for AWS assumes that it does.
var assumptions = []struct{ name, what string }{
	{"tie", "keeps the others of several images that were pushed at one time"},
	{"count", "counts the parts of images for several platforms, and signatures, as images of their own"},
	{"referrer", "removes signatures and other artifacts of images that stay"},
	{"activating", "treats images on their way back from the archive like active ones"},
}

// summary is the published JSON of a preview's counts.
type summary struct {
	Images      int            `json:"images"`
	Keep        int            `json:"keep"`
	Expire      int            `json:"expire"`
	ExpireBytes int64          `json:"expireBytes"`
	Transition  int            `json:"transition"`
	MoveBytes   int64          `json:"transitionBytes"`
	Guarded     int            `json:"guarded"`
	MayBe       int            `json:"mayBeIndexChildren"`
	Assumed     map[string]int `json:"assumed"`
	Rules       []ruleSummary  `json:"rules"`
}

type ruleSummary struct {
	Priority    int                  `json:"rulePriority"`
	Words       string               `json:"words"`
	Field       string               `json:"field,omitempty"`
	Place       string               `json:"place,omitempty"`
	Action      lifecycle.ActionType `json:"action"`
	Images      int                  `json:"images"`
	Bytes       int64                `json:"bytes"`
	OldestImage string               `json:"oldestImageDigest,omitempty"`
	NewestImage string               `json:"newestImageDigest,omitempty"`
}

func (l *Lifecycle) summary(outcomes []lifecycle.Outcome) summary {
	s := summary{Images: len(outcomes), Assumed: map[string]int{}, Rules: []ruleSummary{}}
	for i, o := range outcomes {
		m := l.Images[i]
		switch o.Action {
		case lifecycle.Expire:
			s.Expire++
			s.ExpireBytes += m.SizeBytes
		case lifecycle.Transition:
			s.Transition++
			s.MoveBytes += m.SizeBytes
		default:
			s.Keep++
		}
		if o.GuardedBy != nil {
			s.Guarded++
		}
		if l.mayBeChild(m, o) {
			s.MayBe++
		}
		if a := o.Assumed.String(); a != "" {
			for _, name := range strings.Split(a, ",") {
				s.Assumed[name]++
			}
		}
	}
	for _, v := range l.byRule(outcomes) {
		r := ruleSummary{
			Priority: v.rule.Priority, Words: rule(v.rule), Action: v.rule.Action.Type, Images: v.Images, Bytes: v.Bytes,
			Field: l.Origins[v.rule.Priority].Field, Place: l.Origins[v.rule.Priority].String(),
		}
		if n := len(v.list); n > 0 {
			r.OldestImage, r.NewestImage = v.list[0].image.Digest, v.list[n-1].image.Digest
		}
		s.Rules = append(s.Rules, r)
	}
	return s
}

func (s summary) text() string {
	return fmt.Sprintf("%s: %s, %s, %s.", count(s.Images, "image", "images"),
		plus(count(s.Expire, "expires", "expire"), s.ExpireBytes), plus(count(s.Transition, "goes to the archive", "go to the archive"), s.MoveBytes),
		count(s.Keep, "stays", "stay"))
}

// plus adds a size in brackets, unless there is none.
func plus(s string, size int64) string {
	if size == 0 {
		return s
	}
	return s + " (" + bytesText(size) + ")"
}

// PreviewJSON writes a preview as {"images": [...], "summary": {...}} and
// what it was made from. All images are listed, in their order.
func PreviewJSON(w io.Writer, l Lifecycle) error {
	outcomes := l.Options.Decide(l.Policy, l.Images, l.At)
	form := struct {
		Images  []imageForm `json:"images"`
		Summary summary     `json:"summary"`
		header
	}{[]imageForm{}, l.summary(outcomes), l.header()}
	for i, o := range outcomes {
		form.Images = append(form.Images, l.image(l.Images[i], o))
	}
	return JSON(w, form)
}

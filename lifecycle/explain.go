package lifecycle

import (
	"slices"
	"strings"
	"time"
)

// Verdict is what one rule means for one image.
type Verdict string

// The verdicts.
const (
	VerdictActs      Verdict = "acts"      // the rule owns the image and acts on it
	VerdictKeeps     Verdict = "keeps"     // the rule owns the image and does not act on it yet
	VerdictOutranked Verdict = "outranked" // it selects the image, which a higher rule owns
	VerdictTags      Verdict = "tags"      // the image does not meet its tag criteria
	VerdictClass     Verdict = "class"     // it is for another storage class
)

// Clock is what an age counts from.
type Clock string

// The clocks.
const (
	ClockPushed    Clock = "pushed"
	ClockPulled    Clock = "pulled"
	ClockActivated Clock = "activated"
	ClockArchived  Clock = "archived"
)

// Explanation is why an image stays or goes.
type Explanation struct {
	Image   Image
	Outcome Outcome // after the guards
	// Reasons has one entry for each rule, the highest first.
	Reasons []Reason
	// Indexes are the digests of the indexes that list the image, sorted.
	Indexes []string
	// Changes is when the image's fate changes by the passing of time alone,
	// without pushes, pulls and deletions by hand: it goes at the first run
	// after that, or has gone by then if Outcome says so. Zero is never. An
	// image whose index goes now changes now: it goes at the next run. One that
	// refers to a subject and is listed by an index outlives the subject when
	// both go in one run; where the hours of the runs decide that, Changes takes
	// them to go one after the other. Forecast simulates what this computes.
	Changes time.Time
	// Newer are the images that the owner counts before this one, the youngest
	// first; nil unless the owner counts this one.
	Newer []Newer
	// Archived is what becomes of the image in the archive, when its fate is to
	// be archived; else nil.
	Archived *Archival
}

// Newer is an image that takes a place in a count before another one.
type Newer struct {
	Image Image
	Owner int // priority of the rule that the image belongs to
}

// Archival is what becomes of an image in the archive.
type Archival struct {
	At time.Time // when it is archived, at the earliest
	// Owner is the rule of the archive that the image then belongs to, with its
	// age and when it acts; nil when none selects it, and it stays.
	Owner *Reason
}

// Reason is what one rule has to do with an image.
type Reason struct {
	Rule    Rule
	Index   int // in Policy.Rules
	Verdict Verdict
	// Matches are the elements of the rule's list that tags of the image
	// match; Missing those that none does.
	Matches []Match
	Missing []string
	// Met reports whether the count or age criterion is met, for a rule that
	// selects the image: were it the owner, it would act.
	Met bool
	// Rank is the image's place among those the rule selects, 1 for the
	// youngest, and Of their number, for a count rule that selects and counts
	// the image. The rule keeps Rule.Selection.CountNumber of them.
	Rank, Of int
	// Since is what the rule counts the image's age from, Clock what happened
	// then, and Due the instant after which the image is too old, for an age
	// rule that selects the image. Since and Due are zero when the time is
	// not known.
	Since, Due time.Time
	Clock      Clock
}

// Match is an element of a rule's list and the first tag that matches it.
type Match struct{ Element, Tag string }

// Owner is the reason of the rule that owns the image, nil when none does.
func (e *Explanation) Owner() *Reason {
	for i := range e.Reasons {
		if v := e.Reasons[i].Verdict; v == VerdictActs || v == VerdictKeeps {
			return &e.Reasons[i]
		}
	}
	return nil
}

// Explain tells why p keeps the image of that digest, or not. It is false when
// there is no such image. It costs as much as Decide for all images.
func Explain(p Policy, images []Image, now time.Time, digest string) (Explanation, bool) {
	return Options{}.Explain(p, images, now, digest)
}

// Explain is the function Explain under o.
func (o Options) Explain(p Policy, images []Image, now time.Time, digest string) (Explanation, bool) {
	i := slices.IndexFunc(images, func(m Image) bool { return m.Digest == digest })
	if i < 0 {
		return Explanation{}, false
	}
	b := newBoard(o, p, images)
	marked := make([]Outcome, len(images))
	b.evaluate(now, marked)
	final := slices.Clone(marked)
	b.guard(final)
	e := Explanation{Image: images[i], Outcome: final[i]}
	for id := range b.rules {
		e.Reasons = append(e.Reasons, b.reason(i, int32(id), now, &marked[i]))
	}
	if b.graph != nil {
		for _, j := range b.graph.indexes(i) {
			e.Indexes = append(e.Indexes, images[j].Digest)
		}
		slices.Sort(e.Indexes)
	}
	if final[i].Rank > 0 {
		e.Newer = b.newer(i)
	}
	n := next{board: b, marked: marked, final: final, now: now}
	if f := n.goes(i); f.leaves {
		e.Changes = f.at
		if f.action == Transition {
			e.Archived = b.archived(i, f.at)
		}
	}
	return e, true
}

// newer are the images that the owner of image i counts before it.
func (b *board) newer(i int) []Newer {
	var out []Newer
	for _, p := range b.order {
		j := int(p.image)
		if j == i {
			break
		}
		if slices.Contains(b.matched[j], b.matched[i][0]) && (b.opts.CountDependents || !b.graph.dependent(b, j)) {
			out = append(out, Newer{b.images[j], b.rules[b.matched[j][0]].Priority})
		}
	}
	return out
}

// archived is what becomes of image i when it goes to the archive at a time.
func (b *board) archived(i int, at time.Time) *Archival {
	m := b.images[i]
	m.Status, m.LastArchivedAt = StatusArchived, at
	out := &Archival{At: at}
	if ids := b.match.match(nil, &b.work, Archive, m.Tags); len(ids) > 0 {
		r := &b.rules[ids[0]]
		out.Owner = &Reason{Rule: r.Rule, Index: r.index, Verdict: VerdictKeeps}
		out.Owner.list(r, &m)
		if r.ages {
			out.Owner.age(r, &m, b.opts.Ages, at)
		}
	}
	return out
}

// reason is that of rule id for image i, of which o is the outcome before the
// guards.
func (b *board) reason(i int, id int32, now time.Time, o *Outcome) Reason {
	r, m := &b.rules[id], &b.images[i]
	out := Reason{Rule: r.Rule, Index: r.index}
	if b.opts.class(m.Status) != r.Selection.Class() {
		out.Verdict = VerdictClass
		return out
	}
	out.list(r, m)
	rules := b.matched[i]
	if !slices.Contains(rules, id) {
		out.Verdict = VerdictTags
		return out
	}
	switch {
	case r.ages:
		out.age(r, m, b.opts.Ages, now)
	case r.counts:
		b.ranked(&out, i, id)
	}
	switch {
	case rules[0] != id:
		out.Verdict = VerdictOutranked
	case o.Action != Keep:
		out.Verdict, out.Met = VerdictActs, true
	default:
		out.Verdict = VerdictKeeps
	}
	return out
}

func (out *Reason) list(r *rule, m *Image) {
	try := func(element string, match func(tag string) bool) {
		if k := slices.IndexFunc(m.Tags, match); k >= 0 {
			out.Matches = append(out.Matches, Match{element, m.Tags[k]})
		} else {
			out.Missing = append(out.Missing, element)
		}
	}
	for _, s := range r.Selection.TagPatterns {
		e := pattern(s)
		try(s, e.match)
	}
	for _, s := range r.Selection.TagPrefixes {
		try(s, func(tag string) bool { return strings.HasPrefix(tag, s) })
	}
}

func (out *Reason) age(r *rule, m *Image, ages Ages, now time.Time) {
	out.Since = m.age(r.Selection.CountType)
	switch {
	case r.Selection.CountType == SinceImageTransitioned:
		out.Clock = ClockArchived
	case r.Selection.CountType == SinceImagePulled && m.LastPulledAt.After(m.pushed()):
		out.Clock = ClockPulled
	case m.LastActivatedAt.After(m.PushedAt):
		out.Clock = ClockActivated
	default:
		out.Clock = ClockPushed
	}
	if !out.Since.IsZero() {
		out.Due = ages.due(out.Since, r.Selection.CountNumber)
		out.Met = r.older(m, ages.cutoff(now, r.Selection.CountNumber))
	}
}

// ranked finds the rank of image i in rule id, as count would.
func (b *board) ranked(out *Reason, i int, id int32) {
	var before, worst, all tally
	me := b.place(i)
	for j := range b.images {
		if b.isGone(j) || !slices.Contains(b.matched[j], id) {
			continue
		}
		all.add(b, j)
		at := b.place(j)
		if c := at.compare(me); c > 0 || c == 0 && b.images[j].Digest >= b.images[i].Digest {
			before.add(b, j)
		}
		if at.compare(me) >= 0 {
			worst.add(b, j)
		}
	}
	if b.graph.dependent(b, i) && !b.opts.CountDependents {
		return
	}
	out.Rank, out.Of = before.counted(&b.opts), all.counted(&b.opts)
	limit := b.rules[id].Selection.CountNumber
	out.Met = out.Rank > limit || b.opts.Ties == TiesAllGo && worst.counted(&b.opts) > limit
}

// next finds when fates change.
type next struct {
	*board
	marked, final []Outcome
	now           time.Time
	path          []int
}

// fate is when an image leaves its storage class, and how.
type fate struct {
	leaves bool
	// It leaves in the first run at or after at, or so many runs later.
	at     time.Time
	runs   int
	action ActionType
}

func (f fate) after(other fate) bool {
	return f.at.After(other.at) || f.at.Equal(other.at) && f.runs > other.runs
}

// goes is what becomes of image i by the passing of time.
func (n *next) goes(i int) fate {
	if a := n.final[i].Action; a != Keep {
		return fate{leaves: true, at: n.now, action: a}
	}
	if _, held := n.held[n.images[i].Digest]; held || slices.Contains(n.path, i) {
		return fate{}
	}
	n.path = append(n.path, i)
	defer func() { n.path = n.path[:len(n.path)-1] }()
	own := n.marks(i)
	f, follows := own, false
	if s := n.graph.subject(n.board, i); s >= 0 {
		with := n.goes(s)
		switch {
		case n.opts.UnguardedReferrers:
			if with.leaves && (!own.leaves || own.after(with)) {
				f, follows = with, true
			}
		case len(n.images[i].Tags) == 0:
			f, follows = with, true
		case !with.leaves:
			return fate{}
		case with.after(own):
			f.at, f.runs = with.at, with.runs
		}
	}
	if n.graph == nil {
		return f
	}
	listed := n.indexed(i)
	free := listed.free(f)
	if follows && f.leaves && f.action == Expire && free != f {
		// An index still lists it when its subject goes: it stays then, and
		// is an image like any other.
		free = listed.free(own)
	}
	return free
}

// listing is what becomes of the indexes that list an image and are there.
type listing struct {
	fates    []fate
	archived []bool
}

func (n *next) indexed(i int) listing {
	var l listing
	for _, j := range n.graph.indexes(i) {
		if !n.isGone(int(j)) {
			l.fates = append(l.fates, n.goes(int(j)))
			l.archived = append(l.archived, n.images[j].Status == StatusArchived)
		}
	}
	return l
}

// free is f, or what becomes of it when it waits until the run after the one
// that takes the last of its indexes.
func (l listing) free(f fate) fate {
	if !f.leaves {
		return fate{}
	}
	for i, index := range l.fates {
		if f.action == Transition && l.archived[i] {
			continue
		}
		if !index.leaves || f.action == Expire && index.action != Expire {
			return fate{}
		}
		if !f.after(index) {
			f.at, f.runs = index.at, index.runs+1
		}
	}
	return f
}

// marks is when image i's owner acts on it, whatever guards it.
func (n *next) marks(i int) fate {
	if a := n.marked[i].Action; a != Keep {
		return fate{leaves: true, at: n.now, action: a}
	}
	if len(n.matched[i]) == 0 {
		return fate{}
	}
	r := &n.rules[n.matched[i][0]]
	since := n.images[i].age(r.Selection.CountType)
	if !r.ages || since.IsZero() {
		return fate{}
	}
	return fate{leaves: true, at: n.opts.Ages.due(since, r.Selection.CountNumber), action: r.Action.Type}
}

package lifecycle

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"time"
)

// Keep is the Action of an Outcome whose image stays as it is. No rule has it.
const Keep ActionType = "keep"

// Outcome is what happens to one image.
type Outcome struct {
	Digest string     // of the image
	Action ActionType // Keep, Expire or Transition (to the archive)
	// Owner is the priority of the rule that the image belongs to, the only
	// one that may act on it; 0 when no rule selects it.
	Owner int
	// Rule is the priority of the rule that acts, 0 when none does. It is the
	// owner's; or, when With is set, that of the rule that acts on With. It
	// stays when GuardedBy then keeps the image.
	Rule int
	// Rank is the image's place in its owner's order, 1 for the youngest, when
	// the owner counts images and this one is counted; else 0.
	Rank int
	// With is the subject that the image goes with, "" when it is acted on alone.
	With string
	// GuardedBy is what keeps an image on which a rule would act.
	GuardedBy *Guarded
	// Assumed are the assumptions about AWS without which the image would stay.
	Assumed Assumption
}

// Evaluate decides for each image, in the order given, what p does with it at
// now, and by which rule. It looks at no guard: see Decide. It expects a
// policy that Validate accepts, and takes rules that it cannot understand for
// ones that never act. Arguments are not changed.
//
// An image belongs to the rule of the lowest priority number, among those of
// its storage class, whose tag criteria it meets, and no other rule acts on
// it. A count rule counts all images that meet its own criteria, also those
// that belong to other rules.
func Evaluate(p Policy, images []Image, now time.Time) []Outcome {
	return Options{}.Evaluate(p, images, now)
}

// Evaluate is the function Evaluate under o.
func (o Options) Evaluate(p Policy, images []Image, now time.Time) []Outcome {
	b := newBoard(o, p, images)
	out := make([]Outcome, len(images))
	b.evaluate(now, out)
	return out
}

// Decide is Evaluate and then Guard: what really happens to each image.
func Decide(p Policy, images []Image, now time.Time) []Outcome {
	return Options{}.Decide(p, images, now)
}

// Decide is the function Decide under o.
func (o Options) Decide(p Policy, images []Image, now time.Time) []Outcome {
	b := newBoard(o, p, images)
	out := make([]Outcome, len(images))
	b.evaluate(now, out)
	b.guard(out)
	return out
}

// board is a repository laid out for evaluation.
type board struct {
	opts   Options
	match  *matcher
	work   scratch
	rules  []rule
	images []Image
	// matched are the rules that each image meets, the owner first.
	matched [][]int32
	// order is the images, youngest first; nil when no rule counts.
	order []place
	graph *graph
	held  Held // closed over the graph
	gone  []bool
}

// place is where an image stands in time.
type place struct {
	sec   int64
	nsec  int32
	image int32
}

func newBoard(o Options, p Policy, images []Image) *board {
	b := &board{opts: o, match: newMatcher(p), images: images}
	b.rules = b.match.rules
	b.matched = make([][]int32, len(images))
	var arena []int32
	for i := range images {
		if cap(arena)-len(arena) < len(b.rules) {
			arena = make([]int32, 0, max(1<<14, len(b.rules)))
		}
		first := len(arena)
		arena = b.match.match(arena, &b.work, o.class(images[i].Status), images[i].Tags)
		b.matched[i] = arena[first:len(arena):len(arena)]
	}
	if slices.ContainsFunc(b.rules, func(r rule) bool { return r.counts }) {
		b.sort()
	}
	b.graph = newGraph(images)
	b.held = b.graph.hold(images, o.Held)
	return b
}

// sort fills in the order. An image whose time is unknown is the youngest.
func (b *board) sort() {
	b.order = make([]place, len(b.images))
	for i := range b.images {
		b.order[i] = b.place(i)
	}
	slices.SortFunc(b.order, func(x, y place) int {
		if c := y.compare(x); c != 0 {
			return c
		}
		return cmp.Or(strings.Compare(b.images[y.image].Digest, b.images[x.image].Digest), cmp.Compare(x.image, y.image))
	})
}

func (b *board) place(i int) place {
	t := b.images[i].pushed()
	if t.IsZero() {
		return place{sec: math.MaxInt64, image: int32(i)}
	}
	return place{t.Unix(), int32(t.Nanosecond()), int32(i)}
}

// compare orders by time alone.
func (p place) compare(q place) int {
	if p.sec != q.sec {
		return cmp.Compare(p.sec, q.sec)
	}
	return cmp.Compare(p.nsec, q.nsec)
}

// tally counts the images of one rule while going from the youngest to the
// oldest.
type tally struct {
	all        int
	dependents int // of all
	activating int // of all, and no dependents
}

// add counts image i.
func (t *tally) add(b *board, i int) {
	t.all++
	if b.graph.dependent(b, i) {
		t.dependents++
	} else if b.images[i].Status == StatusActivating {
		t.activating++
	}
}

// counted is the number that o goes by.
func (t tally) counted(o *Options) int {
	if o.CountDependents {
		return t.all
	}
	return t.all - t.dependents
}

// sure is the number of images that any reading counts.
func (t tally) sure() int { return t.all - t.dependents - t.activating }

// evaluate fills out, which is as long as the images; what it says of images
// that are gone means nothing.
func (b *board) evaluate(now time.Time, out []Outcome) {
	for i := range b.images {
		out[i] = Outcome{Digest: b.images[i].Digest, Action: Keep}
	}
	b.count(out)
	cutoffs := make([]time.Time, len(b.rules))
	for i, r := range b.rules {
		if r.ages {
			cutoffs[i] = b.opts.Ages.cutoff(now, r.Selection.CountNumber)
		}
	}
	for i, rules := range b.matched {
		if len(rules) == 0 || b.isGone(i) {
			continue
		}
		r := &b.rules[rules[0]]
		out[i].Owner = r.Priority
		if r.ages && r.older(&b.images[i], cutoffs[rules[0]]) {
			b.mark(i, r, out)
		}
	}
}

func (b *board) mark(i int, r *rule, out []Outcome) {
	out[i].Action, out[i].Rule = r.Action.Type, r.Priority
	if b.images[i].Status == StatusActivating {
		out[i].Assumed |= AssumedActivating
	}
}

// count applies the count rules: to images of one time together, since each of
// them may be the last that a rule keeps.
func (b *board) count(out []Outcome) {
	tallies := make([]tally, len(b.rules))
	var at []tally // by tied image: its owner's tally when its turn came
	for rest := b.order; len(rest) > 0; {
		n := 1
		for n < len(rest) && rest[n].compare(rest[0]) == 0 {
			n++
		}
		tied := rest[:n]
		rest, at = rest[n:], at[:0]
		for _, p := range tied {
			rules := b.matched[p.image]
			if b.isGone(int(p.image)) || len(rules) == 0 {
				at = append(at, tally{})
				continue
			}
			var one tally
			one.add(b, int(p.image))
			for _, id := range rules {
				t := &tallies[id]
				t.all += one.all
				t.dependents += one.dependents
				t.activating += one.activating
			}
			at = append(at, tallies[rules[0]])
		}
		for k, p := range tied {
			if at[k] == (tally{}) {
				continue
			}
			if id := b.matched[p.image][0]; b.rules[id].counts {
				b.rank(int(p.image), &b.rules[id], at[k], tallies[id], out)
			}
		}
	}
}

// rank applies r, its owner, to image i, when at is r's tally at the image's
// turn, and worst the tally after all images of its time.
func (b *board) rank(i int, r *rule, at, worst tally, out []Outcome) {
	dependent := b.graph.dependent(b, i)
	if dependent && !b.opts.CountDependents {
		return
	}
	limit := r.Selection.CountNumber
	out[i].Rank = at.counted(&b.opts)
	over := out[i].Rank > limit
	if !over && (b.opts.Ties != TiesAllGo || worst.counted(&b.opts) <= limit) {
		return
	}
	b.mark(i, r, out)
	if at.sure() > limit && !dependent {
		return
	}
	if !over {
		out[i].Assumed |= AssumedTie
	}
	if worst.sure() <= limit || dependent {
		out[i].Assumed |= AssumedCount
	}
	if out[i].Assumed&(AssumedTie|AssumedCount) == 0 { // either will do
		out[i].Assumed |= AssumedTie | AssumedCount
	}
}

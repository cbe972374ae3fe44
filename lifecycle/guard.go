package lifecycle

// GuardKind says what keeps an image against the rules.
type GuardKind string

// The guards.
const (
	// GuardIndex: an index lists the image. An index goes first; its children
	// can go from the next run on. For a transition, only an index that is not
	// archived matters.
	GuardIndex GuardKind = "index"
	// GuardSubject: the image refers to a subject that stays.
	GuardSubject GuardKind = "subject"
	// GuardHeld: the image is held, or belongs to one that is.
	GuardHeld GuardKind = "held"
)

// Guarded says why an image stays on which a rule would act.
type Guarded struct {
	Kind GuardKind
	By   string // digest of the index or subject; name of the holder
	// Action is what would have happened.
	Action ActionType
}

// Guard applies the guards of the graph to the outcomes that Evaluate gave for
// the same images in the same order, and returns new ones. Children of an
// index stay while it is there, also when it goes in this run. Referrers of a
// subject stay while it stays, and go with it, in the same run, when they have
// no tags or a rule would act on them itself.
func Guard(images []Image, outcomes []Outcome) []Outcome { return Options{}.Guard(images, outcomes) }

// Guard is the function Guard under o, whose Held images stay too.
func (o Options) Guard(images []Image, outcomes []Outcome) []Outcome {
	g := newGraph(images)
	b := &board{opts: o, images: images, graph: g, held: g.hold(images, o.Held)}
	out := append([]Outcome{}, outcomes...)
	b.guard(out)
	return out
}

// guard changes out from what rules say to what happens.
func (b *board) guard(out []Outcome) {
	if b.graph == nil {
		for i := range out {
			b.hold(i, &out[i])
		}
		return
	}
	const (
		waiting = iota + 1
		settled
	)
	state := make([]uint8, len(out))
	var chain []int
	for i := range out {
		if b.isGone(i) {
			continue
		}
		// a referrer's fate needs its subject's first; images that refer to
		// one another in a circle cannot be, but must not hang us
		for j := i; j >= 0 && state[j] == 0; j = b.graph.subject(b, j) {
			state[j] = waiting
			chain = append(chain, j)
		}
		for ; len(chain) > 0; chain = chain[:len(chain)-1] {
			j := chain[len(chain)-1]
			var subject *Outcome
			if k := b.graph.subject(b, j); k >= 0 {
				subject = &Outcome{Action: Keep}
				if state[k] == settled {
					subject = &out[k]
				}
				b.follow(&b.images[j], &out[j], subject)
			}
			b.settle(j, &out[j], subject)
			state[j] = settled
		}
	}
}

// follow makes a referrer go with its subject. One that has tags, or that
// nothing guards, is acted on alone when a rule acts on it.
func (b *board) follow(m *Image, o, subject *Outcome) {
	tagged := len(m.Tags) > 0
	alone := tagged || b.opts.UnguardedReferrers
	switch subject.Action {
	case Keep:
		return
	case Expire:
		if o.Action == Expire && alone {
			return
		}
	case Transition:
		if b.opts.class(m.Status) != Standard || o.Action == Transition && alone || o.Action == Expire && b.opts.UnguardedReferrers {
			return
		}
	}
	if tagged && o.Action == Keep {
		if !b.opts.UnguardedReferrers {
			return
		}
		o.Assumed |= AssumedReferrer
	}
	o.Action, o.Rule, o.With = subject.Action, subject.Rule, subject.Digest
	o.Assumed |= subject.Assumed
}

// settle keeps an image that something guards. subject is nil when there is
// none.
func (b *board) settle(i int, o, subject *Outcome) {
	if b.hold(i, o); o.Action == Keep {
		return
	}
	if j := b.graph.index(b, i, o.Action); j >= 0 {
		o.guard(GuardIndex, b.images[j].Digest)
		return
	}
	if subject == nil || o.With != "" || subject.Action == Expire {
		return
	}
	if j := b.graph.subject(b, i); o.Action == Transition && (subject.Action == Transition || b.images[j].Status == StatusArchived) {
		return
	}
	if b.opts.UnguardedReferrers {
		o.Assumed |= AssumedReferrer
		return
	}
	o.guard(GuardSubject, b.images[b.graph.subject(b, i)].Digest)
}

func (b *board) hold(i int, o *Outcome) {
	if o.Action == Keep || len(b.held) == 0 {
		return
	}
	if by, held := b.held[b.images[i].Digest]; held {
		o.guard(GuardHeld, by)
	}
}

func (o *Outcome) guard(kind GuardKind, by string) {
	o.GuardedBy = &Guarded{kind, by, o.Action}
	o.Action, o.Assumed = Keep, 0
}

package lifecycle

import (
	"cmp"
	"slices"
	"strconv"
	"time"
)

// Horizon says how a forecast looks ahead.
type Horizon struct {
	Days int // after now
	// Step is the time between two runs of the policy; 0 is a day.
	Step time.Duration
	Rate Rate
}

// Rate says what is pushed meanwhile.
type Rate string

// The rates.
const (
	RateNone Rate = "none" // nothing; "" is the same
	// RatePresent: each rule goes on getting images at the pace of its latest
	// ones, as do the images that no rule owns. The pace is that of the images
	// it owns pushed within the last 28 days, or within the rule's age limit
	// or the age of the oldest of them, whichever is less, but no less than a
	// day: what was expired before is not known. They come at equal distances,
	// each a copy, with tags, size, untagged children and untagged referrers,
	// of one of those images by turns; nothing loses its tag to them. Nothing
	// is pulled.
	RatePresent Rate = "present"
)

// rateWindow is how far back RatePresent looks.
const rateWindow = 28 * 24 * time.Hour

// Timeline is what successive runs of a policy do.
type Timeline struct {
	Runs []Run // the first at now
}

// Run is one run of a policy.
type Run struct {
	At   time.Time
	Gone []Departure // in the order of the images, arrivals last
	// Images and SizeBytes are what is left after the run, in both classes.
	Images    int
	SizeBytes int64
}

// Departure is an image that a run deletes or archives.
type Departure struct {
	Image   Image
	Outcome Outcome
	// Arrived is set when the image is one that RatePresent made up. Its
	// digest then is "arrival-", a number, "-" and the digest it copies.
	Arrived bool
}

// FirstPulledSince is the first run that deletes an image last pulled at since
// or later, and that image; false when no run does.
func (f *Timeline) FirstPulledSince(since time.Time) (Run, Departure, bool) {
	for _, run := range f.Runs {
		for _, d := range run.Gone {
			if d.Outcome.Action == Expire && !d.Image.LastPulledAt.IsZero() && !d.Image.LastPulledAt.Before(since) {
				return run, d, true
			}
		}
	}
	return Run{}, Departure{}, false
}

// Forecast simulates what p does to images from now to the horizon, guards
// included: an index goes in one run, its children in the next. No image is
// pulled, tagged, restored or deleted by hand meanwhile.
func Forecast(p Policy, images []Image, now time.Time, h Horizon) Timeline {
	return Options{}.Forecast(p, images, now, h)
}

// Forecast is the function Forecast under o.
func (o Options) Forecast(p Policy, images []Image, now time.Time, h Horizon) Timeline {
	s := simulation{board: newBoard(o, p, slices.Clone(images)), real: len(images)}
	s.gone = make([]bool, len(images))
	for _, m := range images {
		s.left.Images++
		s.left.SizeBytes += m.SizeBytes
	}
	if h.Rate == RatePresent {
		s.streams(now)
	}
	var f Timeline
	step := h.Step
	if step <= 0 {
		step = 24 * time.Hour
	}
	for at := now; !at.After(now.Add(time.Duration(h.Days) * 24 * time.Hour)); at = at.Add(step) {
		s.arrive(at)
		f.Runs = append(f.Runs, s.run(at))
	}
	return f
}

// simulation is a board that changes.
type simulation struct {
	*board
	real  int // images that are no arrivals
	out   []Outcome
	left  Run
	flows []stream
	made  int
}

func (s *simulation) run(at time.Time) Run {
	s.out = slices.Grow(s.out[:0], len(s.images))[:len(s.images)]
	s.evaluate(at, s.out)
	s.guard(s.out)
	s.left.At, s.left.Gone = at, nil
	for i, o := range s.out {
		if s.gone[i] || o.Action == Keep {
			continue
		}
		s.left.Gone = append(s.left.Gone, Departure{s.images[i], o, i >= s.real})
		m := &s.images[i]
		if o.Action == Expire {
			s.gone[i] = true
			s.left.Images--
			s.left.SizeBytes -= m.SizeBytes
			continue
		}
		m.Status, m.LastArchivedAt = StatusArchived, at
		s.matched[i] = s.match.match(nil, &s.work, Archive, m.Tags)
	}
	return s.left
}

// stream is images arriving at equal distances.
type stream struct {
	from  time.Time
	every time.Duration
	sent  int
	like  []sample
}

// sample is an image to copy, with its untagged children and referrers.
type sample struct {
	root  int
	parts []int
}

// streams finds the pace of each owner.
func (s *simulation) streams(now time.Time) {
	parts := map[int][]int{}
	roots := map[int32][]int{}
	for i := range s.images {
		m := &s.images[i]
		if s.graph.dependent(s.board, i) {
			for _, j := range s.graph.indexes(i) {
				parts[int(j)] = append(parts[int(j)], i)
			}
			if j := s.graph.subject(s.board, i); j >= 0 {
				parts[j] = append(parts[j], i)
			}
			continue
		}
		if s.opts.class(m.Status) != Standard || m.PushedAt.IsZero() || m.PushedAt.After(now) {
			continue
		}
		owner := int32(-1)
		if len(s.matched[i]) > 0 {
			owner = s.matched[i][0]
		}
		roots[owner] = append(roots[owner], i)
	}
	for owner := int32(-1); owner < int32(len(s.rules)); owner++ {
		if f, ok := s.stream(owner, roots[owner], now); ok {
			for k := range f.like {
				f.like[k].parts = parts[f.like[k].root]
			}
			s.flows = append(s.flows, f)
		}
	}
}

func (s *simulation) stream(owner int32, roots []int, now time.Time) (stream, bool) {
	if len(roots) == 0 {
		return stream{}, false
	}
	slices.SortFunc(roots, func(i, j int) int {
		return cmp.Or(s.images[i].PushedAt.Compare(s.images[j].PushedAt), cmp.Compare(s.images[i].Digest, s.images[j].Digest))
	})
	window := min(rateWindow, now.Sub(s.images[roots[0]].PushedAt))
	if owner >= 0 && s.rules[owner].ages {
		window = min(window, time.Duration(min(s.rules[owner].Selection.CountNumber, 28))*24*time.Hour)
	}
	window = max(window, 24*time.Hour)
	f := stream{from: now}
	for _, i := range roots {
		if now.Sub(s.images[i].PushedAt) <= window {
			f.like = append(f.like, sample{root: i})
		}
	}
	if len(f.like) == 0 {
		return stream{}, false
	}
	f.every = max(window/time.Duration(len(f.like)), 1)
	return f, true
}

// arrive pushes what came until at.
func (s *simulation) arrive(at time.Time) {
	first := len(s.images)
	linked := false
	for k := range s.flows {
		f := &s.flows[k]
		for {
			t := f.from.Add(time.Duration(f.sent+1) * f.every)
			if t.After(at) {
				break
			}
			like := f.like[f.sent%len(f.like)]
			f.sent++
			s.copy(like, t)
			linked = linked || len(like.parts) > 0 || s.images[like.root].Subject != ""
		}
	}
	if first == len(s.images) {
		return
	}
	for i := first; i < len(s.images); i++ {
		m := &s.images[i]
		s.matched = append(s.matched, s.match.match(nil, &s.work, Standard, m.Tags))
		s.gone = append(s.gone, false)
		s.left.Images++
		s.left.SizeBytes += m.SizeBytes
	}
	if s.order != nil {
		s.sort()
	}
	if s.graph != nil || linked {
		s.graph = newGraph(s.images)
	}
}

// copy adds an image like the sample, pushed at t, and its parts.
func (s *simulation) copy(like sample, t time.Time) {
	s.made++
	digest := func(i int) string { return arrivalDigest(s.made, s.images[i].Digest) }
	names := map[string]string{s.images[like.root].Digest: digest(like.root)}
	for _, i := range like.parts {
		names[s.images[i].Digest] = digest(i)
	}
	for _, i := range slices.Concat([]int{like.root}, like.parts) {
		m := s.images[i]
		m.PushedAt = t
		m.LastPulledAt, m.LastActivatedAt, m.LastArchivedAt, m.Status = time.Time{}, time.Time{}, time.Time{}, ""
		m.Digest = names[m.Digest]
		m.Children = slices.Clone(m.Children)
		for k, c := range m.Children {
			if n, ok := names[c]; ok {
				m.Children[k] = n
			}
		}
		if n, ok := names[m.Subject]; ok {
			m.Subject = n
		}
		s.images = append(s.images, m)
	}
}

func arrivalDigest(n int, like string) string { return "arrival-" + strconv.Itoa(n) + "-" + like }

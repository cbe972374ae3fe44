package render

import (
	"bytes"
	"errors"
	"io"
	"sync"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/kontor-registry/kontor/internal/deploy/promote"
)

// Promoting shows how images are promoted: a line for each that is done, and on a
// terminal a bar below them for each that is on its way. It is safe for
// concurrent use.
type Promoting struct {
	plan promote.Plan
	o    Options

	mu   sync.Mutex
	w    io.Writer        // guarded by mu
	err  error            // guarded by mu
	bars *mpb.Progress    // nil without bars
	bar  map[int]*mpb.Bar // by image; guarded by mu
}

// NewPromoting shows at w what becomes of the plan, with bars if w is a terminal
// that moves its cursor.
func NewPromoting(w io.Writer, p promote.Plan, o Options, bars bool) *Promoting {
	r := &Promoting{plan: p, o: o, w: w, bar: map[int]*mpb.Bar{}}
	if bars {
		r.bars = mpb.New(mpb.WithOutput(w), mpb.WithWidth(30), mpb.WithAutoRefresh())
	}
	return r
}

// Report tells of a step of an image.
func (r *Promoting) Report(x promote.Progress) {
	r.mu.Lock()
	defer r.mu.Unlock()
	b := r.bar[x.Image]
	if r.bars != nil && b == nil && x.Result == nil {
		b = r.bars.AddBar(max(x.Total, 1), mpb.BarRemoveOnComplete(),
			mpb.PrependDecorators(decor.Name(clean(r.plan.Images[x.Image].To.String())+" ")), mpb.AppendDecorators(decor.CountersKibiByte(" % .1f / % .1f")))
		r.bar[x.Image] = b
	}
	if x.Result == nil {
		if b != nil {
			b.SetCurrent(min(x.Bytes, max(x.Total, 1)-1)) // the image is done when its tag is set
		}
		return
	}
	if b != nil {
		b.Abort(true)
	}
	r.line(*x.Result)
}

// line writes what became of an image. r.mu is held.
func (r *Promoting) line(i promote.ImageResult) {
	var text bytes.Buffer
	p := newPrinter(r.o)
	s, c := promotedLine(i)
	p.linef(c, "%s", s)
	err := p.flush(&text)
	w := r.w
	if r.bars != nil {
		w = r.bars // above the bars
	}
	_, werr := w.Write(text.Bytes())
	r.err = errors.Join(r.err, err, werr)
}

// Close takes the bars away, writes those that nothing was done about, and
// returns the first error of writing.
func (r *Promoting) Close(result promote.Result) error {
	r.mu.Lock()
	for _, b := range r.bar {
		b.Abort(true)
	}
	r.mu.Unlock()
	if r.bars != nil {
		r.bars.Wait()
		r.bars = nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for n, i := range result.Images {
		// Those that were pending and begun have had their line.
		if i.Outcome == promote.OutcomeSkipped || i.Outcome == promote.OutcomeRefused || i.Outcome == promote.OutcomeThere && r.plan.Images[n].Status == promote.StatusThere {
			r.line(i)
		}
	}
	return r.err
}

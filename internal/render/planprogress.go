package render

import (
	"bytes"
	"errors"
	"io"
	"sync"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/kontor-registry/kontor/internal/deploy"
	"github.com/kontor-registry/kontor/internal/deploy/plan"
)

// Reporter shows how plans are applied: the lines of Progress, and on a
// terminal a bar for each registry below them. It is safe for concurrent use.
type Reporter struct {
	o       Options
	several bool

	mu   sync.Mutex
	w    io.Writer           // guarded by mu
	err  error               // guarded by mu
	bars *mpb.Progress       // nil without bars
	bar  map[string]*mpb.Bar // by registry; not changed after NewReporter
}

// NewReporter reports to w, with bars if w is a terminal that moves its cursor.
// With several registries each line begins with the name of one.
func NewReporter(w io.Writer, plans []plan.Plan, several bool, o Options, bars bool) *Reporter {
	r := &Reporter{o: o, several: several, w: w, bar: map[string]*mpb.Bar{}}
	if !bars || len(plans) == 0 {
		return r
	}
	r.bars = mpb.New(mpb.WithOutput(w), mpb.WithWidth(40), mpb.WithAutoRefresh())
	for _, p := range plans {
		r.bar[p.Target.Name] = r.bars.AddBar(int64(len(p.Pending())), mpb.BarRemoveOnComplete(),
			mpb.PrependDecorators(decor.Name(clean(p.Target.Name)+" ")), mpb.AppendDecorators(decor.CountersNoUnit(" %d / %d")))
	}
	return r
}

// Report tells of one repository of a registry.
func (r *Reporter) Report(target string, x deploy.RepositoryResult) {
	prefix := ""
	if r.several {
		prefix = clean(target) + ": "
	}
	var lines bytes.Buffer
	err := progressOf(&lines, prefix, x, r.o)
	r.mu.Lock()
	defer r.mu.Unlock()
	w := r.w
	if r.bars != nil {
		w = r.bars // above the bars
	}
	if lines.Len() > 0 {
		_, werr := w.Write(lines.Bytes())
		err = errors.Join(err, werr)
	}
	r.err = errors.Join(r.err, err)
	if b := r.bar[target]; b != nil {
		b.Increment()
	}
}

// Close takes the bars away and returns the first error of writing.
func (r *Reporter) Close() error {
	for _, b := range r.bar {
		b.Abort(true)
	}
	if r.bars != nil {
		r.bars.Wait()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

// Reading shows how far reading registries has come: a bar for each, which goes
// when it is read. It is safe for concurrent use.
type Reading struct {
	bars *mpb.Progress
	bar  map[string]*mpb.Bar // by registry; not changed after NewReading
}

// NewReading shows bars at w, a terminal that moves its cursor; nil for none.
func NewReading(w io.Writer, registries []string) *Reading {
	r := &Reading{bar: map[string]*mpb.Bar{}}
	if w == nil || len(registries) == 0 {
		return r
	}
	r.bars = mpb.New(mpb.WithOutput(w), mpb.WithWidth(40), mpb.WithAutoRefresh())
	for _, name := range registries {
		r.bar[name] = r.bars.AddBar(0, mpb.BarRemoveOnComplete(),
			mpb.PrependDecorators(decor.Name("reading "+clean(name)+" ")), mpb.AppendDecorators(decor.CountersNoUnit(" %d / %d")))
	}
	return r
}

// Read says that read of known repositories of a registry have been read.
func (r *Reading) Read(registry string, read, known int) {
	if b := r.bar[registry]; b != nil {
		b.SetTotal(int64(known), false)
		b.SetCurrent(int64(read))
	}
}

// Close takes the bars away.
func (r *Reading) Close() {
	for _, b := range r.bar {
		b.Abort(true)
	}
	if r.bars != nil {
		r.bars.Wait()
	}
}

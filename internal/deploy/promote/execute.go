package promote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/manifest"
	"github.com/kontor-registry/kontor/internal/remote"
)

// Outcome is how an image of a plan came out.
type Outcome string

// The outcomes.
const (
	// OutcomeDone: the image is there, with all that belongs to it.
	OutcomeDone Outcome = "done"
	// OutcomeThere: it was there already.
	OutcomeThere Outcome = "there"
	// OutcomeRefused: the plan refused it; nothing was done.
	OutcomeRefused Outcome = "refused"
	// OutcomeMoved: source or target are not as the plan saw them; nothing was
	// done.
	OutcomeMoved Outcome = "moved"
	// OutcomeFailed: something went wrong. The tag was not set, unless the error
	// says so; another promotion goes on from here.
	OutcomeFailed Outcome = "failed"
	// OutcomeSkipped: the run ended before it came to the image.
	OutcomeSkipped Outcome = "skipped"
)

// Result is what became of a plan. The field names of its JSON form are
// published.
type Result struct {
	Images []ImageResult `json:"images"`
}

// ImageResult is what became of an image.
type ImageResult struct {
	Route   string     `json:"route,omitempty"`
	From    Ref        `json:"from"`
	To      Ref        `json:"to"`
	Digest  ecr.Digest `json:"digest,omitempty"`
	Outcome Outcome    `json:"outcome"`
	// Error says why it is not there, in one line.
	Error string `json:"error,omitempty"`
	// Created: the repository was made.
	Created bool `json:"created,omitempty"`
	// Manifests were written, Blobs and Bytes sent or mounted.
	Manifests int   `json:"manifests"`
	Blobs     Blobs `json:"blobs"`
	Bytes     Bytes `json:"bytes"`
	// Record is the digest of the record; "" for none.
	Record ecr.Digest `json:"record,omitempty"`
}

// Blobs counts blobs by how they came.
type Blobs struct {
	Moved   int `json:"moved"`
	Mounted int `json:"mounted"`
	There   int `json:"there"`
}

// OK reports whether every image is there.
func (r Result) OK() bool {
	return !slices.ContainsFunc(r.Images, func(i ImageResult) bool { return i.Outcome != OutcomeDone && i.Outcome != OutcomeThere })
}

// Err is the error for images that are not there; nil when all are.
func (r Result) Err() error {
	if n := len(r.Images) - r.Count(OutcomeDone) - r.Count(OutcomeThere); n > 0 {
		return fmt.Errorf("%s not promoted", count(n, "image"))
	}
	return nil
}

// Count counts the images of an outcome.
func (r Result) Count(o Outcome) int {
	n := 0
	for _, i := range r.Images {
		if i.Outcome == o {
			n++
		}
	}
	return n
}

// ExecuteOptions say how a plan is carried out.
type ExecuteOptions struct {
	// Whole carries the plan out only if none of its images has moved and none
	// is refused: it was approved as a whole.
	Whole bool
}

// errMoved is for what is not as the plan saw it.
var errMoved = errors.New("it moved since the plan was made")

// Execute carries out a plan: that, and no more. An image that fails, or that
// moved since the plan was made, does not hold up the others; the Result says
// what came of each. The error is for a plan that may not be carried out at all,
// nothing being changed then, and for ctx.
func (p *Promoter) Execute(ctx context.Context, pl Plan, o ExecuteOptions) (Result, error) {
	out := Result{Images: make([]ImageResult, len(pl.Images))}
	for n, i := range pl.Images {
		if err := i.check(); err != nil {
			return Result{}, fmt.Errorf("the plan is wrong: images[%d]: %w: nothing was done", n, err)
		}
		out.Images[n] = ImageResult{Route: i.Route, From: i.From, To: i.To, Digest: i.Digest, Outcome: map[Status]Outcome{
			StatusThere: OutcomeThere, StatusRefused: OutcomeRefused, StatusPending: OutcomeSkipped,
		}[i.Status], Error: i.Refusal()}
	}
	if o.Whole {
		if err := p.checkWhole(ctx, pl); err != nil {
			return Result{}, err
		}
	}
	e := newExecution(p, pl)
	e.again = o.Whole
	var g errgroup.Group
	g.SetLimit(p.cfg.Images)
	for n, i := range pl.Images {
		if i.Status != StatusPending {
			continue
		}
		g.Go(func() error {
			defer e.claims[n].end(false)
			if ctx.Err() != nil {
				return nil
			}
			r := &out.Images[n]
			x := &transfer{execution: e, n: n, image: i, result: r}
			err := x.run(ctx)
			switch {
			case err == nil && x.there:
				r.Outcome = OutcomeThere
			case err == nil:
				r.Outcome = OutcomeDone
			case errors.Is(err, errMoved):
				r.Outcome, r.Error = OutcomeMoved, err.Error()
			default:
				r.Outcome, r.Error = OutcomeFailed, err.Error()
			}
			p.progress(Progress{Image: n, Result: r})
			return nil
		})
	}
	_ = g.Wait() // its functions return no errors
	return out, context.Cause(ctx)
}

func (p *Promoter) progress(x Progress) {
	if p.cfg.Progress != nil {
		p.cfg.Progress(x)
	}
}

// checkWhole refuses a plan of which an image is refused or has moved.
func (p *Promoter) checkWhole(ctx context.Context, pl Plan) error {
	moved := make([]error, len(pl.Images))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(requests)
	for n, i := range pl.Images {
		switch i.Status {
		case StatusRefused:
			moved[n] = errors.New(i.Refusal())
		case StatusPending:
			g.Go(func() error {
				x := &transfer{execution: &execution{Promoter: p}, image: i}
				moved[n] = x.checkMoved(gctx)
				return nil
			})
		case StatusThere:
		}
	}
	_ = g.Wait() // its functions return no errors
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err := errors.Join(moved...); err != nil {
		return fmt.Errorf("the plan cannot be executed, and nothing was done: plan again: %w", err)
	}
	return nil
}

// execution is a run of Execute.
type execution struct {
	*Promoter
	// again: the plan is from a file, and may have been carried out before, or a
	// part of it.
	again bool
	// blobs bounds what is on its way, by host of the target.
	blobs map[string]chan struct{}
	// claims are by image. Of images that need the same blob, the first of the
	// plan brings it, to the repository and to the registry, and the others wait
	// for it: always for one before them, so that none waits for itself.
	claims  []*claim
	inRepo  map[blobPlace]int
	inHost  map[blobHost]int
	mu      sync.Mutex
	mounted map[string]int      // by host, times that mounting worked; guarded by mu
	failed  map[string]int      // by host, times that it did not; guarded by mu
	made    map[place]*creation // repositories; guarded by mu
}

// creation makes a repository once, for all images that go there.
type creation struct {
	once sync.Once
	err  error
}

type blobPlace struct {
	at     place
	digest ecr.Digest
}

type blobHost struct {
	host   string
	digest ecr.Digest
}

// claim is what one image brings.
type claim struct {
	repository ecr.RepositoryName
	// blobs are closed when the blob has come, or the image has ended without.
	blobs map[ecr.Digest]*arrival
	// written is closed when the image's manifests are there.
	written *arrival
}

// arrival is something that others wait for.
type arrival struct {
	once sync.Once
	done chan struct{}
	ok   bool // that it came; to be read after done
}

func newArrival() *arrival { return &arrival{done: make(chan struct{})} }

func (a *arrival) end(ok bool) {
	a.once.Do(func() {
		a.ok = ok
		close(a.done)
	})
}

// wait waits for the arrival, and reports whether it came.
func (a *arrival) wait(ctx context.Context) bool {
	select {
	case <-a.done:
		return a.ok
	case <-ctx.Done():
		return false
	}
}

// end tells all who wait.
func (c *claim) end(ok bool) {
	for _, b := range c.blobs {
		b.end(ok)
	}
	c.written.end(ok)
}

func newExecution(p *Promoter, pl Plan) *execution {
	e := &execution{
		Promoter: p, blobs: map[string]chan struct{}{}, claims: make([]*claim, len(pl.Images)),
		inRepo: map[blobPlace]int{}, inHost: map[blobHost]int{}, mounted: map[string]int{}, failed: map[string]int{}, made: map[place]*creation{},
	}
	for n, i := range pl.Images {
		c := &claim{repository: i.To.Repository, blobs: map[ecr.Digest]*arrival{}, written: newArrival()}
		e.claims[n] = c
		if i.Status != StatusPending {
			continue
		}
		for _, b := range i.Blobs {
			c.blobs[b.Digest] = newArrival()
			at := blobPlace{place{i.To.Registry, i.To.Repository}, b.Digest}
			if _, ok := e.inRepo[at]; !ok {
				e.inRepo[at] = n
			}
			if _, ok := e.inHost[blobHost{i.To.Registry, b.Digest}]; !ok {
				e.inHost[blobHost{i.To.Registry, b.Digest}] = n
			}
		}
	}
	return e
}

// slot waits for leave to send a blob to a host, and returns what gives it back.
func (e *execution) slot(ctx context.Context, host string) (release func(), err error) {
	e.mu.Lock()
	limit, ok := e.blobs[host]
	if !ok {
		limit = make(chan struct{}, e.cfg.Blobs)
		e.blobs[host] = limit
	}
	e.mu.Unlock()
	select {
	case limit <- struct{}{}:
		return func() { <-limit }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// mounts reports whether it makes sense to wait until a blob can be mounted at
// the host: not where that failed from the beginning.
func (e *execution) mounts(host string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.mounted[host] > 0 || e.failed[host] < 2
}

func (e *execution) tried(host string, mounted bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if mounted {
		e.mounted[host]++
	} else {
		e.failed[host]++
	}
}

// transfer carries out one image.
type transfer struct {
	*execution
	n        int
	image    Image
	from, to *repository
	result   *ImageResult
	set      bool // the tag is the image already
	there    bool // and so is everything else

	mu sync.Mutex // guards result while blobs are on their way
	// bytes are those on their way; guarded by mu.
	bytes int64
}

func (x *transfer) run(ctx context.Context) error {
	if err := x.checkMoved(ctx); err != nil {
		return err
	}
	if x.again {
		if err := x.lookAgain(ctx); err != nil || x.there {
			return err
		}
	}
	for _, step := range []func(context.Context) error{
		x.create, x.moveBlobs, x.writeManifests, x.writeSignatures, x.writeLists, x.writeRecord, x.writeTag, x.verify,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// checkMoved compares both tags with what the plan saw.
func (x *transfer) checkMoved(ctx context.Context) (err error) {
	if x.from, err = x.repository(ctx, x.image.From.Registry, x.image.From.Repository); err != nil {
		return err
	}
	if x.to, err = x.repository(ctx, x.image.To.Registry, x.image.To.Repository); err != nil {
		return err
	}
	d, err := x.from.remote.Resolve(ctx, x.image.From.reference())
	switch {
	case ecr.CodeOf(err) == ecr.CodeImageNotFound:
		return fmt.Errorf("%s: %w: it is gone", x.image.From, errMoved)
	case err != nil:
		return err
	case d.Digest != x.image.FromDigest:
		return fmt.Errorf("%s: %w: it is %s now, and was %s", x.image.From, errMoved, d.Digest, x.image.FromDigest)
	}
	return x.checkTag(ctx)
}

// checkTag compares the target's tag with what the plan saw.
func (x *transfer) checkTag(ctx context.Context) error {
	d, err := x.to.remote.Resolve(ctx, string(x.image.To.Tag))
	switch code := ecr.CodeOf(err); {
	case code == ecr.CodeRepositoryNotFound, code == ecr.CodeImageNotFound:
		d.Digest = ""
	case err != nil:
		return err
	}
	// A run of this plan that was interrupted may have set it.
	x.set = d.Digest == x.image.Digest
	if d.Digest != x.image.ToDigest && d.Digest != x.image.Digest {
		if d.Digest == "" {
			return fmt.Errorf("%s: %w: it was %s, and is gone", x.image.To, errMoved, x.image.ToDigest)
		}
		return fmt.Errorf("%s: %w: it is %s now", x.image.To, errMoved, d.Digest)
	}
	return nil
}

// lookAgain finds what came since the plan was made, so that it is not sent a
// second time.
func (x *transfer) lookAgain(ctx context.Context) error {
	i := &x.image
	i.Manifests, i.Blobs, i.Signatures = slices.Clone(i.Manifests), slices.Clone(i.Blobs), slices.Clone(i.Signatures)
	g, gctx := group(ctx)
	find := func(there *bool, d ecr.Digest, reference string) {
		if !*there {
			g.Go(func() error {
				got, ok, err := x.to.find(gctx, reference)
				*there = ok && got.Digest == d
				return err
			})
		}
	}
	for n := range i.Manifests {
		m := &i.Manifests[n]
		find(&m.There, m.Digest, string(m.Digest))
	}
	for n := range i.Signatures {
		s := &i.Signatures[n]
		find(&s.There, s.Digest, string(s.Tag))
	}
	for n := range i.Blobs {
		if b := &i.Blobs[n]; !b.There {
			g.Go(func() (err error) {
				b.There, err = x.to.remote.Exists(gctx, b.Digest)
				return err
			})
		}
	}
	if err := g.Wait(); err != nil {
		return err
	}
	missing := slices.ContainsFunc(i.Manifests, func(m Manifest) bool { return !m.There }) ||
		slices.ContainsFunc(i.Signatures, func(s Signature) bool { return !s.There })
	x.there = x.set && !missing && len(i.Lists) == 0
	return nil
}

// create makes the repository.
func (x *transfer) create(ctx context.Context) error {
	if !x.image.Create {
		return nil
	}
	at := place{x.image.To.Registry, x.image.To.Repository}
	x.execution.mu.Lock()
	c, ok := x.made[at]
	if !ok {
		c = &creation{}
		x.made[at] = c
	}
	x.execution.mu.Unlock()
	c.once.Do(func() {
		if c.err = x.makeRepository(ctx); c.err == nil {
			x.result.Created = true
		}
	})
	return c.err
}

// ECR may answer for some seconds that a repository does not exist that was made
// just now.
const (
	settleTries = 6
	settleWait  = 200 * time.Millisecond // doubled each time: 6.2 s in all
)

func (x *transfer) makeRepository(ctx context.Context) error {
	creator := x.to.registry.Creator
	if creator == nil {
		return fmt.Errorf("registry %s: there is nothing to make the repository %s with", x.to.registry.Name, x.to.name)
	}
	if err := creator.Create(ctx, x.to.name); err != nil {
		return err
	}
	wait := settleWait
	for try := 1; ; try++ {
		_, err := x.to.remote.Resolve(ctx, string(x.image.To.Tag))
		switch ecr.CodeOf(err) {
		case "", ecr.CodeImageNotFound:
			return nil
		case ecr.CodeRepositoryNotFound:
		default:
			return err
		}
		if try == settleTries {
			return err
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		wait *= 2
	}
}

// moveBlobs brings the blobs that are not there.
func (x *transfer) moveBlobs(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	var total int64
	for _, b := range x.image.Blobs {
		if !b.There {
			total += b.Size
		}
	}
	for _, b := range x.image.Blobs {
		arrival := x.claims[x.n].blobs[b.Digest]
		if b.There {
			arrival.end(true)
			x.count(func(r *ImageResult) { r.Blobs.There++; r.Bytes.There += b.Size })
			continue
		}
		g.Go(func() error {
			err := x.moveBlob(ctx, b, total)
			arrival.end(err == nil)
			return err
		})
	}
	return g.Wait()
}

func (x *transfer) count(change func(*ImageResult)) {
	x.mu.Lock()
	defer x.mu.Unlock()
	change(x.result)
}

// sent counts bytes on their way.
func (x *transfer) sent(n, total int64) {
	x.mu.Lock()
	x.bytes += n
	now := x.bytes
	x.mu.Unlock()
	x.progress(Progress{Image: x.n, Bytes: now, Total: total})
}

// moveBlob brings one blob: another image has brought it, it is mounted, or it is
// sent.
func (x *transfer) moveBlob(ctx context.Context, b Blob, total int64) error {
	there := func(mounted bool) {
		x.sent(b.Size, total)
		x.count(func(r *ImageResult) {
			if mounted {
				r.Blobs.Mounted++
				r.Bytes.Mount += b.Size
			} else {
				r.Blobs.There++
				r.Bytes.There += b.Size
			}
		})
	}
	at := blobPlace{place{x.image.To.Registry, x.image.To.Repository}, b.Digest}
	if first := x.inRepo[at]; first < x.n && x.claims[first].blobs[b.Digest].wait(ctx) {
		there(false)
		return nil
	}
	host := x.to.registry.Remote.Host()
	from := b.Mount
	if first := x.inHost[blobHost{x.image.To.Registry, b.Digest}]; from == "" && first < x.n && x.mounts(host) && x.claims[first].written.wait(ctx) {
		from = x.claims[first].repository
	}
	release, err := x.slot(ctx, host)
	if err != nil {
		return err
	}
	defer release()
	var session *remote.Upload
	if from != "" && from != x.to.name {
		var mounted bool
		if session, mounted, err = x.to.remote.Mount(ctx, b.Digest, from); err != nil {
			return err
		}
		if x.tried(host, mounted); mounted {
			there(true)
			return nil
		}
	}
	return x.send(ctx, b, session, func(n int64) { x.sent(n, total) })
}

// send sends a blob from one registry to the other.
func (x *transfer) send(ctx context.Context, b Blob, session *remote.Upload, sent func(int64)) error {
	content := remote.Blob{Digest: b.Digest, Size: b.Size}
	err := x.to.remote.PutBlob(ctx, content, session, func(ctx context.Context) (io.ReadCloser, error) {
		return x.from.remote.OpenBlob(ctx, content, 0)
	}, sent)
	if err != nil {
		return err
	}
	x.count(func(r *ImageResult) { r.Blobs.Moved++; r.Bytes.Move += b.Size })
	return nil
}

// writeManifests writes what is missing, stage by stage.
func (x *transfer) writeManifests(ctx context.Context) error {
	for rest := x.image.Manifests; len(rest) > 0; {
		n := slices.IndexFunc(rest, func(m Manifest) bool { return m.Stage != rest[0].Stage })
		if n < 0 {
			n = len(rest)
		}
		g, gctx := group(ctx)
		for _, m := range rest[:n] {
			if !m.There {
				g.Go(func() error { return x.writeManifest(gctx, m.Digest, string(m.Digest)) })
			}
		}
		if err := g.Wait(); err != nil {
			return err
		}
		rest = rest[n:]
	}
	x.claims[x.n].written.end(true)
	return nil
}

// source is a manifest as it is at the source.
func (x *transfer) source(ctx context.Context, d ecr.Digest) (remote.Manifest, error) {
	if d == x.image.Digest && x.image.Index != "" {
		return remote.Manifest{MediaType: x.image.MediaType, Digest: d, Body: []byte(x.image.Index)}, nil
	}
	return x.from.manifest(ctx, string(d))
}

func (x *transfer) writeManifest(ctx context.Context, d ecr.Digest, reference string) error {
	m, err := x.source(ctx, d)
	if err != nil {
		return err
	}
	if err = x.put(ctx, m, reference); ecr.CodeOf(err) != ecr.CodeLayersNotFound {
		return err
	}
	// What was there when the plan was made, or was sent by another image, is
	// gone: a registry collects what no image has.
	parsed, perr := manifest.ParseElsewhere(m.Body, m.MediaType)
	if perr != nil {
		return err
	}
	for _, b := range blobsOf(parsed) {
		there, err := x.to.remote.Exists(ctx, b.Digest)
		if err == nil && !there {
			err = x.send(ctx, b, nil, func(int64) {})
		}
		if err != nil {
			return err
		}
	}
	return x.put(ctx, m, reference)
}

// put writes a manifest to the target.
func (x *transfer) put(ctx context.Context, m remote.Manifest, reference string) error {
	if err := x.to.remote.PutManifest(ctx, m, reference); err != nil {
		return err
	}
	x.count(func(r *ImageResult) { r.Manifests++ })
	return nil
}

// writeSignatures writes what cosign keeps under tags.
func (x *transfer) writeSignatures(ctx context.Context) error {
	for _, s := range x.image.Signatures {
		if s.There {
			continue
		}
		if err := x.writeManifest(ctx, s.Digest, string(s.Tag)); err != nil {
			return err
		}
	}
	return nil
}

// writeLists writes lists of referrers under tags: those that are there, and
// those that came. Source: OCI distribution specification, "Pushing Manifests
// with Subject".
func (x *transfer) writeLists(ctx context.Context) error {
	for _, subject := range x.image.Lists {
		list, doubt, err := x.to.listedReferrers(ctx, subject)
		if err != nil {
			return err
		}
		if doubt != "" {
			return fmt.Errorf("%s: %s", x.image.To, doubt)
		}
		changed := false
		for _, m := range x.image.Manifests {
			if m.Of != subject || m.Kind != KindReferrer || slices.ContainsFunc(list, func(d remote.Descriptor) bool { return d.Digest == m.Digest }) {
				continue
			}
			d, err := x.describe(ctx, m.Digest)
			if err != nil {
				return err
			}
			list, changed = append(list, d), true
		}
		if !changed {
			continue
		}
		index, err := indexOf(list)
		if err != nil {
			return err
		}
		if err := x.put(ctx, index, string(tagOf(subject, ""))); err != nil {
			return err
		}
	}
	return nil
}

// describe is a referrer as lists have it.
func (x *transfer) describe(ctx context.Context, d ecr.Digest) (remote.Descriptor, error) {
	m, err := x.source(ctx, d)
	if err != nil {
		return remote.Descriptor{}, err
	}
	parsed, err := manifest.ParseElsewhere(m.Body, m.MediaType)
	return remote.Descriptor{MediaType: m.MediaType, Digest: d, Size: int64(len(m.Body)), ArtifactType: parsed.ArtifactType, Annotations: parsed.Annotations}, err
}

// writeTag sets the tag, unless somebody else has set it meanwhile.
func (x *transfer) writeTag(ctx context.Context) error {
	if x.image.ToDigest == x.image.Digest {
		return nil
	}
	if err := x.checkTag(ctx); err != nil {
		return err
	}
	return x.writeManifest(ctx, x.image.Digest, string(x.image.To.Tag))
}

// verify looks whether the target has what it should.
func (x *transfer) verify(ctx context.Context) error {
	m, err := x.to.remote.Manifest(ctx, string(x.image.To.Tag))
	if err != nil {
		return fmt.Errorf("looking at what was promoted: %w", err)
	}
	if m.Digest != x.image.Digest {
		return fmt.Errorf("%s is %s, not %s: the tag was moved", x.image.To, m.Digest, x.image.Digest)
	}
	var wanted []ecr.Digest
	for _, m := range x.image.Manifests {
		if m.Kind == KindReferrer && m.Of == x.image.Digest {
			wanted = append(wanted, m.Digest)
		}
	}
	if len(wanted) == 0 {
		return nil
	}
	list, ok, err := x.to.remote.Referrers(ctx, x.image.Digest)
	if err == nil && !ok {
		list, _, err = x.to.listedReferrers(ctx, x.image.Digest)
	}
	if err != nil {
		return fmt.Errorf("looking at what was promoted: %w", err)
	}
	for _, d := range wanted {
		if !slices.ContainsFunc(list, func(r remote.Descriptor) bool { return r.Digest == d }) {
			return fmt.Errorf("%s is promoted, but registry %s does not list %s among what refers to it", x.image.To, x.to.registry.Name, d)
		}
	}
	return nil
}

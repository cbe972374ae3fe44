package promote

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/kontor-registry/kontor/internal/deploy/promote/platforms"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/manifest"
	"github.com/kontor-registry/kontor/internal/remote"
)

// Kind says what a manifest is to the image that is promoted.
type Kind string

// The kinds. An attestation is what buildx keeps in the index next to an image; a
// signature is what cosign keeps under a tag, SBOMs and attestations among it.
const (
	KindImage       Kind = "image"
	KindIndex       Kind = "index"
	KindAttestation Kind = "attestation"
	KindReferrer    Kind = "referrer"
	KindSignature   Kind = "signature"
)

// maxGraph bounds the manifests of one image.
const maxGraph = 10_000

// graph is an image and all that belongs to it, as its repository has it.
type graph struct {
	root *vertex
	// all are the manifests, those before others that the others need. The
	// manifests of tags are not among them.
	all []*vertex
	// tags are what cosign keeps under tags.
	tags []*vertex
	// doubts are what was left out, in sentences.
	doubts []string
}

// vertex is a manifest.
type vertex struct {
	remote.Descriptor
	kind     Kind
	platform string  // of an image in an index
	of       *vertex // that an attestation, a referrer or a signature is about
	tag      ecr.Tag // of a signature
	// stage orders the writes: a manifest goes after those of smaller stages.
	stage    int
	children []*vertex
	about    []*vertex // referrers
	// body is nil while it was not read.
	body   []byte
	parsed manifest.Manifest
}

// walker reads a graph.
type walker struct {
	from *repository
	g    *errgroup.Group
	ctx  context.Context // of g

	mu     sync.Mutex
	seen   map[ecr.Digest]*vertex // guarded by mu
	tags   []*vertex              // guarded by mu
	doubts []string               // guarded by mu
}

// errSparse is an index of which a child is not there.
var errSparse = errors.New("the index lists what is not there")

// walk reads everything that belongs to the manifest d of from. chosen, if it is
// not nil, stands in place of d's own manifest and is not in the repository. The
// errors are the client's, or errSparse.
func walk(ctx context.Context, from *repository, d remote.Descriptor, chosen []byte) (*graph, error) {
	w := &walker{from: from, seen: map[ecr.Digest]*vertex{}}
	// Not one of limited size: expand starts more of itself.
	w.g, w.ctx = errgroup.WithContext(ctx)
	root := &vertex{Descriptor: d, kind: KindImage, body: chosen}
	w.seen[d.Digest] = root
	limit := make(chan struct{}, requests)
	w.expand(root, limit)
	if err := w.g.Wait(); err != nil {
		return nil, err
	}
	for _, v := range w.seen {
		if v.kind == KindAttestation {
			v.of = w.seen[ecr.Digest(v.Annotations[platforms.AttestationOf])]
		}
	}
	g := &graph{root: root, tags: w.tags, doubts: w.doubts}
	slices.Sort(g.doubts)
	slices.SortFunc(g.tags, func(a, b *vertex) int { return strings.Compare(string(a.tag), string(b.tag)) })
	g.arrange()
	return g, nil
}

// expand looks at v's children and at what refers to it, concurrently.
func (w *walker) expand(v *vertex, limit chan struct{}) {
	do := func(f func() error) {
		w.g.Go(func() error {
			select {
			case limit <- struct{}{}:
				defer func() { <-limit }()
				return f()
			case <-w.ctx.Done():
				return context.Cause(w.ctx)
			}
		})
	}
	signature := v.kind == KindSignature // descend may write it
	if signature || isIndex(v.MediaType) || v.body != nil {
		do(func() error { return w.descend(v, limit) })
	}
	if signature {
		return // what cosign keeps is not signed itself
	}
	do(func() error { return w.findReferrers(v, limit) })
	do(func() error { return w.findSignatures(v, limit) })
}

func isIndex(mediaType string) bool {
	return mediaType == manifest.MediaTypeOCIIndex || mediaType == manifest.MediaTypeDockerList
}

// add makes a vertex, unless the manifest has one already.
func (w *walker) add(d remote.Descriptor, kind Kind, of *vertex) (v *vertex, added bool, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if v, ok := w.seen[d.Digest]; ok {
		return v, false, nil
	}
	if len(w.seen) >= maxGraph {
		return nil, false, fmt.Errorf("more than %d manifests belong to it", maxGraph)
	}
	v = &vertex{Descriptor: d, kind: kind, of: of}
	w.seen[d.Digest] = v
	return v, true, nil
}

func (w *walker) doubt(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.doubts = append(w.doubts, fmt.Sprintf(format, args...))
}

// descend reads v and, if it is an index, looks at its children.
func (w *walker) descend(v *vertex, limit chan struct{}) error {
	if err := v.loadChild(w.ctx, w.from); err != nil {
		return err
	}
	if v.parsed.Kind != manifest.Index {
		return nil
	}
	if v.kind == KindImage {
		v.kind = KindIndex
	}
	described, err := listed(remote.Manifest{MediaType: v.MediaType, Body: v.body})
	if err != nil {
		return err
	}
	for i, d := range described {
		if !manifest.IsManifest(d.MediaType) {
			continue // a blob of the index, see blobsOf
		}
		kind := KindImage
		if v.kind == KindReferrer {
			kind = KindReferrer
		} else if d.Annotations[platforms.AttestationType] == platforms.AttestationManifest {
			kind = KindAttestation
		}
		child, added, err := w.add(d, kind, nil)
		if err != nil {
			return err
		}
		if added {
			child.platform = platforms.Of(v.parsed.Children[i].Platform)
			w.expand(child, limit)
		}
		v.children = append(v.children, child)
	}
	return nil
}

// load reads v's manifest.
func (v *vertex) load(ctx context.Context, from *repository) error {
	if v.parsed.MediaType != "" {
		return nil
	}
	if v.body == nil {
		m, err := from.manifest(ctx, string(v.Digest))
		if err != nil {
			return err
		}
		v.body, v.MediaType, v.Size = m.Body, m.MediaType, int64(len(m.Body))
	}
	parsed, err := manifest.ParseElsewhere(v.body, v.MediaType)
	if err != nil {
		return fmt.Errorf("%s: %w", v.Digest, err)
	}
	v.parsed = parsed
	return nil
}

// findReferrers looks at what refers to v.
func (w *walker) findReferrers(v *vertex, limit chan struct{}) error {
	list, candidates, doubt, err := w.from.referrers(w.ctx, v.Digest)
	if err != nil {
		return err
	}
	if doubt != "" {
		w.doubt("%s", doubt)
	}
	for _, d := range list {
		if candidates && !w.refers(d, v) {
			continue
		}
		r, added, err := w.add(d, KindReferrer, v)
		if err != nil {
			return err
		}
		if added {
			v.about = append(v.about, r)
			w.expand(r, limit)
		}
	}
	return nil
}

// refers reports whether the candidate d, from a list under a tag, is there and
// says itself that it refers to v.
func (w *walker) refers(d remote.Descriptor, v *vertex) bool {
	m, err := w.from.manifest(w.ctx, string(d.Digest))
	if err == nil {
		var parsed manifest.Manifest
		parsed, err = manifest.ParseElsewhere(m.Body, m.MediaType)
		if err == nil && (parsed.Subject == nil || parsed.Subject.Digest != v.Digest) {
			err = errors.New("it refers to something else")
		}
	}
	if err != nil && w.ctx.Err() == nil {
		w.doubt("%s, which the tag %s lists, is left out: %v", short(d.Digest), tagOf(v.Digest, ""), err)
	}
	return err == nil
}

// findSignatures looks at what cosign keeps under tags.
func (w *walker) findSignatures(v *vertex, limit chan struct{}) error {
	tags, err := w.from.listTags(w.ctx, false)
	if err != nil {
		return err
	}
	for _, suffix := range cosignSuffixes {
		tag := tagOf(v.Digest, suffix)
		if tags != nil && !tags[tag] {
			continue
		}
		d, ok, err := w.from.resolve(w.ctx, string(tag))
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		s := &vertex{Descriptor: d, kind: KindSignature, of: v, tag: tag}
		w.mu.Lock()
		w.tags = append(w.tags, s)
		w.mu.Unlock()
		w.expand(s, limit)
	}
	return nil
}

// arrange puts the manifests in the order in which they can be written: children
// before their index, the image before what refers to it or to its parts.
func (g *graph) arrange() {
	placed := map[*vertex]bool{}
	var place func(v *vertex, base int) int
	place = func(v *vertex, base int) int {
		if placed[v] {
			return v.stage
		}
		placed[v] = true
		v.stage = base
		for _, c := range v.children {
			v.stage = max(v.stage, place(c, base)+1)
		}
		g.all = append(g.all, v)
		return v.stage
	}
	top := place(g.root, 0)
	for _, t := range g.tags {
		for _, c := range t.children {
			top = max(top, place(c, 0))
		}
	}
	for i := 0; i < len(g.all); i++ {
		for _, r := range g.all[i].about {
			place(r, max(top, g.all[i].stage)+1)
		}
	}
	slices.SortStableFunc(g.all, func(a, b *vertex) int { return a.stage - b.stage })
}

// platforms are those of the images in the index, in its order; of an image that
// is in none, there are none.
func (g *graph) platforms() []string {
	var out []string
	for _, v := range g.all {
		if v.kind == KindImage && v.platform != "" {
			out = append(out, v.platform)
		}
	}
	return out
}

// loadChild is load; one that is not there is errSparse.
func (v *vertex) loadChild(ctx context.Context, from *repository) error {
	err := v.load(ctx, from)
	if ecr.CodeOf(err) == ecr.CodeImageNotFound {
		what := string(v.kind)
		if v.platform != "" {
			what += " for " + v.platform
		}
		return fmt.Errorf("%w: the %s, %s", errSparse, what, v.Digest)
	}
	return err
}

// loadAll reads those manifests that were not read yet.
func loadAll(ctx context.Context, from *repository, vertices []*vertex) error {
	g, ctx := group(ctx)
	for _, v := range vertices {
		g.Go(func() error { return v.loadChild(ctx, from) })
	}
	return g.Wait()
}

// imagePlatform is the platform of an image that is in no index, as its config
// says; none for an artifact.
func imagePlatform(ctx context.Context, r *repository, d ecr.Digest) ([]string, error) {
	m, err := r.manifest(ctx, string(d))
	if err != nil {
		return nil, err
	}
	parsed, err := manifest.ParseElsewhere(m.Body, m.MediaType)
	if err != nil || parsed.Config == nil || parsed.Config.Size > maxConfig {
		return nil, err
	}
	text, err := r.blob(ctx, Blob{Digest: parsed.Config.Digest, Size: parsed.Config.Size})
	if err != nil {
		return nil, err
	}
	var config manifest.Platform
	if json.Unmarshal(text, &config) != nil || config.OS == "" {
		return nil, nil
	}
	return []string{platforms.Of(&config)}, nil
}

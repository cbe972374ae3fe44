package promote

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/kontor-registry/kontor/internal/deploy/plan"
	"github.com/kontor-registry/kontor/internal/deploy/promote/platforms"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/manifest"
	"github.com/kontor-registry/kontor/internal/remote"
)

// Plan says what promoting the images would do. Nothing is changed, and nothing
// sent but requests to read. An image that cannot be promoted is refused in the
// plan; the error is for requests that are malformed, for a registry that cannot
// be opened, and for ctx.
func (p *Promoter) Plan(ctx context.Context, list []Request) (Plan, error) {
	out := Plan{Version: Version, Made: p.cfg.Now().UTC(), Images: make([]Image, len(list))}
	for _, r := range list {
		if err := errors.Join(r.From.check(), r.To.check()); err != nil {
			return Plan{}, err
		}
		if r.To.Tag == "" {
			return Plan{}, fmt.Errorf("%s: want a tag to promote to", r.To)
		}
	}
	var names []string
	for _, r := range list {
		names = append(names, r.From.Registry, r.To.Registry)
	}
	p.openAll(ctx, names)
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(p.cfg.Images)
	for n, r := range list {
		g.Go(func() error {
			image, err := p.plan(gctx, r)
			out.Images[n] = image
			return err
		})
	}
	return out, g.Wait()
}

// planner plans one image.
type planner struct {
	*Promoter
	request  Request
	from, to *repository
	image    Image
	graph    *graph
	chosen   platforms.Chosen
	missing  int // manifests and signatures that the target does not have
}

// plan plans one image. The error is for what is not the image's matter.
func (p *Promoter) plan(ctx context.Context, r Request) (Image, error) {
	from, err := p.repository(ctx, r.From.Registry, r.From.Repository)
	if err != nil {
		return Image{}, err
	}
	to, err := p.repository(ctx, r.To.Registry, r.To.Repository)
	if err != nil {
		return Image{}, err
	}
	x := &planner{Promoter: p, request: r, from: from, to: to, image: Image{Route: r.Route, From: r.From, To: r.To, Status: StatusPending}}
	err = x.run(ctx)
	switch {
	case ctx.Err() != nil:
		return x.image, context.Cause(ctx)
	case errors.Is(err, errSparse):
		x.image.find(CodeSparse, plan.Error, "%s: %v: push it again with all its images, or choose platforms", r.From, err)
	case err != nil:
		x.image.find(CodeUnreadable, plan.Error, "%s to %s: %v", r.From, r.To, err)
	}
	return x.image, nil
}

// steps are what planning goes through; it ends at the first that refuses the
// image, or finds it there.
func (x *planner) run(ctx context.Context) error {
	for _, step := range []func(context.Context) error{
		x.resolve, x.guard, x.unchanged, x.askRightsFirst, x.walk, x.compare, x.checkReferrers, x.settle, x.askRightsLast, x.checkGates, x.checkECR, x.expire,
	} {
		if err := step(ctx); err != nil || x.image.Status != StatusPending {
			return err
		}
	}
	return nil
}

// resolve settles which manifest is promoted.
func (x *planner) resolve(ctx context.Context) error {
	d, ok, err := x.from.resolve(ctx, x.request.From.reference())
	if err != nil {
		return err
	}
	if !ok {
		x.image.find(CodeUnreadable, plan.Error, "%s does not exist", x.request.From)
		return nil
	}
	x.chosen.Descriptor = d
	if len(x.request.Platforms) > 0 {
		err := x.choose(ctx)
		var why *platforms.Error
		if errors.As(err, &why) {
			x.image.find(CodePlatforms, plan.Error, "%s: %v", x.request.From, why)
			return nil
		}
		if err != nil {
			return err
		}
	}
	x.image.FromDigest, x.image.Digest, x.image.MediaType, x.image.Index = d.Digest, x.chosen.Digest, x.chosen.MediaType, string(x.chosen.Body)
	for _, a := range x.chosen.LeftOut {
		x.image.find(CodeLeftOut, plan.Info,
			"the attestation %s of buildx stays behind: it belongs to the platform by the index only: say --new-index to take it along", short(a))
	}
	if x.chosen.Body != nil {
		x.image.find(CodeNewIndex, plan.Warning,
			"the index of the chosen platforms is another image, %s: signatures and attestations of %s do not apply to it", short(x.chosen.Digest), short(d.Digest))
	}
	return nil
}

// choose takes the platforms that are asked for.
func (x *planner) choose(ctx context.Context) error {
	m, err := x.from.manifest(ctx, string(x.chosen.Digest))
	if err != nil {
		return err
	}
	wanted := x.request.Platforms
	if isIndex(m.MediaType) {
		x.chosen, err = platforms.Choose(m, wanted, x.request.NewIndex)
		return err
	}
	has, err := imagePlatform(ctx, x.from, m.Digest)
	if err != nil {
		return err
	}
	if lack := lacking(wanted, has); len(lack) == len(wanted) || len(lack) > 0 && x.request.NewIndex {
		return platforms.Errorf("the image has no platform %s: it is for %s", list(lack), cmp.Or(list(has), "none"))
	}
	return nil
}

// guard makes sure that the tag may be set, before anything else is looked at.
func (x *planner) guard(ctx context.Context) error {
	d, there, err := x.to.resolve(ctx, string(x.request.To.Tag))
	if ecr.CodeOf(err) == ecr.CodeRepositoryNotFound {
		return x.create()
	}
	if err != nil {
		return err
	}
	x.image.ToDigest = d.Digest
	if !there || d.Digest == x.image.Digest {
		return nil
	}
	immutable := false
	if api := x.to.registry.API; api != nil {
		m, ok, err := api.Mutability(ctx, x.to.name)
		if err != nil {
			return err
		}
		immutable = ok && m.IsImmutable(x.request.To.Tag)
	}
	taken := fmt.Sprintf("%s is %s already, and not %s", x.request.To, d.Digest, x.image.Digest)
	switch {
	case immutable:
		x.image.find(CodeTagTaken, plan.Error, "%s: the tag is immutable: promote to another tag", taken)
	case !x.request.Move:
		x.image.find(CodeTagTaken, plan.Error, "%s: promote to another tag, or say that the tag may move, with --move or in move: of the route", taken)
	}
	return nil
}

// create settles what becomes of a repository that does not exist.
func (x *planner) create() error {
	if c := x.to.registry.Creator; c != nil {
		if _, ok := c.Wanted(x.to.name); ok {
			x.image.Create = true
			return nil
		}
	}
	if _, ok := x.to.registry.Remote.ECR(); !ok && !x.to.registry.ECR {
		return nil // others make a repository with its first push
	}
	x.image.find(CodeNoRepository, plan.Error,
		"registry %s has no repository %s, and the file does not have it for that registry: add it to ecr_repositories, or create it", x.to.registry.Name, x.to.name)
	return nil
}

// unchanged finds out with few requests whether a tag that many are asked about
// has nothing to do. Where the ECR API tells all of both repositories, that is
// certain. Elsewhere the lists of what refers to the image itself are compared,
// and not those of its platforms: whoever wants to know promotes the tag by name.
func (x *planner) unchanged(ctx context.Context) error {
	if !x.request.quick || x.image.ToDigest != x.image.Digest {
		return nil
	}
	if from, to := x.from.known(), x.to.known(); from != nil && to != nil {
		if lacks(from, to) == "" {
			x.image.Status = StatusThere
		}
		return nil
	}
	digests := func(r *repository) (map[ecr.Digest]bool, error) {
		out := map[ecr.Digest]bool{}
		list, _, _, err := r.referrers(ctx, x.image.Digest)
		for _, d := range list {
			out[d.Digest] = true
		}
		return out, err
	}
	from, err := digests(x.from)
	if err != nil {
		return err
	}
	if len(from) > 0 {
		to, err := digests(x.to)
		if err != nil {
			return err
		}
		for d := range from {
			if !to[d] {
				return nil
			}
		}
	}
	for _, suffix := range cosignSuffixes {
		same, err := x.sameTag(ctx, tagOf(x.image.Digest, suffix))
		if err != nil || !same {
			return err
		}
	}
	x.image.Status = StatusThere
	return nil
}

// sameTag reports whether the target has what the source has under a tag.
func (x *planner) sameTag(ctx context.Context, tag ecr.Tag) (bool, error) {
	tags, err := x.from.listTags(ctx, false)
	if err != nil || tags != nil && !tags[tag] {
		return err == nil, err
	}
	from, ok, err := x.from.resolve(ctx, string(tag))
	if err != nil || !ok {
		return err == nil, err
	}
	to, _, err := x.to.resolve(ctx, string(tag))
	return err == nil && from.Digest == to.Digest, err
}

// lacks is something that belongs to an image of both repositories, and that to
// does not have; "" for nothing.
func lacks(from, to *inventory) string {
	for d, image := range from.byDigest {
		if _, both := to.byDigest[ecr.Digest(image.Subject)]; image.Subject != "" && both {
			if _, there := to.byDigest[d]; !there {
				return string(d)
			}
		}
	}
	for tag, d := range from.byTag {
		if _, both := to.byDigest[subjectOf(tag)]; both && strings.Contains(string(tag), ".") && isSignatureTag(tag) && to.byTag[tag] != d {
			return string(tag)
		}
	}
	return ""
}

// walk reads what belongs to the image.
func (x *planner) walk(ctx context.Context) (err error) {
	if x.graph, err = walk(ctx, x.from, x.chosen.Descriptor, x.chosen.Body); err != nil {
		return err
	}
	x.image.MediaType = x.graph.root.MediaType
	x.image.Platforms = x.graph.platforms()
	if len(x.image.Platforms) == 0 && len(x.request.Require.Platforms) > 0 {
		if x.image.Platforms, err = imagePlatform(ctx, x.from, x.image.Digest); err != nil {
			return err
		}
	}
	for _, d := range x.graph.doubts {
		x.image.find(CodeLeftOut, plan.Warning, "%s: %s", x.request.From, d)
	}
	return nil
}

// checkECR looks for what ECR refuses among the manifests that would be written.
// Sources: RM#2306 and werf#2558, as ECR's users saw it.
func (x *planner) checkECR(context.Context) error {
	if !x.to.registry.ECR {
		return nil
	}
	check := func(v *vertex) {
		if v.parsed.MediaType == "" {
			return // it is there
		}
		if _, err := manifest.Parse(v.body, v.MediaType); err != nil {
			x.image.find(CodeNotForECR, plan.Error, "registry %s refuses the %s %s: its artifactType %q has parameters", x.to.registry.Name, v.kind, v.Digest, v.parsed.ArtifactType)
		}
		if slices.ContainsFunc(v.parsed.Children, func(c manifest.Descriptor) bool { return !manifest.IsManifest(c.MediaType) }) {
			x.image.find(CodeNotForECR, plan.Warning, "registry %s refuses the index %s if it does as Amazon ECR: it lists blobs, not images; BuildKit's cache export takes image-manifest=true", x.to.registry.Name, v.Digest)
		}
		if v.parsed.Kind == manifest.Image && len(v.parsed.Layers) == 0 {
			x.image.find(CodeNotForECR, plan.Error, "registry %s refuses the %s %s: it has no layers", x.to.registry.Name, v.kind, v.Digest)
		}
	}
	for i, v := range x.graph.all {
		if !x.image.Manifests[i].There {
			check(v)
		}
	}
	for i, v := range x.graph.tags {
		if !x.image.Signatures[i].There {
			check(v)
		}
	}
	return nil
}

// checkReferrers makes sure that the target can tell what refers to an image.
func (x *planner) checkReferrers(ctx context.Context) error {
	about := map[ecr.Digest][]ecr.Digest{} // what refers to what
	missing := false
	for i, v := range x.graph.all {
		if v.kind == KindReferrer && v.of != nil {
			about[v.of.Digest] = append(about[v.of.Digest], v.Digest)
			missing = missing || !x.image.Manifests[i].There
		}
	}
	// A repository that is made is of a registry with the ECR API, which has this.
	if x.image.Create || !missing && !x.image.Record && !(x.request.ReferrersAsTags && len(about) > 0) {
		return nil
	}
	_, ok, err := x.to.remote.Referrers(ctx, x.image.Digest)
	switch {
	case ecr.CodeOf(err) == ecr.CodeRepositoryNotFound:
		return nil // it comes with the first push; the registry knows the call
	case err != nil || ok:
		return err
	case missing && !x.request.ReferrersAsTags:
		x.image.find(CodeNoReferrersAPI, plan.Error,
			"registry %s has no referrers API, and %s to %s: say --referrers tags to write lists of them under tags", x.to.registry.Name, refers(len(about)), x.request.From)
		return nil
	case x.image.Record:
		x.image.Record = false
		x.image.find(CodeNoReferrersAPI, plan.Warning, "registry %s has no referrers API: no record of the promotion is kept there", x.to.registry.Name)
	}
	if !x.request.ReferrersAsTags {
		return nil
	}
	for _, v := range x.graph.all {
		list, doubt, err := x.to.listedReferrers(ctx, v.Digest)
		if err != nil && ecr.CodeOf(err) != ecr.CodeRepositoryNotFound {
			return err
		}
		lacks := slices.ContainsFunc(about[v.Digest], func(d ecr.Digest) bool {
			return !slices.ContainsFunc(list, func(l remote.Descriptor) bool { return l.Digest == d })
		})
		switch {
		case doubt != "" && lacks:
			x.image.find(CodeNoReferrersAPI, plan.Error, "%s/%s: %s: take the tag away", x.to.registry.Name, x.to.name, doubt)
		case lacks:
			x.image.Lists = append(x.image.Lists, v.Digest)
		}
	}
	return nil
}

// settle finds an image there with all that belongs to it.
func (x *planner) settle(context.Context) error {
	if x.missing == 0 && len(x.image.Lists) == 0 && x.image.ToDigest == x.image.Digest {
		x.image.Status = StatusThere
	}
	return nil
}

func refers(subjects int) string {
	if subjects == 1 {
		return "something refers"
	}
	return "several things refer"
}

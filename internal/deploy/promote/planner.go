package promote

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/deploy/plan"
	"github.com/kontor-registry/kontor/internal/deploy/promote/platforms"
	"github.com/kontor-registry/kontor/internal/deploy/state"
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

// askRightsFirst asks before the image is walked, and askRightsLast after that
// where its tag is there already: then mostly nothing is to be done, and a dozen
// requests are saved.
func (x *planner) askRightsFirst(ctx context.Context) error {
	if x.image.ToDigest == x.image.Digest {
		return nil
	}
	return x.askRights(ctx)
}

func (x *planner) askRightsLast(ctx context.Context) error {
	if x.image.ToDigest != x.image.Digest {
		return nil
	}
	return x.askRights(ctx)
}

// askRights looks for rights that lack, on either side.
func (x *planner) askRights(ctx context.Context) error {
	lack := func(r *repository, missing []access.Action) {
		if len(missing) > 0 {
			x.image.Rights = append(x.image.Rights, Right{Registry: r.registry.Name, Repository: r.name, Actions: missing})
			x.image.find(CodeRights, plan.Error, "the caller may not do %s in %s/%s", list(missing), r.registry.Name, r.name)
		}
	}
	if rights := x.from.registry.Rights; rights != nil {
		missing, err := rights.Missing(ctx, x.from.name, rightsFrom)
		if err != nil {
			return err
		}
		lack(x.from, missing)
	}
	if x.to.registry.Rights == nil {
		return nil
	}
	missing, err := x.missingTo(ctx, x.to.registry.Rights)
	lack(x.to, missing)
	return err
}

// missingTo are rights that lack to write to the target, and to make its
// repository first.
func (x *planner) missingTo(ctx context.Context, rights Rights) ([]access.Action, error) {
	if !x.image.Create {
		return rights.Missing(ctx, x.to.name, rightsTo)
	}
	wanted, _ := x.to.registry.Creator.Wanted(x.to.name) // create has seen that it is
	bare := wanted
	bare.Policy = "" // it comes after what it might allow
	first, rest := rightsToCreate(wanted)
	missing, err := rights.MissingIn(ctx, bare, first)
	if err != nil {
		return nil, err
	}
	more, err := rights.MissingIn(ctx, wanted, append(rest, rightsTo...))
	return append(missing, more...), err
}

// rightsToCreate are those that making a repository takes, until it has its
// policy and after that.
func rightsToCreate(wanted state.Repository) (first, rest []access.Action) {
	first = []access.Action{"ecr:DescribeRepositories", "ecr:CreateRepository"}
	if len(wanted.Tags) > 0 {
		first = append(first, "ecr:TagResource")
	}
	if wanted.Policy != "" {
		first = append(first, "ecr:SetRepositoryPolicy")
	}
	if wanted.Lifecycle != "" {
		rest = append(rest, "ecr:PutLifecyclePolicy")
	}
	return first, rest
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

// entry is v in the plan.
func (v *vertex) entry(there bool) Manifest {
	m := Manifest{
		Digest: v.Digest, MediaType: v.MediaType, Kind: v.kind, ArtifactType: v.ArtifactType, Platform: v.platform, Stage: v.stage, There: there,
	}
	if v.of != nil {
		m.Of = v.of.Digest
	}
	return m
}

// compare looks at what the target has of all that.
func (x *planner) compare(ctx context.Context) error {
	there, err := x.present(ctx)
	if err != nil {
		return err
	}
	var missing []*vertex
	for i, v := range x.graph.all {
		x.image.Manifests = append(x.image.Manifests, v.entry(there[i]))
		if !there[i] {
			missing = append(missing, v)
		}
	}
	for _, v := range x.graph.tags {
		signature := Signature{Tag: v.tag, Manifest: v.entry(false)}
		if signature.There, err = x.compareSignature(ctx, v); err != nil {
			return err
		}
		x.image.Signatures = append(x.image.Signatures, signature)
		if !signature.There {
			missing = append(missing, v)
		}
	}
	if err := loadAll(ctx, x.from, missing); err != nil {
		return err
	}
	x.missing = len(missing)
	x.image.Record = x.request.Record && x.image.ToDigest != x.image.Digest
	return x.compareBlobs(ctx, missing)
}

// present says for each manifest of the graph whether the target has it.
func (x *planner) present(ctx context.Context) ([]bool, error) {
	there := make([]bool, len(x.graph.all))
	if x.image.Create {
		return there, nil
	}
	g, ctx := group(ctx)
	for i, v := range x.graph.all {
		if v.Digest == x.image.ToDigest || x.from == x.to && v.body == nil {
			there[i] = true
			continue
		}
		g.Go(func() (err error) {
			there[i], err = x.to.has(ctx, v.Digest)
			return err
		})
	}
	return there, g.Wait()
}

// compareSignature reports whether cosign's tag needs no writing: it is there, or
// it is another one that must stay.
func (x *planner) compareSignature(ctx context.Context, v *vertex) (there bool, err error) {
	if x.image.Create {
		return false, nil
	}
	d, ok, err := x.to.find(ctx, string(v.tag))
	if err != nil || !ok || d.Digest == v.Digest {
		return ok, err
	}
	// cosign adds a signature as a layer and writes the tag again. Where all of
	// the target's are in the source's, nothing is lost.
	if err := v.load(ctx, x.from); err != nil {
		return false, err
	}
	m, err := x.to.manifest(ctx, string(d.Digest))
	if err != nil {
		return false, err
	}
	old, err := manifest.ParseElsewhere(m.Body, m.MediaType)
	if err != nil {
		return false, err
	}
	more := slices.ContainsFunc(old.Layers, func(l manifest.Descriptor) bool {
		return !slices.ContainsFunc(v.parsed.Layers, func(o manifest.Descriptor) bool { return o.Digest == l.Digest })
	})
	immutable := false
	if api := x.to.registry.API; api != nil {
		mutability, ok, err := api.Mutability(ctx, x.to.name)
		if err != nil {
			return false, err
		}
		immutable = ok && mutability.IsImmutable(v.tag)
	}
	switch {
	case immutable:
		x.image.find(CodeSignatureTaken, plan.Warning,
			"%s has other signatures of the image, and its tag is immutable: they stay as they are; with mutable_tags: [\"sha256-*\"] in the repository the new ones can be added", x.to.ref(v.tag))
	case more:
		x.image.find(CodeSignatureTaken, plan.Warning, "%s has signatures that %s does not have: they stay as they are", x.to.ref(v.tag), x.from.ref(v.tag))
	default:
		return false, nil
	}
	return true, nil
}

// compareBlobs looks at what the target has of the blobs of the missing
// manifests.
func (x *planner) compareBlobs(ctx context.Context, missing []*vertex) error {
	seen := map[ecr.Digest]bool{}
	for _, v := range missing {
		for _, b := range blobsOf(v.parsed) {
			if !seen[b.Digest] {
				seen[b.Digest] = true
				x.image.Blobs = append(x.image.Blobs, b)
			}
		}
	}
	if !x.image.Create {
		g, ctx := group(ctx)
		for i := range x.image.Blobs {
			b := &x.image.Blobs[i]
			g.Go(func() (err error) {
				b.There, err = x.to.remote.Exists(ctx, b.Digest)
				return err
			})
		}
		if err := g.Wait(); err != nil {
			return err
		}
	}
	for i := range x.image.Blobs {
		b := &x.image.Blobs[i]
		switch {
		case b.There:
			x.image.Bytes.There += b.Size
		case x.from.same(x.to):
			b.Mount = x.from.name
			x.image.Bytes.Mount += b.Size
		default:
			x.image.Bytes.Move += b.Size
		}
	}
	return nil
}

// blobsOf are the blobs that a registry needs for a manifest.
func blobsOf(m manifest.Manifest) []Blob {
	sizes := map[ecr.Digest]int64{}
	for _, l := range m.Layers {
		sizes[l.Digest] = l.Size
	}
	if m.Config != nil {
		sizes[m.Config.Digest] = m.Config.Size
	}
	var out []Blob
	for _, d := range m.Blobs() {
		out = append(out, Blob{Digest: d, Size: sizes[d]})
	}
	for _, c := range m.Children {
		if !manifest.IsManifest(c.MediaType) {
			out = append(out, Blob{Digest: c.Digest, Size: c.Size})
		}
	}
	return out
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

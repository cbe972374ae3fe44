package promote

import (
	"context"
	"slices"

	"github.com/kontor-registry/kontor/internal/deploy/plan"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/manifest"
)

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

package promote

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/manifest"
	"github.com/kontor-registry/kontor/internal/remote"
)

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

// indexOf is a list of referrers as a manifest.
func indexOf(list []remote.Descriptor) (remote.Manifest, error) {
	body, err := json.Marshal(struct {
		SchemaVersion int                 `json:"schemaVersion"`
		MediaType     string              `json:"mediaType"`
		Manifests     []remote.Descriptor `json:"manifests"`
	}{2, manifest.MediaTypeOCIIndex, list})
	return remote.Manifest{MediaType: manifest.MediaTypeOCIIndex, Digest: ecr.DigestOf(body), Body: body}, err
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

package signing

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/gate"
	"github.com/kontor-registry/kontor/internal/manifest"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// inertKey is a manifest of which it is known whether a runtime could run it.
type inertKey struct {
	manifest  ecr.Digest
	mediaType string
}

// inertness says whether a manifest cannot be run.
type inertness struct {
	inert bool
	until time.Time // it is believed; zero for ever
}

// artifact is a manifest of which it is to be found out whether it can be run.
type artifact struct {
	key    inertKey
	layers []layer
}

// inertBytes bounds a layer that is looked at for whether it is JSON: an SBOM is larger
// than a signature.
const inertBytes = 8 << 20

// tagSuffix is what the tags of cosign's signatures end in.
const tagSuffix = ".sig"

// attachedTo is the image that d belongs to, as a signature or an SBOM does: its subject,
// or the image that its tag names. Who can push must not get a program past a policy by
// calling it a signature: what has a layer that a runtime would unpack belongs to none.
func (s *search) attachedTo(ctx context.Context, d ecr.Digest) (to []ecr.Digest, err error) {
	row, err := s.r.StatManifest(ctx, s.repo, d)
	if errors.Is(err, meta.ErrNotFound) {
		return nil, nil // a subject need not be there
	}
	if err != nil || manifest.IsIndex(row.Image.MediaType) || row.BodySizeBytes > MaxBytes {
		return nil, err
	}
	if row.Image.Subject != "" {
		to = append(to, row.Image.Subject)
	}
	for _, t := range row.Image.Tags {
		if text, ok := strings.CutSuffix(string(t), tagSuffix); ok {
			if of, err := ecr.ParseDigest(strings.Replace(text, "-", ":", 1)); err == nil {
				to = append(to, of)
			}
		}
	}
	if len(to) == 0 {
		return nil, nil
	}
	body, err := s.r.ManifestBody(ctx, s.repo, d)
	if err != nil {
		return nil, err
	}
	parsed, err := manifest.Parse(body, row.Image.MediaType)
	if err != nil || len(parsed.Layers) == 0 || slices.ContainsFunc(parsed.Layers, func(l manifest.Descriptor) bool { return unpacked(l.MediaType) }) {
		return nil, nil
	}
	if parsed.Config == nil || manifest.IsConfig(parsed.Config.MediaType) {
		if inert, err := s.isInert(ctx, inertKey{d, row.Image.MediaType}, parsed.Layers); err != nil || !inert {
			return nil, err
		}
	}
	return to, nil
}

// unpacked reports whether a runtime may unpack a layer of the type. Docker looks at the
// beginning of the type, in any letter case.
func unpacked(mediaType string) bool {
	t := strings.ToLower(mediaType)
	return t == "" || strings.HasPrefix(t, "application/vnd.oci.image") || strings.Contains(t, "image.layer") || strings.Contains(t, "image.rootfs") ||
		strings.Contains(t, "tar") || strings.HasPrefix(t, "application/vnd.docker") || strings.HasPrefix(t, "application/octet-stream")
}

// Inert reports whether all layers of the image m are JSON, and so no files that a
// runtime could unpack. Its error is a *gate.Later where they have to be read first.
func (v *Verifier) Inert(ctx context.Context, r *gate.View, m meta.Manifest, layers []manifest.Descriptor) (bool, error) {
	s := search{v: v, r: r, repo: m.Repository, now: v.cfg.Now()}
	inert, err := s.isInert(ctx, inertKey{m.Image.Digest, m.Image.MediaType}, layers)
	if err == nil && len(s.unread) > 0 {
		err = &gate.Later{Do: s.verify}
	}
	return inert, err
}

// isInert reports whether a manifest with the config of an image, as cosign's signatures
// have it, has only layers that are JSON and thus no files. Layers that were not read yet
// are read later; the answer does not count then.
func (s *search) isInert(ctx context.Context, key inertKey, layers []manifest.Descriptor) (bool, error) {
	if len(layers) > MaxLayers {
		return false, nil
	}
	found, ok := gate.Kept(ctx, key).(inertness)
	if !ok {
		found, ok = s.v.inert.Get(key, struct{}{})
	}
	if ok && (found.until.IsZero() || s.now.Before(found.until)) {
		return found.inert, nil
	}
	a := artifact{key: key}
	for _, d := range layers {
		l, err := s.layer(ctx, d, inertBytes)
		if err != nil {
			return false, err
		}
		a.layers = append(a.layers, l)
	}
	s.unread = append(s.unread, a)
	return false, nil
}

// readArtifact finds out whether all that a manifest has is JSON, and remembers it.
func (v *Verifier) readArtifact(ctx context.Context, a artifact, now time.Time) error {
	found := inertness{inert: true}
	for _, l := range a.layers {
		content, err := v.content(ctx, l, inertBytes)
		if err != nil {
			return err
		}
		if content == nil {
			found = inertness{until: now.Add(mended)}
			break
		}
		found.inert = found.inert && json.Valid(content)
	}
	gate.Keep(ctx, a.key, found)
	v.inert.Put(a.key, struct{}{}, found, len(a.key.manifest)+len(a.key.mediaType))
	return nil
}

package scanning

import (
	"context"
	"errors"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/gate"
	"github.com/kontor-registry/kontor/internal/manifest"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// Inert says whether all layers of an image are JSON, and so no files for a runtime. Its
// error may be a *gate.Later.
type Inert func(ctx context.Context, r *gate.View, m meta.Manifest, layers []manifest.Descriptor) (bool, error)

// Key is authz.KeyMaxSeverity: the highest severity that the last completed scan of an
// image found, UNSCANNED without one. That of an index is the worst of its container
// images. What is to come from an upstream was not scanned.
//
// What a runtime could run is never ecr.Unscannable by what it calls itself: otherwise who
// can push gets an image past a policy in the disguise of a signature.
func Key(inert Inert) gate.ImageKey {
	return gate.ImageKey{Coming: []string{string(ecr.Unscanned)}, Of: func(ctx context.Context, r *gate.View, s gate.Scene, id ecr.ImageID) ([]string, error) {
		m, err := r.FindImage(ctx, s.Row.ID, id)
		if err != nil {
			return nil, err
		}
		worst, err := maxSeverity(ctx, r, m, inert)
		return []string{string(worst)}, err
	}}
}

// maxNesting bounds indexes in indexes.
const maxNesting = 3

// maxSeverity is the value of Key for m.
func maxSeverity(ctx context.Context, r *gate.View, m meta.Manifest, inert Inert) (ecr.Severity, error) {
	found, parsed, err := worstOf(ctx, r, r.Retention().Scans(), m.Repository, m.Image.Digest, maxNesting)
	if err != nil || found != ecr.Unscannable || parsed == nil {
		return found, err
	}
	switch parsed.Runs() {
	case manifest.RunsAlways:
		return ecr.Unscanned, nil
	case manifest.RunsIfFiles:
		if harmless, err := inert(ctx, r, m, parsed.Layers); err != nil || !harmless {
			return ecr.Unscanned, err
		}
	}
	return found, nil
}

// worstOf is what scans found in d, and d itself where nothing is known of a scan of it.
// What an index lists is looked at for what it calls itself: it has a value too, by which
// its own pull is decided.
func worstOf(ctx context.Context, r meta.ImageReader, scans meta.ScanReader, repo meta.RepositoryID, d ecr.Digest, deeper int) (ecr.Severity, *manifest.Manifest, error) {
	scan, err := scans.Scan(ctx, repo, d)
	switch {
	case err == nil && !scan.CompletedAt.IsZero():
		return scan.Severity, nil, nil
	case err == nil && scan.Status == ecr.ScanUnsupported:
		return ecr.Unscannable, nil, nil
	case err != nil && !errors.Is(err, meta.ErrNotFound):
		return "", nil, err
	}
	m, err := parsed(ctx, r, repo, d)
	switch {
	case errors.Is(err, meta.ErrNotFound):
		return ecr.Unscanned, nil, nil // an entry of an index that is not here
	case errors.Is(err, errUnreadable):
		return ecr.Unscanned, nil, nil
	case err != nil:
		return "", nil, err
	case m.IsContainerImage() || m.Kind == manifest.Index && deeper == 0:
		return ecr.Unscanned, &m, nil
	case m.Kind == manifest.Image:
		return ecr.Unscannable, &m, nil
	}
	worst := ecr.Unscannable
	for _, c := range m.Children {
		if !manifest.IsManifest(c.MediaType) {
			continue // a blob of a build cache
		}
		one, _, err := worstOf(ctx, r, scans, repo, c.Digest, deeper-1)
		if err != nil {
			return "", nil, err
		}
		if one.Compare(worst) < 0 {
			worst = one
		}
	}
	return worst, &m, nil
}

// errUnreadable is of a manifest that is damaged.
var errUnreadable = errors.New("the manifest cannot be read")

// parsed reads the manifest d, whose type may have been given when it was pushed instead
// of standing in it. Errors: meta.ErrNotFound, errUnreadable.
func parsed(ctx context.Context, r meta.ImageReader, repo meta.RepositoryID, d ecr.Digest) (manifest.Manifest, error) {
	row, err := r.StatManifest(ctx, repo, d)
	if err != nil {
		return manifest.Manifest{}, err
	}
	body, err := r.ManifestBody(ctx, repo, d)
	if err != nil {
		return manifest.Manifest{}, err
	}
	m, err := manifest.Parse(body, row.Image.MediaType)
	if err != nil {
		return m, errUnreadable
	}
	return m, nil
}

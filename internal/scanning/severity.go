package scanning

import (
	"context"
	"errors"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/gate"
	"github.com/kontor-registry/kontor/internal/manifest"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// Key is authz.KeyMaxSeverity: the highest severity that the last completed scan of an
// image found, UNSCANNED without one. That of an index is the worst of its container
// images. What is to come from an upstream was not scanned.
func Key() gate.ImageKey {
	return gate.ImageKey{Of: keyOf, Coming: []string{string(ecr.Unscanned)}}
}

func keyOf(ctx context.Context, r *gate.View, s gate.Scene, id ecr.ImageID) ([]string, error) {
	m, err := r.FindImage(ctx, s.Row.ID, id)
	if err != nil {
		return nil, err
	}
	worst, err := maxSeverity(ctx, r, r.Retention().Scans(), s.Row.ID, m.Image.Digest, maxNesting)
	return []string{string(worst)}, err
}

// maxNesting bounds indexes in indexes.
const maxNesting = 3

func maxSeverity(ctx context.Context, r meta.ImageReader, scans meta.ScanReader, repo meta.RepositoryID, d ecr.Digest, deeper int) (ecr.Severity, error) {
	scan, err := scans.Scan(ctx, repo, d)
	switch {
	case err == nil && !scan.CompletedAt.IsZero():
		return scan.Severity, nil
	case err == nil && scan.Status == ecr.ScanUnsupported:
		return ecr.Unscannable, nil
	case err != nil && !errors.Is(err, meta.ErrNotFound):
		return "", err
	}
	body, err := r.ManifestBody(ctx, repo, d)
	if errors.Is(err, meta.ErrNotFound) {
		return ecr.Unscanned, nil // an entry of an index that is not here
	}
	if err != nil {
		return "", err
	}
	m, err := manifest.Parse(body, "")
	switch {
	case err != nil || m.IsContainerImage() || m.Kind == manifest.Index && deeper == 0:
		return ecr.Unscanned, nil
	case m.Kind == manifest.Image:
		return ecr.Unscannable, nil
	}
	worst := ecr.Unscannable
	for _, c := range m.Children {
		if !manifest.IsManifest(c.MediaType) {
			continue // a blob of a build cache
		}
		one, err := maxSeverity(ctx, r, scans, repo, c.Digest, deeper-1)
		if err != nil {
			return "", err
		}
		if one.Compare(worst) < 0 {
			worst = one
		}
	}
	return worst, nil
}

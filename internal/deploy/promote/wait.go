package promote

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/kontor-registry/kontor/internal/deploy/promote/platforms"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/manifest"
	"github.com/kontor-registry/kontor/internal/remote"
)

// DefaultInterval is WaitFor.Interval when it is 0.
const DefaultInterval = 5 * time.Second

// WaitFor says what to wait for: an image, all images that its index lists, and
// what else is asked for.
type WaitFor struct {
	Image Ref
	// Platforms that the index must have.
	Platforms []string
	// Signed: a signature of the image must exist, in whatever form. It is not
	// verified.
	Signed bool
	// Referrers are artifact types that must refer to the image.
	Referrers []string
	// Timeout is how long to wait, 0 for one look; Interval how long between two
	// looks, 0 for DefaultInterval.
	Timeout, Interval time.Duration
	// Missing is told after each look what is missing. It may be nil.
	Missing func(what string)
}

// Found is what was waited for.
type Found struct {
	Image     Ref        `json:"image"`
	Digest    ecr.Digest `json:"digest"`
	MediaType string     `json:"media_type"`
	Platforms []string   `json:"platforms,omitempty"`
}

// TimeoutError is the end of waiting.
type TimeoutError struct {
	Image   Ref
	After   time.Duration
	Missing string // what was missing at the last look
}

// Error is one line.
func (e *TimeoutError) Error() string {
	return fmt.Sprintf("%s: after %s, %s", e.Image, e.After, e.Missing)
}

// Wait waits until all is there. It ends at once with what waiting does not help
// against: AccessDenied, RepositoryNotFound, a login that is not accepted. The
// error is a *TimeoutError when the time is up.
func (p *Promoter) Wait(ctx context.Context, w WaitFor) (Found, error) {
	if err := w.Image.check(); err != nil {
		return Found{}, err
	}
	r, err := p.repository(ctx, w.Image.Registry, w.Image.Repository)
	if err != nil {
		return Found{}, err
	}
	began, interval := p.cfg.Now(), cmp.Or(w.Interval, DefaultInterval)
	for seen := (map[ecr.Digest]bool{}); ; {
		found, missing, err := look(ctx, r, w, seen)
		switch {
		case ctx.Err() != nil:
			return Found{}, context.Cause(ctx)
		case ecr.CodeOf(err) == ecr.CodeUnavailable, ecr.CodeOf(err) == ecr.CodeThrottling:
			missing = err.Error()
		case err != nil:
			return Found{}, err
		case missing == "":
			return found, nil
		}
		if w.Missing != nil {
			w.Missing(missing)
		}
		left := w.Timeout - p.cfg.Now().Sub(began)
		if left <= 0 {
			return Found{}, &TimeoutError{Image: w.Image, After: w.Timeout, Missing: missing}
		}
		t := time.NewTimer(min(interval, left))
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return Found{}, context.Cause(ctx)
		}
	}
}

// look looks once. seen are manifests that were found there before.
func look(ctx context.Context, r *repository, w WaitFor, seen map[ecr.Digest]bool) (found Found, missing string, err error) {
	d, err := r.remote.Resolve(ctx, w.Image.reference())
	if ecr.CodeOf(err) == ecr.CodeImageNotFound {
		return found, "it does not exist", nil
	}
	if err != nil {
		return found, "", err
	}
	found = Found{Image: w.Image, Digest: d.Digest, MediaType: d.MediaType}
	if isIndex(d.MediaType) {
		found.Platforms, missing, err = lookAtIndex(ctx, r, d.Digest, seen)
	} else if len(w.Platforms) > 0 {
		found.Platforms, err = imagePlatform(ctx, r, d.Digest)
	}
	if err != nil || missing != "" {
		return found, missing, err
	}
	if lack := lacking(w.Platforms, found.Platforms); len(lack) > 0 {
		return found, "it has no platform " + list(lack), nil
	}
	if !w.Signed && len(w.Referrers) == 0 {
		return found, "", nil
	}
	missing, err = lookAtReferrers(ctx, r, d.Digest, w)
	return found, missing, err
}

// lookAtIndex looks for the images that an index lists, and the images that
// those list.
func lookAtIndex(ctx context.Context, r *repository, d ecr.Digest, seen map[ecr.Digest]bool) (found []string, missing string, err error) {
	m, err := r.manifest(ctx, string(d))
	if ecr.CodeOf(err) == ecr.CodeImageNotFound {
		return nil, "its manifest is gone", nil
	}
	if err != nil {
		return nil, "", err
	}
	parsed, err := manifest.ParseElsewhere(m.Body, m.MediaType)
	if err != nil {
		return nil, "", err
	}
	for _, c := range parsed.Children {
		if !manifest.IsManifest(c.MediaType) {
			continue // a blob, of which the registry that took the index made sure
		}
		platform := platforms.Of(c.Platform)
		if !seen[c.Digest] {
			_, err := r.remote.Resolve(ctx, string(c.Digest))
			if ecr.CodeOf(err) == ecr.CodeImageNotFound {
				return nil, fmt.Sprintf("its image %s (%s) is missing", short(c.Digest), platform), nil
			}
			if err != nil {
				return nil, "", err
			}
			seen[c.Digest] = true
		}
		if isIndex(c.MediaType) {
			more, missing, err := lookAtIndex(ctx, r, c.Digest, seen)
			if err != nil || missing != "" {
				return nil, missing, err
			}
			found = append(found, more...)
			continue
		}
		if platform != "" && platform != "unknown/unknown" {
			found = append(found, platform)
		}
	}
	return found, "", nil
}

// lookAtReferrers looks for signatures and other referrers. What was read of the
// repository before may be out of date.
func lookAtReferrers(ctx context.Context, r *repository, d ecr.Digest, w WaitFor) (missing string, err error) {
	refer, ok, err := r.remote.Referrers(ctx, d)
	if err == nil && !ok {
		refer, _, err = r.listedReferrers(ctx, d)
	}
	if err != nil {
		return "", err
	}
	for _, t := range w.Referrers {
		if !slices.ContainsFunc(refer, func(d remote.Descriptor) bool { return d.ArtifactType == t }) {
			return "nothing of type " + t + " refers to it", nil
		}
	}
	if !w.Signed || slices.ContainsFunc(refer, func(d remote.Descriptor) bool { return isSignature(&vertex{Descriptor: d, kind: KindReferrer}) }) {
		return "", nil
	}
	_, err = r.remote.Resolve(ctx, string(tagOf(d, "sig")))
	var e *remote.Error
	if errors.As(err, &e) && e.Code == ecr.CodeImageNotFound {
		return "it has no signature", nil
	}
	return "", err
}

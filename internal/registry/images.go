package registry

import (
	"context"
	"errors"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/kontor-registry/kontor/internal/budget"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/gate"
	"github.com/kontor-registry/kontor/internal/retention"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// find finds the image that id names: by digest, by tag, or by both. It returns
// what FindImage does: manifest and tags are read only where they are wanted.
func find(ctx context.Context, r meta.ImageReader, at ecr.Repo, repo meta.RepositoryID, id ecr.ImageID) (meta.Manifest, error) {
	m, err := r.FindImage(ctx, repo, id)
	switch {
	case errors.Is(err, meta.ErrNotFound):
		return meta.Manifest{}, ecr.ImageNotFound(at.In, at.Name, id)
	case err == nil && id.Tag != "" && id.Digest != "" && id.Digest != m.Image.Digest:
		return meta.Manifest{}, errTagDoesNotMatch
	}
	return m, err
}

// resolve is find with the image's tags.
func resolve(ctx context.Context, r meta.ImageReader, at ecr.Repo, repo meta.RepositoryID, id ecr.ImageID) (meta.Manifest, error) {
	m, err := find(ctx, r, at, repo, id)
	if err != nil {
		return m, err
	}
	return r.StatManifest(ctx, repo, m.Image.Digest)
}

// ImageDigest is the digest of the image that id names in the repository.
// Errors: ImageNotFound, InvalidParameter.
func ImageDigest(ctx context.Context, r meta.ImageReader, at ecr.Repo, repo meta.RepositoryID, id ecr.ImageID) (ecr.Digest, error) {
	if f, bad := malformed(id); bad {
		return "", ecr.Errorf(ecr.CodeInvalidParameter, "%s", f.Reason)
	}
	m, err := find(ctx, r, at, repo, id)
	return m.Image.Digest, err
}

// bodyBytes bounds the memory of the manifests that are kept.
const bodyBytes = 16 << 20

// whole adds its body to an image that find found, and makes sure that it is
// what its digest says. Bodies that were are kept by their digests, which say all of
// them; nobody changes one.
func (r *Registry) whole(ctx context.Context, v meta.ImageReader, at ecr.Repo, m meta.Manifest) (meta.Manifest, error) {
	if err := budget.Take(ctx, m.BodySizeBytes); err != nil {
		return m, err
	}
	var known bool
	if m.Body, known = r.bodies.Get(m.Image.Digest, struct{}{}); known {
		return m, nil
	}
	body, err := v.ManifestBody(ctx, m.Repository, m.Image.Digest)
	if m.Body = body; err == nil {
		err = wholeManifest(at, m)
	}
	if err == nil {
		r.bodies.Put(m.Image.Digest, struct{}{}, body, len(body))
	}
	return m, err
}

// errTagDoesNotMatch: an id's tag points to another digest than the id's.
var errTagDoesNotMatch = &ecr.Error{Code: ecr.CodeImageNotFound, Message: "The tag and the digest of the imageId belong to different images"}

var (
	opManifest     = gate.Op("Manifest", "ecr:BatchGetImage")
	opStatManifest = gate.Op("StatManifest", "ecr:BatchGetImage")
)

// Manifest returns an image's manifest and counts as a pull.
// Errors: RepositoryNotFound, ImageNotFound, also for an archived image.
func (c *Caller) Manifest(ctx context.Context, at ecr.Repo, id ecr.ImageID) (Manifest, error) {
	return c.manifest(ctx, opManifest, at, id, true)
}

// StatManifest is Manifest without counting as a pull (HEAD).
func (c *Caller) StatManifest(ctx context.Context, at ecr.Repo, id ecr.ImageID) (Manifest, error) {
	return c.manifest(ctx, opStatManifest, at, id, false)
}

func (c *Caller) manifest(ctx context.Context, op gate.Operation, at ecr.Repo, id ecr.ImageID, pulled bool) (Manifest, error) {
	var m meta.Manifest
	times := pulled
	err := c.gate.Read(ctx, op, func(ctx context.Context, r *gate.View) error {
		s, err := r.EnterImage(ctx, at, id)
		if err != nil {
			return err
		}
		if m, err = find(ctx, r, at, s.Row.ID, id); err == nil {
			err = c.r.pullable(at, id, &m.Image)
		}
		if err == nil {
			m, err = c.r.whole(ctx, r, at, m)
		}
		if err == nil && pulled {
			times, err = c.counts(s.Settings)
		}
		return err
	})
	if err != nil {
		return Manifest{}, err
	}
	if pulled {
		c.r.cfg.Retention.Pulled(c.gate.Principal(), times, meta.Pull{Repository: m.Repository, Digest: m.Image.Digest, At: c.r.cfg.Now()})
	}
	return Manifest{Digest: m.Image.Digest, MediaType: m.Image.MediaType, Body: m.Body, Repository: m.Repository}, nil
}

// counts reports whether what the caller pulls from a registry with the settings s
// counts as used. Activity has it in either case.
func (c *Caller) counts(s meta.RegistrySettings) (bool, error) {
	if t := c.gate.Principal().Token; t != nil && t.OfScanner() {
		return false, nil
	}
	excluded, err := retention.ExclusionsOf(s)
	return !excluded.Exclude(c.gate.Principal()), err
}

var opBatchGetImage = gate.Op("BatchGetImage", "ecr:BatchGetImage")

// maxManifests bounds the manifests of one answer, in bytes. ECR's limit is not
// known.
const maxManifests = 16 << 20

// BatchGetImage returns images and, for those it cannot, why. The ids may be
// malformed; that is a failure of the item. Errors: LimitExceeded when the
// manifests are too large to be answered at once.
func (c *Caller) BatchGetImage(ctx context.Context, at ecr.Repo, ids []ecr.ImageID) ([]GotImage, []ImageFailure, error) {
	var (
		images   []GotImage
		failures []ImageFailure
		pulls    []meta.Pull
		times    bool
	)
	err := c.gate.Read(ctx, opBatchGetImage, func(ctx context.Context, r *gate.View) error {
		images, failures, pulls = nil, nil, nil
		s, err := r.EnterImage(ctx, at, slices.DeleteFunc(slices.Clone(ids), func(id ecr.ImageID) bool { _, bad := malformed(id); return bad })...)
		if err != nil {
			return err
		}
		repo := s.Row
		if times, err = c.counts(s.Settings); err != nil {
			return err
		}
		bodies := map[ecr.Digest][]byte{}
		total := int64(0)
		for _, id := range ids {
			if f, bad := malformed(id); bad {
				failures = append(failures, f)
				continue
			}
			m, err := find(ctx, r, at, repo.ID, id)
			if err == nil {
				err = c.r.pullable(at, id, &m.Image)
			}
			if f, failed := itemFailure(id, err); failed {
				failures = append(failures, f)
				continue
			}
			if err == nil {
				if total += m.BodySizeBytes; total > maxManifests {
					return ecr.Errorf(ecr.CodeLimitExceeded,
						"The manifests of the images asked for have more than %d bytes together. Ask for fewer images at once.", maxManifests)
				}
				// The answer, which is put together from it, has it again.
				err = budget.Take(ctx, 2*m.BodySizeBytes)
			}
			if body, again := bodies[m.Image.Digest]; again {
				m.Body = body
			} else if err == nil {
				m, err = c.r.whole(ctx, r, at, m)
				bodies[m.Image.Digest] = m.Body
			}
			if err != nil {
				return err
			}
			images = append(images, GotImage{
				ID:       ecr.ImageID{Digest: m.Image.Digest, Tag: id.Tag},
				Manifest: Manifest{Digest: m.Image.Digest, MediaType: m.Image.MediaType, Body: m.Body},
			})
			pulls = append(pulls, meta.Pull{Repository: repo.ID, Digest: m.Image.Digest, At: c.r.cfg.Now()})
		}
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	c.r.cfg.Retention.Pulled(c.gate.Principal(), times, pulls...)
	return images, failures, nil
}

// malformed reports what is wrong with an id before any look-up.
func malformed(id ecr.ImageID) (ImageFailure, bool) {
	switch {
	case id.Digest == "" && id.Tag == "":
		return ImageFailure{id, "MissingDigestAndTag", "Invalid request parameters: both tag and digest cannot be null"}, true
	case id.Digest != "":
		if _, err := ecr.ParseDigest(string(id.Digest)); err != nil {
			return ImageFailure{id, "InvalidImageDigest",
				"Invalid request parameters: image digest should satisfy the regex '" + ecr.DigestPattern + "'"}, true
		}
	}
	if strings.ContainsFunc(string(id.Tag), notInTags) {
		// ECR's text is not known; this is how it says it of digests.
		return ImageFailure{id, "InvalidImageTag",
			"Invalid request parameters: image tag should satisfy the regex '" + ecr.TagPattern + "'"}, true
	}
	return ImageFailure{}, false
}

// notInTags reports whether r is no character of ecr.TagPattern.
func notInTags(r rune) bool {
	return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_' && r != '.'
}

// itemFailure turns an error about one item into its failure entry.
func itemFailure(id ecr.ImageID, err error) (ImageFailure, bool) {
	switch {
	case errors.Is(err, errTagDoesNotMatch):
		return ImageFailure{id, "ImageTagDoesNotMatchDigest", "Requested image tag does not match the digest"}, true
	case ecr.CodeOf(err) == ecr.CodeImageNotFound:
		return ImageFailure{id, "ImageNotFound", "Requested image not found"}, true
	case ecr.CodeOf(err) == ecr.CodeReferencedByManifestList:
		var e *ecr.Error
		errors.As(err, &e)
		return ImageFailure{id, string(ecr.CodeReferencedByManifestList), e.Message}, true
	}
	return ImageFailure{}, false
}

var opListImages = gate.Op("ListImages", "ecr:ListImages")

// ListImages returns at most limit (digest, tag) pairs in byte order after
// the pair after, and the pair to go on after; zero when that was all. When of
// is given, they are those of images that have one of these statuses.
func (c *Caller) ListImages(ctx context.Context, at ecr.Repo, status ecr.TagStatus, after ecr.ImageID, limit int, of ...ecr.ImageStatus) (ids []ecr.ImageID, next ecr.ImageID, err error) {
	err = c.gate.ReadRepository(ctx, opListImages, at, func(ctx context.Context, r *gate.View, repo meta.Repository) error {
		all := meta.ImageIDs(ctx, r, repo.ID, after, limit+1)
		if len(of) > 0 {
			all = idsOf(c.r.cfg.Now(), meta.Images(ctx, r, repo.ID, before(after.Digest), limit+1), after, of)
		}
		var more bool
		ids, more, err = meta.Take(all, limit, func(id *ecr.ImageID) (bool, error) { return status.Selects(id.Tag != ""), nil })
		if next = (ecr.ImageID{}); more {
			next = ids[limit-1]
		}
		return err
	})
	return ids, next, err
}

// idsOf yields the names, after the pair after, of those images that have one
// of the statuses of.
func idsOf(now time.Time, images iter.Seq2[meta.Manifest, error], after ecr.ImageID, of []ecr.ImageStatus) iter.Seq2[ecr.ImageID, error] {
	return func(yield func(ecr.ImageID, error) bool) {
		for m, err := range images {
			if err != nil {
				yield(ecr.ImageID{}, err)
				return
			}
			if retention.Settle(&m.Image, now); !slices.Contains(of, m.Image.Status) {
				continue
			}
			for _, id := range pairs(m.Image) {
				if id.Digest < after.Digest || id.Digest == after.Digest && id.Tag <= after.Tag {
					continue
				}
				if !yield(id, nil) {
					return
				}
			}
		}
	}
}

// before is a place before d, so that a list which goes on after it begins with
// d, or with what shares all of d but its last digit.
func before(d ecr.Digest) ecr.Digest { return d[:max(0, len(d)-1)] }

// pairs are the names of an image: one for each tag, or the digest alone.
func pairs(i ecr.Image) []ecr.ImageID {
	if len(i.Tags) == 0 {
		return []ecr.ImageID{{Digest: i.Digest}}
	}
	var ids []ecr.ImageID
	for _, t := range i.Tags {
		ids = append(ids, ecr.ImageID{Digest: i.Digest, Tag: t})
	}
	return ids
}

var opDescribeImages = gate.Op("DescribeImages", "ecr:DescribeImages")

// DescribeImages returns the images named, each once, in the order given.
// Errors: ImageNotFound if any is missing.
func (c *Caller) DescribeImages(ctx context.Context, at ecr.Repo, ids []ecr.ImageID) ([]ecr.Image, error) {
	var images []ecr.Image
	err := c.gate.ReadRepository(ctx, opDescribeImages, at, func(ctx context.Context, r *gate.View, repo meta.Repository) error {
		images = nil
		now := c.r.cfg.Now()
		for _, id := range ids {
			if f, bad := malformed(id); bad {
				return ecr.Errorf(ecr.CodeInvalidParameter, "%s", f.Reason)
			}
			m, err := resolve(ctx, r, at, repo.ID, id)
			if err != nil {
				return err
			}
			retention.Settle(&m.Image, now)
			c.r.cfg.Retention.CountPulls(repo.ID, &m.Image)
			if !slices.ContainsFunc(images, func(i ecr.Image) bool { return i.Digest == m.Image.Digest }) {
				images = append(images, m.Image)
			}
		}
		return addScans(ctx, r.Retention().Scans(), repo.ID, images)
	})
	return images, err
}

var opListImageDetails = gate.Op("ListImageDetails", "ecr:DescribeImages")

// ListImageDetails returns at most limit images in byte order of their
// digests after the digest after, and the digest to go on after; empty when
// that was all. When of is given, they have one of these statuses.
func (c *Caller) ListImageDetails(ctx context.Context, at ecr.Repo, status ecr.TagStatus, after ecr.Digest, limit int, of ...ecr.ImageStatus) (images []ecr.Image, next ecr.Digest, err error) {
	err = c.gate.ReadRepository(ctx, opListImageDetails, at, func(ctx context.Context, r *gate.View, repo meta.Repository) error {
		images, next = nil, ""
		now := c.r.cfg.Now()
		list, more, err := meta.Take(meta.Images(ctx, r, repo.ID, after, limit+1), limit, func(m *meta.Manifest) (bool, error) {
			retention.Settle(&m.Image, now)
			c.r.cfg.Retention.CountPulls(repo.ID, &m.Image)
			return status.Selects(len(m.Image.Tags) > 0) && (len(of) == 0 || slices.Contains(of, m.Image.Status)), nil
		})
		for _, m := range list {
			images = append(images, m.Image)
		}
		if more {
			next = images[limit-1].Digest
		}
		if err == nil {
			err = addScans(ctx, r.Retention().Scans(), repo.ID, images)
		}
		return err
	})
	return images, next, err
}

var opListTags = gate.Op("ListTags", "ecr:ListImages")

// ListTags returns at most limit tags in byte order after the tag after, and
// whether there are more.
func (c *Caller) ListTags(ctx context.Context, at ecr.Repo, after ecr.Tag, limit int) (tags []ecr.Tag, more bool, err error) {
	err = c.gate.ReadRepository(ctx, opListTags, at, func(ctx context.Context, r *gate.View, repo meta.Repository) error {
		tags, more = nil, false
		rows, err := r.ListTags(ctx, repo.ID, after, limit+1)
		if err != nil {
			return err
		}
		if len(rows) > limit {
			rows, more = rows[:limit], true
		}
		for _, t := range rows {
			tags = append(tags, t.Tag)
		}
		return nil
	})
	return tags, more, err
}

package registry

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/manifest"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

var opPutImage = Operation{"PutImage", []access.Action{"ecr:PutImage"}}

// PutImage stores an image and points tags to it, as a whole or not at all.
// Errors: RepositoryNotFound, InvalidParameter, ImageAlreadyExists,
// ImageTagAlreadyExists, ImageDigestDoesNotMatch, LayersNotFound,
// ReferencedImagesNotFound.
func (c *Caller) PutImage(ctx context.Context, at Repo, n NewImage) (PutResult, error) {
	m, err := manifest.Parse(n.Body, n.MediaType)
	if err != nil {
		return PutResult{}, err
	}
	if c.r.cfg.Compat == CompatECR && m.Kind == manifest.Image && len(m.Layers) == 0 {
		return PutResult{}, ecr.InvalidParameter("ImageManifest", "Image has to have at least 1 layer")
	}
	digest := ecr.DigestOf(n.Body)
	if n.Digest != "" && n.Digest != digest {
		if !n.Digest.Verifies(n.Body) {
			return PutResult{}, ecr.Errorf(ecr.CodeImageDigestDoesNotMatch,
				"The image with digest '%s' in repository '%s' and registry ID '%s' does not match the image digest that Amazon ECR has calculated.",
				n.Digest, at.Name, at.In.Account)
		}
		digest = n.Digest
	}
	row := newRow(m, digest, n.Body)
	err = c.update(ctx, opPutImage, at, func(ctx context.Context, tx meta.Tx, repo meta.Repository) error {
		row.Repository = repo.ID
		row.Image.PushedAt = c.r.cfg.Now()
		created, err := insertImage(ctx, tx, at, m, row)
		if err != nil {
			return err
		}
		if !created && n.Strict && len(n.Tags) == 0 {
			return imageAlreadyExists(at, digest, "")
		}
		for _, tag := range n.Tags {
			if err := c.putTag(ctx, tx, at, repo, digest, tag, n.Strict); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return PutResult{}, err
	}
	return PutResult{Digest: digest, MediaType: m.MediaType, Subject: row.Image.Subject}, nil
}

func newRow(m manifest.Manifest, digest ecr.Digest, body []byte) meta.Manifest {
	row := meta.Manifest{
		Image: ecr.Image{
			Digest:            digest,
			MediaType:         m.MediaType,
			ArtifactMediaType: m.ArtifactMediaType,
			SizeBytes:         m.LayerSizeBytes,
		},
		Body:        body,
		Annotations: m.Annotations,
	}
	if m.Subject != nil {
		row.Image.Subject = m.Subject.Digest
	}
	row.Blobs = m.Blobs()
	for _, d := range m.Children {
		row.Children = append(row.Children, d.Digest)
	}
	return row
}

// insertImage adds the image unless the repository has it. It names what the
// image needs and the repository lacks; that nothing of it vanishes meanwhile
// is the store's promise.
func insertImage(ctx context.Context, tx meta.Tx, at Repo, m manifest.Manifest, row meta.Manifest) (created bool, err error) {
	if len(row.Blobs) > 0 {
		found, err := tx.Blobs(ctx, row.Repository, row.Blobs)
		if err != nil {
			return false, err
		}
		if missing := lacking(row.Blobs, found); len(missing) > 0 {
			return false, ecr.Errorf(ecr.CodeLayersNotFound,
				"Layers with digests '%s' required for pushing image into repository with name '%s' in the registry with id '%s' do not exist",
				digestList(missing), at.Name, at.In.Account)
		}
	}
	if len(row.Children) > 0 {
		missing, err := tx.MissingManifests(ctx, row.Repository, row.Children)
		if err != nil {
			return false, err
		}
		if len(missing) > 0 {
			return false, ecr.Errorf(ecr.CodeReferencedImagesNotFound,
				"Images with digests '%s' required for pushing image into repository with name '%s' in the registry with id '%s' do not exist",
				digestList(missing), at.Name, at.In.Account)
		}
	}
	if m.Kind == manifest.Index {
		// ECR: the size of a manifest list is that of the largest image in it.
		row.Image.SizeBytes = 0
		for _, d := range row.Children {
			child, err := tx.Manifest(ctx, row.Repository, d)
			if err != nil {
				return false, err
			}
			row.Image.SizeBytes = max(row.Image.SizeBytes, child.Image.SizeBytes)
		}
	}
	switch err := tx.InsertManifest(ctx, row); {
	case errors.Is(err, meta.ErrExists):
		return false, nil
	case err != nil:
		return false, err
	}
	return true, nil
}

// putTag points tag to digest if the repository's mutability lets it.
func (c *Caller) putTag(ctx context.Context, tx meta.Tx, at Repo, repo meta.Repository, digest ecr.Digest, tag ecr.Tag, strict bool) error {
	immutable := repo.Mutability.IsImmutable(tag)
	old, err := tx.Tag(ctx, repo.ID, tag)
	if err != nil && !errors.Is(err, meta.ErrNotFound) {
		return err
	}
	exists := err == nil
	switch {
	case exists && immutable && (old.Digest != digest || c.r.cfg.Compat == CompatECR):
		return ecr.ImageTagAlreadyExists(at.Name, tag)
	case exists && old.Digest == digest && strict:
		return imageAlreadyExists(at, digest, tag)
	case exists && old.Digest == digest:
		return nil
	}
	now := c.r.cfg.Now()
	err = tx.PutTag(ctx, repo.ID, meta.TagRow{Tag: tag, Digest: digest, TaggedAt: now}, !immutable)
	if errors.Is(err, meta.ErrExists) {
		return ecr.ImageTagAlreadyExists(at.Name, tag)
	}
	if err != nil || !exists {
		return err
	}
	return tx.AppendJournal(ctx, meta.JournalEntry{
		At: now, Registry: at.In, Name: at.Name, Repository: repo.ID, Op: meta.JournalMoveTag,
		Digest: old.Digest, Tags: []ecr.Tag{tag}, Actor: c.p.String(),
		Reason: fmt.Sprintf("tag moved to %s", digest),
	})
}

func imageAlreadyExists(at Repo, d ecr.Digest, tag ecr.Tag) error {
	name := string(tag)
	if name == "" {
		name = "null"
	}
	return ecr.Errorf(ecr.CodeImageAlreadyExists,
		"Image with digest '%s' and tag '%s' already exists in the repository with name '%s' in registry with id '%s'",
		d, name, at.Name, at.In.Account)
}

func lacking(want []ecr.Digest, have []meta.Blob) []ecr.Digest {
	known := make(map[ecr.Digest]bool, len(have))
	for _, b := range have {
		known[b.Digest] = true
	}
	var missing []ecr.Digest
	for _, d := range want {
		if !known[d] {
			known[d] = true
			missing = append(missing, d)
		}
	}
	return missing
}

// digestList is ECR's way to print digests in error texts.
func digestList(ds []ecr.Digest) string {
	s := make([]string, len(ds))
	for i, d := range ds {
		s[i] = string(d)
	}
	return "[" + strings.Join(s, ", ") + "]"
}

// resolve finds the image that id names: by digest, by tag, or by both.
func resolve(ctx context.Context, r meta.Reader, at Repo, repo meta.RepositoryID, id ecr.ImageID) (meta.Manifest, error) {
	digest := id.Digest
	if id.Tag != "" {
		t, err := r.Tag(ctx, repo, id.Tag)
		if errors.Is(err, meta.ErrNotFound) {
			return meta.Manifest{}, ecr.ImageNotFound(at.In, at.Name, id)
		}
		if err != nil {
			return meta.Manifest{}, err
		}
		if digest != "" && digest != t.Digest {
			return meta.Manifest{}, errTagDoesNotMatch
		}
		digest = t.Digest
	}
	m, err := r.Manifest(ctx, repo, digest)
	if errors.Is(err, meta.ErrNotFound) {
		return meta.Manifest{}, ecr.ImageNotFound(at.In, at.Name, id)
	}
	return m, err
}

// errTagDoesNotMatch: an id's tag points to another digest than the id's.
var errTagDoesNotMatch = &ecr.Error{Code: ecr.CodeImageNotFound, Message: "The tag and the digest of the imageId belong to different images"}

var (
	opManifest     = Operation{"Manifest", []access.Action{"ecr:BatchGetImage"}}
	opStatManifest = Operation{"StatManifest", []access.Action{"ecr:BatchGetImage"}}
)

// Manifest returns an image's manifest and counts as a pull.
// Errors: RepositoryNotFound, ImageNotFound.
func (c *Caller) Manifest(ctx context.Context, at Repo, id ecr.ImageID) (Manifest, error) {
	return c.manifest(ctx, opManifest, at, id, true)
}

// StatManifest is Manifest without counting as a pull (HEAD).
func (c *Caller) StatManifest(ctx context.Context, at Repo, id ecr.ImageID) (Manifest, error) {
	return c.manifest(ctx, opStatManifest, at, id, false)
}

func (c *Caller) manifest(ctx context.Context, op Operation, at Repo, id ecr.ImageID, pulled bool) (Manifest, error) {
	var m meta.Manifest
	err := c.view(ctx, op, at, func(ctx context.Context, r meta.Reader, repo meta.Repository) (err error) {
		m, err = resolve(ctx, r, at, repo.ID, id)
		return err
	})
	if err != nil {
		return Manifest{}, err
	}
	if pulled {
		c.r.pulls.record(meta.Pull{Repository: m.Repository, Digest: m.Image.Digest, At: c.r.cfg.Now()})
	}
	return Manifest{Digest: m.Image.Digest, MediaType: m.Image.MediaType, Body: m.Body}, nil
}

var opBatchGetImage = Operation{"BatchGetImage", []access.Action{"ecr:BatchGetImage"}}

// BatchGetImage returns images and, for those it cannot, why. The ids may be
// malformed; that is a failure of the item.
func (c *Caller) BatchGetImage(ctx context.Context, at Repo, ids []ecr.ImageID) ([]GotImage, []ImageFailure, error) {
	var (
		images   []GotImage
		failures []ImageFailure
		pulls    []meta.Pull
	)
	err := c.view(ctx, opBatchGetImage, at, func(ctx context.Context, r meta.Reader, repo meta.Repository) error {
		images, failures, pulls = nil, nil, nil
		for _, id := range ids {
			if f, bad := malformed(id); bad {
				failures = append(failures, f)
				continue
			}
			m, err := resolve(ctx, r, at, repo.ID, id)
			if f, failed := itemFailure(id, err); failed {
				failures = append(failures, f)
				continue
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
	c.r.pulls.record(pulls...)
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
	return ImageFailure{}, false
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

var opListImages = Operation{"ListImages", []access.Action{"ecr:ListImages"}}

// ListImages returns at most limit (digest, tag) pairs in byte order after
// the pair after, and the pair to go on after; zero when that was all.
func (c *Caller) ListImages(ctx context.Context, at Repo, status TagStatus, after ecr.ImageID, limit int) (ids []ecr.ImageID, next ecr.ImageID, err error) {
	err = c.view(ctx, opListImages, at, func(ctx context.Context, r meta.Reader, repo meta.Repository) error {
		ids, next = nil, ecr.ImageID{}
		from := after
		for {
			page, err := r.ListImageIDs(ctx, repo.ID, from, limit)
			if err != nil {
				return err
			}
			for _, id := range page {
				if !status.selects(id.Tag != "") {
					continue
				}
				if len(ids) == limit {
					next = ids[limit-1]
					return nil
				}
				ids = append(ids, id)
			}
			if len(page) < limit {
				return nil
			}
			from = page[len(page)-1]
		}
	})
	return ids, next, err
}

func (s TagStatus) selects(tagged bool) bool {
	switch s {
	case TagStatusTagged:
		return tagged
	case TagStatusUntagged:
		return !tagged
	}
	return true
}

var opDescribeImages = Operation{"DescribeImages", []access.Action{"ecr:DescribeImages"}}

// DescribeImages returns the images named, each once, in the order given.
// Errors: ImageNotFound if any is missing.
func (c *Caller) DescribeImages(ctx context.Context, at Repo, ids []ecr.ImageID) ([]ecr.Image, error) {
	var images []ecr.Image
	err := c.view(ctx, opDescribeImages, at, func(ctx context.Context, r meta.Reader, repo meta.Repository) error {
		images = nil
		for _, id := range ids {
			if f, bad := malformed(id); bad {
				return ecr.Errorf(ecr.CodeInvalidParameter, "%s", f.Reason)
			}
			m, err := resolve(ctx, r, at, repo.ID, id)
			if err != nil {
				return err
			}
			if !slices.ContainsFunc(images, func(i ecr.Image) bool { return i.Digest == m.Image.Digest }) {
				images = append(images, m.Image)
			}
		}
		return nil
	})
	return images, err
}

var opListImageDetails = Operation{"ListImageDetails", []access.Action{"ecr:DescribeImages"}}

// ListImageDetails returns at most limit images in byte order of their
// digests after the digest after, and the digest to go on after; empty when
// that was all.
func (c *Caller) ListImageDetails(ctx context.Context, at Repo, status TagStatus, after ecr.Digest, limit int) (images []ecr.Image, next ecr.Digest, err error) {
	err = c.view(ctx, opListImageDetails, at, func(ctx context.Context, r meta.Reader, repo meta.Repository) error {
		images, next = nil, ""
		from := after
		for {
			page, err := r.ListManifests(ctx, repo.ID, from, limit)
			if err != nil {
				return err
			}
			for _, m := range page {
				if !status.selects(len(m.Image.Tags) > 0) {
					continue
				}
				if len(images) == limit {
					next = images[limit-1].Digest
					return nil
				}
				images = append(images, m.Image)
			}
			if len(page) < limit {
				return nil
			}
			from = page[len(page)-1].Image.Digest
		}
	})
	return images, next, err
}

var opListTags = Operation{"ListTags", []access.Action{"ecr:ListImages"}}

// ListTags returns at most limit tags in byte order after the tag after, and
// whether there are more.
func (c *Caller) ListTags(ctx context.Context, at Repo, after ecr.Tag, limit int) (tags []ecr.Tag, more bool, err error) {
	err = c.view(ctx, opListTags, at, func(ctx context.Context, r meta.Reader, repo meta.Repository) error {
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

var opListReferrers = Operation{"ListReferrers", []access.Action{"ecr:ListImageReferrers", "ecr:BatchGetImage"}}

// ListReferrers returns at most limit images whose subject is d, those of
// artifactType only unless that is empty, in byte order of their digests after
// the digest after, and the digest to go on after; empty when that was all.
func (c *Caller) ListReferrers(ctx context.Context, at Repo, d ecr.Digest, artifactType string, after ecr.Digest, limit int) (list []Referrer, next ecr.Digest, err error) {
	err = c.view(ctx, opListReferrers, at, func(ctx context.Context, r meta.Reader, repo meta.Repository) error {
		list, next = nil, ""
		from := after
		for {
			page, err := r.ListReferrers(ctx, repo.ID, d, from, limit)
			if err != nil {
				return err
			}
			for _, row := range page {
				ref, err := referrer(ctx, r, row)
				if err != nil {
					return err
				}
				if artifactType != "" && ref.ArtifactType != artifactType {
					continue
				}
				if len(list) == limit {
					next = list[limit-1].Digest
					return nil
				}
				list = append(list, ref)
			}
			if len(page) < limit {
				return nil
			}
			from = page[len(page)-1].Image.Digest
		}
	})
	return list, next, err
}

// referrer describes a listed image as the referrers API wants it, which
// needs the manifest's own size.
func referrer(ctx context.Context, r meta.ImageReader, row meta.Manifest) (Referrer, error) {
	full, err := r.Manifest(ctx, row.Repository, row.Image.Digest)
	if err != nil {
		return Referrer{}, err
	}
	m, err := manifest.Parse(full.Body, full.Image.MediaType)
	if err != nil {
		return Referrer{}, fmt.Errorf("reading stored manifest %s: %w", row.Image.Digest, err)
	}
	return Referrer{
		Digest: full.Image.Digest, MediaType: full.Image.MediaType, ArtifactType: m.ArtifactType,
		SizeBytes: int64(len(full.Body)), Annotations: m.Annotations,
	}, nil
}

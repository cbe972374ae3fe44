package registry

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/events"
	"github.com/kontor-registry/kontor/internal/gate"
	"github.com/kontor-registry/kontor/internal/manifest"
	"github.com/kontor-registry/kontor/internal/retention"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

var opPutImage = gate.Op("PutImage", "ecr:PutImage").Hot()

// PutImage stores an image and points tags to it, as a whole or not at all.
// Errors: RepositoryNotFound, InvalidParameter, ImageAlreadyExists,
// ImageTagAlreadyExists, ImageDigestDoesNotMatch, LayersNotFound,
// ReferencedImagesNotFound (not in CompatOCI, where an index may list images
// that are not there).
func (c *Caller) PutImage(ctx context.Context, at ecr.Repo, n NewImage) (PutResult, error) {
	image, err := c.r.prepare(at, n)
	if err != nil {
		return PutResult{}, err
	}
	err = c.r.pushTo(ctx, c.gate, opPutImage, at, func(ctx context.Context, tx *gate.Tx, s gate.Scene) error {
		changed, err := c.r.put(ctx, tx, s, image)
		if err == nil && n.Within != nil {
			err = n.Within(ctx, tx)
		}
		if err == nil && c.r.cfg.Pushed != nil {
			err = c.r.cfg.Pushed(ctx, tx, s, Pushed{image.row.Image.Digest, image.row.Image.Subject, n.Tags, changed, n.Via})
		}
		return err
	})
	if err == nil && c.r.cfg.Stored != nil {
		c.r.cfg.Stored()
	}
	return image.result(err)
}

// Pushed is an image that was pushed, or came back from the archive.
type Pushed struct {
	Digest  ecr.Digest
	Subject ecr.Digest // of a referrer
	Tags    []ecr.Tag  // that the push named
	// Changed: the image, or one of the tags, was not there before.
	Changed bool
	// Via are the registries of other servers that it was replicated through.
	Via []ecr.RegistryID
}

// PutWithin puts an image in the transaction of an operation that has asked for what it
// needs, such as a replication, and does not count as a push. It reports whether
// anything changed. What n must fulfil and the errors are those of PutImage.
func (r *Registry) PutWithin(ctx context.Context, tx *gate.Tx, s gate.Scene, n NewImage) (changed bool, err error) {
	image, err := r.prepare(s.At, n)
	if err != nil {
		return false, err
	}
	if changed, err = r.put(ctx, tx, s, image); err == nil && r.cfg.Arrived != nil {
		err = r.cfg.Arrived(ctx, tx, s, Pushed{image.row.Image.Digest, image.row.Image.Subject, n.Tags, changed, n.Via})
	}
	return changed, err
}

// prepared is an image to be put that was looked at.
type prepared struct {
	NewImage
	m   manifest.Manifest
	row meta.Manifest // but for the repository
}

func (p prepared) result(err error) (PutResult, error) {
	if err != nil {
		return PutResult{}, err
	}
	return PutResult{Digest: p.row.Image.Digest, MediaType: p.m.MediaType, Subject: p.row.Image.Subject}, nil
}

// prepare checks what of an image needs no store.
func (r *Registry) prepare(at ecr.Repo, n NewImage) (prepared, error) {
	m, err := manifest.Parse(n.Body, n.MediaType)
	if err != nil {
		return prepared{}, err
	}
	if r.Compat(at.In) == CompatECR && m.Kind == manifest.Image && len(m.Layers) == 0 {
		return prepared{}, ecr.InvalidParameter("ImageManifest", "Image has to have at least 1 layer")
	}
	digest := ecr.DigestOf(n.Body)
	if n.Digest != "" && n.Digest != digest {
		// ECR knows images by their sha256 only.
		if r.Compat(at.In) == CompatECR || !n.Digest.Verifies(n.Body) {
			return prepared{}, ecr.Errorf(ecr.CodeImageDigestDoesNotMatch,
				"The image with digest '%s' in repository '%s' and registry ID '%s' does not match the image digest that Amazon ECR has calculated.",
				n.Digest, at.Name, at.In.Account)
		}
		digest = n.Digest
	}
	row := newRow(m, digest, n.Body)
	row.Sparse = n.Sparse || r.Compat(at.In) == CompatOCI
	return prepared{n, m, row}, nil
}

// put stores an image and its tags in the repository of s, and reports whether anything
// is new.
func (r *Registry) put(ctx context.Context, tx *gate.Tx, s gate.Scene, n prepared) (changed bool, err error) {
	at, repo, row, digest := s.At, s.Row, n.row, n.row.Image.Digest
	row.Repository = repo.ID
	row.Image.PushedAt = r.cfg.Now()
	created, err := insertImage(ctx, tx, at, n.m, row)
	if err != nil {
		return false, err
	}
	// Amazon ECR user guide, "Restoring an archived image": a push of its
	// manifest brings it back at once.
	if !created {
		if created, err = r.cfg.Retention.Reactivate(ctx, tx, at, repo.ID, digest); err != nil {
			return false, err
		}
	}
	if !created && n.Strict && len(n.Tags) == 0 {
		return false, imageAlreadyExists(at, digest, "")
	}
	tell := func(tag ecr.Tag) {
		changed = true
		for _, e := range pushed(at, n.m, row, n.NewImage) {
			e.Tag = tag
			tx.Emit(e)
		}
	}
	if created && len(n.Tags) == 0 {
		tell("")
	}
	for _, tag := range n.Tags {
		if n.Cached {
			here, err := pushedHere(ctx, tx, repo.ID, tag)
			if err != nil {
				return false, err
			}
			if here {
				continue
			}
		}
		set, err := r.putTag(ctx, tx, at, repo, digest, tag, n.Strict)
		if err != nil {
			return false, err
		}
		if created || set {
			tell(tag)
		}
		if err := compare(ctx, tx, s, tag, n.Cached, row.Image.PushedAt); err != nil {
			return false, err
		}
	}
	changed = changed || created
	if n.Cached {
		return changed, tx.Retention().PutUpstreamChecked(ctx, repo.ID, string(digest), time.Time{})
	}
	return changed, nil
}

// pushed are the events of a push, or of what came from an upstream.
func pushed(at ecr.Repo, m manifest.Manifest, row meta.Manifest, n NewImage) []events.Event {
	e := events.Event{
		Type: events.ImagePushed, At: row.Image.PushedAt, Registry: at.In, Repository: at.Name, Digest: row.Image.Digest,
		MediaType: m.MediaType, ArtifactType: m.ArtifactMediaType, Subject: row.Image.Subject, SizeBytes: row.Image.SizeBytes,
	}
	if !n.Cached {
		return []events.Event{e}
	}
	cached := e
	cached.Type, cached.Prefix, cached.Upstream = events.CachePulled, n.Prefix, n.Upstream
	return []events.Event{e, cached}
}

// SettingUpstreamRules is where a registry's settings hold its pull-through cache rules,
// a JSON object of rules by prefix: the decision about a pull reads the settings, so they
// cost it nothing.
const SettingUpstreamRules = "pullThroughCacheRules"

// pushedHere reports whether there is a tag that did not come from an upstream.
func pushedHere(ctx context.Context, tx *gate.Tx, repo meta.RepositoryID, tag ecr.Tag) (bool, error) {
	if _, err := tx.Tag(ctx, repo, tag); errors.Is(err, meta.ErrNotFound) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	_, cached, err := tx.Retention().UpstreamChecked(ctx, repo, string(tag))
	return !cached, err
}

// compare takes note whether a tag that was put just now is to be compared with an
// upstream: one that a client pushed is not.
func compare(ctx context.Context, tx *gate.Tx, s gate.Scene, tag ecr.Tag, cached bool, now time.Time) error {
	switch {
	case cached:
		return tx.Retention().PutUpstreamChecked(ctx, s.Row.ID, string(tag), now)
	case s.Settings.Settings[SettingUpstreamRules] != "":
		return tx.Retention().DropUpstreamChecked(ctx, s.Row.ID, string(tag))
	}
	return nil
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
	row.Blobs, row.Foreign, row.Children = m.Blobs(), m.ForeignLayers(), m.Entries()
	return row
}

// insertImage adds the image unless the repository has it. It names what the
// image needs and the repository lacks; that nothing of it vanishes meanwhile
// is the store's promise.
func insertImage(ctx context.Context, tx *gate.Tx, at ecr.Repo, m manifest.Manifest, row meta.Manifest) (created bool, err error) {
	if len(row.Blobs) > 0 {
		missing, err := tx.MissingBlobs(ctx, row.Repository, row.Blobs)
		if err != nil {
			return false, err
		}
		if len(missing) > 0 {
			return false, ecr.Errorf(ecr.CodeLayersNotFound,
				"Layers with digests '%s' required for pushing image into repository with name '%s' in the registry with id '%s' do not exist",
				ecr.DigestList(missing), at.Name, at.In.Account)
		}
	}
	if len(row.Children) > 0 && !row.Sparse {
		missing, err := tx.MissingManifests(ctx, row.Repository, row.Children)
		if err != nil {
			return false, err
		}
		if len(missing) > 0 {
			return false, ecr.Errorf(ecr.CodeReferencedImagesNotFound,
				"Images with digests '%s' required for pushing image into repository with name '%s' in the registry with id '%s' do not exist",
				ecr.DigestList(missing), at.Name, at.In.Account)
		}
	}
	if m.Kind == manifest.Index {
		// ECR: the size of a manifest list is that of the largest image in it.
		if row.Image.SizeBytes, err = tx.LargestImage(ctx, row.Repository, row.Children); err != nil {
			return false, err
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

// putTag points tag to digest if the repository's mutability lets it, and reports whether
// it pointed elsewhere before.
func (r *Registry) putTag(ctx context.Context, tx *gate.Tx, at ecr.Repo, repo meta.Repository, digest ecr.Digest, tag ecr.Tag, strict bool) (set bool, err error) {
	immutable := repo.Mutability.IsImmutable(tag)
	old, err := tx.Tag(ctx, repo.ID, tag)
	if err != nil && !errors.Is(err, meta.ErrNotFound) {
		return false, err
	}
	exists := err == nil
	switch {
	case exists && immutable && (old.Digest != digest || r.Compat(at.In) == CompatECR):
		return false, ecr.ImageTagAlreadyExists(at.Name, tag)
	case exists && old.Digest == digest && strict:
		return false, imageAlreadyExists(at, digest, tag)
	case exists && old.Digest == digest:
		return false, nil
	}
	now := r.cfg.Now()
	err = tx.PutTag(ctx, repo.ID, meta.TagRow{Tag: tag, Digest: digest, TaggedAt: now}, !immutable)
	if errors.Is(err, meta.ErrExists) {
		return false, ecr.ImageTagAlreadyExists(at.Name, tag)
	}
	if err != nil || !exists {
		return err == nil, err
	}
	tx.Emit(events.Event{Type: events.TagMoved, At: now, Registry: at.In, Repository: at.Name, Tag: tag, Digest: digest, Previous: old.Digest})
	e := retention.Entry(tx, at, repo.ID, meta.JournalMoveTag, retention.Cause{At: now, Reason: fmt.Sprintf("tag moved to %s", digest)})
	e.Digest, e.Tags = old.Digest, []ecr.Tag{tag}
	return true, tx.Retention().AppendJournal(ctx, e)
}

func imageAlreadyExists(at ecr.Repo, d ecr.Digest, tag ecr.Tag) error {
	name := string(tag)
	if name == "" {
		name = "null"
	}
	return ecr.Errorf(ecr.CodeImageAlreadyExists,
		"Image with digest '%s' and tag '%s' already exists in the repository with name '%s' in registry with id '%s'",
		d, name, at.Name, at.In.Account)
}

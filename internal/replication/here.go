package replication

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/gate"
	"github.com/kontor-registry/kontor/internal/manifest"
	"github.com/kontor-registry/kontor/internal/registry"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// The service-linked role of ECR: it acts for the source registry, and the registry
// policy of a destination in another account has to let it, or the whole account. Source:
// ECR user guide, "Amazon ECR service-linked role for replication".
const (
	roleName   = "AWSServiceRoleForECRReplication"
	rolePath   = "aws-service-role/replication.ecr.amazonaws.com/"
	rolePolicy = "ECRReplicationServiceRolePolicy"
)

// actorOf is who replicates the images of a registry.
func actorOf(in ecr.RegistryID) access.Principal {
	partition := in.Region.Partition()
	return access.Principal{
		Account: in.Account, ARN: fmt.Sprintf("arn:%s:sts::%s:assumed-role/%s/replication", partition, in.Account, roleName),
		Policies: []string{rolePolicy}, Session: &access.Session{RoleARN: ecr.IAMARN(partition, in.Account, "role/"+rolePath+roleName)},
	}
}

// maxImages bounds what belongs to one image.
const maxImages = 10_000

// part is one image of what is copied.
type part struct {
	digest ecr.Digest
	tag    ecr.Tag // to set, "" for none
	// optional: the image is whole without it, as without what refers to it.
	optional bool
	// failed: it failed before.
	failed bool
}

// collect lists what belongs to an image in the order in which it is copied: what an
// index lists before it, what refers to an image after it. Errors: errGone.
func (s *Service) collect(ctx context.Context, task meta.Replication) (all []part, m meta.Manifest, err error) {
	err = s.system().Read(ctx, opWork, func(ctx context.Context, v *gate.View) error {
		all = nil
		var err error
		m, err = v.FindImage(ctx, task.Repository, ecr.ImageID{Digest: task.Image.Digest})
		if errors.Is(err, meta.ErrNotFound) || err == nil && m.Image.Status == ecr.StatusArchived {
			return errGone
		}
		if err != nil {
			return err
		}
		w := walk{v: v, repo: task.Repository, seen: map[ecr.Digest]bool{}}
		err = w.image(ctx, part{digest: task.Image.Digest, tag: task.Image.Tag})
		all = w.all
		for i, p := range all {
			if err != nil || p.digest == task.Image.Digest {
				continue
			}
			var rows []meta.Replication
			rows, err = v.Registries().ImageReplications(ctx, task.Repository, p.digest)
			rows = slices.DeleteFunc(newest(rows), func(r meta.Replication) bool { return r.To != task.To || r.Image.Tag != p.tag })
			all[i].failed = len(rows) > 0 && rows[0].Status == meta.ReplicationFailed
		}
		return err
	})
	return all, m, err
}

// walk is collect in its snapshot.
type walk struct {
	v    *gate.View
	repo meta.RepositoryID
	seen map[ecr.Digest]bool
	all  []part
}

func (w *walk) image(ctx context.Context, p part) error {
	if w.seen[p.digest] {
		return nil
	}
	if len(w.seen) >= maxImages {
		return ecr.Errorf(ecr.CodeLimitExceeded, "More than %d images belong to the image", maxImages)
	}
	w.seen[p.digest] = true
	m, err := w.v.StatManifest(ctx, w.repo, p.digest)
	if errors.Is(err, meta.ErrNotFound) {
		return nil // of an index that lists what is not there
	}
	if err != nil {
		return err
	}
	if manifest.IsIndex(m.Image.MediaType) {
		body, err := w.v.ManifestBody(ctx, w.repo, p.digest)
		if err != nil {
			return err
		}
		parsed, err := manifest.Parse(body, m.Image.MediaType)
		if err != nil {
			return err
		}
		for _, child := range parsed.Entries() {
			if err := w.image(ctx, part{digest: child, optional: p.optional}); err != nil {
				return err
			}
		}
	}
	w.all = append(w.all, p)
	for r, err := range meta.Referrers(ctx, w.v, w.repo, p.digest, "", 100) {
		if err == nil && r.Image.Status != ecr.StatusArchived {
			err = w.image(ctx, part{digest: r.Image.Digest, optional: true})
		}
		if err != nil {
			return err
		}
	}
	for _, tag := range referrerTags(p.digest) {
		t, err := w.v.Tag(ctx, w.repo, tag)
		if errors.Is(err, meta.ErrNotFound) {
			continue
		}
		if err == nil {
			err = w.image(ctx, part{digest: t.Digest, tag: tag, optional: true})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// waitsFor reports whether a referrer's subject is still on its way to the same
// destination.
func (s *Service) waitsFor(ctx context.Context, task meta.Replication, subject ecr.Digest) (waits bool, err error) {
	subject = cmp.Or(subject, subjectOf(task.Image.Tag))
	if subject == "" || subject == task.Image.Digest {
		return false, nil
	}
	err = s.system().Read(ctx, opWork, func(ctx context.Context, v *gate.View) error {
		list, err := v.Registries().ImageReplications(ctx, task.Repository, subject)
		waits = false
		for _, r := range list {
			// One that was tried in vain does not hold up what refers to it for ever.
			waits = waits || r.To == task.To && r.Status == meta.ReplicationInProgress && r.Attempts <= 1
		}
		return err
	})
	return waits, err
}

// opReplicateImage is what the service-linked role does at a destination.
var opReplicateImage = gate.Op("ReplicateImage", "ecr:ReplicateImage")

// copyHere copies an image, with all that belongs to it, to another registry of this
// server: blobs are linked, nothing is read or sent.
func (s *Service) copyHere(ctx context.Context, task meta.Replication, c stored) (done, error) {
	all, m, err := s.collect(ctx, task)
	if err != nil {
		return done{}, err
	}
	if waits, err := s.waitsFor(ctx, task, m.Image.Subject); err != nil || waits {
		return done{}, errors.Join(err, errSubjectFirst)
	}
	return copyParts(task, all, func(p part) error { return s.linkImage(ctx, task, p, c) })
}

// linkImage copies one image within the server, in one transaction.
func (s *Service) linkImage(ctx context.Context, task meta.Replication, p part, c stored) error {
	to := task.To.Repo(task.Name)
	err := s.cfg.Gate.As(actorOf(task.Source)).Change(ctx, opReplicateImage, func(ctx context.Context, tx *gate.Tx) error {
		m, err := tx.Manifest(ctx, task.Repository, p.digest)
		if errors.Is(err, meta.ErrNotFound) {
			return errGone
		}
		if err != nil {
			return err
		}
		scene, err := s.enter(ctx, tx, to)
		if err != nil {
			return err
		}
		if p.digest == task.Image.Digest && !c.wants(task.To, task.Image.Tag) {
			// It comes only because of what it refers to.
			_, err := tx.FindImage(ctx, scene.Row.ID, ecr.ImageID{Digest: cmp.Or(m.Image.Subject, subjectOf(task.Image.Tag))})
			if errors.Is(err, meta.ErrNotFound) {
				return errGone
			}
			if err != nil {
				return err
			}
		}
		tags, err := s.tagsToSet(ctx, tx, task.Repository, scene.Row.ID, p)
		if err != nil {
			return err
		}
		if err := s.link(ctx, tx, task.Repository, scene.Row.ID, p.digest); err != nil {
			return err
		}
		_, err = s.cfg.Registry.PutWithin(ctx, tx, scene, registry.NewImage{
			Body: m.Body, MediaType: m.Image.MediaType, Digest: p.digest, Tags: tags, Sparse: true,
		})
		return err
	})
	if errors.Is(err, meta.ErrExists) {
		return fmt.Errorf("another process created the repository %s: %w", to.Name, err)
	}
	return err
}

// enter asks for what a replication needs at its destination, and creates the repository
// where there is none.
func (s *Service) enter(ctx context.Context, tx *gate.Tx, to ecr.Repo) (gate.Scene, error) {
	var template *meta.CreationTemplate
	scene, drafted, err := tx.EnterOrDraft(ctx, to, func(ctx context.Context) (row meta.Repository, err error) {
		row, template, err = s.cfg.Registry.DraftFor(ctx, tx.Registries(), to, ecr.CreateOnReplicate)
		return row, err
	})
	if err != nil || !drafted {
		return scene, err
	}
	asked := []access.Action{"ecr:CreateRepository"}
	if len(scene.Row.Tags) > 0 && to.In.Account != tx.Principal().Account {
		asked = append(asked, "ecr:TagResource") // user guide, "Repository creation templates"
	}
	if err := tx.May(scene, asked...); err != nil {
		return scene, err
	}
	scene.Row, err = s.cfg.Registry.CreateDraft(ctx, tx, scene.Row, template, "replication")
	return scene, err
}

// tagsToSet is the tag of p, unless the source has it for another image by now, or the
// destination for this one.
func (s *Service) tagsToSet(ctx context.Context, tx *gate.Tx, from, to meta.RepositoryID, p part) ([]ecr.Tag, error) {
	if p.tag == "" {
		return nil, nil
	}
	for repo, wanted := range map[meta.RepositoryID]bool{from: true, to: false} {
		t, err := tx.Tag(ctx, repo, p.tag)
		if err != nil && !errors.Is(err, meta.ErrNotFound) {
			return nil, err
		}
		if (err == nil && t.Digest == p.digest) != wanted {
			return nil, nil
		}
	}
	return []ecr.Tag{p.tag}, nil
}

// link lets the destination see the blobs of an image.
func (s *Service) link(ctx context.Context, tx *gate.Tx, from, to meta.RepositoryID, d ecr.Digest) error {
	blobs, err := tx.ImageBlobs(ctx, from, d)
	if err != nil || len(blobs) == 0 {
		return err
	}
	there, err := tx.Blobs(ctx, to, blobs)
	if err != nil {
		return err
	}
	known := map[ecr.Digest]bool{}
	for _, b := range there {
		known[b.Digest] = true
	}
	for _, b := range blobs {
		if !known[b] {
			if err := tx.LinkBlob(ctx, to, b, s.cfg.Now()); err != nil {
				return err
			}
		}
	}
	return nil
}

// clip is a text in one line, of most bytes at most.
func clip(s string, most int) string {
	s = strings.ToValidUTF8(strings.ReplaceAll(strings.Join(strings.Fields(s), " "), "\x00", ""), "")
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most-3], "") + "..."
	}
	return s
}

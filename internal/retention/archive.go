package retention

import (
	"context"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/gate"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// Settle makes i say how it is at now. The store knows images on their way back
// from the archive as active ones that came back in the future: so no one has
// to be there to finish the activation.
func Settle(i *ecr.Image, now time.Time) {
	if i.Status == ecr.StatusActive && i.ActivatedAt.After(now) {
		i.Status = ecr.StatusActivating
	}
}

// Archive moves an image to the archive, with the untagged images that refer to
// it and share its storage class.
func (s *Service) Archive(ctx context.Context, tx *gate.Tx, at ecr.Repo, m meta.Manifest, why Cause) error {
	return withReferrers(ctx, tx, m, func(m meta.Manifest) error { return archive(ctx, tx, at, m, why) })
}

// Activate brings an image back from the archive as Archive moves it there;
// it can be pulled from ready on.
func (s *Service) Activate(ctx context.Context, tx *gate.Tx, at ecr.Repo, m meta.Manifest, reason string, ready time.Time) error {
	why := Cause{At: s.cfg.Now(), Reason: reason}
	return withReferrers(ctx, tx, m, func(m meta.Manifest) error {
		m.Image.ActivatedAt = ready
		if err := recordImage(ctx, tx, at, m, meta.JournalActivateImage, m.Image.Tags, why); err != nil {
			return err
		}
		return tx.SetImageStatus(ctx, m.Repository, m.Image.Digest, ecr.StatusActive, ready)
	})
}

// Reactivate brings an image back at once that is pushed again, and reports
// whether it had to.
func (s *Service) Reactivate(ctx context.Context, tx *gate.Tx, at ecr.Repo, repo meta.RepositoryID, d ecr.Digest) (bool, error) {
	m, err := tx.FindImage(ctx, repo, ecr.ImageID{Digest: d})
	if err != nil {
		return false, err
	}
	now := s.cfg.Now()
	if Settle(&m.Image, now); m.Image.Status == ecr.StatusActive {
		return false, nil
	}
	if m, err = tx.StatManifest(ctx, repo, d); err != nil { // its tags go on record
		return false, err
	}
	return true, s.Activate(ctx, tx, at, m, "pushed again", now)
}

// withReferrers does to m, and to the untagged images that refer to it and
// share its storage class.
func withReferrers(ctx context.Context, tx *gate.Tx, m meta.Manifest, do func(meta.Manifest) error) error {
	if err := do(m); err != nil {
		return err
	}
	for r, err := range meta.Referrers(ctx, tx, m.Repository, m.Image.Digest, "", surveyPage) {
		if err != nil {
			return err
		}
		// One that is of the other class is where it is to go.
		if len(r.Image.Tags) > 0 || r.Image.Status != m.Image.Status || r.Image.Digest == m.Image.Digest {
			continue
		}
		if err := withReferrers(ctx, tx, r, do); err != nil {
			return err
		}
	}
	return nil
}

// archive moves one image to the archive, and puts that on record.
func archive(ctx context.Context, tx *gate.Tx, at ecr.Repo, m meta.Manifest, why Cause) error {
	if err := recordImage(ctx, tx, at, m, meta.JournalArchiveImage, m.Image.Tags, why); err != nil {
		return err
	}
	return tx.SetImageStatus(ctx, m.Repository, m.Image.Digest, ecr.StatusArchived, why.At)
}

package retention

import (
	"context"
	"fmt"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/gate"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// What one transaction does, so that others need not wait long for it.
const (
	// workBytes is how much of manifests' bodies one transaction moves. It may
	// move one more.
	workBytes = 1 << 20
	// deleteAtOnce is how many images of a repository go in the transaction that
	// deletes it, linkBatch how many links go in one.
	deleteAtOnce = 100
	linkBatch    = 1000
)

// Work counts what a transaction does.
type Work struct{ bytes int64 }

// Add counts m, which is deleted or moved.
func (w *Work) Add(m meta.Manifest) { w.bytes += m.BodySizeBytes }

// Full reports whether the rest is for another transaction.
func (w *Work) Full() bool { return w.bytes >= workBytes }

// DeleteRepository deletes a repository with its images, which go on record and
// into the recycle bin. A large one is not done when tx is committed, although
// its name is free: call WakeDeletions then, and FinishDeletions removes the rest.
func (s *Service) DeleteRepository(ctx context.Context, tx *gate.Tx, repo meta.Repository) (done bool, err error) {
	p := tx.Principal()
	d := meta.Deletion{Repository: repo.ID, Registry: repo.Registry, Name: repo.Name, At: s.cfg.Now(), Actor: p.String(), RequestID: p.Request.ID}
	if err := tx.BeginDeletion(ctx, d); err != nil {
		return false, err
	}
	_, done, err = s.deleteSome(ctx, tx, d, deleteAtOnce)
	if err != nil {
		return false, err
	}
	return done, Record(ctx, tx, Entry(tx, repo.Registry.Repo(repo.Name), repo.ID, meta.JournalDeleteRepository, ByRequest(d.At)), ecr.Image{})
}

// deleteSome removes at most limit images of a repository whose deletion has
// begun and, when those are gone, links, and then the repository. It returns how
// many images, and whether the repository is gone.
func (s *Service) deleteSome(ctx context.Context, tx *gate.Tx, d meta.Deletion, limit int) (images int, done bool, err error) {
	rows, err := tx.ListManifests(ctx, d.Repository, "", limit+1)
	if err != nil {
		return 0, false, err
	}
	why := Cause{At: d.At, Reason: "repository deleted", Actor: d.Actor, RequestID: d.RequestID}
	var gone []ecr.Digest
	for work := (Work{}); len(gone) < min(len(rows), limit) && !work.Full(); {
		m, err := tx.Manifest(ctx, d.Repository, rows[len(gone)].Image.Digest)
		if err == nil {
			err = s.recycle(ctx, tx, d.Registry.Repo(d.Name), m, why)
		}
		if err != nil {
			return 0, false, err
		}
		work.Add(m)
		gone = append(gone, m.Image.Digest)
	}
	if err := tx.DeleteManifests(ctx, d.Repository, gone); err != nil || len(gone) < len(rows) {
		return len(gone), false, err
	}
	links, err := tx.DeleteLinks(ctx, d.Repository, linkBatch)
	if err != nil || links == linkBatch {
		return len(gone), false, err
	}
	return len(gone), true, tx.DeleteRepository(ctx, d.Repository)
}

// WakeDeletions has FinishDeletions called soon.
func (s *Service) WakeDeletions() {
	select {
	case s.deletions <- struct{}{}:
	default:
	}
}

// Deletions receives when there may be deletions to finish.
func (s *Service) Deletions() <-chan struct{} { return s.deletions }

// FinishDeletions removes what is left of repositories that were deleted, in
// bounded batches, and returns how many images that were. It may be killed at any
// point, and several processes may do it at once.
func (s *Service) FinishDeletions(ctx context.Context) (images int, err error) {
	const job = "repository deletion"
	for {
		var n int
		more := false
		err := s.cfg.Gate.System(job).Change(ctx, gate.Op(job), func(ctx context.Context, tx *gate.Tx) error {
			n, more = 0, false
			next, err := tx.Deletions(ctx, 1)
			if err != nil || len(next) == 0 {
				return err
			}
			more = true
			n, _, err = s.deleteSome(ctx, tx, next[0], runBatch)
			return err
		})
		if err != nil {
			return images, fmt.Errorf("deleting the contents of repositories: %w", err)
		}
		if images += n; !more {
			return images, nil
		}
		if err := Pause(ctx, max(1, n), PerSecond); err != nil {
			return images, err
		}
	}
}

// settled refuses while images of a repository that had the name may still come
// into the bin.
func settled(ctx context.Context, tx *gate.Tx, at ecr.Repo) error {
	pending, err := tx.IsBeingDeleted(ctx, at.In, at.Name)
	if err == nil && pending {
		err = ecr.Errorf(ecr.CodeUnavailable, "The images of the deleted repository with name '%s' in the registry with id '%s' are still being moved to the recycle bin. Try again later.", at.Name, at.In.Account)
	}
	return err
}

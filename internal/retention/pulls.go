package retention

import (
	"context"
	"sync"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/gate"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// pullRecorder gathers pulls, so that a pull never waits for a commit. What
// was gathered since the last flush is lost when the process dies: seconds of
// pull times, never content.
type pullRecorder struct {
	mu   sync.Mutex
	last map[pulled]time.Time // guarded by mu
}

type pulled struct {
	repo   meta.RepositoryID
	digest ecr.Digest
}

// maxPulls bounds the memory of the recorder; beyond it pulls of further
// images go unrecorded until the next flush.
const maxPulls = 100_000

func (r *pullRecorder) record(pulls ...meta.Pull) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range pulls {
		k := pulled{p.Repository, p.Digest}
		old, known := r.last[k]
		if known && !p.At.After(old) || !known && len(r.last) >= maxPulls {
			continue
		}
		if r.last == nil {
			r.last = make(map[pulled]time.Time)
		}
		r.last[k] = p.At
	}
}

func (r *pullRecorder) take() []meta.Pull {
	r.mu.Lock()
	defer r.mu.Unlock()
	pulls := make([]meta.Pull, 0, len(r.last))
	for k, at := range r.last {
		pulls = append(pulls, meta.Pull{Repository: k.repo, Digest: k.digest, At: at})
	}
	r.last = nil
	return pulls
}

// Pulled takes note of pulls, without waiting for a commit.
func (s *Service) Pulled(pulls ...meta.Pull) { s.pulls.record(pulls...) }

// CountPulls gives an image of a repository the time of its last pull, where that
// is not stored yet. Other processes on the same database know it once it is.
func (s *Service) CountPulls(repo meta.RepositoryID, i *ecr.Image) {
	s.pulls.mu.Lock()
	at := s.pulls.last[pulled{repo, i.Digest}]
	s.pulls.mu.Unlock()
	if at.After(i.LastPulledAt) {
		i.LastPulledAt = time.UnixMicro(at.UnixMicro()).UTC() // as it will be stored
	}
}

// PullsPending is how many images have a pull time that is not stored yet.
func (s *Service) PullsPending() int {
	s.pulls.mu.Lock()
	defer s.pulls.mu.Unlock()
	return len(s.pulls.last)
}

// FlushPulls stores the pull times gathered since the last call. The server
// calls it every few seconds and when it stops.
func (s *Service) FlushPulls(ctx context.Context) error {
	pulls := s.pulls.take()
	if len(pulls) == 0 {
		return nil
	}
	err := s.cfg.Gate.System("pull times").Change(ctx, gate.Op("FlushPulls"), func(ctx context.Context, tx *gate.Tx) error {
		return tx.RecordPulls(ctx, pulls)
	})
	if err != nil {
		s.pulls.record(pulls...)
	}
	return err
}

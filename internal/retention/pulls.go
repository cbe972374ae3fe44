package retention

import (
	"context"
	"sync"
	"time"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/gate"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// pullRecorder gathers pulls, so that a pull never waits for a commit. What
// was gathered since the last flush is lost when the process dies: seconds of
// pull times and counts, never content.
type pullRecorder struct {
	mu   sync.Mutex
	last map[pulled]time.Time // guarded by mu
	// counts are pulls by image, day and puller.
	counts map[pulledBy]pullCount // guarded by mu
}

type pulled struct {
	repo   meta.RepositoryID
	digest ecr.Digest
}

// pulledBy is what pulls are counted by.
type pulledBy struct {
	pulled
	day meta.Day
	by  meta.Puller
}

type pullCount struct {
	n    int64
	last time.Time
}

// maxPulls bounds the memory of the recorder, for each of its two maps; beyond it
// pulls of further images go unrecorded until the next flush.
const maxPulls = 100_000

// record notes the time of pulls.
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

// count adds to the counts.
func (r *pullRecorder) count(counts ...meta.PullCount) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range counts {
		k := pulledBy{pulled{c.Repository, c.Digest}, c.Day, c.By}
		old, known := r.counts[k]
		if !known && len(r.counts) >= maxPulls {
			continue
		}
		if r.counts == nil {
			r.counts = make(map[pulledBy]pullCount)
		}
		old.n += c.Pulls
		if c.LastAt.After(old.last) {
			old.last = c.LastAt
		}
		r.counts[k] = old
	}
}

func (r *pullRecorder) take() ([]meta.Pull, []meta.PullCount) {
	r.mu.Lock()
	defer r.mu.Unlock()
	pulls := make([]meta.Pull, 0, len(r.last))
	for k, at := range r.last {
		pulls = append(pulls, meta.Pull{Repository: k.repo, Digest: k.digest, At: at})
	}
	counts := make([]meta.PullCount, 0, len(r.counts))
	for k, c := range r.counts {
		counts = append(counts, meta.PullCount{Day: k.day, Repository: k.repo, Digest: k.digest, By: k.by, Pulls: c.n, LastAt: c.last})
	}
	r.last, r.counts = nil, nil
	return pulls, counts
}

// Pulled takes note of pulls by p, without waiting for a commit. They are counted for
// p, and with times they are the last pulls of their images, which lifecycle rules and
// ECR's API tell of.
func (s *Service) Pulled(p access.Principal, times bool, pulls ...meta.Pull) {
	if times {
		s.pulls.record(pulls...)
	}
	by := meta.Puller{UniqueID: p.Owner(), ARN: p.ARN}
	if p.Session != nil && p.Session.RoleARN != "" {
		by.ARN = p.Session.RoleARN // whatever its sessions are called
	}
	if s.cfg.ActivityDays <= 0 || p.System != "" || by.UniqueID == "" {
		return
	}
	for _, pull := range pulls {
		s.pulls.count(meta.PullCount{Day: meta.DayOf(pull.At), Repository: pull.Repository, Digest: pull.Digest, By: by, Pulls: 1, LastAt: pull.At})
	}
}

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

// flushTime is how long storing pulls may take.
const flushTime = 10 * time.Second

// FlushPulls stores the pull times and counts gathered since the last call. The server
// calls it every few seconds and when it stops. It goes on when ctx is cancelled: a
// transaction that is given up may have been committed, and its pulls would count twice.
func (s *Service) FlushPulls(ctx context.Context) error {
	pulls, counts := s.pulls.take()
	if len(pulls) == 0 && len(counts) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushTime)
	defer cancel()
	err := s.cfg.Gate.System("pull times").Change(ctx, gate.Op("FlushPulls").Hot(), func(ctx context.Context, tx *gate.Tx) error {
		if err := tx.RecordPulls(ctx, pulls); err != nil {
			return err
		}
		return tx.Retention().CountPulls(ctx, counts)
	})
	if err != nil {
		s.pulls.record(pulls...)
		s.pulls.count(counts...)
	}
	return err
}

// flushForPage stores pulls for an operation that shows who pulled. Where that fails,
// the pulls of the last seconds are not shown yet.
func (s *Service) flushForPage(ctx context.Context) {
	if err := s.FlushPulls(ctx); err != nil {
		s.cfg.Log.WarnContext(ctx, "pulls not stored yet", "error", err)
	}
}

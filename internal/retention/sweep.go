package retention

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/gate"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// LifecycleSweep is what a scheduled run of every repository's lifecycle policy
// did.
type LifecycleSweep struct {
	Repositories int // with a policy, that were run
	Expired      int // images
	Archived     int
	SizeBytes    int64 // of the expired images
	// Findings by the repository's ARN, "" for those about the server.
	Findings map[string][]RunFinding
}

var opSweep = gate.Op("RunAllLifecycle")

// lifecycleJob is the name of the state of scheduled runs.
const lifecycleJob = "lifecycle"

// lifecycleState is what scheduled runs remember.
type lifecycleState struct {
	// RanAt is the image clock at the last scheduled run, whether it had to
	// wait or not, Offset what a test clock was ahead then.
	RanAt  time.Time     `json:"ranAt,omitzero"`
	Offset time.Duration `json:"offset,omitzero"`
	// Hold keeps scheduled runs waiting.
	Hold *clockHold `json:"hold,omitzero"`
	// Downtime keeps what is queued waiting until the next scheduled run.
	Downtime *RunFinding `json:"downtime,omitzero"`
}

// clockHold is a jump of the image clock that someone has to confirm.
type clockHold struct {
	Finding   RunFinding `json:"finding"`
	Confirmed []string   `json:"confirmed,omitzero"` // registries, "account/region"
}

// RunAllLifecycle runs the lifecycle policy of every repository that has
// one, as a scheduled run: it queues them, and runs one after the other, as the system
// principal "lifecycle". Other processes take theirs from the queue. It waits, and
// reports why, while the image clock is in doubt. One repository that fails does not
// keep the others from being run; the errors are joined.
func (s *Service) RunAllLifecycle(ctx context.Context) (LifecycleSweep, error) {
	sweep := LifecycleSweep{Findings: map[string][]RunFinding{}}
	state, wait, err := s.lookAtClock(ctx)
	if err != nil {
		return sweep, fmt.Errorf("looking at the clock: %w", err)
	}
	if wait != nil {
		sweep.Findings[""] = []RunFinding{*wait}
		s.cfg.Log.WarnContext(ctx, "lifecycle runs wait", "finding", wait.Code, "why", wait.Message)
	}
	if wait != nil && (wait.Code == FindingDowntime || wait.Code == FindingClockDiffers) {
		return sweep, nil
	}
	if err := s.queueLifecycle(ctx, state); err != nil {
		return sweep, err
	}
	return sweep, s.runQueued(ctx, &sweep)
}

// RunQueuedLifecycle runs the lifecycle policies that RunAllLifecycle queued, of this
// process or of another, and that nobody else has taken. It waits, and reports why,
// while the image clock of this process is in doubt.
func (s *Service) RunQueuedLifecycle(ctx context.Context) (LifecycleSweep, error) {
	sweep := LifecycleSweep{Findings: map[string][]RunFinding{}}
	wait, err := s.peekAtClock(ctx)
	if err != nil {
		return sweep, fmt.Errorf("looking at the clock: %w", err)
	}
	if wait != nil {
		sweep.Findings[""] = []RunFinding{*wait}
		s.cfg.Log.WarnContext(ctx, "queued lifecycle runs wait", "finding", wait.Code, "why", wait.Message)
		return sweep, nil
	}
	return sweep, s.runQueued(ctx, &sweep)
}

// queueLifecycle queues the repositories that have a policy and need not wait.
func (s *Service) queueLifecycle(ctx context.Context, state lifecycleState) error {
	var page []meta.RepositoryID
	queue := func() error {
		if len(page) == 0 {
			return nil
		}
		defer func() { page = page[:0] }()
		return s.cfg.Gate.System("lifecycle").Change(ctx, opSweep, func(ctx context.Context, tx *gate.Tx) error {
			return tx.Retention().QueueLifecycle(ctx, page)
		})
	}
	for repo, err := range s.repositories(ctx) {
		if err != nil {
			return fmt.Errorf("listing repositories: %w", err)
		}
		if repo.LifecycleText == "" || state.holds(repo.Registry) {
			continue
		}
		if page = append(page, repo.ID); len(page) == queuePage {
			if err := queue(); err != nil {
				return fmt.Errorf("queueing lifecycle runs: %w", err)
			}
		}
	}
	if err := queue(); err != nil {
		return fmt.Errorf("queueing lifecycle runs: %w", err)
	}
	return nil
}

const (
	// queuePage is how many repositories are queued in one transaction.
	queuePage = 100
	// taskTime is how long a lifecycle run may take until another process may begin
	// it as well. That costs work, and harms nothing: each transaction of a run looks
	// at everything again.
	taskTime = 15 * time.Minute
)

// runQueued runs what is queued, until nothing is left that this process may take.
// What was queued before its registry had to wait is not run.
func (s *Service) runQueued(ctx context.Context, sweep *LifecycleSweep) error {
	var failed []error
	for ctx.Err() == nil {
		var (
			task  meta.LifecycleTask
			ok    bool
			state lifecycleState
		)
		queue := s.cfg.Gate.System("lifecycle")
		err := queue.Change(ctx, opSweep, func(ctx context.Context, tx *gate.Tx) (err error) {
			state = lifecycleState{}
			if task, ok, err = tx.Retention().TakeLifecycle(ctx, taskTime); err != nil || !ok {
				return err
			}
			return job(ctx, tx.Retention(), lifecycleJob, &state)
		})
		if err != nil {
			return errors.Join(append(failed, fmt.Errorf("taking a lifecycle run from the queue: %w", err))...)
		}
		if !ok {
			break
		}
		at := task.Repository.Registry.Repo(task.Repository.Name)
		if _, busy := s.running.Load(at.ARN()); busy {
			continue // a run that takes longer than taskTime, or one by hand; it is looked at again later
		}
		if at.In.Account != "" && !state.holds(at.In) { // its deletion has not begun
			if err := s.sweepOne(ctx, at, sweep); err != nil {
				failed = append(failed, fmt.Errorf("lifecycle run of %s: %w", at.ARN(), err))
			}
		}
		if ctx.Err() != nil {
			break // it was not finished; another process takes it later
		}
		err = queue.Change(ctx, opSweep, func(ctx context.Context, tx *gate.Tx) error { return tx.Retention().EndLifecycle(ctx, task) })
		if err != nil {
			failed = append(failed, fmt.Errorf("taking %s from the queue of lifecycle runs: %w", at.ARN(), err))
		}
	}
	return errors.Join(failed...)
}

// repositories yields those of all registries, each page as of another moment.
func (s *Service) repositories(ctx context.Context) iter.Seq2[meta.Repository, error] {
	return meta.Pages(0, surveyPage, func(after meta.RepositoryID, limit int) (page []meta.Repository, err error) {
		err = s.cfg.Gate.System("lifecycle").Read(ctx, opSweep, func(ctx context.Context, rd *gate.View) (err error) {
			page, err = rd.AllRepositories(ctx, after, limit)
			return err
		})
		return page, err
	}, func(r meta.Repository) meta.RepositoryID { return r.ID })
}

func (s *Service) sweepOne(ctx context.Context, at ecr.Repo, sweep *LifecycleSweep) error {
	run, err := s.System("lifecycle").RunLifecycle(ctx, at, RunOptions{})
	switch ecr.CodeOf(err) {
	case ecr.CodeRepositoryNotFound, ecr.CodeLifecyclePolicyNotFound:
		return nil // since it was listed
	}
	sweep.Expired += run.Expired
	sweep.Archived += run.Archived
	sweep.SizeBytes += run.SizeBytes
	for _, f := range run.Findings {
		s.cfg.Log.WarnContext(ctx, "lifecycle run", "repository", at.ARN(), "finding", f.Code, "why", f.Message)
	}
	if len(run.Findings) > 0 {
		sweep.Findings[at.ARN()] = run.Findings
	}
	if err == nil {
		sweep.Repositories++
	}
	return err
}

// lookAtClock notes the time of a scheduled run, and says what keeps it
// waiting: with state.Hold until someone confirms, otherwise this once.
func (s *Service) lookAtClock(ctx context.Context) (state lifecycleState, wait *RunFinding, err error) {
	now := s.readClocks()
	var jump time.Duration
	first := false
	if s.cfg.Passed != nil {
		jump, first = s.watch.peek(now)
	}
	err = s.cfg.Gate.System("lifecycle").Change(ctx, opSweep, func(ctx context.Context, tx *gate.Tx) error {
		state = lifecycleState{}
		if wait, err = s.compareClocks(ctx, tx.Retention(), now); err != nil || wait != nil {
			return err
		}
		if err := job(ctx, tx.Retention(), lifecycleJob, &state); err != nil {
			return err
		}
		wait, state.Downtime = judgeClock(now, jump, first, state.RanAt, state.Offset), nil
		switch {
		case wait != nil && wait.Code == FindingDowntime:
			state.Downtime = wait
		case wait != nil:
			state.Hold = &clockHold{Finding: *wait}
		case state.Hold != nil:
			wait = &state.Hold.Finding
		}
		state.RanAt, state.Offset = now.image, now.offset
		return putJob(ctx, tx.Retention(), lifecycleJob, state)
	})
	if err == nil && (wait == nil || wait.Code != FindingClockDiffers) {
		s.watch.note(now)
	}
	return state, wait, err
}

// peekAtClock says what keeps this process from running what is queued. It notes
// nothing, so that the next scheduled run sees a jump too. state.Hold is not its
// concern: that is looked at with each task.
func (s *Service) peekAtClock(ctx context.Context) (wait *RunFinding, err error) {
	now := s.readClocks()
	var jump time.Duration
	first := false
	if s.cfg.Passed != nil {
		jump, first = s.watch.peek(now)
	}
	err = s.cfg.Gate.System("lifecycle").Read(ctx, opSweep, func(ctx context.Context, rd *gate.View) error {
		var state lifecycleState
		if wait, err = s.compareClocks(ctx, rd.Retention(), now); err != nil || wait != nil {
			return err
		}
		if err := job(ctx, rd.Retention(), lifecycleJob, &state); err != nil {
			return err
		}
		if wait = judgeClock(now, jump, first, state.RanAt, state.Offset); wait == nil {
			wait = state.Downtime
		}
		return nil
	})
	return wait, err
}

// readClocks reads the clocks of this process.
func (s *Service) readClocks() reading {
	now := reading{image: s.cfg.Now()}
	if s.cfg.TestClock != nil {
		now.offset = s.cfg.TestClock.Offset()
	}
	if s.cfg.Passed != nil {
		now.passed = s.cfg.Passed()
	}
	return now
}

// compareClocks says how far the image clock is from the database's clock, where
// that is another machine's; nil when it is near enough.
func (s *Service) compareClocks(ctx context.Context, r meta.JobReader, now reading) (*RunFinding, error) {
	if !s.cfg.DatabaseClock {
		return nil, nil
	}
	database, err := r.Now(ctx)
	if err != nil {
		return nil, err
	}
	return judgeDifference(now, database), nil
}

// holds reports whether scheduled runs of a registry wait.
func (s lifecycleState) holds(in ecr.RegistryID) bool {
	return s.Hold != nil && !slices.Contains(s.Hold.Confirmed, in.String())
}

// finish notes that the policy was evaluated, what stopped the run, and that
// an operator who runs one by hand trusts the clock.
func (x *execution) finish(ctx context.Context) error {
	return x.c.gate.ChangeRepository(ctx, opRunLifecycle, x.at, func(ctx context.Context, tx *gate.Tx, repo meta.Repository) error {
		if err := tx.SetLifecycleEvaluated(ctx, repo.ID, x.run.At); err != nil {
			return err
		}
		var stopped meta.LifecycleFinding
		for _, f := range x.run.Findings {
			if f.Code == FindingMaxExpire {
				stopped = meta.LifecycleFinding(f)
			}
		}
		known, err := tx.Retention().LifecycleFinding(ctx, repo.ID)
		if err != nil && !errors.Is(err, meta.ErrNotFound) {
			return err
		}
		if known != stopped {
			if err := tx.Retention().PutLifecycleFinding(ctx, repo.ID, stopped); err != nil {
				return err
			}
		}
		if tx.Principal().System != "" {
			return nil
		}
		var state lifecycleState
		if err := job(ctx, tx.Retention(), lifecycleJob, &state); err != nil || !state.holds(x.at.In) {
			return err
		}
		state.Hold.Confirmed = append(state.Hold.Confirmed, x.at.In.String())
		return putJob(ctx, tx.Retention(), lifecycleJob, state)
	})
}

package retention

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/gate"
)

// TestClock is an image clock that can be moved: some clock, and an offset. It
// is safe for concurrent use.
type TestClock struct {
	now    func() time.Time
	moving sync.Mutex // held by one MoveClock at a time
	mu     sync.Mutex
	offset time.Duration // guarded by mu
}

// NewTestClock returns a clock that goes as now does.
func NewTestClock(now func() time.Time) *TestClock { return &TestClock{now: now} }

// Now is the time of the clock, in UTC and to the microsecond.
func (c *TestClock) Now() time.Time {
	return c.now().Add(c.Offset()).UTC().Truncate(time.Microsecond)
}

// Offset is how far the clock is ahead.
func (c *TestClock) Offset() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.offset
}

// Advance moves the clock by d, which may be negative, until the process ends.
func (c *TestClock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.offset += d
}

func (c *TestClock) set(offset time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.offset = offset
}

// maxOffset keeps a test clock within the years that everything can hold.
const maxOffset = 100 * 365 * 24 * time.Hour

var opMoveClock = gate.Op("MoveClock", "kontor:MoveClock")

// MoveClock moves the test clock by d, also for the next start of the server,
// and returns its time. A d of 0 asks for the time.
// Errors: Validation on a server without a test clock, InvalidParameter.
func (c *Caller) MoveClock(ctx context.Context, in ecr.RegistryID, d time.Duration) (time.Time, error) {
	clock := c.s.cfg.TestClock
	if clock != nil {
		clock.moving.Lock()
		defer clock.moving.Unlock()
	}
	var offset time.Duration
	err := c.gate.Change(ctx, opMoveClock, func(ctx context.Context, tx *gate.Tx) error {
		if _, err := tx.EnterRegistry(ctx, in); err != nil {
			return err
		}
		if clock == nil {
			return ecr.Errorf(ecr.CodeValidation, "The image clock of this server cannot be moved: it was not started with --test-clock")
		}
		offset = clock.Offset() + d
		if d > maxOffset || d < -maxOffset || offset > maxOffset || offset < -maxOffset {
			return ecr.InvalidParameter("moveSeconds", "must not move the clock more than 100 years from the current time")
		}
		return putJob(ctx, tx.Retention(), clockJob, clockState{Offset: offset})
	})
	if err != nil {
		return time.Time{}, err
	}
	clock.set(offset)
	return clock.Now(), nil
}

const clockJob = "test-clock"

// clockState is what is kept of a test clock.
type clockState struct {
	Offset time.Duration `json:"offset"`
}

// RestoreClock sets the test clock, where there is one, to where it was moved
// in earlier runs of the server.
func (s *Service) RestoreClock(ctx context.Context) error {
	if s.cfg.TestClock == nil {
		return nil
	}
	var state clockState
	err := s.cfg.Gate.System("test clock").Read(ctx, gate.Op("RestoreClock"), func(ctx context.Context, rd *gate.View) error { return job(ctx, rd.Retention(), clockJob, &state) })
	if err != nil {
		return fmt.Errorf("reading the time of the test clock: %w", err)
	}
	s.cfg.TestClock.set(state.Offset)
	return nil
}

// clockWatch notices when the image clock does not go as time passes. Intended
// moves of a test clock are not jumps.
type clockWatch struct {
	mu    sync.Mutex
	known bool
	last  reading // guarded by mu, as is known
}

// reading is one look at the clocks.
type reading struct {
	image  time.Time
	passed time.Duration // for the machine, whatever its clocks are set to
	offset time.Duration // of a test clock
}

// Tolerances of a clock watch.
const (
	maxJump     = 24 * time.Hour  // ahead
	maxBackJump = 5 * time.Minute // back
	// maxDowntime is how long no run may have been before the first run of a
	// process waits for one more interval.
	maxDowntime = 24 * time.Hour
)

// jump is how much further than the time that passed the image clock went.
func (r reading) jump(since reading) time.Duration {
	return r.image.Sub(since.image) - (r.passed - since.passed) - (r.offset - since.offset)
}

// peek returns the jump since the reading that was noted last. first is set when
// there was none in this process.
func (w *clockWatch) peek(r reading) (jump time.Duration, first bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.known {
		jump = r.jump(w.last)
	}
	return jump, !w.known
}

// note notes a reading.
func (w *clockWatch) note(r reading) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.last, w.known = r, true
}

// Codes of clock findings.
const (
	FindingClockAhead   = "clock-ahead"
	FindingClockBack    = "clock-back"
	FindingClockDiffers = "clock-differs"
	FindingDowntime     = "downtime"
)

// judgeDifference says why a process has to wait whose clock is not that of the
// database; nil when it need not.
func judgeDifference(now reading, database time.Time) *RunFinding {
	away := now.image.Add(-now.offset).Sub(database)
	if away <= maxJump && away >= -maxBackJump {
		return nil
	}
	return &RunFinding{FindingClockDiffers, fmt.Sprintf("the clock of this server differs by %s from the clock of the database, %s: scheduled lifecycle runs of this server wait until both agree",
		away.Round(time.Second), database.Format(time.RFC3339))}
}

// judgeClock says why scheduled runs have to wait; nil when they need not.
// ranAt is the image time of the last scheduled run of any process, zero for
// none, and offset the test clock's at that time.
func judgeClock(now reading, jump time.Duration, first bool, ranAt time.Time, offset time.Duration) *RunFinding {
	if first && !ranAt.IsZero() {
		switch away := now.image.Sub(ranAt) - (now.offset - offset); {
		case away < -maxBackJump:
			jump = away
		case away > maxDowntime:
			return &RunFinding{FindingDowntime, fmt.Sprintf("no lifecycle run since %s: the first one waits for one interval, so that a wrong clock can be noticed; a run by hand does not wait",
				ranAt.Format(time.RFC3339))}
		}
	}
	switch {
	case jump > maxJump:
		return &RunFinding{FindingClockAhead, fmt.Sprintf("the clock jumped %s ahead, to %s (or the machine slept): scheduled lifecycle runs wait until a run by hand confirms that it is right",
			jump.Round(time.Second), now.image.Format(time.RFC3339))}
	case jump < -maxBackJump:
		return &RunFinding{FindingClockBack, fmt.Sprintf("the clock jumped %s back, to %s: scheduled lifecycle runs wait until a run by hand confirms that it is right",
			(-jump).Round(time.Second), now.image.Format(time.RFC3339))}
	}
	return nil
}

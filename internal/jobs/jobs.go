// Package jobs runs the background jobs of a registry on a schedule: it runs
// lifecycle policies, sends events, and removes abandoned uploads, unreferenced blobs and
// files, and expired entries of the recycle bin and the journal. It contains the schedule
// and the jobs, except for lifecycle runs, which are in package retention.
//
// It guarantees that of all processes one at a time does a job, that a job that fails
// or panics is logged and retried, and that no job outlives Run. A process has a lease
// on the job it does, in the database and by its clock. One that was stopped for
// longer than its lease changes nothing more. The lifecycle policies are run by all
// processes, each taking one repository after the other from a queue. Each operation
// is safe for concurrent use, and may be killed at any point.
//
// Jobs act as the server itself, through the gate, with their name as the reason.
// They ask for no permission and leave no record: a job that frees the space of a
// full disk must not wait for a record on that disk.
package jobs

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/kontor-registry/kontor/internal/events/delivery"
	"github.com/kontor-registry/kontor/internal/gate"
	"github.com/kontor-registry/kontor/internal/registry"
	"github.com/kontor-registry/kontor/internal/retention"
	"github.com/kontor-registry/kontor/internal/store/blob"
)

// Config says what to do, how often, and by which clocks.
type Config struct {
	Gate  *gate.Gate // required
	Blobs blob.Store // required
	// Registry has the uploads that are being written to, Retention the
	// lifecycle policies. Both are required.
	Registry  *registry.Registry
	Retention *retention.Service
	// Events has the receivers of events; nil for none.
	Events *delivery.Service
	// Scans scans images; nil for none.
	Scans Scans
	// Signing signs images; nil for none.
	Signing Signing
	// ImageNow is the clock of the rows, Now that of the machine's files. Both
	// are required.
	ImageNow func() time.Time
	Now      func() time.Time
	// Log receives what was removed, and failures. Required.
	Log *slog.Logger
	// UploadAge is how long an upload may lie untouched. Default 24 hours.
	UploadAge time.Duration
	// OrphanWait is how long a file stays that was found to be an orphan. 0 is not
	// at all.
	OrphanWait time.Duration
	// JournalTime is how long the journal is kept; 0 is for ever.
	JournalTime time.Duration
	// LifecycleEvery is how often to run the lifecycle policies. Default
	// 1 hour; negative is never.
	LifecycleEvery time.Duration
	// Replica is the name of this process, for whoever looks at the jobs. OneProcess
	// says that there is no other on the database.
	Replica    string
	OneProcess bool
	// Done is told of each time that a job was done or failed: its name, what
	// it removed and why it failed. It must not wait. May be nil.
	Done func(name string, removed Removed, err error)
}

// Scans are scans of images that wait, which slots share. Package scanning has them.
type Scans interface {
	// Slots is how many there are; Wake is sent to when slot i may have something to do.
	Slots() int
	Wake(i int) <-chan struct{}
	// RunSlot does what is due, and returns how many scans were over.
	RunSlot(ctx context.Context, i int) (int, error)
}

// Signing are signatures of images that wait to be made. Package managed has them.
type Signing interface {
	// Wake is sent to when there may be something to do.
	Wake() <-chan struct{}
	// Due reports whether a signature is to be made. It only reads, so that servers that
	// sign nothing write nothing.
	Due(ctx context.Context) bool
	// Run does what is due, and returns how many signatures were made.
	Run(ctx context.Context) (int, error)
}

// Removed is what a job removed.
type Removed struct {
	Count     int
	SizeBytes int64
}

// Defaults of Config.
const (
	DefaultUploadAge      = 24 * time.Hour
	DefaultLifecycleEvery = time.Hour
)

// How often to do what; uploads are looked for more often where they may not
// lie for long. The first time is after one such time.
const (
	uploadsEvery = 10 * time.Minute
	orphansEvery = 6 * time.Hour
	collectEvery = time.Hour
	trimEvery    = 24 * time.Hour
	// queueEvery is how often a process looks for lifecycle runs that another queued.
	queueEvery = time.Minute
	// deletionsEvery is for those that another process began and did not finish.
	deletionsEvery = time.Minute
	// overdueEvery is how often collectors of leases are looked for that did not report.
	overdueEvery = time.Minute
	// scansEvery is for scans that another process queued or began, or that failed.
	scansEvery = 15 * time.Second
	// signingEvery is for signatures that another process queued, or that failed.
	signingEvery = 15 * time.Second
	// orphanAge is how old a file must be before it can be an orphan.
	orphanAge = 24 * time.Hour
)

// Jobs does what is to be done. It is safe for concurrent use.
type Jobs struct {
	cfg        Config
	renewEvery time.Duration // of leases
}

// New returns Jobs. It starts nothing.
func New(cfg Config) *Jobs {
	if cfg.UploadAge <= 0 {
		cfg.UploadAge = DefaultUploadAge
	}
	if cfg.LifecycleEvery == 0 {
		cfg.LifecycleEvery = DefaultLifecycleEvery
	}
	return &Jobs{cfg, renewEvery}
}

// job is one thing to do again and again.
type job struct {
	name  string
	every time.Duration
	do    func(context.Context) (Removed, error)
	// now has it done at once, nil for never; atStart, when the jobs start.
	now     <-chan struct{}
	atStart bool
	// all: every process does it, without a lease.
	all bool
	// due, where it is set, is asked at each time whether there is something to do; then
	// it is done, however short a time ago it was done last.
	due func(context.Context) bool
}

// Run does every job at its time until ctx is done, and waits for those that
// are running. It returns nil.
func (j *Jobs) Run(ctx context.Context) error { return j.run(ctx, j.schedule()) }

func (j *Jobs) run(ctx context.Context, all []job) error {
	g := new(errgroup.Group)
	for _, job := range all {
		g.Go(func() error {
			j.loop(ctx, job)
			return nil
		})
	}
	return g.Wait()
}

func (j *Jobs) schedule() []job {
	all := []job{
		{name: "repository deletion", every: deletionsEvery, do: func(ctx context.Context) (Removed, error) {
			n, err := j.cfg.Retention.FinishDeletions(ctx)
			return Removed{Count: n}, err
		}, now: j.cfg.Retention.Deletions(), atStart: true},
		{name: "upload expiry", every: max(1, min(uploadsEvery, j.cfg.UploadAge/4)), do: func(ctx context.Context) (Removed, error) {
			return j.ExpireUploads(ctx, j.cfg.ImageNow().Add(-j.cfg.UploadAge))
		}},
		{name: "orphan sweep", every: orphansEvery, do: func(ctx context.Context) (Removed, error) {
			return j.SweepOrphans(ctx, j.cfg.Now().Add(-orphanAge))
		}},
		{name: "collection", every: collectEvery, do: func(ctx context.Context) (Removed, error) {
			done, err := j.Collect(ctx)
			return Removed{done.BinEntries + done.Links + done.Blobs, done.SizeBytes}, err
		}},
		{name: "journal trimming", every: trimEvery, do: j.TrimJournal},
		{name: "pull activity trimming", every: trimEvery, do: j.TrimActivity},
	}
	all = append(all, job{name: "repository figures", every: figuresEvery, do: func(ctx context.Context) (Removed, error) {
		return Removed{}, j.CountRepositories(ctx) // it removes nothing
	}, due: j.FiguresDue})
	if events := j.cfg.Events; events != nil {
		all = append(all, job{name: "event delivery", every: delivery.Every, do: func(ctx context.Context) (Removed, error) {
			_, err := events.Deliver(ctx)
			return Removed{}, err
		}, now: events.Written(), due: events.Due}, job{name: "event log trimming", every: collectEvery, do: func(ctx context.Context) (Removed, error) {
			n, err := events.Trim(ctx)
			return Removed{Count: n}, err
		}}, job{name: "overdue leases", every: overdueEvery, do: func(ctx context.Context) (Removed, error) {
			_, err := events.FindOverdue(ctx)
			return Removed{}, err
		}, due: events.WantsOverdue})
	}
	if j.cfg.LifecycleEvery > 0 {
		all = append(all, job{name: "lifecycle", every: j.cfg.LifecycleEvery, do: j.lifecycle},
			job{name: "queued lifecycle runs", every: queueEvery, do: func(ctx context.Context) (Removed, error) {
				return j.swept(ctx, j.cfg.Retention.RunQueuedLifecycle)
			}, all: true})
	}
	if j.cfg.Signing != nil {
		all = append(all, job{name: "image signing", every: signingEvery, do: func(ctx context.Context) (Removed, error) {
			_, err := j.cfg.Signing.Run(ctx)
			return Removed{}, err // it removes nothing
		}, now: j.cfg.Signing.Wake(), due: j.cfg.Signing.Due})
	}
	if j.cfg.Scans != nil {
		for i := range j.cfg.Scans.Slots() {
			all = append(all, job{name: fmt.Sprintf("image scans %d", i+1), every: scansEvery, do: func(ctx context.Context) (Removed, error) {
				_, err := j.cfg.Scans.RunSlot(ctx, i)
				return Removed{}, err // it removes nothing
			}, now: j.cfg.Scans.Wake(i), atStart: true})
		}
	}
	return all
}

// lifecycle runs every repository's lifecycle policy. What a run finds
// is logged where it is found.
func (j *Jobs) lifecycle(ctx context.Context) (Removed, error) {
	return j.swept(ctx, j.cfg.Retention.RunAllLifecycle)
}

func (j *Jobs) swept(ctx context.Context, run func(context.Context) (retention.LifecycleSweep, error)) (Removed, error) {
	done, err := run(ctx)
	if done.Archived > 0 {
		j.cfg.Log.InfoContext(ctx, "images archived", "job", "lifecycle", "archived", done.Archived)
	}
	return Removed{done.Expired, done.SizeBytes}, err
}

func (j *Jobs) loop(ctx context.Context, job job) {
	tick := time.NewTicker(job.every)
	defer tick.Stop()
	if job.atStart {
		j.once(ctx, job, true)
	}
	for {
		now := false
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-job.now:
			now = true
		}
		if job.due != nil {
			if !wanted(ctx, job) {
				continue
			}
			now = true
		}
		j.once(ctx, job, now)
	}
}

// wanted asks whether there is something to do. A defect in the question must not end the
// registry: then the job is done, which reports it.
func wanted(ctx context.Context, job job) (yes bool) {
	defer func() {
		if recover() != nil {
			yes = true
		}
	}()
	return job.due(ctx)
}

// once does a job once, if that is for this process; now, also when another one did
// it a short time ago.
func (j *Jobs) once(ctx context.Context, job job, now bool) {
	do := j.lead
	if job.all {
		do = j.alone
	}
	removed, ran, err := do(ctx, job, now)
	if !ran {
		return
	}
	if j.cfg.Done != nil && ctx.Err() == nil {
		j.cfg.Done(job.name, removed, err)
	}
	switch {
	case ctx.Err() != nil: // told to stop; the rest is for the next start
	case err != nil:
		j.cfg.Log.ErrorContext(ctx, "job failed", "job", job.name, "removed", removed.Count, "error", err)
	case removed.Count > 0:
		j.cfg.Log.InfoContext(ctx, "job done", "job", job.name, "removed", removed.Count, "bytes", removed.SizeBytes)
	}
}

// alone does a job without regard to other processes.
func (j *Jobs) alone(ctx context.Context, job job, _ bool) (Removed, bool, error) {
	removed, err := protect(ctx, job.do)
	return removed, true, err
}

// protect makes an error of a panic, so that a defect in a job does not end
// the registry.
func protect(ctx context.Context, do func(context.Context) (Removed, error)) (removed Removed, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic: %v", v)
		}
	}()
	return do(ctx)
}

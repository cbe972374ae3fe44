package jobs

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/gate"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

const (
	// leaseTime is how long other processes leave a job alone whose process does not
	// renew its lease, renewEvery how often that is done.
	leaseTime  = time.Minute
	renewEvery = leaseTime / 6
)

var opLease = gate.Op("LeaseJob")

// errLost: another process does the job now.
var errLost = errors.New("another process has taken the job over")

// lead does a job if no other process does, or did a short time ago. ran is false
// where it was left to another one.
func (j *Jobs) lead(ctx context.Context, job job, now bool) (removed Removed, ran bool, err error) {
	system := j.cfg.Gate.System(job.name)
	var token int64
	err = system.Change(ctx, opLease, func(ctx context.Context, tx *gate.Tx) (err error) {
		token, ran, err = tx.Retention().TakeJob(ctx, meta.JobTerms{
			Name: job.name, Holder: j.cfg.Replica, For: leaseTime,
			// The clocks of processes tick at different moments: a little early is
			// better than one time too late.
			Every: job.every - job.every/10, Now: now, Alone: j.cfg.OneProcess,
		})
		return err
	})
	if err != nil || !ran {
		return Removed{}, err != nil, err
	}
	progress := new(atomic.Int64)
	work, stop := j.keep(ctx, job.name, token, progress)
	removed, err = protect(work, job.do)
	lost := errors.Is(context.Cause(work), errLost)
	stop()
	if lost {
		return removed, true, errors.Join(errLost, err)
	}
	result := meta.JobResult{Removed: removed.Count, SizeBytes: removed.SizeBytes}
	switch {
	case ctx.Err() != nil:
		result.Error = "the server was stopped"
	case err != nil:
		result.Error = text(err)
	}
	ended := system.Change(context.WithoutCancel(ctx), opLease, func(ctx context.Context, tx *gate.Tx) error {
		return tx.Retention().EndJob(ctx, job.name, token, result)
	})
	if errors.Is(ended, meta.ErrConflict) {
		ended = errLost
	}
	return removed, true, errors.Join(err, ended)
}

// maxErrorText bounds what is kept of an error, in bytes.
const maxErrorText = 4 << 10

// text is the text of err as every database takes it: short, valid UTF-8 without NUL.
func text(err error) string {
	s := strings.ReplaceAll(err.Error(), "\x00", "\uFFFD")
	if len(s) > maxErrorText {
		s = s[:maxErrorText-len("...")] + "..."
	}
	return strings.ToValidUTF8(s, "")
}

// keep renews a lease until stop is called. The context it returns ends when the
// lease is lost, and nothing is changed with it then.
func (j *Jobs) keep(ctx context.Context, name string, token int64, progress *atomic.Int64) (work context.Context, stop func()) {
	renewals, cancel := context.WithCancel(ctx)
	work, lost := context.WithCancelCause(context.WithValue(ctx, progressKey{}, progress))
	work = gate.Fenced(work, func(ctx context.Context, r meta.JobReader) error {
		err := r.CheckJob(ctx, name, token)
		if errors.Is(err, meta.ErrConflict) {
			lost(errLost)
		}
		return err
	})
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		tick := time.NewTicker(j.renewEvery)
		defer tick.Stop()
		for {
			select {
			case <-renewals.Done():
				return
			case <-tick.C:
			}
			err := j.cfg.Gate.System(name).Change(renewals, opLease, func(ctx context.Context, tx *gate.Tx) error {
				return tx.Retention().RenewJob(ctx, name, token, leaseTime, int(progress.Load()))
			})
			switch {
			case errors.Is(err, meta.ErrConflict):
				lost(errLost)
				return
			case err != nil && renewals.Err() == nil:
				j.cfg.Log.WarnContext(ctx, "lease of a job not renewed", "job", name, "error", err)
			}
		}
	}()
	return work, func() { cancel(); <-stopped; lost(nil) }
}

type progressKey struct{}

// progressed notes that a job removed n more.
func progressed(ctx context.Context, n int) {
	if p, ok := ctx.Value(progressKey{}).(*atomic.Int64); ok {
		p.Add(int64(n))
	}
}

var opListJobs = gate.Op("ListJobs", "kontor:ListJobs")

// ListJobs returns the jobs that were ever begun, of all processes.
func (c *Caller) ListJobs(ctx context.Context, in ecr.RegistryID) ([]meta.JobLease, error) {
	var all []meta.JobLease
	err := c.gate.Read(ctx, opListJobs, func(ctx context.Context, v *gate.View) error {
		if _, err := v.EnterRegistry(ctx, in); err != nil {
			return err
		}
		var err error
		all, err = v.Retention().JobLeases(ctx)
		return err
	})
	return all, err
}

package jobs

import (
	"context"
	"time"
)

// CollectInBatches is Collect in small batches, without pauses.
func (j *Jobs) CollectInBatches(ctx context.Context, batch int) (Collected, error) {
	return j.collect(ctx, bounds{batch, -1})
}

// RunEvery is Run of some jobs every so often; files are orphans at once.
func (j *Jobs) RunEvery(ctx context.Context, every map[string]time.Duration) error {
	var some []job
	for _, job := range j.schedule() {
		if job.every = every[job.name]; job.every == 0 {
			continue
		}
		if job.name == "orphan sweep" {
			job.do = func(ctx context.Context) (Removed, error) { return j.SweepOrphans(ctx, j.cfg.Now()) }
		}
		some = append(some, job)
	}
	return j.run(ctx, some)
}

// Do does one job of the schedule.
func (j *Jobs) Do(ctx context.Context, name string) (Removed, error) {
	for _, job := range j.schedule() {
		if job.name == name {
			return job.do(ctx)
		}
	}
	panic("there is no job " + name)
}

// Wanted asks due as the loop of a job does.
func Wanted(ctx context.Context, due func(context.Context) bool) bool {
	return wanted(ctx, job{due: due})
}

// RenewOften has leases renewed, and progress noted, all the time.
func (j *Jobs) RenewOften() { j.renewEvery = time.Millisecond }

// Lead does do as the job name, if it is for this process.
func (j *Jobs) Lead(ctx context.Context, name string, now bool, do func(ctx context.Context) (Removed, error)) (Removed, bool, error) {
	return j.lead(ctx, job{name: name, every: time.Hour, do: do}, now)
}

// Progressed notes progress of the job that ctx is of.
func Progressed(ctx context.Context, n int) { progressed(ctx, n) }

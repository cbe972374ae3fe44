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

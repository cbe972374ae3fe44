package jobs

import (
	"context"
	"fmt"
	"time"

	"github.com/kontor-registry/kontor/internal/gate"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

const (
	// figuresEvery is how often repositories are looked for that are to be counted.
	figuresEvery = time.Minute
	// figuresAge is how old figures become where no tag was set: images that expire, and
	// pulls, change them, too.
	figuresAge = time.Hour
	// figuresSlack is how long a push takes at most between setting its tag and its end.
	figuresSlack = time.Minute
	// figuresBatch is how many repositories are counted at once.
	figuresBatch = 50
)

var opCountRepositories = gate.Op("CountRepositories")

// staleFigures are the repositories that are to be counted.
func (j *Jobs) staleFigures(now time.Time) meta.StaleFigures {
	return meta.StaleFigures{Before: now.Add(-figuresAge), Slack: figuresSlack}
}

// FiguresDue reports whether a repository is to be counted. It only reads.
func (j *Jobs) FiguresDue(ctx context.Context) (yes bool) {
	err := j.cfg.Gate.System("repository figures").Read(ctx, opCountRepositories, func(ctx context.Context, v *gate.View) error {
		some, err := v.Retention().Figures().StaleFigures(ctx, j.staleFigures(j.cfg.ImageNow()), 0, 1)
		yes = len(some) > 0
		return err
	})
	return yes || err != nil // the job says what is wrong
}

// CountRepositories counts the repositories whose figures, by which lists are sorted, are
// an hour old or from before the last push. Each figure is of one moment. A push waits for
// nothing of it. It may be killed at any point.
func (j *Jobs) CountRepositories(ctx context.Context) error {
	as, after := j.cfg.Gate.System("repository figures"), meta.RepositoryID(0)
	for {
		now := j.cfg.ImageNow()
		var all []meta.Figures
		err := as.Read(ctx, opCountRepositories, func(ctx context.Context, v *gate.View) error {
			all = nil
			ids, err := v.Retention().Figures().StaleFigures(ctx, j.staleFigures(now), after, figuresBatch)
			for i := 0; i < len(ids) && err == nil; i++ {
				var f meta.Figures
				f, err = v.Retention().Figures().CountFigures(ctx, ids[i])
				f.CountedAt = now
				all = append(all, f)
			}
			return err
		})
		if err == nil && len(all) > 0 {
			err = as.Change(ctx, opCountRepositories, func(ctx context.Context, tx *gate.Tx) error {
				return tx.Retention().FigureWriter().PutFigures(ctx, all)
			})
		}
		if err != nil {
			return fmt.Errorf("counting repositories: %w", err)
		}
		if len(all) < figuresBatch {
			return nil
		}
		after = all[len(all)-1].Repository
	}
}

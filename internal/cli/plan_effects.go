package cli

import (
	"context"
	"errors"

	"golang.org/x/sync/errgroup"

	"github.com/kontor-registry/kontor/internal/deploy"
	"github.com/kontor-registry/kontor/internal/deploy/plan"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/lifecycle"
)

// effects fills in what the lifecycle policies of d's plans do to the existing
// images. On AWS no manifests are read, because that counts as a pull. Images
// that the caller may not read are reported as such; any other error is one of
// the site.
func (e *Env) effects(ctx context.Context, d *deployment) {
	d.each(func(s *site) {
		s.conn.Indexes = e.indexReader(s.conn)
		var g errgroup.Group
		g.SetLimit(max(1, d.parallel))
		for i := range s.plan.Changes {
			c := &s.plan.Changes[i]
			if c.Before == nil || c.Op == plan.OpDelete || !c.Has(plan.FieldLifecycle) {
				continue
			}
			g.Go(func() error { return e.effectsOf(ctx, s, c) })
		}
		s.err = g.Wait()
	})
}

func (e *Env) effectsOf(ctx context.Context, s *site, c *plan.Change) error {
	snapshot, err := s.conn.Images(ctx, c.Repository, s.conn.Indexes != nil, e.Now())
	var failed *deploy.Error
	if errors.As(err, &failed) && failed.Code == string(ecr.CodeAccessDenied) {
		c.Effects = &plan.Effects{Unread: failed.Message}
		return nil
	}
	if err != nil {
		return err
	}
	o := lifecycle.Options{}
	if !snapshot.Kontor {
		o = lifecycle.PredictAWS()
	}
	all, _ := snapshot.Images()
	x, err := plan.EffectsOf(c.Before.Lifecycle, c.After.Lifecycle, o, all, snapshot.Linked(), snapshot.Taken)
	if err == nil { // else the plan has a finding
		c.Effects = &x
	}
	return nil
}

package retention

import (
	"context"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// Occupy has a lifecycle run of a repository under way until it is called off.
func (s *Service) Occupy(at ecr.Repo) (callOff func()) {
	s.running.Store(at.ARN(), true)
	return func() { s.running.Delete(at.ARN()) }
}

// ActivityOf is Activity that looks at most rows.
func (c *Caller) ActivityOf(ctx context.Context, f ActivityFilter, after meta.PullKey, limit, most int) ([]meta.PullActivity, meta.PullKey, error) {
	return c.activity(ctx, f, after, limit, most)
}

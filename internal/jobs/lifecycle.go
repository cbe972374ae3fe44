package jobs

import (
	"context"

	"github.com/kontor-registry/kontor/internal/registry"
)

// lifecycle carries out every repository's lifecycle policy. What a run finds
// is logged where it is found.
func (c Config) lifecycle(ctx context.Context) (registry.Expired, error) {
	done, err := c.Registry.RunAllLifecycle(ctx)
	if done.Archived > 0 {
		c.Log.InfoContext(ctx, "images archived", "job", "lifecycle", "archived", done.Archived)
	}
	return registry.Expired{Count: done.Expired, SizeBytes: done.SizeBytes}, err
}

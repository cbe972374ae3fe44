package jobs

import (
	"context"

	"github.com/kontor-registry/kontor/internal/registry"
)

// collect empties the recycle bin of what expired, and removes links, blobs
// and files that nothing needs.
func (c Config) collect(ctx context.Context) (registry.Expired, error) {
	done, err := c.Registry.Collect(ctx, c.Collect)
	return registry.Expired{Count: done.BinEntries + done.Links + done.Blobs, SizeBytes: done.SizeBytes}, err
}

// trimJournal removes what the journal has kept for long enough.
func (c Config) trimJournal(ctx context.Context) (registry.Expired, error) {
	n, err := c.Registry.TrimJournal(ctx, c.Collect)
	return registry.Expired{Count: n}, err
}

package serve

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/kontor-registry/kontor/internal/store/meta/postgres"
	"github.com/kontor-registry/kontor/internal/store/meta/sqlite"
	"github.com/kontor-registry/kontor/internal/store/meta/sqlstore"
)

// Schema says which schema the database of c has, after an update where up is set.
func (c *Config) Schema(ctx context.Context, up bool) (s sqlstore.Schema, err error) {
	at := c.Settings.Database.URL
	if at == "" {
		return SchemaOf(ctx, c.sqlite(), up)
	}
	if up {
		if err := c.makeSchema(ctx); err != nil {
			return s, err
		}
	}
	return postgres.Schema(ctx, at)
}

// SchemaOf is Schema for a file of SQLite, which must be there.
func SchemaOf(ctx context.Context, path string, up bool) (s sqlstore.Schema, err error) {
	s, err = sqlite.Schema(ctx, path)
	if errors.Is(err, fs.ErrNotExist) {
		return s, fmt.Errorf("there is no database yet: %w", err)
	}
	if err != nil || !up {
		return s, err
	}
	db, err := sqlite.Open(ctx, sqlite.Config{Path: path})
	if err != nil {
		return s, err
	}
	if err := db.Close(); err != nil {
		return s, err
	}
	return sqlite.Schema(ctx, path)
}

package serve

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"path/filepath"
	"strings"

	"github.com/kontor-registry/kontor/internal/datadir"
	"github.com/kontor-registry/kontor/internal/store/blob/disk"
	"github.com/kontor-registry/kontor/internal/store/blob/s3"
	"github.com/kontor-registry/kontor/internal/store/meta/postgres"
	"github.com/kontor-registry/kontor/internal/store/meta/sqlite"
	"github.com/kontor-registry/kontor/internal/store/meta/transfer"
	"github.com/kontor-registry/kontor/internal/store/move"
)

// Move is both ends of a move, open.
type Move struct {
	move.Config

	from  *Config
	close []func() error
}

// OpenMove opens the data of from, next to the servers that use it, and that of to,
// whose database gets its schema.
func OpenMove(ctx context.Context, from, to *Config) (m *Move, err error) {
	m = &Move{from: from}
	defer func() {
		if err != nil {
			err = errors.Join(err, m.Close())
		}
	}()
	if !bytes.Equal(from.key.DownloadKey(), to.key.DownloadKey()) {
		return m, errors.New("the two configurations have different master keys: the secrets in the database can be read with the first one only, so give it to both")
	}
	m.SameDatabase, m.SameBlobs = from.sameDatabase(to), from.sameBlobs(to)
	old, err := from.OpenReader(ctx)
	if err != nil {
		return m, err
	}
	m.closes(old.Close)
	m.Meta, m.From.Blobs = old.Meta, old.Blobs
	if m.From.Rows, err = from.rows(ctx); err != nil {
		return m, err
	}
	m.closes(m.From.Rows.Close)
	if err := m.openTo(ctx, to); err != nil {
		return m, err
	}
	if m.SameBlobs {
		m.To.Blobs = m.From.Blobs
	}
	if m.SameDatabase {
		m.To.Rows = m.From.Rows
		return m, nil
	}
	if m.To.Rows, err = to.rows(ctx); err != nil {
		return m, err
	}
	m.closes(m.To.Rows.Close)
	return m, nil
}

func (m *Move) closes(f func() error) { m.close = append(m.close, f) }

// openTo makes the schema of to's database, and opens its blob store. A folder that
// from's server may have open is not locked.
func (m *Move) openTo(ctx context.Context, to *Config) error {
	if to.Settings.Data != "" && !m.from.sameFolder(to) || to.Settings.Data == "" && !m.SameBlobs && !m.SameDatabase {
		s, err := to.Open(ctx)
		if err != nil {
			return err
		}
		m.closes(s.Close)
		m.To.Blobs = s.Blobs
		return nil
	}
	if !m.SameDatabase {
		if err := to.makeSchema(ctx); err != nil {
			return err
		}
	}
	var err error
	switch x := to.Settings.Storage.S3; {
	case m.SameBlobs:
	case x != nil:
		bucket := x.config()
		bucket.MemoryBytes = to.uploadMemory
		m.To.Blobs, err = s3.Open(ctx, bucket)
	default: // from's server uses the folder, and another blob store
		m.To.Blobs, err = disk.Open(disk.Config{Dir: filepath.Join(to.Settings.Data, "blobs")})
	}
	return err
}

// makeSchema makes the database of c where it is not there.
func (c *Config) makeSchema(ctx context.Context) error {
	if at := c.Settings.Database.URL; at != "" {
		db, err := postgres.Open(ctx, postgres.Config{URL: at})
		if err != nil {
			return err
		}
		return db.Close()
	}
	if err := disk.MakeDir(c.Settings.Data); err != nil {
		return err
	}
	db, err := sqlite.Open(ctx, sqlite.Config{Path: c.sqlite()})
	if err != nil {
		return err
	}
	return db.Close()
}

func (c *Config) sqlite() string { return filepath.Join(c.Settings.Data, "kontor.db") }

func (c *Config) rows(ctx context.Context) (*transfer.Database, error) {
	if at := c.Settings.Database.URL; at != "" {
		return postgres.Rows(ctx, at)
	}
	return sqlite.Rows(c.sqlite())
}

// Stop makes sure that no server uses the data of from until m is closed, as a move of
// the blobs alone needs. It cannot know where replicas may run, and reports false then.
func (m *Move) Stop(ctx context.Context) (sure bool, err error) {
	if m.from.Settings.Data == "" || m.from.Settings.Database.URL != "" && m.from.Settings.Storage.S3 != nil {
		return false, nil
	}
	d, err := datadir.OpenWith(ctx, m.from.Settings.Data, datadir.Given{Meta: m.Meta, Blobs: m.From.Blobs, Key: &m.from.key})
	if err != nil {
		return false, err
	}
	m.closes(d.Close)
	return true, nil
}

// Close closes both ends.
func (m *Move) Close() error {
	s := Stores{close: m.close}
	m.close = nil
	return s.Close()
}

func (c *Config) sameFolder(o *Config) bool {
	a, b := c.Settings.Data, o.Settings.Data
	if a == "" || b == "" {
		return false
	}
	return absolute(a) == absolute(b)
}

// absolute is the name of a folder by which two names of it can be told to be the same.
func absolute(path string) string {
	if full, err := filepath.Abs(path); err == nil {
		path = full
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	return path
}

func (c *Config) sameDatabase(o *Config) bool {
	a, b := c.Settings.Database.URL, o.Settings.Database.URL
	if a == "" && b == "" {
		return c.sameFolder(o)
	}
	return a == b
}

func (c *Config) sameBlobs(o *Config) bool {
	a, b := c.Settings.Storage.S3, o.Settings.Storage.S3
	if a == nil || b == nil {
		return a == b && c.sameFolder(o)
	}
	place := func(x *S3) [4]string {
		return [4]string{strings.TrimSuffix(x.Endpoint, "/"), cmp.Or(x.Region, "us-east-1"), x.Bucket, strings.Trim(x.Prefix, "/")}
	}
	return place(a) == place(b)
}

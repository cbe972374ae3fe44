package serve

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/kontor-registry/kontor/internal/access/declared"
	"github.com/kontor-registry/kontor/internal/access/identity"
	"github.com/kontor-registry/kontor/internal/datadir"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/host"
	"github.com/kontor-registry/kontor/internal/server"
	"github.com/kontor-registry/kontor/internal/store/blob"
	"github.com/kontor-registry/kontor/internal/store/blob/s3"
	"github.com/kontor-registry/kontor/internal/store/blob/small"
	"github.com/kontor-registry/kontor/internal/store/meta"
	"github.com/kontor-registry/kontor/internal/store/meta/postgres"
	"github.com/kontor-registry/kontor/internal/traces"
)

// Options are what the process gives a server.
type Options struct {
	Log      *slog.Logger
	Observer server.Observer
	// Wrap, where it is set, stands before the metadata store, to measure it.
	Wrap   func(meta.Store) meta.Store
	Getenv func(string) string
}

// Server is one that runs.
type Server struct {
	*host.Server
	// Notices are further things that the operator should know.
	Notices []string

	stores *Stores
	traces *traces.Traces // nil for none
	log    *slog.Logger
}

// Stores are the data of a configuration.
type Stores struct {
	Meta  meta.Store
	Blobs blob.Store

	dir   *datadir.Dir // nil for none
	close []func() error
}

// Open opens the data of c, for one process.
func (c *Config) Open(ctx context.Context) (*Stores, error) {
	return c.open(ctx, datadir.OpenWith, false)
}

// OpenReader opens the data of c to read it, next to the servers that may use it.
func (c *Config) OpenReader(ctx context.Context) (*Stores, error) {
	return c.open(ctx, datadir.OpenReaderWith, true)
}

func (c *Config) open(ctx context.Context, folder func(context.Context, string, datadir.Given) (*datadir.Dir, error), reader bool) (s *Stores, err error) {
	s = &Stores{}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	var given datadir.Given
	if filepath.Clean(c.Settings.MasterKeyFile) != filepath.Join(c.Settings.Data, "master.key") {
		given.Key = &c.key
	}
	if x := c.Settings.Storage.S3; x != nil {
		bucket := x.config()
		bucket.MemoryBytes, bucket.Log = c.uploadMemory, c.Host.Server.Log
		if given.Blobs, err = s3.Open(ctx, bucket); err != nil {
			return s, err
		}
	}
	if at := c.Settings.Database.URL; at != "" {
		db, err := postgres.Open(ctx, postgres.Config{URL: at, Reader: reader})
		if err != nil {
			return s, err
		}
		given.Meta = db
		s.close = append(s.close, db.Close)
	}
	s.Meta, s.Blobs = given.Meta, given.Blobs
	if c.Settings.Data != "" {
		if s.dir, err = folder(ctx, c.Settings.Data, given); err != nil {
			return s, err
		}
		s.close = append(s.close, s.dir.Close)
		s.Meta, s.Blobs = s.dir.Meta, s.dir.Blobs
	} else { // as a data folder does it
		s.Blobs = small.New(small.Config{Blobs: given.Blobs, Meta: given.Meta})
	}
	return s, nil
}

func (x *S3) config() s3.Config {
	return s3.Config{
		Bucket: x.Bucket, Region: cmp.Or(x.Region, "us-east-1"), Endpoint: x.Endpoint, PublicEndpoint: x.PublicEndpoint, PathStyle: x.PathStyle,
		Prefix: x.Prefix, AccessKeyID: x.AccessKeyID, SecretAccessKey: x.SecretAccessKey, Redirect: x.Redirect,
	}
}

// Close closes them.
func (s *Stores) Close() (err error) {
	for _, f := range slices.Backward(s.close) {
		err = errors.Join(err, f())
	}
	s.close = nil
	return err
}

// Start opens the data of c and serves it until Close.
func Start(ctx context.Context, c *Config, o Options) (_ *Server, err error) {
	s := &Server{log: o.Log}
	c.Host.Server.Log = o.Log
	if s.stores, err = c.Open(ctx); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.endTraces(), s.stores.Close())
		}
	}()
	if err := s.administrators(ctx, c); err != nil {
		return nil, err
	}
	h := c.Host
	h.Stores = &host.Stores{Meta: s.stores.Meta, Blobs: s.stores.Blobs, Key: c.key}
	h.Wrap, h.Server.Observer = o.Wrap, o.Observer
	if s.traces, err = traces.Start(ctx, traces.Config{Endpoint: c.Settings.Traces.Endpoint, Getenv: o.Getenv, Log: o.Log}); err != nil {
		return nil, err
	}
	if t := s.traces; t != nil {
		h.Server.Tracer, h.Stores.Blobs = t, t.Blobs(h.Stores.Blobs)
		h.Wrap = func(m meta.Store) meta.Store {
			if o.Wrap != nil {
				m = o.Wrap(m)
			}
			return t.Store(m)
		}
	}
	if s.Server, err = host.Start(ctx, h); err != nil {
		return nil, err
	}
	first := s.Registries[0]
	err = declared.Apply(ctx, declared.Config{IAM: s.IAM(first.Region), Account: first.Account, Getenv: o.Getenv}, c.identities)
	if err == nil && s.stores.dir != nil {
		err = s.stores.dir.Announce(s.Registries)
	}
	if err != nil {
		return nil, errors.Join(err, s.Server.Close())
	}
	return s, nil
}

// Close stops serving and closes the data.
func (s *Server) Close() error {
	return errors.Join(s.Server.Close(), s.endTraces(), s.stores.Close())
}

// endTraces sends the traces that are left. That the collector is gone is no failure of
// the registry.
func (s *Server) endTraces() error {
	if s.traces == nil {
		return nil
	}
	if err := s.traces.Close(); err != nil {
		s.log.Warn("traces not sent", "error", err)
	}
	return nil
}

// administrators makes those that do not exist, and tells of those that have other
// keys than the file.
func (s *Server) administrators(ctx context.Context, c *Config) error {
	users := identity.New(identity.Config{Meta: s.stores.Meta, Key: c.key, Now: time.Now})
	for _, account := range slices.Sorted(maps.Keys(c.administrators)) {
		differs, err := users.Bootstrap(ctx, account, c.administrators[account])
		if err != nil {
			return fmt.Errorf("%s: %w", c.Settings.AdministratorFile, err)
		}
		if differs {
			s.Notices = append(s.Notices, fmt.Sprintf("%s counts at the first start only: the administrator of account %s exists and does not have the access key %s; change keys with `kontor admin user`",
				c.Settings.AdministratorFile, account, c.administrators[account].AccessKeyID))
		}
	}
	for _, r := range c.Host.Registries {
		if _, given := c.administrators[r.Account]; given || c.Settings.Database.URL == "" {
			continue
		}
		there, err := users.Administered(ctx, r.Account)
		if err != nil {
			return err
		}
		if !there {
			return fmt.Errorf("account %s has no administrator yet, and nobody could log in: give administrator_file, with aws_access_key_id and aws_secret_access_key of the profile %s", r.Account, profileOf(c, r.Account))
		}
	}
	return nil
}

func profileOf(c *Config, account ecr.AccountID) string {
	if account == c.Host.Registries[0].Account {
		return "default"
	}
	return string(account)
}

// Line is one thing that would be served, or where data is.
type Line struct {
	What, Value string
}

// Traces says where traces would be sent; no line for nowhere. Errors name the field or
// the variable of OpenTelemetry in the environment.
func (c *Config) Traces(getenv func(string) string) ([]Line, error) {
	at, err := traces.Check(traces.Config{Endpoint: c.Settings.Traces.Endpoint, Getenv: getenv})
	if at == "" || err != nil {
		return nil, err
	}
	return []Line{{"traces", at}}, nil
}

// Lines say what c serves, for people.
func (c *Config) Lines() []Line {
	s := c.Settings
	scheme := "http"
	if c.Host.TLS.On() {
		scheme = "https"
	}
	lines := []Line{{"listen", scheme + "://" + s.Listen}}
	for i, r := range c.Host.Registries {
		var names []string
		if u := c.Host.External[r.Name]; u != nil {
			names = append(names, u.String())
		}
		names = append(names, s.Registries[i].Hosts...)
		switch own := s.Registries[i].Listen; {
		case own != "":
			names = append(names, scheme+"://"+own)
		case c.Host.Shared:
			names = append(names, fmt.Sprintf("%s.dkr.ecr.%s.*", r.Account, r.Region))
		default:
			names = append(names, "any host name")
		}
		lines = append(lines, Line{"registry", fmt.Sprintf("account %s, region %s, compat %s: %s", r.Account, r.Region, s.Registries[i].Compat, strings.Join(names, ", "))})
	}
	database := "SQLite in " + s.Data
	if s.Database.URL != "" {
		database = "PostgreSQL"
		if u, err := url.Parse(s.Database.URL); err == nil && u.Scheme != "" && !strings.Contains(u.Path, "@") { // else a part of the password may be in it
			database += " " + strings.TrimPrefix(u.Path, "/")
			if u.Host != "" {
				database += " at " + u.Host
			}
		}
	}
	blobs := "in " + s.Data
	if x := s.Storage.S3; x != nil {
		blobs = "S3 bucket " + x.Bucket
		if x.Endpoint != "" {
			blobs += " at " + x.Endpoint
		}
	}
	lines = append(lines, Line{"database", database}, Line{"blobs", blobs}, Line{"key", s.MasterKeyFile})
	switch {
	case c.Host.Server.NoConsole:
		lines = append(lines, Line{"console", "off"})
	case s.ConsoleListen != "":
		lines = append(lines, Line{"console", scheme + "://" + s.ConsoleListen})
	}
	if p := s.Scanner; p != nil {
		how := p.URL
		if how == "" {
			how = strings.Join(p.Command, " ")
		}
		lines = append(lines, Line{"scanner", how})
	}
	for _, p := range s.SingleSignOn {
		lines = append(lines, Line{"sign-in", fmt.Sprintf("%s: client %s of %s", p.Name, p.ClientID, p.Issuer)})
	}
	return lines
}

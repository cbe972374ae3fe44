package logincmd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"

	"github.com/kontor-registry/kontor/internal/access/identity"
	"github.com/kontor-registry/kontor/internal/cli/command"
	"github.com/kontor-registry/kontor/internal/datadir"
	"github.com/kontor-registry/kontor/internal/deploy/tokens"
	"github.com/kontor-registry/kontor/internal/host"
)

// envCredentials names the file that says how to reach which registry.
const envCredentials = "KONTOR_CREDENTIALS"

// NewHosts reads the file of hosts. Without one, only what needs none is known.
// Passwords are kept in the user's cache folder with keep, unless the file says
// not to.
func NewHosts(e *command.Env, data string, keep bool) (*tokens.Hosts, error) {
	h := &tokens.Hosts{
		Getenv: e.Getenv, Warn: func(err error) { e.Notice("%v", err) },
		Local: func(ctx context.Context, at, folder string) (tokens.Source, error) {
			return localSource(ctx, e, at, cmp.Or(folder, data))
		},
	}
	name, given := credentialsFile(e)
	if h.File = name; name != "" {
		b, err := os.ReadFile(filepath.Clean(name))
		switch {
		case errors.Is(err, fs.ErrNotExist) && !given:
		case err != nil:
			return nil, fmt.Errorf("reading the credentials file: %w", err)
		default:
			if h.Config, err = tokens.ParseConfig(name, b); err != nil {
				return nil, err
			}
		}
	}
	if dir := e.UserDir("XDG_CACHE_HOME", ".cache"); keep && dir != "" && !h.Config.NoCache {
		h.Cache = &tokens.Cache{Path: filepath.Join(dir, "tokens.json"), Now: e.Now}
	}
	return h, nil
}

// credentialsFile is where the file of hosts is, or would be; given when
// $KONTOR_CREDENTIALS says so. It is "" where there is no home.
func credentialsFile(e *command.Env) (name string, given bool) {
	if v := e.Getenv(envCredentials); v != "" {
		return v, true
	}
	if dir := e.UserDir("XDG_CONFIG_HOME", ".config"); dir != "" {
		return filepath.Join(dir, "credentials.json"), false
	}
	return "", false
}

// localSource says how to ask the registry that runs on this machine, as the
// user who can push and pull only. The error is tokens.ErrUnknownHost where the
// folder's server does not serve the host.
func localSource(ctx context.Context, e *command.Env, at, data string) (tokens.Source, error) {
	dir, err := e.DataDir(data)
	if err != nil {
		return tokens.Source{}, tokens.ErrUnknownHost
	}
	registries, running, err := datadir.Running(ctx, dir, 0)
	i := slices.IndexFunc(registries, func(r datadir.Registry) bool { return ServedAt(r, at) })
	switch {
	case i < 0:
		return tokens.Source{}, tokens.ErrUnknownHost
	case err != nil:
		return tokens.Source{}, err
	case !running:
		return tokens.Source{}, fmt.Errorf("registry %s: no server runs on %s: start it with `kontor up --data %s`", at, dir, dir)
	}
	c, _, err := host.Read(ctx, dir, registries[i].Name, identity.Pusher)
	c.Host = at
	return sourceOf(c), err
}

// sourceOf is a registry of this machine as a source of passwords.
func sourceOf(c host.Conn) tokens.Source {
	return tokens.Source{
		Host: c.Host, Region: c.Registry.Region, Endpoint: c.Endpoint,
		AccessKeyID: c.AccessKeyID, SecretAccessKey: c.SecretAccessKey, HTTPClient: c.HTTPClient,
	}
}

// ServedAt reports whether a host that someone uses is that of r.
func ServedAt(r datadir.Registry, used string) bool {
	return SameHost(r.Host, used) || SameHost(endpointHost(r.Endpoint), used)
}

// endpointHost is the host of a URL, with its port.
func endpointHost(endpoint string) string {
	u, err := url.Parse(endpoint)
	if err != nil {
		return ""
	}
	return u.Host
}

// SameHost reports whether a host that someone uses is that of a registry,
// which on this machine has several names.
func SameHost(served, used string) bool {
	if served == used {
		return true
	}
	name, port, err := net.SplitHostPort(served)
	other, otherPort, err2 := net.SplitHostPort(used)
	return err == nil && err2 == nil && port == otherPort && host.IsLoopback(name) && (host.IsLoopback(other) || other == host.DockerInternal)
}

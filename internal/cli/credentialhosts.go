package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"

	"github.com/kontor-registry/kontor/internal/access/identity"
	"github.com/kontor-registry/kontor/internal/datadir"
	"github.com/kontor-registry/kontor/internal/deploy/tokens"
	"github.com/kontor-registry/kontor/internal/ecr"
)

// envCredentials names the file that says how to reach which registry.
const envCredentials = "KONTOR_CREDENTIALS"

// errUnknownHost is for a host that is nobody's business here.
var errUnknownHost = errors.New("unknown host")

// identityVariables are those by which the SDK finds out who it is.
var identityVariables = []string{
	"AWS_ACCESS_KEY_ID", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE",
	"AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI",
	"AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_ECR", "AWS_ENDPOINT_URL_STS", "HOME",
}

// hostCredentials gets passwords for registries by their hosts.
type hostCredentials struct {
	e      *Env
	config tokens.Config
	data   string        // --data
	cache  *tokens.Cache // nil: nothing is kept
}

// hosts reads the file of hosts. Without one, only what needs none is known.
func (e *Env) hosts(data string) (*hostCredentials, error) {
	h := &hostCredentials{e: e, data: data}
	name, given := e.credentialsFile()
	if name == "" {
		return h, nil
	}
	b, err := os.ReadFile(filepath.Clean(name))
	switch {
	case errors.Is(err, fs.ErrNotExist) && !given:
		return h, nil
	case err != nil:
		return nil, fmt.Errorf("reading the file of hosts: %w", err)
	}
	h.config, err = tokens.ParseConfig(name, b)
	return h, err
}

// credentialsFile is where the file of hosts is, or would be; given when
// $KONTOR_CREDENTIALS says so. It is "" where there is no home.
func (e *Env) credentialsFile() (name string, given bool) {
	if v := e.Getenv(envCredentials); v != "" {
		return v, true
	}
	if dir := e.userDir("XDG_CONFIG_HOME", ".config"); dir != "" {
		return filepath.Join(dir, "credentials.json"), false
	}
	return "", false
}

// userDir is kontor's folder in one of the XDG base directories; "" where there
// is no home. A relative path is ignored, as the specification says.
func (e *Env) userDir(variable, fallback string) string {
	if v := e.Getenv(variable); filepath.IsAbs(v) {
		return filepath.Join(v, "kontor")
	}
	if v := e.Getenv("HOME"); v != "" {
		return filepath.Join(v, fallback, "kontor")
	}
	if v := e.Getenv("LocalAppData"); v != "" { // Windows
		return filepath.Join(v, "kontor")
	}
	return ""
}

// keep makes h keep passwords in the user's cache folder, unless the file says
// not to.
func (h *hostCredentials) keep() {
	if dir := h.e.userDir("XDG_CACHE_HOME", ".cache"); dir != "" && !h.config.NoCache {
		h.cache = &tokens.Cache{Path: filepath.Join(dir, "tokens.json"), Now: h.e.Now}
	}
}

// get is a password for the host. The error is errUnknownHost where neither
// the file nor the host's name says how to get one.
func (h *hostCredentials) get(ctx context.Context, host string) (tokens.Token, error) {
	entry, found := h.config.Find(host)
	if found && entry.Local {
		t, err := h.local(ctx, host, entry.Data)
		if errors.Is(err, errUnknownHost) {
			err = fmt.Errorf("registry %s: no server of this machine serves it: start one with `kontor up`, or correct data in the file of hosts", host)
		}
		return t, err
	}
	aws, isAWS := ecr.ParseHost(host)
	s := tokens.Source{
		Host: host, Region: aws.Region, FIPS: aws.FIPS, DualStack: aws.DualStack,
		Profile: entry.Profile, RoleARN: entry.RoleARN, Endpoint: entry.Endpoint,
	}
	if entry.Region != "" {
		s.Region = entry.Region
	}
	switch {
	case isAWS, entry.Endpoint != "", entry.Account != "":
		return h.ask(ctx, s)
	case found:
		name, _ := h.e.credentialsFile()
		return tokens.Token{}, fmt.Errorf("%s: the entry for %s says neither endpoint nor local, and the name is not one of Amazon ECR: add one of them, or account and region", name, host)
	}
	return h.local(ctx, host, "")
}

// ask gets a password from the registry, or the cache.
func (h *hostCredentials) ask(ctx context.Context, s tokens.Source) (tokens.Token, error) {
	if h.cache == nil {
		return tokens.Get(ctx, s)
	}
	var identity []string
	for _, name := range identityVariables {
		identity = append(identity, h.e.Getenv(name))
	}
	key := s.Key(identity...)
	if t, ok := h.cache.Get(key); ok {
		return t, nil
	}
	t, err := tokens.Get(ctx, s)
	if err != nil {
		return t, err
	}
	if err := h.cache.Put(key, s.Host, t); err != nil {
		// The password is good all the same.
		if _, werr := fmt.Fprintln(h.e.Stderr, "kontor:", err); werr != nil {
			return t, werr
		}
	}
	return t, nil
}

// local is a password of the registry that runs on this machine, as the user
// who can push and pull only. The error is errUnknownHost where the folder's
// server does not serve the host.
func (h *hostCredentials) local(ctx context.Context, host, data string) (t tokens.Token, err error) {
	if data == "" {
		data = h.data
	}
	dir, err := h.e.dataDir(data)
	if err != nil {
		return t, errUnknownHost
	}
	registries, running, err := datadir.Running(ctx, dir, 0)
	i := slices.IndexFunc(registries, func(r datadir.Registry) bool { return sameHost(r.Host, host) })
	switch {
	case i < 0:
		return t, errUnknownHost
	case err != nil:
		return t, err
	case !running:
		return t, fmt.Errorf("registry %s: no server runs on %s: start it with `kontor up --data %s`", host, dir, dir)
	}
	c, _, err := readLocal(ctx, dir, registries[i].Name, identity.Pusher)
	if err != nil {
		return t, err
	}
	return tokens.Get(ctx, tokens.Source{
		Host: host, Region: c.Registry.Region, Endpoint: c.Endpoint,
		AccessKeyID: c.AccessKeyID, SecretAccessKey: c.SecretAccessKey, HTTPClient: c.HTTPClient,
	})
}

// sameHost reports whether a host that somebody uses is that of a registry,
// which on this machine has several names.
func sameHost(served, used string) bool {
	if served == used {
		return true
	}
	name, port, err := net.SplitHostPort(served)
	other, otherPort, err2 := net.SplitHostPort(used)
	return err == nil && err2 == nil && port == otherPort && isLoopback(name) && (isLoopback(other) || other == dockerInternal)
}

package tokens

import (
	"context"
	"errors"
	"fmt"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/remote"
)

// ErrUnknownHost: neither the file of hosts nor the name says how to get a
// password of the host.
var ErrUnknownHost = errors.New("unknown host")

// variables are those by which the AWS SDK finds out who it is.
func variables() []string {
	return []string{
		"AWS_ACCESS_KEY_ID", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE",
		"AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI",
		"AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_ECR", "AWS_ENDPOINT_URL_STS", "HOME",
	}
}

// Hosts gets passwords of registries by their hosts.
type Hosts struct {
	// Config is the file of hosts, empty without one, and File its name.
	Config Config
	File   string
	// Cache keeps passwords of registries elsewhere; nil for none.
	Cache  *Cache
	Getenv func(string) string
	// Local says how to ask the registry of this machine that serves the host,
	// from the data folder, "" for the usual one. ErrUnknownHost.
	Local func(ctx context.Context, host, data string) (Source, error)
	// Warn is told why a password could not be kept.
	Warn func(error)
}

// Get is a password for the host. ErrUnknownHost.
func (h *Hosts) Get(ctx context.Context, host string) (Token, error) {
	entry, found := h.Config.Find(host)
	if found && entry.Local {
		t, err := h.local(ctx, host, entry.Data)
		if errors.Is(err, ErrUnknownHost) {
			err = fmt.Errorf("registry %s: no server of this machine serves it: start one with `kontor up`, or correct data in the file of hosts", host)
		}
		return t, err
	}
	aws, isAWS := ecr.ParseHost(host)
	s := Source{
		Host: host, Region: aws.Region, FIPS: aws.FIPS, DualStack: aws.DualStack,
		Profile: entry.Profile, RoleARN: entry.RoleARN, Endpoint: entry.Endpoint,
	}
	if entry.Region != "" {
		s.Region = entry.Region
	}
	switch {
	case isAWS, entry.Endpoint != "", entry.Account != "":
		return h.elsewhere(ctx, s)
	case found:
		return Token{}, fmt.Errorf("%s: the entry for %s has neither endpoint nor local, and the name is not one of Amazon ECR: add one of them, or account and region", h.File, host)
	}
	return h.local(ctx, host, "")
}

// Known reports whether Get would try to get a password of the host. No registry is
// asked.
func (h *Hosts) Known(ctx context.Context, host string) bool {
	if _, found := h.Config.Find(host); found {
		return true
	}
	if _, isAWS := ecr.ParseHost(host); isAWS {
		return true
	}
	_, err := h.Local(ctx, host, "")
	return !errors.Is(err, ErrUnknownHost)
}

func (h *Hosts) local(ctx context.Context, host, data string) (Token, error) {
	s, err := h.Local(ctx, host, data)
	if err != nil {
		return Token{}, err
	}
	return Get(ctx, s)
}

// elsewhere gets a password from the registry, or the cache.
func (h *Hosts) elsewhere(ctx context.Context, s Source) (Token, error) {
	if h.Cache == nil {
		return Get(ctx, s)
	}
	var identity []string
	for _, name := range variables() {
		identity = append(identity, h.Getenv(name))
	}
	key := s.Key(identity...)
	if t, ok := h.Cache.Get(key); ok {
		return t, nil
	}
	t, err := Get(ctx, s)
	if err == nil {
		if kept := h.Cache.Put(key, s.Host, t); kept != nil {
			h.Warn(kept) // the password is good all the same
		}
	}
	return t, err
}

// Or is the passwords that h gets, and those of the other source for hosts that h
// does not know, or of which it gets none where the other one has.
func Or(h *Hosts, other remote.Source) remote.Source {
	return remote.SourceFunc(func(ctx context.Context, host string) (remote.Credential, error) {
		t, err := h.Get(ctx, host)
		if err == nil {
			return remote.Credential{User: t.User, Password: t.Password, ExpiresAt: t.ExpiresAt}, nil
		}
		c, otherErr := other.Credential(ctx, host)
		if errors.Is(err, ErrUnknownHost) || otherErr == nil && c != (remote.Credential{}) {
			return c, otherErr
		}
		return remote.Credential{}, err
	})
}

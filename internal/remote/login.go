package remote

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"oras.land/oras-go/v2/registry/remote/auth"

	"github.com/kontor-registry/kontor/internal/dockerauth"
	"github.com/kontor-registry/kontor/internal/ecr"
)

// Credential logs in to a registry. The zero Credential is anonymous: it gets only
// what needs no login.
type Credential struct {
	User, Password string
	// IdentityToken is used in place of a password, to get tokens with.
	IdentityToken string
	// ExpiresAt is when it ends; zero for never.
	ExpiresAt time.Time
}

// Source gives credentials. It must be safe for concurrent use.
type Source interface {
	// Credential returns what to log in to host with. It is called again before
	// the credential expires, and when the registry does not accept it.
	Credential(ctx context.Context, host string) (Credential, error)
}

// SourceFunc is a function as a Source.
type SourceFunc func(ctx context.Context, host string) (Credential, error)

// Credential calls f.
func (f SourceFunc) Credential(ctx context.Context, host string) (Credential, error) {
	return f(ctx, host)
}

// Docker is what docker, or podman, is logged in with: the first of the
// configurations that knows the host. For a host that none
// knows, requests are anonymous.
func Docker(configs ...dockerauth.Config) Source {
	return SourceFunc(func(_ context.Context, host string) (Credential, error) {
		for _, c := range configs {
			l, ok, err := c.Login(host)
			if err != nil {
				return Credential{}, err
			}
			if ok {
				return Credential{User: l.User, Password: l.Password, IdentityToken: l.IdentityToken}, nil
			}
		}
		return Credential{}, nil
	})
}

// Ping reaches the registry and logs in to it (OCI distribution specification,
// "end-1"). Errors: UnrecognizedClient, AccessDenied, Unavailable.
func (r *Registry) Ping(ctx context.Context) error {
	return r.send(ctx, call{action: LogIn, method: http.MethodGet, expect: []int{http.StatusOK}}, func(*http.Response) error { return nil })
}

// Wait returns how long the registry that answered with err wants to be left alone,
// 0 where it did not say.
func (e *Error) Wait() time.Duration { return e.after }

// Login is why there was no credential for a call, where its Source said so; nil for
// other errors. What a Source says in its own words has its own code.
func (e *Error) Login() *ecr.Error {
	var own *ecr.Error
	if errors.Is(e.Err, errSource) && errors.As(e.Err, &own) {
		return own
	}
	return nil
}

// errSource marks a failure to get a credential.
var errSource = errors.New("getting the password")

// login holds the credential of a registry, and the tokens got with it.
type login struct {
	registry *Registry
	http     *http.Client

	mu     sync.Mutex
	client *auth.Client // guarded by mu; has the credential, nil before the first
	cred   Credential   // guarded by mu
	got    time.Time    // guarded by mu: when cred was
}

// renewed is how soon a credential is asked for again that may be why a call
// was denied.
const renewed = 30 * time.Second

// get returns a client with a credential that has not expired.
func (l *login) get(ctx context.Context) (*auth.Client, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.registry.cfg.Now()
	if l.client != nil && !l.cred.due(l.got, now) {
		return l.client, nil
	}
	return l.renew(ctx, now)
}

// due reports whether the credential should be renewed: when three quarters of
// its life are over.
func (c Credential) due(got, now time.Time) bool {
	return !c.ExpiresAt.IsZero() && now.Sub(got) >= c.ExpiresAt.Sub(got)*3/4
}

// renew gets a credential. l.mu is held.
func (l *login) renew(ctx context.Context, now time.Time) (*auth.Client, error) {
	var cred Credential
	if s := l.registry.cfg.Credentials; s != nil {
		var err error
		if cred, err = s.Credential(ctx, l.registry.cfg.Host); err != nil {
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			return nil, fmt.Errorf("%w: %w", errSource, err)
		}
	}
	l.got = now
	if l.client != nil && cred.same(l.cred) {
		l.cred = cred
		return l.client, nil
	}
	l.cred = cred
	agent := l.registry.cfg.UserAgent
	if agent == "" {
		agent = "kontor"
	}
	l.client = &auth.Client{
		Client: l.http,
		Header: http.Header{"User-Agent": {agent}},
		Cache:  auth.NewCache(),
		// oras asks by the host of the request, whose credential this is.
		Credential: func(context.Context, string) (auth.Credential, error) {
			return auth.Credential{Username: cred.User, Password: cred.Password, RefreshToken: cred.IdentityToken}, nil
		},
		ClientID: "kontor",
	}
	if _, ok := l.registry.ECR(); ok && cred.User != "" && cred.Password != "" {
		// Its scheme is known, so that no request need be refused first.
		basic := base64.StdEncoding.EncodeToString([]byte(cred.User + ":" + cred.Password))
		if _, err := l.client.Cache.Set(ctx, l.registry.host, auth.SchemeBasic, "", func(context.Context) (string, error) { return basic, nil }); err != nil {
			return nil, err
		}
	}
	return l.client, nil
}

func (c Credential) same(o Credential) bool {
	return c.User == o.User && c.Password == o.Password && c.IdentityToken == o.IdentityToken
}

// refused is told that the credential of client was not accepted, and reports
// whether there is another one now. certain is false for a denial that may well
// be about a permission: then a credential is believed for a time.
func (l *login) refused(ctx context.Context, client *auth.Client, certain bool) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.client != client {
		return true // renewed meanwhile
	}
	now := l.registry.cfg.Now()
	if l.registry.cfg.Credentials == nil || !certain && now.Sub(l.got) < renewed {
		return false
	}
	next, err := l.renew(ctx, now)
	return err == nil && next != client
}

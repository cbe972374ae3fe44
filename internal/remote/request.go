package remote

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"oras.land/oras-go/v2/registry"
	"oras.land/oras-go/v2/registry/remote/auth"

	"github.com/kontor-registry/kontor/internal/ecr"
)

// call is a request to a registry.
type call struct {
	action     Action
	repository ecr.RepositoryName // "" for a call about the registry
	object     string             // tag or digest, for errors
	method     string
	// path is below /v2/, for example "team/app/tags/list"; url, if it is set,
	// stands in place of path and query.
	path   string
	query  url.Values
	url    *url.URL
	header http.Header
	body   []byte
	// stream is a body that can be sent once, of size bytes.
	stream io.ReadCloser
	size   int64
	// from is a repository that the call reads, too.
	from ecr.RepositoryName
	// expect are the statuses of success.
	expect []int
}

// How often a call is tried, and how long between. A registry that answers at
// all is waited for longer than one that drops connections: ECR does that to
// uploads into repositories that do not exist.
const (
	triesDropped     = 4
	triesUnavailable = 7
	triesThrottled   = 14
	firstPause       = 200 * time.Millisecond
	longestPause     = 20 * time.Second
	// longestWait is the longest Retry-After that is waited for.
	longestWait = 5 * time.Minute
)

// again tells how long to wait before a call that failed attempt times is tried
// once more; ok is false when it is not.
func again(e *Error, attempt int) (pause time.Duration, ok bool) {
	if !e.temporary() {
		return 0, false
	}
	tries := triesUnavailable
	switch {
	case e.Code == ecr.CodeThrottling:
		tries = triesThrottled
	case e.Status == 0, e.stored:
		tries = triesDropped
	}
	if attempt >= tries || e.after > longestWait {
		return 0, false
	}
	pause = min(firstPause<<(attempt-1), longestPause)
	// Those that were throttled together should not come back together.
	pause += time.Duration(rand.Int64N(int64(pause)/4 + 1))
	return max(pause, e.after), true
}

// send makes a call, again where that may help. handle reads the answer of a
// call that came out as expected; what it fails with as the answer ends too soon
// is tried again, too. The error is an *Error or that of ctx.
func (r *Registry) send(ctx context.Context, c call, handle func(*http.Response) error) error {
	for attempt := 1; ; attempt++ {
		err := r.once(ctx, c, handle)
		var e *Error
		if err == nil || !errors.As(err, &e) {
			return err
		}
		pause, ok := r.again(e, attempt)
		if !ok {
			return err
		}
		r.waiting(err, pause)
		if err := sleep(ctx, pause); err != nil {
			return err
		}
	}
}

// again is again within the registry's patience.
func (r *Registry) again(e *Error, attempt int) (pause time.Duration, ok bool) {
	pause, ok = again(e, attempt)
	return pause, ok && (r.cfg.Patience == 0 || pause <= r.cfg.Patience)
}

func (r *Registry) waiting(err error, pause time.Duration) {
	if r.cfg.Waiting != nil {
		r.cfg.Waiting(Wait{Registry: r.name, Err: err, For: pause})
	}
}

// once makes a call, and once more with another credential when the one it had
// was not accepted.
func (r *Registry) once(ctx context.Context, c call, handle func(*http.Response) error) error {
	for renewed := false; ; renewed = true {
		client, err := r.login.get(ctx)
		if err != nil {
			if ctx.Err() != nil {
				return err
			}
			return r.transportError(c, err)
		}
		err = r.try(ctx, client, c, handle)
		var e *Error
		if renewed || c.stream != nil || !errors.As(err, &e) || e.stored {
			return err
		}
		certain := e.Code == ecr.CodeUnrecognizedClient || e.Code == ecr.CodeExpiredToken
		// The answer to a HEAD has no body that could tell.
		if !certain && !(e.Code == ecr.CodeAccessDenied && c.method == http.MethodHead) {
			return err
		}
		if !r.login.refused(ctx, client, certain) {
			return err
		}
	}
}

// try sends one request.
func (r *Registry) try(ctx context.Context, client *auth.Client, c call, handle func(*http.Response) error) error {
	pace := r.paces[c.action]
	if err := pace.wait(ctx, r.cfg.Now()); err != nil {
		return err
	}
	req, err := r.request(ctx, c)
	if err != nil {
		return r.newError(c, ecr.CodeInvalidParameter, err)
	}
	sent := r.cfg.Now()
	resp, err := client.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return r.transportError(c, err)
	}
	defer func() {
		// What is left is read, so that the connection can be used again.
		_, _ = io.CopyN(io.Discard, resp.Body, maxErrorBody)
		_ = resp.Body.Close()
	}()
	if !slices.Contains(c.expect, resp.StatusCode) {
		e := r.answerError(c, resp)
		if e.Code == ecr.CodeThrottling {
			pace.throttled(r.cfg.Now(), sent)
		}
		return e
	}
	err = handle(resp)
	var e *Error
	switch {
	case err == nil || errors.As(err, &e):
		return err
	case ctx.Err() != nil:
		return context.Cause(ctx)
	}
	return r.transportError(c, err)
}

// request builds the request of a call.
func (r *Registry) request(ctx context.Context, c call) (*http.Request, error) {
	about := actions[c.action]
	if c.repository != "" {
		ctx = auth.AppendRepositoryScope(ctx, registry.Reference{Registry: r.host, Repository: string(c.repository)}, about.scope...)
	} else if c.action == ListRepositories {
		ctx = auth.AppendScopesForHost(ctx, r.host, auth.ScopeRegistryCatalog)
	}
	if c.from != "" {
		ctx = auth.AppendRepositoryScope(ctx, registry.Reference{Registry: r.host, Repository: string(c.from)}, pull...)
	}
	u := c.url
	if u == nil {
		u = &url.URL{Scheme: "https", Host: r.host, Path: "/v2/" + c.path, RawQuery: c.query.Encode()}
		if r.cfg.PlainHTTP {
			u.Scheme = "http"
		}
	}
	var body io.Reader
	if c.body != nil {
		body = bytes.NewReader(c.body)
	}
	req, err := http.NewRequestWithContext(ctx, c.method, u.String(), body)
	if err != nil {
		return nil, err
	}
	for name, values := range c.header {
		req.Header[name] = values
	}
	if c.stream != nil {
		req.Body, req.ContentLength = c.stream, c.size
		if c.size == 0 {
			req.Body = http.NoBody
		}
	}
	return req, nil
}

// follow resolves an address that an answer gives for the next call. It must
// lead to the same host by the same scheme: what it names gets the credentials.
func follow(resp *http.Response, address string) (*url.URL, error) {
	at := resp.Request.URL
	u, err := at.Parse(address)
	if err != nil {
		return nil, fmt.Errorf("the registry gives the address %q: %w", clip(address), err)
	}
	if u.Scheme != at.Scheme || canonical(u) != canonical(at) {
		return nil, fmt.Errorf("the registry sends to %s://%s, which is not itself, %s://%s", u.Scheme, u.Host, at.Scheme, at.Host)
	}
	u.Host = at.Host // with the port, if that has it
	return u, nil
}

// canonical is a URL's host with its port.
func canonical(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return strings.ToLower(u.Hostname()) + ":" + port
}

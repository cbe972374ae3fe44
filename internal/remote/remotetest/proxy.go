// Package remotetest is for tests of what copies images: a proxy that stands
// before a real registry and does to its requests what networks and busy
// registries do, and images with all that can belong to one.
package remotetest

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// Request is a request as the proxy saw it.
type Request struct {
	N      int // from 1, in the order of arrival
	Method string
	Path   string // with the query
	Header http.Header
	Status int // of the answer; 0 while or where there is none
}

// String is for messages of tests.
func (r Request) String() string { return fmt.Sprintf("%d %s %s %d", r.N, r.Method, r.Path, r.Status) }

// Exchange is a request that an Effect may answer, pass on, or both.
type Exchange struct {
	W http.ResponseWriter
	R *http.Request
	N int

	proxy *Proxy
}

// Effect is what becomes of a request.
type Effect func(*Exchange)

// rule is an effect on some requests.
type rule struct {
	match  func(Request) bool
	times  int // left; below 0 for ever
	effect Effect
}

// Proxy passes requests on to a registry, by plain HTTP.
type Proxy struct {
	Host string // "127.0.0.1:PORT"

	target    string
	server    *httptest.Server
	transport *http.Transport

	mu    sync.Mutex
	rules []*rule   // guarded by mu
	log   []Request // guarded by mu
}

// Start starts a proxy before the registry at target, "127.0.0.1:PORT". It ends
// with the test.
func Start(t testing.TB, target string) *Proxy {
	t.Helper()
	p := New(target)
	t.Cleanup(p.Close)
	return p
}

// New is Start outside a test.
func New(target string) *Proxy {
	p := &Proxy{target: target, transport: &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 64}}
	p.server = httptest.NewServer(http.HandlerFunc(p.serve))
	p.Host = strings.TrimPrefix(p.server.URL, "http://")
	return p
}

// Close stops the proxy.
func (p *Proxy) Close() {
	p.server.CloseClientConnections()
	p.server.Close()
	p.transport.CloseIdleConnections()
}

// On has the effect on the next times requests, below 0 on all, whose "METHOD
// PATH?QUERY" the expression matches. Rules are looked at in the order in which
// they were made, and the first that matches counts.
func (p *Proxy) On(expression string, times int, e Effect) {
	re := regexp.MustCompile(expression)
	p.when(func(r Request) bool { return re.MatchString(r.Method + " " + r.Path) }, times, e)
}

// OnFirst has the effect on the first of each kind of request that the
// expression matches: what goes to the same address is of one kind, and so are
// the uploads of a blob, although each has its own address.
func (p *Proxy) OnFirst(expression string, e Effect) {
	// distribution keeps a session's state in its address.
	re, session := regexp.MustCompile(expression), regexp.MustCompile(`/uploads/[^?]+|_state=[^&]+`)
	seen := map[string]bool{} // guarded by mu, as every match
	p.when(func(r Request) bool {
		kind := session.ReplaceAllString(r.Method+" "+r.Path, "")
		first := re.MatchString(kind) && !seen[kind]
		seen[kind] = true
		return first
	}, -1, e)
}

func (p *Proxy) when(match func(Request) bool, times int, e Effect) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rules = append(p.rules, &rule{match, times, e})
}

// Requests are those that came since the last Reset.
func (p *Proxy) Requests() []Request {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]Request(nil), p.log...)
}

// Count counts the requests whose "METHOD PATH?QUERY" the expression matches.
func (p *Proxy) Count(expression string) int {
	re, n := regexp.MustCompile(expression), 0
	for _, r := range p.Requests() {
		if re.MatchString(r.Method + " " + r.Path) {
			n++
		}
	}
	return n
}

// Reset forgets requests and rules.
func (p *Proxy) Reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rules, p.log = nil, nil
}

func (p *Proxy) serve(w http.ResponseWriter, r *http.Request) {
	x := &Exchange{W: w, R: r, proxy: p}
	effect := p.begin(x)
	if effect == nil {
		x.Pass()
		return
	}
	effect(x)
}

// begin logs the request and finds its effect.
func (p *Proxy) begin(x *Exchange) Effect {
	p.mu.Lock()
	defer p.mu.Unlock()
	x.N = len(p.log) + 1
	seen := Request{N: x.N, Method: x.R.Method, Path: x.R.URL.RequestURI(), Header: x.R.Header.Clone()}
	p.log = append(p.log, seen)
	for _, rule := range p.rules {
		if rule.times != 0 && rule.match(seen) {
			rule.times--
			return rule.effect
		}
	}
	return nil
}

func (x *Exchange) answered(status int) {
	x.proxy.mu.Lock()
	defer x.proxy.mu.Unlock()
	if x.N <= len(x.proxy.log) {
		x.proxy.log[x.N-1].Status = status
	}
}

// Forward sends the request to the registry. The caller closes the body.
func (x *Exchange) Forward() (*http.Response, error) {
	ctx, cancel := context.WithCancel(x.R.Context())
	out := x.R.Clone(ctx)
	out.URL.Scheme, out.URL.Host, out.Host, out.RequestURI = "http", x.proxy.target, x.proxy.target, ""
	// As proxies do: distribution makes its addresses of it.
	out.Header.Set("X-Forwarded-Host", x.proxy.Host)
	resp, err := x.proxy.transport.RoundTrip(out)
	if err != nil {
		cancel()
		return nil, err
	}
	resp.Body = closing{resp.Body, cancel}
	x.answered(resp.StatusCode)
	return resp, nil
}

type closing struct {
	io.ReadCloser
	cancel context.CancelFunc
}

// Close closes the body and ends the request.
func (c closing) Close() error {
	defer c.cancel()
	return c.ReadCloser.Close()
}

// Pass answers with what the registry answers.
func (x *Exchange) Pass() { x.pass(nil, -1) }

// pass answers with what the registry answers, after change, and with at most
// limit bytes of it, -1 for all. The connection is cut after fewer.
func (x *Exchange) pass(change func(http.Header), limit int64) {
	resp, err := x.Forward()
	if err != nil {
		if x.R.Context().Err() == nil {
			http.Error(x.W, err.Error(), http.StatusBadGateway)
		}
		return
	}
	defer func() { _ = resp.Body.Close() }()
	for name, values := range resp.Header {
		x.W.Header()[name] = values
	}
	if change != nil {
		change(x.W.Header())
	}
	x.W.WriteHeader(resp.StatusCode)
	if limit < 0 {
		_, _ = io.Copy(x.W, resp.Body) // whose other end has gone
		return
	}
	if n, _ := io.CopyN(x.W, resp.Body, limit); n == limit {
		_ = http.NewResponseController(x.W).Flush()
		x.Drop()
	}
}

// Drop closes the client's connection.
func (x *Exchange) Drop() {
	conn, _, err := http.NewResponseController(x.W).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // a reset, as of a host that is gone
	}
	_ = conn.Close()
}

// Drop drops the connection before the registry sees the request.
func Drop(x *Exchange) { x.Drop() }

// Lose has the registry carry the request out, and drops its answer.
func Lose(x *Exchange) {
	if resp, err := x.Forward(); err == nil {
		_, _ = io.Copy(io.Discard, resp.Body) // the answer is lost anyway
		_ = resp.Body.Close()
	}
	x.Drop()
}

// Answer answers in the registry's place. header holds names and values.
func Answer(status int, body string, header ...string) Effect {
	return func(x *Exchange) {
		for i := 0; i+1 < len(header); i += 2 {
			x.W.Header().Set(header[i], header[i+1])
		}
		x.answered(status)
		x.W.WriteHeader(status)
		_, _ = io.WriteString(x.W, body)
	}
}

// Cut passes the registry's answer on up to n bytes of its body, and drops the
// connection then.
func Cut(n int64) Effect { return func(x *Exchange) { x.pass(nil, n) } }

// CutUpload takes n bytes of the request's body, and drops the connection then.
func CutUpload(n int64) Effect {
	return func(x *Exchange) {
		_, _ = io.CopyN(io.Discard, x.R.Body, n)
		x.Drop()
	}
}

// Strip passes the answer on without some headers.
func Strip(names ...string) Effect {
	return func(x *Exchange) {
		x.pass(func(h http.Header) {
			for _, n := range names {
				h.Del(n)
			}
		}, -1)
	}
}

// Delay waits before it passes the request on.
func Delay(d time.Duration) Effect {
	return func(x *Exchange) {
		select {
		case <-time.After(d):
			x.Pass()
		case <-x.R.Context().Done():
		}
	}
}

// Hang neither answers nor closes the connection until the client does.
func Hang(x *Exchange) { <-x.R.Context().Done() }

// Trickle passes an answer on in pieces, with a pause after each.
func Trickle(piece int64, pause time.Duration) Effect {
	return func(x *Exchange) {
		resp, err := x.Forward()
		if err != nil {
			return
		}
		defer func() { _ = resp.Body.Close() }()
		for name, values := range resp.Header {
			x.W.Header()[name] = values
		}
		x.W.WriteHeader(resp.StatusCode)
		for {
			n, err := io.CopyN(x.W, resp.Body, piece)
			_ = http.NewResponseController(x.W).Flush()
			if err != nil || n < piece {
				return
			}
			select {
			case <-time.After(pause):
			case <-x.R.Context().Done():
				return
			}
		}
	}
}

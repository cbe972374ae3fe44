// Package faults is an HTTP proxy for tests that does wrong what networks and busy
// servers do wrong. It leaves requests as they are, their Host too, so that
// signatures hold.
package faults

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Fault is what happens to a request.
type Fault int

// None forwards it and its answer. AnswerLost forwards it, and then breaks the
// connection instead of answering. SlowDown answers as S3 does that wants fewer
// requests, and forwards nothing. Stall forwards nothing and does not answer, until
// the client gives up. BodyCut breaks the connection in the middle of the answer's
// body, BodyStall sends no more there until the client gives up. RequestLost breaks
// the connection and forwards nothing. NotImplemented and Conflict answer as stores do
// that do not know If-None-Match, or while another such write is under way, and
// forward nothing.
const (
	None Fault = iota
	AnswerLost
	SlowDown
	RequestLost
	BodyCut
	Stall
	BodyStall
	NotImplemented
	Conflict
)

// answers are those of the faults that are one.
var answers = map[Fault]struct {
	status        int
	code, message string
}{
	SlowDown:       {http.StatusServiceUnavailable, "SlowDown", "Please reduce your request rate."},
	NotImplemented: {http.StatusNotImplemented, "NotImplemented", "A header you provided implies functionality that is not implemented."},
	Conflict:       {http.StatusConflict, "ConditionalRequestConflict", "The conditional request cannot succeed due to a conflicting operation."},
}

// Proxy is a server that forwards to another.
type Proxy struct {
	URL string // "http://127.0.0.1:PORT"
	// Forwarded counts the requests that reached the server behind.
	Forwarded atomic.Int64

	target string
	to     *http.Transport
	closed chan struct{}

	mu     sync.Mutex
	pick   func(*http.Request) Fault // guarded by mu
	change func(http.Header)         // guarded by mu
}

// Start starts a proxy to the host and port target, which ends with the test.
func Start(t testing.TB, target string) *Proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{
		URL: "http://" + l.Addr().String(), target: target, closed: make(chan struct{}),
		to: &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true},
	}
	server := &http.Server{Handler: http.HandlerFunc(p.serve), ReadHeaderTimeout: time.Minute}
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	t.Cleanup(func() {
		close(p.closed)
		if err := server.Shutdown(context.Background()); err != nil {
			t.Errorf("stopping the fault proxy: %v", err)
		}
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("serving the fault proxy: %v", err)
		}
		p.to.CloseIdleConnections()
	})
	return p
}

// Pick makes pick decide what happens to each request from now on; nil stands for
// None. It is called by many goroutines.
func (p *Proxy) Pick(pick func(*http.Request) Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pick = pick
}

// Change makes change edit the headers of all answers from now on.
func (p *Proxy) Change(change func(http.Header)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.change = change
}

// Next lets fault happen to the next request for which match holds, and reports
// by its result whether it has happened.
func (p *Proxy) Next(fault Fault, match func(*http.Request) bool) (happened func() bool) {
	var done atomic.Bool
	p.Pick(func(r *http.Request) Fault {
		if match(r) && done.CompareAndSwap(false, true) {
			return fault
		}
		return None
	})
	return done.Load
}

func (p *Proxy) fault(r *http.Request) Fault {
	p.mu.Lock()
	pick := p.pick
	p.mu.Unlock()
	if pick == nil {
		return None
	}
	return pick(r)
}

func (p *Proxy) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	fault := p.fault(r)
	if a, ok := answers[fault]; ok {
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(a.status)
		_, _ = fmt.Fprintf(w, `<?xml version="1.0" encoding="UTF-8"?><Error><Code>%s</Code><Message>%s</Message></Error>`, a.code, a.message)
		return
	}
	switch fault {
	case Stall:
		p.stall(r)
	case RequestLost:
		panic(http.ErrAbortHandler)
	}
	ctx := r.Context()
	if fault == AnswerLost {
		ctx = context.WithoutCancel(ctx) // it gets there, whoever waits for it
	}
	out := r.Clone(ctx)
	out.URL = &url.URL{Scheme: "http", Host: p.target, Path: r.URL.Path, RawPath: r.URL.RawPath, RawQuery: r.URL.RawQuery}
	out.RequestURI, out.Body, out.ContentLength = "", io.NopCloser(bytes.NewReader(body)), int64(len(body))
	if len(body) == 0 {
		out.Body = http.NoBody
	}
	p.Forwarded.Add(1)
	res, err := p.to.RoundTrip(out)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	defer func() { _ = res.Body.Close() }()
	if fault == AnswerLost {
		_, _ = io.Copy(io.Discard, res.Body)
		panic(http.ErrAbortHandler)
	}
	p.mu.Lock()
	change := p.change
	p.mu.Unlock()
	if change != nil {
		change(res.Header)
	}
	for name, values := range res.Header {
		w.Header()[name] = values
	}
	w.WriteHeader(res.StatusCode)
	if (fault == BodyCut || fault == BodyStall) && res.ContentLength > 1 {
		_, _ = io.CopyN(w, res.Body, res.ContentLength/2)
		if fault == BodyStall {
			_ = http.NewResponseController(w).Flush()
			p.stall(r)
		}
		panic(http.ErrAbortHandler)
	}
	if _, err := io.Copy(w, res.Body); err != nil {
		panic(http.ErrAbortHandler)
	}
}

// stall waits until the client gives up.
func (p *Proxy) stall(r *http.Request) {
	select {
	case <-r.Context().Done():
	case <-p.closed:
	}
	panic(http.ErrAbortHandler)
}

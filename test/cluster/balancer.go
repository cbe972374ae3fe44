package cluster

import (
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
	"time"
)

// Balancer is a load balancer at localhost that sends each request to the next of its
// servers, and says truly where requests come from.
type Balancer struct {
	URL string // http://localhost:PORT

	server *http.Server
	mu     sync.Mutex
	to     []*url.URL // guarded by mu
	turn   int        // guarded by mu
}

// Balance starts one for servers, given by their URLs.
func Balance(servers ...string) (*Balancer, error) {
	b := &Balancer{}
	if err := b.Set(servers...); err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		return nil, err
	}
	b.URL = "http://localhost:" + port
	b.server = &http.Server{ReadHeaderTimeout: time.Minute, Handler: &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(b.next())
			r.Out.Host = r.In.Host
			r.SetXForwarded()
		},
		FlushInterval: -1,
		// A connection that is idle may be one of a server that was killed.
		Transport: &http.Transport{DisableKeepAlives: true},
	}}
	go func() { _ = b.server.Serve(l) }() // until Close
	return b, nil
}

// Set replaces the servers, for requests to come.
func (b *Balancer) Set(servers ...string) error {
	var to []*url.URL
	for _, s := range servers {
		u, err := url.Parse(s)
		if err != nil {
			return err
		}
		to = append(to, u)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.to = to
	return nil
}

func (b *Balancer) next() *url.URL {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.turn++
	return b.to[b.turn%len(b.to)]
}

// Close ends it.
func (b *Balancer) Close() error { return b.server.Close() }

package server

import (
	"net"
	"net/http"
	"sync"
	"time"
)

// unusedGrace is how long a connection may take to begin its first request
// once the server stops.
const unusedGrace = 200 * time.Millisecond

// unused are the connections on which no request has begun. Clients open some
// in advance and never use them; http.Server.Shutdown would wait five seconds
// for each.
type unused struct {
	mu    sync.Mutex
	conns map[net.Conn]struct{} // guarded by mu
}

// note is for http.Server.ConnState.
func (u *unused) note(c net.Conn, state http.ConnState) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if state != http.StateNew {
		delete(u.conns, c)
		return
	}
	if u.conns == nil {
		u.conns = map[net.Conn]struct{}{}
	}
	u.conns[c] = struct{}{}
}

func (u *unused) close() {
	u.mu.Lock()
	defer u.mu.Unlock()
	for c := range u.conns {
		_ = c.Close() // whoever reads from it notices
	}
}

package server

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"sync/atomic"
)

// net/http takes a request with both Content-Length and Transfer-Encoding as the
// latter says, as it should, but keeps the connection, and tells nobody that
// there were both. RFC 9112 section 6.1: "the server MUST close the connection
// after responding to such a request". A proxy in front that went by the length
// would take what follows for another request.

// streamConn is what net/http asks of a connection; *net.TCPConn is one.
type streamConn interface {
	net.Conn
	io.ReaderFrom // sends files by sendfile
	CloseWrite() error
}

// framedConn watches a plain connection for headers with both. With TLS nobody
// stands between.
type framedConn struct {
	streamConn
	both atomic.Bool // a header had both

	// owned by Read
	line                  []byte // the beginning of the line that is being read
	length, encoding, cut bool   // of the header that is being read; line was cut off
}

// headerReads is the largest read by which net/http reads headers: the size of
// its buffer. What is read in larger pieces is of bodies.
const headerReads = 4096

// longestName is as much of a line as is looked at.
const longestName = len("transfer-encoding:")

// Read reads, and looks at what may be of a header.
func (c *framedConn) Read(p []byte) (int, error) {
	n, err := c.streamConn.Read(p)
	if len(p) <= headerReads {
		c.look(p[:n])
	} else {
		c.line, c.cut = c.line[:0], true
	}
	return n, err
}

// look takes what follows on what was looked at before. Bytes of a body may look
// like a header, and then the connection is closed for nothing.
func (c *framedConn) look(b []byte) {
	for len(b) > 0 {
		end := bytes.IndexByte(b, '\n')
		rest := b
		if end >= 0 {
			rest = b[:end]
		}
		if room := longestName - len(c.line); room > 0 && !c.cut {
			c.line = append(c.line, rest[:min(room, len(rest))]...)
		}
		if end < 0 {
			return
		}
		line := bytes.ToLower(bytes.TrimRight(c.line, "\r"))
		switch {
		case c.cut:
		case len(line) == 0:
			if c.length && c.encoding {
				c.both.Store(true)
			}
			c.length, c.encoding = false, false
		case bytes.HasPrefix(line, []byte("content-length")):
			c.length = true
		case bytes.HasPrefix(line, []byte("transfer-encoding")):
			c.encoding = true
		}
		c.line, c.cut = c.line[:0], false
		b = b[end+1:]
	}
}

// framedListener makes framedConns.
type framedListener struct{ net.Listener }

// Accept implements net.Listener.
func (l framedListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if s, ok := c.(streamConn); ok && err == nil {
		return &framedConn{streamConn: s}, nil
	}
	return c, err
}

type connKey struct{}

// withConn is an http.Server's ConnContext.
func withConn(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, c)
}

// closeAmbiguous has the connection closed after the answer to r where it needs
// to be.
func closeAmbiguous(w http.ResponseWriter, r *http.Request) {
	if c, ok := r.Context().Value(connKey{}).(*framedConn); ok && c.both.Load() {
		w.Header().Set("Connection", "close")
	}
}

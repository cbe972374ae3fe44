package server_test

import (
	"bufio"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
)

// RFC 9112 section 6.1: after a request with both Content-Length and
// Transfer-Encoding the connection is closed; after others it is kept.
func TestConnectionsAfterBothLengths(t *testing.T) {
	w := start(t, t.TempDir())
	const (
		chunked = "Transfer-Encoding: chunked\r\n"
		length  = "Content-Length: 5\r\n"
	)
	for name, tt := range map[string]struct {
		header, body string
		closed       bool
	}{
		"both":             {length + chunked, "0\r\n\r\n", true},
		"in another order": {chunked + "X-Long: " + strings.Repeat("x", 9000) + "\r\n" + "content-LENGTH: 0\r\n", "5\r\nhello\r\n0\r\n\r\n", true},
		"a length":         {length, "hello", false},
		"chunks":           {chunked, "5\r\nhello\r\n0\r\n\r\n", false},
	} {
		t.Run(name, func(t *testing.T) {
			w.within(t)
			for _, pieces := range []int{1, 7, 100_000} {
				conn := w.dial()
				answers := bufio.NewReader(conn)
				request := "POST /v2/app/blobs/uploads/ HTTP/1.1\r\nHost: x\r\n" + tt.header + "\r\n" + tt.body
				go func() {
					for i := 0; i < len(request); i += pieces {
						if _, err := io.WriteString(conn, request[i:min(len(request), i+pieces)]); err != nil {
							return
						}
					}
				}()
				read := func() (status int, closes bool) {
					resp, err := http.ReadResponse(answers, nil)
					if err != nil {
						t.Fatalf("%s in pieces of %d: %v", name, pieces, err)
					}
					_, err = io.Copy(io.Discard, resp.Body)
					if err := errors.Join(err, resp.Body.Close()); err != nil {
						t.Error(err)
					}
					return resp.StatusCode, resp.Close
				}
				if status, closes := read(); status != http.StatusUnauthorized || closes != tt.closed {
					t.Errorf("%s in pieces of %d: %d, close %v, want %v", name, pieces, status, closes, tt.closed)
				}
				if !tt.closed {
					if _, err := io.WriteString(conn, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
						t.Fatal(err)
					}
					if status, _ := read(); status != http.StatusOK {
						t.Errorf("the next request: %d", status)
					}
				}
				if err := conn.Close(); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

package server_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/server"
)

// dial connects to the server; what it sends and reads must come within a
// minute.
func (w *world) dial() net.Conn {
	w.t.Helper()
	c, err := net.Dial("tcp", w.hosts[here])
	if err == nil {
		err = c.SetDeadline(time.Now().Add(time.Minute))
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

// A header larger than the limit is refused before it is read whole.
func TestHugeHeader(t *testing.T) {
	w := start(t, t.TempDir())
	huge := w.dial()
	go func() { // the server stops reading
		_, _ = io.WriteString(huge, "GET /v2/ HTTP/1.1\r\nHost: x\r\nX-Huge: "+strings.Repeat("x", 10<<20)+"\r\n\r\n")
	}()
	resp, err := http.ReadResponse(bufio.NewReader(huge), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(resp.Body.Close(), huge.Close()); err != nil || resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("a header of 10 MiB: %s, %v", resp.Status, err)
	}
	large := w.request(here, "GET", "/v2/", "", "X-Large", strings.Repeat("x", 60<<10))
	w.want(w.do(large), 401)
}

// A header that does not come to its end is waited for until header-time, and
// others are served meanwhile.
func TestSlowHeader(t *testing.T) {
	w := start(t, t.TempDir(), with(server.Limits{HeaderTime: 300 * time.Millisecond}))
	slow := w.dial()
	if _, err := io.WriteString(slow, "GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: "); err != nil {
		t.Fatal(err)
	}
	// On a busy machine the header of another may not come in time either.
	until(t, "other clients are not served", func() bool {
		resp, err := http.DefaultClient.Do(w.request(here, "GET", "/healthz", ""))
		return err == nil && readAnswer(t, resp).status == 200
	})
	if b, err := io.ReadAll(slow); errors.Is(err, os.ErrDeadlineExceeded) || strings.Contains(string(b), " 200 ") {
		t.Errorf("a header without an end: %q, %v", b, err)
	}
	if err := slow.Close(); err != nil {
		t.Error(err)
	}
}

// A connection that is not used again is waited for until idle-time.
func TestIdleConnection(t *testing.T) {
	w := start(t, t.TempDir(), with(server.Limits{IdleTime: 300 * time.Millisecond}))
	idle := w.dial()
	if _, err := io.WriteString(idle, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(idle); errors.Is(err, os.ErrDeadlineExceeded) || strings.Count(string(b), " 200 ") != 1 {
		t.Errorf("a connection that is not used again: %q, %v", b, err)
	}
	if err := idle.Close(); err != nil {
		t.Error(err)
	}
}

// A flood of connections: those beyond the limit are closed, those within are
// served, and when the flood is over everybody is.
func TestConnectionFlood(t *testing.T) {
	const limit, flood = 20, 300
	w := start(t, t.TempDir(), with(server.Limits{Connections: limit}))
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	var (
		wg     sync.WaitGroup
		mu     sync.Mutex
		served int // guarded by mu
		conns  []net.Conn
	)
	for range flood {
		conns = append(conns, w.dial())
	}
	for _, c := range conns {
		wg.Go(func() {
			// Of a connection that was closed either may fail.
			_, err := io.WriteString(c, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
			if err != nil {
				return
			}
			resp, err := http.ReadResponse(bufio.NewReader(c), nil)
			if errors.Is(err, os.ErrDeadlineExceeded) {
				t.Error("a connection is neither served nor closed")
			}
			if err != nil {
				return
			}
			if err := resp.Body.Close(); err != nil || resp.StatusCode != http.StatusOK {
				t.Errorf("%s, %v", resp.Status, err)
			}
			mu.Lock()
			defer mu.Unlock()
			served++
		})
	}
	wg.Wait()
	if served == 0 || served > limit {
		t.Errorf("%d connections of %d were served, the limit is %d", served, flood, limit)
	}
	for _, c := range conns {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
	until(t, "requests are not served after the flood", func() bool {
		resp, err := http.DefaultClient.Do(w.request(here, "GET", "/healthz", ""))
		if err != nil {
			return false
		}
		return readAnswer(t, resp).status == 200
	})
}

// A connection that falls silent in the middle of a chunk does not keep its
// client from sending the chunk again on another one.
func TestSilentWriterGivesWay(t *testing.T) {
	w := start(t, t.TempDir())
	w.create(here, "app")
	password := w.password(here, pusher)
	for _, retry := range []struct {
		method, query, body string
		status              int
	}{{"PATCH", "", "0123456789", 202}, {"PUT", "?digest=" + string(ecr.DigestOf([]byte("0123456789"))), "0123456789", 201}, {"DELETE", "", "", 204}} {
		t.Run(retry.method, func(t *testing.T) {
			w.within(t)
			at := w.want(w.do(w.basic(here, password, "POST", "/v2/app/blobs/uploads/", "")), 202).header.Get("Location")
			silent := w.dial()
			w.untilAppending(func() {
				_, err := io.WriteString(silent, "PATCH "+at+" HTTP/1.1\r\nHost: x\r\nAuthorization: "+basicHeader("AWS", password)+
					"\r\nContent-Range: 0-9\r\nContent-Length: 10\r\n\r\n0123")
				if err != nil {
					t.Fatal(err)
				}
			})
			var headers []string
			if retry.body != "" {
				headers = []string{"Content-Range", "0-9"}
			}
			w.want(w.do(w.basic(here, password, retry.method, at+retry.query, retry.body, headers...)), retry.status)
			if b, err := io.ReadAll(silent); err != nil || strings.Contains(string(b), " 202 ") {
				t.Errorf("the silent one: %q, %v", b, err)
			}
			if err := silent.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

package server_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kontor-registry/kontor/internal/datadir"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/server"
)

// slowUpload begins an upload to app that goes on as its body is sent. It
// returns when the server works on it.
func slowUpload(w *world) (body *io.PipeWriter, answered <-chan upload) {
	w.t.Helper()
	w.create(here, "app")
	password := w.password(here, pusher)
	a := w.want(w.do(w.basic(here, password, "POST", "/v2/app/blobs/uploads/", "")), 202)
	r := w.basic(here, password, "PATCH", a.header.Get("Location"), "")
	in, out := io.Pipe()
	r.Body, r.ContentLength = in, -1
	done := make(chan upload, 1)
	w.untilAppending(func() {
		go func() {
			resp, err := http.DefaultTransport.RoundTrip(r)
			if err != nil {
				done <- upload{err: err}
				return
			}
			b, err := io.ReadAll(resp.Body)
			done <- upload{answer{resp.StatusCode, resp.Header, string(b)}, errors.Join(err, resp.Body.Close())}
		}()
		w.send(out, "first half, ")
	})
	return out, done
}

type upload struct {
	answer answer
	err    error
}

func (w *world) send(body *io.PipeWriter, text string) {
	w.t.Helper()
	if _, err := io.WriteString(body, text); err != nil {
		w.t.Fatal(err)
	}
}

// A slow upload goes on while the server stops, and is answered.
func TestShutdownLetsUploadsFinish(t *testing.T) {
	dir := t.TempDir()
	w := start(t, dir)
	body, answered := slowUpload(w)
	stopped := make(chan error, 1)
	go func() { stopped <- w.stop() }()
	untilRefused(t, w.hosts[here])
	select {
	case err := <-stopped:
		t.Fatalf("the server did not wait: %v", err)
	default:
	}
	w.send(body, "second half")
	if err := body.Close(); err != nil {
		t.Fatal(err)
	}
	got := <-answered
	if got.err != nil {
		t.Fatal(got.err)
	}
	a := w.want(got.answer, 202)
	if err := <-stopped; err != nil {
		t.Errorf("Run = %v", err)
	}

	// The next server goes on with it.
	w = start(t, dir)
	d := ecr.DigestOf([]byte("first half, second half"))
	w.want(w.do(w.basic(here, w.password(here, pusher), "PUT", a.header.Get("Location")+"?digest="+string(d), "")), 201)
}

// untilRefused returns when host no longer accepts connections.
func untilRefused(t *testing.T, host string) {
	t.Helper()
	for t.Context().Err() == nil {
		c, err := net.Dial("tcp", host)
		if err != nil {
			return
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// A client that does not come to an end is cut off, and that is no error.
func TestShutdownCutsOffInTheEnd(t *testing.T) {
	w := start(t, t.TempDir(), func(c *server.Config) { c.Grace = 1 })
	body, answered := slowUpload(w)
	if err := w.stop(); err != nil {
		t.Errorf("Run = %v", err)
	}
	if err := body.CloseWithError(io.ErrUnexpectedEOF); err != nil { // the client's transport waits for it
		t.Fatal(err)
	}
	if got := <-answered; got.err == nil {
		t.Errorf("the client was answered: %d", got.answer.status)
	}
	if len(w.log.records(t, "requests cut off at shutdown")) != 1 {
		t.Errorf("log:\n%s", w.log)
	}
}

// accepting tells of each connection that it was accepted.
type accepting struct {
	net.Listener
	accepted chan struct{}
}

func (l accepting) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err == nil {
		l.accepted <- struct{}{}
	}
	return c, err
}

// A connection that a client opened in advance does not keep the server, as
// it would http.Server alone for five seconds.
func TestShutdownWithUnusedConnections(t *testing.T) {
	accepted := make(chan struct{}, 1)
	w := start(t, t.TempDir(), func(c *server.Config) {
		c.Grace = 4 * time.Second
		c.Bindings[0].Listeners[0] = accepting{c.Bindings[0].Listeners[0], accepted}
	})
	conn, err := net.Dial("tcp", w.hosts[here])
	if err != nil {
		t.Fatal(err)
	}
	<-accepted
	if err := w.stop(); err != nil {
		t.Fatal(err)
	}
	if cut := w.log.records(t, "requests cut off at shutdown"); len(cut) != 0 {
		t.Errorf("the server waited: %v", cut)
	}
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
}

// Pull times are gathered; stopping stores what is not stored yet.
func TestPullTimesSurviveStopping(t *testing.T) {
	dir := t.TempDir()
	w := start(t, dir)
	w.create(here, "app")
	password := w.password(here, pusher)
	w.push(here, password, "app", "pulled", "layer one")
	w.push(here, password, "app", "left", "layer two")
	w.want(w.do(w.basic(here, password, "GET", "/v2/app/manifests/pulled", "")), 200)
	if err := w.stop(); err != nil {
		t.Fatal(err)
	}
	w = start(t, dir)
	pulledAt := func(tag string) float64 {
		t.Helper()
		a := w.want(w.do(w.json(here, w.credentials(here, administrator), "DescribeImages",
			fmt.Sprintf(`{"repositoryName":"app","imageIds":[{"imageTag":"%s"}]}`, tag))), 200)
		var out struct {
			ImageDetails []struct{ LastRecordedPullTime float64 }
		}
		if err := json.Unmarshal([]byte(a.body), &out); err != nil || len(out.ImageDetails) != 1 {
			t.Fatalf("DescribeImages: %s (%v)", a.body, err)
		}
		return out.ImageDetails[0].LastRecordedPullTime
	}
	if pulledAt("pulled") == 0 || pulledAt("left") != 0 {
		t.Errorf("pulled at %v, and the one never pulled at %v", pulledAt("pulled"), pulledAt("left"))
	}
}

// watcher is a listener whose connections count the files they are given.
type watcher struct {
	*net.TCPListener
	files *atomic.Int32
}

func (l watcher) Accept() (net.Conn, error) {
	c, err := l.AcceptTCP()
	return &watched{c, l.files}, err
}

type watched struct {
	*net.TCPConn
	files *atomic.Int32
}

// ReadFrom is where net sends a file without copying it through the process.
func (c *watched) ReadFrom(r io.Reader) (int64, error) {
	if l, ok := r.(*io.LimitedReader); ok {
		if _, ok := l.R.(*os.File); ok {
			c.files.Add(1)
		}
	}
	return c.TCPConn.ReadFrom(r)
}

// A download reaches the connection as a file, through everything that stands
// between: sendfile needs that.
func TestDownloadsAreSentAsFiles(t *testing.T) {
	var files atomic.Int32
	w := start(t, t.TempDir(), func(c *server.Config) {
		for i := range c.Bindings {
			c.Bindings[i].Listeners[0] = watcher{c.Bindings[i].Listeners[0].(*net.TCPListener), &files}
		}
	})
	w.create(here, "app")
	password := w.password(here, pusher)
	content := strings.Repeat("0123456789", 100_000)
	_, layer := w.push(here, password, "app", "v1", content)
	sent := map[string]int{} // bytes, by request
	for _, tt := range []struct {
		rng    string
		status int
		want   string
	}{{"", 200, content}, {"bytes=10-500009", 206, content[10:500010]}} {
		t.Run("range "+tt.rng, func(t *testing.T) {
			w.within(t)
			before := files.Load()
			a := w.want(w.do(w.basic(here, password, "GET", "/v2/app/blobs/"+string(layer), "", "Range", tt.rng)), tt.status)
			if n := files.Load() - before; a.body != tt.want || n != 1 {
				t.Errorf("%d bytes, %d files sent", len(a.body), n)
			}
			sent[a.header.Get("X-Amzn-Requestid")] = len(tt.want)
		})
	}
	// The log counts the bytes of a file.
	logged := w.requests()
	for id, want := range sent {
		if got := logged[id]["bytes"]; got != float64(want) {
			t.Errorf("%v bytes in the log, want %d", got, want)
		}
	}
}

func TestListenerFails(t *testing.T) {
	var first net.Listener
	w := start(t, t.TempDir(), func(c *server.Config) { first = c.Bindings[0].Listeners[0] })
	other := w.hosts[elsewhere]
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	// All of the server stops, and tells why.
	untilRefused(t, other)
	if err := w.stop(); err == nil || !strings.HasPrefix(err.Error(), "serving on "+w.hosts[here]) {
		t.Errorf("Run = %v", err)
	}
	w.stop = func() error { return nil }
}

func TestNothingToServe(t *testing.T) {
	if _, err := server.New(context.Background(), server.Config{}); err == nil || err.Error() != "server: no registry to serve" {
		t.Errorf("New = %v", err)
	}
}

// A server does not start with another blob store than its database's.
func TestAnotherBlobStore(t *testing.T) {
	open := func() *datadir.Dir {
		d, err := datadir.Open(t.Context(), t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := d.Close(); err != nil {
				t.Error(err)
			}
		})
		return d
	}
	start := func(m, b *datadir.Dir) error {
		_, err := server.New(t.Context(), server.Config{Meta: m.Meta, Blobs: b.Blobs, Key: m.Key, ImageNow: time.Now, AuthNow: time.Now,
			Log: slog.New(slog.DiscardHandler), Bindings: []server.Binding{{Registry: here}}})
		return err
	}
	one, two := open(), open()
	for _, d := range []*datadir.Dir{one, two, one} {
		if err := start(d, d); err != nil {
			t.Fatal(err)
		}
	}
	if err := start(one, two); err == nil || !strings.Contains(err.Error(), "the database belongs to the blob store with installation id") {
		t.Errorf("New = %v", err)
	}
}

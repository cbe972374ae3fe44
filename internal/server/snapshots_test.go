package server_test

import (
	"context"
	"io"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kontor-registry/kontor/internal/server"
	"github.com/kontor-registry/kontor/internal/store/meta"
)

// snapshots counts the transactions that read.
type snapshots struct {
	meta.Store
	begun, open atomic.Int64
	asked       atomic.Int64 // for the stamp of the identities
}

func (s *snapshots) IdentityStamp(ctx context.Context) (string, error) {
	s.asked.Add(1)
	return s.Store.IdentityStamp(ctx)
}

func (s *snapshots) View(ctx context.Context, fn func(context.Context, meta.Reader) error) error {
	r, end, err := s.Snapshot(ctx)
	if err != nil {
		return err
	}
	defer end()
	return fn(ctx, r)
}

func (s *snapshots) Snapshot(ctx context.Context) (meta.Reader, func(), error) {
	r, end, err := s.Store.Snapshot(ctx)
	if err != nil {
		return nil, nil, err
	}
	if ctx.Value(http.ServerContextKey) == nil {
		return r, end, nil // of a job in the background
	}
	s.begun.Add(1)
	s.open.Add(1)
	return r, func() { s.open.Add(-1); end() }, nil
}

// A download finds out who asks and what may be read in one transaction, and
// holds none when the content is sent. Uploads hold none while they wait for a
// client.
func TestTransactionsOfDownloads(t *testing.T) {
	s := &snapshots{}
	w := start(t, t.TempDir(), func(c *server.Config) { s.Store = c.Meta; c.Meta = s })
	password := w.password(here, pusher)
	w.create(here, "app")
	image, blob := w.push(here, password, "app", "v1", "layer")
	for _, tt := range []struct {
		method, path string
		status       int
	}{
		{"GET", "/v2/", 200},
		{"GET", "/v2/app/manifests/v1", 200},
		{"HEAD", "/v2/app/manifests/v1", 200},
		{"GET", "/v2/app/manifests/" + string(image), 200},
		{"GET", "/v2/app/blobs/" + string(blob), 200},
		{"HEAD", "/v2/app/blobs/" + string(blob), 200},
		{"GET", "/v2/app/tags/list", 200},
		{"GET", "/v2/app/manifests/v1?ns=localhost:5001", 200},
		{"GET", "/v2/app/blobs/" + string(blob) + "?ns=localhost:5001", 200},
		{"GET", "/v2/app/manifests/none", 404},
		{"GET", "/v2/none/manifests/v1", 404},
		{"GET", "/v2/app/blobs/" + string(image), 404},
		{"HEAD", "/v2/app/blobs/" + string(image), 404},
		{"GET", "/v2/app", 404},
	} {
		t.Run(tt.method+" "+tt.path, func(t *testing.T) {
			w.within(t)
			before := s.begun.Load()
			w.want(w.do(w.basic(here, password, tt.method, tt.path, "")), tt.status)
			if n := s.begun.Load() - before; n != 1 {
				t.Errorf("%s %s: %d snapshots", tt.method, tt.path, n)
			}
		})
	}
	before := s.begun.Load()
	w.want(w.do(w.request(here, "GET", "/v2/", "")), 401)
	if n := s.begun.Load() - before; n != 0 {
		t.Errorf("a request without credentials takes %d snapshots", n)
	}
	w.want(w.do(w.basic(here, password+"x", "GET", "/v2/app/manifests/v1", "")), 401)

	// A manifest is read before anything is asked.
	before = s.asked.Load()
	body, send := io.Pipe()
	up := w.basic(here, password, "PUT", "/v2/app/manifests/v2", "")
	up.Body, up.ContentLength = body, -1
	done := make(chan answer)
	go func() { done <- w.do(up) }()
	w.send(send, "{")
	until := time.Now().Add(time.Minute)
	for s.asked.Load() == before || s.open.Load() > 0 {
		if time.Now().After(until) {
			t.Fatalf("%d snapshots are open while a client takes its time", s.open.Load())
		}
		time.Sleep(time.Millisecond)
	}
	if err := send.Close(); err != nil {
		t.Fatal(err)
	}
	w.want(<-done, 405)
	if n := s.open.Load(); n != 0 {
		t.Errorf("%d snapshots are left open", n)
	}
}

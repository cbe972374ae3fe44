package server_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/pgtest"
	"github.com/kontor-registry/kontor/internal/server"
	"github.com/kontor-registry/kontor/internal/store/meta/postgres"
)

// roundTrips is a proxy in front of a PostgreSQL server that counts how often the server
// said that it is ready for the next question.
func roundTrips(t *testing.T, address string) (through string, n *atomic.Int64) {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	port := "5432"
	if p := q.Get("port"); p != "" {
		port = p
	}
	target := filepath.Join(q.Get("host"), ".s.PGSQL."+port)
	dir, err := os.MkdirTemp("", "trips") // the path of a socket has to be short
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", filepath.Join(dir, ".s.PGSQL."+port))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(l.Close(), os.RemoveAll(dir)); err != nil {
			t.Error(err)
		}
	})
	n = &atomic.Int64{}
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return // the test is over
			}
			server, err := net.Dial("unix", target)
			if err != nil {
				t.Error(err)
				_ = client.Close()
				continue
			}
			go func() { _, _ = io.Copy(server, client); _ = server.Close() }()
			go func() { countReady(client, server, n); _ = client.Close() }()
		}
	}()
	q.Set("host", dir)
	u.RawQuery = q.Encode()
	return u.String(), n
}

// countReady copies the messages of a server, and counts those of ReadyForQuery
// (PostgreSQL documentation, "Message Formats").
func countReady(to io.Writer, from io.Reader, n *atomic.Int64) {
	in := bufio.NewReader(from)
	for {
		head, err := in.Peek(5)
		if err != nil {
			return
		}
		if head[0] == 'Z' {
			n.Add(1)
		}
		if _, err := io.CopyN(to, in, int64(binary.BigEndian.Uint32(head[1:]))+1); err != nil {
			return
		}
	}
}

// The round trips to PostgreSQL that a request takes when the caches are filled. The best
// of several tries counts, because the server does other work at the same time.
func TestRoundTripsOfPostgreSQL(t *testing.T) {
	through, n := roundTrips(t, pgtest.Start(t))
	s, err := postgres.Open(context.Background(), postgres.Config{URL: through})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	w := start(t, t.TempDir(), func(c *server.Config) { c.Meta = s })
	password := w.password(here, pusher)
	w.create(here, "app")
	image, layer := w.push(here, password, "app", "v1", "layer")
	upload := func() string {
		return w.want(w.do(w.basic(here, password, "POST", "/v2/app/blobs/uploads/", "")), 202).header.Get("Location")
	}
	pushed := 0
	fresh := func() (string, ecr.Digest) {
		pushed++
		content := fmt.Sprintf("content %d", pushed)
		return content, ecr.DigestOf([]byte(content))
	}
	get := func(method, path string) func() func() {
		return func() func() {
			return func() { w.want(w.do(w.basic(here, password, method, path, "")), 200) }
		}
	}
	for _, tt := range []struct {
		name string
		most int64
		// prepare does what comes before the request, which it returns.
		prepare func() func()
	}{
		{"GET /v2/", 2, get("GET", "/v2/")},
		{"manifest by tag", 3, get("GET", "/v2/app/manifests/v1")},
		{"HEAD of a manifest by tag", 3, get("HEAD", "/v2/app/manifests/v1")},
		{"manifest by digest", 3, get("GET", "/v2/app/manifests/"+string(image))},
		{"blob", 3, get("GET", "/v2/app/blobs/"+string(layer))},
		{"manifest by tag for a mirror", 3, get("GET", "/v2/app/manifests/v1?ns=localhost:5001")},
		{"HEAD of a blob", 3, get("HEAD", "/v2/app/blobs/"+string(layer))},
		{"begin of an upload", 4, func() func() { return func() { upload() } }},
		{"blob in one request", 12, func() func() {
			content, d := fresh()
			return func() {
				w.want(w.do(w.basic(here, password, "POST", "/v2/app/blobs/uploads/?digest="+string(d), content)), 201)
			}
		}},
		{"part of an upload", 7, func() func() {
			content, _ := fresh()
			at := upload()
			return func() { w.want(w.do(w.basic(here, password, "PATCH", at, content)), 202) }
		}},
		{"end of an upload", 9, func() func() {
			content, d := fresh()
			at := upload()
			w.want(w.do(w.basic(here, password, "PATCH", at, content)), 202)
			return func() { w.want(w.do(w.basic(here, password, "PUT", at+"?digest="+string(d), "")), 201) }
		}},
		{"manifest again", 8, func() func() {
			m := w.manifest(`{"architecture":"amd64","os":"linux"}`, "layer")
			return func() {
				w.want(w.do(w.basic(here, password, "PUT", "/v2/app/manifests/v1", m, "Content-Type", manifestType)), 201)
			}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w.within(t)
			least := int64(1 << 30)
			for until := time.Now().Add(time.Minute); least > tt.most && time.Now().Before(until); {
				request := tt.prepare()
				before := n.Load()
				request()
				least = min(least, n.Load()-before)
			}
			t.Logf("%s: %d", tt.name, least)
			if least > tt.most {
				t.Errorf("%d round trips, want at most %d", least, tt.most)
			}
		})
	}
}

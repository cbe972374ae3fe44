package host_test

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/access/audit"
	"github.com/kontor-registry/kontor/internal/access/identity"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/host"
	"github.com/kontor-registry/kontor/internal/registry"
	"github.com/kontor-registry/kontor/internal/server"
	"github.com/kontor-registry/kontor/internal/store/blob"
	"github.com/kontor-registry/kontor/internal/store/meta"
	"github.com/kontor-registry/kontor/internal/store/meta/sqlite"
)

// wireClient sends requests over one connection and looks at nothing but the status
// line and the length of the answer: what is measured is the server.
type wireClient struct {
	b    testing.TB
	conn net.Conn
	in   *bufio.Reader
	auth string
}

func (c *wireClient) do(method, path, contentType, body string, want int) {
	head := method + " " + path + " HTTP/1.1\r\nHost: registry\r\nAuthorization: " + c.auth + "\r\n"
	if contentType != "" {
		head += "Content-Type: " + contentType + "\r\n"
	}
	if body != "" || method == http.MethodPost || method == http.MethodPut {
		head += fmt.Sprintf("Content-Length: %d\r\n", len(body))
	}
	if _, err := io.WriteString(c.conn, head+"\r\n"+body); err != nil {
		c.b.Error(err)
		return
	}
	status, length := 0, int64(0)
	for first := true; ; first = false {
		line, err := c.in.ReadSlice('\n')
		if err != nil {
			c.b.Error(err)
			return
		}
		text := strings.TrimSpace(string(line))
		if first {
			_, _ = fmt.Sscanf(text, "HTTP/1.1 %d", &status)
		} else if text == "" {
			break
		} else if v, ok := strings.CutPrefix(text, "Content-Length: "); ok {
			_, _ = fmt.Sscan(v, &length)
		}
	}
	if method == http.MethodHead {
		length = 0
	}
	rest := &strings.Builder{}
	if _, err := io.CopyN(rest, c.in, length); err != nil {
		c.b.Error(err)
	}
	if status != want {
		c.b.Errorf("%s %s: status %d, want %d: %s", method, path, status, want, rest)
	}
}

// used is the CPU time of this process, and how much it has written to files.
func used() (cpu time.Duration, written int64) {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err == nil {
		cpu = time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	text, err := os.ReadFile("/proc/self/io")
	if _, rest, ok := strings.Cut(string(text), "write_bytes: "); err == nil && ok {
		_, _ = fmt.Sscan(rest, &written)
	}
	return cpu, written
}

// parallel runs b.N operations by so many clients, and reports what the process, the
// clients included, needs for each.
func parallel(b *testing.B, clients int, connect func() *wireClient, op func(c *wireClient, n int64)) {
	all := make([]*wireClient, clients)
	for i := range all {
		all[i] = connect()
	}
	var next atomic.Int64
	next.Store(time.Now().UnixNano()) // what is pushed is new
	var wg sync.WaitGroup
	end := next.Load() + int64(b.N)
	cpu, written := used()
	b.ResetTimer()
	for _, c := range all {
		wg.Go(func() {
			for n := next.Add(1); n <= end; n = next.Add(1) {
				op(c, n)
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	cpuAfter, writtenAfter := used()
	b.ReportMetric(float64((cpuAfter-cpu).Microseconds())/float64(b.N), "cpu-us/op")
	b.ReportMetric(float64(writtenAfter-written)/1024/float64(b.N), "KiB-written/op")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "op/s")
	for _, c := range all {
		_ = c.conn.Close()
	}
}

var already = flag.Int("images", 0, "how many images of four blobs BenchmarkRequests finds in the registry, ten in each repository")

// seed adds images to the database in folder, without content.
func seed(b *testing.B, folder string, in ecr.RegistryID, images int) {
	store, err := sqlite.Open(b.Context(), sqlite.Config{Path: filepath.Join(folder, "kontor.db")})
	if err != nil {
		b.Fatal(err)
	}
	defer func() {
		if err := store.Close(); err != nil {
			b.Error(err)
		}
	}()
	at := time.Now()
	add := func(ctx context.Context, tx meta.Tx, first int) error {
		repo, err := tx.InsertRepository(ctx, meta.Repository{Registry: in, Name: ecr.RepositoryName(fmt.Sprintf("team/app-%06d", first)), CreatedAt: at, Mutability: ecr.Mutability{Mode: ecr.Mutable}})
		for i := first; i < first+10 && err == nil; i++ {
			m := meta.Manifest{Repository: repo, Image: ecr.Image{MediaType: "application/vnd.oci.image.manifest.v1+json", SizeBytes: 16 << 10, PushedAt: at}}
			for l := range 4 {
				d := ecr.DigestOf(fmt.Appendf(nil, "layer %d of seeded %d", l, i))
				_, err = tx.AddBlob(ctx, meta.Blob{Digest: d, Key: blob.NewKey(), SizeBytes: 4096, CreatedAt: at})
				if err == nil {
					err = tx.LinkBlob(ctx, repo, d, at)
				}
				if err != nil {
					return err
				}
				m.Blobs = append(m.Blobs, d)
			}
			m.Body = fmt.Appendf(nil, "%0900d", i)
			m.Image.Digest = ecr.DigestOf(m.Body)
			if err = tx.InsertManifest(ctx, m); err == nil {
				err = tx.PutTag(ctx, repo, meta.TagRow{Tag: ecr.Tag(fmt.Sprintf("v%d", i)), Digest: m.Image.Digest, TaggedAt: at}, true)
			}
		}
		return err
	}
	// What a statement costs grows with its transaction: docs/design/0048.
	const atOnce = 50
	for first := 0; first < images; first += atOnce {
		err := store.Update(b.Context(), func(ctx context.Context, tx meta.Tx) error {
			for i := first; i < min(first+atOnce, images); i += 10 {
				if err := add(ctx, tx, i); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRequests asks a server as users run it: with logins, policies, the audit
// log and durable writes.
func BenchmarkRequests(b *testing.B) {
	r := two[0]
	folder := b.TempDir()
	start := func() *host.Server {
		s, err := host.Start(b.Context(), host.Config{
			Folder: folder, Host: "127.0.0.1", Registries: two[:1], Audit: audit.Changes,
			Server: server.Config{Log: slog.New(slog.NewJSONHandler(io.Discard, nil))},
		})
		if err != nil {
			b.Fatal(err)
		}
		return s
	}
	s := start()
	if *already > 0 {
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
		seed(b, folder, r.ID(), *already)
		s = start()
	}
	defer func() {
		if err := s.Close(); err != nil {
			b.Error(err)
		}
	}()
	ctx := context.Background()
	if _, err := s.Registry().System("test").CreateRepository(ctx, registry.NewRepository{Repo: ecr.Repo{In: r.ID(), Name: "app"}}); err != nil {
		b.Fatal(err)
	}
	login := func(name string) string {
		var user access.Principal
		creds, err := s.Identity().Credentials(ctx, r.Account, name)
		if err == nil {
			user, _, err = s.Identity().Lookup(ctx, creds.AccessKeyID)
		}
		if err != nil {
			b.Fatal(err)
		}
		password, _, err := s.Identity().IssueToken(ctx, user, r.Region)
		if err != nil {
			b.Fatal(err)
		}
		return "Basic " + base64.StdEncoding.EncodeToString([]byte("AWS:"+password))
	}
	auth, administrator := login(identity.Pusher), login(identity.Administrator)
	connect := func() *wireClient {
		conn, err := net.Dial("tcp", strings.TrimPrefix(s.Registries[0].Endpoint, "http://"))
		if err != nil {
			b.Fatal(err)
		}
		return &wireClient{b, conn, bufio.NewReader(conn), auth}
	}
	push := func(c *wireClient, n int64) string {
		type descriptor struct {
			MediaType string     `json:"mediaType"`
			Digest    ecr.Digest `json:"digest"`
			Size      int        `json:"size"`
		}
		put := func(mediaType, content string) descriptor {
			d := ecr.DigestOf([]byte(content))
			c.do(http.MethodPost, "/v2/app/blobs/uploads/?digest="+string(d), "application/octet-stream", content, http.StatusCreated)
			return descriptor{mediaType, d, len(content)}
		}
		m := map[string]any{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json"}
		var layers []descriptor
		for i := range 3 {
			layers = append(layers, put("application/vnd.oci.image.layer.v1.tar+gzip", fmt.Sprintf("%4096s", fmt.Sprintf("layer %d of %d", i, n))))
		}
		m["layers"] = layers
		m["config"] = put("application/vnd.oci.image.config.v1+json", fmt.Sprintf(`{"architecture":"amd64","os":"linux","n":%d}`, n))
		body, err := json.Marshal(m)
		if err != nil {
			b.Error(err)
		}
		c.do(http.MethodPut, fmt.Sprintf("/v2/app/manifests/t%d", n), "application/vnd.oci.image.manifest.v1+json", string(body), http.StatusCreated)
		return string(layers[0].Digest)
	}
	first := connect()
	layer := push(first, 0)
	for _, tt := range []struct {
		name string
		op   func(c *wireClient, n int64)
	}{
		{"manifest HEAD by tag", func(c *wireClient, _ int64) { c.do(http.MethodHead, "/v2/app/manifests/t0", "", "", 200) }},
		{"manifest GET by tag", func(c *wireClient, _ int64) { c.do(http.MethodGet, "/v2/app/manifests/t0", "", "", 200) }},
		{"blob GET of 4 KiB", func(c *wireClient, _ int64) { c.do(http.MethodGet, "/v2/app/blobs/"+layer, "", "", 200) }},
		{"page of 100 repositories", func(c *wireClient, _ int64) { c.do(http.MethodGet, "/v2/_catalog?n=100", "", "", 200) }},
		{"push of a small image", func(c *wireClient, n int64) { push(c, n) }},
		{"push and deletion of a small image", func(c *wireClient, n int64) {
			push(c, n)
			mayDelete := *c
			mayDelete.auth = administrator
			mayDelete.do(http.MethodDelete, fmt.Sprintf("/v2/app/manifests/t%d", n), "", "", 202)
		}},
	} {
		for _, clients := range []int{1, 32} {
			b.Run(fmt.Sprintf("%s/clients=%d", tt.name, clients), func(b *testing.B) { parallel(b, clients, connect, tt.op) })
		}
	}
}

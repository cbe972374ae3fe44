package faults

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	kecr "github.com/kontor-registry/kontor/internal/ecr"
)

// Two thousand connections whose clients read and write as good as nothing: the server
// takes as many as its limits say and tells the others when to come again, its memory
// stays within the bound of docs/limits.md, those that it took finish, and the next push
// goes through.
func TestManySlowClients(t *testing.T) {
	const each = 1000 // readers, and writers
	w := newWorld(t)
	n := newNode(w.dir, "server", w.settings()+"data: "+w.dir+"/data\nlimits: {connections: \"2700\", requests: \"256\", uploads: \"64\", body-bytes: 32MiB}\n")
	w.nodes = []*node{n}
	w.start()
	c := newClient(w, 0, w.seed)
	layer := content{seed: w.seed, size: 16 << 20}.bytes() // more than what the sockets take
	digest := kecr.DigestOf(layer)
	if err := c.upload(t.Context(), mutableRepo, layer); err != nil {
		t.Fatal(err)
	}
	part := content{seed: w.seed + 1, size: 256 << 10}.bytes()
	var at []string
	for range each {
		a, err := c.persist(t.Context(), http.MethodPost, "/v2/"+mutableRepo+"/blobs/uploads/", nil, "")
		if err != nil || a.status != http.StatusAccepted {
			t.Fatal(err, a.status)
		}
		at = append(at, a.location)
	}
	c.http.CloseIdleConnections()
	var (
		all                         sync.WaitGroup
		taken, refused, unexplained atomic.Int64
		goOn                        = make(chan struct{})
		auth                        = "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte("AWS:"+w.password)) + "\r\n"
	)
	// answered reads the head of an answer. Who is refused hears when to come again, or is
	// one connection too many.
	answered := func(r *bufio.Reader, want int) *http.Response {
		resp, err := http.ReadResponse(r, nil)
		switch {
		case err != nil:
			refused.Add(1)
			return nil
		case resp.StatusCode == want:
			return resp
		case (resp.StatusCode == http.StatusServiceUnavailable || resp.StatusCode == http.StatusTooManyRequests) && resp.Header.Get("Retry-After") != "":
			refused.Add(1)
		default:
			unexplained.Add(1)
			t.Errorf("an answer of status %d, Retry-After %q", resp.StatusCode, resp.Header.Get("Retry-After"))
		}
		_ = resp.Body.Close() // with its connection
		return nil
	}
	dial := func() (net.Conn, *bufio.Reader, error) {
		conn, err := net.Dial("tcp", strings.TrimPrefix(n.address(), "http://"))
		if err == nil {
			err = conn.SetDeadline(time.Now().Add(2 * time.Minute))
		}
		return conn, bufio.NewReaderSize(conn, 4096), err
	}
	write := func(path string) error {
		conn, r, err := dial()
		if err != nil {
			return err
		}
		defer func() { _ = conn.Close() }() // whatever became of it
		_, err = fmt.Fprintf(conn, "PATCH %s HTTP/1.1\r\nHost: x\r\n%sExpect: 100-continue\r\nContent-Type: application/octet-stream\r\nContent-Length: %d\r\n\r\n", path, auth, len(part))
		if err != nil {
			refused.Add(1)
			return nil
		}
		if answered(r, http.StatusContinue) == nil { //nolint:bodyclose // "100 Continue" has no body
			return nil
		}
		taken.Add(1)
		if _, err := conn.Write(part[:100]); err != nil {
			return fmt.Errorf("the first bytes: %w", err)
		}
		<-goOn
		if _, err := conn.Write(part[100:]); err != nil {
			return fmt.Errorf("the rest: %w", err)
		}
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			return fmt.Errorf("the answer to a part: %w", err)
		}
		if resp.StatusCode != http.StatusAccepted {
			return fmt.Errorf("the answer to a part: %s", resp.Status)
		}
		return resp.Body.Close()
	}
	read := func() error {
		conn, r, err := dial()
		if err != nil {
			return err
		}
		defer func() { _ = conn.Close() }() // whatever became of it
		if _, err := fmt.Fprintf(conn, "GET /v2/%s/blobs/%s HTTP/1.1\r\nHost: x\r\n%s\r\n", mutableRepo, digest, auth); err != nil {
			refused.Add(1)
			return nil
		}
		resp := answered(r, http.StatusOK)
		if resp == nil {
			return nil
		}
		taken.Add(1)
		<-goOn
		got, err := io.ReadAll(resp.Body)
		if err := errors.Join(err, resp.Body.Close()); err != nil {
			return fmt.Errorf("after %d bytes of a blob: %w", len(got), err)
		}
		if !bytes.Equal(got, layer) {
			return errors.New("a blob with other bytes")
		}
		return nil
	}
	for i := range each {
		all.Go(func() {
			if err := write(at[i]); err != nil {
				t.Errorf("a writer: %v", err)
			}
		})
		all.Go(func() {
			if err := read(); err != nil {
				t.Errorf("a reader: %v", err)
			}
		})
	}
	for until := time.Now().Add(90 * time.Second); taken.Load()+refused.Load()+unexplained.Load() < 2*each; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(until) {
			t.Errorf("%d taken and %d refused of %d: the others hear nothing", taken.Load(), refused.Load(), 2*each)
			break
		}
	}
	close(goOn)
	all.Wait()
	peak := memoryOf(t, n.cmd.Process.Pid)
	const bound = 4*32<<20 + 256<<20 + 2700*100<<10 + 25_000_000 + databaseCache
	t.Logf("%d taken, %d refused, at most %d MB in memory, the bound is %d MB", taken.Load(), refused.Load(), peak>>20, int64(bound)>>20)
	if peak > bound {
		t.Errorf("%d bytes in memory, the bound is %d", peak, int64(bound))
	}
	if taken.Load() == 0 || refused.Load() == 0 {
		t.Error("the limits were not reached")
	}
	began := time.Now()
	if err := c.pushTag(t.Context(), object{mutableRepo, "after"}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.persist(t.Context(), http.MethodGet, "/v2/"+mutableRepo+"/manifests/after", nil, manifestType); err != nil {
		t.Error(err)
	}
	t.Logf("a push %s after the last of them", time.Since(began).Round(time.Millisecond))
}

// databaseCache is that of SQLite: 16 MiB for each of its connections.
const databaseCache = 8 * 16 << 20

// memoryOf is the most memory that a process has had, in bytes.
func memoryOf(t *testing.T, pid int) int64 {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(b), "VmHWM:")
	text, _, _ = strings.Cut(text, "kB")
	kb, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return kb << 10
}

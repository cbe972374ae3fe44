package server_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/race"
	"github.com/kontor-registry/kontor/internal/server"
)

// memoryLimits and memoryBound are an example of docs/limits.md, Memory.
var memoryLimits = server.Limits{BodyBytes: 32 << 20, Requests: 200, Connections: 300}

const memoryBound = 4*(32<<20) + 200*(1<<20) + 300*(100<<10) + 25_000_000

const memoryChild = "KONTOR_TEST_MEMORY_SERVER"

// TestMemoryIsBounded loads a server in a separate process, with 64 uploads of 8
// MiB and 64 manifests of 4 MiB at once, and asks it how much memory it ever
// had of the system. That figure never shrinks, so that nothing has to be
// looked at in time. With the race detector these are 10 each: more than the
// server takes at once.
func TestMemoryIsBounded(t *testing.T) {
	if os.Getenv(memoryChild) != "" {
		serveMemory(t)
		return
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exe, "-test.run=^TestMemoryIsBounded$", "-test.v")
	cmd.Env = append(os.Environ(), memoryChild+"=1")
	var errs bytes.Buffer
	cmd.Stderr = &errs
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	said := func(what string) (value string) {
		t.Helper()
		for line := []byte{}; ; line = line[:0] {
			for b := make([]byte, 1); ; line = append(line, b[0]) {
				if _, err := io.ReadFull(out, b); err != nil {
					t.Fatalf("waiting for %s: %v\n%s", what, err, &errs)
				}
				if b[0] == '\n' {
					break
				}
			}
			if value, ok := strings.CutPrefix(string(line), what+"="); ok {
				return value
			}
		}
	}
	host, password := said("host"), said("password")
	send := func(method, path, kind string, body []byte) (int, error) {
		r, err := http.NewRequestWithContext(t.Context(), method, "http://"+host+path, bytes.NewReader(body))
		if err != nil {
			return 0, err
		}
		r.SetBasicAuth("AWS", password)
		r.Header.Set("Content-Type", kind)
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			return 0, err
		}
		_, err = io.Copy(io.Discard, resp.Body)
		return resp.StatusCode, errors.Join(err, resp.Body.Close())
	}
	var (
		wg   sync.WaitGroup
		mu   sync.Mutex
		seen = map[string]int{} // guarded by mu
	)
	note := func(what string, status int, err error) {
		mu.Lock()
		defer mu.Unlock()
		seen[fmt.Sprintf("%s %d", what, status)]++
		if op := (*net.OpError)(nil); errors.As(err, &op) {
			seen[what+" failed: "+op.Err.Error()]++ // without addresses
		} else if err != nil {
			seen[what+" failed: "+err.Error()]++
		}
	}
	clients := 64
	if race.Enabled {
		clients = 10
	}
	for i := range clients {
		wg.Go(func() {
			layer := bytes.Repeat([]byte{byte(i)}, 8<<20)
			status, err := send("POST", "/v2/app/blobs/uploads/?digest="+string(ecr.DigestOf(layer)), "application/octet-stream", layer)
			note("layer", status, err)
		})
		wg.Go(func() {
			pad := strings.Repeat("x", 4<<20-2_000)
			body := fmt.Sprintf(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[],"annotations":{"a":"%d%s"}}`, i, pad)
			// Refused ones come again, as real clients would.
			for range 1000 {
				status, err := send("PUT", fmt.Sprintf("/v2/app/manifests/t%d", i), "application/vnd.oci.image.index.v1+json", []byte(body))
				note("manifest", status, err)
				if err == nil && status != 503 {
					return
				}
				time.Sleep(100 * time.Millisecond)
			}
		})
	}
	wg.Wait()
	if err := in.Close(); err != nil {
		t.Error(err)
	}
	var sys int64
	if _, err := fmt.Sscan(said("sys"), &sys); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, out); err != nil {
		t.Error(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v\n%s", err, &errs)
	}
	t.Logf("%d MiB of %d MiB; %v", sys>>20, int64(memoryBound)>>20, seen)
	if seen["layer 201"] != clients || seen["manifest 201"] == 0 {
		t.Errorf("answers: %v", seen)
	}
	if sys > memoryBound {
		t.Errorf("the server had %d bytes, more than the bound of %d", sys, int64(memoryBound))
	}
}

// serveMemory is the server's process: it says where it is, serves until its
// input ends, and says what it had.
func serveMemory(t *testing.T) {
	w := start(t, t.TempDir(), with(memoryLimits), func(c *server.Config) { c.Log = slog.New(slog.DiscardHandler) })
	w.create(here, "app")
	fmt.Printf("\nhost=%s\npassword=%s\n", w.hosts[here], w.password(here, pusher))
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		t.Error(err)
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	fmt.Printf("\nsys=%d\n", m.Sys)
}

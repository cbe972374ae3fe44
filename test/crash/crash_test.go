// Package crash kills the real binary while clients push, and looks whether
// anything that it acknowledged is gone or damaged, anything else is served in part, or
// its events say something else than what happened. What else a power failure could lose is tested on the blob
// store with a replayed filesystem.
package crash

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
)

var kills = flag.Int("kills", 12, "how often to kill the server; 200 for the long form")

func TestKilledServerLosesNothing(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Fatal("SIGKILL is needed")
	}
	bin := binary(t)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	l := &ledger{pushes: map[string]*push{}}
	told := newListener(t)
	s := &server{bin: bin, data: t.TempDir(), eventHost: told.host()}
	rnd := rand.New(rand.NewPCG(seed, 0))
	for i := range *kills {
		s.start(t)
		if i == 0 {
			told.add(t, s)
		}
		l.verify(t, s, i)
		l.pushUntilKilled(t, s, i, rnd)
		if t.Failed() {
			return
		}
	}
	s.start(t)
	l.verify(t, s, 0) // all rounds
	told.verify(t, s, l)
	acknowledged, inFlight := l.count()
	t.Logf("%d kills, %d images acknowledged and intact, %d in flight when killed", *kills, acknowledged, inFlight)
	if acknowledged < *kills/2 {
		t.Errorf("only %d images were acknowledged: the test did not get to push", acknowledged)
	}
	s.kill(t)
}

// binary is the program, which is built unless it is given.
func binary(t *testing.T) string {
	t.Helper()
	bin := os.Getenv("KONTOR_BIN")
	if bin == "" {
		bin = filepath.Join(t.TempDir(), "kontor")
		if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", bin, "../../cmd/kontor").CombinedOutput(); err != nil {
			t.Fatalf("building kontor: %v\n%s", err, out)
		}
	}
	return bin
}

// server is the binary on one data folder.
type server struct {
	bin, data string
	eventHost string // of a receiver of events
	cmd       *exec.Cmd
	url       string
	password  string
}

// start runs `kontor up` and waits until it serves.
func (s *server) start(t *testing.T) {
	t.Helper()
	s.cmd = exec.Command(s.bin, "up", "--data", s.data, "--listen", "localhost:0", "--event-host", s.eventHost+"=http")
	var out bytes.Buffer
	s.cmd.Stdout, s.cmd.Stderr = &out, &out
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var env map[string]string
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		b, err := exec.CommandContext(ctx, s.bin, "env", "--data", s.data, "--format", "json").Output()
		if err == nil {
			if err := json.Unmarshal(b, &env); err != nil {
				t.Fatal(err)
			}
			b, err = exec.CommandContext(ctx, s.bin, "login", "--data", s.data, "--print-password").Output()
			s.password = strings.TrimSpace(string(b))
		}
		// The note may still be that of the server killed before.
		if err == nil && s.serves(env["AWS_ENDPOINT_URL"]) {
			s.url = env["AWS_ENDPOINT_URL"]
			return
		}
		if ctx.Err() != nil {
			s.kill(t)
			t.Fatalf("the server does not start: %v\n%s", err, &out)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func (s *server) serves(url string) bool {
	s.url = url
	status, _, err := s.do(http.MethodGet, "/v2/website/tags/list", nil, "")
	return err == nil && status == http.StatusOK
}

func (s *server) kill(t *testing.T) {
	t.Helper()
	if err := s.cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = s.cmd.Wait() // killed
}

// do sends one request as the pusher and reads the whole answer.
func (s *server) do(method, path string, body []byte, contentType string) (int, []byte, error) {
	url := path
	if strings.HasPrefix(path, "/") {
		url = s.url + path
	}
	req, err := http.NewRequest(method, url, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	req.SetBasicAuth("AWS", s.password)
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, err
	}
	b, err := io.ReadAll(resp.Body)
	err = errors.Join(err, resp.Body.Close())
	if method == http.MethodPost && err == nil {
		b = []byte(resp.Header.Get("Location"))
	}
	return resp.StatusCode, b, err
}

// push is one image as a client sent it.
type push struct {
	tag          string
	manifest     []byte
	blobs        map[string][]byte // by digest
	round        int
	acknowledged bool
	// uploaded are the blobs whose upload was acknowledged. Owned by the
	// pushing client, and read when it has ended.
	uploaded []string
}

// ledger is what the clients know. It outlives the servers.
type ledger struct {
	mu     sync.Mutex
	pushes map[string]*push // by tag; guarded by mu
}

func (l *ledger) count() (acknowledged, inFlight int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range l.pushes {
		if p.acknowledged {
			acknowledged++
		} else {
			inFlight++
		}
	}
	return acknowledged, inFlight
}

// pushUntilKilled lets clients push until the server is killed under them.
func (l *ledger) pushUntilKilled(t *testing.T, s *server, round int, rnd *rand.Rand) {
	t.Helper()
	// However slow the machine is, some pushes come through in most rounds.
	var pushed atomic.Int64
	after := time.Duration(20+rnd.IntN(300)) * time.Millisecond
	var clients sync.WaitGroup
	for c := range 4 {
		clients.Add(1)
		mine := rand.New(rand.NewPCG(rnd.Uint64(), uint64(c)))
		go func() {
			defer clients.Done()
			for n := 0; ; n++ {
				p := newPush(fmt.Sprintf("r%d-c%d-n%d", round, c, n), round, mine)
				l.mu.Lock()
				l.pushes[p.tag] = p
				l.mu.Unlock()
				err := s.push(p, n%2 == 0)
				if errors.Is(err, errRefused) {
					t.Error(err)
				}
				if err != nil {
					return // killed
				}
				l.mu.Lock()
				p.acknowledged = true
				l.mu.Unlock()
				pushed.Add(1)
			}
		}()
	}
	for end := time.Now().Add(time.Minute); pushed.Load() < int64(round%4); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Error("no push comes through")
			break
		}
	}
	time.Sleep(after)
	s.kill(t)
	clients.Wait()
}

func newPush(tag string, round int, rnd *rand.Rand) *push {
	p := &push{tag: tag, round: round, blobs: map[string][]byte{}}
	blob := func(n int) map[string]any {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(rnd.Uint32())
		}
		d := string(ecr.DigestOf(b))
		p.blobs[d] = b
		return map[string]any{"mediaType": "application/octet-stream", "digest": d, "size": len(b)}
	}
	config := blob(64 + rnd.IntN(512))
	var layers []any
	for range 1 + rnd.IntN(3) {
		layers = append(layers, blob(1+rnd.IntN(200_000)))
	}
	var err error
	p.manifest, err = json.Marshal(map[string]any{
		"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": config, "layers": layers,
	})
	if err != nil {
		panic(err) // maps of strings and numbers
	}
	return p
}

// errRefused: the server answered, and not with success.
var errRefused = errors.New("refused")

// push sends blobs, in one request or by PATCH and PUT, and the manifest.
func (s *server) push(p *push, streamed bool) error {
	const at = "/v2/website"
	send := func(want int, method, path string, body []byte, contentType string) ([]byte, error) {
		status, b, err := s.do(method, path, body, contentType)
		if err == nil && status != want {
			err = fmt.Errorf("%w: %s %s answered %d: %s", errRefused, method, path, status, b)
		}
		return b, err
	}
	for d, content := range p.blobs {
		location, err := send(http.StatusAccepted, http.MethodPost, at+"/blobs/uploads/", nil, "")
		if err != nil {
			return err
		}
		upload := string(location)
		if streamed {
			if _, err := send(http.StatusAccepted, http.MethodPatch, upload, content, "application/octet-stream"); err != nil {
				return err
			}
			content = nil
		}
		sep := "?"
		if strings.Contains(upload, "?") {
			sep = "&"
		}
		if _, err := send(http.StatusCreated, http.MethodPut, upload+sep+"digest="+d, content, "application/octet-stream"); err != nil {
			return err
		}
		p.uploaded = append(p.uploaded, d)
	}
	_, err := send(http.StatusCreated, http.MethodPut, at+"/manifests/"+p.tag, p.manifest, "application/vnd.oci.image.manifest.v1+json")
	return err
}

// verify looks at the pushes of the last two rounds, or of all for round 0:
// every blob that was acknowledged is there, also those of pushes that were cut
// off, and every image that was acknowledged, or is served all the same.
func (l *ledger) verify(t *testing.T, s *server, round int) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range l.pushes {
		if round > 0 && p.round < round-2 {
			continue
		}
		for _, d := range p.uploaded {
			verifyBlob(t, s, p, d)
		}
		status, b, err := s.do(http.MethodGet, "/v2/website/manifests/"+p.tag, nil, "")
		switch {
		case err != nil:
			t.Fatalf("%s: %v", p.tag, err)
		case status == http.StatusNotFound && !p.acknowledged:
			continue
		case status != http.StatusOK:
			t.Fatalf("%s, acknowledged %v, is gone: %d %s", p.tag, p.acknowledged, status, b)
		case !bytes.Equal(b, p.manifest):
			t.Fatalf("%s is served with another manifest: %s", p.tag, b)
		}
		// Served, and so it must be whole, acknowledged or not.
		if len(p.uploaded) != len(p.blobs) {
			t.Fatalf("%s is served, but only %d of its %d blobs were acknowledged", p.tag, len(p.uploaded), len(p.blobs))
		}
	}
}

func verifyBlob(t *testing.T, s *server, p *push, d string) {
	t.Helper()
	status, got, err := s.do(http.MethodGet, "/v2/website/blobs/"+d, nil, "")
	if want := p.blobs[d]; err != nil || status != http.StatusOK || !bytes.Equal(got, want) {
		t.Fatalf("blob %s of %s: status %d, error %v, %d of %d bytes", d, p.tag, status, err, len(got), len(want))
	}
}

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(m.Run())
}

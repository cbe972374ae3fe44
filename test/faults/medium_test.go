package faults

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	kecr "github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/store/blob/crashfs"
)

// broken lets calls of a disk fail: from the one of a number on, or only that one.
type broken struct {
	mu    sync.Mutex
	calls map[string]bool // which count
	err   error
	after int  // guarded by mu; how many calls still succeed, negative for all
	stays bool // guarded by mu
	hit   bool // guarded by mu
}

// fail is the hook of crashfs.FS.
func (b *broken) fail(c crashfs.Call) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.after < 0 || !b.calls[c.Name] {
		return nil
	}
	if b.after > 0 {
		b.after--
		return nil
	}
	b.hit = true
	if !b.stays {
		b.after = -1
	}
	return b.err
}

// arm lets the call number n from now on fail, or all from there; it reports by its result
// whether that happened, and then nothing fails any longer.
func (b *broken) arm(n int, stays bool) (happened func() bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.after, b.stays, b.hit = n, stays, false
	return func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.after = -1
		return b.hit
	}
}

// onBroken starts one server on a disk that b breaks.
func onBroken(t *testing.T, b *broken, uncached bool) (*world, *client) {
	t.Helper()
	w := newWorld(t)
	b.after = -1
	at := filepath.Join(w.dir, "data")
	if err := os.Mkdir(at, 0o700); err != nil {
		t.Fatal(err)
	}
	unmount := mount(t, &crashfs.FS{Disk: crashfs.New(), Fail: b.fail}, at, uncached)
	n := newNode(w.dir, "server", w.settings()+"data: "+at+"/registry\n")
	w.nodes = []*node{n}
	if err := n.start(w.binary); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.kill(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("the server said at last:\n%s", lastOf(n.log.String(), 4000))
		}
		unmount()
	})
	w.login()
	c := newClient(w, 0, w.seed)
	c.patience = 0
	return w, c
}

// push is a push without patience: one request after another, until one is not answered
// as it should be.
func (c *client) push(n *node, i image, tag string) error {
	want := func(a answer, status int, what string) error {
		if a.err != nil || a.status != status {
			return fmt.Errorf("%s: status %d, %w: %s", what, a.status, errors.Join(a.err, errAnswer), a.body)
		}
		return nil
	}
	for k, b := range i.blobs {
		content := b.bytes()
		a := c.do(n, http.MethodPost, "/v2/"+i.repo+"/blobs/uploads/", nil, "")
		if err := want(a, http.StatusAccepted, "POST"); err != nil {
			return err
		}
		at := a.location
		if k%2 == 1 {
			for _, part := range [][]byte{content[:len(content)/2], content[len(content)/2:]} {
				a = c.do(n, http.MethodPatch, at, part, "application/octet-stream")
				if err := want(a, http.StatusAccepted, "PATCH"); err != nil {
					return err
				}
				at = a.location
			}
			content = nil
		}
		a = c.do(n, http.MethodPut, at+"?digest="+string(kecr.DigestOf(b.bytes())), content, "application/octet-stream")
		if err := want(a, http.StatusCreated, "PUT of a blob"); err != nil {
			return err
		}
	}
	return want(c.do(n, http.MethodPut, "/v2/"+i.repo+"/manifests/"+tag, i.manifest, manifestType), http.StatusCreated, "PUT of a manifest")
}

var errAnswer = errors.New("not what was wanted")

// image of three blobs: one that the database has, two that are files, of which one comes
// in parts.
func (c *client) threeBlobs() image {
	i := image{repo: mutableRepo}
	n := images.Add(1)
	describe := func(b content) string {
		i.blobs = append(i.blobs, b)
		return fmt.Sprintf(`{"mediaType": "application/octet-stream", "digest": %q, "size": %d}`, kecr.DigestOf(b.bytes()), len(b.bytes()))
	}
	config := describe(content{text: fmt.Sprintf(`{"os": "linux", "number": %d, "seed": %d}`, n, c.w.seed)})
	layers := describe(content{seed: c.w.seed + 2*uint64(n), size: 150_000}) + ", " + describe(content{seed: c.w.seed + 2*uint64(n) + 1, size: 100_000})
	i.manifest = fmt.Appendf(nil, `{"schemaVersion": 2, "mediaType": %q, "config": %s, "layers": [%s]}`, manifestType, config, layers)
	i.digest = string(kecr.DigestOf(i.manifest))
	return i
}

// A disk that is full from any write of a push on: the push is refused, nothing that was
// acknowledged suffers, and when there is space the same push succeeds at once.
func TestFullAtEveryWrite(t *testing.T) {
	b := &broken{err: syscall.ENOSPC, calls: map[string]bool{"WriteAt": true, "Mkdir": true, "OpenFile": false}}
	w, c := onBroken(t, b, false)
	n := w.nodes[0]
	var before *image
	refusals, step := 0, 3
	if long() {
		step = 1
	}
	for k := 0; ; k += step {
		i, tag := c.threeBlobs(), fmt.Sprint("full-at-", k)
		happened := b.arm(k, true)
		err := c.push(n, i, tag)
		hit := happened()
		if err != nil && !hit {
			t.Fatalf("with space, at write %d: %v", k, err)
		}
		if err != nil {
			refusals++
		}
		if err := c.push(n, i, tag); err != nil {
			t.Fatalf("full from write %d on, and when there is space again: %v", k, err)
		}
		for _, i := range []*image{before, &i} {
			if i == nil {
				continue
			}
			if err := c.whole(t.Context(), n, *i); err != nil {
				t.Fatalf("full from write %d on: image %s: %v", k, i.digest, err)
			}
		}
		before = &i
		if !hit {
			t.Logf("a push has %d writes; %d pushes were refused", k, refusals)
			break
		}
	}
	if refusals == 0 {
		t.Error("no push was refused: the disk was never full")
	}
	for _, text := range w.damaged(n) {
		t.Error(text)
	}
}

// A medium that cannot read any one of its sectors: the answer is an error or breaks off,
// never wrong bytes, and with the medium read again all is there.
func TestReadErrors(t *testing.T) {
	b := &broken{err: syscall.EIO, calls: map[string]bool{"ReadAt": true}}
	w, c := onBroken(t, b, true)
	n := w.nodes[0]
	i := c.threeBlobs()
	if err := c.push(n, i, "tag"); err != nil {
		t.Fatal(err)
	}
	errorsSeen := 0
	for k := 0; ; k++ {
		// A server that was just started has nothing in memory.
		happened := b.arm(k, false)
		if err := n.kill(); err != nil {
			t.Fatal(err)
		}
		err := n.startOnce(w.binary)
		if err == nil {
			err = c.whole(t.Context(), n, i)
		}
		hit := happened()
		if err != nil {
			if !hit {
				t.Fatalf("with a medium that is whole, at reading %d: %v", k, err)
			}
			errorsSeen++
			if err := n.kill(); err != nil {
				t.Fatal(err)
			}
			if err := n.startOnce(w.binary); err != nil {
				t.Fatalf("after an error of reading %d: %v", k, err)
			}
			if err := c.whole(t.Context(), n, i); err != nil {
				t.Fatalf("after an error of reading %d: %v", k, err)
			}
		}
		if !hit {
			t.Logf("a start and a pull read %d times; %d errors were seen", k, errorsSeen)
			break
		}
	}
	if errorsSeen == 0 {
		t.Error("no error was seen: the medium never failed")
	}
}

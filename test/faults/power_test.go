package faults

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/kontor-registry/kontor/internal/store/blob/crashfs"
)

var crashes = flag.Int("crashes", 20, "at how many moments to cut the power; 0 is after every operation of the disk")

// A server on one machine starts after a loss of power at any moment, and has all that
// it acknowledged: its files, its database, its log, whatever of the writes that were not
// synced is left.
func TestPowerLoss(t *testing.T) {
	p := newPower(t, nil)
	p.work(6)
	p.cut(*crashes)
}

// The test sees losses: without the syncs of the database's log, acknowledged pushes go.
func TestPowerLossIsSeen(t *testing.T) {
	for name, ignored := range map[string]func(string) bool{
		"the database's log": func(p string) bool { return strings.HasSuffix(p, "kontor.db-wal") },
		"blobs":              func(p string) bool { return strings.Contains(p, "/uploads/") },
		"folders of blobs":   func(p string) bool { return strings.Contains(p, "/blobs/blobs") },
	} {
		t.Run(name, func(t *testing.T) {
			p := newPower(t, func(c crashfs.Call) bool { return ignored(c.Path) })
			p.work(2)
			var wrong []string
			for c := range p.disk.Crashes(p.disk.Len(), crashfs.Variants()[:1]) { // nothing that was not synced is left
				wrong = append(wrong, p.after(c)...)
			}
			if len(wrong) == 0 {
				t.Error("nothing is synced, and nothing was lost")
			}
		})
	}
}

// power is a world of one server whose disk remembers everything.
type power struct {
	*world
	disk *crashfs.Disk
	fs   *crashfs.FS
	done func() // the server and its disk

	mu    sync.Mutex
	facts []fact // guarded by mu
}

// fact is what a client did with an image, by the number of the disk's operations when it
// began and when it was acknowledged.
type fact struct {
	image         image
	tag           string
	acked         int
	removed, gone int // 0 for never
}

func newPower(t *testing.T, ignore func(crashfs.Call) bool) *power {
	t.Helper()
	p := &power{world: newWorld(t), disk: crashfs.New()}
	p.fs = &crashfs.FS{Disk: p.disk, Ignore: ignore}
	at := filepath.Join(p.dir, "data")
	if err := os.Mkdir(at, 0o700); err != nil {
		t.Fatal(err)
	}
	unmount := mount(t, p.fs, at, false)
	n := newNode(p.dir, "server", p.settings()+"data: "+at+"/registry\n")
	p.nodes = []*node{n}
	if err := n.start(p.binary); err != nil {
		t.Fatal(err)
	}
	p.done = func() {
		t.Helper()
		if err := n.kill(); err != nil {
			t.Error(err)
		}
		unmount()
	}
	t.Cleanup(func() {
		if err := n.kill(); err != nil {
			t.Error(err)
		}
	})
	p.login()
	return p
}

// work lets three clients push, and delete some of it, while the server is killed and
// stopped once.
func (p *power) work(each int) {
	p.t.Helper()
	var all sync.WaitGroup
	half := make(chan struct{}, 3)
	for i := range 3 {
		c := newClient(p.world, i, p.seed)
		all.Go(func() {
			for k := range each {
				if k == each/2 {
					half <- struct{}{}
				}
				if err := p.one(c, fmt.Sprintf("c%d-%d", i, k)); err != nil {
					p.t.Error(err)
					return
				}
			}
		})
	}
	n := p.nodes[0]
	for range 3 {
		<-half
	}
	if err := errors.Join(n.kill(), n.start(p.binary), n.stop(), n.start(p.binary)); err != nil {
		p.t.Error(err)
	}
	all.Wait()
	if err := p.one(newClient(p.world, 3, p.seed), last); err != nil { // of which no checkpoint knows
		p.t.Error(err)
	}
	p.done()
}

// last is the tag that is pushed last, and stays.
const last = "last"

// one pushes an image to a tag, and deletes a third of them.
func (p *power) one(c *client, tag string) error {
	ctx := p.t.Context()
	i := c.newImage(mutableRepo)
	for _, b := range i.blobs {
		if err := c.upload(ctx, i.repo, b.bytes()); err != nil {
			return err
		}
	}
	path := "/v2/" + i.repo + "/manifests/"
	a, err := c.persist(ctx, http.MethodPut, path+tag, i.manifest, manifestType)
	if err != nil || a.status != http.StatusCreated {
		return fmt.Errorf("PUT: status %d: %s: %w", a.status, a.body, err)
	}
	f := fact{image: i, tag: tag, acked: p.disk.Len()}
	if tag != last && c.rand.IntN(3) == 0 {
		f.removed = p.disk.Len()
		if a, err = c.persist(ctx, http.MethodDelete, path+i.digest, nil, ""); err != nil || a.status != http.StatusAccepted && a.status != http.StatusNotFound {
			return fmt.Errorf("DELETE: status %d: %s: %w", a.status, a.body, err)
		}
		f.gone = p.disk.Len()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.facts = append(p.facts, f)
	return nil
}

// cut starts the server on what a loss of power leaves, about so many times.
func (p *power) cut(times int) {
	t := p.t
	t.Helper()
	variants := crashfs.Variants()
	all := p.disk.Len() * len(variants)
	share := 1.0
	if times > 0 {
		share = float64(times) / float64(all)
	}
	r := rand.New(rand.NewPCG(p.seed, 7))
	n := 0
	for c := range p.disk.Sample(variants, func() bool { return r.Float64() < share }) {
		n++
		for _, text := range p.after(c) {
			t.Errorf("%s of %d: %s", c, p.disk.Len(), text)
		}
	}
	for c := range p.disk.Crashes(p.disk.Len(), variants) { // at the end as well, in every way
		n++
		for _, text := range p.after(c) {
			t.Errorf("%s, the end: %s", c, text)
		}
	}
	t.Logf("%d operations of the disk, %d images, the power cut %d times", p.disk.Len(), len(p.facts), n)
}

// after starts a server on the disk after a crash, and looks at everything.
func (p *power) after(crash crashfs.Crash) (wrong []string) {
	t := p.t
	t.Helper()
	dir := t.TempDir()
	if err := restore(&crashfs.FS{Disk: crash.Disk()}, "/", dir); err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(dir, "registry")
	if _, err := os.Stat(folder); err != nil {
		if crash.At < p.facts[0].acked {
			return nil // there was nothing yet
		}
		return []string{err.Error()}
	}
	n := newNode(dir, "server", p.settings()+"data: "+folder+"\n")
	if err := n.startOnce(p.binary); err != nil {
		return []string{fmt.Sprintf("the server does not start: %v\n%s", err, n.log)}
	}
	defer func() {
		if err := n.kill(); err != nil {
			t.Error(err)
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	}()
	c := newClient(p.world, 0, p.seed)
	c.patience = 0
	for _, f := range p.facts {
		if crash.At < f.acked {
			continue
		}
		a := c.do(n, http.MethodGet, "/v2/"+f.image.repo+"/manifests/"+f.tag, nil, manifestType)
		switch {
		case f.gone > 0 && crash.At >= f.gone:
			if a.status != http.StatusNotFound {
				wrong = append(wrong, fmt.Sprintf("%s was deleted, and is answered %d", f.tag, a.status))
			}
		case f.removed > 0 && crash.At >= f.removed && a.status == http.StatusNotFound:
		case a.status != http.StatusOK || a.digest != f.image.digest:
			wrong = append(wrong, fmt.Sprintf("%s was acknowledged by operation %d: status %d, %v", f.tag, f.acked, a.status, a.err))
		default:
			if err := c.whole(context.Background(), n, f.image); err != nil {
				wrong = append(wrong, fmt.Sprintf("%s: %v", f.tag, err))
			}
		}
	}
	return append(wrong, p.damaged(n)...)
}

// damaged reads all that a server has, next to it.
func (w *world) damaged(n *node) (wrong []string) {
	out, err := exec.Command(w.binary, "admin", "check", "--config", n.config).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "Everything is whole.") {
		wrong = append(wrong, fmt.Sprintf("kontor admin check: %v\n%s", err, out))
	}
	return wrong
}

// restore writes what is on a disk to a folder.
func restore(from *crashfs.FS, at, to string) error {
	list, err := from.ReadDir(at)
	if err != nil {
		return err
	}
	for _, d := range list {
		source, target := filepath.Join(at, d.Name()), filepath.Join(to, d.Name())
		if d.IsDir() {
			if err := os.Mkdir(target, 0o700); err != nil {
				return err
			}
			if err := restore(from, source, target); err != nil {
				return err
			}
			continue
		}
		f, err := from.OpenFile(source, os.O_RDONLY, 0)
		if err != nil {
			return err
		}
		b, err := io.ReadAll(f)
		if err := errors.Join(err, f.Close(), os.WriteFile(target, b, 0o600)); err != nil {
			return err
		}
	}
	return nil
}

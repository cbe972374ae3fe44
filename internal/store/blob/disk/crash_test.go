package disk_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/kontor-registry/kontor/internal/race"

	"golang.org/x/sync/errgroup"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/store/blob"
	"github.com/kontor-registry/kontor/internal/store/blob/crashfs"
)

// script is a day in the life of a store: uploads in one go and in several,
// several at once, ended in each of the ways, and two processes one after the
// other.
func (h *history) script(first, second *crashfs.FS) error {
	p, err := h.open(first)
	if err != nil {
		return err
	}
	one, same, empty := h.key(4000), h.key(700), h.key(0)
	for _, key := range []blob.Key{one, same, empty} {
		if err := p.put(key, blob.Progress{}); err != nil {
			return err
		}
	}

	// Three at once: one in chunks, one without a byte at first, one that
	// will turn out wrong.
	chunks, late, wrong := h.key(9000), h.key(2000), h.key(3000)
	a, err := p.part(chunks, blob.Progress{}, 3000)
	if err != nil {
		return err
	}
	b, err := p.part(late, blob.Progress{}, 0)
	if err != nil {
		return err
	}
	wa, err := p.append(chunks, a, 7000)
	if err != nil {
		return err
	}
	ww, err := p.append(wrong, blob.Progress{}, 3000)
	if err != nil {
		return err
	}
	if a, err = p.suspend(chunks, wa); err != nil {
		return err
	}
	if err := p.put(late, b); err != nil {
		return err
	}
	h.never(wrong)
	if _, err := ww.Commit(context.Background(), ecr.DigestOf([]byte("else"))); !errors.Is(err, blob.ErrDigestMismatch) || errors.Is(err, errBroken) {
		return err
	}

	// Commit of what was suspended whole, with nothing left to write.
	whole := h.key(2500)
	c, err := p.part(whole, blob.Progress{}, 2500)
	if err != nil {
		return err
	}
	if err := p.put(whole, c); err != nil {
		return err
	}

	// Going back: what was written beyond the progress must not come back.
	back := h.key(2000)
	if c, err = p.part(back, blob.Progress{}, 2000); err != nil {
		return err
	}
	w, err := p.append(back, c, 2000)
	if err != nil {
		return err
	}
	if _, err := w.Write(make([]byte, 3000)); err != nil {
		return err
	}
	if _, err := w.Suspend(context.Background()); err != nil {
		return err
	}
	if err := p.put(back, c); err != nil {
		return err
	}

	if err := p.delete(one); err != nil {
		return err
	}
	aborted, discarded := h.key(1000), h.key(1000)
	if w, err = p.append(aborted, blob.Progress{}, 500); err != nil {
		return err
	}
	h.void(aborted, false, -1)
	if err := w.Abort(); err != nil {
		return err
	}
	if _, err := p.part(discarded, blob.Progress{}, 500); err != nil {
		return err
	}
	if err := p.discard(discarded); err != nil {
		return err
	}

	// A writer is open when the process ends, and is never ended.
	lost := h.key(6000)
	c, err = p.part(lost, blob.Progress{}, 1000)
	if err != nil {
		return err
	}
	if _, err := p.append(lost, c, 5000); err != nil {
		return err
	}
	if _, err := p.append(h.key(600), blob.Progress{}, 500); err != nil {
		return err
	}

	if p, err = h.open(second); err != nil {
		return err
	}
	if err := p.put(chunks, a); err != nil {
		return err
	}
	if err := p.put(lost, c); err != nil {
		return err
	}
	return p.put(h.key(3000), blob.Progress{})
}

// never says that key is not to have any content.
func (h *history) never(key blob.Key) {
	h.void(key, false, -1)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.contents[key] = nil
}

// run is the script without incidents, except for the hooks of fsys.
func run(t *testing.T, fsys crashfs.FS) *history {
	t.Helper()
	h := newHistory()
	first, second := fsys, fsys
	if err := h.script(&first, &second); err != nil {
		t.Fatal(err)
	}
	return h
}

// loss is what the first crash that breaks a promise breaks, from operation
// from on.
func (h *history) loss(from int, variants []crashfs.Variant) error {
	for c := range h.disk.Crashes(from, variants) {
		if err := h.check(c.At, c.Disk); err != nil {
			return fmt.Errorf("%s: %w", c, err)
		}
	}
	return nil
}

// Promise 1: power loss at any point loses nothing acknowledged, serves
// nothing partial, and needs no repair step.
func TestPowerLossAnywhere(t *testing.T) {
	h := run(t, crashfs.FS{})
	if n := len(h.promises); n < 15 {
		t.Fatalf("the script got only %d promises", n)
	}
	variants := crashfs.Variants()
	if race.Enabled {
		variants = variants[4:6] // what is read after a crash is read by one goroutine
	}
	if err := h.loss(0, variants); err != nil {
		t.Error(err)
	}
}

// The same with uploads at the same time, in whatever order they come.
func TestPowerLossWhileConcurrent(t *testing.T) {
	h := newHistory()
	p, err := h.open(&crashfs.FS{})
	if err != nil {
		t.Fatal(err)
	}
	opened := h.disk.Len()
	var g errgroup.Group
	for i := range 4 {
		keys := []blob.Key{h.key(100 * i), h.key(1700), h.key(900)}
		g.Go(func() error {
			for _, key := range keys {
				size := len(h.content(key))
				at, err := p.part(key, blob.Progress{}, size/3)
				if err != nil {
					return err
				}
				if at, err = p.part(key, at, size/2); err != nil {
					return err
				}
				if err := p.put(key, at); err != nil {
					return err
				}
			}
			return p.delete(keys[2])
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	if err := h.loss(opened, crashfs.Variants()); err != nil {
		t.Error(err)
	}
}

// syncSites are the places of package disk that sync, each with the number of
// its calls in the script.
func syncSites(t *testing.T) map[string]int {
	t.Helper()
	var mu sync.Mutex
	sites := map[string]int{}
	run(t, crashfs.FS{Ignore: func(c crashfs.Call) bool {
		mu.Lock()
		defer mu.Unlock()
		sites[c.Site]++
		return false
	}})
	return sites
}

// Each sync is needed, and the check sees when it is not done: with any one of
// them taken out, a promise is broken.
func TestEachSyncIsNeeded(t *testing.T) {
	sites := slices.Sorted(maps.Keys(syncSites(t)))
	for _, site := range sites {
		t.Run(site[:strings.LastIndex(site, ":")], func(t *testing.T) {
			h := run(t, crashfs.FS{Ignore: func(c crashfs.Call) bool { return c.Site == site }})
			err := h.loss(h.promises[0].from, crashfs.Variants())
			if err == nil {
				t.Fatalf("nothing is lost without the sync at %s", site)
			}
			t.Logf("without it: %v", err)
		})
	}
	// Those of Open: the parent, the folder, the fan-out; of a writer: the
	// file and the folder, each in Suspend and in Commit.
	if len(sites) != 7 {
		t.Errorf("%d places sync, want 7: %q", len(sites), sites)
	}
}

// few are variants for tests that have many histories to look at.
var few = slices.DeleteFunc(crashfs.Variants(), func(v crashfs.Variant) bool {
	return v.Entries == crashfs.None && v.Bytes != crashfs.None || v.Bytes == crashfs.Sizes || v.Seed > 1
})

// calls are the file operations of the script, by their number, but only a few
// of those that make the 256 folders: they are alike.
func calls(t *testing.T) []int {
	t.Helper()
	var numbers []int
	n := 0
	run(t, crashfs.FS{Fail: func(c crashfs.Call) error {
		if c.Name != "Mkdir" || n%16 == 0 {
			numbers = append(numbers, n)
		}
		n++
		return nil
	}})
	return numbers
}

// kill -9 at any point, also of the very first start; what the next process
// promises must hold when then the power fails.
func TestKilledAnywhere(t *testing.T) {
	for _, i := range calls(t) {
		h := newHistory()
		n := 0
		dies := crashfs.FS{Fail: func(crashfs.Call) error {
			if n++; n > i {
				return crashfs.ErrKilled
			}
			return nil
		}}
		second := dies
		if err := h.script(&dies, &second); !errors.Is(err, crashfs.ErrKilled) {
			t.Fatalf("killed at call %d: script ends with %v", i, err)
		}
		killed := h.disk.Len()
		p, err := h.open(&crashfs.FS{})
		if err != nil {
			t.Fatalf("killed at call %d: %v", i, err)
		}
		for _, q := range slices.Clone(h.promises) {
			if !q.committed && q.holds(killed) && h.content(q.key) != nil {
				if err := p.put(q.key, q.progress); err != nil && !errors.Is(err, blob.ErrNotFound) {
					t.Fatalf("killed at call %d: going on with %s: %v", i, q.key, err)
				}
			}
		}
		if err := p.put(h.key(1000), blob.Progress{}); err != nil {
			t.Fatalf("killed at call %d: %v", i, err)
		}
		if err := h.loss(h.disk.Len(), few); err != nil {
			t.Fatalf("killed at call %d: %v", i, err)
		}
	}
}

var errBroken = errors.New("input/output error")

// A file operation may fail, once, anywhere: then either the call says so or
// what it promised holds. A sync that failed is not made good by another one.
func TestFailureAnywhere(t *testing.T) {
	for _, i := range calls(t) {
		h := newHistory()
		n := 0
		fail := func(crashfs.Call) error {
			if n++; n == i+1 {
				return errBroken
			}
			return nil
		}
		if err := h.script(&crashfs.FS{Fail: fail}, &crashfs.FS{Fail: fail}); !errors.Is(err, errBroken) {
			t.Fatalf("call %d failed: script ends with %v", i, err)
		}
		p, err := h.open(&crashfs.FS{})
		if err != nil {
			t.Fatalf("call %d failed: %v", i, err)
		}
		if err := p.put(h.key(1000), blob.Progress{}); err != nil {
			t.Fatalf("call %d failed: %v", i, err)
		}
		if err := h.loss(h.disk.Len(), few); err != nil {
			t.Fatalf("call %d failed: %v", i, err)
		}
	}
}

package faults

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	kecr "github.com/kontor-registry/kontor/internal/ecr"
)

// Each kind of loss is found, and what only looks like one is not.
func TestLossesAreFound(t *testing.T) {
	// at is an event of client c from second from to second to; 0 is open.
	at := func(c int, a action, v string, o outcome, from, to int) event {
		e := event{client: c, action: a, value: v, outcome: o, began: time.Duration(from) * time.Second, ended: time.Duration(to) * time.Second}
		if to == 0 {
			e.ended = forever
		}
		return e
	}
	for _, c := range []struct {
		name, repo string
		events     []event
		lost       bool
	}{
		{"nothing", mutableRepo, nil, false},
		{"put and seen", mutableRepo, []event{at(0, put, "a", done, 1, 2), at(1, get, "a", done, 3, 4)}, false},
		{"a push that was lost", mutableRepo, []event{at(0, put, "a", done, 1, 2), at(1, get, "", done, 3, 4)}, true},
		{"a stale read after an acknowledged write", mutableRepo, []event{at(0, put, "a", done, 1, 2), at(0, put, "b", done, 3, 4), at(1, get, "a", done, 5, 6)}, true},
		{"an old read while the write is under way", mutableRepo, []event{at(0, put, "a", done, 1, 2), at(0, put, "b", done, 3, 6), at(1, get, "a", done, 4, 5)}, false},
		{"old after new while the write is under way", mutableRepo,
			[]event{at(0, put, "a", done, 1, 2), at(0, put, "b", done, 3, 9), at(1, get, "b", done, 4, 5), at(2, get, "a", done, 6, 7)}, true},
		{"a value that nobody put", mutableRepo, []event{at(0, put, "a", done, 1, 2), at(1, get, "x", done, 3, 4)}, true},
		{"a write of unknown outcome that was seen", mutableRepo, []event{at(0, put, "a", unknown, 1, 0), at(1, get, "a", done, 3, 4)}, false},
		{"a write of unknown outcome that was not seen", mutableRepo, []event{at(0, put, "a", unknown, 1, 0), at(1, get, "", done, 3, 4)}, false},
		{"a write of unknown outcome that came late", mutableRepo, []event{at(0, put, "a", unknown, 1, 0), at(1, get, "", done, 3, 4), at(1, get, "a", done, 5, 6)}, false},
		{"a write of unknown outcome that went", mutableRepo, []event{at(0, put, "a", unknown, 1, 0), at(1, get, "a", done, 3, 4), at(1, get, "", done, 5, 6)}, true},
		{"seen before it was sent", mutableRepo, []event{at(1, get, "a", done, 1, 2), at(0, put, "a", unknown, 3, 0)}, true},
		{"a tag that was deleted and is there", mutableRepo, []event{at(0, put, "a", done, 1, 2), at(0, remove, "", done, 3, 4), at(1, get, "a", done, 5, 6)}, true},
		{"a deletion that finds nothing of what is there", mutableRepo, []event{at(0, put, "a", done, 1, 2), at(1, remove, "", refused, 3, 4)}, true},
		{"two deletions of one tag", mutableRepo, []event{at(0, put, "a", done, 1, 2), at(0, remove, "", done, 3, 6), at(1, remove, "", done, 3, 6)}, true},
		{"a deletion of unknown outcome, sent again", mutableRepo, []event{at(0, put, "a", done, 1, 2), at(0, remove, "", unknown, 3, 0), at(0, remove, "", refused, 5, 6)}, false},

		{"an immutable tag that is written twice", fixedRepo, []event{at(0, put, "a", done, 1, 2), at(1, put, "b", done, 3, 4)}, true},
		{"an immutable tag that changed", fixedRepo, []event{at(0, put, "a", done, 1, 2), at(1, put, "b", unknown, 3, 0), at(1, get, "b", done, 5, 6)}, true},
		{"an immutable tag that is refused", fixedRepo, []event{at(0, put, "a", done, 1, 2), at(1, put, "b", refused, 3, 4), at(1, get, "a", done, 5, 6)}, false},
		{"the same image again", fixedRepo, []event{at(0, put, "a", done, 1, 2), at(1, put, "a", done, 3, 4)}, false},
		{"refused for a tag that is not there", fixedRepo, []event{at(0, put, "a", refused, 1, 2), at(1, get, "", done, 3, 4)}, true},
		{"refused for its own value", fixedRepo, []event{at(0, put, "a", done, 1, 2), at(0, put, "a", refused, 3, 4)}, true},
		{"two winners", fixedRepo, []event{at(0, put, "a", done, 1, 4), at(1, put, "b", done, 2, 3)}, true},
		{"an immutable tag that went", fixedRepo, []event{at(0, put, "a", done, 1, 2), at(1, get, "", done, 3, 4)}, true},

		{"an image that was put and is gone", plainRepo, []event{at(0, put, "a", done, 1, 2), at(1, get, "", done, 3, 4)}, true},
		{"an image that was deleted while it was put", plainRepo, []event{at(0, put, "a", done, 1, 4), at(1, remove, "", done, 2, 5), at(1, get, "", done, 6, 7)}, false},
		{"an image that came back", plainRepo, []event{at(0, put, "a", done, 1, 2), at(1, remove, "", done, 3, 4), at(1, get, "", done, 5, 6), at(1, get, "a", done, 7, 8)}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			for i := range c.events {
				c.events[i].object = object{c.repo, "name"}
			}
			wrong := checkHistory(c.events)
			if (len(wrong) > 0) != c.lost {
				t.Errorf("the checker says %q, want a loss: %v", wrong, c.lost)
			}
			if c.lost && (len(wrong) != 1 || !strings.Contains(wrong[0], c.repo+":name")) {
				t.Errorf("it does not say where: %q", wrong)
			}
		})
	}
}

// Objects are looked at one by one: a loss at one is found whatever the others did.
func TestLossAmongOthers(t *testing.T) {
	h := newHistory()
	for _, name := range []string{"one", "two", "three"} {
		h.add(event{action: put, object: object{mutableRepo, name}, value: "a", began: h.now()})
	}
	seen := func(name, value string) {
		h.add(event{client: 1, action: get, object: object{mutableRepo, name}, value: value, began: h.now()})
	}
	seen("one", "a")
	seen("three", "a")
	if wrong := checkHistory(h.all()); len(wrong) > 0 {
		t.Errorf("%q", wrong)
	}
	seen("two", "")
	if wrong := checkHistory(h.all()); len(wrong) != 1 || !strings.HasPrefix(wrong[0], mutableRepo+":two:") {
		t.Errorf("%q", wrong)
	}
}

// The reads at the end of a run find what a server has lost: a file that is gone, a byte
// that changed, a tag that went, and a tag that came to another image.
func TestLossesAreRead(t *testing.T) {
	w := newWorld(t)
	data := filepath.Join(w.dir, "data")
	n := newNode(w.dir, "server", w.settings()+"data: "+data+"\n")
	w.nodes = []*node{n}
	w.start()
	n.wasReady.Store(true)
	c := newClient(w, 0, w.seed)
	pushed := map[string]image{}
	const whole, gone, changed, lost, moved = "whole", "gone", "changed", "lost", "moved"
	for k, name := range []string{whole, gone, changed, lost, moved} {
		i := layered(100_000 + k)
		if err := c.upload(t.Context(), mutableRepo, i.blobs[0].bytes()); err != nil {
			t.Fatal(err)
		}
		if err := c.put(t.Context(), object{mutableRepo, name}, i); err != nil {
			t.Fatal(err)
		}
		pushed[name] = i
	}
	if wrong := append(w.final(t.Context()), checkHistory(w.history.all())...); len(wrong) > 0 {
		t.Fatalf("nothing was lost, and the reads say\n%s", strings.Join(wrong, "\n"))
	}
	// None of this is in the history.
	if a := c.do(n, http.MethodDelete, "/v2/"+mutableRepo+"/manifests/"+lost, nil, ""); a.status != http.StatusAccepted {
		t.Fatal(a.err, a.status)
	}
	if a := c.do(n, http.MethodPut, "/v2/"+mutableRepo+"/manifests/"+moved, pushed[whole].manifest, manifestType); a.status != http.StatusCreated {
		t.Fatal(a.err, a.status)
	}
	if err := n.stop(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(fileOf(t, data, pushed[gone])); err != nil {
		t.Fatal(err)
	}
	name := fileOf(t, data, pushed[changed])
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	b[500] ^= 1
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := n.start(w.binary); err != nil {
		t.Fatal(err)
	}
	w.patience = time.Second // damaged content stays damaged
	wrong := append(w.final(t.Context()), checkHistory(w.history.all())...)
	for _, want := range []string{
		"image " + pushed[gone].digest, "image " + pushed[changed].digest, mutableRepo + ":" + lost, mutableRepo + ":" + moved,
	} {
		found := 0
		for _, text := range wrong {
			if strings.HasPrefix(text, want) {
				found++
			}
		}
		if found != 1 {
			t.Errorf("%s is found %d times in\n%s", want, found, strings.Join(wrong, "\n"))
		}
	}
	if len(wrong) != 4 {
		t.Errorf("%d findings, want 4:\n%s", len(wrong), strings.Join(wrong, "\n"))
	}
}

// layered is an image of one layer.
func layered(size int) image {
	layer := content{seed: uint64(size), size: size}
	i := image{repo: mutableRepo, blobs: []content{layer}}
	descriptor := fmt.Sprintf(`"digest": %q, "size": %d}`, kecr.DigestOf(layer.bytes()), size)
	i.manifest = fmt.Appendf(nil, `{"schemaVersion": 2, "mediaType": %q, "config": {"mediaType": "application/vnd.oci.image.config.v1+json", %[2]s, "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", %[2]s]}`, manifestType, descriptor)
	i.digest = string(kecr.DigestOf(i.manifest))
	return i
}

// fileOf is the file of an image's layer, which no other file has the size of.
func fileOf(t *testing.T, data string, i image) (found string) {
	t.Helper()
	err := filepath.WalkDir(filepath.Join(data, "blobs"), func(name string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Size() == int64(i.blobs[0].size) {
			found = name
		}
		return err
	})
	if err != nil || found == "" {
		t.Fatalf("no file of %d bytes: %v", i.blobs[0].size, err)
	}
	return found
}

package main

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/ecr/types"

	"github.com/kontor-registry/kontor/internal/ecr"
)

// newLoad has four clients do sixty operations each on a real server, which is
// killed half-way.
func newLoad(t *testing.T) *load {
	t.Helper()
	dir := t.TempDir()
	o := options{binary: os.Getenv("KONTOR_BIN"), data: filepath.Join(dir, "registry"), compat: "ecr", clients: 4}
	if o.binary == "" {
		o.binary = filepath.Join(dir, "kontor")
		if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", o.binary, "../../cmd/kontor").CombinedOutput(); err != nil {
			t.Fatalf("building kontor: %v\n%s", err, out)
		}
	}
	s, err := newServer(o, filepath.Join(dir, "kontor.json"))
	if err != nil {
		t.Fatal(err)
	}
	must(t, s.start(t.Context()))
	t.Cleanup(func() { must(t, s.kill()) })
	l := &load{server: s, stats: newStats()}
	for i := range o.clients {
		l.clients = append(l.clients, newClient(l, i, rand.New(rand.NewPCG(1, uint64(i)))))
	}
	for range 2 {
		for _, c := range l.clients {
			for range 30 {
				_, err := c.step(t.Context(), s.current())
				must(t, err)
			}
		}
		must(t, s.kill())
		must(t, s.start(t.Context()))
	}
	return l
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// loss is a way to lose something that was acknowledged, or to bring something
// back. It returns what the finding names, and what makes the folder and the
// clients' knowledge agree again.
type loss func(ctx context.Context, t *testing.T, c *client, l *life) (finding string, mend func())

var losses = []struct {
	name string
	lose loss
}{
	{"the file of a layer", func(_ context.Context, t *testing.T, c *client, _ *life) (string, func()) {
		b := c.aLayer(t)
		return "/blobs/" + b.digest, hideFile(t, c.fileOf(t, b.digest))
	}},
	{"a bit of a layer", func(_ context.Context, t *testing.T, c *client, _ *life) (string, func()) {
		b := c.aLayer(t)
		path := c.fileOf(t, b.digest)
		was, err := os.ReadFile(path)
		must(t, err)
		now := bytes.Clone(was)
		now[len(now)/2] ^= 1
		must(t, os.WriteFile(path, now, 0o600))
		return b.digest, func() { must(t, os.WriteFile(path, was, 0o600)) }
	}},
	{"a blob that no image has yet", func(ctx context.Context, t *testing.T, c *client, l *life) (string, func()) {
		b, err := c.upload(ctx, l, repositories[0], newContent(c.rnd, 40_000))
		must(t, err)
		return "/blobs/" + b.digest, hideFile(t, c.fileOf(t, b.digest))
	}},
	{"an image", func(ctx context.Context, t *testing.T, c *client, l *life) (string, func()) {
		k, err := c.one(func(k imageKey) bool { return c.model.parents[k] == 0 })
		must(t, err)
		must(t, l.batchDelete(ctx, k.repo, types.ImageIdentifier{ImageDigest: &k.digest}))
		return "image " + k.digest + " of " + k.repo + " was acknowledged and is gone", func() { c.model.apply(c.model.deleted(k)) }
	}},
	{"a tag", func(ctx context.Context, t *testing.T, c *client, l *life) (string, func()) {
		tag := c.aTag(t)
		_, err := l.do(ctx, http.MethodDelete, "/v2/"+tag.repo+"/manifests/"+tag.tag, nil, nil, http.StatusAccepted)
		must(t, err)
		return "tag " + tag.tag + " of " + tag.repo, func() { c.model.apply(untagged(tag)) }
	}},
	{"where a tag was moved to", func(ctx context.Context, t *testing.T, c *client, l *life) (string, func()) {
		tag := c.aTag(t)
		k, err := c.one(func(k imageKey) bool { return k.repo == tag.repo && k.digest != c.model.tags[tag] })
		must(t, err)
		body, mediaType, err := l.manifest(ctx, k.repo, k.digest)
		must(t, err)
		must(t, l.put(ctx, tag.repo, tag.tag, body, mediaType))
		return "tag " + tag.tag + " of " + tag.repo, func() { c.model.tags[tag] = k.digest }
	}},
	{"that an image was never acknowledged", func(ctx context.Context, t *testing.T, c *client, l *life) (string, func()) {
		ch, err := c.push(ctx, l)
		must(t, err)
		return "is there: deleted before, or never pushed", func() { c.model.apply(ch) }
	}},
	{"that a tag was deleted", func(ctx context.Context, t *testing.T, c *client, l *life) (string, func()) {
		tag := c.aTag(t)
		d := c.model.tags[tag]
		c.model.apply(untagged(tag))
		return "tag " + tag.tag + " of " + tag.repo + " is there: deleted before", func() { c.model.tags[tag] = d }
	}},
}

// A run fails for anything that is lost, and passes before and after.
func TestLossesAreFound(t *testing.T) {
	l := newLoad(t)
	must(t, l.verify(t.Context(), l.expected()))
	for _, tt := range losses {
		t.Run(tt.name, func(t *testing.T) {
			finding, mend := tt.lose(t.Context(), t, l.clients[1], l.server.current())
			wantFinding(t, l.verify(t.Context(), l.expected()), finding)
			mend()
			must(t, l.verify(t.Context(), l.expected()))
		})
	}
	t.Run("half of a request", func(t *testing.T) { testHalfARequest(t, l) })
	t.Run("the server", func(t *testing.T) {
		must(t, l.server.cmd.Process.Signal(os.Interrupt))
		how := <-l.server.ended
		l.server.ended <- how
		wantFinding(t, l.server.kill(), "the server had ended before it was killed")
	})
	t.Run("what admin check reads", func(t *testing.T) {
		s, e := l.server, l.expected()
		must(t, s.check(t.Context(), e))
		hideFile(t, l.clients[2].fileOf(t, l.clients[2].aLayer(t).digest))
		wantFinding(t, s.check(t.Context(), e), "its file is missing")
	})
}

// testHalfARequest looks for a push of which a kill left the image without
// its tag.
func testHalfARequest(t *testing.T, l *load) {
	c, now := l.clients[0], l.server.current()
	ch, err := c.push(t.Context(), now)
	must(t, err)
	for len(ch.tags) == 0 { // pushed by digest only
		c.model.apply(ch)
		ch, err = c.push(t.Context(), now)
		must(t, err)
	}
	for tag := range ch.tags {
		_, err := now.do(t.Context(), http.MethodDelete, "/v2/"+tag.repo+"/manifests/"+tag.tag, nil, nil, http.StatusAccepted)
		must(t, err)
	}
	wantFinding(t, c.settle(t.Context(), now, ch), "a request that was killed happened in part")
	ch.tags = nil
	must(t, c.settle(t.Context(), now, ch))
	must(t, l.verify(t.Context(), l.expected()))
}

func wantFinding(t *testing.T, got error, want string) {
	t.Helper()
	if got == nil || !strings.Contains(got.Error(), want) {
		t.Errorf("%v, want %q", got, want)
	}
}

// aLayer is a blob of an image that is there, and has a file: small ones lie in the
// database.
func (c *client) aLayer(t *testing.T) imageKey {
	t.Helper()
	files := map[string]bool{}
	err := filepath.WalkDir(filepath.Join(c.load.server.o.data, "blobs"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		files[string(ecr.DigestOf(b))] = true
		return err
	})
	must(t, err)
	hasFile := func(digest string) bool { return files[digest] }
	k, err := c.one(func(k imageKey) bool { return slices.ContainsFunc(c.model.layers[k], hasFile) })
	must(t, err)
	return imageKey{k.repo, c.model.layers[k][slices.IndexFunc(c.model.layers[k], hasFile)]}
}

// aTag is a tag of an image that is there.
func (c *client) aTag(t *testing.T) tagKey {
	t.Helper()
	k, err := c.one(func(k imageKey) bool { return len(c.model.tagsOf(k)) > 0 })
	must(t, err)
	return c.model.tagsOf(k)[0]
}

// fileOf finds the file that has a blob's content.
func (c *client) fileOf(t *testing.T, digest string) string {
	t.Helper()
	var found string
	err := filepath.WalkDir(c.load.server.o.data, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || found != "" {
			return err
		}
		b, err := os.ReadFile(path)
		if string(ecr.DigestOf(b)) == digest {
			found = path
		}
		return err
	})
	if err == nil && found == "" {
		err = fmt.Errorf("no file has the content of %s", digest)
	}
	must(t, err)
	return found
}

// hideFile takes a file away until it is called.
func hideFile(t *testing.T, path string) (bring func()) {
	t.Helper()
	away := filepath.Join(t.TempDir(), "away")
	must(t, os.Rename(path, away))
	return func() { must(t, os.Rename(away, path)) }
}

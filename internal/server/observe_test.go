package server_test

import (
	"slices"
	"sync"
	"testing"

	"github.com/kontor-registry/kontor/internal/jobs"
	"github.com/kontor-registry/kontor/internal/server"
)

// figures keep what a server tells of requests.
type figures struct {
	mu     sync.Mutex
	seen   []string // guarded by mu
	limits []string // guarded by mu
	// removed counts what jobs removed, by their names, uploads and pulls are
	// the greatest numbers told. Guarded by mu.
	removed map[string]int
	uploads int64
	pulls   int
	runs    int // of all jobs
}

func (f *figures) Request(o server.Observation) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.seen = append(f.seen, o.Operation)
	f.limits = append(f.limits, o.Limit)
}

func (f *figures) Connection(int) {}

func (f *figures) Job(name string, removed jobs.Removed, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.removed == nil {
		f.removed = map[string]int{}
	}
	if err == nil {
		f.removed[name] += removed.Count
		f.runs++
	}
}

func (f *figures) Pending(uploads int64, pulls int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.uploads, f.pulls = max(f.uploads, uploads), max(f.pulls, pulls)
}

// TestClientsDoNotNameOperations: what clients make up is not among the
// operations that are counted, or figures would grow with every request.
func TestClientsDoNotNameOperations(t *testing.T) {
	f := &figures{}
	w := start(t, t.TempDir(), func(c *server.Config) {
		c.Observer = f
		c.Limits.SourceRate, c.Limits.SourceBurst = 1, 3
	})
	for _, r := range []struct{ method, path, target string }{
		{"GET", "/healthz", ""},
		{"GET", "/v2/any/name/blobs/sha256:zz", ""},
		{"BREW", "/v2/pot/manifests/tea", ""},
		{"POST", "/", "AmazonEC2ContainerRegistry_V20150921.MadeUp"},
		{"POST", "/", "AmazonEC2ContainerRegistry_V20150921.PutImage"},
		{"GET", "/made/up", ""},
	} {
		req := w.request(here, r.method, r.path, "")
		if r.target != "" {
			req.Header.Set("X-Amz-Target", r.target)
		}
		w.do(req)
	}
	if err := w.stop(); err != nil {
		t.Fatal(err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	slices.Sort(f.seen)
	want := []string{"/healthz", "ecr PutImage", "oci GET blob", "oci other", "other", "other"}
	if !slices.Equal(f.seen, want) {
		t.Errorf("operations = %q, want %q", f.seen, want)
	}
	if !slices.Contains(f.limits, "source-rate") {
		t.Errorf("limits = %q: the fourth stranger was not counted as refused", f.limits)
	}
}

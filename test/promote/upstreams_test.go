package promote

import (
	"bytes"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/kontor-registry/kontor/internal/remote/remotetest"
	"github.com/kontor-registry/kontor/kontortest"
)

// Each registry is an upstream: many clients pull a whole image through a cache, with
// its signatures, and the upstream is asked once for each thing. Then it is asked for
// nothing.
func TestUpstreams(t *testing.T) {
	each(t, func(t *testing.T, f foreign) {
		origin := f.start(t, "origin")
		g := remotetest.NewGraph(1, "v1")
		f.push(t, origin, g)
		k := kontortest.Start(t, kontortest.Options{Compat: "oci", Upstreams: []string{origin.proxy.Host + "=private,http"}})
		k.CacheUpstream(t, "up", origin.proxy.Host)
		cache := remotetest.Registry{Host: k.Host, User: "AWS", Password: k.Password(t)}
		origin.proxy.Reset()
		pull := func() {
			for _, m := range append([]remotetest.Manifest{g.Index}, g.Platforms...) {
				if got := cache.Manifest(t, "up/website", string(m.Digest)); !bytes.Equal(got, m.Body) {
					t.Errorf("%s is %q", m.Digest, got)
				}
			}
			if got := cache.Manifest(t, "up/website", "v1"); !bytes.Equal(got, g.Index.Body) {
				t.Errorf("v1 is %q", got)
			}
			for _, m := range g.Platforms {
				for d, b := range g.Blobs {
					if bytes.Contains(m.Body, []byte(d)) && !bytes.Equal(cache.Blob(t, "up/website", d), b) {
						t.Errorf("%s is another blob", d)
					}
				}
			}
		}
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(pull)
		}
		wg.Wait()
		if t.Failed() {
			return
		}
		got := cache.Referrers(t, "up/website", g.Index.Digest)
		if len(got) != len(g.Signatures) {
			t.Errorf("%d signatures, want %d", len(got), len(g.Signatures))
		}
		asked := map[string]int{}
		for _, r := range origin.proxy.Requests() {
			if r.Status == http.StatusOK && r.Method == http.MethodGet {
				asked[r.Path]++
			}
		}
		for path, n := range asked {
			if n != 1 {
				t.Errorf("GET %s came %d times", path, n)
			}
		}
		stored(t, cache, g.Platforms)
		origin.proxy.Close()
		pull()
	})
}

// stored waits until each image is served as one that is here.
func stored(t *testing.T, cache remotetest.Registry, images []remotetest.Manifest) {
	t.Helper()
	for _, m := range images {
		for deadline := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
			a, _, err := cache.Do(http.MethodHead, "up/website/manifests/"+string(m.Digest), "", nil)
			if err != nil {
				t.Fatal(err)
			}
			if a.Header.Get("Cache-Status") == "kontor; hit" {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s is not stored after a minute", m.Digest)
			}
		}
	}
}

package replication_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/front/ociapi"
	"github.com/kontor-registry/kontor/internal/registry"
	"github.com/kontor-registry/kontor/internal/remote"
	"github.com/kontor-registry/kontor/internal/remote/remotetest"
	"github.com/kontor-registry/kontor/internal/replication"
	"github.com/kontor-registry/kontor/internal/store/meta"
	"github.com/kontor-registry/kontor/internal/testkit"
)

// node is a server with one registry that replicates to others over HTTP.
type node struct {
	world
	in    ecr.RegistryID
	proxy *remotetest.Proxy
}

// openNodes starts servers, each with one of the registries, that know each other.
func openNodes(t *testing.T, all ...ecr.RegistryID) []*node {
	nodes := make([]*node, len(all))
	places := map[ecr.RegistryID]replication.Elsewhere{}
	for i, in := range all {
		n := &node{in: in}
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if _, _, ok := r.BasicAuth(); !ok {
				ociapi.WriteUnauthorized(w, r.Host)
				return
			}
			oci := ociapi.New(ociapi.Config{Registry: n.Registry, Upstreams: n.Upstreams, Log: discard})
			oci.Serve(w, r, n.Gate.As(testkit.Admin), in, "request-1")
		}))
		t.Cleanup(server.Close)
		n.proxy = remotetest.Start(t, strings.TrimPrefix(server.URL, "http://"))
		nodes[i] = n
		places[in] = replication.Elsewhere{Host: n.proxy.Host, PlainHTTP: true, Login: remote.SourceFunc(func(context.Context, string) (remote.Credential, error) {
			return remote.Credential{User: "kontor", Password: "secret"}, nil
		})}
	}
	for _, n := range nodes {
		others := map[ecr.RegistryID]replication.Elsewhere{}
		for in, place := range places {
			if in != n.in {
				others[in] = place
			}
		}
		n.world = open(t, func(s *testkit.Settings) { s.Compat, s.Elsewhere = registry.CompatOCI, others })
		if _, err := n.CreateRepository(t.Context(), registry.NewRepository{Repo: n.in.Repo("app")}); err != nil {
			t.Fatal(err)
		}
	}
	return nodes
}

// settle has all servers work, at the same time, until nothing waits anywhere.
func settle(t *testing.T, nodes []*node) {
	t.Helper()
	until(t, func() bool { // what refers to an image may wait a little for it
		var wg sync.WaitGroup
		for _, n := range nodes {
			wg.Go(func() {
				if err := n.Replication.Advance(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		waiting := 0
		for _, n := range nodes {
			s, err := n.Replication.As(testkit.Admin).Replications(t.Context(), n.in, 0, 10)
			if err != nil || len(s.Failed) > 0 {
				t.Fatal(s.Failed, err)
			}
			for _, q := range s.Queues {
				waiting += q.Waiting
			}
		}
		return waiting == 0
	})
}

// Servers in a ring, and two that replicate to each other, send each image once to each of
// the others, and come to rest.
func TestNoLoopsBetweenServers(t *testing.T) {
	for _, all := range [][]ecr.RegistryID{{testkit.Home, west}, {testkit.Home, west, north}} {
		t.Run(fmt.Sprintf("%d servers", len(all)), func(t *testing.T) {
			nodes := openNodes(t, all...)
			for i, n := range nodes {
				n.rules(n.in, to(nodes[(i+1)%len(nodes)].in))
			}
			first := nodes[0]
			app := first.in.Repo("app")
			amd, arm := first.Image(app, "amd"), first.Image(app, "arm")
			index := testkit.Index(amd, arm)
			first.MustPut(app, amd)
			first.MustPut(app, arm)
			first.MustPut(app, index, "v1")
			signature := first.Referrer(app, "signature", index)
			first.MustPut(app, signature)
			settle(t, nodes)
			for _, n := range nodes[1:] {
				for _, body := range [][]byte{amd, arm, index, signature} {
					n.WantWhole(n.in.Repo("app"), body)
				}
				// Once for itself, and once with the image that it belongs to, where both are
				// under way at the same time.
				for _, reference := range []string{"v1", string(ecr.DigestOf(amd)), string(ecr.DigestOf(arm)), string(ecr.DigestOf(signature))} {
					if puts := n.proxy.Count(`^PUT .*/manifests/` + reference); puts < 1 || puts > 2 || reference == "v1" && puts != 1 {
						t.Errorf("%s came %d times to %s", reference, puts, n.in)
					}
				}
				if requests := len(n.proxy.Requests()); requests > 200 {
					t.Errorf("%d requests came to %s", requests, n.in)
				}
			}
			if requests := len(first.proxy.Requests()); requests != 0 {
				t.Errorf("%d requests came back to where the images are from", requests)
			}
		})
	}
}

// A tag that two servers replicate to each other and that moves on both at once may end as
// either image, but the two come to rest.
func TestTagMovesOnBothServers(t *testing.T) {
	nodes := openNodes(t, testkit.Home, west)
	a, b := nodes[0], nodes[1]
	a.rules(a.in, to(b.in))
	b.rules(b.in, to(a.in))
	first := a.Image(a.in.Repo("app"), "first")
	second := b.Image(b.in.Repo("app"), "second")
	// While the first image goes to b, the second one goes to a.
	b.proxy.On(`^PUT .*/manifests/v1`, 1, func(x *remotetest.Exchange) {
		b.MustPut(b.in.Repo("app"), second, "v1")
		b.work()
		x.Pass()
	})
	a.MustPut(a.in.Repo("app"), first, "v1")
	settle(t, nodes)
	for _, n := range nodes {
		if puts := n.proxy.Count(`^PUT .*/manifests/v1`); puts > 2 {
			t.Errorf("the tag was set %d times in %s", puts, n.in)
		}
	}
}

// outcomes counts the images that arrived at each destination.
type outcomes struct {
	mu  sync.Mutex
	all map[ecr.RegistryID]int // guarded by mu
}

// Replicated implements replication.Observer.
func (o *outcomes) Replicated(to ecr.RegistryID, how replication.Result, _ int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if how == replication.Complete {
		o.all[to]++
	}
}

// ReplicationWaiting implements replication.Observer.
func (o *outcomes) ReplicationWaiting([]meta.ReplicationQueue) {}

// Registries of one server in a ring, and two that replicate to each other, copy each image
// once, as on ECR: what was replicated is not replicated on.
func TestNoLoopsWithinAServer(t *testing.T) {
	for _, ring := range [][]ecr.RegistryID{{testkit.Home, west}, {testkit.Home, west, north}, {testkit.Home, alien}, {testkit.Home, alien, west}} {
		t.Run(fmt.Sprint(ring), func(t *testing.T) {
			seen := &outcomes{all: map[ecr.RegistryID]int{}}
			w := open(t, func(s *testkit.Settings) { s.ReplicationObserver = seen })
			for i, in := range ring {
				w.rules(in, to(ring[(i+1)%len(ring)]))
				text := fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Sid":"all","Effect":"Allow","Principal":"*","Action":["ecr:ReplicateImage","ecr:CreateRepository"],"Resource":"arn:aws:ecr:%s:%s:repository/*"}]}`, in.Region, in.Account)
				if _, err := w.as(in).SetRegistryPolicy(t.Context(), in, text); err != nil {
					t.Fatal(err)
				}
			}
			first := ring[1]
			app := w.Repo("app", ecr.Mutable)
			w.MustPut(app, w.Image(app, "first"), "v1")
			w.MustPut(app, w.Image(app, "second"), "v1", "v2")
			w.work()
			// The tag moved before it was copied, so that its first image went without it.
			if got := seen.all[first]; got != 3 || len(seen.all) != 1 {
				t.Errorf("images arrived: %v, want 3 in %s", seen.all, first)
			}
			if tags := w.tags(first.Repo("app")); len(tags) != 2 {
				t.Errorf("tags there: %v", tags)
			}
			for _, in := range ring {
				owner := testkit.Admin
				if in == alien {
					owner = testkit.Alien
				}
				s, err := w.Replication.As(owner).Replications(t.Context(), in, 0, 10)
				if err != nil || len(s.Queues)+len(s.Failed) != 0 {
					t.Errorf("%s: %+v %v", in, s, err)
				}
			}
		})
	}
}

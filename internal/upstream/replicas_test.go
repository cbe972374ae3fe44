package upstream_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/front/ociapi"
	"github.com/kontor-registry/kontor/internal/pgtest"
	"github.com/kontor-registry/kontor/internal/registry"
	"github.com/kontor-registry/kontor/internal/store/meta"
	"github.com/kontor-registry/kontor/internal/testkit"
	"github.com/kontor-registry/kontor/internal/upstream"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// replicas are two servers on one database and one folder, with a rule for the upstream.
func replicas(t *testing.T, m meta.Store, to string) (a, b *site) {
	t.Helper()
	a, b = listen(t), listen(t)
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	a.World = testkit.OpenOn(t, testkit.Settings{
		Compat: registry.CompatOCI, Log: log, UpstreamObserver: a.counts, Installation: t.Name(), Passed: a.elapsed, BlobGrace: testkit.Day, Shared: true,
		UpstreamHosts: []upstream.Host{{Host: to, Private: true, PlainHTTP: true}},
	}, m)
	b.World = a.Replica(func(s *testkit.Settings) { s.UpstreamObserver, s.Passed = b.counts, b.elapsed }, nil)
	for _, s := range []*site{a, b} {
		s.oci = ociapi.New(ociapi.Config{Registry: s.Registry, Upstreams: s.Upstreams, Log: log})
	}
	a.rule(t, "up", to)
	return a, b
}

// Fifty clients at a time, whose requests go to two replicas in turn, are one request
// upstream for each manifest and each blob.
func TestReplicasShareFetches(t *testing.T) {
	for name, open := range testkit.Databases {
		t.Run(name, func(t *testing.T) {
			_, proxy, g := origin(t)
			a, b := replicas(t, open(t), proxy.Host)
			first := g.Platforms[0]
			blobs := blobsOf(t, g, first)
			var clients sync.WaitGroup
			for i := range 50 {
				clients.Go(func() {
					turn := i
					next := func() *site {
						turn++
						return []*site{a, b}[turn%2]
					}
					same(t, "the index", next().want(t, "GET", "up/team/app/manifests/v1", 200, "kontor; "), g.Index.Body)
					same(t, "a platform", next().want(t, "GET", "up/team/app/manifests/"+string(first.Digest), 200, "kontor; "), first.Body)
					for d, content := range blobs {
						same(t, string(d), next().want(t, "GET", "up/team/app/blobs/"+string(d), 200, "kontor; "), content)
					}
				})
			}
			clients.Wait()
			a.stored(t, "up/team/app", first.Digest)
			asked := map[string]int{}
			for _, r := range proxy.Requests() {
				if r.Method == http.MethodGet && r.Status == http.StatusOK {
					asked[r.Path]++
				}
			}
			for path, n := range asked {
				if n != 1 {
					t.Errorf("%s was read %d times", path, n)
				}
			}
			if want := 2 + len(blobs); len(asked) != want {
				t.Errorf("%d kinds of requests came, want %d: %v", len(asked), want, asked)
			}
		})
	}
}

// What a replica fetched when it was killed, another one fetches when the claim has ended.
func TestClaimsOfTheDeadEnd(t *testing.T) {
	_, proxy, g := origin(t)
	a, _ := replicas(t, testkit.SQLite(t), proxy.Host)
	first := g.Platforms[0]
	dead := []meta.Fetch{}
	for _, reference := range []string{"v1", string(first.Digest)} {
		dead = append(dead, meta.Fetch{At: testkit.At("up/team/app"), Reference: reference, Holder: "dead"})
	}
	for d := range blobsOf(t, g, first) {
		dead = append(dead, meta.Fetch{At: testkit.At("up/team/app"), Reference: string(d), Holder: "dead"})
	}
	err := a.Meta.Update(t.Context(), func(ctx context.Context, tx meta.Tx) error {
		for _, f := range dead {
			if mine, _, err := tx.Retention().FetchClaims().ClaimFetch(ctx, f, 100*time.Millisecond); err != nil || !mine {
				return fmt.Errorf("%t: %w", mine, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	same(t, "the index", a.want(t, "GET", "up/team/app/manifests/v1", 200, "kontor; "), g.Index.Body)
	same(t, "a platform", a.want(t, "GET", "up/team/app/manifests/"+string(first.Digest), 200, "kontor; "), first.Body)
	for d, content := range blobsOf(t, g, first) {
		same(t, string(d), a.want(t, "GET", "up/team/app/blobs/"+string(d), 200, "kontor; "), content)
	}
	a.stored(t, "up/team/app", first.Digest)
	if err := a.Meta.Update(t.Context(), func(ctx context.Context, tx meta.Tx) error {
		mine, _, err := tx.Retention().FetchClaims().ClaimFetch(ctx, meta.Fetch{At: testkit.At("up/team/app"), Reference: string(ecr.DigestOf([]byte("x"))), Holder: "a"}, time.Minute)
		if err == nil && !mine {
			err = fmt.Errorf("a claim of nothing is taken")
		}
		return err
	}); err != nil {
		t.Error(err)
	}
}

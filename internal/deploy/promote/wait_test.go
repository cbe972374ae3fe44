package promote_test

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/kontor-registry/kontor/internal/deploy/promote"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/remote/remotetest"
)

func TestWait(t *testing.T) {
	t.Parallel()
	w := start(t, "oci")
	w.dev.create(t, "website")
	g := remotetest.NewGraph(1, "1.0")
	for d, b := range g.Blobs {
		if err := w.dev.direct.PushBlob("website", d, b); err != nil {
			t.Fatal(err)
		}
	}
	push := func(reference string, m remotetest.Manifest) {
		t.Helper()
		if err := w.dev.direct.PushManifest("website", reference, m); err != nil {
			t.Fatal(err)
		}
	}
	// Steps in the order in which things come, and what is missing before each.
	steps := []struct {
		missing string
		come    func()
	}{
		{"it does not exist", func() { push("1.0", g.Index) }}, // an OCI registry takes an index before its images
		{"its image " + string(g.Platforms[0].Digest)[:19] + " (linux/amd64) is missing", func() { push(string(g.Platforms[0].Digest), g.Platforms[0]) }},
		{"(linux/arm64) is missing", func() { push(string(g.Platforms[1].Digest), g.Platforms[1]) }},
		{"(linux/s390x) is missing", func() { push(string(g.Platforms[2].Digest), g.Platforms[2]) }},
		{"(unknown/unknown) is missing", func() { push(string(g.Attestation.Digest), g.Attestation) }},
		{"nothing of type " + remotetest.SBOMType + " refers to it", func() {
			c := remotetest.NewContent(2)
			c.Referrer(remotetest.SBOMType, g.Index)
			w.dev.push(t, "website", c)
		}},
		{"it has no signature", func() { push(string(g.Signatures[0].Digest), g.Signatures[0]) }},
	}
	var mu sync.Mutex
	n := 0
	now := time.Now()
	w.config.Now = func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
	found, err := w.promoter().Wait(t.Context(), promote.WaitFor{
		Image: ref("dev/website:1.0"), Platforms: []string{"linux/amd64", "linux/arm64"}, Signed: true, Referrers: []string{remotetest.SBOMType},
		Timeout: time.Hour, Interval: time.Millisecond,
		Missing: func(what string) {
			if n >= len(steps) {
				t.Fatalf("still missing: %s", what)
			}
			contains(t, what, steps[n].missing)
			steps[n].come()
			n++
		},
	})
	if err != nil || n != len(steps) || found.Digest != g.Index.Digest || !slices.Equal(found.Platforms, []string{"linux/amd64", "linux/arm64", "linux/s390x"}) {
		t.Errorf("after %d steps: %+v, %v", n, found, err)
	}

	t.Run("the time is up", func(t *testing.T) {
		looks := 0
		began := now
		_, err := w.promoter().Wait(t.Context(), promote.WaitFor{Image: ref("dev/website:2.0"), Timeout: 10 * time.Minute, Interval: time.Millisecond, Missing: func(string) {
			looks++
			mu.Lock()
			defer mu.Unlock()
			now = now.Add(3 * time.Minute)
		}})
		var timeout *promote.TimeoutError
		if !errors.As(err, &timeout) || timeout.Missing != "it does not exist" || looks != 4 || now.Sub(began) < 10*time.Minute {
			t.Errorf("%v after %d looks", err, looks)
		}
		contains(t, fmt.Sprint(err), "dev/website:2.0: after 10m0s, it does not exist")
	})
	t.Run("one look", func(t *testing.T) {
		_, err := w.promoter().Wait(t.Context(), promote.WaitFor{Image: ref("dev/website:1.0"), Platforms: []string{"windows/amd64"}})
		contains(t, fmt.Sprint(err), "it has no platform windows/amd64")
	})
	t.Run("waiting does not help", func(t *testing.T) {
		for code, effect := range map[ecr.Code]remotetest.Effect{
			ecr.CodeAccessDenied:       remotetest.Answer(403, `{"errors":[{"code":"DENIED","message":"no"}]}`),
			ecr.CodeRepositoryNotFound: func(x *remotetest.Exchange) { x.R.URL.Path = "/v2/nowhere/manifests/1.0"; x.Pass() },
		} {
			t.Run(string(code), func(t *testing.T) {
				w.within(t)
				w.dev.proxy.Reset()
				w.dev.proxy.On("manifests", -1, effect)
				_, err := w.promoter().Wait(t.Context(), promote.WaitFor{Image: ref("dev/website:2.0"), Timeout: time.Hour, Interval: time.Hour})
				if ecr.CodeOf(err) != code {
					t.Errorf("%v, want %s", err, code)
				}
			})
		}
		w.dev.proxy.Reset()
		w.dev.proxy.On("referrers", -1, remotetest.Answer(403, `{"errors":[{"code":"DENIED","message":"no"}]}`))
		_, err := w.promoter().Wait(t.Context(), promote.WaitFor{Image: ref("dev/website:1.0"), Signed: true, Timeout: time.Hour, Interval: time.Hour})
		if ecr.CodeOf(err) != ecr.CodeAccessDenied {
			t.Error(err)
		}
		contains(t, fmt.Sprint(err), "ecr:ListImageReferrers")
		w.dev.proxy.Reset()
	})
	t.Run("a registry that is away", func(t *testing.T) {
		w.dev.proxy.On("", -1, remotetest.Drop)
		looks := 0
		_, err := w.promoter().Wait(t.Context(), promote.WaitFor{Image: ref("dev/website:1.0"), Timeout: time.Hour, Interval: time.Millisecond, Missing: func(what string) {
			looks++
			w.dev.proxy.Reset()
		}})
		if err != nil || looks != 1 {
			t.Errorf("%v after %d looks", err, looks)
		}
	})
	t.Run("a signature by tag", func(t *testing.T) {
		c := remotetest.NewContent(5)
		m := c.Image("linux", "amd64", c.Layer(10))
		c.Manifests[0].Tag = "single"
		w.dev.push(t, "website", c)
		wait := promote.WaitFor{Image: ref("dev/website:single"), Signed: true, Platforms: []string{"linux/amd64"}}
		_, err := w.promoter().Wait(t.Context(), wait)
		contains(t, fmt.Sprint(err), "it has no signature")
		s := remotetest.NewContent(6)
		s.Cosign(m, "sig", "payload")
		w.dev.push(t, "website", s)
		if found, err := w.promoter().Wait(t.Context(), wait); err != nil || found.Digest != m.Digest {
			t.Errorf("%+v, %v", found, err)
		}
	})
	t.Run("among many tags", func(t *testing.T) {
		for i := range 1100 {
			push(fmt.Sprintf("v%d", i), g.Platforms[0])
		}
		w.dev.proxy.Reset()
		_, err := w.promoter().Wait(t.Context(), promote.WaitFor{Image: ref("dev/website:1.0"), Signed: true})
		if err != nil || w.dev.proxy.Count("tags/list") != 0 || len(w.dev.proxy.Requests()) > 8 {
			t.Errorf("%v, %v", err, w.dev.proxy.Requests())
		}
	})
}

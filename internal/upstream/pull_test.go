package upstream_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/registry"
	"github.com/kontor-registry/kontor/internal/remote/remotetest"
	"github.com/kontor-registry/kontor/internal/store/meta"
	"github.com/kontor-registry/kontor/internal/templates"
	"github.com/kontor-registry/kontor/internal/testkit"
	"github.com/kontor-registry/kontor/internal/upstream"
)

// A first pull makes the repository, and gets everything byte for byte. The next one
// asks nobody, not even when the upstream is gone.
func TestFirstPull(t *testing.T) {
	for _, compat := range []registry.Compat{registry.CompatOCI, registry.CompatECR} {
		t.Run(string(compat), func(t *testing.T) {
			_, proxy, g := origin(t)
			s := open(t, func(o *testkit.Settings) {
				o.Compat = compat
				o.UpstreamHosts = []upstream.Host{{Host: "quay.io", Private: true, PlainHTTP: true, Address: proxy.Host}}
			})
			s.rule(t, "up", "quay.io")
			same(t, "the index", s.want(t, "GET", "up/team/app/manifests/v1", 200, "kontor; fwd=uri-miss"), g.Index.Body)
			first := g.Platforms[0]
			same(t, "a platform", s.want(t, "GET", "up/team/app/manifests/"+string(first.Digest), 200, "kontor; fwd=uri-miss"), first.Body)
			for d, b := range blobsOf(t, g, first) {
				same(t, string(d), s.want(t, "GET", "up/team/app/blobs/"+string(d), 200, "kontor; "), b)
			}
			s.stored(t, "up/team/app", first.Digest)
			s.stored(t, "up/team/app", g.Index.Digest)
			proxy.Close()
			same(t, "the index again", s.want(t, "GET", "up/team/app/manifests/v1", 200, "kontor; hit"), g.Index.Body)
			same(t, "the platform again", s.want(t, "GET", "up/team/app/manifests/"+string(first.Digest), 200, "kontor; hit"), first.Body)
			for d, b := range blobsOf(t, g, first) {
				same(t, string(d), s.want(t, "GET", "up/team/app/blobs/"+string(d), 200, "kontor; hit"), b)
			}
			if got := s.counts.of(upstream.Hit); got == 0 {
				t.Error("no hit was counted")
			}
		})
	}
}

// blobsOf are the blobs of an image, by digest.
func blobsOf(t *testing.T, g remotetest.Graph, m remotetest.Manifest) map[ecr.Digest][]byte {
	t.Helper()
	all := map[ecr.Digest][]byte{}
	for d, b := range g.Blobs {
		if strings.Contains(string(m.Body), string(d)) {
			all[d] = b
		}
	}
	if len(all) < 2 {
		t.Fatalf("%s has %d blobs", m.Digest, len(all))
	}
	return all
}

// Fifty clients at a time are one request upstream for each thing, and none of them
// gets anything else than what it asked for.
func TestManyPullsAreOneRequest(t *testing.T) {
	_, proxy, g := origin(t)
	s := caching(t, proxy.Host)
	first := g.Platforms[0]
	blobs := blobsOf(t, g, first)
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			same(t, "the index", s.want(t, "GET", "up/team/app/manifests/v1", 200, "kontor; "), g.Index.Body)
			same(t, "a platform", s.want(t, "GET", "up/team/app/manifests/"+string(first.Digest), 200, "kontor; "), first.Body)
			for d, b := range blobs {
				same(t, string(d), s.want(t, "GET", "up/team/app/blobs/"+string(d), 200, "kontor; "), b)
			}
		})
	}
	wg.Wait()
	s.stored(t, "up/team/app", first.Digest)
	asked := map[string]int{}
	for _, r := range proxy.Requests() {
		if r.Status == http.StatusOK {
			asked[r.Method+" "+r.Path]++
		}
	}
	for request, n := range asked {
		if n != 1 {
			t.Errorf("%s came %d times", request, n)
		}
	}
	if want := 2 + len(blobs); len(asked) != want {
		t.Errorf("%d kinds of requests came, want %d: %v", len(asked), want, asked)
	}
}

// A blob comes to its client while it comes from the upstream.
func TestStreams(t *testing.T) {
	o, proxy, _ := origin(t)
	c := remotetest.NewContent(7)
	layer := c.Layer(2 << 20)
	m := c.Image("linux", "amd64", layer)
	m.Tag = "big"
	c.Manifests[0].Tag = "big"
	if err := o.as("admin").Push("team/app", c); err != nil {
		t.Fatal(err)
	}
	s := caching(t, proxy.Host)
	s.want(t, "HEAD", "up/team/app/manifests/big", 200, "kontor; fwd")
	if n := proxy.Count("blobs"); n != 0 {
		t.Errorf("looking at a manifest fetched %d blobs", n)
	}
	more := make(chan struct{})
	var once sync.Once
	release := func() { once.Do(func() { close(more) }) }
	defer release()
	proxy.On("GET .*blobs/"+string(layer.Digest), 1, func(x *remotetest.Exchange) {
		x.W.Header().Set("Content-Length", "2097152")
		body := c.Blobs[layer.Digest]
		_, _ = x.W.Write(body[:1<<20])
		_ = http.NewResponseController(x.W).Flush()
		select {
		case <-more:
		case <-x.R.Context().Done():
			return
		}
		_, _ = x.W.Write(body[1<<20:])
	})
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.host+"/v2/up/team/app/blobs/"+string(layer.Digest), nil)
	if err != nil {
		t.Fatal(err)
	}
	r.SetBasicAuth("admin", "secret")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	half := make([]byte, 1<<19)
	if _, err := readFull(resp.Body, half); err != nil {
		t.Fatalf("half of what came: %v", err)
	}
	same(t, "the beginning", half, c.Blobs[layer.Digest][:1<<19])
	release()
	rest := make([]byte, 2<<20-1<<19)
	if _, err := readFull(resp.Body, rest); err != nil {
		t.Fatal(err)
	}
	same(t, "the rest", rest, c.Blobs[layer.Digest][1<<19:])
	// A part of it, too.
	got, body := s.get(t, "admin", "GET", "up/team/app/blobs/"+string(layer.Digest), "Range", "bytes=100-199")
	if got.StatusCode != http.StatusPartialContent {
		t.Errorf("a range: %d", got.StatusCode)
	}
	same(t, "a range", body, c.Blobs[layer.Digest][100:200])
}

// A tag is compared a day after it was compared last, or on demand. What changed is
// fetched; by whom the image was pulled before does not matter.
func TestCompares(t *testing.T) {
	o, proxy, g := origin(t)
	s := caching(t, proxy.Host)
	s.want(t, "GET", "up/team/app/manifests/v1", 200, "kontor; fwd=uri-miss")
	next := remotetest.NewGraph(2, "v1")
	if err := o.as("admin").Push("team/app", next.Content); err != nil {
		t.Fatal(err)
	}
	proxy.Reset()
	s.pass(23 * testkit.Hour)
	same(t, "within a day", s.want(t, "GET", "up/team/app/manifests/v1", 200, "kontor; hit"), g.Index.Body)
	if n := len(proxy.Requests()); n != 0 {
		t.Errorf("%d requests within a day", n)
	}
	done, err := s.Upstreams.As(testkit.Admin).Refresh(t.Context(), testkit.At("up/team/app"), "v1")
	if err != nil || done.Before != g.Index.Digest || done.After != next.Index.Digest || done.Upstream != proxy.Host {
		t.Errorf("Refresh = %+v, %v", done, err)
	}
	same(t, "after Refresh", s.want(t, "GET", "up/team/app/manifests/v1", 200, "kontor; hit"), next.Index.Body)
	proxy.Reset()
	s.pass(25 * testkit.Hour)
	same(t, "a day later", s.want(t, "GET", "up/team/app/manifests/v1", 200, "kontor; hit; detail=compared"), next.Index.Body)
	if head, get := proxy.Count("HEAD .*/manifests/v1"), proxy.Count("GET "); head != 1 || get != 0 {
		t.Errorf("comparing took %d HEAD and %d GET", head, get)
	}
	// The first image, which has no tag any longer, is still there.
	same(t, "by digest", s.want(t, "GET", "up/team/app/manifests/"+string(g.Index.Digest), 200, "kontor; hit"), g.Index.Body)
}

// An immutable tag stays what it is.
func TestImmutable(t *testing.T) {
	o, proxy, g := origin(t)
	s := caching(t, proxy.Host)
	s.Repo("up/team/app", ecr.Immutable)
	s.want(t, "GET", "up/team/app/manifests/v1", 200, "kontor; fwd=uri-miss")
	if err := o.as("admin").Push("team/app", remotetest.NewGraph(2, "v1").Content); err != nil {
		t.Fatal(err)
	}
	s.pass(25 * testkit.Hour)
	same(t, "the tag", s.want(t, "GET", "up/team/app/manifests/v1", 200, "kontor; hit"), g.Index.Body)
}

// Referrers come with their subject.
func TestReferrers(t *testing.T) {
	_, proxy, g := origin(t)
	s := caching(t, proxy.Host)
	s.want(t, "GET", "up/team/app/manifests/v1", 200, "kontor; fwd=uri-miss")
	want := map[ecr.Digest]bool{}
	for _, m := range g.Signatures {
		want[m.Digest] = true
	}
	got := s.as("admin").Referrers(t, "up/team/app", g.Index.Digest)
	for _, d := range got {
		delete(want, d)
	}
	if len(want) != 0 || len(got) != len(g.Signatures) {
		t.Errorf("referrers %v lack %v", got, want)
	}
	proxy.Close()
	if again := s.as("admin").Referrers(t, "up/team/app", g.Index.Digest); len(again) != len(got) {
		t.Errorf("without the upstream there are %d", len(again))
	}
	for _, m := range g.Signatures {
		same(t, "a signature", s.want(t, "GET", "up/team/app/manifests/"+string(m.Digest), 200, "kontor; hit"), m.Body)
	}
}

// Who may not import, or not make the repository, learns and changes nothing, and
// reaches nobody. Who may pull only gets what is there.
func TestRights(t *testing.T) {
	_, proxy, g := origin(t)
	s := caching(t, proxy.Host)
	s.user("reader", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer")
	s.user("importer", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer", "ecr:BatchImportUpstreamImage")
	s.user("maker", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer", "ecr:BatchImportUpstreamImage", "ecr:CreateRepository")
	code := func(user, path, want string) {
		t.Helper()
		resp, body := s.get(t, user, "GET", path)
		if !strings.Contains(string(body), want) || want == "" && resp.StatusCode != http.StatusOK {
			t.Errorf("%s of %s: %d %s, want %q", user, path, resp.StatusCode, body, want)
		}
	}
	code("reader", "up/team/app/manifests/v1", `"code":"MANIFEST_UNKNOWN","message":"Requested image not found"`)
	code("importer", "up/team/app/manifests/v1", `"code":"NAME_UNKNOWN"`)
	code("maker", "elsewhere/team/app/manifests/v1", `"code":"NAME_UNKNOWN"`)
	if n := len(proxy.Requests()); n != 0 {
		t.Errorf("%d requests in the name of those who may not", n)
	}
	code("maker", "up/team/app/manifests/v1", "")
	code("reader", "up/team/app/manifests/v1", "")
	code("reader", "up/team/app/manifests/"+string(g.Platforms[0].Digest), `"code":"MANIFEST_UNKNOWN"`)
	code("importer", "up/team/app/manifests/"+string(g.Platforms[0].Digest), "")
	// What is not there upstream makes no repository.
	code("maker", "up/nothing/here/manifests/v1", `"code":"`)
	if _, err := s.DescribeRepositories(t.Context(), testkit.Home, []ecr.RepositoryName{"up/nothing/here"}); ecr.CodeOf(err) != ecr.CodeRepositoryNotFound {
		t.Errorf("an image that is nowhere made a repository: %v", err)
	}
}

// A mirror is asked for the names of another registry. They are looked up among the
// rules; what no rule is for is nowhere, and dials nobody.
func TestMirrors(t *testing.T) {
	_, proxy, g := origin(t)
	s := caching(t, proxy.Host)
	s.Repo("team/app", ecr.Mutable) // of this registry's own
	same(t, "by ns", s.want(t, "GET", "team/app/manifests/v1?ns="+proxy.Host, 200, "kontor; fwd=uri-miss"), g.Index.Body)
	proxy.Reset()
	s.want(t, "GET", "team/app/manifests/v1?ns=other.example", 404, "")
	s.want(t, "GET", "team/app/manifests/v1?ns=169.254.169.254", 404, "")
	s.want(t, "GET", "team/app/manifests/v1", 404, "")
	if n := len(proxy.Requests()); n != 0 {
		t.Errorf("%d requests", n)
	}
}

// The repository of a first pull is as the template for such pulls says.
func TestTemplate(t *testing.T) {
	_, proxy, _ := origin(t)
	s := caching(t, proxy.Host)
	const lifecycle = `{"rules":[{"rulePriority":1,"selection":{"tagStatus":"any","countType":"imageCountMoreThan","countNumber":9},"action":{"type":"expire"}}]}`
	for prefix, why := range map[string]ecr.CreationReason{"up": ecr.CreateOnPull, "up/team": ecr.CreateOnPush} {
		_, err := templates.New(s.Gate, s.Registry, s.Now).As(testkit.Admin).CreateTemplate(t.Context(), testkit.Home, meta.TemplateSettings{
			Given: prefix, AppliedFor: []ecr.CreationReason{why}, Mutability: ecr.Mutability{Mode: ecr.Immutable}, Lifecycle: lifecycle,
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	s.want(t, "GET", "up/team/app/manifests/v1", 200, "kontor; fwd=uri-miss")
	repos, err := s.DescribeRepositories(t.Context(), testkit.Home, []ecr.RepositoryName{"up/team/app"})
	if err != nil || repos[0].Mutability.Mode != ecr.Immutable {
		t.Errorf("the repository is %+v, %v", repos, err)
	}
	if got, _, err := s.LifecyclePolicy(t.Context(), testkit.At("up/team/app")); err != nil || !strings.Contains(got, "imageCountMoreThan") {
		t.Errorf("its lifecycle policy is %q, %v", got, err)
	}
}

package upstream_test

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/remote/remotetest"
	"github.com/kontor-registry/kontor/internal/testkit"
	"github.com/kontor-registry/kontor/internal/upstream"
)

func readFull(r io.Reader, p []byte) (int, error) { return io.ReadFull(r, p) }

// What is here is served when the upstream refuses, fails, breaks or is not there,
// and the answer says so; once it is well, the tag is compared again.
func TestStale(t *testing.T) {
	for name, effect := range map[string]remotetest.Effect{
		"throttles":    remotetest.Answer(http.StatusTooManyRequests, `{"errors":[{"code":"TOOMANYREQUESTS","message":"slow down"}]}`, "Retry-After", "60"),
		"breaks":       remotetest.Answer(http.StatusBadGateway, "oh"),
		"refuses":      remotetest.Answer(http.StatusForbidden, `{"errors":[{"code":"DENIED","message":"no"}]}`),
		"forgets":      remotetest.Answer(http.StatusNotFound, `{"errors":[{"code":"MANIFEST_UNKNOWN","message":"gone"}]}`),
		"drops":        remotetest.Drop,
		"another page": remotetest.Answer(http.StatusOK, "<html>log in</html>", "Content-Type", "text/html"),
	} {
		t.Run(name, func(t *testing.T) {
			_, proxy, g := origin(t)
			s := caching(t, proxy.Host)
			s.want(t, "GET", "up/team/app/manifests/v1", 200, "kontor; fwd=uri-miss")
			s.pass(25 * testkit.Hour)
			proxy.On("/manifests/v1", -1, effect)
			same(t, "stale", s.want(t, "GET", "up/team/app/manifests/v1", 200, "kontor; hit; fwd=stale"), g.Index.Body)
			proxy.Reset()
			s.pass(testkit.Hour)
			same(t, "well again", s.want(t, "GET", "up/team/app/manifests/v1", 200, "kontor; hit; detail=compared"), g.Index.Body)
			if s.counts.of(upstream.Stale) != 1 {
				t.Errorf("stale was counted %d times", s.counts.of(upstream.Stale))
			}
		})
	}
}

// An upstream that throttles is left alone for as long as it says, and its code is
// the client's where there is nothing to serve.
func TestThrottled(t *testing.T) {
	_, proxy, _ := origin(t)
	s := caching(t, proxy.Host)
	proxy.On("/manifests/", -1, remotetest.Answer(http.StatusTooManyRequests, `{}`, "Retry-After", "60", "Ratelimit-Remaining", "0;w=21600"))
	body := s.want(t, "GET", "up/team/app/manifests/v1", 429, "")
	if !strings.Contains(string(body), "The upstream registry "+proxy.Host+" wants fewer requests") {
		t.Errorf("it says %s", body)
	}
	n := len(proxy.Requests())
	s.want(t, "GET", "up/team/app/manifests/v1", 429, "")
	if more := len(proxy.Requests()) - n; more != 0 {
		t.Errorf("%d requests though it wants to be left alone", more)
	}
	proxy.Reset()
	s.pass(testkit.Hour)
	s.want(t, "GET", "up/team/app/manifests/v1", 200, "kontor; fwd=uri-miss")
}

// What an upstream sends that is not what its digest says, or more or less than it
// says, is not stored, and its client does not get a whole answer.
func TestLies(t *testing.T) {
	for _, tt := range []struct {
		name string
		lie  func(b []byte) remotetest.Effect
	}{
		{"another byte", func(b []byte) remotetest.Effect {
			wrong := append([]byte{b[0] ^ 1}, b[1:]...)
			return remotetest.Answer(200, string(wrong))
		}},
		{"too much", func(b []byte) remotetest.Effect { return remotetest.Answer(200, string(b)+"and more") }},
		{"too little", func(b []byte) remotetest.Effect { return remotetest.Answer(200, string(b[:len(b)/2])) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, proxy, g := origin(t)
			s := caching(t, proxy.Host)
			first := g.Platforms[0]
			s.want(t, "HEAD", "up/team/app/manifests/"+string(first.Digest), 200, "kontor; fwd=uri-miss")
			for d, b := range blobsOf(t, g, first) {
				proxy.Reset()
				proxy.On("GET .*/blobs/", -1, tt.lie(b))
				resp, got := s.get(t, "admin", "GET", "up/team/app/blobs/"+string(d))
				if resp.StatusCode == http.StatusOK {
					t.Errorf("%s was served with %d bytes", d, len(got))
				}
				if _, err := s.StatBlob(t.Context(), testkit.At("up/team/app"), d); ecr.CodeOf(err) != ecr.CodeLayersNotFound {
					t.Errorf("%s is stored: %v", d, err)
				}
				proxy.Reset()
				until(t, "the truth is served", func() bool {
					resp, got := s.get(t, "admin", "GET", "up/team/app/blobs/"+string(d))
					return resp.StatusCode == http.StatusOK && bytes.Equal(got, b)
				})
			}
		})
	}
	t.Run("manifest", func(t *testing.T) {
		_, proxy, g := origin(t)
		s := caching(t, proxy.Host)
		proxy.On("GET .*/manifests/", -1, remotetest.Answer(200, string(g.Platforms[1].Body), "Content-Type", g.Platforms[1].MediaType, "Docker-Content-Digest", string(g.Platforms[0].Digest)))
		s.want(t, "GET", "up/team/app/manifests/"+string(g.Platforms[0].Digest), 403, "")
		s.want(t, "GET", "up/team/app/manifests/v1", 403, "")
	})
}

// A larger blob than this registry takes is refused before it is fetched.
func TestTooLarge(t *testing.T) {
	_, proxy, g := origin(t)
	s := caching(t, proxy.Host, func(o *testkit.Settings) { o.MaxBlob = 1 << 10 })
	for d, b := range blobsOf(t, g, g.Platforms[0]) {
		if len(b) > 1<<10 {
			s.want(t, "GET", "up/team/app/blobs/"+string(d), 403, "")
		}
	}
	if n := proxy.Count("GET .*/blobs/"); n != 0 {
		t.Errorf("%d blobs were fetched", n)
	}
}

// Addresses that are not public are dialled for those upstreams only that the
// operator allows it for, and for what these redirect to.
func TestPrivateAddresses(t *testing.T) {
	_, proxy, g := origin(t)
	closed := open(t, func(o *testkit.Settings) {
		o.UpstreamHosts = []upstream.Host{{Host: proxy.Host, PlainHTTP: true}}
	})
	closed.rule(t, "up", proxy.Host)
	body := closed.want(t, "GET", "up/team/app/manifests/v1", 503, "")
	if n := len(proxy.Requests()); n != 0 {
		t.Errorf("%d requests to 127.0.0.1; it answers %s", n, body)
	}
	rule, failure, err := closed.Upstreams.As(testkit.Admin).ValidateRule(t.Context(), testkit.Home, "up")
	if err != nil || !strings.Contains(failure, "is not dialled") || rule.Host != proxy.Host {
		t.Errorf("ValidateRule = %+v, %q, %v", rule, failure, err)
	}

	// An open one is redirected to storage on another host.
	storage := remotetest.Start(t, "127.0.0.1:1")
	s := caching(t, proxy.Host)
	for d, b := range blobsOf(t, g, g.Platforms[0]) {
		storage.On("GET /"+string(d), -1, remotetest.Answer(200, string(b)))
		proxy.On("GET .*/blobs/"+string(d), -1, remotetest.Answer(307, "", "Location", "http://"+storage.Host+"/"+string(d)))
	}
	s.want(t, "GET", "up/team/app/manifests/"+string(g.Platforms[0].Digest), 200, "kontor; fwd=uri-miss")
	for d, b := range blobsOf(t, g, g.Platforms[0]) {
		same(t, string(d), s.want(t, "GET", "up/team/app/blobs/"+string(d), 200, "kontor; "), b)
	}
	for _, r := range storage.Requests() {
		if r.Header.Get("Authorization") != "" {
			t.Errorf("the storage got a password: %s", r)
		}
	}
}

// Rules name what AWS lists, or what the operator does.
func TestClosedWorld(t *testing.T) {
	s := open(t)
	c := s.Upstreams.As(testkit.Admin)
	for _, host := range []string{"registry.example", "127.0.0.1:5000", "169.254.169.254", "quay.io.evil.example", "quay.io/x", "http://quay.io", "", "evil.example#quay.io"} {
		if _, err := c.CreateRule(t.Context(), testkit.Home, upstream.NewRule{Prefix: "up", URL: host}); ecr.CodeOf(err) != ecr.CodeUnsupportedUpstream {
			t.Errorf("%q: %v", host, err)
		}
	}
	for _, host := range []string{"quay.io", "https://ghcr.io", "registry.k8s.io", "docker.io", "public.ecr.aws", "registry.gitlab.com", "cgr.dev", "111111111111.dkr.ecr.eu-west-1.amazonaws.com", "kontor.azurecr.io"} {
		prefix := "p" + strings.ToLower(string(ecr.DigestOf([]byte(host))[7:15]))
		if _, err := c.CreateRule(t.Context(), testkit.Home, upstream.NewRule{Prefix: prefix, URL: host}); err != nil {
			t.Errorf("%q: %v", host, err)
		}
	}
}

// A registry that is its own upstream, be it through another one, says so at once.
func TestLoops(t *testing.T) {
	a, b := listen(t), listen(t)
	for _, pair := range [][2]*site{{a, b}, {b, a}} {
		pair[0].open(t, func(o *testkit.Settings) {
			o.Installation = pair[0].host
			o.UpstreamHosts = []upstream.Host{{Host: pair[1].host, Private: true, PlainHTTP: true}}
		})
		pair[0].rule(t, "up", pair[1].host)
		// So that each asks for what the other has under the same name.
		c := pair[0].Upstreams.As(testkit.Admin)
		secrets, err := c.Secrets(t.Context(), testkit.Home)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.CreateRule(t.Context(), testkit.Home, upstream.NewRule{Prefix: "loop", UpstreamPrefix: "loop", URL: pair[1].host, CredentialARN: secrets[0].ARN}); err != nil {
			t.Fatal(err)
		}
	}
	resp, body := a.get(t, "admin", "GET", "loop/app/manifests/v1")
	if resp.StatusCode != http.StatusForbidden || !strings.Contains(string(body), "each of the two the upstream of the other") {
		t.Errorf("a loop: %d %s", resp.StatusCode, body)
	}
	resp, body = b.get(t, "admin", "GET", "loop/app/manifests/v1", "Via", "1.1 kontor-"+b.host)
	if resp.StatusCode != http.StatusForbidden || !strings.Contains(string(body), "The request came back to the registry that it began at") {
		t.Errorf("a request that came back: %d %s", resp.StatusCode, body)
	}
}

// A credential that is replaced is used from then on, and one that is refused is
// read again.
func TestCredentials(t *testing.T) {
	o, proxy, g := origin(t)
	s := caching(t, proxy.Host)
	s.want(t, "GET", "up/team/app/manifests/v1", 200, "kontor; fwd=uri-miss")
	o.mu.Lock()
	o.secret = "another"
	o.mu.Unlock()
	first := string(g.Platforms[0].Digest)
	body := s.want(t, "GET", "up/team/app/manifests/"+first, 403, "")
	if !strings.Contains(string(body), "does not accept the credential") {
		t.Errorf("it says %s", body)
	}
	c := s.Upstreams.As(testkit.Admin)
	if _, err := c.PutSecret(t.Context(), testkit.Home, "up", upstream.Login{Username: "admin", AccessToken: "another"}); err != nil {
		t.Fatal(err)
	}
	same(t, "with the new one", s.want(t, "GET", "up/team/app/manifests/"+first, 200, "kontor; fwd=uri-miss"), g.Platforms[0].Body)
	if err := c.DeleteSecret(t.Context(), testkit.Home, "up"); ecr.CodeOf(err) != ecr.CodeInvalidParameter {
		t.Errorf("a secret that a rule uses: %v", err)
	}
}

// What is cut goes on where it was cut.
func TestCut(t *testing.T) {
	_, proxy, g := origin(t)
	s := caching(t, proxy.Host)
	for d, b := range blobsOf(t, g, g.Platforms[0]) {
		proxy.On("GET .*/blobs/"+string(d), 1, remotetest.Cut(int64(len(b)/2)))
		same(t, string(d), s.want(t, "GET", "up/team/app/blobs/"+string(d), 200, "kontor; "), b)
	}
}

// An upstream that is silent does not keep what is here from being served.
func TestSilent(t *testing.T) {
	_, proxy, g := origin(t)
	s := caching(t, proxy.Host, func(o *testkit.Settings) { o.Comparing = 50 * time.Millisecond })
	s.want(t, "GET", "up/team/app/manifests/v1", 200, "kontor; fwd=uri-miss")
	s.pass(25 * testkit.Hour)
	proxy.Reset()
	proxy.On("/manifests/v1", -1, remotetest.Hang)
	for range 2 {
		same(t, "stale", s.want(t, "GET", "up/team/app/manifests/v1", 200, "kontor; hit; fwd=stale"), g.Index.Body)
	}
	// The time may be over before it is asked.
	if n := proxy.Count("HEAD .*/manifests/v1"); n > 1 {
		t.Errorf("%d requests to an upstream that was just silent", n)
	}
}

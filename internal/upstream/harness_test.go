package upstream_test

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/front/ociapi"
	"github.com/kontor-registry/kontor/internal/registry"
	"github.com/kontor-registry/kontor/internal/remote/remotetest"
	"github.com/kontor-registry/kontor/internal/testkit"
	"github.com/kontor-registry/kontor/internal/upstream"
)

// site is a registry on real stores behind a real server. Its users are in people,
// by name; the password of each is "secret".
type site struct {
	*testkit.World
	host   string
	counts *counts
	mu     sync.Mutex
	people map[string]access.Principal // guarded by mu
	passed time.Duration               // guarded by mu
	secret string                      // guarded by mu
	oci    *ociapi.Handler             // guarded by mu
}

// open opens a site; change edits its settings.
func open(t *testing.T, change ...func(*testkit.Settings)) *site {
	t.Helper()
	s := listen(t)
	s.open(t, change...)
	return s
}

// listen is a site to be, whose address is known.
func listen(t *testing.T) *site {
	s := &site{people: map[string]access.Principal{"admin": testkit.Admin}, counts: &counts{}, secret: "secret"}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		s.mu.Lock()
		p, ok := s.people[user]
		ok = ok && password == s.secret
		h := s.oci
		s.mu.Unlock()
		if !ok {
			ociapi.WriteUnauthorized(w, r.Host)
			return
		}
		h.Serve(w, r, s.Gate.As(p), testkit.Home, "request-1")
	}))
	t.Cleanup(server.Close)
	s.host = strings.TrimPrefix(server.URL, "http://")
	return s
}

func (s *site) open(t *testing.T, change ...func(*testkit.Settings)) {
	t.Helper()
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	settings := testkit.Settings{Compat: registry.CompatOCI, Log: log, UpstreamObserver: s.counts, Installation: t.Name(), Passed: s.elapsed, BlobGrace: testkit.Day}
	for _, c := range change {
		c(&settings)
	}
	s.World = testkit.Open(t, settings)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.oci = ociapi.New(ociapi.Config{Registry: s.Registry, Upstreams: s.Upstreams, Log: log})
}

// elapsed is the time by which upstreams rest.
func (s *site) elapsed() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.passed
}

// pass moves the image clock and that of rests.
func (s *site) pass(d time.Duration) {
	s.Advance(d)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.passed += d
}

// as is the site as a client of a user reaches it.
func (s *site) as(user string) remotetest.Registry {
	return remotetest.Registry{Host: s.host, User: user, Password: "secret"}
}

// caching is a site with a rule for the upstream behind a proxy: PREFIX "up".
func caching(t *testing.T, to string, change ...func(*testkit.Settings)) *site {
	t.Helper()
	s := open(t, append(slices.Clone(change), func(o *testkit.Settings) {
		o.UpstreamHosts = append(o.UpstreamHosts, upstream.Host{Host: to, Private: true, PlainHTTP: true})
	})...)
	s.rule(t, "up", to)
	return s
}

// rule adds a rule with a credential of the admin upstream.
func (s *site) rule(t *testing.T, prefix, host string) {
	t.Helper()
	c := s.Upstreams.As(testkit.Admin)
	secret, err := c.PutSecret(t.Context(), testkit.Home, prefix, upstream.Login{Username: "admin", AccessToken: "secret"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.CreateRule(t.Context(), testkit.Home, upstream.NewRule{Prefix: prefix, URL: host, CredentialARN: secret.ARN}); err != nil {
		t.Fatal(err)
	}
}

// origin is an upstream with an image of three platforms, referrers and all, behind
// a proxy.
func origin(t *testing.T) (*site, *remotetest.Proxy, remotetest.Graph) {
	t.Helper()
	s := open(t, func(o *testkit.Settings) { o.Installation = "origin" })
	s.Repo("team/app", ecr.Mutable)
	g := remotetest.NewGraph(1, "v1")
	if err := s.as("admin").Push("team/app", g.Content); err != nil {
		t.Fatal(err)
	}
	return s, remotetest.Start(t, s.host), g
}

// get asks for a path below /v2/, and returns the answer with its body.
func (s *site) get(t *testing.T, user, method, path string, header ...string) (answer, []byte) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, "http://"+s.host+"/v2/"+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.SetBasicAuth(user, "secret")
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	// A redirect to an upstream would be a defect.
	c := http.Client{CheckRedirect: func(r *http.Request, _ []*http.Request) error {
		t.Errorf("%s %s was redirected to %s", method, path, r.URL)
		return http.ErrUseLastResponse
	}}
	resp, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if cerr := resp.Body.Close(); cerr != nil {
		t.Error(cerr)
	}
	a := answer{resp.StatusCode, resp.Header}
	if err != nil {
		a.StatusCode = -1 // the body was cut
	}
	return a, body
}

// answer is an answer without its body.
type answer struct {
	StatusCode int
	Header     http.Header
}

// want asks for a path and expects an answer.
func (s *site) want(t *testing.T, method, path string, status int, cache string) []byte {
	t.Helper()
	resp, body := s.get(t, "admin", method, path)
	if resp.StatusCode != status {
		t.Errorf("%s %s: %d %q, want %d", method, path, resp.StatusCode, body[:min(len(body), 300)], status)
	}
	if got := resp.Header.Get("Cache-Status"); !strings.HasPrefix(got, cache) || cache == "" && got != "" {
		t.Errorf("%s %s: Cache-Status %q, want %q", method, path, got, cache)
	}
	return body
}

// same expects content.
func same(t *testing.T, what string, got, want []byte) {
	t.Helper()
	if !bytes.Equal(got, want) {
		t.Errorf("%s: %d bytes that are not the %d upstream", what, len(got), len(want))
	}
}

// until polls for something that happens in the background.
func until(t *testing.T, what string, yes func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !yes(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not after a minute: %s", what)
		}
	}
}

// stored waits until an image is stored.
func (s *site) stored(t *testing.T, name ecr.RepositoryName, d ecr.Digest) {
	t.Helper()
	until(t, string(d)+" is stored", func() bool {
		_, err := s.StatManifest(t.Context(), testkit.At(string(name)), ecr.ImageID{Digest: d})
		return err == nil
	})
}

// counts is an Observer.
type counts struct {
	mu    sync.Mutex
	pulls map[upstream.Outcome]int // guarded by mu
	left  int64                    // guarded by mu
}

func (c *counts) Pulled(_ string, how upstream.Outcome, _ int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pulls == nil {
		c.pulls = map[upstream.Outcome]int{}
	}
	c.pulls[how]++
}

func (c *counts) Quota(_ string, left int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.left = left
}

func (c *counts) of(how upstream.Outcome) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.pulls[how]
}

package upstream_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/kontor-registry/kontor/internal/access"
	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/gate"
	"github.com/kontor-registry/kontor/internal/remote/remotetest"
	"github.com/kontor-registry/kontor/internal/store/meta"
	"github.com/kontor-registry/kontor/internal/testkit"
	"github.com/kontor-registry/kontor/internal/upstream"
)

// user adds a user who may do actions.
func (s *site) user(name string, actions ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.people[name] = access.Principal{Account: testkit.Home.Account, ARN: "arn:aws:iam::000000000000:user/" + name, UniqueID: "AIDA" + name, Documents: []access.Document{{
		Name: "inline", Text: `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["` + strings.Join(actions, `","`) + `"],"Resource":"*"}]}`,
	}}}
}

// push pushes an image with one layer and a tag, which another seed makes another one.
func (s *site) push(t *testing.T, repository, tag string, seed uint64) (remotetest.Manifest, *remotetest.Content) {
	t.Helper()
	c := remotetest.NewContent(seed)
	m := c.Image("linux", "amd64", c.Layer(1<<10))
	c.Manifests[0].Tag = tag
	if err := s.as("admin").Push(repository, c); err != nil {
		t.Fatal(err)
	}
	return m, c
}

// Tags that were pushed here are not those of an upstream, whatever rule their
// repository has.
func TestPushedHere(t *testing.T) {
	o, proxy, g := origin(t)
	o.Repo("web/app", ecr.Mutable)
	o.push(t, "web/app", "v1", 11)
	s := caching(t, proxy.Host)
	s.rule(t, upstream.Root, proxy.Host)
	s.Repo("web/app", ecr.Mutable)
	own, _ := s.push(t, "web/app", "v1", 12)
	s.pass(25 * testkit.Hour)
	same(t, "what was pushed", s.want(t, "GET", "web/app/manifests/v1", 200, ""), own.Body)
	if n := len(proxy.Requests()); n != 0 {
		t.Errorf("%d requests about a tag that was pushed here", n)
	}
	if _, err := s.Upstreams.As(testkit.Admin).Refresh(t.Context(), testkit.At("web/app"), "v1"); ecr.CodeOf(err) != ecr.CodeInvalidParameter {
		t.Errorf("Refresh of a tag that was pushed here: %v", err)
	}

	// So it is for one that is pushed over what came, until it is removed.
	s.want(t, "GET", "team/app/manifests/v1", 200, "kontor; fwd=uri-miss")
	over, _ := s.push(t, "team/app", "v1", 13)
	s.pass(25 * testkit.Hour)
	same(t, "what was pushed over", s.want(t, "GET", "team/app/manifests/v1", 200, ""), over.Body)
	if err := s.DeleteTag(t.Context(), testkit.At("team/app"), "v1"); err != nil {
		t.Fatal(err)
	}
	same(t, "what comes again", s.want(t, "GET", "team/app/manifests/v1", 200, "kontor; fwd=uri-miss"), g.Index.Body)

	// And for one that is pushed while another is on its way.
	late, content := o.push(t, "team/app", "late", 14)
	s.want(t, "HEAD", "team/app/manifests/late", 200, "kontor; fwd=uri-miss")
	mine, _ := s.push(t, "team/app", "late", 15)
	s.want(t, "GET", "team/app/manifests/"+string(late.Digest), 200, "kontor; fwd=uri-miss")
	for d := range content.Blobs {
		s.want(t, "GET", "team/app/blobs/"+string(d), 200, "kontor; ")
	}
	s.stored(t, "team/app", late.Digest)
	same(t, "what was pushed meanwhile", s.want(t, "GET", "team/app/manifests/late", 200, ""), mine.Body)

	// A mirror that is asked for names of a registry without a rule gets what was
	// pushed here, and nothing that is another registry's.
	proxy.Reset()
	same(t, "by another name of this registry", s.want(t, "GET", "web/app/manifests/v1?ns=localhost:5001", 200, ""), own.Body)
	s.want(t, "GET", "web/app/referrers/"+string(own.Digest), 200, "")
	s.want(t, "GET", "team/app/referrers/"+string(g.Index.Digest)+"?ns=other.example", 200, "")
	s.want(t, "GET", "team/app/manifests/v1?ns=other.example", 404, "")
	s.want(t, "GET", "team/app/manifests/v2?ns=other.example", 404, "")
	s.want(t, "GET", "web/other/manifests/v1?ns=other.example", 404, "")
	if n := len(proxy.Requests()); n != 0 {
		t.Errorf("%d requests in the name of a registry without a rule", n)
	}
	same(t, "below a prefix", s.want(t, "GET", "up/team/app/manifests/v1?ns=localhost:5001", 200, "kontor; fwd=uri-miss"), g.Index.Body)
}

// How an upstream treats one credential says nothing of another, and what it said is
// told once.
func TestRestsByCredential(t *testing.T) {
	_, proxy, _ := origin(t)
	s := caching(t, proxy.Host)
	s.rule(t, "other", proxy.Host)
	s.want(t, "GET", "up/team/app/manifests/v1", 200, "kontor; fwd=uri-miss")
	s.pass(25 * testkit.Hour)
	proxy.On("/manifests/v1", 1, remotetest.Answer(http.StatusTooManyRequests, `{"errors":[{"code":"TOOMANYREQUESTS","message":"for bob of acme"}]}`, "Retry-After", "60"))
	first, _ := s.get(t, "admin", "GET", "up/team/app/manifests/v1")
	again, _ := s.get(t, "admin", "GET", "up/team/app/manifests/v1")
	if told := first.Header.Get("Cache-Status"); !strings.Contains(told, "fwd=stale") {
		t.Errorf("it says %s", told)
	}
	if told := again.Header.Get("Cache-Status"); !strings.Contains(told, "asked again in 1m0s") || strings.Contains(told, "bob") {
		t.Errorf("later it says %s", told)
	}
	s.want(t, "GET", "other/team/app/manifests/v1", 200, "kontor; fwd=uri-miss")
	if body := s.want(t, "GET", "up/team/none/manifests/v1", 429, ""); strings.Contains(string(body), "bob") {
		t.Errorf("it says %s", body)
	}
}

// What an upstream said of a tag that was only looked at holds for a minute, or until
// Refresh.
func TestLookedAt(t *testing.T) {
	o, proxy, _ := origin(t)
	s := caching(t, proxy.Host)
	looks := func(want remotetest.Manifest) {
		t.Helper()
		resp, _ := s.get(t, "admin", "HEAD", "up/team/app/manifests/one")
		if got := resp.Header.Get("Docker-Content-Digest"); got != string(want.Digest) {
			t.Errorf("the tag is %s, want %s", got, want.Digest)
		}
	}
	first, content := o.push(t, "team/app", "one", 21)
	looks(first)
	second, _ := o.push(t, "team/app", "one", 22)
	s.pass(2 * time.Minute)
	looks(second)
	third, _ := o.push(t, "team/app", "one", 23)
	looks(second)
	if _, err := s.Upstreams.As(testkit.Admin).Refresh(t.Context(), testkit.At("up/team/app"), ""); err != nil {
		t.Fatal(err)
	}
	looks(third)
	// Who pulls the first by its digest does not move the tag back.
	s.want(t, "GET", "up/team/app/manifests/"+string(first.Digest), 200, "kontor; fwd=uri-miss")
	for d := range content.Blobs {
		s.want(t, "GET", "up/team/app/blobs/"+string(d), 200, "kontor; ")
	}
	s.stored(t, "up/team/app", first.Digest)
	looks(third)
}

// Who may not list what is here is not told whether it is.
func TestCacheStatusTellsNoStranger(t *testing.T) {
	_, proxy, g := origin(t)
	s := caching(t, proxy.Host)
	s.want(t, "GET", "up/team/app/manifests/v1", 200, "kontor; fwd=uri-miss")
	s.user("stranger", "ecr:GetAuthorizationToken")
	for _, repository := range []string{"up/team/app", "up/team/none"} {
		resp, body := s.get(t, "stranger", "GET", repository+"/referrers/"+string(g.Index.Digest))
		if resp.StatusCode != http.StatusForbidden || resp.Header.Get("Cache-Status") != "" {
			t.Errorf("%s: %d %q %s", repository, resp.StatusCode, resp.Header.Get("Cache-Status"), body)
		}
	}
}

// Who may pull only gets the image that is here while a newer one comes for others.
func TestReaderDuringRefresh(t *testing.T) {
	o, proxy, _ := origin(t)
	s := caching(t, proxy.Host)
	first, content := o.push(t, "team/app", "one", 31)
	s.want(t, "GET", "up/team/app/manifests/one", 200, "kontor; fwd=uri-miss")
	for d := range content.Blobs {
		s.want(t, "GET", "up/team/app/blobs/"+string(d), 200, "kontor; ")
	}
	s.stored(t, "up/team/app", first.Digest)
	second, _ := o.push(t, "team/app", "one", 32)
	s.pass(25 * testkit.Hour)
	proxy.On("GET .*/blobs/", -1, remotetest.Hang)
	same(t, "for the admin", s.want(t, "GET", "up/team/app/manifests/one", 200, "kontor; fwd=uri-miss"), second.Body)
	s.user("reader", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer")
	resp, body := s.get(t, "reader", "GET", "up/team/app/manifests/one")
	if resp.StatusCode != http.StatusOK {
		t.Errorf("a reader gets %d %s", resp.StatusCode, body)
	}
	same(t, "for a reader", body, first.Body)
}

// A request for what an upstream does not have, or that no image here needs, makes
// nothing and asks for nothing.
func TestNothingForStrangeDigests(t *testing.T) {
	_, proxy, _ := origin(t)
	s := caching(t, proxy.Host)
	strange := string(ecr.DigestOf([]byte("strange")))
	s.want(t, "GET", "up/nothing/here/blobs/"+strange, 404, "")
	if _, err := s.DescribeRepositories(t.Context(), testkit.Home, []ecr.RepositoryName{"up/nothing/here"}); ecr.CodeOf(err) != ecr.CodeRepositoryNotFound {
		t.Errorf("a blob that is nowhere made a repository: %v", err)
	}
	s.want(t, "GET", "up/team/app/manifests/v1", 200, "kontor; fwd=uri-miss")
	proxy.Reset()
	s.want(t, "GET", "up/team/app/referrers/"+strange, 200, "")
	if n := len(proxy.Requests()); n != 0 {
		t.Errorf("%d requests for the referrers of what is not here", n)
	}
}

// An upstream that wants a login from a rule that has none may also mean that there is
// no such repository, as Docker Hub does.
func TestNoCredential(t *testing.T) {
	_, proxy, _ := origin(t)
	s := open(t, func(o *testkit.Settings) {
		o.UpstreamHosts = []upstream.Host{{Host: proxy.Host, Private: true, PlainHTTP: true}}
	})
	if _, err := s.Upstreams.As(testkit.Admin).CreateRule(t.Context(), testkit.Home, upstream.NewRule{Prefix: "up", URL: proxy.Host}); err != nil {
		t.Fatal(err)
	}
	if body := s.want(t, "GET", "up/team/app/manifests/v1", 403, ""); !strings.Contains(string(body), "has no such repository, or wants a login") {
		t.Errorf("it says %s", body)
	}
}

// A rule with a role needs iam:PassRole on it, when it is made and when it changes.
func TestRoleOfRuleIsPassed(t *testing.T) {
	s := open(t)
	const role, other = "arn:aws:iam::000000000000:role/pull", "arn:aws:iam::000000000000:role/other"
	s.user("maker", "ecr:CreatePullThroughCacheRule", "ecr:UpdatePullThroughCacheRule")
	s.user("passer", "ecr:CreatePullThroughCacheRule", "ecr:UpdatePullThroughCacheRule", "iam:PassRole")
	maker, passer := s.Upstreams.As(s.people["maker"]), s.Upstreams.As(s.people["passer"])
	rule := upstream.NewRule{Prefix: "quay", URL: "quay.io", CustomRoleARN: role}
	if _, err := maker.CreateRule(t.Context(), testkit.Home, rule); ecr.CodeOf(err) != ecr.CodeAccessDenied || !strings.Contains(err.Error(), "iam:PassRole on resource: "+role) {
		t.Errorf("made without iam:PassRole: %v", err)
	}
	if made, err := passer.CreateRule(t.Context(), testkit.Home, rule); err != nil || made.CustomRoleARN != role {
		t.Fatalf("%+v, %v", made, err)
	}
	if _, err := maker.UpdateRule(t.Context(), testkit.Home, "quay", "", other); ecr.CodeOf(err) != ecr.CodeAccessDenied {
		t.Errorf("changed without iam:PassRole: %v", err)
	}
	if changed, err := passer.UpdateRule(t.Context(), testkit.Home, "quay", "", other); err != nil || changed.CustomRoleARN != other {
		t.Errorf("%+v, %v", changed, err)
	}
}

// A policy that depends on the image is asked about the image that the caller gets: not
// about the one that its tag stood for before it moved upstream.
func TestPoliciesAskForWhatComes(t *testing.T) {
	o, proxy, _ := origin(t)
	o.push(t, "team/app", "v2", 21)
	s := caching(t, proxy.Host)
	s.user("puller", "ecr:*")
	at := testkit.At("up/team/app")
	m := s.want(t, "GET", "up/team/app/manifests/v2", 200, "kontor; fwd=uri-miss")
	s.stored(t, at.Name, ecr.DigestOf(m))
	const text = `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*","Action":"ecr:BatchGetImage","Condition":{
		"StringEquals":{"kontor:MaxSeverity":["CRITICAL","UNSCANNED"]},"ArnNotEquals":{"aws:PrincipalArn":"` + "arn:aws:iam::000000000000:user/administrator" + `"}}}]}`
	if _, err := s.SetPolicy(t.Context(), at, text, true); err != nil {
		t.Fatal(err)
	}
	pulls := func(reference string, want int) {
		t.Helper()
		for _, method := range []string{"HEAD", "GET"} {
			if got, body := s.get(t, "puller", method, "up/team/app/manifests/"+reference); got.StatusCode != want {
				t.Errorf("%s %s: %d, want %d: %s", method, reference, got.StatusCode, want, body)
			}
		}
	}
	pulls("v2", 403)
	err := s.Gate.System("test").Change(t.Context(), gate.Op("Test"), func(ctx context.Context, tx *gate.Tx) error {
		row, err := tx.Repository(ctx, at.In, at.Name)
		if err != nil {
			return err
		}
		return tx.Retention().ScanWriter().PutScan(ctx, meta.Scan{Repository: row.ID, Digest: ecr.DigestOf(m), Scan: ecr.Scan{
			Status: ecr.ScanInProgress, CompletedAt: s.Now(), Severity: ecr.SeverityNone, Result: []byte("{}"),
		}, AskedAt: s.Now(), DueAt: s.Now()})
	})
	if err != nil {
		t.Fatal(err)
	}
	pulls("v2", 200)
	// Compared a day later, it is still the same, and that is no denial.
	s.pass(25 * testkit.Hour)
	pulls("v2", 200)
	s.want(t, "GET", "up/team/app/manifests/v2", 200, "kontor; hit")

	o.push(t, "team/app", "v2", 22)
	s.pass(25 * testkit.Hour)
	pulls("v2", 403)
	pulls(string(ecr.DigestOf(m)), 200)
	pulls("v1", 404) // it is not here, and may not come for the caller
}

package server

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// Guesses have to wait longer and longer, up to a minute; a success, or some
// time, makes good.
func TestBackOff(t *testing.T) {
	f := newFailures(3)
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	fail := func(want time.Duration) {
		t.Helper()
		f.failed("a", now)
		if got := f.wait("a", now); got != want {
			t.Errorf("wait %v, want %v", got, want)
		}
	}
	fail(0)
	fail(0)
	for _, want := range []time.Duration{1, 2, 4, 8, 16, 32, 60, 60, 60} {
		want *= time.Second
		fail(want)
		now = now.Add(want)
		if got := f.wait("a", now); got != 0 {
			t.Errorf("after %v there are %v left", want, got)
		}
	}
	if got := f.wait("b", now); got != 0 {
		t.Errorf("another waits %v", got)
	}
	f.succeeded("a")
	fail(0)
	fail(0)
	fail(time.Second)
	now = now.Add(time.Second + 2*longestWait + 1)
	fail(0)

	for range 100 {
		newFailures(-1).failed("a", now)
	}
	unlimited := newFailures(-1)
	unlimited.failed("a", now)
	if got := unlimited.wait("a", now); got != 0 {
		t.Errorf("without a limit: %v", got)
	}
}

// The table of failures is bounded, and forgets what is over.
func TestManyFailures(t *testing.T) {
	f := newFailures(1)
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	name := func(i int) string { return string([]rune{rune('a' + i%1000), rune('a' + i/1000)}) }
	for i := range bucketsMax + 10 {
		f.failed(name(i), now)
	}
	if n := len(f.byName); n != bucketsMax {
		t.Errorf("%d failures are kept", n)
	}
	now = now.Add(3 * longestWait)
	f.failed("new", now)
	if n := len(f.byName); n != 1 {
		t.Errorf("%d failures are kept when all are over", n)
	}
}

// Failures count by source and key: whoever guesses at a key keeps its owner
// out nowhere else, and other keys not even there. What clients say about
// their address does not count.
func TestLoginNames(t *testing.T) {
	name := func(remote, authorization, target string, headers ...string) string {
		r := httptest.NewRequest(http.MethodPost, target, nil)
		r.RemoteAddr = remote
		if authorization != "" {
			r.Header.Set("Authorization", authorization)
			r.Header.Set("X-Amz-Date", "20261123T120000Z")
		}
		for i := 0; i < len(headers); i += 2 {
			r.Header.Set(headers[i], headers[i+1])
		}
		return login(r)
	}
	const (
		a    = "AWS4-HMAC-SHA256 Credential=AKIAA/20261123/us-east-1/ecr/aws4_request, SignedHeaders=host, Signature=0"
		b    = "AWS4-HMAC-SHA256 Credential=AKIAB/20261123/us-east-1/ecr/aws4_request, SignedHeaders=host, Signature=0"
		here = "192.0.2.1:1000"
	)
	same := func(x, y string, want bool) {
		t.Helper()
		if (x == y) != want {
			t.Errorf("%q and %q", x, y)
		}
	}
	mine := name(here, a, "/")
	same(mine, name("192.0.2.1:2000", a, "/"), true)
	same(mine, name(here, a+"1", "/"), true)
	same(mine, name(here, "", "/?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Date=20261123T120000Z&X-Amz-SignedHeaders=host&X-Amz-Signature=0"+
		"&X-Amz-Credential=AKIAA%2F20261123%2Fus-east-1%2Fecr%2Faws4_request"), true)
	// The key that counts is the one that is looked up, whatever else is named.
	same(mine, name(here, strings.Replace(a, "Credential=", "X-Credential=AKIAB/x, Credential=", 1), "/"), true)
	same(mine, name(here, strings.Replace(a, "Credential=", "SignedCredential=AKIAC/x, Credential=", 1), "/"), true)
	same(mine, name(here, a, "/?X-Amz-Credential=AKIAB%2Fx"), true)
	same(mine, name(here, a, "/", "X-Forwarded-For", "198.51.100.1", "X-Real-Ip", "198.51.100.1", "Forwarded", "for=198.51.100.1"), true)
	same(mine, name(here, b, "/"), false)
	same(mine, name("192.0.2.2:1000", a, "/"), false)
	same(name("[2001:db8::1]:1", a, "/"), name("[2001:db8::2]:1", a, "/"), true) // one /64
	same(name("[2001:db8::1]:1", a, "/"), name("[2001:db8:0:1::1]:1", a, "/"), false)
	same(name(here, "Basic QVdTOmE=", "/v2/"), name(here, "Basic QVdTOmI=", "/v2/"), false) // another's password
	same(name(here, "Basic QVdTOmE=", "/v2/"), name(here, "Basic QVdTOmE=", "/v2/"), true)
}

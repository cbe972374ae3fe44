package authn_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"pgregory.net/rapid"

	"github.com/kontor-registry/kontor/internal/ecr"
)

var suiteCredentials = aws.Credentials{AccessKeyID: suiteKey, SecretAccessKey: suiteSecret}

func hashOf(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}

// signing says how the SDK signs a request.
type signing struct {
	credentials     aws.Credentials
	region, service string
	at              time.Time
	hash            string // of the body, when not the right one
}

// call is an ECR call as the SDK makes it.
func call(t testing.TB, body string, edit func(r *http.Request, s *signing)) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://localhost:5050/", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-amz-json-1.1")
	r.Header.Set("X-Amz-Target", "AmazonEC2ContainerRegistry_V20150921.ListImages")
	s := signing{suiteCredentials, string(region), "ecr", suiteTime, hashOf([]byte(body))}
	if edit != nil {
		edit(r, &s)
	}
	if err := v4.NewSigner().SignHTTP(t.Context(), s.credentials, r, s.hash, s.service, s.region, s.at); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestSDKSignatures(t *testing.T) {
	b := newBench(t)
	tests := []struct {
		name string
		edit func(r *http.Request, s *signing)
	}{
		{"plain", nil},
		{"with the hash of the body", func(r *http.Request, s *signing) { r.Header.Set("X-Amz-Content-Sha256", s.hash) }},
		{"several values and spaces", func(r *http.Request, _ *signing) {
			r.Header["X-Amz-Meta-A"] = []string{"one   two", " three ", "one"}
		}},
		{"encoded path", func(r *http.Request, _ *signing) {
			r.URL.Path, r.URL.RawPath = "/a b/c/d+e/é", "/a%20b/c/d+e/%C3%A9"
		}},
		{"encoded slash in a path", func(r *http.Request, _ *signing) { r.URL.Path, r.URL.RawPath = "/a/b", "/a%2Fb" }},
		{"repeated query keys", func(r *http.Request, _ *signing) { r.URL.RawQuery = "b=2&a=2&a=1&b=&c&a%20b=c%2Bd+e&é=~" }},
		{"nearly too old", func(_ *http.Request, s *signing) { s.at = suiteTime.Add(-15 * time.Minute) }},
		{"nearly too new", func(_ *http.Request, s *signing) { s.at = suiteTime.Add(15 * time.Minute) }},
		{"headers that are not signed", func(r *http.Request, _ *signing) {
			r.Header.Set("User-Agent", "x")
			r.Header.Set("X-Amzn-Trace-Id", "y")
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, body := received(t, call(t, `{"repositoryName":"a/b"}`, tt.edit))
			p, err := b.verify(r, body, region, "ecr")
			if err != nil {
				t.Fatal(err)
			}
			if p.UniqueID != "AIDAEXAMPLE" || p.Account != account || p.KeyID != suiteKey || len(p.Policies) != 1 {
				t.Errorf("principal %+v", p)
			}
		})
	}
}

func TestSigV4Refused(t *testing.T) {
	b := newBench(t)
	sign := func(edit func(r *http.Request, s *signing)) func(t *testing.T) *http.Request {
		return func(t *testing.T) *http.Request { return call(t, "{}", edit) }
	}
	after := func(change func(r *http.Request)) func(t *testing.T) *http.Request {
		return func(t *testing.T) *http.Request { r := call(t, "{}", nil); change(r); return r }
	}
	authorization := func(old, replacement string) func(t *testing.T) *http.Request {
		return after(func(r *http.Request) {
			r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), old, replacement, 1))
		})
	}
	tests := []struct {
		name    string
		request func(t *testing.T) *http.Request
		code    ecr.Code
		message string
	}{
		// Changed after signing.
		{"body", after(func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader("[]")) }), ecr.CodeInvalidSignature, mismatch},
		{"method", after(func(r *http.Request) { r.Method = http.MethodPut }), ecr.CodeInvalidSignature, mismatch},
		{"path", after(func(r *http.Request) { r.URL.Path = "/x" }), ecr.CodeInvalidSignature, mismatch},
		{"query", after(func(r *http.Request) { r.URL.RawQuery = "a=b" }), ecr.CodeInvalidSignature, mismatch},
		{"host", after(func(r *http.Request) { r.Host = "localhost:5051" }), ecr.CodeInvalidSignature, mismatch},
		{"operation", after(func(r *http.Request) {
			r.Header.Set("X-Amz-Target", "AmazonEC2ContainerRegistry_V20150921.DeleteRepository")
		}),
			ecr.CodeInvalidSignature, mismatch},
		{"second target", after(func(r *http.Request) {
			r.Header.Add("X-Amz-Target", "AmazonEC2ContainerRegistry_V20150921.DeleteRepository")
		}),
			ecr.CodeInvalidSignature, mismatch},
		{"content type", after(func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") }), ecr.CodeInvalidSignature, mismatch},
		{"time", after(func(r *http.Request) { r.Header.Set("X-Amz-Date", "20150830T123601Z") }), ecr.CodeInvalidSignature, mismatch},
		{"a signed header taken away", after(func(r *http.Request) { r.Header.Del("Content-Type") }), ecr.CodeInvalidSignature, mismatch},
		{"signature", authorization("Signature=", "Signature=0"), ecr.CodeInvalidSignature, mismatch},
		{"signature in upper case", after(func(r *http.Request) {
			head, signature, _ := strings.Cut(r.Header.Get("Authorization"), "Signature=")
			r.Header.Set("Authorization", head+"Signature="+strings.ToUpper(signature))
		}), ecr.CodeInvalidSignature, mismatch},
		{"fewer signed headers", authorization("content-type;", ""), ecr.CodeInvalidSignature, mismatch},

		// Who.
		{"wrong secret", sign(func(_ *http.Request, s *signing) { s.credentials.SecretAccessKey += "x" }), ecr.CodeInvalidSignature, mismatch},
		{"unknown key", sign(func(_ *http.Request, s *signing) { s.credentials.AccessKeyID = "AKIAIOSFODNN7EXAMPLE" }),
			ecr.CodeUnrecognizedClient, "The security token included in the request is invalid."},
		{"session token with a long-term key", sign(func(_ *http.Request, s *signing) { s.credentials.SessionToken = "x" }),
			ecr.CodeUnrecognizedClient, "The security token included in the request is invalid."},

		// When. AWS' words, as clients quote them in their issues.
		{"too old", sign(func(_ *http.Request, s *signing) { s.at = suiteTime.Add(-15*time.Minute - time.Second) }), ecr.CodeInvalidSignature,
			"Signature expired: 20150830T122059Z is now earlier than 20150830T122100Z (20150830T123600Z - 15 min.)"},
		{"too new", sign(func(_ *http.Request, s *signing) { s.at = suiteTime.Add(15*time.Minute + time.Second) }), ecr.CodeInvalidSignature,
			"Signature not yet current: 20150830T125101Z is still later than 20150830T125100Z (20150830T123600Z + 15 min.)"},
		{"scope of another day", authorization("/20150830/", "/20150829/"), ecr.CodeInvalidSignature,
			"Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '20150829' != '20150830', from '20150830T123600Z'."},

		// Where.
		{"another region", sign(func(_ *http.Request, s *signing) { s.region = "eu-west-1" }), ecr.CodeInvalidSignature,
			"Credential should be scoped to a valid region, not 'eu-west-1'; this endpoint serves 'us-east-1'."},
		{"another service", sign(func(_ *http.Request, s *signing) { s.service = "s3" }), ecr.CodeInvalidSignature,
			"Credential should be scoped to correct service: 'ecr', not 's3'."},
		{"another terminator", authorization("/aws4_request", "/aws5_request"), ecr.CodeInvalidSignature,
			"Credential should be scoped with a valid terminator: 'aws4_request', not 'aws5_request'."},

		// Not wholly signed.
		{"no signature", after(func(r *http.Request) { r.Header.Del("Authorization") }), ecr.CodeIncompleteSignature, "Missing Authentication Token"},
		{"two signatures", after(func(r *http.Request) { r.Header.Add("Authorization", r.Header.Get("Authorization")) }), ecr.CodeIncompleteSignature, "more than one signature"},
		{"header and query", after(func(r *http.Request) { r.URL.RawQuery = "X-Amz-Signature=x" }), ecr.CodeIncompleteSignature, "more than one signature"},
		{"basic", after(func(r *http.Request) { r.SetBasicAuth("AWS", "x") }), ecr.CodeIncompleteSignature, "Unsupported AWS 'algorithm': 'Basic'"},
		{"SigV4A", authorization("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256"), ecr.CodeIncompleteSignature, "Unsupported AWS 'algorithm': 'AWS4-ECDSA-P256-SHA256'"},
		{"no credential", authorization("Credential=", "X="), ecr.CodeIncompleteSignature, "Authorization header requires 'Credential' parameter."},
		{"credential too short", authorization("/ecr/", "/"), ecr.CodeIncompleteSignature, "Credential must have exactly 5 slash-delimited elements"},
		{"parameter given twice", authorization("Signature=", "Signature=0, Signature="), ecr.CodeIncompleteSignature, "given twice"},
		{"no date", after(func(r *http.Request) { r.Header.Del("X-Amz-Date") }), ecr.CodeIncompleteSignature, "requires existence of one 'X-Amz-Date'"},
		{"two dates", after(func(r *http.Request) { r.Header.Add("X-Amz-Date", "20150830T123600Z") }), ecr.CodeIncompleteSignature, "requires existence of one 'X-Amz-Date'"},
		{"bad date", after(func(r *http.Request) { r.Header.Set("X-Amz-Date", "2015-08-30T12:36:00Z") }), ecr.CodeIncompleteSignature, "Date must be in ISO-8601 'basic format'"},
		{"signed headers out of order", authorization("content-length;content-type", "content-type;content-length"), ecr.CodeIncompleteSignature, "in ascending order"},
		{"signed header twice", authorization("host;", "host;host;"), ecr.CodeIncompleteSignature, "in ascending order"},
		{"host not signed", authorization("host;", ""), ecr.CodeInvalidSignature, "'host' must be a 'SignedHeader'"},
		{"date not signed", authorization("x-amz-date;", ""), ecr.CodeInvalidSignature, "'x-amz-date' must be a 'SignedHeader'"},
		{"target not signed", authorization(";x-amz-target", ""), ecr.CodeInvalidSignature, "'x-amz-target' must be a 'SignedHeader'"},
		{"bad query", after(func(r *http.Request) { r.URL.RawQuery = "a=%zz" }), ecr.CodeIncompleteSignature, "The query string is not encoded correctly near 'a'."},

		// The hash of the body.
		{"hash of another body", sign(func(r *http.Request, s *signing) {
			s.hash = hashOf([]byte("x"))
			r.Header.Set("X-Amz-Content-Sha256", s.hash)
		}), ecr.CodeInvalidSignature, "The provided 'x-amz-content-sha256' header does not match what was computed."},
		{"unsigned payload", sign(func(r *http.Request, s *signing) {
			s.hash = "UNSIGNED-PAYLOAD"
			r.Header.Set("X-Amz-Content-Sha256", s.hash)
		}), ecr.CodeInvalidSignature, "'x-amz-content-sha256' cannot be 'UNSIGNED-PAYLOAD' here."},
		{"unsigned payload unannounced", sign(func(_ *http.Request, s *signing) { s.hash = "UNSIGNED-PAYLOAD" }), ecr.CodeInvalidSignature, mismatch},
		{"streaming", sign(func(r *http.Request, s *signing) {
			s.hash = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
			r.Header.Set("X-Amz-Content-Sha256", s.hash)
		}), ecr.CodeInvalidSignature, "cannot be 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD' here."},
		{"hash not signed", after(func(r *http.Request) { r.Header.Set("X-Amz-Content-Sha256", hashOf([]byte("{}"))) }),
			ecr.CodeInvalidSignature, "'x-amz-content-sha256' must be a 'SignedHeader'"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, body := received(t, tt.request(t))
			p, err := b.verify(r, body, region, "ecr")
			wantError(t, err, tt.code, tt.message)
			if p.ARN != "" || p.KeyID != "" {
				t.Errorf("refused, but as %+v", p)
			}
		})
	}
	t.Run("key switched off", func(t *testing.T) {
		b := newBench(t)
		r, body := received(t, call(t, "{}", nil))
		if _, err := b.verify(r, body, region, "ecr"); err != nil {
			t.Fatal(err)
		}
		b.deactivate(t)
		_, err := b.verify(r, body, region, "ecr")
		wantError(t, err, ecr.CodeUnrecognizedClient, "The security token included in the request is invalid.")
	})
}

// presign is an STS call in a URL, as tools for Kubernetes make them.
func presign(t testing.TB, query string, edit func(s *signing)) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://localhost:5050/?"+query, nil)
	if err != nil {
		t.Fatal(err)
	}
	s := signing{suiteCredentials, string(region), "sts", suiteTime, hashOf(nil)}
	if edit != nil {
		edit(&s)
	}
	signed, _, err := v4.NewSigner().PresignHTTP(t.Context(), s.credentials, r, s.hash, s.service, s.region, s.at)
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(signed)
	if err != nil {
		t.Fatal(err)
	}
	r.URL = u
	return r
}

func TestPresigned(t *testing.T) {
	b := newBench(t)
	const query = "Action=GetCallerIdentity&Version=2011-06-15"
	edited := func(old, replacement string) func(r *http.Request) {
		return func(r *http.Request) {
			if !strings.Contains(r.URL.RawQuery, old) {
				t.Errorf("no %s in %s", old, r.URL.RawQuery)
			}
			r.URL.RawQuery = strings.Replace(r.URL.RawQuery, old, replacement, 1)
		}
	}
	tests := []struct {
		name, query string
		edit        func(s *signing)
		change      func(r *http.Request)
		later       time.Duration
		code        ecr.Code // "" when accepted
		message     string
	}{
		{name: "plain", query: query},
		{name: "for a minute", query: query + "&X-Amz-Expires=60", later: time.Minute},
		{name: "for an hour", query: query + "&X-Amz-Expires=3600", later: time.Hour},
		{name: "repeated keys", query: query + "&a=2&a=1&b=c%20d"},
		{name: "expired", query: query + "&X-Amz-Expires=60", later: 61 * time.Second, code: ecr.CodeInvalidSignature,
			message: "Signature expired: 20150830T123600Z is now earlier than 20150830T123601Z (20150830T123701Z - 1 min.)"},
		{name: "expired after odd seconds", query: query + "&X-Amz-Expires=90", later: 91 * time.Second, code: ecr.CodeInvalidSignature,
			message: "Signature expired: 20150830T123600Z is now earlier than 20150830T123601Z (20150830T123731Z - 90 sec.)"},
		{name: "15 minutes unless it says so", query: query, later: 15*time.Minute + time.Second, code: ecr.CodeInvalidSignature, message: "Signature expired"},
		{name: "from the future", query: query + "&X-Amz-Expires=3600", later: -16 * time.Minute, code: ecr.CodeInvalidSignature, message: "Signature not yet current"},
		{name: "expiry prolonged", query: query + "&X-Amz-Expires=60", change: edited("X-Amz-Expires=60", "X-Amz-Expires=600"), code: ecr.CodeInvalidSignature, message: mismatch},
		{name: "expiry too long", query: query + "&X-Amz-Expires=604801", code: ecr.CodeIncompleteSignature, message: "from 1 to 604800, not '604801'"},
		{name: "expiry zero", query: query + "&X-Amz-Expires=0", code: ecr.CodeIncompleteSignature, message: "from 1 to 604800, not '0'"},
		{name: "expiry negative", query: query + "&X-Amz-Expires=-1", code: ecr.CodeIncompleteSignature, message: "from 1 to 604800, not '-1'"},
		{name: "action changed", query: query, change: edited("GetCallerIdentity", "GetSessionToken"), code: ecr.CodeInvalidSignature, message: mismatch},
		{name: "parameter added", query: query, change: edited("Action=", "A=b&Action="), code: ecr.CodeInvalidSignature, message: mismatch},
		{name: "body added", query: query, change: func(r *http.Request) {
			r.Body, r.ContentLength = io.NopCloser(strings.NewReader("x")), 1
		}, code: ecr.CodeInvalidSignature, message: mismatch},
		{name: "POST instead", query: query, change: func(r *http.Request) { r.Method = http.MethodPost }, code: ecr.CodeInvalidSignature, message: mismatch},
		{name: "target added", query: query, change: func(r *http.Request) { r.Header.Set("X-Amz-Target", "x") },
			code: ecr.CodeInvalidSignature, message: "'x-amz-target' must be a 'SignedHeader'"},
		{name: "parameter twice", query: query, change: edited("X-Amz-Date=", "X-Amz-Date=20150830T123600Z&X-Amz-Date="),
			code: ecr.CodeIncompleteSignature, message: "The query parameter 'X-Amz-Date' is given twice."},
		{name: "no credential", query: query, change: edited("X-Amz-Credential=", "x="), code: ecr.CodeIncompleteSignature, message: "must include 'X-Amz-Credential'"},
		{name: "no algorithm", query: query, change: edited("X-Amz-Algorithm=", "x="), code: ecr.CodeIncompleteSignature, message: "Unsupported AWS 'algorithm'"},
		{name: "another region", query: query, edit: func(s *signing) { s.region = "eu-west-1" }, code: ecr.CodeInvalidSignature,
			message: "not 'eu-west-1'; this endpoint serves 'us-east-1'"},
		{name: "session token", query: query, edit: func(s *signing) { s.credentials.SessionToken = "x" }, code: ecr.CodeUnrecognizedClient, message: "The security token"},
		{name: "wrong secret", query: query, edit: func(s *signing) { s.credentials.SecretAccessKey = "x" }, code: ecr.CodeInvalidSignature, message: mismatch},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := presign(t, tt.query, tt.edit)
			if tt.change != nil {
				tt.change(r)
			}
			got, body := received(t, r)
			b.now = suiteTime.Add(tt.later)
			p, err := b.verify(got, body, region, "sts")
			if tt.code != "" {
				wantError(t, err, tt.code, tt.message)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if p.KeyID != suiteKey {
				t.Errorf("principal %+v", p)
			}
		})
	}
}

// counting counts what is read of it.
type counting struct {
	io.Reader
	n int
}

func (c *counting) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n += n
	return n, err
}

func TestReadAndVerify(t *testing.T) {
	b := newBench(t)
	payload := strings.Repeat("x", 1000)
	read := func(t *testing.T, limit int64, edit func(r *http.Request, s *signing)) (string, int, error) {
		t.Helper()

		r, body := received(t, call(t, payload, edit))
		c := &counting{Reader: bytes.NewReader(body)}
		r.Body = io.NopCloser(c)
		p, got, err := b.ReadAndVerify(r, limit, region, "ecr")
		if (err == nil) != (p.KeyID == suiteKey) {
			t.Errorf("principal %+v with %v", p, err)
		}
		return string(got), c.n, err
	}
	if got, _, err := read(t, 1000, nil); err != nil || got != payload {
		t.Errorf("at the limit: %d bytes, %v", len(got), err)
	}
	got, n, err := read(t, 999, nil)
	wantError(t, err, ecr.CodeSerialization, "longer than the limit of 999 bytes")
	if got != "" || n != 0 {
		t.Errorf("over the limit: returned %d bytes, read %d", len(got), n)
	}
	for name, edit := range map[string]func(r *http.Request, s *signing){
		"unknown key":    func(_ *http.Request, s *signing) { s.credentials.AccessKeyID = "AKIAIOSFODNN7EXAMPLE" },
		"too old":        func(_ *http.Request, s *signing) { s.at = suiteTime.Add(-time.Hour) },
		"another region": func(_ *http.Request, s *signing) { s.region = "eu-west-1" },
	} {
		t.Run(name, func(t *testing.T) {
			if got, n, err := read(t, 1000, edit); err == nil || got != "" || n != 0 {
				t.Errorf("returned %d bytes, read %d, %v", len(got), n, err)
			}
		})
	}
	if got, _, err := read(t, 1000, func(_ *http.Request, s *signing) { s.credentials.SecretAccessKey = "x" }); err == nil || got != "" {
		t.Errorf("wrong secret: returned %d bytes, %v", len(got), err)
	}
}

// Whatever the SDK signs, we verify; with one byte of the body changed, we
// refuse.
func TestSignVerify(t *testing.T) {
	b := newBench(t)
	text := rapid.StringN(0, 12, -1)
	rapid.Check(t, func(rt *rapid.T) {
		body := rapid.SliceOf(rapid.Byte()).Draw(rt, "body")
		query := url.Values(rapid.MapOfN(text, rapid.SliceOfN(text, 1, 3), 0, 3).Draw(rt, "query"))
		for name := range query {
			if strings.HasPrefix(name, "X-Amz-") {
				rt.Skip("the signature's own names")
			}
		}
		segments := rapid.SliceOfN(text.Filter(func(s string) bool { return s != "" && s != "." && s != ".." }), 0, 3).Draw(rt, "path")
		for i, s := range segments {
			segments[i] = url.PathEscape(s)
		}
		u := "http://localhost:" + strconv.Itoa(rapid.IntRange(1, 65535).Draw(rt, "port")) + "/" + strings.Join(segments, "/") + "?" + query.Encode()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, u, bytes.NewReader(body))
		if err != nil {
			rt.Fatal(err)
		}
		if err := v4.NewSigner().SignHTTP(t.Context(), suiteCredentials, r, hashOf(body), "ecr", string(region), suiteTime); err != nil {
			rt.Fatal(err)
		}
		got, sent := received(t, r)
		if _, err := b.verify(got, sent, region, "ecr"); err != nil {
			rt.Fatalf("%s: %v", u, err)
		}
		if len(sent) > 0 {
			sent[rapid.IntRange(0, len(sent)-1).Draw(rt, "at")] ^= 1
		} else {
			sent = []byte{0}
		}
		if _, err := b.verify(got, sent, region, "ecr"); ecr.CodeOf(err) != ecr.CodeInvalidSignature {
			rt.Fatalf("changed body: %v", err)
		}
	})
}

// Nothing a stranger sends verifies, or is answered with a server error.
func FuzzVerifySigV4(f *testing.F) {
	b := newBench(f)
	good := call(f, "{}", nil).Header.Get("Authorization")
	signed := presign(f, "Action=A&X-Amz-Expires=60", nil).URL.RawQuery
	f.Add(good, "20150830T123600Z", "")
	f.Add("", "", signed)
	f.Add("AWS4-HMAC-SHA256 Credential=a/20150830/us-east-1/ecr/aws4_request,SignedHeaders=host,Signature=x", "20150830T123600Z", "a=%41&&b&=c")
	f.Add("Basic QVdTOng=", "", "X-Amz-Algorithm=AWS4-HMAC-SHA256")
	f.Fuzz(func(t *testing.T, authorization, date, query string) {
		r := httptest.NewRequest(http.MethodPost, "/", nil)
		r.URL.RawQuery = query
		if authorization != "" {
			r.Header.Set("Authorization", authorization)
		}
		r.Header.Set("X-Amz-Date", date)
		p, err := b.verify(r, []byte("not what was signed"), region, "ecr")
		switch ecr.CodeOf(err) {
		case ecr.CodeIncompleteSignature, ecr.CodeInvalidSignature, ecr.CodeUnrecognizedClient:
		default:
			t.Errorf("ReadAndVerify = %+v, %v", p, err)
		}
	})
}

func BenchmarkVerifySigV4(b *testing.B) {
	bench := newBench(b)
	r, body := received(b, call(b, `{"repositoryName":"a/b"}`, nil))
	for b.Loop() {
		if _, err := bench.verify(r, body, region, "ecr"); err != nil {
			b.Fatal(err)
		}
	}
}

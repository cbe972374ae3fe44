package server_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsecr "github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/google/go-cmp/cmp"

	"github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/internal/jobs"
	"github.com/kontor-registry/kontor/internal/server"
)

func with(l server.Limits) func(*server.Config) {
	return func(c *server.Config) { c.Limits = l }
}

const (
	ociRate = `{"errors":[{"code":"TOOMANYREQUESTS","message":"Rate exceeded"}]}`
	ecrRate = `{"__type":"ThrottlingException","message":"Rate exceeded"}`
)

// refused fails unless a is that refusal, with a time to try again.
func (w *world) refused(a answer, status int, body string) {
	w.t.Helper()
	if a.status != status || strings.TrimSpace(a.body) != body || a.header.Get("Retry-After") == "" {
		w.t.Errorf("%d %q, Retry-After %q, want %d %s", a.status, a.body, a.header.Get("Retry-After"), status, body)
	}
}

func TestRateOfAPrincipal(t *testing.T) {
	w := start(t, t.TempDir(), with(server.Limits{PrincipalRate: 1, PrincipalBurst: 5}))
	w.create(here, "app")
	admin, password := w.credentials(here, administrator), w.password(here, pusher) // one of the pusher's five
	for range 4 {
		w.want(w.do(w.basic(here, password, "GET", "/v2/", "")), 200)
	}
	w.refused(w.do(w.basic(here, password, "GET", "/v2/app/tags/list", "")), 429, ociRate)
	// Another principal is not concerned, until it asks too often as well.
	for range 5 {
		w.want(w.do(w.json(here, admin, "DescribeRepositories", "{}")), 200)
	}
	w.refused(w.do(w.json(here, admin, "DescribeRepositories", "{}")), 400, ecrRate)
	a := w.do(w.query(here, admin, "Action=GetCallerIdentity&Version=2011-06-15"))
	if a.status != 400 || !strings.Contains(a.body, "<Code>Throttling</Code>") || a.header.Get("Retry-After") == "" {
		t.Errorf("STS: %d %s", a.status, a.body)
	}
	// It passes: clients wait and go on.
	w.pass(time.Second)
	w.want(w.do(w.basic(here, password, "GET", "/v2/", "")), 200)
	w.refused(w.do(w.basic(here, password, "GET", "/v2/", "")), 429, ociRate)
}

// ECR throttles each operation of an account separately (user guide, "Amazon ECR
// service quotas"), so that one is held back and the others are not.
func TestRateOfAnOperation(t *testing.T) {
	w := start(t, t.TempDir(), with(server.Limits{OperationRate: 3}))
	admin, password := w.credentials(here, administrator), w.password(here, pusher)
	for range 3 {
		w.want(w.do(w.json(here, admin, "DescribeRepositories", "{}")), 200)
	}
	w.refused(w.do(w.json(here, admin, "DescribeRepositories", "{}")), 400, ecrRate)
	w.want(w.do(w.json(here, admin, "DescribeRegistry", "{}")), 200)
	for range 5 {
		w.want(w.do(w.basic(here, password, "GET", "/v2/", "")), 200)
	}
	w.pass(time.Second)
	w.want(w.do(w.json(here, admin, "DescribeRepositories", "{}")), 200)
}

// The SDK takes both refusals for what they are: it waits and tries again, and
// its caller notices nothing.
func TestSDKWaits(t *testing.T) {
	w := start(t, t.TempDir(), with(server.Limits{OperationRate: 1, Requests: 1}), func(c *server.Config) { c.AuthNow = time.Now })
	w.create(here, "app")
	key, password := w.credentials(here, administrator), w.password(here, pusher)
	var refused atomic.Int64
	counting := roundTripper(func(r *http.Request) (*http.Response, error) {
		resp, err := http.DefaultTransport.RoundTrip(r)
		if err == nil && resp.Header.Get("Retry-After") != "" {
			refused.Add(1)
		}
		return resp, err
	})
	client := awsecr.New(awsecr.Options{
		Region: string(here.Region), BaseEndpoint: aws.String("http://" + w.hosts[here]), HTTPClient: &http.Client{Transport: counting}, RetryMaxAttempts: 20,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return key, nil }),
	})
	for range 3 {
		if _, err := client.DescribeRepositories(t.Context(), &awsecr.DescribeRepositoriesInput{}); err != nil {
			t.Fatal(err)
		}
	}
	if refused.Load() == 0 {
		t.Error("no call was throttled")
	}
	release := w.hold(password, "app")
	refused.Store(0)
	done := make(chan error, 1)
	go func() {
		_, err := client.DescribeRegistry(t.Context(), &awsecr.DescribeRegistryInput{})
		done <- err
	}()
	until(t, "the call was not refused", func() bool { return refused.Load() > 0 })
	release()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// Strangers are held back; who has credentials is not, from the same address.
func TestRateOfStrangers(t *testing.T) {
	w := start(t, t.TempDir(), with(server.Limits{SourceRate: 1, SourceBurst: 3}))
	password := w.password(here, pusher)
	for range 2 {
		w.want(w.do(w.request(here, "GET", "/v2/", "")), 401)
	}
	w.want(w.do(w.basic(here, "guess", "GET", "/v2/", "")), 401)
	w.refused(w.do(w.request(here, "GET", "/v2/", "")), 429, ociRate)
	w.refused(w.do(w.basic(here, "guess", "GET", "/v2/", "")), 429, ociRate)
	w.refused(w.do(w.request(here, "POST", "/", "{}", "X-Amz-Target", "AmazonEC2ContainerRegistry_V20150921.ListImages")), 400, ecrRate)
	w.want(w.do(w.basic(here, password, "GET", "/v2/", "")), 200)
	w.want(w.do(w.request(here, "GET", "/healthz", "")), 200)
}

// hold begins a blob upload whose body does not come, and returns when the
// server works on it; release ends it.
func (w *world) hold(password, repo string) (release func()) {
	w.t.Helper()
	body, feed := io.Pipe()
	r := w.basic(here, password, "POST", "/v2/"+repo+"/blobs/uploads/?digest="+string(ecr.DigestOf([]byte("xy"))), "")
	r.Body, r.ContentLength = body, -1
	done := make(chan answer, 1)
	w.untilAppending(func() {
		go func() {
			resp, err := http.DefaultTransport.RoundTrip(r)
			if err != nil {
				done <- answer{body: err.Error()}
				return
			}
			done <- readAnswer(w.t, resp)
		}()
		w.send(feed, "x")
	})
	return func() {
		w.t.Helper()
		w.send(feed, "y")
		if err := feed.Close(); err != nil {
			w.t.Fatal(err)
		}
		w.want(<-done, 201)
	}
}

// until tries until the answer has the status.
func (w *world) until(status int, request func() *http.Request) answer {
	w.t.Helper()
	end := time.Now().Add(time.Minute)
	for {
		a := w.do(request())
		if a.status == status {
			return a
		}
		if time.Now().After(end) {
			w.t.Fatalf("status %d %s, want %d in the end", a.status, a.body, status)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func TestRequestsAtOnce(t *testing.T) {
	w := start(t, t.TempDir(), with(server.Limits{Requests: 1}))
	w.create(here, "app")
	admin, password := w.credentials(here, administrator), w.password(here, pusher)
	release := w.hold(password, "app")
	const message = "The registry is busy: too many requests run at once. Try again."
	a := w.do(w.basic(here, password, "GET", "/v2/", ""))
	w.refused(a, 503, `{"errors":[{"code":"UNAVAILABLE","message":"`+message+`"}]}`)
	w.refused(w.do(w.json(here, admin, "DescribeRepositories", "{}")), 503, `{"__type":"ServiceUnavailableException","message":"`+message+`"}`)
	w.want(w.do(w.request(here, "GET", "/healthz", "")), 200)
	release()
	w.until(200, func() *http.Request { return w.basic(here, password, "GET", "/v2/", "") })
}

func TestUploadsAtOnce(t *testing.T) {
	w := start(t, t.TempDir(), with(server.Limits{Uploads: 1}))
	w.create(here, "app")
	password := w.password(here, pusher)
	release := w.hold(password, "app")
	upload := func() *http.Request {
		return w.basic(here, password, "POST", "/v2/app/blobs/uploads/?digest="+string(ecr.DigestOf([]byte("z"))), "z")
	}
	w.refused(w.do(upload()), 503, `{"errors":[{"code":"UNAVAILABLE","message":"The registry is busy: too many uploads run at once. Try again."}]}`)
	w.want(w.do(w.basic(here, password, "GET", "/v2/", "")), 200)
	release()
	w.until(201, upload)
}

func TestOpenUploads(t *testing.T) {
	w := start(t, t.TempDir(), with(server.Limits{OpenUploads: 2}))
	w.create(here, "app")
	admin, password := w.credentials(here, administrator), w.password(here, pusher)
	begin := func() *http.Request { return w.basic(here, password, "POST", "/v2/app/blobs/uploads/", "") }
	first := w.want(w.do(begin()), 202)
	w.want(w.do(begin()), 202)
	w.refused(w.do(begin()), 429, ociRate)
	w.refused(w.do(w.json(here, admin, "InitiateLayerUpload", `{"repositoryName":"app"}`)), 400, ecrRate)
	w.want(w.do(w.basic(here, password, "DELETE", first.header.Get("Location"), "")), 204)
	w.until(202, begin)
}

func TestLargestBlob(t *testing.T) {
	w := start(t, t.TempDir(), with(server.Limits{BlobBytes: 10}))
	w.create(here, "app")
	password := w.password(here, pusher)
	push := func(content string) answer {
		return w.do(w.basic(here, password, "POST", "/v2/app/blobs/uploads/?digest="+string(ecr.DigestOf([]byte(content))), content))
	}
	w.want(push("0123456789"), 201)
	a := w.want(push("0123456789a"), 403)
	if want := `{"errors":[{"code":"DENIED","message":"The layer is larger than the limit of 10 bytes"}]}`; strings.TrimSpace(a.body) != want {
		t.Errorf("%s, want %s", a.body, want)
	}
	// In parts as well, and nothing is left.
	first := w.want(w.do(w.basic(here, password, "POST", "/v2/app/blobs/uploads/", "")), 202).header.Get("Location")
	w.want(w.do(w.basic(here, password, "PATCH", first, "012345")), 202)
	w.want(w.do(w.basic(here, password, "PATCH", first, "67890")), 403)
	w.want(w.do(w.basic(here, password, "GET", first, "")), 404)
}

// Large bodies are read into memory only while there is room for them.
func TestBodiesInMemory(t *testing.T) {
	w := start(t, t.TempDir(), with(server.Limits{BodyBytes: 100_000}))
	w.create(here, "app")
	admin, password := w.credentials(here, administrator), w.password(here, pusher)
	large := strings.Repeat(" ", 150_000)
	const busy = "The registry is busy: too many large requests are being read at once. Try again."
	w.refused(w.do(w.basic(here, password, "PUT", "/v2/app/manifests/v1", large)), 503, `{"errors":[{"code":"UNAVAILABLE","message":"`+busy+`"}]}`)
	w.refused(w.do(w.json(here, admin, "ListImages", large)), 503, `{"__type":"ServiceUnavailableException","message":"`+busy+`"}`)
	// One that fits gives its room back.
	for range 3 {
		w.want(w.do(w.json(here, admin, "DescribeRepositories", "{"+strings.Repeat(" ", 80_000)+"}")), 200)
	}
}

// openConnections counts connections.
type openConnections struct{ n atomic.Int64 }

func (o *openConnections) Request(server.Observation)      {}
func (o *openConnections) Connection(delta int)            { o.n.Add(int64(delta)) }
func (o *openConnections) Job(string, jobs.Removed, error) {}
func (o *openConnections) Pending(int64, int)              {}

func TestConnections(t *testing.T) {
	count := &openConnections{}
	w := start(t, t.TempDir(), with(server.Limits{Connections: 3}), func(c *server.Config) { c.Observer = count })
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	var open []net.Conn
	for range 3 {
		c, err := net.Dial("tcp", w.hosts[here])
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, c)
	}
	until(t, "the server does not have three connections", func() bool { return count.n.Load() == 3 })
	flood, err := net.Dial("tcp", w.hosts[elsewhere])
	if err != nil {
		t.Fatal(err)
	}
	if err := flood.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if n, err := flood.Read(make([]byte, 1)); n != 0 || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the fourth connection: %d, %v, want it closed", n, err)
	}
	for _, c := range append(open, flood) {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
	until(t, "the server still has connections", func() bool { return count.n.Load() == 0 })
	w.want(w.do(w.request(here, "GET", "/healthz", "")), 200)
}

// A client that stops sending is answered or cut off, and what it sent is kept.
func TestStalledUpload(t *testing.T) {
	w := start(t, t.TempDir(), with(server.Limits{StallTime: 2 * time.Second}))
	w.create(here, "app")
	password := w.password(here, pusher)
	location := w.want(w.do(w.basic(here, password, "POST", "/v2/app/blobs/uploads/", "")), 202).header.Get("Location")
	body, feed := io.Pipe()
	r := w.basic(here, password, "PATCH", location, "")
	r.Body, r.ContentLength = body, 1<<20
	go func() { _, _ = io.WriteString(feed, "the beginning") }()
	began := time.Now()
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err == nil {
		if a := readAnswer(t, resp); a.status < 400 {
			t.Errorf("answered %d %s", a.status, a.body)
		}
	}
	if took := time.Since(began); took > time.Minute || took < time.Second {
		t.Errorf("it took %v", took)
	}
	a := w.until(204, func() *http.Request { return w.basic(here, password, "GET", location, "") })
	if got := a.header.Get("Range"); got != "0-12" {
		t.Errorf("the upload has %s, want 0-12", got)
	}
	// One that is slow but goes on takes as long as it needs.
	var slow bytes.Buffer
	slow.Write(bytes.Repeat([]byte("x"), 8*(64<<10)))
	r = w.basic(here, password, "PATCH", location, "")
	r.Body, r.ContentLength = io.NopCloser(&paced{r: &slow, step: 64 << 10, pause: 300 * time.Millisecond}), int64(slow.Len())
	resp, err = http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	w.want(readAnswer(t, resp), 202)
}

// paced reads step bytes at a time, with pauses.
type paced struct {
	r     io.Reader
	step  int
	pause time.Duration
}

func (p *paced) Read(b []byte) (int, error) {
	time.Sleep(p.pause)
	return io.ReadFull(p.r, b[:min(len(b), p.step)])
}

// A client that takes nothing of its answer is cut off.
func TestStalledDownload(t *testing.T) {
	w := start(t, t.TempDir(), with(server.Limits{StallTime: 2 * time.Second}))
	w.create(here, "app")
	password := w.password(here, pusher)
	_, layer := w.push(here, password, "app", "v1", strings.Repeat("0123456789abcdef", 2<<20)) // beyond what sockets hold
	r := w.basic(here, password, "GET", "/v2/app/blobs/"+string(layer), "")
	resp, err := (&http.Transport{ReadBufferSize: 4096}).RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	id := resp.Header.Get("X-Amzn-Requestid")
	deadline := time.Now().Add(time.Minute)
	for !strings.Contains(w.log.String(), id) {
		if time.Now().After(deadline) {
			t.Fatal("the request goes on")
		}
		time.Sleep(20 * time.Millisecond)
	}
	if n, err := io.Copy(io.Discard, resp.Body); err == nil || n >= 32<<20 {
		t.Errorf("the answer came whole: %d bytes, %v", n, err)
	}
	if err := resp.Body.Close(); err != nil {
		t.Error(err)
	}
}

func TestSetLimits(t *testing.T) {
	var got server.Limits
	for _, s := range []string{"requests=100", "connections=none", "blob-bytes=10GiB", "body-bytes=4096", "stall-time=30s", "idle-time=none"} {
		t.Run(s, func(t *testing.T) {
			name, value, _ := strings.Cut(s, "=")
			if err := got.Set(name, value); err != nil {
				t.Error(err)
			}
		})
	}
	want := server.Limits{Requests: 100, Connections: -1, BlobBytes: 10 << 30, BodyBytes: 4096, StallTime: 30 * time.Second, IdleTime: -1}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	for _, s := range []string{"request=1", "requests=0", "requests=-1", "requests=1KiB", "requests=", "blob-bytes=9999999999TiB", "blob-bytes=1.5GiB", "stall-time=30", "stall-time=0s", "stall-time=-1s"} {
		t.Run(s, func(t *testing.T) {
			name, value, _ := strings.Cut(s, "=")
			if err := got.Set(name, value); err == nil {
				t.Errorf("%s is taken", s)
			} else if !strings.Contains(err.Error(), name) {
				t.Errorf("%v does not name it", err)
			}
		})
	}
}

// holdBody begins a request with a body of so many bytes, and returns once the server
// waits for it.
func (w *world) holdBody(password, method, path string, size int) net.Conn {
	w.t.Helper()
	conn := w.dial()
	_, err := fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\nExpect: 100-continue\r\nAuthorization: %s\r\n\r\n",
		method, path, size, basicHeader("AWS", password))
	answer := make([]byte, len("HTTP/1.1 100 Continue\r\n\r\n"))
	if err == nil {
		_, err = io.ReadFull(conn, answer)
	}
	if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 100 ") {
		w.t.Fatalf("%q, %v", answer, err)
	}
	return conn
}

// What is read for an answer is counted with the bodies of requests, and given
// back when the request is over. One user has three quarters of it.
func TestAnswersInMemory(t *testing.T) {
	dir := t.TempDir()
	w := start(t, dir)
	w.create(here, "app")
	password := w.password(here, pusher)
	body := `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[],"annotations":{"a":"` + strings.Repeat("x", 1<<20) + `"}}`
	put := w.want(w.do(w.basic(here, password, "PUT", "/v2/app/manifests/v1", body, "Content-Type", "application/vnd.oci.image.index.v1+json")), 201)
	digest := put.header.Get("Docker-Content-Digest")
	if err := w.stop(); err != nil {
		t.Fatal(err)
	}
	w = start(t, dir, with(server.Limits{BodyBytes: 6 << 20}))
	password = w.password(here, pusher)
	c := w.credentials(here, pusher)
	get := func(ids ...string) answer {
		return w.do(w.json(here, c, "BatchGetImage", `{"repositoryName": "app", "imageIds": [`+strings.Join(ids, ",")+`]}`))
	}
	id := `{"imageDigest": "` + digest + `"}`
	for range 3 { // 3 MiB each, which are given back
		w.want(get(id), 200)
		w.want(w.do(w.basic(here, password, "GET", "/v2/app/manifests/v1", "")), 200)
	}
	if a := w.want(get(id, id, id), 400); !strings.Contains(a.body, "LimitExceededException") {
		t.Errorf("more than there is: %s", a.body)
	}
	// While another request of the user holds what it needs, it is told to come
	// again; others are served.
	conn := w.holdBody(password, "PUT", "/v2/app/manifests/v2", 4<<20-1)
	w.want(w.do(w.basic(here, password, "GET", "/v2/app/manifests/v1", "")), 503)
	if a := w.want(get(id), 503); a.header.Get("Retry-After") == "" || !strings.Contains(a.body, "too many large answers") {
		t.Errorf("%v %s", a.header, a.body)
	}
	w.want(w.do(w.basic(here, w.password(here, administrator), "GET", "/v2/app/manifests/v1", "")), 200)
	if err := conn.Close(); err != nil {
		t.Error(err)
	}
	w.until(200, func() *http.Request { return w.basic(here, password, "GET", "/v2/app/manifests/v1", "") })
}

// One user has three quarters of a limit; the rest is for the others.
func TestShares(t *testing.T) {
	t.Run("open uploads", func(t *testing.T) {
		w := start(t, t.TempDir(), with(server.Limits{OpenUploads: 4}))
		w.create(here, "app")
		begin := func(password string) answer {
			return w.do(w.basic(here, password, "POST", "/v2/app/blobs/uploads/", ""))
		}
		one, other := w.password(here, pusher), w.password(here, administrator)
		for range 3 {
			w.want(begin(one), 202)
		}
		w.refused(begin(one), 429, ociRate)
		w.want(begin(other), 202)
		w.refused(begin(other), 429, ociRate) // there are four
	})
	t.Run("connections", func(t *testing.T) {
		for _, proxies := range [][]netip.Prefix{nil, {netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}} {
			t.Run(fmt.Sprint("proxies ", len(proxies)), func(t *testing.T) {
				count := &openConnections{}
				w := start(t, t.TempDir(), with(server.Limits{Connections: 8}), func(c *server.Config) { c.TrustedProxies, c.Observer = proxies, count })
				one, other := w.password(here, pusher), w.password(here, administrator)
				// A connection becomes idle a moment after its answer was read.
				until(t, "the server still has connections", func() bool {
					http.DefaultTransport.(*http.Transport).CloseIdleConnections()
					return count.n.Load() == 0
				})
				// Each client has one connection, and keeps it.
				client := func() func(password string) answer {
					keep := &http.Transport{MaxConnsPerHost: 1}
					t.Cleanup(keep.CloseIdleConnections)
					return func(password string) answer {
						resp, err := keep.RoundTrip(w.basic(here, password, "GET", "/v2/", ""))
						if err != nil {
							t.Fatal(err)
						}
						return readAnswer(t, resp)
					}
				}
				var kept []func(string) answer
				for range 6 {
					c := client()
					w.want(c(one), 200)
					w.want(c(one), 200)
					kept = append(kept, c)
				}
				next := client()
				if proxies != nil {
					w.want(next(one), 200)
					return
				}
				if a := w.want(next(one), 503); a.header.Get("Retry-After") != "1" || !strings.Contains(a.body, "one user has its whole share of the limit connections") {
					t.Errorf("%v %s", a.header, a.body)
				}
				w.want(next(other), 200)
				w.want(kept[0](one), 200)
				// One that serves another, or is closed, is the user's no more.
				w.want(kept[0](other), 200)
				w.want(client()(one), 200)
			})
		}
	})
	for name, limits := range map[string]server.Limits{"requests": {Requests: 4}, "uploads": {Uploads: 4}} {
		t.Run(name, func(t *testing.T) {
			w := start(t, t.TempDir(), with(limits))
			w.create(here, "app")
			one, other := w.password(here, pusher), w.password(here, administrator)
			begin := func() string {
				return w.want(w.do(w.basic(here, one, "POST", "/v2/app/blobs/uploads/", "")), 202).header.Get("Location")
			}
			last := begin()
			var held []net.Conn
			for range 3 {
				held = append(held, w.holdBody(one, "PATCH", begin(), 10))
			}
			again := func(password string) answer { return w.do(w.basic(here, password, "PATCH", last, "0123456789")) }
			if a := w.want(again(one), 503); a.header.Get("Retry-After") != "1" || !strings.Contains(a.body, "one user has its whole share of the limit "+name) {
				t.Errorf("%v %s", a.header, a.body)
			}
			w.want(again(other), 202)
			for _, conn := range held {
				if err := conn.Close(); err != nil {
					t.Error(err)
				}
			}
			w.until(202, func() *http.Request { return w.basic(here, one, "PATCH", last, "0123456789") })
		})
	}
}

// The limits also apply to routes that belong to no protocol.
func TestLimitsOfOtherRoutes(t *testing.T) {
	w := start(t, t.TempDir(), with(server.Limits{SourceRate: 1, SourceBurst: 3}))
	for _, path := range []string{"/layer-downloads?ticket=AAAA", "/nothing", "/readyz"} {
		t.Run(path, func(t *testing.T) {
			w.within(t)
			w.pass(time.Minute)
			for range 3 {
				if a := w.do(w.request(here, "GET", path, "")); a.status == 429 {
					t.Errorf("%d at once", a.status)
				}
			}
			if a := w.want(w.do(w.request(here, "GET", path, "")), 429); a.header.Get("Retry-After") == "" {
				t.Error(a.header)
			}
			w.want(w.do(w.request(here, "GET", "/healthz", "")), 200)
		})
	}

	w = start(t, t.TempDir(), with(server.Limits{Requests: 1}))
	w.create(here, "app")
	conn := w.holdBody(w.password(here, pusher), "PUT", "/v2/app/manifests/v1", 10)
	for _, path := range []string{"/layer-downloads?ticket=AAAA", "/nothing"} {
		t.Run("all taken: "+path, func(t *testing.T) {
			w.within(t)
			if a := w.want(w.do(w.request(here, "GET", path, "")), 503); a.header.Get("Retry-After") == "" {
				t.Errorf("%s: %v", path, a.header)
			}
		})
	}
	w.want(w.do(w.request(here, "GET", "/readyz", "")), 200)
	if err := conn.Close(); err != nil {
		t.Error(err)
	}
}

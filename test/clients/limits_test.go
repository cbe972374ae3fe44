package clients

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ecr"

	kecr "github.com/kontor-registry/kontor/internal/ecr"
	"github.com/kontor-registry/kontor/test/dockerd"
)

// Few calls deploy it, so that it is deployed under any limit.
const smallFile = "stack: limits\necr_repositories:\n  test: {is_immutable: false}\n"

// upLimited is up with limits, and a request log.
func upLimited(t *testing.T, limits ...string) *kontor {
	t.Helper()
	args := []string{"--log", filepath.Join(t.TempDir(), "log")}
	for _, l := range limits {
		args = append(args, "--limit", l)
	}
	k := upWith(t, ecrMode, smallFile, args...)
	k.log = args[1]
	return k
}

// logged is a line of the request log.
type logged struct {
	Time         time.Time // when the request was answered
	Method, Path string
	Status       int
	Agent        string
}

// requests are those in the log of clients whose name begins with agent.
func (k *kontor) requests(agent string) []logged {
	k.t.Helper()
	b, err := os.ReadFile(k.log)
	if err != nil {
		k.t.Fatal(err)
	}
	var all []logged
	for line := range bytes.Lines(b) {
		if !bytes.HasSuffix(line, []byte("\n")) {
			break // it is being written
		}
		var l logged
		if err := json.Unmarshal(line, &l); err != nil {
			k.t.Fatalf("%v\n%s", err, line)
		}
		if strings.HasPrefix(l.Agent, agent) {
			all = append(all, l)
		}
	}
	return all
}

// A client that pulls or pushes, and how it calls itself.
type limitedClient struct {
	name, agent string
	command     func(k *kontor, to string) []string
	// obeys: waits as long as Retry-After says. Others wait as long as they
	// think right.
	obeys bool
}

// Each pulls test:v1 into an image layout.
var pullers = []limitedClient{
	{"skopeo", "skopeo/", func(k *kontor, to string) []string {
		return []string{skopeoBin, "copy", "--preserve-digests", "--src-tls-verify=false", "docker://" + k.host + "/test:v1", "oci:" + to + ":v1"}
	}, true},
	{"oras", "oras/", func(k *kontor, to string) []string {
		return []string{orasBin, "cp", "--no-tty", "--to-oci-layout", k.host + "/test:v1", to + ":v1"}
	}, true},
	{"regctl", "regclient/", func(k *kontor, to string) []string {
		return k.regctl("image", "copy", k.host+"/test:v1", "ocidir://"+to+":v1")
	}, true},
	{"crane", "crane/", func(k *kontor, to string) []string {
		return []string{craneBin, "pull", "--insecure", "--format", "oci", k.host + "/test:v1", to}
	}, false},
}

// Clients that are told 429 wait as long as they are told, and get through.
func TestRetryAfter(t *testing.T) {
	for _, c := range pullers {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			k := upLimited(t, "principal-rate=1", "principal-burst=60")
			k.ok(skopeoBin, "copy", "--preserve-digests", "--dest-tls-verify=false", "oci:"+k.otherImage(), "docker://"+k.host+"/test:v1")
			k.exhaust(k.pusherPassword())
			k.untilRefused(c, func(int) {
				to := filepath.Join(t.TempDir(), "pulled")
				args := c.command(k, to)
				k.ok(args[0], args[1:]...)
				samePulled(t, strings.TrimSuffix(k.otherImage(), ":other"), to)
			})
		})
	}
	// regctl repeats what it pushes, too.
	t.Run("regctl pushes", func(t *testing.T) {
		t.Parallel()
		k := upLimited(t, "principal-rate=1", "principal-burst=60")
		k.exhaust(k.pusherPassword())
		k.untilRefused(limitedClient{name: "regctl", agent: "regclient/"}, func(n int) {
			args := k.regctl("image", "copy", "ocidir://"+k.otherImage(), fmt.Sprintf("%s/test:push%d", k.host, n))
			k.ok(args[0], args[1:]...)
		})
		k.ok(craneBin, "tag", "--insecure", k.host+"/test:push0", "v1")
		to := filepath.Join(t.TempDir(), "pulled")
		pull := pullers[0].command(k, to)
		k.ok(pull[0], pull[1:]...)
		samePulled(t, strings.TrimSuffix(k.otherImage(), ":other"), to)
	})
}

// exhaust uses up all requests that a password's principal may send at a
// stroke.
func (k *kontor) exhaust(password string) {
	k.t.Helper()
	for range 10_000 {
		got := k.do(http.MethodGet, "/v2/", password, nil, "")
		switch got.status {
		case http.StatusOK:
		case http.StatusTooManyRequests:
			if got.header.Get("Retry-After") != "1" || !strings.Contains(string(got.body), `"TOOMANYREQUESTS"`) {
				k.t.Fatalf("429 with Retry-After %q: %s", got.header.Get("Retry-After"), got.body)
			}
			return
		default:
			k.t.Fatalf("GET /v2/: %d: %s", got.status, got.body)
		}
	}
	k.t.Fatal("10,000 requests, and none is too many")
}

// untilRefused runs a client again and again, until the log says that it was
// refused: the first time, unless a machine takes seconds to start it. What
// was refused came again, and not before its time. That is no matter of how
// fast anything is: a refusal is logged before it is sent, and the next
// request after it came.
func (k *kontor) untilRefused(c limitedClient, run func(n int)) {
	k.t.Helper()
	for n := range 20 {
		run(n)
		if k.refusals(c) > 0 {
			return
		}
	}
	k.t.Errorf("%s was never refused: %+v", c.name, k.requests(c.agent))
}

func (k *kontor) refusals(c limitedClient) (refused int) {
	k.t.Helper()
	all := k.requests(c.agent)
	for i, l := range all {
		if l.Status != http.StatusTooManyRequests {
			continue
		}
		refused++
		again := false
		for _, next := range all[i+1:] {
			if next.Method != l.Method || next.Path != l.Path {
				continue
			}
			again = true
			if waited := next.Time.Sub(l.Time); c.obeys && waited < time.Second {
				k.t.Errorf("%s waited %s and not a second before it tried %s %s again", c.name, waited, l.Method, l.Path)
			}
			break
		}
		if !again {
			k.t.Errorf("%s did not try %s %s again", c.name, l.Method, l.Path)
		}
	}
	return refused
}

// samePulled compares every blob of an image layout with the one that was
// pushed.
func samePulled(t *testing.T, want, dir string) {
	t.Helper()
	digests, err := filepath.Glob(filepath.Join(want, "blobs", "sha256", "*"))
	if err != nil || len(digests) == 0 {
		t.Fatalf("%s has no blobs: %v", want, err)
	}
	for _, path := range digests {
		digest := "sha256:" + filepath.Base(path)
		if !bytes.Equal(blobOf(t, dir, digest), blobOf(t, want, digest)) {
			t.Errorf("%s came back changed", digest)
		}
	}
}

// The SDK takes ECR's throttling for what it is.
func TestThrottledSDK(t *testing.T) {
	t.Parallel()
	k := upLimited(t, "principal-rate=1", "principal-burst=60")
	client := ecr.New(ecr.Options{
		Region:       k.env["AWS_REGION"],
		BaseEndpoint: aws.String(k.env["AWS_ENDPOINT_URL"]),
		Credentials:  credentials.NewStaticCredentialsProvider(k.env["AWS_ACCESS_KEY_ID"], k.env["AWS_SECRET_ACCESS_KEY"], ""),
		// It waits for its own time, at random: so it may try often.
		Retryer: retry.NewStandard(func(o *retry.StandardOptions) { o.MaxAttempts, o.RateLimiter = 100, ratelimit.None }),
	})
	k.exhaust(k.adminPassword())
	const agent = "aws-sdk-go-v2/"
	earlier := len(k.requests(agent)) // of the deployment
	for range 100 {
		if _, err := client.DescribeRepositories(t.Context(), &ecr.DescribeRepositoriesInput{}); err != nil {
			t.Fatal(err)
		}
		for _, l := range k.requests(agent)[earlier:] {
			if l.Status == http.StatusBadRequest {
				return
			}
		}
	}
	t.Error("100 calls in a row were not throttled")
}

// Clients that are told 503, because the server has its hands full, come again
// and get through.
func TestBusyServer(t *testing.T) {
	clients := []limitedClient{pullers[1], pullers[3]}
	clients[0].name, clients[1].name = "oras pulls", "crane pulls"
	clients = append(clients, limitedClient{"crane pushes", "crane/", func(k *kontor, to string) []string {
		return []string{craneBin, "push", "--insecure", strings.TrimSuffix(k.otherImage(), ":other"), k.host + "/test:v2"}
	}, false})
	for _, c := range clients {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			k := upLimited(t, "requests=4")
			k.ok(skopeoBin, "copy", "--preserve-digests", "--dest-tls-verify=false", "oci:"+k.otherImage(), "docker://"+k.host+"/test:v1")
			// One user may take three of the four.
			releases := []func(){k.occupy(3, k.pusherPassword()), k.occupy(1, k.adminPassword())}
			args := c.command(k, filepath.Join(t.TempDir(), "pulled"))
			done := make(chan error, 1)
			go func() {
				stdout, stderr, err := k.run(args[0], args[1:]...)
				if err != nil {
					err = errors.Join(err, errors.New(string(stdout)+string(stderr)))
				}
				done <- err
			}()
			refused := func() bool {
				for _, l := range k.requests(c.agent) {
					if l.Status == http.StatusServiceUnavailable {
						return true
					}
				}
				return false
			}
			for !refused() {
				select {
				case err := <-done:
					t.Fatalf("%s ended, and was not refused: %v", c.name, err)
				case <-time.After(5 * time.Millisecond):
				}
			}
			for _, release := range releases {
				release()
			}
			if err := <-done; err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
		})
	}
}

// A real docker daemon gets through, too: it repeats the layers that it was
// refused while the server was busy.
func TestBusyServerOfDocker(t *testing.T) {
	image := func(d *docker) (tag, id string) {
		tag = d.host + "/test:busy"
		d.builds(builders[0], tag, "scratch", []byte("hello\n"))
		return tag, d.run("image", "inspect", "--format", "{{.Id}}", tag)
	}
	login := func(d *docker, host string) {
		t.Helper()
		if out, err := d.login(host, d.pusherPassword()); err != nil {
			d.t.Fatalf("docker login: %v\n%s", err, out)
		}
	}
	refused := func(k *kontor) bool {
		return slices.ContainsFunc(k.requests("docker/"), func(l logged) bool { return l.Status == http.StatusServiceUnavailable })
	}
	t.Run("pushes", func(t *testing.T) {
		t.Parallel()
		k := upLimited(t, "uploads=1")
		d := k.docker()
		login(d, k.host)
		tag, id := image(d)
		release := k.occupy(1, k.adminPassword())
		done := make(chan error, 1)
		go func() {
			stdout, stderr, err := k.run(dockerd.Docker, "push", tag)
			if err != nil {
				err = errors.Join(err, errors.New(string(stdout)+string(stderr)))
			}
			done <- err
		}()
		for !refused(k) {
			select {
			case err := <-done:
				t.Fatalf("docker push ended, and was not refused: %v", err)
			case <-time.After(5 * time.Millisecond):
			}
		}
		release()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		d.forget(tag)
		d.pulls(tag, id)
	})
	// docker does not repeat what is answered 429; its next push goes on.
	t.Run("pushes beyond a rate", func(t *testing.T) {
		t.Parallel()
		k := upLimited(t, "open-uploads=4")
		d := k.docker()
		login(d, k.host)
		tag, id := image(d)
		admin, pusher := k.open(3, k.adminPassword()), k.open(1, k.pusherPassword()) // one user has three quarters
		d.refuses("toomanyrequests: Rate exceeded", "push", tag)
		admin()
		pusher()
		for end := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) { // open uploads are counted once a second
			_, stderr, err := k.run(dockerd.Docker, "push", tag)
			if err == nil {
				break
			}
			if !strings.Contains(string(stderr), "toomanyrequests") || time.Now().After(end) {
				t.Fatalf("docker push: %v\n%s", err, stderr)
			}
		}
		d.forget(tag)
		d.pulls(tag, id)
	})
	t.Run("pulls", func(t *testing.T) {
		t.Parallel()
		k := upLimited(t, "requests=4")
		d := k.docker()
		login(d, k.host)
		tag, id := image(d)
		d.run("push", tag)
		d.forget(tag)
		// When docker has the config, and asks for the layer, the server is busy.
		server, err := url.Parse("http://" + k.host)
		if err != nil {
			t.Fatal(err)
		}
		var once sync.Once
		proxy := httputil.NewSingleHostReverseProxy(server)
		config := strings.TrimPrefix(id, "sha256:")
		near := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/blobs/") && !strings.HasSuffix(r.URL.Path, config) {
				once.Do(func() {
					releases := []func(){k.occupy(3, k.pusherPassword()), k.occupy(1, k.adminPassword())}
					proxy.ServeHTTP(w, r)
					for _, release := range releases {
						release()
					}
					r = nil
				})
				if r == nil {
					return
				}
			}
			proxy.ServeHTTP(w, r)
		}))
		defer near.Close()
		at := strings.TrimPrefix(near.URL, "http://")
		login(d, at)
		d.pulls(at+"/test:busy", id)
		if !refused(k) {
			t.Errorf("docker pull was not refused: %+v", k.requests("docker/"))
		}
	})
}

// open begins n uploads, which release cancels.
func (k *kontor) open(n int, password string) (release func()) {
	k.t.Helper()
	var uploads []string
	for range n {
		a := k.do(http.MethodPost, "/v2/test/blobs/uploads/", password, nil, "")
		if a.status != http.StatusAccepted {
			k.t.Fatalf("beginning an upload: %d %s", a.status, a.body)
		}
		uploads = append(uploads, a.header.Get("Location"))
	}
	return func() {
		k.t.Helper()
		for _, u := range uploads {
			if a := k.do(http.MethodDelete, u, password, nil, ""); a.status != http.StatusNoContent {
				k.t.Errorf("cancelling an upload: %d %s", a.status, a.body)
			}
		}
	}
}

// occupy has the server wait for the rest of n uploads, until release is
// called.
func (k *kontor) occupy(n int, password string) (release func()) {
	k.t.Helper()
	// The server asks for a body when it has let the request in, and only then
	// is there someone at the other end of the pipe.
	client := &http.Client{Transport: &http.Transport{ExpectContinueTimeout: time.Hour}}
	var ends []*io.PipeWriter
	over := make(chan error, n)
	for range n {
		r, w := io.Pipe()
		ends = append(ends, w)
		req, err := http.NewRequestWithContext(k.t.Context(), http.MethodPost, k.env["AWS_ENDPOINT_URL"]+"/v2/test/blobs/uploads/?digest="+string(kecr.DigestOf([]byte("slow"))), r)
		if err != nil {
			k.t.Fatal(err)
		}
		req.SetBasicAuth("AWS", password)
		req.Header.Set("Content-Type", "application/octet-stream")
		req.Header.Set("Expect", "100-continue")
		go func() {
			resp, err := client.Do(req)
			if err == nil {
				if resp.StatusCode != http.StatusCreated {
					err = errors.New(resp.Status)
				}
				err = errors.Join(err, resp.Body.Close())
			}
			over <- err
		}()
		if _, err := io.WriteString(w, "sl"); err != nil {
			k.t.Fatalf("an upload that is to be slow: %v, %v", err, <-over)
		}
	}
	return func() {
		k.t.Helper()
		for _, w := range ends {
			_, err := io.WriteString(w, "ow")
			if err := errors.Join(err, w.Close()); err != nil {
				k.t.Errorf("ending an upload: %v", err)
			}
		}
		for range ends {
			if err := <-over; err != nil {
				k.t.Errorf("an upload that was slow: %v", err)
			}
		}
		client.CloseIdleConnections()
	}
}

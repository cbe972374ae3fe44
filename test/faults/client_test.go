package faults

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	kecr "github.com/kontor-registry/kontor/internal/ecr"
)

const manifestType = "application/vnd.oci.image.manifest.v1+json"

// requestTime is how long a client waits for an answer. A server that was stopped gives
// none.
const requestTime = 5 * time.Second

// answer is what came of one request.
type answer struct {
	status   int
	body     []byte
	location string
	digest   string
	// err is set where no whole answer came; sent says whether the request may have
	// reached a server all the same.
	err  error
	sent bool
}

// failed: what came of it is not known, for whatever reason.
func (a answer) failed() bool {
	return a.err != nil || a.status >= 500 || a.status == http.StatusTooManyRequests
}

// client is one that pushes and pulls as docker does, each request at any of the
// servers.
type client struct {
	number int
	w      *world
	rand   *rand.Rand
	http   *http.Client
	// patience is how long it tries one request again and again.
	patience time.Duration
}

func newClient(w *world, number int, seed uint64) *client {
	return &client{number: number, w: w, patience: w.patience, rand: rand.New(rand.NewPCG(seed, uint64(number))), http: &http.Client{
		Transport:     &http.Transport{MaxIdleConnsPerHost: 2, IdleConnTimeout: 5 * time.Second},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// do sends one request to the server at.
func (c *client) do(at *node, method, path string, body []byte, mediaType string) answer {
	ctx, cancel := context.WithTimeout(context.Background(), requestTime)
	defer cancel()
	base := at.address()
	r, err := http.NewRequestWithContext(ctx, method, base+path, bytes.NewReader(body))
	if err != nil {
		return answer{err: err}
	}
	// It is never sent twice without us knowing.
	r.GetBody = nil
	r.SetBasicAuth("AWS", c.w.password)
	if mediaType != "" {
		r.Header.Set("Content-Type", mediaType)
		r.Header.Set("Accept", mediaType)
	}
	resp, err := c.http.Do(r)
	if err != nil {
		var op *net.OpError
		refused := errors.Is(err, syscall.ECONNREFUSED) || errors.As(err, &op) && op.Op == "dial"
		return answer{err: err, sent: !refused}
	}
	b, err := io.ReadAll(resp.Body)
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		return answer{err: err, sent: true}
	}
	a := answer{status: resp.StatusCode, body: b, digest: resp.Header.Get("Docker-Content-Digest"), sent: true}
	if l := resp.Header.Get("Location"); l != "" {
		u, err := r.URL.Parse(l)
		if err != nil {
			return answer{err: err, sent: true}
		}
		a.location = u.RequestURI()
	}
	if !a.failed() {
		c.w.report.served()
	}
	return a
}

// any is one of the servers, as a load balancer chooses: one that was ready when it was
// asked last, if there is any.
func (c *client) any() *node {
	for _, i := range c.rand.Perm(len(c.w.nodes)) {
		if n := c.w.nodes[i]; n.wasReady.Load() {
			return n
		}
	}
	return c.w.nodes[c.rand.IntN(len(c.w.nodes))]
}

// errSilent: the registry did not answer as it should for too long.
var errSilent = errors.New("no success")

// errGone: the registry does not have what it acknowledged.
var errGone = errors.New("acknowledged, and not there")

// patience is that of clients, unless a world says otherwise.
const patience = 5 * time.Minute

// persist sends a request that may be repeated until there is an answer.
func (c *client) persist(ctx context.Context, method, path string, body []byte, mediaType string) (answer, error) {
	var a answer
	for deadline := time.Now().Add(c.patience); ctx.Err() == nil && time.Now().Before(deadline); c.pause() {
		if a = c.do(c.any(), method, path, body, mediaType); !a.failed() {
			return a, nil
		}
	}
	return a, fmt.Errorf("%s %s: no answer for %s: status %d, %.200s, %w", method, path, c.patience, a.status, a.body, errors.Join(a.err, errSilent))
}

func (c *client) pause() { time.Sleep(time.Duration(20+c.rand.IntN(200)) * time.Millisecond) }

// upload uploads a blob, as docker does: it asks whether it is there, begins, sends,
// and completes. What was interrupted it begins again.
func (c *client) upload(ctx context.Context, repo string, content []byte) error {
	digest := string(kecr.DigestOf(content))
	for deadline := time.Now().Add(c.patience); ctx.Err() == nil && time.Now().Before(deadline); c.pause() {
		if a := c.do(c.any(), http.MethodHead, "/v2/"+repo+"/blobs/"+digest, nil, ""); a.err == nil && a.status == http.StatusOK {
			return nil
		}
		a := c.do(c.any(), http.MethodPost, "/v2/"+repo+"/blobs/uploads/", nil, "")
		if a.failed() {
			continue
		}
		if a.status != http.StatusAccepted {
			return fmt.Errorf("POST of an upload: status %d: %s", a.status, a.body)
		}
		at, ok := a.location, true
		for part := range chunks(content, c.rand) {
			if a = c.do(c.any(), http.MethodPatch, at, part, "application/octet-stream"); a.failed() || a.status != http.StatusAccepted {
				ok = false
				break
			}
			at = a.location
		}
		if !ok {
			if !a.failed() && a.status != http.StatusNotFound && a.status != http.StatusRequestedRangeNotSatisfiable && a.status != http.StatusConflict {
				return fmt.Errorf("PATCH of an upload: status %d: %s", a.status, a.body)
			}
			continue
		}
		sep := "?"
		if strings.Contains(at, "?") {
			sep = "&"
		}
		if a = c.do(c.any(), http.MethodPut, at+sep+"digest="+digest, nil, "application/octet-stream"); a.failed() {
			continue // it may be there: the next round asks
		}
		switch a.status {
		case http.StatusCreated:
			c.w.counts.blobs.Add(1)
			return nil
		case http.StatusNotFound, http.StatusConflict, http.StatusRequestedRangeNotSatisfiable: // another attempt completed it, or took it
		default:
			return fmt.Errorf("PUT of an upload: status %d: %s", a.status, a.body)
		}
	}
	return c.gaveUp(ctx, "upload of a blob", answer{})
}

// chunks are content in one piece, or in two.
func chunks(content []byte, r *rand.Rand) func(func([]byte) bool) {
	cut := len(content)
	if r.IntN(3) == 0 {
		cut = r.IntN(len(content))
	}
	return func(yield func([]byte) bool) {
		if cut > 0 && !yield(content[:cut]) {
			return
		}
		if cut < len(content) {
			yield(content[cut:])
		}
	}
}

// image is one that a client made.
type image struct {
	repo     string
	manifest []byte
	digest   string
	blobs    []content
}

// content is that of a blob: a text, or noise, which is made again when it is needed.
type content struct {
	text string
	seed uint64
	size int
}

func (c content) bytes() []byte {
	if c.text != "" {
		return []byte(c.text)
	}
	return noise(c.seed, c.size)
}

var images atomic.Int64

// newImage makes one of its own, with a layer that others may share.
func (c *client) newImage(repo string) image {
	n := images.Add(1)
	i := image{repo: repo}
	describe := func(mediaType string, b content) string {
		i.blobs = append(i.blobs, b)
		return fmt.Sprintf(`{"mediaType": %q, "digest": %q, "size": %d}`, mediaType, kecr.DigestOf(b.bytes()), len(b.bytes()))
	}
	config := describe("application/vnd.oci.image.config.v1+json", content{text: fmt.Sprintf(`{"os": "linux", "number": %d, "seed": %d}`, n, c.w.seed)})
	size := 1 + c.rand.IntN(200_000)
	if c.rand.IntN(100) == 0 {
		size = 8<<20 + c.rand.IntN(2<<20) // more than one part
	}
	layers := describe("application/vnd.oci.image.layer.v1.tar", content{seed: c.w.seed + uint64(n), size: size})
	if c.rand.IntN(2) == 0 && repo != plainRepo {
		layers += ", " + describe("application/vnd.oci.image.layer.v1.tar", content{seed: uint64(c.rand.IntN(8)), size: 50_000})
	}
	i.manifest = fmt.Appendf(nil, `{"schemaVersion": 2, "mediaType": %q, "config": %s, "layers": [%s]}`, manifestType, config, layers)
	i.digest = string(kecr.DigestOf(i.manifest))
	return i
}

// noise is content that seed gives.
func noise(seed uint64, size int) []byte {
	b := make([]byte, size)
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16), byte(seed >> 24), byte(seed >> 32), byte(seed >> 40), byte(seed >> 48), byte(seed >> 56)})
	_, _ = r.Read(b) // it does not fail
	return b
}

// layersOf are the digests of config and layers in a manifest.
func layersOf(manifest []byte) ([]string, error) {
	var m struct {
		Config struct{ Digest string }
		Layers []struct{ Digest string }
	}
	if err := json.Unmarshal(manifest, &m); err != nil {
		return nil, err
	}
	all := []string{m.Config.Digest}
	for _, l := range m.Layers {
		all = append(all, l.Digest)
	}
	return all, nil
}

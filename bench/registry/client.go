package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync/atomic"
	"time"
)

// client sends requests as docker does: with the password from the first request
// on, over connections that stay open.
type client struct {
	url, user, password string
	http                *http.Client
}

func newClient(url string) *client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConns, transport.MaxIdleConnsPerHost = 0, 64
	return &client{url: url, http: &http.Client{Transport: transport, Timeout: 2 * time.Minute}}
}

func (c *client) ping(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url+"/v2/", nil)
	if err != nil {
		return err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return err
	}
	return resp.Body.Close() // any answer will do: without a login it is 401
}

// do sends a request and reads the answer to its end without keeping it.
func (c *client) do(ctx context.Context, method, path, contentType string, body io.Reader, size int64, want int) (http.Header, error) {
	if !strings.HasPrefix(path, "http") {
		path = c.url + path
	}
	req, err := http.NewRequestWithContext(ctx, method, path, body)
	if err != nil {
		return nil, err
	}
	if body != nil {
		req.ContentLength = size
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	if strings.Contains(path, "/manifests/") {
		req.Header.Set("Accept", manifestType)
	}
	if c.user != "" {
		req.SetBasicAuth(c.user, c.password)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != want {
		text, err := io.ReadAll(io.LimitReader(resp.Body, 500))
		return nil, errors.Join(fmt.Errorf("%s %s answered %d, want %d: %s", method, path, resp.StatusCode, want, text), err, resp.Body.Close())
	}
	n, err := io.Copy(io.Discard, resp.Body)
	if err == nil && method == http.MethodGet && resp.ContentLength >= 0 && n != resp.ContentLength {
		err = fmt.Errorf("%s answered %d bytes of %d", path, n, resp.ContentLength)
	}
	return resp.Header, errors.Join(err, resp.Body.Close())
}

// blob is content to push: what all blobs of a scenario share, and a tail that
// makes it one that the server has not seen.
type blob struct {
	shared []byte
	tail   [16]byte
	digest string
}

func (b blob) size() int64 { return int64(len(b.shared) + len(b.tail)) }

func (b *blob) reader() io.Reader {
	return io.MultiReader(bytes.NewReader(b.shared), bytes.NewReader(b.tail[:]))
}

// blobs makes blobs of one size. What they share is hashed once, so that a client
// spends nothing on it while a server is measured.
type blobs struct {
	shared []byte
	state  []byte // of the hash after shared
}

// made counts blobs and manifests, so that each is another one. It begins anywhere:
// a database may hold those of a run before.
var made = func() *atomic.Uint64 {
	var n atomic.Uint64
	n.Store(rand.Uint64())
	return &n
}()

func newBlobs(size int64) *blobs {
	random := rand.NewChaCha8([32]byte{1})
	b := &blobs{shared: make([]byte, size-16)}
	_, _ = random.Read(b.shared) // never fails
	h := sha256.New()
	_, _ = h.Write(b.shared)
	state, err := h.(encoding.BinaryMarshaler).MarshalBinary()
	if err != nil {
		panic(err) // of the standard library's hash, never
	}
	b.state = state
	return b
}

func (b *blobs) next() blob {
	n := blob{shared: b.shared}
	binary.BigEndian.PutUint64(n.tail[:], made.Add(1))
	h := sha256.New()
	if err := h.(encoding.BinaryUnmarshaler).UnmarshalBinary(b.state); err != nil {
		panic(err) // the state is our own
	}
	_, _ = h.Write(n.tail[:])
	n.digest = "sha256:" + hex.EncodeToString(h.Sum(nil))
	return n
}

// pushBlob sends a blob with the requests of docker: HEAD, POST, PATCH, PUT.
func (c *client) pushBlob(ctx context.Context, repository string, b blob) error {
	if _, err := c.do(ctx, http.MethodHead, "/v2/"+repository+"/blobs/"+b.digest, "", nil, 0, http.StatusNotFound); err != nil {
		return err
	}
	header, err := c.do(ctx, http.MethodPost, "/v2/"+repository+"/blobs/uploads/", "", nil, 0, http.StatusAccepted)
	if err != nil {
		return err
	}
	header, err = c.do(ctx, http.MethodPatch, header.Get("Location"), "application/octet-stream", b.reader(), b.size(), http.StatusAccepted)
	if err != nil {
		return err
	}
	location, separator := header.Get("Location"), "?"
	if strings.Contains(location, "?") {
		separator = "&"
	}
	_, err = c.do(ctx, http.MethodPut, location+separator+"digest="+b.digest, "application/octet-stream", nil, 0, http.StatusCreated)
	return err
}

const manifestType = "application/vnd.oci.image.manifest.v1+json"

// image is a manifest with its blobs.
type image struct {
	config blob
	layers []blob
	body   []byte
	digest string
}

// newImage makes an image of a configuration and three layers that no other has.
func newImage(of *blobs) image {
	return imageOf(of.next(), of.next(), of.next(), of.next())
}

// imageOf makes an image of blobs that others may share; its manifest is another
// one each time.
func imageOf(config blob, layers ...blob) image {
	i := image{config: config, layers: layers}
	type descriptor struct {
		MediaType string `json:"mediaType"`
		Digest    string `json:"digest"`
		Size      int64  `json:"size"`
	}
	m := struct {
		SchemaVersion int               `json:"schemaVersion"`
		MediaType     string            `json:"mediaType"`
		Config        descriptor        `json:"config"`
		Layers        []descriptor      `json:"layers"`
		Annotations   map[string]string `json:"annotations"`
	}{
		SchemaVersion: 2, MediaType: manifestType,
		Config:      descriptor{"application/vnd.oci.image.config.v1+json", i.config.digest, i.config.size()},
		Annotations: map[string]string{"n": fmt.Sprint(made.Add(1))},
	}
	for _, l := range i.layers {
		m.Layers = append(m.Layers, descriptor{"application/vnd.oci.image.layer.v1.tar+gzip", l.digest, l.size()})
	}
	b, err := json.Marshal(m)
	if err != nil {
		panic(err) // of plain values, never
	}
	i.body = b
	i.digest = fmt.Sprintf("sha256:%x", sha256.Sum256(b))
	return i
}

func (c *client) pushManifest(ctx context.Context, repository, reference string, body []byte) error {
	_, err := c.do(ctx, http.MethodPut, "/v2/"+repository+"/manifests/"+reference, manifestType, bytes.NewReader(body), int64(len(body)), http.StatusCreated)
	return err
}

// pushImage pushes what an image consists of, and the image under a tag.
func (c *client) pushImage(ctx context.Context, repository, tag string, i image) error {
	for _, b := range append([]blob{i.config}, i.layers...) {
		if err := c.pushBlob(ctx, repository, b); err != nil {
			return err
		}
	}
	return c.pushManifest(ctx, repository, tag, i.body)
}

// pullImage reads an image as a client does that has none of it.
func (c *client) pullImage(ctx context.Context, repository, tag string, i image) error {
	if _, err := c.do(ctx, http.MethodGet, "/v2/"+repository+"/manifests/"+tag, "", nil, 0, http.StatusOK); err != nil {
		return err
	}
	for _, b := range append([]blob{i.config}, i.layers...) {
		if _, err := c.do(ctx, http.MethodGet, "/v2/"+repository+"/blobs/"+b.digest, "", nil, 0, http.StatusOK); err != nil {
			return err
		}
	}
	return nil
}

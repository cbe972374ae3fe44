package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/kontor-registry/kontor/internal/ecr"
)

// maxImages is how many images a client keeps: at more it deletes.
const maxImages = 400

// client works on its own images, in repositories that all clients share.
type client struct {
	load   *load
	number int
	rnd    *rand.Rand
	model  model
	pool   []placed // blobs to use again
	made   int      // names tags
}

// placed is a blob that was acknowledged in a repository.
type placed struct {
	content
	repo string
}

func newClient(l *load, number int, rnd *rand.Rand) *client {
	return &client{load: l, number: number, rnd: rnd, model: newModel()}
}

// operation is one thing a client does. It reports what it was about to
// change when its last request was sent.
type operation struct {
	name   string
	weight int
	run    func(*client, context.Context, *life) (change, error)
}

var operations = []operation{
	{"push", 30, (*client).push},
	{"push index", 4, (*client).pushIndex},
	{"retag", 12, (*client).retag},
	{"pull", 25, (*client).pull},
	{"delete by tag", 6, (*client).deleteTag},
	{"delete by digest", 6, (*client).deleteDigest},
	{"list", 6, (*client).list},
	{"batch", 8, (*client).batch},
	{"cancel", 3, (*client).cancelUpload},
}

func (c *client) pick() operation {
	if len(c.model.live(anyImage)) > maxImages {
		return operations[5]
	}
	total := 0
	for _, o := range operations {
		total += o.weight
	}
	n := c.rnd.IntN(total)
	for _, o := range operations {
		if n -= o.weight; n < 0 {
			return o
		}
	}
	panic("weights")
}

func anyImage(imageKey) bool { return true }

// errNothing: there is nothing to do the operation on.
var errNothing = errors.New("nothing to work on")

// work does one operation after another until done, and returns the first
// finding.
func (c *client) work(ctx context.Context, done <-chan struct{}) error {
	l := c.load.server.current()
	for {
		select {
		case <-done:
			return nil
		case <-ctx.Done():
			return nil // someone else's finding
		case <-time.After(c.load.pause):
		}
		var err error
		if l, err = c.step(ctx, l); err != nil {
			return err
		}
	}
}

// step does one operation, and settles it when the server is killed. It
// returns the life to continue with, and the finding if there is one.
func (c *client) step(ctx context.Context, l *life) (*life, error) {
	o := c.pick()
	began := time.Now()
	ch, err := o.run(c, ctx, l)
	switch {
	case err == nil:
		c.model.apply(ch)
		c.load.stats.did(o.name, time.Since(began))
	case errors.Is(err, errNothing):
	case errors.Is(err, errKilled):
		c.load.stats.cut(o.name)
		return c.after(ctx, l, ch)
	case ctx.Err() != nil: // someone else's finding
	default:
		return l, fmt.Errorf("%s: %w", o.name, err)
	}
	return l, nil
}

// after waits for the life that follows l and settles what l left open.
func (c *client) after(ctx context.Context, l *life, ch change) (*life, error) {
	for {
		select {
		case <-ctx.Done():
			return l, nil
		case <-l.next:
		}
		l = c.load.server.current()
		if err := c.settle(ctx, l, ch); !errors.Is(err, errKilled) {
			return l, err
		}
	}
}

func (c *client) repo() string { return repositories[c.rnd.IntN(len(repositories))] }

func (c *client) newTag() string {
	c.made++
	return fmt.Sprintf("c%02d-%d", c.number, c.made)
}

// one picks an image, that want accepts, from all live ones.
func (c *client) one(want func(imageKey) bool) (imageKey, error) {
	all := c.model.live(want)
	if len(all) == 0 {
		return imageKey{}, errNothing
	}
	return all[c.rnd.IntN(len(all))], nil
}

type descriptor struct {
	MediaType string `json:"mediaType"`
	Digest    string `json:"digest"`
	Size      int    `json:"size"`
}

const (
	manifestType = "application/vnd.oci.image.manifest.v1+json"
	indexType    = "application/vnd.oci.image.index.v1+json"
	configType   = "application/vnd.oci.image.config.v1+json"
	layerType    = "application/vnd.oci.image.layer.v1.tar+gzip"
)

// document is a manifest or an index.
type document struct {
	SchemaVersion int          `json:"schemaVersion"`
	MediaType     string       `json:"mediaType"`
	Config        *descriptor  `json:"config,omitempty"`
	Layers        []descriptor `json:"layers,omitempty"`
	Manifests     []descriptor `json:"manifests,omitempty"`
	Subject       *descriptor  `json:"subject,omitempty"`
}

func contentType(t string) http.Header { return http.Header{"Content-Type": {t}} }

// put pushes a manifest under a tag, or by its digest when tag is "".
func (l *life) put(ctx context.Context, repo, tag string, body []byte, mediaType string) error {
	if tag == "" {
		tag = string(ecr.DigestOf(body))
	}
	_, err := l.do(ctx, http.MethodPut, "/v2/"+repo+"/manifests/"+tag, bytes.NewReader(body), contentType(mediaType), http.StatusCreated)
	return err
}

// push pushes an image of one to four layers, some of them known already.
func (c *client) push(ctx context.Context, l *life) (change, error) {
	repo := c.repo()
	config, err := c.upload(ctx, l, repo, newContent(c.rnd, 100+c.rnd.IntN(900)))
	if err != nil {
		return change{}, err
	}
	d := document{SchemaVersion: 2, MediaType: manifestType, Config: &descriptor{configType, config.digest, config.size}}
	for range 1 + c.rnd.IntN(4) {
		layer, err := c.layer(ctx, l, repo)
		if err != nil {
			return change{}, err
		}
		d.Layers = append(d.Layers, descriptor{layerType, layer.digest, layer.size})
	}
	if c.rnd.IntN(8) == 0 {
		// A signature, say, of an image that is there.
		if k, err := c.one(func(k imageKey) bool { return k.repo == repo }); err == nil {
			d.Subject = &descriptor{manifestType, k.digest, 1000}
		}
	}
	body, err := json.Marshal(d)
	if err != nil {
		return change{}, err
	}
	tag := c.newTag()
	if c.rnd.IntN(10) == 0 {
		tag = "" // by digest only
	}
	ch := pushed(imageKey{repo, string(ecr.DigestOf(body))}, tag)
	for _, b := range append(d.Layers, *d.Config) {
		ch.blobs = append(ch.blobs, b.Digest)
	}
	return ch, l.put(ctx, repo, tag, body, manifestType)
}

// layer brings a layer into repo: a new one, or one known here or elsewhere.
func (c *client) layer(ctx context.Context, l *life, repo string) (content, error) {
	if len(c.pool) == 0 || c.rnd.IntN(3) == 0 {
		return c.upload(ctx, l, repo, newContent(c.rnd, c.layerSize()))
	}
	p := c.pool[c.rnd.IntN(len(c.pool))]
	if p.repo == repo {
		a, err := l.do(ctx, http.MethodHead, "/v2/"+repo+"/blobs/"+p.digest, nil, nil, http.StatusOK, http.StatusNotFound)
		if err != nil || a.status == http.StatusOK {
			return p.content, err
		}
		if c.model.blobs[imageKey{repo, p.digest}] {
			return content{}, fmt.Errorf("blob %s of %s was acknowledged and is gone", p.digest, repo)
		}
		return c.upload(ctx, l, repo, p.content) // it went with an image
	}
	a, err := l.do(ctx, http.MethodPost, "/v2/"+repo+"/blobs/uploads/?mount="+p.digest+"&from="+p.repo, nil, nil, http.StatusCreated, http.StatusAccepted)
	if err != nil {
		return content{}, err
	}
	if a.status == http.StatusCreated {
		c.load.stats.count("mounted")
		c.model.blobs[imageKey{repo, p.digest}] = true
		return p.content, nil
	}
	if c.model.uses[imageKey{p.repo, p.digest}] > 0 { // ECR mounts no others
		return content{}, fmt.Errorf("blob %s of %s, which an image has, cannot be mounted", p.digest, p.repo)
	}
	if err := l.finish(ctx, a.header.Get("Location"), bytes.NewReader(p.bytes()), binaryType, p.digest); err != nil {
		return content{}, err
	}
	c.model.blobs[imageKey{repo, p.digest}] = true
	return p.content, nil
}

// layerSize is between 100 bytes and 256 KiB, small ones more often, and now
// and then some MiB.
func (c *client) layerSize() int {
	if c.rnd.IntN(200) == 0 {
		return 1<<20 + c.rnd.IntN(5<<20)
	}
	return int(100 * math.Exp(c.rnd.Float64()*math.Log(2621)))
}

// upload uploads a blob in one of the ways.
func (c *client) upload(ctx context.Context, l *life, repo string, b content) (content, error) {
	var err error
	if way := c.rnd.IntN(len(uploads) + 1); way < len(uploads) {
		err = uploads[way](l, ctx, repo, b)
	} else {
		err = l.uploadLayer(ctx, repo, b)
	}
	if err != nil {
		return b, err
	}
	c.model.blobs[imageKey{repo, b.digest}] = true
	c.load.stats.count("blobs uploaded")
	c.load.stats.add("bytes uploaded", int64(b.size))
	const pool = 200
	if len(c.pool) < pool {
		c.pool = append(c.pool, placed{b, repo})
	} else {
		c.pool[c.rnd.IntN(pool)] = placed{b, repo}
	}
	return b, nil
}

// pushIndex pushes an index of two images.
func (c *client) pushIndex(ctx context.Context, l *life) (change, error) {
	a, err := c.one(anyImage)
	if err != nil {
		return change{}, err
	}
	b, err := c.one(func(k imageKey) bool { return k.repo == a.repo && k != a })
	if err != nil {
		return change{}, err
	}
	d := document{SchemaVersion: 2, MediaType: indexType}
	for _, k := range []imageKey{a, b} {
		body, mediaType, err := l.manifest(ctx, k.repo, k.digest)
		if err != nil {
			return change{}, err
		}
		d.Manifests = append(d.Manifests, descriptor{mediaType, k.digest, len(body)})
	}
	body, err := json.Marshal(d)
	if err != nil {
		return change{}, err
	}
	k := imageKey{a.repo, string(ecr.DigestOf(body))}
	if c.model.images[k] {
		return change{}, errNothing // the same two once more
	}
	tag := c.newTag()
	return pushed(k, tag, a.digest, b.digest), l.put(ctx, a.repo, tag, body, indexType)
}

// manifest reads a manifest by digest and compares it.
func (l *life) manifest(ctx context.Context, repo, digest string) (body []byte, mediaType string, err error) {
	a, err := l.do(ctx, http.MethodGet, "/v2/"+repo+"/manifests/"+digest, nil, nil, http.StatusOK)
	if err != nil {
		return nil, "", err
	}
	if got := string(ecr.DigestOf(a.body)); got != digest {
		return nil, "", fmt.Errorf("manifest %s of %s is served with digest %s", digest, repo, got)
	}
	return a.body, a.header.Get("Content-Type"), nil
}

// retag puts a new tag on an image, or moves one there.
func (c *client) retag(ctx context.Context, l *life) (change, error) {
	k, err := c.one(anyImage)
	if err != nil {
		return change{}, err
	}
	tag := c.newTag()
	if other, err := c.one(func(o imageKey) bool { return o.repo == k.repo && o != k && len(c.model.tagsOf(o)) > 0 }); err == nil && c.rnd.IntN(2) == 0 {
		tag = c.model.tagsOf(other)[0].tag
	}
	body, mediaType, err := l.manifest(ctx, k.repo, k.digest)
	if err != nil {
		return change{}, err
	}
	return change{images: map[imageKey]bool{k: true}, tags: map[tagKey]string{{k.repo, tag}: k.digest}}, l.put(ctx, k.repo, tag, body, mediaType)
}

// pull reads an image as docker does, and compares every digest.
func (c *client) pull(ctx context.Context, l *life) (change, error) {
	k, err := c.one(anyImage)
	if err != nil {
		return change{}, err
	}
	for _, t := range c.model.tagsOf(k) {
		if err := l.tagIs(ctx, t, k.digest); err != nil {
			return change{}, err
		}
	}
	n, err := l.whole(ctx, k, func(imageKey) bool { return true })
	c.load.stats.add("bytes pulled", n)
	return change{}, err
}

// tagIs fails unless the tag has the digest.
func (l *life) tagIs(ctx context.Context, t tagKey, digest string) error {
	a, err := l.do(ctx, http.MethodHead, "/v2/"+t.repo+"/manifests/"+t.tag, nil, nil, http.StatusOK)
	if err == nil && a.header.Get("Docker-Content-Digest") != digest {
		return fmt.Errorf("%s:%s is %s, want %s", t.repo, t.tag, a.header.Get("Docker-Content-Digest"), digest)
	}
	return err
}

// whole reads an image and the blobs that want asks for, and returns how many
// bytes that were.
func (l *life) whole(ctx context.Context, k imageKey, want func(blob imageKey) bool) (int64, error) {
	body, mediaType, err := l.manifest(ctx, k.repo, k.digest)
	if err != nil {
		return 0, err
	}
	n := int64(len(body))
	var d document
	if err := json.Unmarshal(body, &d); err != nil {
		return n, err
	}
	if mediaType != d.MediaType {
		return n, fmt.Errorf("manifest %s of %s is served as %s, want %s", k.digest, k.repo, mediaType, d.MediaType)
	}
	for _, child := range d.Manifests {
		if _, _, err := l.manifest(ctx, k.repo, child.Digest); err != nil {
			return n, err
		}
	}
	blobs := d.Layers
	if d.Config != nil {
		blobs = append(blobs, *d.Config)
	}
	for _, b := range blobs {
		if !want(imageKey{k.repo, b.Digest}) {
			continue
		}
		size, err := l.blob(ctx, imageKey{k.repo, b.Digest})
		if err == nil && size != b.Size {
			err = fmt.Errorf("blob %s of %s has %d bytes, want %d", b.Digest, k.repo, size, b.Size)
		}
		if err != nil {
			return n, err
		}
		n += int64(size)
	}
	return n, nil
}

// blob reads a blob, compares its digest, and returns how many bytes it has.
func (l *life) blob(ctx context.Context, b imageKey) (int, error) {
	a, err := l.do(ctx, http.MethodGet, "/v2/"+b.repo+"/blobs/"+b.digest, nil, nil, http.StatusOK)
	if err != nil {
		return 0, err
	}
	if got := string(ecr.DigestOf(a.body)); got != b.digest {
		return 0, fmt.Errorf("blob %s of %s is served with digest %s and %d bytes", b.digest, b.repo, got, len(a.body))
	}
	return len(a.body), nil
}

func (c *client) cancelUpload(ctx context.Context, l *life) (change, error) {
	return change{}, l.cancel(ctx, c.repo(), newContent(c.rnd, c.layerSize()))
}

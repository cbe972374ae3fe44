package faults

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"

	kecr "github.com/kontor-registry/kontor/internal/ecr"
)

// rotation is after how many operations clients go over to new names: the search for an
// order takes longer the more happened to one object.
const rotation = 150

// names is how many tags, or images, clients meet at.
const names = 4

// work lets a client do one thing after another until stop is closed.
func (c *client) work(ctx context.Context, stop <-chan struct{}) error {
	for {
		select {
		case <-stop:
			return nil
		case <-ctx.Done():
			return nil
		default:
		}
		n := c.w.counts.operations.Add(1)
		name := fmt.Sprintf("e%d-%d", n/rotation, c.rand.IntN(names))
		var err error
		switch roll := c.rand.IntN(100); {
		case roll < 28:
			err = c.pushTag(ctx, object{mutableRepo, name})
		case roll < 48:
			err = c.pushTag(ctx, object{fixedRepo, name})
		case roll < 60:
			err = c.pullTag(ctx, object{mutableRepo, name})
		case roll < 72:
			err = c.pullTag(ctx, object{fixedRepo, name})
		case roll < 77:
			err = c.remove(ctx, object{mutableRepo, name})
		default:
			err = c.plain(ctx, n/rotation, roll)
		}
		if err != nil {
			return fmt.Errorf("client %d: %w", c.number, err)
		}
	}
}

// pushTag pushes a new image to a tag.
func (c *client) pushTag(ctx context.Context, o object) error {
	i := c.newImage(o.repo)
	for _, b := range i.blobs {
		if err := c.upload(ctx, o.repo, b.bytes()); err != nil || ctx.Err() != nil {
			return err
		}
	}
	c.w.made(i)
	return c.put(ctx, o, i)
}

// put puts the manifest of an image whose blobs were acknowledged until there is an
// answer.
func (c *client) put(ctx context.Context, o object, i image) error {
	var a answer
	for until := c.deadline(); ctx.Err() == nil && until(); c.pause() {
		e := event{client: c.number, action: put, object: o, value: i.digest, began: c.w.history.now()}
		a = c.do(c.any(), http.MethodPut, "/v2/"+o.repo+"/manifests/"+o.name, i.manifest, manifestType)
		switch {
		case !a.sent:
			continue
		case a.failed():
			e.outcome = unknown
			c.w.history.add(e)
			continue
		case a.status == http.StatusCreated:
			e.outcome = done
			c.w.history.add(e)
			c.w.acknowledged(i)
			return nil
		case o.repo == fixedRepo && a.status == http.StatusBadRequest && strings.Contains(string(a.body), "immutable"):
			e.outcome = refused
			c.w.history.add(e)
			return nil
		case o.repo == plainRepo && strings.Contains(string(a.body), "BLOB_UNKNOWN"):
			return nil // it was deleted meanwhile, and its blobs went with it
		case strings.Contains(string(a.body), "BLOB_UNKNOWN"):
			return fmt.Errorf("%w: a blob of %s: %s", errGone, i.digest, a.body)
		default:
			return fmt.Errorf("PUT of %v: status %d: %s", o, a.status, a.body)
		}
	}
	return c.gaveUp(ctx, "PUT of a manifest", a)
}

// deadline returns what reports whether to try again.
func (c *client) deadline() func() bool {
	end := c.w.history.now() + c.patience
	return func() bool { return c.w.history.now() < end }
}

func (c *client) gaveUp(ctx context.Context, what string, a answer) error {
	if ctx.Err() != nil {
		return nil
	}
	return fmt.Errorf("%s: no answer for %s: status %d, %.200s, %w", what, c.patience, a.status, a.body, errors.Join(a.err, errSilent))
}

// see reads an object by its name at a server and notes what was seen, "" for nothing.
func (c *client) see(at *node, o object) (a answer, ok bool, err error) {
	e := event{client: c.number, action: get, object: o, began: c.w.history.now()}
	a = c.do(at, http.MethodGet, "/v2/"+o.repo+"/manifests/"+o.name, nil, manifestType)
	switch {
	case a.failed():
		return a, false, nil
	case a.status == http.StatusOK:
		e.value = a.digest
		if got := string(kecr.DigestOf(a.body)); got != a.digest {
			return a, false, fmt.Errorf("%v: a manifest of digest %s came as %s", o, got, a.digest)
		}
	case a.status != http.StatusNotFound:
		return a, false, fmt.Errorf("GET of %v: status %d: %s", o, a.status, a.body)
	}
	c.w.history.add(e)
	return a, true, nil
}

// pullTag pulls what a tag names, with its blobs.
func (c *client) pullTag(ctx context.Context, o object) error {
	for until := c.deadline(); ctx.Err() == nil && until(); c.pause() {
		a, ok, err := c.see(c.any(), o)
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		if a.status != http.StatusOK || c.rand.IntN(2) == 0 {
			return nil
		}
		return c.pullBlobs(ctx, o.repo, a.body)
	}
	return c.gaveUp(ctx, "GET of a manifest", answer{})
}

func (c *client) pullBlobs(ctx context.Context, repo string, manifest []byte) error {
	layers, err := layersOf(manifest)
	if err != nil {
		return err
	}
	for _, d := range layers {
		a, err := c.persist(ctx, http.MethodGet, "/v2/"+repo+"/blobs/"+d, nil, "")
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return err
		case a.status != http.StatusOK:
			return fmt.Errorf("%w: blob %s of %s: status %d: %s", errGone, d, repo, a.status, a.body)
		case string(kecr.DigestOf(a.body)) != d:
			return fmt.Errorf("blob %s of %s has another content", d, repo)
		}
	}
	return nil
}

// remove deletes a tag, or an image by its digest.
func (c *client) remove(ctx context.Context, o object) error {
	var a answer
	for until := c.deadline(); ctx.Err() == nil && until(); c.pause() {
		e := event{client: c.number, action: remove, object: o, began: c.w.history.now()}
		a = c.do(c.any(), http.MethodDelete, "/v2/"+o.repo+"/manifests/"+o.name, nil, "")
		switch {
		case !a.sent:
			continue
		case a.failed():
			e.outcome = unknown
			c.w.history.add(e)
			continue
		case a.status == http.StatusAccepted:
			e.outcome = done
		case a.status == http.StatusNotFound:
			e.outcome = refused
		default:
			return fmt.Errorf("DELETE of %v: status %d: %s", o, a.status, a.body)
		}
		c.w.history.add(e)
		return nil
	}
	return c.gaveUp(ctx, "DELETE of a manifest", a)
}

// plain puts, reads and deletes images by their digests.
func (c *client) plain(ctx context.Context, epoch int64, roll int) error {
	i, there := c.w.meet(epoch, c.rand.IntN(names))
	o := object{plainRepo, i.digest}
	switch {
	case !there || roll < 86:
		if !there {
			i = c.newImage(plainRepo)
			o.name = i.digest
			c.w.offer(epoch, i)
		}
		for _, b := range i.blobs {
			if err := c.upload(ctx, plainRepo, b.bytes()); err != nil || ctx.Err() != nil {
				return err
			}
		}
		return c.put(ctx, o, i)
	case roll < 94:
		for until := c.deadline(); ctx.Err() == nil && until(); c.pause() {
			if _, ok, err := c.see(c.any(), o); ok || err != nil {
				return err
			}
		}
		return c.gaveUp(ctx, "GET of a manifest", answer{})
	default:
		c.w.removing(i)
		return c.remove(ctx, o)
	}
}

// final reads every object that anybody put at every server, into the history, and every
// image that was acknowledged byte for byte. It returns what is missing or wrong.
func (w *world) final(ctx context.Context) (wrong []string) {
	seen := map[object]bool{}
	for _, e := range w.history.all() {
		seen[e.object] = true
	}
	objects, lasting := slices.Collect(maps.Keys(seen)), w.lasting()
	var all sync.WaitGroup
	var mu sync.Mutex
	for _, n := range w.nodes {
		for part := range readers {
			all.Go(func() {
				c := newClient(w, len(w.clients)+part, w.seed)
				found := c.final(ctx, n, every(objects, part), every(lasting, part))
				mu.Lock()
				defer mu.Unlock()
				wrong = append(wrong, found...)
			})
		}
	}
	all.Wait()
	w.t.Logf("%d objects and %d images read at %d servers and compared", len(objects), len(lasting), len(w.nodes))
	return wrong
}

// readers is how many clients read at each server in the end.
const readers = 4

// every is the part of all that reader number part has.
func every[E any](all []E, part int) (some []E) {
	for i := part; i < len(all); i += readers {
		some = append(some, all[i])
	}
	return some
}

func (c *client) final(ctx context.Context, n *node, objects []object, images []image) (wrong []string) {
	for _, o := range objects {
		for until := c.deadline(); ; c.pause() {
			_, ok, err := c.see(n, o)
			if err == nil && !ok && until() {
				continue
			}
			if err != nil || !ok {
				wrong = append(wrong, fmt.Sprintf("%s at %s: %v", o, n.name, err))
			}
			break
		}
	}
	for _, i := range images {
		if err := c.whole(ctx, n, i); err != nil {
			wrong = append(wrong, fmt.Sprintf("image %s of %s at %s: %v", i.digest, i.repo, n.name, err))
		}
	}
	return wrong
}

// whole reads an image at a server, and compares every byte with what was pushed.
func (c *client) whole(ctx context.Context, n *node, i image) error {
	read := func(path, mediaType string, want []byte) error {
		for until := c.deadline(); ; c.pause() {
			a := c.do(n, http.MethodGet, "/v2/"+i.repo+path, nil, mediaType)
			switch {
			case a.failed() && until() && ctx.Err() == nil:
				continue
			case a.err != nil:
				return a.err
			case a.status == http.StatusNotFound:
				return fmt.Errorf("%w: %s", errGone, path)
			case a.status != http.StatusOK:
				return fmt.Errorf("%s: status %d: %s", path, a.status, a.body)
			case !slices.Equal(a.body, want):
				return fmt.Errorf("%s: %d bytes, and not the %d that were pushed", path, len(a.body), len(want))
			}
			return nil
		}
	}
	err := read("/manifests/"+i.digest, manifestType, i.manifest)
	for _, b := range i.blobs {
		err = errors.Join(err, read("/blobs/"+string(kecr.DigestOf(b.bytes())), "", b.bytes()))
	}
	return err
}
